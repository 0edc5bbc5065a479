//! The store for what exists only on this device: personal document, drafts, outbox, evidence, trust, marks.
//!
//! A journal is the truth and an index answers reads. A commit is on the disk in both when it returns. Promises: whatever
//! happens to the index, it is built again from the journal; a lost or damaged journal is written again from an index that
//! is whole and at least as new. What was found and mended while opening is in [`Recovery`]. Refuses to open when neither
//! can stand in for the other; nothing is removed then.
//!
//! For small stores: opening reads everything once into memory. Removed bytes stay in the files until they are compacted.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bhyt_core::limits::{JOURNAL_COMPACT_BYTES_MIN, JOURNAL_COMPACT_FACTOR};

use crate::journal::Journal;
use crate::kv::{Batch, Kv, Pair, StoreError};
use crate::own_index::{live_bytes, snapshot};
use crate::own_recovery::{OwnPaths, Recovery, recover};
use crate::sled_kv::{SledKv, SledOptions};
use crate::store_folder::{Found, StoreKind, StoreLock, enter, finish_making};

/// A journalled store in a folder of its own. Dropping it closes it.
///
/// ```
/// use bhyt_platform::kv::{Batch, Kv};
/// use bhyt_platform::own_kv::OwnKv;
/// use bhyt_platform::sled_kv::SledOptions;
///
/// # let home = tempfile::tempdir()?;
/// # let folder = home.path().join("own");
/// let (own, recovery) = OwnKv::open(&folder, SledOptions::default())?;
/// assert!(recovery.is_quiet());
/// let mut batch = Batch::new();
/// batch.put(b"draft/1", b"a visit")?;
/// batch.put(b"outbox/1", b"an operation")?;
/// own.commit(batch)?;
/// assert_eq!(own.scan(b"outbox/", None, 10)?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OwnKv {
    folder: PathBuf,
    closed: AtomicBool,
    journal: Mutex<Compacting>,
    index: SledKv,
    /// Dropped last.
    _lock: StoreLock,
}

/// The journal, and when to compact it.
#[derive(Debug)]
struct Compacting {
    journal: Journal,
    above_bytes: u64,
}

impl OwnKv {
    /// Opens the store in `folder`, or makes it, and mends what can be mended without loss.
    pub fn open(folder: &Path, options: SledOptions) -> Result<(Self, Recovery), StoreError> {
        let (lock, found) = enter(folder, StoreKind::Own, &[JOURNAL_FILE, INDEX_FOLDER])?;
        let paths = OwnPaths { journal: folder.join(JOURNAL_FILE), index: folder.join(INDEX_FOLDER) };
        let recovered = recover(&paths, found, options)?;
        if found == Found::Made {
            finish_making(folder, StoreKind::Own)?;
        }
        let store = Self {
            folder: folder.to_owned(),
            closed: AtomicBool::new(false),
            journal: Mutex::new(Compacting {
                journal: recovered.journal,
                above_bytes: compact_above(live_bytes(&recovered.index)?),
            }),
            index: recovered.index,
            _lock: lock,
        };
        Ok((store, recovered.recovery))
    }

    /// Bytes of the journal now, for the log.
    pub fn journal_bytes(&self) -> u64 {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).journal.bytes()
    }

    /// Compacts the journal if it has grown past its bound. The commit that led here is done whatever happens.
    fn compact_if_due(&self, compacting: &mut Compacting) {
        if compacting.journal.bytes() <= compacting.above_bytes {
            return;
        }
        if let Err(error) = self.compact(compacting) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "journal not compacted; trying again later");
            compacting.above_bytes = compacting.journal.bytes().saturating_add(JOURNAL_COMPACT_BYTES_MIN);
        }
    }

    fn compact(&self, compacting: &mut Compacting) -> Result<(), StoreError> {
        compacting.above_bytes = compact_above(live_bytes(&self.index)?);
        if compacting.journal.bytes() > compacting.above_bytes {
            compacting.journal.compact(&mut snapshot(&self.index))?;
        }
        Ok(())
    }

    fn refuse_closed(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::SeqCst) { Err(self.closed_error()) } else { Ok(()) }
    }

    fn closed_error(&self) -> StoreError {
        StoreError::Closed { path: self.folder.clone() }
    }
}

impl Kv for OwnKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.refuse_closed()?;
        self.index.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Pair>, StoreError> {
        self.refuse_closed()?;
        self.index.scan(prefix, after, max)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        // A panic in an earlier commit counts as a failed one.
        let mut compacting = self.journal.lock().map_err(|_| self.closed_error())?;
        self.refuse_closed()?;
        if batch.is_empty() {
            return Ok(());
        }
        let number = compacting.journal.append(&batch);
        let done = number.and_then(|number| self.index.commit_marked(&batch, number));
        done.inspect_err(|_| self.closed.store(true, Ordering::SeqCst))?;
        self.compact_if_due(&mut compacting);
        Ok(())
    }
}

fn compact_above(live_bytes: u64) -> u64 {
    live_bytes.saturating_mul(JOURNAL_COMPACT_FACTOR).max(JOURNAL_COMPACT_BYTES_MIN)
}

pub(crate) const JOURNAL_FILE: &str = "journal";
const INDEX_FOLDER: &str = "index";
