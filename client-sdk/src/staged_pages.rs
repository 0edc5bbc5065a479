//! Pages of one feed that came before an answer was cut short. No head speaks for them yet, so nobody is shown them; they
//! are kept so that they need not come again.

use bhyt_core::feed::{Entry, FeedPage};
use bhyt_core::record::Seq;

/// Pages that follow on the feed held, in memory and, the first of them, in the cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct StagedPages {
    pages: Vec<FeedPage>,
    /// How many of them are in the cache.
    kept: usize,
    /// Bytes of the others.
    unkept_bytes: usize,
    /// Where pages are in the cache that do not count any more.
    stale: Vec<Seq>,
}

impl StagedPages {
    /// As they were found in the cache.
    pub(crate) fn of_cache(pages: Vec<FeedPage>) -> Self {
        Self { kept: pages.len(), pages, ..Self::default() }
    }

    /// Takes pages; those that begin at `next`, where the feed held ends, take the place of all others.
    pub(crate) fn add(&mut self, pages: Vec<FeedPage>, next: Seq) {
        if pages.first().is_some_and(|page| page.first_seq() == next) {
            self.forget();
        }
        self.unkept_bytes += pages.iter().map(bytes_of).sum::<usize>();
        self.pages.extend(pages);
    }

    /// Whether there is enough for a commit.
    pub(crate) fn is_due(&self) -> bool {
        self.unkept_bytes >= STAGED_COMMIT_BYTES
    }

    /// Forgets all of them; whether there were any. What is in the cache is to be removed, see [`Self::stale`].
    pub(crate) fn forget(&mut self) -> bool {
        self.stale.extend(self.pages.iter().take(self.kept).map(FeedPage::first_seq));
        let any = !self.pages.is_empty();
        (self.kept, self.unkept_bytes) = (0, 0);
        self.pages.clear();
        any
    }

    /// The pages that are not in the cache are there now, and nothing stale.
    pub(crate) fn note_kept(&mut self) {
        (self.kept, self.unkept_bytes) = (self.pages.len(), 0);
        self.stale.clear();
    }

    /// How many of `pages`, which a head speaks for, are in the cache. Where others are there, all are to be removed.
    pub(crate) fn kept_of(&mut self, pages: &[FeedPage]) -> usize {
        let kept = self.pages.get(..self.kept).unwrap_or_default();
        if !pages.starts_with(kept) {
            self.forget();
        }
        self.kept
    }

    pub(crate) fn pages(&self) -> &[FeedPage] {
        &self.pages
    }

    /// The pages that are not in the cache.
    pub(crate) fn unkept(&self) -> &[FeedPage] {
        self.pages.get(self.kept..).unwrap_or_default()
    }

    pub(crate) fn stale(&self) -> &[Seq] {
        &self.stale
    }
}

fn bytes_of(page: &FeedPage) -> usize {
    let of_entry = |entry: Entry<'_>| match entry {
        Entry::Record { record, .. } => record.content.bytes().len(),
        Entry::Erased { .. } => 0,
    };
    page.entries().map(|(_, entry)| of_entry(entry)).sum()
}

/// Bytes of bodies in one commit: some 12 kB on the wire, which is what a phone that dies asks for again at most.
const STAGED_COMMIT_BYTES: usize = 64 * 1024;
