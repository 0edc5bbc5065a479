//! Pages of one feed that wait for the signed head over them. Nothing of them is verified yet, so they are counted as they
//! come: a page costs what it holds, however many came before it, and a server that never sends the head is given up.

use crate::feed::{Entry, FeedPage};
use crate::limits::{FEED_RECORDS_MAX, FEED_STAGED_BYTES_MAX};

/// Pages in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Staged {
    pages: Vec<FeedPage>,
    records: u64,
    bytes: usize,
}

impl Staged {
    /// Adds pages; whether all of them are still within [`FEED_RECORDS_MAX`] and [`FEED_STAGED_BYTES_MAX`].
    pub(super) fn add(&mut self, pages: Vec<FeedPage>) -> bool {
        for page in &pages {
            self.records += page.count() as u64;
            self.bytes += page.entries().map(|(_, entry)| bytes_of(&entry)).sum::<usize>();
        }
        self.pages.extend(pages);
        self.records <= FEED_RECORDS_MAX && self.bytes <= FEED_STAGED_BYTES_MAX
    }

    /// The pages.
    pub(super) fn into_pages(self) -> Vec<FeedPage> {
        self.pages
    }
}

fn bytes_of(entry: &Entry<'_>) -> usize {
    let body = match entry {
        Entry::Record { record, .. } => record.content.bytes().len(),
        Entry::Erased { .. } => 0,
    };
    RECORD_BYTES + body
}

/// What a record takes in memory besides its body.
const RECORD_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{BODY_BYTES_MAX, PAGE_RECORDS_MAX};
    use crate::record::{Body, PageSeed, Record, RecordKind, Seq};
    use crate::time::UnixSeconds;

    /// A page of `count` records with bodies of `length` bytes.
    fn page(count: usize, length: usize) -> FeedPage {
        let mut page = FeedPage::new(Seq(0), PageSeed([5; 32]));
        for seq in 0..count as u64 {
            let body = Body::new(vec![7; length]).unwrap();
            page.push(Record::first(Seq(seq), RecordKind::Visit, body, UnixSeconds(1))).unwrap();
        }
        page
    }

    /// How many times this page is taken.
    fn taken(page: &FeedPage) -> usize {
        let mut staged = Staged::default();
        let taken = (0..).find(|_| !staged.add(vec![page.clone()])).unwrap();
        assert_eq!(staged.into_pages().len(), taken + 1);
        taken
    }

    #[test]
    fn pages_without_a_head_are_bounded_by_what_they_hold() {
        assert_eq!(taken(&page(1, BODY_BYTES_MAX)), FEED_STAGED_BYTES_MAX / (RECORD_BYTES + BODY_BYTES_MAX));
        let small = page(PAGE_RECORDS_MAX, 1);
        assert_eq!(taken(&small), FEED_STAGED_BYTES_MAX / (PAGE_RECORDS_MAX * (RECORD_BYTES + 1)));
    }
}
