//! `bhyt-server restore FILE`: a data folder from a backup, and the keys that were kept apart from it. `bhyt-server adopt`
//! gives a restored server the newest status list in circulation; until then it issues nothing.
//!
//! Promises: the whole backup is read and proven under `store.key` before anything is made, and `trust.cose` is written
//! last, so a folder that a restore did not finish is one that nothing runs on. Refuses: a folder that holds anything, a
//! backup of another store key, a status list that the newest trust bundle does not vouch for.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bhyt_core::cose::Verified;
use bhyt_core::held_status::{FILE_BYTES_MAX, HeldStatus, StatusFault};
use bhyt_core::limits::TRUST_BYTES_MAX;
use bhyt_core::marks::Marks;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{self, TrustBundle, TrustError};
use bhyt_platform::clock::Clock;
use bhyt_platform::entropy::Entropy;
use bhyt_platform::files::{self, FileAccess, FileError, FileOperation};
use bhyt_platform::kv::{Kv as _, StoreError};
use serde::Serialize;

use crate::backup_file::{BackupEnd, BackupFault, BackupPart, BackupReader};
use crate::config::CONFIG_TEMPLATE;
use crate::exit::{Exit, Failure};
use crate::folder::{DataFolder, io_at, is_filled};
use crate::host::{OpenError, Parts};
use crate::keys::{self, KeysError, ServerKeys};
use crate::member_keys::{self, MEMBER_KEYS, MemberKeyFile, MemberKeysError};
use crate::service::{
    Adopted, MemberKeys as _, Service, ServiceFault, check_members_mark, mark_restored, sweep_erased,
};
use crate::store::StoreFault;
use crate::store::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::trust_keeper::{TrustKeeper, TrustKeeperError};

/// What to restore.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The backup.
    pub backup: PathBuf,
    /// The data folder to make.
    pub data: PathBuf,
    /// The folder of the server's keys.
    pub keys: PathBuf,
    /// Trust bundles made after the backup, oldest first.
    pub trust: Vec<PathBuf>,
}

/// What was restored: what its JSON says.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RestoreReport {
    /// When the backup ended: the store is the one of this moment, seconds since 1970.
    pub backup_time: u64,
    /// The trust bundle in force.
    pub trust_version: u64,
    /// Keys written to the store.
    pub pairs_written: u64,
    /// Members of the backup that were erased since; they are not there any more.
    pub erased: u64,
    /// The status list that was adopted; none yet when the server waits for it.
    pub adopted: Option<AdoptReport>,
}

/// What a status list told a restored server: what its JSON says.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AdoptReport {
    /// Epoch of the list.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// When it was made, seconds since 1970.
    pub time: u64,
    /// Entries that the store did not know.
    pub unknown_entries: u64,
    /// Held cards that the list no longer names.
    pub released: u64,
    /// Whether the list is newer than the backup's own. If not, it told nothing.
    pub newer: bool,
}

/// Makes the data folder. The server waits for [`adopt`] then.
///
/// # Errors
/// [`RestoreError`]; when anything was made by then, it is nothing that starts.
pub async fn restore(asked: &Restore, now: UnixSeconds) -> Result<RestoreReport, RestoreError> {
    if is_filled(&asked.data)? {
        return Err(RestoreError::NotEmpty { path: asked.data.clone() });
    }
    let keys = ServerKeys::load(&asked.keys)?;
    // Before anything is made: without them nobody could be read.
    member_keys::show(&asked.keys.join(MEMBER_KEYS))?;
    let mut bundles = Vec::new();
    let end = read_backup(&asked.backup, |part| {
        if let BackupPart::Trust(bundle) = part {
            bundles.push(bundle);
        }
        Ok(())
    })?;
    if !end.is_proven_by(keys.store_key()) {
        return Err(RestoreError::OtherStoreKey);
    }
    for path in &asked.trust {
        bundles.push(files::read_bounded(path, TRUST_BYTES_MAX)?);
    }
    let trust = newest_of(&bundles)?;

    let folder = DataFolder::new(&asked.data);
    files::create_private_folder(folder.path())?;
    keys::copy_keys(&asked.keys, &folder.keys())?;
    member_keys::copy(&asked.keys, &folder.keys().join(MEMBER_KEYS))?;
    files::write_atomic(&folder.config_file(), CONFIG_TEMPLATE.as_bytes(), FileAccess::OwnerOnly)?;
    let pairs_written = fill_store(&folder, &asked.backup)?;
    let store = EmbeddedStore::open(&folder.store(), EmbeddedOptions::default())?;
    let members = MemberKeyFile::open(&folder.keys())?;
    check_members_mark(&store, members.mark()).await?;
    let erased = sweep_erased(&store, |member| members.is_erased(member)).await?;
    mark_restored(&store, now, end.ended).await?;
    drop(store);
    TrustKeeper::begin_with(&folder, &bundles)?;
    let (backup_time, trust_version) = (end.ended.0, trust.claims().version);
    Ok(RestoreReport { backup_time, trust_version, pairs_written, erased, adopted: None })
}

