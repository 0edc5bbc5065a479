//! The trust bundles of a server: `trust.cose` is the one in force, `trust/N.cose` are all of them, each accepted after
//! the one before.
//!
//! A renewal replaces `trust.cose` first and files it under its number after, so that a crash in between is mended by
//! the next look. Promises: what is in force was signed by the threshold of what was in force before. Refuses: a
//! `trust.cose` that is older than the newest in `trust/` (somebody put a backup in its place), or of other roots.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use bhyt_core::cose::Verified;
use bhyt_core::limits::TRUST_BYTES_MAX;
use bhyt_core::trust::{self, TrustBundle, TrustError};
use bhyt_platform::files::{self, FileAccess, FileError, FileOperation};

use crate::exit::{Exit, Failure};
use crate::folder::{DataFolder, io_at};

/// The chain of bundles in a data folder.
#[derive(Debug)]
pub struct TrustKeeper {
    folder: DataFolder,
    chain: RwLock<Chain>,
}

#[derive(Debug)]
struct Chain {
    before: Vec<Held>,
    in_force: Held,
}

/// A verified bundle.
type Held = Arc<Verified<TrustBundle>>;

/// What a look at `trust.cose` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reload {
    /// The bundle in force.
    Unchanged,
    /// A newer one, which is now in force.
    Newer,
}

impl TrustKeeper {
    /// Reads and verifies every bundle of the folder, and takes in a `trust.cose` that is newer than all of them.
    pub fn open(folder: &DataFolder) -> Result<Self, TrustKeeperError> {
        let mut before = read_chain(folder)?;
        let in_force =
            before.pop().ok_or_else(|| TrustKeeperError::NoHistory { path: folder.trust_history() })?;
        let chain = RwLock::new(Chain { before, in_force });
        let keeper = Self { folder: folder.clone(), chain };
        let _ = keeper.reload_if_changed()?;
        Ok(keeper)
    }

    /// Makes the first bundle of a new folder. It is the anchor: signed by its own roots.
    pub fn begin(folder: &DataFolder, bytes: &[u8]) -> Result<(), TrustKeeperError> {
        let path = folder.trust_file();
        let bundle = trust::anchor(bytes).map_err(TrustKeeperError::refused(path.clone()))?;
        files::create_private_folder(&folder.trust_history())?;
        file_away(folder, &bundle)?;
        files::write_atomic(&path, bytes, FileAccess::AllMayRead)?;
        Ok(())
    }

    /// Makes the chain of a restored folder: every bundle so far, oldest first; one that is the same as before is passed
    /// over. `trust.cose` comes last.
    pub fn begin_with(folder: &DataFolder, bundles: &[Vec<u8>]) -> Result<(), TrustKeeperError> {
        let path = folder.trust_file();
        files::create_private_folder(&folder.trust_history())?;
        let mut newest: Option<Verified<TrustBundle>> = None;
        for bytes in bundles {
            let read = match &newest {
                None => trust::anchor(bytes).map(Some),
                Some(newest) => trust::accept(newest, bytes),
            };
            if let Some(next) = read.map_err(TrustKeeperError::refused(path.clone()))? {
                file_away(folder, &next)?;
                newest = Some(next);
            }
        }
        let newest = newest.ok_or_else(|| TrustKeeperError::NoHistory { path: folder.trust_history() })?;
        files::write_atomic(&path, newest.bytes(), FileAccess::AllMayRead)?;
        Ok(())
    }

    /// Puts a new bundle in force: here at once, and in `trust.cose` for a server that is running.
    pub fn put_in_force(&self, bytes: &[u8]) -> Result<(), TrustKeeperError> {
        let path = self.folder.trust_file();
        trust::accept(&self.current(), bytes).map_err(TrustKeeperError::refused(path.clone()))?;
        files::write_atomic(&path, bytes, FileAccess::AllMayRead)?;
        let _ = self.reload_if_changed()?;
        Ok(())
    }

    /// Looks whether `trust.cose` is another than the one in force, and takes it if it follows, after those in `trust/` that
    /// lie between: several renewals may have come since the last look, and each root set vouches only for the next.
    /// After an error the one in force stays. The file is small and always read whole: times of files are no proof of
    /// anything.
    pub fn reload_if_changed(&self) -> Result<Reload, TrustKeeperError> {
        let path = self.folder.trust_file();
        let bytes = files::read_bounded(&path, TRUST_BYTES_MAX)?;
        let mut chain = self.chain.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(None) = trust::accept(&chain.in_force, &bytes) {
            return Ok(Reload::Unchanged);
        }
        let mut ahead = vec![Arc::clone(&chain.in_force)];
        read_on(&self.folder, &mut ahead)?;
        let newest = ahead.pop().unwrap_or_else(|| Arc::clone(&chain.in_force));
        let next = trust::accept(&newest, &bytes).map_err(TrustKeeperError::refused(path))?;
        let in_force = match next {
            Some(next) => {
                file_away(&self.folder, &next)?;
                ahead.push(newest);
                Arc::new(next)
            }
            None => newest,
        };
        // The first of them is the one that was in force.
        chain.before.extend(ahead);
        chain.in_force = in_force;
        Ok(Reload::Newer)
    }

