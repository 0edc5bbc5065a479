//! Small files, whole or not at all: read under a limit, write so that a power cut leaves the old bytes or the new ones.
//!
//! Promises: [`write_atomic`] returns after the bytes and the name are on the disk. Refuses: files longer than the limit
//! the caller names, before their bytes are held in memory. Not for files that grow (see [`crate::journal`]).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// Replaces the file at `path` by `bytes`: a temporary file in the same folder, synced, renamed, and the folder synced.
///
/// After an error the old file is still there, unless only the last step (syncing the folder) failed; then either may be
/// found after a power cut. Two writers of one path never mix their bytes; the later rename wins.
pub fn write_atomic(path: &Path, bytes: &[u8], access: FileAccess) -> Result<(), FileError> {
    let temporary = temporary_beside(path);
    let written = write_synced(&temporary, bytes, access)
        .and_then(|()| fs::rename(&temporary, path).map_err(FileError::at(FileOperation::Rename, path)));
    if let Err(error) = written {
        // The first error is the one to report; a leftover is harmless and removed at the next start.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(folder_of(path))
}

/// Puts a new file at `path`, whole or not at all, and never over another: [`FileError::is_taken`] when there is anything.
pub(crate) fn create_atomic(path: &Path, bytes: &[u8], access: FileAccess) -> Result<(), FileError> {
    let temporary = temporary_beside(path);
    let placed = write_synced(&temporary, bytes, access).and_then(|()| place(&temporary, path));
    // A second name of what is in place, or nothing of use.
    let _ = fs::remove_file(&temporary);
    placed?;
    sync_folder(folder_of(path))
}

fn place(temporary: &Path, path: &Path) -> Result<(), FileError> {
    let linked = fs::hard_link(temporary, path);
    let taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
    if linked.as_ref().is_ok() || linked.as_ref().is_err_and(taken) {
        return linked.map_err(FileError::at(FileOperation::Create, path));
    }
    // Some file systems know no links, and some phones let no app make them. Two that make one file there at one time are
    // kept apart by the lock of its folder, if by anything.
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::rename(temporary, path).map_err(FileError::at(FileOperation::Rename, path))
        }
        Err(error) => Err(FileError::at(FileOperation::Create, path)(error)),
        Ok(_) => Err(FileError::at(FileOperation::Create, path)(io::ErrorKind::AlreadyExists.into())),
    }
}

/// A file that is written piece by piece and stands at its path whole or not at all. Dropped unfinished, it leaves what
/// was there before.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
}

impl AtomicFile {
    /// Begins a file that will stand at `path`.
    pub fn begin(path: &Path, access: FileAccess) -> Result<Self, FileError> {
        let temporary = temporary_beside(path);
        let file = create(&temporary, access)?;
        Ok(Self { path: path.to_owned(), temporary, file: BufWriter::new(file) })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(FileError::at(FileOperation::Write, &self.temporary))
    }

    /// Makes the bytes durable where they are. Returns the path to read them at, to look them over before they count.
    pub fn sync(&mut self) -> Result<&Path, FileError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(FileError::at(FileOperation::Sync, &self.temporary))?;
        Ok(&self.temporary)
    }

    /// Puts the file in its place, durably.
    pub fn finish(mut self) -> Result<(), FileError> {
        self.sync()?;
        fs::rename(&self.temporary, &self.path).map_err(FileError::at(FileOperation::Rename, &self.path))?;
        sync_folder(folder_of(&self.path))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // After a rename there is nothing under this name; a leftover is harmless.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Reads a file of at most `bytes_max` bytes. A missing file is an [`FileError::is_missing`] error.
pub fn read_bounded(path: &Path, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::at(FileOperation::Open, path))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(FileError::at(FileOperation::Read, path))?;
    if bytes.len() > bytes_max {
        return Err(FileError::TooLong { path: path.to_owned(), limit: bytes_max });
    }
    Ok(bytes)
}

/// Makes the names in `folder` durable: files made, renamed or removed there.
///
/// Does nothing on systems where a folder cannot be opened (Windows); their file systems journal names themselves.
pub fn sync_folder(folder: &Path) -> Result<(), FileError> {
    if cfg!(unix) {
        File::open(folder)
            .and_then(|handle| handle.sync_all())
            .map_err(FileError::at(FileOperation::SyncFolder, folder))?;
    }
    Ok(())
}

