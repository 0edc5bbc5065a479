//! The tree of members' keys in its file, `keys/members.tree`: beside the store, in no backup, and written anew when a
//! member is erased.
//!
//! Promises: when a member was erased the file says so durably, and the bytes that it had before are overwritten; a power cut
//! leaves the tree before or the tree after. Refuses: a file that others may read, one that is no tree, and to make a tree
//! where there is one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bhyt_core::ids::{MemberId, hex};
use bhyt_core::key_tree::{KEY_TREE_BYTES_MAX, KeyTree, KeyTreeFault};
use bhyt_core::seal::SealKey;
use bhyt_platform::entropy::{Entropy, make_bytes};
use bhyt_platform::files::{self, FileError};
use bhyt_platform::key_file::{KeyFileError, check_owner_only};
use bhyt_platform::shred;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::service::{EraseFault, MemberKeys, MemberKeysMark};

/// The name of the file, in a folder of keys.
pub const MEMBER_KEYS: &str = "members.tree";

/// A tree in a file, or in memory for tests.
#[derive(Debug)]
pub struct MemberKeyFile {
    path: Option<PathBuf>,
    tree: RwLock<Arc<KeyTree>>,
    /// Held while a tree is written, so that two erasures follow one another.
    writing: Mutex<()>,
}

impl MemberKeyFile {
    /// A tree that nothing keeps.
    pub fn in_memory(seed: u8) -> Self {
        Self::over(None, KeyTree::new([seed; 16], [seed; 32]))
    }

    /// Draws a new tree and keeps it in `folder`.
    ///
    /// # Errors
    /// [`MemberKeysError::Exists`], and what the disk says.
    pub fn make(folder: &Path, entropy: &dyn Entropy) -> Result<Self, MemberKeysError> {
        let path = folder.join(MEMBER_KEYS);
        shred::finish(&path)?;
        if path.exists() {
            return Err(MemberKeysError::Exists { path });
        }
        let tree = KeyTree::new(make_bytes(entropy), make_bytes(entropy));
        shred::replace(&path, &tree.encode())?;
        Ok(Self::over(Some(path), tree))
    }

    /// Opens the tree in `folder`, and ends what a power cut interrupted.
    ///
    /// # Errors
    /// [`MemberKeysError`].
    pub fn open(folder: &Path) -> Result<Self, MemberKeysError> {
        let path = folder.join(MEMBER_KEYS);
        shred::finish(&path)?;
        let tree = read(&path)?;
        Ok(Self::over(Some(path), tree))
    }

    fn over(path: Option<PathBuf>, tree: KeyTree) -> Self {
        Self { path, tree: RwLock::new(Arc::new(tree)), writing: Mutex::default() }
    }

