//! The one write primitive of every store: `commit(batch)`, atomic, and durable when it returns.
//!
//! [`Kv`] is the smallest trait that serves phone, terminal and server; [`Batch`] cannot grow past its bounds, so no
//! engine ever sees a batch that it might choke on. All engines pass one contract suite with [`crate::memory_kv::MemoryKv`] as
//! the oracle.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bhyt_core::limits::{BATCH_KEYS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

use crate::files::{FileError, FileOperation, is_full};

/// An ordered map of bytes that keeps what it acknowledged.
///
/// Calls block (a commit waits for the disk); async callers use a thread for them. Any number of threads may call at
/// once. One batch is never seen in part, by `get` or within one `scan`; another thread may see it a moment before it
/// is durable, so only the return of `commit` says that a batch will survive.
pub trait Kv: Send + Sync + fmt::Debug + 'static {
    /// The value of `key`, if there is one.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `max` pairs whose key starts with `prefix`, ascending, strictly after `after` if given.
    ///
    /// Fewer than `max` pairs mean that there are no more. `after` need not exist, nor start with `prefix`.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Pair>, StoreError>;

    /// Applies the whole batch or nothing, and returns when it is durable.
    ///
    /// After an error it is not known which of the two happened until the store is opened again; the store is closed,
    /// and every later call answers [`StoreError::Closed`].
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Applies batches one after the other, each whole or not at all, and returns when all of them are durable: one wait
    /// for the disk, where an engine can do that. After an error or a crash the first ones may be there without the rest.
    fn commit_all(&self, batches: Vec<Batch>) -> Result<(), StoreError> {
        batches.into_iter().try_for_each(|batch| self.commit(batch))
    }
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Writes that are applied together. The last write of a key wins; at most [`BATCH_KEYS_MAX`] keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Batch {
    /// A batch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`. Refuses a key over [`KEY_BYTES_MAX`], a value over [`VALUE_BYTES_MAX`] and the key that
    /// would be one too many; the batch is then as it was.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        check(Bounded::Value, VALUE_BYTES_MAX, value.len())?;
        self.write(key, Some(value))
    }

    /// Removes `key`, if it is there. Refuses what [`Self::put`] refuses.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.write(key, None)
    }

    /// Keys that this batch writes.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether this batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Keys in ascending order, each with its new value, or `None` where it is removed.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.writes.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        check(Bounded::Key, KEY_BYTES_MAX, key.len())?;
        if !self.writes.contains_key(key) {
            check(Bounded::Batch, BATCH_KEYS_MAX, self.writes.len() + 1)?;
        }
        self.writes.insert(key.to_vec(), value.map(<[u8]>::to_vec));
        Ok(())
    }
}

impl IntoIterator for Batch {
    type Item = (Vec<u8>, Option<Vec<u8>>);
    type IntoIter = std::collections::btree_map::IntoIter<Vec<u8>, Option<Vec<u8>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.writes.into_iter()
    }
}

/// Keys and values may name people, so only the number of keys is shown.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("keys", &self.writes.len()).finish_non_exhaustive()
    }
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another program, or another part of this one, has the store open.
    #[error("the store {} is in use", .path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
    /// A newer program wrote this store; nothing in it was touched. The user updates the program.
    #[error("the store {} has schema {found}, this program knows {known}", .path.display())]
    NewerVersion {
        /// The store's folder.
        path: PathBuf,
        /// Schema found.
        found: u32,
        /// Newest schema known here.
        known: u32,
    },
    /// Not a store of ours, or one of another kind; nothing in it was touched.
    #[error("{} is not the store that was asked for", .path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// Stored bytes are damaged. A cache is set aside and fetched again.
    #[error("the store {} is damaged: {what}", .path.display())]
    Corrupt {
        /// The store's folder or the damaged file.
        path: PathBuf,
        /// What is wrong.
        what: Damage,
    },
    /// No space, quota or allowed file size left.
    #[error("no space left for the store {}", .path.display())]
    Full {
        /// The store's folder or file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The system refused for another reason.
    #[error("cannot {operation} {}", .path.display())]
    Io {
        /// What was being done.
        operation: FileOperation,
        /// The store's folder or file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The caller's bytes exceed a bound; nothing was written.
    #[error("{what} of {got} exceeds {limit}")]
    TooLarge {
        /// What is too large.
        what: Bounded,
        /// The bound.
        limit: usize,
        /// What was given.
        got: usize,
    },
    /// An earlier commit failed; open the store again.
    #[error("the store {} is closed after a failed commit", .path.display())]
    Closed {
        /// The store's folder.
        path: PathBuf,
    },
}

impl StoreError {
    /// Turns a system error into ours: a full disk is told from the rest.
    pub(crate) fn from_io(operation: FileOperation, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&source) { Self::Full { path, source } } else { Self::Io { operation, path, source } }
    }

    /// [`Self::from_io`] for `map_err`.
    pub(crate) fn at(operation: FileOperation, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::from_io(operation, path, source)
    }
}

impl From<FileError> for StoreError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::TooLong { path, .. } => Self::Corrupt { path, what: Damage::FileTooLong },
            FileError::Io { operation, path, source } => Self::from_io(operation, &path, source),
        }
    }
}

/// What [`StoreError::TooLarge`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// Bytes of a key.
    Key,
    /// Bytes of a value.
    Value,
    /// Keys of a batch.
    Batch,
}

impl fmt::Display for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key length",
            Self::Value => "value length",
            Self::Batch => "number of keys in a batch",
        })
    }
}

/// What is damaged in a store. Holds no key and no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The engine cannot read its own files.
    Engine,
    /// The engine panicked over its own files.
    EnginePanic,
    /// A stored value, or its key, does not have the checksum it was written with.
    Checksum,
    /// Pairs are missing, left over or of another age.
    Tally,
    /// The store is whole, but older than it was: restored, or its newest part was lost.
    RolledBack {
        /// Commits that are gone, at least.
        lost: u64,
    },
    /// A small file is longer than it can be.
    FileTooLong,
    /// The file that names kind and schema does not.
    SchemaFile,
    /// The first bytes of a journal are not those of a journal.
    JournalHeader {
        /// The newest frame number that can still be read in the file; `u64::MAX` when not known.
        newest: u64,
    },
    /// A frame inside a journal is damaged, and not as a torn last write would be.
    JournalFrame {
        /// Where the damaged frame starts, in bytes.
        offset: u64,
        /// The newest frame number that can still be read in the file; `u64::MAX` when not known.
        newest: u64,
    },
    /// A store has lost its journal, and its index cannot stand in for it.
    JournalMissing,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => f.write_str("unreadable database"),
            Self::EnginePanic => f.write_str("database that cannot be handled"),
            Self::Checksum => f.write_str("value with a wrong checksum"),
            Self::Tally => f.write_str("pairs missing, left over or of another age"),
            Self::RolledBack { lost } => write!(f, "the newest {lost} commits are gone"),
            Self::FileTooLong => f.write_str("file longer than it can be"),
            Self::SchemaFile => f.write_str("unreadable schema file"),
            Self::JournalHeader { .. } => f.write_str("unreadable journal header"),
            Self::JournalFrame { offset, newest } => {
                write!(f, "journal frame at byte {offset} (newest readable frame {newest})")
            }
            Self::JournalMissing => f.write_str("journal missing"),
        }
    }
}

fn check(what: Bounded, limit: usize, got: usize) -> Result<(), StoreError> {
    if got > limit { Err(StoreError::TooLarge { what, limit, got }) } else { Ok(()) }
}
