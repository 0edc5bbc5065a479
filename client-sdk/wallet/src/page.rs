//! A page for people: lines in Vietnamese, and the same in English below them.

use std::fmt::Display;

use bhyt_core::time::DAY_SECONDS;
use bhyt_core::words::Words;
use bhyt_sdk::Freshness;

use crate::text::{same, words};

/// Lines in both languages.
#[derive(Default)]
pub(crate) struct Page {
    vi: String,
    en: String,
}

impl Page {
    pub(crate) fn titled(vi: &str, en: &str) -> Self {
        let mut page = Self::default();
        page.line(0, &words(vi, en));
        page
    }

    pub(crate) fn line(&mut self, depth: usize, line: &Words) {
        for (page, line) in [(&mut self.vi, &line.vi), (&mut self.en, &line.en)] {
            for part in line.lines() {
                if !part.is_empty() {
                    page.push_str(&"  ".repeat(depth));
                    page.push_str(part);
                }
                page.push('\n');
            }
        }
    }

    /// `label: value`, when there is a value.
    pub(crate) fn field(&mut self, depth: usize, label: &Words, value: Option<impl Display>) {
        if let Some(value) = value {
            self.line(depth, &join(label, ": ", &same(&value.to_string())));
        }
    }

    pub(crate) fn freshness(&mut self, freshness: &Freshness) {
        let at = freshness.signed_at.map(|at| at.display_local());
        self.field(1, &words("Cập nhật lúc", "Updated at"), at);
        if let Some(days) = freshness.data_age_seconds.map(|age| age / DAY_SECONDS).filter(|days| *days > 0) {
            let vi = format!("Lần đồng bộ cuối cách đây {days} ngày.");
            self.line(1, &words(&vi, &format!("Last synced {days} day(s) ago.")));
        }
        if freshness.signed_at.is_none() {
            self.line(1, &words("Chưa có dữ liệu; hãy đồng bộ.", "No data yet; sync first."));
        }
        if freshness.needs_update > 0 {
            let count = freshness.needs_update;
            let vi = format!("{count} hồ sơ cần phiên bản phần mềm mới hơn để xem.");
            self.line(1, &words(&vi, &format!("{count} record(s) need a newer version of this program.")));
        }
        if freshness.unreadable > 0 {
            let count = freshness.unreadable;
            let vi = format!("{count} hồ sơ bị lỗi ở máy chủ; hãy báo cơ quan BHXH.");
            self.line(
                1,
                &words(&vi, &format!("{count} record(s) are broken at the server; tell the agency.")),
            );
        }
    }

    pub(crate) fn done(self) -> String {
        format!("{}\n{}", self.vi, self.en)
    }
}

/// Two texts with something between them that is no word.
pub(crate) fn join(a: &Words, between: &str, b: &Words) -> Words {
    Words { vi: format!("{}{between}{}", a.vi, b.vi), en: format!("{}{between}{}", a.en, b.en) }
}
