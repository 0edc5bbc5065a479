//! Pages: consecutive records of one feed, as they travel and as they are stored.
//!
//! The records of a page are salted by one seed, with the place in the *feed* and not in the page, so that any run of
//! them is a page of its own: the news since a phone's last sync is cut out of the open page, and joined to it there.
//! A page carries no signature and no hash: the head speaks for it, see [`FeedState`](super::FeedState).
//!
//! Erasing a record takes the seed out of the page, leaves the survivors their own salts, and keeps of the erased one
//! the hash of its leaf: the tree stays what it was and nothing is left to guess the body with.
//!
//! Promises: a page, wherever it was read from, has a record, and is within [`PAGE_RECORDS_MAX`] and [`PAGE_BYTES_MAX`],
//! one body above at most. Refuses: records after it has closed.

use serde::{Deserialize, Serialize};

use crate::limits::{
    BODY_BYTES_MAX, FEED_BLOCK_BYTES_MAX, FEED_RECORDS_MAX, PAGE_BYTES_MAX, PAGE_RECORDS_MAX,
};
use crate::merkle::TreeHash;
use crate::record::{PageSeed, Record, Salt, Seq};

/// A run of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PageParts")]
pub struct FeedPage {
    first_seq: Seq,
    leaves: Leaves,
}

impl FeedPage {
    /// An open page without records. `seed` is 32 fresh random bytes: one seed never salts two pages' worth of places.
    pub fn new(first_seq: Seq, seed: PageSeed) -> Self {
        Self { first_seq, leaves: Leaves::Seeded { seed, records: Vec::new() } }
    }

    /// Appends a record and says where it stands.
    ///
    /// # Errors
    /// [`PageFault::Closed`] when the page takes no more; a new one begins at [`FeedPage::next_seq`].
    pub fn push(&mut self, record: Record) -> Result<Seq, PageFault> {
        let seq = self.next_seq();
        let closed = self.is_closed() || seq.0 >= FEED_RECORDS_MAX;
        match &mut self.leaves {
            Leaves::Seeded { records, .. } if !closed => records.push(record),
            _ => return Err(PageFault::Closed { next_seq: seq }),
        }
        Ok(seq)
    }

    /// Joins the run that follows on this one, as a phone does with the news of its open page.
    ///
    /// # Errors
    /// [`PageFault`] when it does not follow, has another seed or is too much for one page: it is then kept as a page
    /// of its own. Nothing has changed.
    pub fn absorb(&mut self, later: &Self) -> Result<(), PageFault> {
        let expected = self.next_seq();
        if later.first_seq != expected {
            return Err(PageFault::NotNext { expected, got: later.first_seq });
        }
        let mut joined = self.clone();
        match (&joined.leaves, &later.leaves) {
            (Leaves::Seeded { seed, .. }, Leaves::Seeded { seed: same, records }) if seed == same => {
                for record in records {
                    joined.push(record.clone())?;
                }
            }
            _ => {
                return Err(PageFault::OtherSeed { first_seq: later.first_seq });
            }
        }
        *self = joined;
        Ok(())
    }

    /// Erases the record at `seq` for good: body, salt and the seed that it could be had from. Its leaf stays as a hash.
    /// Doing it twice is the same as once.
    ///
    /// # Errors
    /// [`PageFault::NotHere`] when no record of this page stands at `seq`.
    pub fn erase(&mut self, seq: Seq) -> Result<(), PageFault> {
        if !(self.first_seq..self.next_seq()).contains(&seq) {
            return Err(PageFault::NotHere { seq });
        }
        let kept = self.entries().map(|(at, entry)| match entry {
            _ if at == seq => Leaf::Erased { hash: entry.leaf_hash(at) },
            Entry::Record { salt, record } => Leaf::Kept { salt, record: record.clone() },
            Entry::Erased { hash } => Leaf::Erased { hash },
        });
        self.leaves = Leaves::Salted(kept.collect());
        Ok(())
    }

    /// The records from `seq` on, as a page; `None` when there are none.
    pub fn since(&self, seq: Seq) -> Option<Self> {
        let seq = seq.max(self.first_seq);
        let skip = usize::try_from(seq.0 - self.first_seq.0).ok()?;
        let leaves = match &self.leaves {
            Leaves::Seeded { seed, records } => {
                Leaves::Seeded { seed: seed.clone(), records: records.get(skip..)?.to_vec() }
            }
            Leaves::Salted(leaves) => Leaves::Salted(leaves.get(skip..)?.to_vec()),
        };
        Some(Self { first_seq: seq, leaves }).filter(|page| page.count() > 0)
    }

    /// The records before `seq`, as a page; `None` when there are none.
    pub fn until(&self, seq: Seq) -> Option<Self> {
        let count = usize::try_from(seq.0.saturating_sub(self.first_seq.0)).unwrap_or(usize::MAX);
        let mut until = self.clone();
        match &mut until.leaves {
            Leaves::Seeded { records, .. } => records.truncate(count),
            Leaves::Salted(leaves) => leaves.truncate(count),
        }
        Some(until).filter(|page| page.count() > 0)
    }

    /// Where the first record stands.
    pub fn first_seq(&self) -> Seq {
        self.first_seq
    }

    /// Where the record after the last one will stand.
    pub fn next_seq(&self) -> Seq {
        self.first_seq.plus(self.count())
    }

    /// Records, erased ones included.
    pub fn count(&self) -> usize {
        match &self.leaves {
            Leaves::Seeded { records, .. } => records.len(),
            Leaves::Salted(leaves) => leaves.len(),
        }
    }

