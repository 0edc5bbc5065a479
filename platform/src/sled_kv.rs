//! The embedded store on disk. The only file that knows which engine it is.
//!
//! Promises: a commit is on the disk when it returns (the engine's own flush is no fsync on Linux, so the database file
//! is synced after it); a value that comes back is one that was written under that key; a panic of the engine over damaged
//! files is an error, not the end of the process. Refuses: a second opener, a newer schema, a store of another kind, all
//! before the engine touches a file; and a store with fewer commits than it had.
//!
//! The engine says nothing about most damage: it drops the damaged part and goes on with older values, of all keys or of
//! some. [`SledKv::open`] notices the first, only [`SledKv::verify`] the second, since it has to read everything.
//!
//! The engine never syncs its `blobs/` files, so nothing may get there: the segments are large enough for leaves full of
//! the largest values.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bhyt_core::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

use crate::commit_count::CommitCount;
use crate::file_lock::await_lock;
use crate::files::{self, FileOperation};
use crate::kv::{Batch, Damage, Kv, Pair, StoreError};
use crate::store_folder::{Found, StoreKind, StoreLock, enter, finish_making, require_room};
use crate::stored::{Tally, decode_stored, encode_stored};

/// A store in a folder of its own. Dropping it closes it.
pub struct SledKv {
    folder: PathBuf,
    closed: AtomicBool,
    /// What the store adds up to. Held for writing while a batch is applied, so that a scan never sees half of one.
    tally: RwLock<Tally>,
    count: CommitCount,
    /// The engine's file, for the sync that the engine leaves out.
    file: File,
    /// `None` only while dropping.
    engine: Option<sled::Db>,
    /// Dropped last: nobody may open the store while the engine still writes.
    _lock: StoreLock,
}

/// What a host may choose about a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SledOptions {
    /// Bytes of pages held in memory, at least 1 MiB. Expect two to three times as much in use. Default 8 MiB.
    pub cache_bytes: u64,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_bytes: 8 * 1024 * 1024 }
    }
}

impl SledKv {
    /// Opens the store in `folder`, or makes it. A store of another kind or of a newer schema is left untouched.
    pub fn open(folder: &Path, kind: StoreKind, options: SledOptions) -> Result<Self, StoreError> {
        Self::open_found(folder, kind, options).map(|(store, _)| store)
    }

    /// Reads every pair and checks that it is whole, and that all of them are there and none of another age.
    ///
    /// Takes as long as reading the whole store, and commits wait meanwhile.
    pub fn verify(&self) -> Result<(), StoreError> {
        self.for_each(|_, _| {})
    }