    /// The bundle in force.
    pub fn current(&self) -> Arc<Verified<TrustBundle>> {
        let chain = self.chain.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&chain.in_force)
    }

    /// Every bundle so far, oldest first.
    pub fn all(&self) -> Vec<Vec<u8>> {
        let chain = self.chain.read().unwrap_or_else(PoisonError::into_inner);
        chain.before.iter().chain([&chain.in_force]).map(|bundle| bundle.bytes().to_vec()).collect()
    }

    /// What brings a holder of `version` up to date, in order: bundles that changed the root keys, and the latest. Empty
    /// when that is what it holds.
    pub fn since(&self, version: u64) -> Vec<Vec<u8>> {
        let chain = self.chain.read().unwrap_or_else(PoisonError::into_inner);
        let newest = chain.in_force.claims().version;
        let mut roots = None;
        let mut wanted = Vec::new();
        for bundle in chain.before.iter().chain([&chain.in_force]) {
            let claims = bundle.claims();
            let changed = roots.replace(&claims.roots).is_some_and(|roots| *roots != claims.roots);
            if claims.version > version && (changed || claims.version == newest) {
                wanted.push(bundle.bytes().to_vec());
            }
        }
        wanted
    }
}

/// Why a bundle of the folder is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TrustKeeperError {
    /// A file cannot be read or written.
    #[error("trust bundle: file failed")]
    File(#[from] FileError),
    /// There is no bundle in `trust/`: this is no data folder, or `init` did not come to its end.
    #[error("no trust bundle in {}", .path.display())]
    NoHistory {
        /// The folder of bundles.
        path: PathBuf,
    },
    /// A file in `trust/` holds another version than its name says.
    #[error("{} does not hold the version that its name says", .path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
    },
    /// A bundle is not what may follow the one before.
    #[error("{} does not follow the trust bundles so far", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TrustError,
    },
}

impl TrustKeeperError {
    fn refused(path: PathBuf) -> impl FnOnce(TrustError) -> Self {
        move |source| Self::Refused { path, source }
    }
}

impl Failure for TrustKeeperError {
    fn exit(&self) -> Exit {
        match self {
            Self::File(_) => Exit::Io,
            Self::NoHistory { .. } | Self::Misnamed { .. } | Self::Refused { .. } => Exit::Data,
        }
    }
}

/// Every `N.cose` of the folder, in order, each accepted after the one before. What the folder holds is trusted as far
/// as its first bundle.
fn read_chain(folder: &DataFolder) -> Result<Vec<Held>, TrustKeeperError> {
    let mut chain: Vec<Held> = Vec::new();
    read_on(folder, &mut chain)?;
    Ok(chain)
}

/// Every `N.cose` that is newer than the chain so far, in order, each accepted after the one before.
fn read_on(folder: &DataFolder, chain: &mut Vec<Held>) -> Result<(), TrustKeeperError> {
    let newest = chain.last().map(|held| held.claims().version);
    for number in numbers(folder)?.into_iter().filter(|number| Some(*number) > newest) {
        let path = history_path(folder, number);
        let bytes = files::read_bounded(&path, TRUST_BYTES_MAX)?;
        let read = match chain.last() {
            None => trust::anchor(&bytes).map(Some),
            Some(held) => trust::accept(held, &bytes),
        };
        let bundle = read.map_err(TrustKeeperError::refused(path.clone()))?;
        match bundle.filter(|bundle| bundle.claims().version == number) {
            Some(bundle) => chain.push(Arc::new(bundle)),
            None => return Err(TrustKeeperError::Misnamed { path }),
        }
    }
    Ok(())
}

fn numbers(folder: &DataFolder) -> Result<BTreeSet<u64>, TrustKeeperError> {
    let history = folder.trust_history();
    let entries = match fs::read_dir(&history) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(io_at(FileOperation::List, &history)(error).into()),
    };
    let mut numbers = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(io_at(FileOperation::List, &history))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".cose"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(numbers)
}

fn file_away(folder: &DataFolder, bundle: &Verified<TrustBundle>) -> Result<(), FileError> {
    let path = history_path(folder, bundle.claims().version);
    files::write_atomic(&path, bundle.bytes(), FileAccess::AllMayRead)
}

fn history_path(folder: &DataFolder, number: u64) -> PathBuf {
    folder.trust_history().join(format!("{number}.cose"))
}