/// Gives a restored server the newest status list in circulation: the status file of a terminal. The server is stopped.
///
/// # Errors
/// [`RestoreError`]; an adoption that was cut short is done again from the start.
pub async fn adopt(
    data: &Path,
    status: &Path,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<AdoptReport, RestoreError> {
    let parts = Parts::open(&DataFolder::new(data), clock, entropy)?;
    let held = read_status(status, parts.service.trust.current().claims())?;
    let service = Service::open(parts.service).await?;
    let Adopted { unknown_entries, released, newer } = service.adopt_status(held.list()).await?;
    let (version, time) = (held.list().version(), held.list().time().0);
    let (epoch, number) = (version.epoch, version.number);
    Ok(AdoptReport { epoch, number, time, unknown_entries, released, newer })
}

/// Checks a status file against the bundle that a restore would put in force, before anything is made.
///
/// # Errors
/// [`RestoreError`] when the list is not one of this server's.
pub fn check_status(asked: &Restore, status: &Path) -> Result<(), RestoreError> {
    let mut bundles = Vec::new();
    read_backup(&asked.backup, |part| {
        if let BackupPart::Trust(bundle) = part {
            bundles.push(bundle);
        }
        Ok(())
    })?;
    for path in &asked.trust {
        bundles.push(files::read_bounded(path, TRUST_BYTES_MAX)?);
    }
    read_status(status, newest_of(&bundles)?.claims())?;
    Ok(())
}

/// What `restore` says to a person.
pub fn describe(report: &RestoreReport, data: &Path) -> String {
    let data = data.display();
    let backup = UnixSeconds(report.backup_time).display_local();
    let next = match &report.adopted {
        Some(adopted) => format!("{}\nNext:  bhyt-server serve --data {data}\n", describe_adopted(adopted)),
        None => format!(
            "\
It waits for the newest status list in circulation, and issues nothing until then.

Next:
1. Find the terminal that synced last (`bhyt-terminal status`), and copy its status/status.
2. bhyt-server adopt --data {data} --status FILE
3. bhyt-server serve --data {data}
"
        ),
    };
    format!(
        "\
The data folder {data} holds the server as it was at {backup}.

  trust bundle  version {version}; bring a newer one with --trust
  settings      the defaults; copy your server.toml over them
  erased        {erased} member(s) of the backup, erased since

{next}",
        version = report.trust_version,
        erased = report.erased,
    )
}

/// What `adopt` says to a person.
pub fn describe_adopted(report: &AdoptReport) -> String {
    let list = format!(
        "Status list {}.{} of {}",
        report.epoch,
        report.number,
        UnixSeconds(report.time).display_local()
    );
    match report.newer {
        true => format!(
            "{list}. Entries that were not known: {}. Held cards that are released: {}.\n",
            report.unknown_entries, report.released
        ),
        false => format!("{list} is not newer than the backup's own. Be sure that no newer one is about.\n"),
    }
}

/// Reads a backup to its end.
fn read_backup(
    path: &Path,
    mut take: impl FnMut(BackupPart) -> Result<(), RestoreError>,
) -> Result<BackupEnd, RestoreError> {
    let file = File::open(path).map_err(io_at(FileOperation::Open, path))?;
    let at = |source| RestoreError::Backup { path: path.to_owned(), source };
    let mut reader = BackupReader::begin(BufReader::new(file)).map_err(at)?;
    loop {
        match reader.read_part().map_err(at)? {
            BackupPart::End(end) => return Ok(end),
            part => take(part)?,
        }
    }
}

/// The newest of a chain of bundles, each of which follows the one before; one that is the same as before is passed over.
fn newest_of(bundles: &[Vec<u8>]) -> Result<Verified<TrustBundle>, RestoreError> {
    let (first, later) = bundles.split_first().ok_or(RestoreError::NoTrust)?;
    let mut newest = trust::anchor(first).map_err(RestoreError::Trust)?;
    for bundle in later {
        if let Some(next) = trust::accept(&newest, bundle).map_err(RestoreError::Trust)? {
            newest = next;
        }
    }
    Ok(newest)
}

fn fill_store(folder: &DataFolder, backup: &Path) -> Result<u64, RestoreError> {
    let store = EmbeddedStore::open_pairs(&folder.store(), EmbeddedOptions::default())?;
    let mut written = 0;
    read_backup(backup, |part| {
        if let BackupPart::Writes(batch) = part {
            written += batch.len() as u64;
            store.commit(batch)?;
        }
        Ok(())
    })?;
    Ok(written)
}

fn read_status(path: &Path, trust: &TrustBundle) -> Result<HeldStatus, RestoreError> {
    let bytes = files::read_bounded(path, FILE_BYTES_MAX)?;
    // No marks: nobody here has seen a list yet.
    let held = HeldStatus::decode(&bytes, trust, &Marks::default());
    Ok(held.map_err(|source| RestoreError::Status { path: path.to_owned(), source })?.0)
}

/// Why a server was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A file or folder cannot be read or made, or is one that must be empty.
    #[error("a file cannot be read or made")]
    File(#[from] FileError),
    /// There is something in the folder that is to be made new.
    #[error("{} is not empty; a restore needs a new folder", .path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The backup cannot be used.
    #[error("{}", .path.display())]
    Backup {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BackupFault,
    },
    /// The backup was made under another store key.
    #[error("store.key is not the key of this backup")]
    OtherStoreKey,
    /// There is no trust bundle in the backup.
    #[error("the backup holds no trust bundle")]
    NoTrust,
    /// A bundle does not follow the ones before.
    #[error("a trust bundle does not follow the ones before")]
    Trust(#[source] TrustError),
    /// The bundles cannot be kept.
    #[error("the trust bundles cannot be kept")]
    Keeper(#[from] TrustKeeperError),
    /// The keys cannot be read or kept.
    #[error("the server's keys")]
    Keys(#[from] KeysError),
    /// The members' keys cannot be read or kept.
    #[error("the members' keys")]
    MemberKeys(#[from] MemberKeysError),
    /// The store cannot be filled.
    #[error("the store cannot be filled")]
    Fill(#[source] StoreFault),
    /// The file is no status list that the trust bundle vouches for.
    #[error("{} is no status list of this server", .path.display())]
    Status {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StatusFault,
    },
    /// The restored folder does not open.
    #[error("the data folder does not open")]
    Open(#[from] OpenError),
    /// The list was not adopted.
    #[error("the status list is not adopted")]
    Service(#[from] ServiceFault),
}

impl From<StoreError> for RestoreError {
    fn from(error: StoreError) -> Self {
        Self::Fill(error.into())
    }
}

impl From<StoreFault> for RestoreError {
    fn from(fault: StoreFault) -> Self {
        Self::Fill(fault)
    }
}

impl Failure for RestoreError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotEmpty { .. } | Self::Service(ServiceFault::NotRestored) => Exit::Refused,
            Self::File(_) | Self::Backup { source: BackupFault::Read(_), .. } => Exit::Io,
            Self::Keys(error) => error.exit(),
            Self::MemberKeys(error) => error.exit(),
            Self::Keeper(error) => error.exit(),
            Self::Fill(fault) | Self::Service(ServiceFault::Store(fault)) => fault.exit(),
            Self::Open(error) => error.exit(),
            Self::Backup { .. }
            | Self::OtherStoreKey
            | Self::NoTrust
            | Self::Trust(_)
            | Self::Status { .. }
            | Self::Service(_) => Exit::Data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_how_many_were_erased_since_the_backup() {
        let adopted =
            AdoptReport { epoch: 2, number: 7, time: 0, unknown_entries: 1, released: 0, newer: true };
        let report = RestoreReport {
            backup_time: 0,
            trust_version: 3,
            pairs_written: 9,
            erased: 1,
            adopted: Some(adopted),
        };
        let expected = "\
The data folder d holds the server as it was at 01/01/1970 07:00.

  trust bundle  version 3; bring a newer one with --trust
  settings      the defaults; copy your server.toml over them
  erased        1 member(s) of the backup, erased since

Status list 2.7 of 01/01/1970 07:00. Entries that were not known: 1. Held cards that are released: 0.

Next:  bhyt-server serve --data d
";
        assert_eq!(describe(&report, Path::new("d")), expected);
    }
}