    /// Visits every pair in ascending order and checks what [`Self::verify`] checks.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let tally = self.tally.read().unwrap_or_else(PoisonError::into_inner);
        self.guarded(|engine| {
            let mut counted = Tally::default();
            for pair in engine.scan_prefix([TAG_USER]) {
                let (key, stored) = pair.map_err(|error| self.engine_error(error))?;
                let key = key.get(1..).unwrap_or_default();
                visit(key, self.checked(key, &stored)?);
                counted.add(&stored);
            }
            if counted.same_pairs(&tally) { Ok(()) } else { Err(self.corrupt(Damage::Tally)) }
        })
    }

    /// The number that came with the newest [`Self::commit_marked`], if there was one.
    pub(crate) fn mark(&self) -> Option<u64> {
        self.tally.read().unwrap_or_else(PoisonError::into_inner).mark
    }

    /// Like [`Kv::commit`], and keeps `mark` with the batch, atomically.
    pub(crate) fn commit_marked(&self, batch: &Batch, mark: u64) -> Result<(), StoreError> {
        self.apply(std::slice::from_ref(batch), Some(mark))
    }

    /// [`Self::open`], and whether the store was there.
    pub(crate) fn open_found(
        folder: &Path,
        kind: StoreKind,
        options: SledOptions,
    ) -> Result<(Self, Found), StoreError> {
        let (lock, found) = enter(folder, kind, &[])?;
        if found == Found::Made {
            finish_making(folder, kind)?;
        }
        let database = folder.join(DATABASE_FILE);
        await_engine_lock(folder, &database)?;
        remove_unfinished_snapshots(folder)?;
        let engine = match open_engine(folder, options) {
            Err(damage @ StoreError::Corrupt { .. }) => {
                require_room(folder)?;
                return Err(damage);
            }
            opened => opened?,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&database)
            .map_err(StoreError::at(FileOperation::Open, &database))?;
        let (count, commits) = CommitCount::open(&folder.join(COUNT_FILE))?;
        // What a first commit relies on: the fresh file and its name. A store that counts commits had this done before
        // them; what recovery has written since is made durable with the next commit, which syncs the same file.
        if commits == 0 {
            file.sync_all().map_err(StoreError::at(FileOperation::Sync, &database))?;
            files::sync_folder(folder)?;
        }
        let store = Self {
            folder: folder.to_owned(),
            closed: AtomicBool::new(false),
            tally: RwLock::default(),
            count,
            file,
            engine: Some(engine),
            _lock: lock,
        };
        let tally = store.stored_tally()?;
        if tally.commits < commits {
            return Err(store.corrupt(Damage::RolledBack { lost: commits - tally.commits }));
        }
        *store.tally.write().unwrap_or_else(PoisonError::into_inner) = tally;
        Ok((store, found))
    }

    fn stored_tally(&self) -> Result<Tally, StoreError> {
        self.guarded(|engine| {
            let found = engine.get(TALLY_KEY).map_err(|error| self.engine_error(error))?;
            let Some(stored) = found else { return Ok(Tally::default()) };
            let tally = Tally::decode(self.checked(TALLY_KEY, &stored)?);
            tally.ok_or_else(|| self.corrupt(Damage::Checksum))
        })
    }

    fn apply(&self, batches: &[Batch], mark: Option<u64>) -> Result<(), StoreError> {
        let result = self.guarded(|engine| {
            let mut commits = 0;
            for batch in batches {
                commits = self.apply_visibly(engine, batch, mark)?;
            }
            engine.flush().map_err(|error| self.engine_error(error))?;
            self.file.sync_data().map_err(StoreError::at(FileOperation::Sync, &self.folder))?;
            self.count.note(commits);
            Ok(())
        });
        if result.is_err() {
            self.closed.store(true, Ordering::SeqCst);
        }
        result
    }

    /// Hands `batch` to the engine with the tally after it; the number of commits with this one.
    fn apply_visibly(&self, engine: &sled::Db, batch: &Batch, mark: Option<u64>) -> Result<u64, StoreError> {
        let mut tally = self.tally.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = *tally;
        let mut writes = sled::Batch::default();
        for (key, value) in batch.iter() {
            let tagged = tagged(key);
            let old = engine.get(&tagged).map_err(|error| self.engine_error(error))?;
            if let Some(old) = old {
                next.remove(&old);
            }
            match value.map(|value| encode_stored(key, value)) {
                Some(stored) => {
                    next.add(&stored);
                    writes.insert(tagged, stored);
                }
                None => writes.remove(tagged),
            }
        }
        next.commits += 1;
        next.mark = mark.or(next.mark);
        writes.insert(TALLY_KEY, encode_stored(TALLY_KEY, &next.encode()));
        engine.apply_batch(writes).map_err(|error| self.engine_error(error))?;
        *tally = next;
        Ok(next.commits)
    }

    /// Runs engine code; a panic in it closes the store and is an error.
    fn guarded<T>(&self, run: impl FnOnce(&sled::Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let engine = match &self.engine {
            Some(engine) if !self.closed.load(Ordering::SeqCst) => engine,
            _ => {
                return Err(StoreError::Closed { path: self.folder.clone() });
            }
        };
        catch_unwind(AssertUnwindSafe(|| run(engine))).unwrap_or_else(|_| {
            self.closed.store(true, Ordering::SeqCst);
            Err(self.corrupt(Damage::EnginePanic))
        })
    }

    fn checked<'a>(&self, key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], StoreError> {
        decode_stored(key, stored).ok_or_else(|| self.corrupt(Damage::Checksum))
    }

    fn corrupt(&self, what: Damage) -> StoreError {
        StoreError::Corrupt { path: self.folder.clone(), what }
    }

    fn engine_error(&self, error: sled::Error) -> StoreError {
        engine_error(&self.folder, error)
    }
}

