//! Pages of one feed that wait for the signed head over them. Nothing of them is verified yet, so they are counted as they
//! come: a page costs what it holds, however many came before it, and a server that never sends the head is given up.

use crate::cose::Verified;
use crate::feed::{Entry, FeedHead, FeedPage};
use crate::limits::{FEED_RECORDS_MAX, FEED_STAGED_BYTES_MAX};

/// Pages in the order in which they came, and the head that they are to lead to.
#[derive(Clone, Debug, Default)]
pub(super) struct Staged {
    pages: Vec<FeedPage>,
    records: u64,
    bytes: usize,
    /// Pages that outlive the exchange.
    kept: usize,
    /// Nothing has come in this exchange yet.
    resumed: bool,
    pub(super) head: Option<Verified<FeedHead>>,
}

impl Staged {
    /// Pages that came before an answer was cut short.
    pub(super) fn resumed(pages: Vec<FeedPage>) -> Self {
        let mut staged = Self::default();
        // They were within the bounds when they came.
        let _ = staged.add(pages);
        staged.keep();
        staged.resumed = true;
        staged
    }

    /// Adds pages; whether all of them are still within [`FEED_RECORDS_MAX`] and [`FEED_STAGED_BYTES_MAX`].
    pub(super) fn add(&mut self, pages: Vec<FeedPage>) -> bool {
        for page in &pages {
            self.records += page.count() as u64;
            self.bytes += page.entries().map(|(_, entry)| bytes_of(&entry)).sum::<usize>();
        }
        self.pages.extend(pages);
        self.records <= FEED_RECORDS_MAX && self.bytes <= FEED_STAGED_BYTES_MAX
    }

    /// The pages here outlive the exchange: whoever holds the session has them too.
    pub(super) fn keep(&mut self) {
        self.kept = self.pages.len();
    }

    /// What is left when an exchange is over.
    pub(super) fn end_exchange(&mut self) {
        let kept = self.pages.drain(..self.kept.min(self.pages.len())).collect();
        *self = Self::resumed(kept);
    }

    /// The first pages of this exchange come: whether there are any of an earlier one.
    pub(super) fn begin(&mut self) -> bool {
        std::mem::take(&mut self.resumed) && !self.pages.is_empty()
    }

    /// Forgets the pages, and goes on to the same head.
    pub(super) fn forget_pages(&mut self) {
        *self = Self { head: self.head.take(), ..Self::default() };
    }

    /// Records.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Whether something came that does not outlive the exchange, or a head that nothing led to.
    pub(super) fn is_unfinished(&self) -> bool {
        self.head.is_some() || self.kept < self.pages.len()
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
