//! Reads a feed page by page and keeps what stands of it: the latest revision of each record of the kinds asked for. The
//! feed itself is never in memory as a whole.
//!
//! Promises: a record that cannot be read is counted, never an error; a retracted one is gone, and back when a later
//! revision takes it back.

use std::collections::BTreeMap;

use bhyt_core::cbor::DecodeError;
use bhyt_core::feed::FeedPage;
use bhyt_core::record::{Content, Record, RecordKind, Seq};
use bhyt_core::records::Fact;

use crate::records::{RecordInfo, RevisionContent, RevisionView};

/// What stands, of some kinds.
#[derive(Debug)]
pub(crate) struct RecordBook {
    kinds: &'static [RecordKind],
    /// Facts of these kinds, and what cannot be read of them and of unknown kinds.
    latest: BTreeMap<Seq, (RecordInfo, RevisionContent)>,
}

/// What a book comes to.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// By name.
    pub(crate) facts: Vec<(RecordInfo, Fact)>,
    pub(crate) needs_update: u32,
    pub(crate) unreadable: u32,
}

impl RecordBook {
    pub(crate) fn of(kinds: &'static [RecordKind]) -> Self {
        Self { kinds, latest: BTreeMap::new() }
    }

    /// Takes records in the order of the feed; those from `end` on do not count.
    pub(crate) fn take(&mut self, page: &FeedPage, end: Seq) {
        for (seq, record) in page.records() {
            let wanted = self.kinds.contains(&record.kind) || matches!(record.kind, RecordKind::Unknown(_));
            if wanted && seq < end {
                self.take_record(record);
            }
        }
    }

    fn take_record(&mut self, record: &Record) {
        let info = RecordInfo { id: record.first_seq, revision: record.revision, updated_at: record.time };
        match read(record) {
            RevisionContent::Retracted => self.latest.remove(&record.first_seq),
            content => self.latest.insert(record.first_seq, (info, content)),
        };
    }

    pub(crate) fn standing(self) -> Standing {
        let mut standing = Standing::default();
        for (info, content) in self.latest.into_values() {
            match content {
                RevisionContent::Stands(fact) => standing.facts.push((info, *fact)),
                RevisionContent::NeedsUpdate => standing.needs_update += 1,
                RevisionContent::Unreadable => standing.unreadable += 1,
                RevisionContent::Retracted => {}
            }
        }
        standing
    }
}

/// One revision, for a history.
pub(crate) fn revision(record: &Record) -> RevisionView {
    RevisionView { revision: record.revision, recorded_at: record.time, content: read(record) }
}

fn read(record: &Record) -> RevisionContent {
    let Content::Body(body) = &record.content else { return RevisionContent::Retracted };
    match Fact::decode(record.kind, body) {
        Ok(fact) => RevisionContent::Stands(Box::new(fact)),
        Err(DecodeError::NeedsUpdate) => RevisionContent::NeedsUpdate,
        Err(DecodeError::Malformed(_)) => RevisionContent::Unreadable,
    }
}
