//! What the program prints for people: Vietnamese, and English below it.

use std::fmt::Write as _;

use bhyt_core::card::CardClaims;
use bhyt_core::grant::{Grant, GrantRelation, GrantScope};
use bhyt_core::ids::MemberId;
use bhyt_core::time::UnixSeconds;
use bhyt_core::words::{Words, card_rows, standing};
use bhyt_sdk::{CardState, CardView, Event, Problem, SyncReport, WalletStatus};

/// One card in both languages.
pub(crate) fn card(card: &CardView) -> String {
    let mut rows = vec![(words("Tình trạng", "Standing"), state(card))];
    rows.extend(
        card_rows(&card.claims)
            .into_iter()
            .map(|(label, value)| (label, Words { vi: value.clone(), en: value })),
    );
    let updated = card.updated_at.display_local();
    rows.push((words("Cập nhật lúc", "Updated at"), same(&updated)));
    if let Some(end) = card.bindings.iter().map(|binding| binding.end).max() {
        let end = end.to_string();
        rows.push((words("Điện thoại này giữ thẻ đến", "This phone holds the card until"), same(&end)));
    } else {
        let none = words("chưa; cần đồng bộ", "not yet; sync first");
        rows.push((words("Điện thoại này giữ thẻ", "This phone holds the card"), none));
    }
    both("THẺ BẢO HIỂM Y TẾ", "HEALTH INSURANCE CARD", &rows)
}

/// The status in both languages; `card` finds the first card of a member, which says who that is.
pub(crate) fn status(status: &WalletStatus, card: impl Fn(MemberId) -> Option<CardClaims>) -> String {
    let never = words("chưa lần nào", "never");
    let mut rows = Vec::new();
    let server = status.server.as_deref().map_or_else(|| never.clone(), same);
    if let Some(id) = status.id {
        rows.push((words("Mã thiết bị", "Device id"), same(&id.to_string())));
    }
    rows.push((words("Máy chủ", "Server"), server));
    let last = status.last_success.map(|last| same(&last.display_local()));
    rows.push((words("Đồng bộ lần cuối", "Last sync"), last.unwrap_or(never)));
    for member in &status.members {
        let line = |vi: &str, en: &str| Words {
            vi: format!("{} thẻ, {} hồ sơ {vi}", member.cards, member.records),
            en: format!("{} card(s), {} record(s) {en}", member.cards, member.records),
        };
        let at = member.updated_at.map(|at| at.display_local()).unwrap_or_default();
        if let Some(card) = card(member.member) {
            let who = format!("{}, {}", card.full_name.as_str(), card.social_number.as_str());
            rows.push((words("Người tham gia, mã số BHXH", "Member, insurance number"), same(&who)));
        }
        let id = member.member.to_hex();
        rows.push((words(&id, &id), line(&at, &at)));
        if let Some(at) = member.forked_at.map(|at| at.display_local()) {
            let line = Words {
                vi: format!("máy chủ đã ký hai bản khác nhau ({at}); báo cơ quan BHXH"),
                en: format!("the server signed two different feeds ({at}); tell the agency"),
            };
            rows.push((words("Cảnh báo", "Warning"), line));
        }
        if let Some(grant) = &member.grant {
            rows.push((words("Giữ hộ", "Held for"), granted(grant)));
        }
        if member.forgotten {
            let line = words(
                "máy chủ đã khôi phục và không còn biết điện thoại này; cần mã kích hoạt mới",
                "the restored server does not know this phone any more; a new code is needed",
            );
            rows.push((words("Cảnh báo", "Warning"), line));
        }
    }
    if let Some(ahead) = status.server_ahead_seconds.filter(|ahead| ahead.abs() > SKEW_SECONDS) {
        let line = Words {
            vi: format!("lệch {} giây so với máy chủ; hãy chỉnh lại", ahead.abs()),
            en: format!("{} s off the server's; set it", ahead.abs()),
        };
        rows.push((words("Đồng hồ", "Clock"), line));
    }
    if let Some(problem) = status.problem {
        rows.push((words("Vấn đề", "Problem"), problem_words(problem)));
    }
    both("TÌNH TRẠNG", "STATUS", &rows)
}

/// Until when to show a live code.
pub(crate) fn until(at: UnixSeconds) -> String {
    let at = format!("{}:{:02}", at.display_local(), at.0 % 60);
    format!("Dùng mã này đến {at}; sau đó hãy tạo mã mới.\nShow this code until {at}; then make a new one.\n")
}

/// What a sync brought.
pub(crate) fn report(report: SyncReport) -> String {
    match report.changes {
        0 => "Đã cập nhật, không có gì mới.\nUp to date, nothing new.\n".to_owned(),
        changes => {
            let received = match report.received {
                0 => words("", ""),
                received => Words {
                    vi: format!(", {received} mục hồ sơ (mới, đã sửa hoặc đã rút lại)"),
                    en: format!(", {received} record entries (new, corrected or retracted)"),
                },
            };
            format!(
                "Đã cập nhật: {changes} thay đổi{}.\nUp to date: {changes} change(s){}.\n",
                received.vi, received.en
            )
        }
    }
}