    /// Whether it takes no more: at [`PAGE_RECORDS_MAX`] records, when its bodies have passed [`PAGE_BYTES_MAX`], and
    /// when one was erased, since its seed is gone.
    pub fn is_closed(&self) -> bool {
        let erased = matches!(self.leaves, Leaves::Salted(_));
        erased || self.count() >= PAGE_RECORDS_MAX || self.body_bytes() > PAGE_BYTES_MAX
    }

    /// Every leaf with its place, in order.
    pub fn entries(&self) -> impl Iterator<Item = (Seq, Entry<'_>)> {
        let (seed, seeded, salted) = self.parts();
        let seeded = seeded.iter().enumerate().filter_map(move |(index, record)| {
            let salt = seed?.derive_salt(self.first_seq.plus(index));
            Some(Entry::Record { salt, record })
        });
        let salted = salted.iter().map(|leaf| match leaf {
            Leaf::Kept { salt, record } => Entry::Record { salt: *salt, record },
            Leaf::Erased { hash } => Entry::Erased { hash: *hash },
        });
        seeded.chain(salted).enumerate().map(|(index, entry)| (self.first_seq.plus(index), entry))
    }

    /// The records that are not erased, with their places, in order.
    pub fn records(&self) -> impl Iterator<Item = (Seq, &Record)> {
        let (_, seeded, salted) = self.parts();
        let records = seeded.iter().map(Some).chain(salted.iter().map(Leaf::record));
        let placed = records.enumerate();
        placed.filter_map(|(index, record)| Some((self.first_seq.plus(index), record?)))
    }

    /// More bytes than [`pack`](super::pack) makes of it.
    pub(super) fn packed_bytes_max(&self) -> usize {
        let each = match &self.leaves {
            Leaves::Seeded { .. } => RECORD_BYTES_MAX,
            Leaves::Salted(_) => RECORD_BYTES_MAX + 33,
        };
        PACKED_BYTES + self.body_bytes() + self.count() * each
    }

    pub(super) fn leaves(&self) -> &Leaves {
        &self.leaves
    }

    fn body_bytes(&self) -> usize {
        self.records().map(|(_, record)| record.content.bytes().len()).sum()
    }

    /// Both forms side by side, one of them empty.
    fn parts(&self) -> (Option<&PageSeed>, &[Record], &[Leaf]) {
        match &self.leaves {
            Leaves::Seeded { seed, records } => (Some(seed), records, &[]),
            Leaves::Salted(leaves) => (None, &[], leaves),
        }
    }
}

/// One leaf of a page.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A record and the salt of its leaf.
    Record {
        /// Salts the leaf.
        salt: Salt,
        /// The record.
        record: &'a Record,
    },
    /// What is left of an erased record.
    Erased {
        /// The hash of its leaf.
        hash: TreeHash,
    },
}

impl Entry<'_> {
    /// The hash of the leaf, which stands at `seq`.
    pub fn leaf_hash(&self, seq: Seq) -> TreeHash {
        match self {
            Self::Record { salt, record } => record.leaf_hash(seq, salt),
            Self::Erased { hash } => *hash,
        }
    }
}

/// Why a page was not read or not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageFault {
    /// The page takes no more records.
    #[error("page closed before {next_seq}")]
    Closed {
        /// Where the next page begins.
        next_seq: Seq,
    },
    /// The other run does not follow on this one.
    #[error("expected a run from {expected}, got one from {got}")]
    NotNext {
        /// Where it should begin.
        expected: Seq,
        /// Where it does.
        got: Seq,
    },
    /// The other run is of another page, or one was erased in it.
    #[error("run from {first_seq} has another seed")]
    OtherSeed {
        /// Where the run begins.
        first_seq: Seq,
    },
    /// No record of this page stands there.
    #[error("leaf {seq} is not in this page")]
    NotHere {
        /// The place asked for.
        seq: Seq,
    },
    /// Bytes that no page of ours has: no record, more than it takes, or beyond the longest feed.
    #[error("page from {first_seq} is over its bounds")]
    OverBounds {
        /// Where it begins.
        first_seq: Seq,
    },
}

/// Packed: place and number of pages, shape and seed.
const PACKED_BYTES: usize = 10 + 10 + 2 + 32;
/// Packed: kind, way back, revision, time and length.
const RECORD_BYTES_MAX: usize = 3 + 10 + 5 + 10 + 2;
const _: () = assert!(
    PACKED_BYTES + PAGE_BYTES_MAX + BODY_BYTES_MAX + PAGE_RECORDS_MAX * (RECORD_BYTES_MAX + 33)
        <= FEED_BLOCK_BYTES_MAX
);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Leaves {
    Seeded { seed: PageSeed, records: Vec<Record> },
    Salted(Vec<Leaf>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Leaf {
    Kept { salt: Salt, record: Record },
    Erased { hash: TreeHash },
}

impl Leaf {
    fn record(&self) -> Option<&Record> {
        match self {
            Self::Kept { record, .. } => Some(record),
            Self::Erased { .. } => None,
        }
    }
}

/// A page as read, before its bounds are checked; the same bytes.
#[derive(Deserialize)]
pub(super) struct PageParts {
    pub(super) first_seq: Seq,
    pub(super) leaves: Leaves,
}

impl TryFrom<PageParts> for FeedPage {
    type Error = PageFault;

    fn try_from(PageParts { first_seq, leaves }: PageParts) -> Result<Self, PageFault> {
        let page = Self { first_seq, leaves };
        let last_bytes = page.records().last().map_or(0, |(_, last)| last.content.bytes().len());
        // Each has a record, so that a bound on records is one on pages too.
        let fits = (1..=PAGE_RECORDS_MAX).contains(&page.count())
            && page.body_bytes() - last_bytes <= PAGE_BYTES_MAX
            && page.next_seq().0 <= FEED_RECORDS_MAX;
        if fits { Ok(page) } else { Err(PageFault::OverBounds { first_seq }) }
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
