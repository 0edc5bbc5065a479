//! The folder of a store: who may open it, what it holds, and where a damaged one goes.
//!
//! `SCHEMA` names kind and schema number in one line, and is read before anything else is touched, so that an older
//! program never writes into a newer store. `lock` lets one program in at a time. Everything in the folder is readable
//! by its owner only.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::file_lock::FileLock;
use crate::files::{
    self, FileAccess, FileError, FileOperation, folder_of, is_temporary, read_bounded, write_atomic,
};
use crate::kv::{Damage, StoreError};

/// What a store is for. One kind is never opened as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Official records of a phone or terminal: fetched again when lost.
    Cache,
    /// What only this device has: personal document, drafts, outbox, evidence, marks.
    Own,
    /// The server's store.
    Server,
}

impl StoreKind {
    fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Own => "own",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Moves a damaged store out of the way, to the free name `<folder>.corrupt-N` that is returned.
///
/// Refuses with [`StoreError::InUse`] while a program has the store open. Sets no limit to the number of folders set
/// aside; see [`remove_set_aside`].
pub fn set_aside(folder: &Path) -> Result<PathBuf, StoreError> {
    let lock = StoreLock::take(folder)?;
    let moved_to = free_name(folder)?;
    // A folder with an open file cannot be renamed on Windows; elsewhere the lock is held until the name is free.
    if cfg!(windows) {
        drop(lock);
        rename_synced(folder, &moved_to)?;
    } else {
        rename_synced(folder, &moved_to)?;
        drop(lock);
    }
    Ok(moved_to)
}

/// Removes what [`set_aside`] moved away from `folder`, but for the newest `kept`, so that a failing disk is not also a
/// full one. Returns how many were removed. Not for anything that cannot be fetched or built again.
pub fn remove_set_aside(folder: &Path, kept: usize) -> Result<usize, StoreError> {
    let mut numbers = set_aside_numbers(folder)?;
    numbers.sort_unstable();
    let surplus = numbers.len().saturating_sub(kept);
    for number in numbers.iter().take(surplus) {
        let path = set_aside_name(folder, *number);
        fs::remove_dir_all(&path).map_err(StoreError::at(FileOperation::Remove, &path))?;
    }
    Ok(surplus)
}

/// Asks the disk for the room of a small new store, beside `folder`. On a full disk the engine takes its own files for
/// damaged, so that this comes before any talk of damage.
///
/// # Errors
/// [`StoreError::Full`], when that is what ails the store; other failures say nothing about damage and are no answer.
pub(crate) fn require_room(folder: &Path) -> Result<(), StoreError> {
    let path = folder_of(folder).join(ROOM_FILE);
    let filled = fill(&path).map_err(StoreError::at(FileOperation::Write, folder));
    // What stays is a temporary file, which the next question writes over.
    let _ = fs::remove_file(&path);
    filled.or_else(|error| if matches!(error, StoreError::Full { .. }) { Err(error) } else { Ok(()) })
}

fn fill(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let block = vec![0x55; ROOM_BLOCK_BYTES];
    for _ in 0..ROOM_BLOCKS {
        file.write_all(&block)?;
    }
    file.sync_all()
}

/// Whether a store was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was made by this call.
    Made,
    /// It was there.
    Existing,
}

/// Checks kind and schema of the store in `folder` and locks it. `Made` means that there is no store yet, but for the files
/// in `unfinished`, which an interrupted creation may leave; the caller makes one and calls [`finish_making`].
///
/// A store that is refused is left exactly as it was.
pub(crate) fn enter(
    folder: &Path,
    kind: StoreKind,
    unfinished: &[&str],
) -> Result<(StoreLock, Found), StoreError> {
    examine(folder, kind, unfinished)?;
    files::create_private_folder(folder)?;
    let lock = StoreLock::take(folder)?;
    // Another program may have made the store between the first look and the lock.
    let found = examine(folder, kind, unfinished)?;
    files::remove_leftovers(folder)?;
    Ok((lock, found))
}

/// Checks kind and schema of a store that is there and locks it, and leaves everything as it is.
pub(crate) fn enter_unchanged(folder: &Path, kind: StoreKind) -> Result<StoreLock, StoreError> {
    match examine(folder, kind, &[])? {
        Found::Existing => StoreLock::take(folder),
        Found::Made => Err(StoreError::Foreign { path: folder.to_owned() }),
    }
}

/// Names kind and schema of a new store, which makes it one.
pub(crate) fn finish_making(folder: &Path, kind: StoreKind) -> Result<(), StoreError> {
    let line = format!("{SCHEMA_WORD} {SCHEMA} {kind}\n");
    write_atomic(&folder.join(SCHEMA_FILE), line.as_bytes(), FileAccess::OwnerOnly)?;
    files::sync_folder(folder_of(folder))?;
    Ok(())
}

/// Checks kind and schema without touching anything. `Made` means that there is no store yet.
pub(crate) fn examine(folder: &Path, kind: StoreKind, unfinished: &[&str]) -> Result<Found, StoreError> {
    let line = match read_bounded(&folder.join(SCHEMA_FILE), SCHEMA_FILE_BYTES_MAX) {
        Ok(line) => line,
        Err(error) if error.is_missing() => return examine_unnamed(folder, unfinished),
        Err(error) => return Err(error.into()),
    };
    let foreign = || StoreError::Foreign { path: folder.to_owned() };
    let damaged = || StoreError::Corrupt { path: folder.join(SCHEMA_FILE), what: Damage::SchemaFile };
    let text = str::from_utf8(&line).map_err(|_| damaged())?;
    let (first, rest) = text.split_once('\n').ok_or_else(damaged)?;
    let mut words = first.split(' ');
    let (word, number, named) = (words.next(), words.next().unwrap_or_default(), words.next());
    let found: u32 = number.parse().map_err(|_| damaged())?;
    // There is no schema before the first, and a number has one writing.
    if word != Some(SCHEMA_WORD) || found < SCHEMA || found.to_string() != number {
        return Err(damaged());
    }
    if found > SCHEMA {
        return Err(StoreError::NewerVersion { path: folder.to_owned(), found, known: SCHEMA });
    }
    // What a newer one says besides is not ours to judge; of ours it is one line of three words.
    if words.next().is_some() || !rest.is_empty() {
        return Err(damaged());
    }
    if named != Some(kind.name()) { Err(foreign()) } else { Ok(Found::Existing) }
}

