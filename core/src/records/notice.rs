//! The body of a record of kind Notice: what the agency tells one member.

use super::form::map_form;
use super::source::SourceKey;
use super::text::{Lines, Text};
use crate::limits::{NOTICE_BYTES_MAX, NOTICE_TITLE_BYTES_MAX};
use crate::record::{RecordKind, Seq};
use crate::time::UnixSeconds;

/// One notice (thông báo).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Born where the notice was written.
    pub id: [u8; 16],
    /// Tiêu đề.
    pub title: Text<NOTICE_TITLE_BYTES_MAX>,
    /// Nội dung.
    pub text: Option<Lines<NOTICE_BYTES_MAX>>,
    /// When it was sent.
    pub time: UnixSeconds,
    /// The record of the same feed that it speaks of, by its first seq.
    pub about: Option<Seq>,
}

map_form!(body Notice { 1 id, 2 title, 3 text, 4 time, 5 about });

impl Notice {
    /// One record an id.
    pub fn source_key(&self) -> SourceKey {
        SourceKey::of(RecordKind::Notice, &[&self.id])
    }
}