    fn tree(&self) -> Arc<KeyTree> {
        Arc::clone(&self.tree.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl MemberKeys for MemberKeyFile {
    fn wrapping_key(&self, member: MemberId) -> Option<SealKey> {
        self.tree().wrapping_key(member)
    }

    fn is_erased(&self, member: MemberId) -> bool {
        self.tree().is_erased(member)
    }

    fn mark(&self) -> MemberKeysMark {
        mark_of(&self.tree())
    }

    fn erase(&self, member: MemberId) -> Result<(), EraseFault> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tree = KeyTree::clone(&self.tree());
        if !tree.erase(member)? {
            return Ok(());
        }
        if let Some(path) = &self.path {
            shred::replace(path, &tree.encode())?;
        }
        *self.tree.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tree);
        Ok(())
    }
}

/// Which tree a file holds: what its JSON says.
#[derive(Clone, Debug, Serialize)]
pub struct MemberKeysReport {
    /// What tells the tree from others.
    pub tree: String,
    /// Members that were erased.
    pub erased: u64,
    /// The file.
    pub file: PathBuf,
}

/// Draws the tree of a data folder that an earlier version made.
///
/// # Errors
/// [`MemberKeysError`].
pub fn make(keys: &Path, entropy: &dyn Entropy) -> Result<MemberKeysReport, MemberKeysError> {
    let made = MemberKeyFile::make(keys, entropy)?;
    Ok(report(&made.tree(), keys.join(MEMBER_KEYS)))
}

/// Which tree stands in a file.
///
/// # Errors
/// [`MemberKeysError`].
pub fn show(file: &Path) -> Result<MemberKeysReport, MemberKeysError> {
    Ok(report(&read(file)?, file.to_owned()))
}

/// Copies the tree in the folder `keys` to `to`, and destroys the older copy that stands there.
///
/// # Errors
/// [`MemberKeysError::OtherTree`] where a copy stands that is of another tree, or knows of more that were erased.
pub fn copy(keys: &Path, to: &Path) -> Result<MemberKeysReport, MemberKeysError> {
    let tree = read(&keys.join(MEMBER_KEYS))?;
    shred::finish(to)?;
    if to.exists() {
        let there = mark_of(&read(to)?);
        let here = mark_of(&tree);
        if there.tree != here.tree || there.erased > here.erased {
            return Err(MemberKeysError::OtherTree { path: to.to_owned() });
        }
    }
    shred::replace(to, &tree.encode())?;
    Ok(report(&tree, to.to_owned()))
}

/// What these commands say to a person.
pub fn describe(report: &MemberKeysReport) -> String {
    let MemberKeysReport { tree, erased, file } = report;
    format!("tree: {tree}\nerased: {erased}\nfile: {}\n", file.display())
}

fn report(tree: &KeyTree, file: PathBuf) -> MemberKeysReport {
    let MemberKeysMark { tree, erased } = mark_of(tree);
    MemberKeysReport { tree: hex(&tree), erased, file }
}

fn mark_of(tree: &KeyTree) -> MemberKeysMark {
    let erased = u64::try_from(tree.erased()).unwrap_or(u64::MAX);
    MemberKeysMark { tree: tree.id(), erased }
}

fn read(path: &Path) -> Result<KeyTree, MemberKeysError> {
    check_owner_only(path)?;
    let bytes = Zeroizing::new(files::read_bounded(path, KEY_TREE_BYTES_MAX)?);
    KeyTree::decode(&bytes).map_err(|source| MemberKeysError::Tree { path: path.to_owned(), source })
}

/// Why the members' keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MemberKeysError {
    /// The file cannot be read or written.
    #[error("members' keys")]
    File(#[from] FileError),
    /// The file cannot be used as one of keys.
    #[error("members' keys")]
    KeyFile(#[from] KeyFileError),
    /// The file holds no tree.
    #[error("{}", .path.display())]
    Tree {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyTreeFault,
    },
    /// There is a tree already.
    #[error("{} is there already; without it nobody's data could be read", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// What stands where the copy goes is not an older copy.
    #[error("{} is no older copy of this tree", .path.display())]
    OtherTree {
        /// The file.
        path: PathBuf,
    },
}

impl Failure for MemberKeysError {
    fn exit(&self) -> Exit {
        match self {
            Self::File(_) | Self::KeyFile(KeyFileError::File(_)) => Exit::Io,
            Self::Exists { .. } | Self::OtherTree { .. } | Self::KeyFile(_) => Exit::Refused,
            Self::Tree { .. } => Exit::Data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_platform::entropy::SeededEntropy;

    #[test]
    fn what_is_erased_stays_erased_and_copies_never_go_back() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = SeededEntropy::danger_from_seed(1);
        let safe = folder.path().join("safe");
        let keys = MemberKeyFile::make(folder.path(), &entropy).unwrap();
        let again = MemberKeyFile::make(folder.path(), &entropy).unwrap_err();
        assert!(matches!(again, MemberKeysError::Exists { .. }), "{again}");
        assert_eq!(copy(folder.path(), &safe).unwrap().erased, 0);
        let (gone, stays) = (MemberId([1; 16]), MemberId([2; 16]));
        let key = |keys: &MemberKeyFile, member| keys.wrapping_key(member).map(|key| key.blind(b""));
        let before = key(&keys, stays);
        keys.erase(gone).unwrap();
        keys.erase(gone).unwrap();
        let read = MemberKeyFile::open(folder.path()).unwrap();
        assert!(read.is_erased(gone) && key(&read, gone).is_none());
        assert_eq!((key(&read, stays), read.mark().erased), (before, 1));
        // The older copy goes, and does not come back over the newer one.
        let older = std::fs::read(&safe).unwrap();
        assert_eq!(copy(folder.path(), &safe).unwrap().erased, 1);
        shred::replace(&folder.path().join(MEMBER_KEYS), &older).unwrap();
        let error = copy(folder.path(), &safe).unwrap_err();
        assert!(matches!(error, MemberKeysError::OtherTree { .. }), "{error}");
        assert_eq!(show(&safe).unwrap().erased, 1);
    }
}
