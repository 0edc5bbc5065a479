//! Secret files whose old bytes must not come back: replaced so that a power cut leaves the old file or the new one, and
//! overwritten before they are removed.
//!
//! Promises: when [`replace`] returns the new bytes are durable and the old ones overwritten and gone, also those that an
//! earlier one could not destroy; [`finish`] ends what a power cut interrupted. Refuses nothing. What it cannot promise: a
//! file system or disk that writes elsewhere than it is told (copy on write, snapshots, flash that levels its wear) keeps
//! old bytes where no program reaches them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::files::{self, FileAccess, FileError, FileOperation, folder_of};

/// Puts `bytes` in the place of the file at `path`, and destroys what stood there. Readable by the owner only.
///
/// # Errors
/// [`FileError`]; [`finish`] says which of the two files counts.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    // Old bytes that could not be destroyed the last time would lose their name here, and nobody would find them.
    finish(path)?;
    let (new, old) = (beside(path, NEW), beside(path, OLD));
    let opened = FileAccess::OwnerOnly.options().write(true).create(true).truncate(true).open(&new);
    let mut file = opened.map_err(FileError::at(FileOperation::Create, &new))?;
    file.write_all(bytes).map_err(FileError::at(FileOperation::Write, &new))?;
    file.sync_all().map_err(FileError::at(FileOperation::Sync, &new))?;
    drop(file);
    if path.exists() {
        fs::rename(path, &old).map_err(FileError::at(FileOperation::Rename, &old))?;
    }
    fs::rename(&new, path).map_err(FileError::at(FileOperation::Rename, path))?;
    files::sync_folder(folder_of(path))?;
    destroy(&old)
}

/// Ends what an interrupted [`replace`] of `path` left: the old file counts until the new one stands at its place.
///
/// # Errors
/// [`FileError`]; nothing that counts was destroyed.
pub fn finish(path: &Path) -> Result<(), FileError> {
    let (new, old) = (beside(path, NEW), beside(path, OLD));
    if !path.exists() && old.exists() {
        fs::rename(&old, path).map_err(FileError::at(FileOperation::Rename, path))?;
        files::sync_folder(folder_of(path))?;
    }
    destroy(&old)?;
    destroy(&new)
}

/// Overwrites and removes a file. One that is not there is no error.
///
/// # Errors
/// [`FileError`]; the file may be overwritten and still there.
pub fn destroy(path: &Path) -> Result<(), FileError> {
    let mut file = match File::options().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FileError::at(FileOperation::Open, path)(error)),
    };
    let length = file.metadata().map_err(FileError::at(FileOperation::Read, path))?.len();
    let zeros = [0; 4_096];
    let mut left = length;
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        let step = zeros.get(..step).unwrap_or_default();
        file.write_all(step).map_err(FileError::at(FileOperation::Write, path))?;
        left -= step.len() as u64;
    }
    file.sync_all().map_err(FileError::at(FileOperation::Sync, path))?;
    drop(file);
    fs::remove_file(path).map_err(FileError::at(FileOperation::Remove, path))?;
    files::sync_folder(folder_of(path))
}

/// A hidden name beside a file.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(end);
    folder_of(path).join(name)
}

const NEW: &str = ".new";
const OLD: &str = ".old";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn the_new_file_stands_alone_and_the_old_bytes_were_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree");
        replace(&path, b"first secret").unwrap();
        // A second name of the same bytes on the disk shows what became of them.
        let spy = folder.path().join("spy");
        fs::hard_link(&path, &spy).unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read(&spy).unwrap(), [0; 12]);
        assert_eq!(names(folder.path()), 2);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_an_earlier_replace_could_not_destroy_is_destroyed_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree");
        for (counts, left) in [(Some("second"), OLD), (Some("second"), NEW), (None, OLD)] {
            let (left, spy) = (beside(&path, left), folder.path().join("spy"));
            fs::write(&left, "first secret").unwrap();
            fs::hard_link(&left, &spy).unwrap();
            match counts {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            replace(&path, b"third").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"third");
            assert_eq!(fs::read(&spy).unwrap(), [0; 12], "{}", left.display());
            fs::remove_file(&spy).unwrap();
            assert_eq!(names(folder.path()), 1);
        }
    }

    #[test]
    fn whatever_a_power_cut_leaves_one_file_counts_and_no_other_is_left() {
        for (held, new, old, counts) in [
            (Some("a"), Some("half"), None, "a"),
            (None, Some("b"), Some("a"), "a"),
            (Some("b"), None, Some("a"), "b"),
            (Some("b"), None, None, "b"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tree");
            for (path, text) in [(path.clone(), held), (beside(&path, NEW), new), (beside(&path, OLD), old)] {
                if let Some(text) = text {
                    fs::write(path, text).unwrap();
                }
            }
            finish(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), counts);
            assert_eq!(names(folder.path()), 1);
        }
        let folder = tempfile::tempdir().unwrap();
        finish(&folder.path().join("tree")).unwrap();
        assert_eq!(names(folder.path()), 0);
    }
}