/// The lock of a store, held until dropped; the system drops it with the process.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _lock: FileLock,
}

impl StoreLock {
    fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(LOCK_FILE);
        let taken = FileLock::take(&path, LOCK_WAIT_MAX);
        match taken.map_err(StoreError::at(FileOperation::Lock, &path))? {
            Some(lock) => Ok(Self { _lock: lock }),
            None => Err(StoreError::InUse { path: folder.to_owned() }),
        }
    }
}

/// A free `.corrupt-N` name beside a file or folder.
pub(crate) fn free_name(path: &Path) -> Result<PathBuf, StoreError> {
    let newest = set_aside_numbers(path)?.into_iter().max().unwrap_or(0);
    Ok(set_aside_name(path, newest.saturating_add(1)))
}

/// Renames and makes both names durable.
pub(crate) fn rename_synced(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(StoreError::at(FileOperation::Rename, to))?;
    files::sync_folder(folder_of(to))?;
    Ok(())
}

/// A folder without `SCHEMA` is a new store when it holds nothing but what an interrupted creation leaves.
fn examine_unnamed(folder: &Path, unfinished: &[&str]) -> Result<Found, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Made),
        Err(error) => return Err(StoreError::from_io(FileOperation::List, folder, error)),
    };
    for entry in entries {
        let name = entry.map_err(FileError::at(FileOperation::List, folder))?.file_name();
        let expected = name == LOCK_FILE || unfinished.iter().any(|known| name == *known);
        if !expected && !is_temporary(&name) {
            return Err(StoreError::Foreign { path: folder.to_owned() });
        }
    }
    Ok(Found::Made)
}

fn set_aside_name(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{SET_ASIDE_MARK}{number}"));
    name.into()
}

fn set_aside_numbers(path: &Path) -> Result<Vec<u32>, StoreError> {
    let parent = folder_of(path);
    let mut start = path.file_name().unwrap_or_default().to_owned();
    start.push(SET_ASIDE_MARK);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(parent).map_err(StoreError::at(FileOperation::List, parent))? {
        let name = entry.map_err(FileError::at(FileOperation::List, parent))?.file_name();
        let number = name.as_encoded_bytes().strip_prefix(start.as_encoded_bytes());
        numbers.extend(number.and_then(|digits| str::from_utf8(digits).ok()?.parse::<u32>().ok()));
    }
    Ok(numbers)
}

/// Schema of the stores this program writes.
const SCHEMA: u32 = 1;
const SCHEMA_WORD: &str = "bhyt-store";
const SCHEMA_FILE: &str = "SCHEMA";
const SCHEMA_FILE_BYTES_MAX: usize = 256;
const LOCK_FILE: &str = "lock";
const LOCK_WAIT_MAX: Duration = Duration::from_secs(1);
const SET_ASIDE_MARK: &str = ".corrupt-";
const ROOM_FILE: &str = ".room.bhyt-tmp";
const ROOM_BLOCK_BYTES: usize = 64 * 1024;
/// 4 MiB: two of the engine's segments, one that is there from the start and one to begin.
const ROOM_BLOCKS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Each cut and each changed bit of the line is refused, and the folder stays as it was: no store is opened as what it
    /// is not, and none is made over one that cannot be read.
    #[test]
    fn a_schema_file_that_was_touched_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SCHEMA_FILE);
        let line = format!("{SCHEMA_WORD} {SCHEMA} own\n").into_bytes();
        let check = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let found = examine(folder.path(), StoreKind::Own, &[]);
            assert_eq!(fs::read(&path).unwrap(), bytes);
            found
        };
        assert!(matches!(check(&line), Ok(Found::Existing)));
        for cut in 0..line.len() {
            assert!(matches!(check(&line[..cut]), Err(StoreError::Corrupt { .. })), "cut at {cut}");
        }
        for bit in 0..line.len() * 8 {
            let mut changed = line.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let error = check(&changed).unwrap_err();
            let named = match error {
                StoreError::Corrupt { .. } => true,
                // Another number, and another name of a kind.
                StoreError::NewerVersion { .. } => bit / 8 == SCHEMA_WORD.len() + 1,
                StoreError::Foreign { .. } => bit / 8 > SCHEMA_WORD.len() + 2,
                _ => false,
            };
            assert!(named, "bit {bit}: {error:?}");
        }
        for tail in ["x\n", "own\n", " \n", "\n", "\0"] {
            let error = check(&[&line[..], tail.as_bytes()].concat());
            assert!(matches!(error, Err(StoreError::Corrupt { .. })), "{tail:?}: {error:?}");
        }
        for other in
            ["bhyt-store  1 own\n", "bhyt-store +1 own\n", "bhyt-store 01 own\n", " bhyt-store 1 own\n"]
        {
            assert!(matches!(check(other.as_bytes()), Err(StoreError::Corrupt { .. })), "{other:?}");
        }
    }
}
