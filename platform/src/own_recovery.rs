//! Opening an own store: what its journal and its index are found to be, and what is done about it.
//!
//! | journal | index | done |
//! |---|---|---|
//! | whole | the same | nothing |
//! | whole | behind by what one batch can mend | the batch is applied |
//! | whole | missing, damaged, different, or further behind | set aside and built again |
//! | whole, older than the index | whole | written again from the index |
//! | missing or damaged | whole, and as new as anything readable in the journal | set aside and written again |
//! | missing or damaged | anything else | refused; nothing is removed |

use std::iter;
use std::path::PathBuf;

use crate::journal::{Journal, Replayed};
use crate::kv::{Damage, StoreError};
use crate::own_index::{Image, bring_up, snapshot};
use crate::sled_kv::{SledKv, SledOptions};
use crate::store_folder::{Found, StoreKind, examine, free_name, remove_set_aside, rename_synced, set_aside};

/// What opening an own store found and did, for the log. Holds no key and no value.
#[derive(Debug)]
pub struct Recovery {
    /// About the journal.
    pub journal: JournalRecovery,
    /// About the index.
    pub index: IndexRecovery,
}

impl Recovery {
    /// Whether there was nothing to mend: worth no line in a log.
    pub fn is_quiet(&self) -> bool {
        matches!(self.journal, JournalRecovery::Made | JournalRecovery::Whole { .. })
            && matches!(self.index, IndexRecovery::Made | IndexRecovery::Whole)
    }
}

/// What was found of the journal.
#[derive(Debug)]
pub enum JournalRecovery {
    /// The store is new.
    Made,
    /// It was whole.
    Whole {
        /// Commits behind its snapshot.
        commits: u64,
    },
    /// Its last frame was torn and was cut off.
    Torn {
        /// Commits behind its snapshot.
        commits: u64,
        /// Bytes cut off.
        bytes: u64,
    },
    /// It was written again from the index.
    Written {
        /// The commit whose state it now starts with.
        commit: u64,
        /// Why.
        why: JournalLoss,
    },
}

/// Why a journal was written again.
#[derive(Debug)]
pub enum JournalLoss {
    /// It was gone.
    Missing,
    /// It was whole, but older than the index: restored from a backup, or its end was lost.
    Behind {
        /// Its newest commit.
        last: u64,
    },
    /// It was damaged.
    Damaged {
        /// Where the damaged one is now; it is kept.
        moved_to: PathBuf,
        /// What was found.
        why: StoreError,
    },
}

/// What was found of the index.
#[derive(Debug)]
pub enum IndexRecovery {
    /// The store is new.
    Made,
    /// It was whole.
    Whole,
    /// It lacked the newest commit, which was then applied.
    CaughtUp,
    /// It was built again from the journal.
    Rebuilt {
        /// Where the old one is now, if there was one.
        moved_to: Option<PathBuf>,
        /// Why.
        why: IndexLoss,
    },
}

/// Why an index was built again.
#[derive(Debug)]
pub enum IndexLoss {
    /// It was gone.
    Missing,
    /// It did not hold what the journal says.
    Differs,
    /// It could not be read.
    Damaged(StoreError),
}

/// Where the two halves of a store are.
#[derive(Debug)]
pub(crate) struct OwnPaths {
    pub(crate) journal: PathBuf,
    pub(crate) index: PathBuf,
}

/// The two halves of a store, holding the same.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) journal: Journal,
    pub(crate) index: SledKv,
    pub(crate) recovery: Recovery,
}

/// Opens both halves and makes them agree. The caller holds the lock of the store, whose `SCHEMA` was `found`.
pub(crate) fn recover(paths: &OwnPaths, found: Found, options: SledOptions) -> Result<Recovered, StoreError> {
    // A newer index is refused before the journal is touched; anything else about it is seen later.
    if let Err(error @ StoreError::NewerVersion { .. }) = examine(&paths.index, KIND, &[]) {
        return Err(error);
    }
    let mut image = Image::default();
    match Journal::open(&paths.journal, |batch| image.apply(batch)) {
        Ok((journal, replayed)) => from_journal(paths, journal, replayed, &image, options),
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            match make(paths, found, options)? {
                Some(made) => Ok(made),
                None => from_index(paths, None, options),
            }
        }
        Err(error) => match readable_up_to(&error) {
            Some(newest) => from_index(paths, Some((error, newest)), options),
            None => Err(error),
        },
    }
}

/// A new store, unless there are traces of an old one.
fn make(paths: &OwnPaths, found: Found, options: SledOptions) -> Result<Option<Recovered>, StoreError> {
    if found == Found::Existing || paths.index.exists() {
        return Ok(None);
    }
    let journal = Journal::create(&paths.journal, 0, &mut iter::empty())?;
    let index = SledKv::open(&paths.index, KIND, options)?;
    bring_up(&index, Vec::new(), journal.last())?;
    let recovery = Recovery { journal: JournalRecovery::Made, index: IndexRecovery::Made };
    Ok(Some(Recovered { journal, index, recovery }))
}