impl Kv for SledKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.guarded(|engine| {
            let found = engine.get(tagged(key)).map_err(|error| self.engine_error(error))?;
            found.map(|stored| self.checked(key, &stored).map(<[u8]>::to_vec)).transpose()
        })
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Pair>, StoreError> {
        let _tally = self.tally.read().unwrap_or_else(PoisonError::into_inner);
        self.guarded(|engine| {
            use std::ops::Bound::{Excluded, Included, Unbounded};
            let start = match after {
                Some(after) if after >= prefix => Excluded(tagged(after)),
                _ => Included(tagged(prefix)),
            };
            let mut found = Vec::new();
            for pair in engine.range((start, Unbounded)).take(max) {
                let (key, stored) = pair.map_err(|error| self.engine_error(error))?;
                let Some(key) = key.strip_prefix(&[TAG_USER]) else {
                    break;
                };
                if !key.starts_with(prefix) {
                    break;
                }
                found.push((key.to_vec(), self.checked(key, &stored)?.to_vec()));
            }
            Ok(found)
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.commit_all(vec![batch])
    }

    fn commit_all(&self, mut batches: Vec<Batch>) -> Result<(), StoreError> {
        batches.retain(|batch| !batch.is_empty());
        if batches.is_empty() {
            return self.guarded(|_| Ok(()));
        }
        self.apply(&batches, None)
    }
}

impl Drop for SledKv {
    fn drop(&mut self) {
        let Some(engine) = self.engine.take() else {
            return;
        };
        // The engine unwraps the result of its last sync; a disk that fails then must not end the process.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(engine)));
    }
}

impl fmt::Debug for SledKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledKv").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Keys of the caller stand under one tag, ours under another, so that neither can hide the other.
fn tagged(key: &[u8]) -> Vec<u8> {
    let mut tagged = Vec::with_capacity(key.len() + 1);
    tagged.push(TAG_USER);
    tagged.extend_from_slice(key);
    tagged
}

fn open_engine(folder: &Path, options: SledOptions) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(folder)
        .mode(sled::Mode::LowSpace)
        .cache_capacity(options.cache_bytes.max(CACHE_BYTES_MIN))
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(None)
        .use_compression(false);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        // We always ask for the same, so that what is not supported is a damaged file.
        Ok(Err(sled::Error::Unsupported(_))) => {
            Err(StoreError::Corrupt { path: folder.to_owned(), what: Damage::Engine })
        }
        Ok(opened) => opened.map_err(|error| engine_error(folder, error)),
        Err(_) => Err(StoreError::Corrupt { path: folder.to_owned(), what: Damage::EnginePanic }),
    }
}

/// The engine closes its file a moment after it is dropped, on a thread of its own. We hold the store's lock, so nobody
/// else can be using the file, and waiting for it is bounded.
fn await_engine_lock(folder: &Path, database: &Path) -> Result<(), StoreError> {
    let file = match OpenOptions::new().read(true).write(true).open(database) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::from_io(FileOperation::Open, database, error)),
    };
    let free = await_lock(&file, ENGINE_LOCK_WAIT_MAX);
    if free.map_err(StoreError::at(FileOperation::Lock, database))? {
        Ok(())
    } else {
        Err(StoreError::InUse { path: folder.to_owned() })
    }
}

/// The engine writes a snapshot under a name of its own and renames it when it is whole, but takes one that a full disk
/// cut short for a whole one at the next opening. What it says is in the database file too, as nothing was renamed.
fn remove_unfinished_snapshots(folder: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).map_err(StoreError::at(FileOperation::List, folder))? {
        let entry = entry.map_err(StoreError::at(FileOperation::List, folder))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(is_unfinished_snapshot) {
            let path = entry.path();
            fs::remove_file(&path).map_err(StoreError::at(FileOperation::Remove, &path))?;
        }
    }
    Ok(())
}

fn is_unfinished_snapshot(name: &str) -> bool {
    name.starts_with(SNAPSHOT_START) && name.ends_with(SNAPSHOT_UNFINISHED)
}

fn engine_error(folder: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => {
            StoreError::Corrupt { path: folder.to_owned(), what: Damage::Engine }
        }
        sled::Error::Io(source) => StoreError::from_io(FileOperation::Engine, folder, source),
        other => StoreError::from_io(FileOperation::Engine, folder, other.into()),
    }
}

const DATABASE_FILE: &str = "db";
const SNAPSHOT_START: &str = "snap.";
const SNAPSHOT_UNFINISHED: &str = ".generating";
const TAG_USER: u8 = 1;
const TALLY_KEY: &[u8] = &[0, b't'];
const COUNT_FILE: &str = "commits";
const CACHE_BYTES_MIN: u64 = 1024 * 1024;
const ENGINE_LOCK_WAIT_MAX: Duration = Duration::from_secs(5);

/// Pages larger than a quarter of a segment go to `blobs/`. With the engine's default of 512 KiB, 2,048 values of 16 KiB
/// made 224 such files; with 1 MiB still 18; with 2 MiB none.
const SEGMENT_BYTES: usize = 2 * 1024 * 1024;
/// A leaf is split when it holds more than 16 pairs; a few more may be linked to it before that.
const LEAF_VALUES_MAX: usize = 28;
const _: () = assert!((KEY_BYTES_MAX + VALUE_BYTES_MAX + 64) * LEAF_VALUES_MAX < SEGMENT_BYTES / 4);
