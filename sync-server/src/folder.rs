//! The data folder of a server: the names in it, and the one thing that must not be in it.
//!
//! ```text
//! server.toml        settings
//! keys/              the server's own keys, one a file; members.tree, the members' keys
//! store/             the embedded store
//! trust.cose         the trust bundle in force
//! trust/N.cose       every bundle so far, by version
//! status/current     the status version in force; the lists themselves lie in the store
//! ```
//!
//! Root keys are born outside and stay outside: [`DataFolder::find_root_key`] looks for one that strayed in.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use bhyt_platform::files::{FileError, FileOperation};

/// A data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// The data folder at `path`; nothing is read or made.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `server.toml`.
    pub fn config_file(&self) -> PathBuf {
        self.0.join("server.toml")
    }

    /// `keys/`.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// `store/`.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// `trust.cose`.
    pub fn trust_file(&self) -> PathBuf {
        self.0.join("trust.cose")
    }

    /// `trust/`.
    pub fn trust_history(&self) -> PathBuf {
        self.0.join("trust")
    }

    /// `status/`.
    pub fn status(&self) -> PathBuf {
        self.0.join("status")
    }

    /// `status/current`.
    pub fn current_status_file(&self) -> PathBuf {
        self.status().join("current")
    }

    /// A file inside the folder that is a root key, by whatever name. Looks at every small file, [`DEPTH_MAX`] folders
    /// deep, and follows links, since what can be read through the folder is as good as in it.
    pub fn find_root_key(&self) -> Result<Option<PathBuf>, FileError> {
        find_root_key(&self.0, DEPTH_MAX)
    }
}

/// Folders inside folders that are searched for root keys: ours are one deep.
pub const DEPTH_MAX: usize = 4;

fn find_root_key(folder: &Path, depth_left: usize) -> Result<Option<PathBuf>, FileError> {
    let entries = fs::read_dir(folder).map_err(io_at(FileOperation::List, folder))?;
    for entry in entries {
        let path = entry.map_err(io_at(FileOperation::List, folder))?.path();
        // A file that goes away meanwhile, or a link to nothing, holds no key.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        if metadata.is_dir() && depth_left > 0 {
            if let Some(found) = find_root_key(&path, depth_left - 1)? {
                return Ok(Some(found));
            }
        } else if metadata.is_file() && is_root_key(&path, metadata.len())? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn is_root_key(path: &Path, length: u64) -> Result<bool, FileError> {
    if length > KEY_FILE_BYTES_MAX {
        return Ok(false);
    }
    // Only the words before the secret are read.
    let mut start = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(WORDS_BYTES).read_to_end(&mut start))
        .map_err(io_at(FileOperation::Read, path))?;
    let mut words = start.split(|byte| *byte == b' ');
    Ok(words.next() == Some(b"bhyt-key") && words.nth(1) == Some(b"root"))
}

/// Whether there is anything in the folder `path`; nothing is in one that is not there.
pub(crate) fn is_filled(path: &Path) -> Result<bool, FileError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_at(FileOperation::List, path)(error)),
    }
}

/// Names operation and path of a system error, for `map_err`.
pub(crate) fn io_at(operation: FileOperation, path: &Path) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { operation, path, source }
}

/// Longer files are no key files.
const KEY_FILE_BYTES_MAX: u64 = 256;
/// `bhyt-key 1 root ` and nothing of the key.
const WORDS_BYTES: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_is_found_by_its_content_and_other_keys_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::new(folder.path());
        fs::create_dir_all(data.store().join("blobs")).unwrap();
        let line = |usage: &str| format!("bhyt-key 1 {usage} {}\n", "5a".repeat(32));
        fs::write(data.path().join("operator.key"), line("operator")).unwrap();
        fs::write(data.path().join("notes"), "root key: in the safe").unwrap();
        assert_eq!(data.find_root_key().unwrap(), None);
        let hidden = data.store().join("blobs/.photo.jpg");
        fs::write(&hidden, line("root")).unwrap();
        assert_eq!(data.find_root_key().unwrap(), Some(hidden));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_root_keys_is_as_good_as_the_keys_and_a_loop_ends() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::new(&folder.path().join("data"));
        let away = folder.path().join("away");
        fs::create_dir_all(data.path()).unwrap();
        fs::create_dir(&away).unwrap();
        std::os::unix::fs::symlink(data.path(), data.path().join("loop")).unwrap();
        assert_eq!(data.find_root_key().unwrap(), None);
        std::os::unix::fs::symlink(&away, data.path().join("keys")).unwrap();
        fs::write(away.join("a"), format!("bhyt-key 1 root {}\n", "5a".repeat(32))).unwrap();
        assert!(data.find_root_key().unwrap().is_some());
    }
}