/// Removes what interrupted calls of [`write_atomic`] left in `folder`, and says how many files that were.
///
/// Only for a folder that nobody writes to meanwhile: at the start of a program, or under the store's lock.
pub fn remove_leftovers(folder: &Path) -> Result<usize, FileError> {
    let mut removed = 0;
    for entry in fs::read_dir(folder).map_err(FileError::at(FileOperation::List, folder))? {
        let entry = entry.map_err(FileError::at(FileOperation::List, folder))?;
        if is_temporary(&entry.file_name()) {
            let path = entry.path();
            fs::remove_file(&path).map_err(FileError::at(FileOperation::Remove, &path))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Makes `folder` and its missing parents; a new one is readable by its owner only (on unix).
pub fn create_private_folder(folder: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(FileError::at(FileOperation::Create, folder))
}

/// Who may read a file that we make. Means nothing on systems without unix modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// Mode 0600: whatever concerns a person or a key.
    OwnerOnly,
    /// Mode 0644, less the umask: what is public anyway, such as status lists.
    AllMayRead,
}

impl FileAccess {
    /// Options that create files with this mode.
    pub(crate) fn options(self) -> OpenOptions {
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            let mode = match self {
                Self::OwnerOnly => 0o600,
                Self::AllMayRead => 0o644,
            };
            let mut options = OpenOptions::new();
            options.mode(mode);
            options
        }
        #[cfg(not(unix))]
        OpenOptions::new()
    }
}

/// What was being done to a file when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOperation {
    /// Opening an existing file.
    Open,
    /// Making a file or folder.
    Create,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Cutting a file to a length.
    Truncate,
    /// Making a file's bytes durable.
    Sync,
    /// Making a folder's names durable.
    SyncFolder,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Listing a folder.
    List,
    /// Taking a lock.
    Lock,
    /// Whatever the store's engine was doing.
    Engine,
}

impl fmt::Display for FileOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::SyncFolder => "sync the folder",
            Self::Rename => "rename to",
            Self::Remove => "remove",
            Self::List => "list",
            Self::Lock => "lock",
            Self::Engine => "use the store",
        })
    }
}

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file holds more than the reader accepts: not ours, or not what its name says.
    #[error("{} is longer than {limit} bytes", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Bytes accepted.
        limit: usize,
    },
    /// The system refused.
    #[error("cannot {operation} {}", .path.display())]
    Io {
        /// What was being done.
        operation: FileOperation,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl FileError {
    /// Whether the file is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether something is there that was to be made.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    }

    /// Whether there was no space, quota or allowed file size left.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }

    /// Turns a system error into ours, for `map_err`.
    pub(crate) fn at(operation: FileOperation, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }
}

/// The folder a path stands in; `.` for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether a file name is one that [`write_atomic`] uses before its rename.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(b".") && bytes.ends_with(TEMPORARY_END.as_bytes())
}

/// A name in the folder of `path` that no other write of this process uses.
pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{count}{TEMPORARY_END}", process::id()));
    folder_of(path).join(name)
}

fn write_synced(path: &Path, bytes: &[u8], access: FileAccess) -> Result<(), FileError> {
    let mut file = create(path, access)?;
    file.write_all(bytes).map_err(FileError::at(FileOperation::Write, path))?;
    file.sync_all().map_err(FileError::at(FileOperation::Sync, path))
}

fn create(path: &Path, access: FileAccess) -> Result<File, FileError> {
    let mut options = access.options();
    let opened = options.write(true).create(true).truncate(true).open(path);
    opened.map_err(FileError::at(FileOperation::Create, path))
}

const TEMPORARY_END: &str = ".bhyt-tmp";

/// The system's ways to say that the disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        write_atomic(&path, b"first", FileAccess::AllMayRead).unwrap();
        write_atomic(&path, b"second", FileAccess::OwnerOnly).unwrap();
        assert_eq!(read_bounded(&path, 6).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_written_in_pieces_is_there_when_it_is_finished_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup");
        write_atomic(&path, b"old", FileAccess::OwnerOnly).unwrap();
        let mut file = AtomicFile::begin(&path, FileAccess::OwnerOnly).unwrap();
        file.write(b"half").unwrap();
        assert_eq!(read_bounded(file.sync().unwrap(), 9).unwrap(), b"half");
        drop(file);
        assert_eq!(read_bounded(&path, 9).unwrap(), b"old");
        let mut file = AtomicFile::begin(&path, FileAccess::OwnerOnly).unwrap();
        file.write(b"first ").unwrap();
        file.write(b"last").unwrap();
        file.finish().unwrap();
        assert_eq!(read_bounded(&path, 10).unwrap(), b"first last");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        let error = write_atomic(&path, b"x", FileAccess::OwnerOnly).unwrap_err();
        assert!(matches!(error, FileError::Io { operation: FileOperation::Rename, .. }));
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn refuses_a_file_over_the_limit_and_tells_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        assert!(read_bounded(&path, 6).unwrap_err().is_missing());
        fs::write(&path, b"seven!!").unwrap();
        let error = read_bounded(&path, 6).unwrap_err();
        assert!(matches!(error, FileError::TooLong { limit: 6, .. }));
        assert_eq!(read_bounded(&path, 7).unwrap().len(), 7);
    }

    #[test]
    fn leftovers_are_removed_and_others_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        fs::write(&path, b"kept").unwrap();
        fs::write(temporary_beside(&path), b"half").unwrap();
        assert_eq!(remove_leftovers(folder.path()).unwrap(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