/// What happened, while connected; `None` for what only programs want to know.
pub(crate) fn event(event: Event) -> Option<String> {
    let line = match event {
        Event::UpToDate => words("Đã kết nối, dữ liệu mới nhất.", "Connected, up to date."),
        Event::RecordsChanged { .. } => words("Có hồ sơ mới.", "New records."),
        Event::CredentialsChanged { .. } => {
            words("Thẻ trên điện thoại đã được gia hạn.", "This phone's hold on the card was renewed.")
        }
        Event::MemberGranted { .. } => {
            words("Được giữ hộ thẻ của một người khác.", "Somebody else's card was granted to this phone.")
        }
        Event::MemberRemoved { .. } => {
            words("Điện thoại này không còn giữ thẻ.", "This phone no longer holds the card.")
        }
        Event::PersonalChanged { .. } => {
            words("Thông tin cá nhân đã thay đổi.", "Personal details have changed.")
        }
        Event::OutboxChanged { .. } => words("Hộp thư đi đã thay đổi.", "The outbox has changed."),
        Event::Disconnected { problem, retry_in } => {
            let words = problem_words(problem);
            let wait = retry_in.map(|wait| wait.as_secs());
            return Some(match wait {
                Some(wait) => {
                    format!("{} Thử lại sau {wait} giây.\n{} Trying again in {wait} s.\n", words.vi, words.en)
                }
                None => format!("{}\n{}\n", words.vi, words.en),
            });
        }
        Event::TrustChanged { .. } | Event::StatusChanged { .. } | Event::Progress { .. } => {
            return None;
        }
    };
    Some(format!("{}\n{}\n", line.vi, line.en))
}

fn state(card: &CardView) -> Words {
    match card.state {
        CardState::NotYetValid => words("Chưa đến ngày có giá trị", "Not valid yet"),
        CardState::Expired => words("Hết giá trị sử dụng", "Expired"),
        _ => standing(card.standing),
    }
}

/// By what right a carer's phone shows a card, and until when.
fn granted(grant: &Grant) -> Words {
    let (vi, en) = match grant.relation {
        GrantRelation::Parent => ("con", "child"),
        GrantRelation::Guardian => ("người được giám hộ", "ward"),
        GrantRelation::Spouse => ("vợ hoặc chồng", "spouse"),
        GrantRelation::Child => ("cha hoặc mẹ", "parent"),
        GrantRelation::Other => ("người được chăm sóc", "person in care"),
    };
    let (scope_vi, scope_en) = match grant.scope {
        GrantScope::Card => ("chỉ thẻ", "card only"),
        GrantScope::CardAndRecords => ("thẻ và hồ sơ", "card and records"),
    };
    Words {
        vi: format!("{vi}, {scope_vi}, đến hết ngày {}", grant.until),
        en: format!("{en}, {scope_en}, until {}", grant.until),
    }
}

fn problem_words(problem: Problem) -> Words {
    match problem {
        Problem::Offline => words("Không kết nối được máy chủ.", "The server cannot be reached."),
        Problem::Retired => words(
            "Điện thoại này đã bị ngừng hoặc máy chủ không còn biết; cần kích hoạt lại.",
            "This phone was retired, or is not known any more; activate it again.",
        ),
        Problem::Refused => words("Máy chủ từ chối.", "The server refused."),
        Problem::NotActivated => words("Chưa kích hoạt.", "Not activated."),
        Problem::UpdateApp => words("Cần cập nhật phần mềm.", "Update this program."),
        Problem::System => words("Lỗi bộ nhớ hoặc hệ thống.", "Disk or system failed."),
        Problem::Locked => {
            words("Khóa đang bị khóa; hãy mở khóa điện thoại.", "A key is locked; unlock the phone.")
        }
        Problem::Untrusted => words("Máy chủ không đáng tin.", "The server is not the one we trust."),
    }
}

fn both(title_vi: &str, title_en: &str, rows: &[(Words, Words)]) -> String {
    let block = |title: &str, side: fn(&Words) -> &str| {
        let width = rows.iter().map(|(label, _)| side(label).chars().count()).max().unwrap_or(0);
        let mut block = format!("{title}\n");
        for (label, value) in rows {
            // Writing into a String does not fail.
            let _ = writeln!(block, "  {:width$}  {}", side(label), side(value));
        }
        block
    };
    format!("{}\n{}", block(title_vi, |words| &words.vi), block(title_en, |words| &words.en))
}

pub(crate) fn words(vi: &str, en: &str) -> Words {
    Words { vi: vi.to_owned(), en: en.to_owned() }
}

pub(crate) fn same(text: &str) -> Words {
    words(text, text)
}

/// Terminals take a proof from 60 s ahead on; past half of that a phone's clock is worth a word.
const SKEW_SECONDS: i64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_does_not_call_a_retraction_a_new_record() {
        let said = |received, changes| report(SyncReport { received, changes });
        assert_eq!(
            said(14, 2),
            "Đã cập nhật: 2 thay đổi, 14 mục hồ sơ (mới, đã sửa hoặc đã rút lại).\n\
             Up to date: 2 change(s), 14 record entries (new, corrected or retracted).\n"
        );
        assert_eq!(said(0, 1), "Đã cập nhật: 1 thay đổi.\nUp to date: 1 change(s).\n");
        assert_eq!(said(0, 0), "Đã cập nhật, không có gì mới.\nUp to date, nothing new.\n");
    }

    #[test]
    fn the_end_of_a_live_code_is_said_to_the_second() {
        let shown = until(UnixSeconds(1_795_410_000).plus(30));
        assert_eq!(
            shown,
            "Dùng mã này đến 23/11/2026 12:00:30; sau đó hãy tạo mã mới.\n\
             Show this code until 23/11/2026 12:00:30; then make a new one.\n"
        );
    }
}