/// Both halves after the journal was read.
fn from_journal(
    paths: &OwnPaths,
    journal: Journal,
    replayed: Replayed,
    image: &Image,
    options: SledOptions,
) -> Result<Recovered, StoreError> {
    let last = journal.last();
    let commits = replayed.commits;
    let of_journal = match replayed.torn_bytes {
        0 => JournalRecovery::Whole { commits },
        bytes => JournalRecovery::Torn { commits, bytes },
    };
    let (index, of_index) = match open_index(paths, options)? {
        Ok((index, Some(mark))) if mark > last => {
            return write_journal(paths, index, mark, JournalLoss::Behind { last });
        }
        Ok((index, mark)) => agree(paths, index, mark, image, last, options)?,
        Err(why) => rebuild(paths, image, last, why, options)?,
    };
    let recovery = Recovery { journal: of_journal, index: of_index };
    Ok(Recovered { journal, index, recovery })
}

/// Makes an index that could be opened hold what the journal says.
fn agree(
    paths: &OwnPaths,
    index: SledKv,
    mark: Option<u64>,
    image: &Image,
    last: u64,
    options: SledOptions,
) -> Result<(SledKv, IndexRecovery), StoreError> {
    let why = match image.changes_to(&index) {
        Ok(changes) if changes.is_empty() && mark == Some(last) => {
            return Ok((index, IndexRecovery::Whole));
        }
        // One batch is atomic with its mark; more would leave a mixture behind if they were interrupted.
        Ok(changes) if changes.len() <= 1 && mark != Some(last) => {
            bring_up(&index, changes, last)?;
            return Ok((index, IndexRecovery::CaughtUp));
        }
        Ok(_) => IndexLoss::Differs,
        Err(why @ StoreError::Corrupt { .. }) => IndexLoss::Damaged(why),
        Err(error) => return Err(error),
    };
    drop(index);
    rebuild(paths, image, last, why, options)
}

/// A new index with what the journal says; the old one is moved aside.
fn rebuild(
    paths: &OwnPaths,
    image: &Image,
    last: u64,
    why: IndexLoss,
    options: SledOptions,
) -> Result<(SledKv, IndexRecovery), StoreError> {
    let there = paths.index.exists();
    let moved_to = there.then(|| set_aside(&paths.index)).transpose()?;
    remove_set_aside(&paths.index, INDEXES_KEPT)?;
    let index = SledKv::open(&paths.index, KIND, options)?;
    bring_up(&index, image.changes_to(&index)?, last)?;
    Ok((index, IndexRecovery::Rebuilt { moved_to, why }))
}

/// Both halves when the journal is gone, or damaged and readable up to some commit.
fn from_index(
    paths: &OwnPaths,
    damaged: Option<(StoreError, u64)>,
    options: SledOptions,
) -> Result<Recovered, StoreError> {
    let readable = damaged.as_ref().map_or(0, |(_, newest)| *newest);
    let usable = match open_index(paths, options)? {
        Ok((index, Some(mark))) if mark >= readable => match index.verify() {
            Ok(()) => Some((index, mark)),
            Err(StoreError::Corrupt { .. }) => None,
            Err(error) => return Err(error),
        },
        Ok(_) | Err(_) => None,
    };
    match (usable, damaged) {
        (Some((index, mark)), None) => write_journal(paths, index, mark, JournalLoss::Missing),
        (Some((index, mark)), Some((why, _))) => {
            let moved_to = free_name(&paths.journal)?;
            rename_synced(&paths.journal, &moved_to)?;
            write_journal(paths, index, mark, JournalLoss::Damaged { moved_to, why })
        }
        (None, Some((why, _))) => Err(why),
        (None, None) => {
            Err(StoreError::Corrupt { path: paths.journal.clone(), what: Damage::JournalMissing })
        }
    }
}

/// A new journal with what `index` holds. The snapshot reads, and so checks, every pair.
fn write_journal(
    paths: &OwnPaths,
    index: SledKv,
    mark: u64,
    why: JournalLoss,
) -> Result<Recovered, StoreError> {
    let journal = Journal::create(&paths.journal, mark, &mut snapshot(&index))?;
    let recovery =
        Recovery { journal: JournalRecovery::Written { commit: mark, why }, index: IndexRecovery::Whole };
    Ok(Recovered { journal, index, recovery })
}

/// The index and its mark, or why it cannot be used. Does not make one where there is none.
fn open_index(
    paths: &OwnPaths,
    options: SledOptions,
) -> Result<Result<(SledKv, Option<u64>), IndexLoss>, StoreError> {
    if !paths.index.exists() {
        return Ok(Err(IndexLoss::Missing));
    }
    match SledKv::open(&paths.index, KIND, options) {
        Ok(index) => {
            let mark = index.mark();
            Ok(Ok((index, mark)))
        }
        Err(why @ (StoreError::Corrupt { .. } | StoreError::Foreign { .. })) => {
            Ok(Err(IndexLoss::Damaged(why)))
        }
        Err(error) => Err(error),
    }
}

/// For a damaged journal, the newest commit that can be read in it; `None` for every other error.
fn readable_up_to(error: &StoreError) -> Option<u64> {
    match error {
        StoreError::Corrupt {
            what: Damage::JournalHeader { newest } | Damage::JournalFrame { newest, .. },
            ..
        } => Some(*newest),
        _ => None,
    }
}

const KIND: StoreKind = StoreKind::Own;
/// Indexes set aside that are kept: they can be built again, and hold nothing that the journal does not.
const INDEXES_KEPT: usize = 1;
