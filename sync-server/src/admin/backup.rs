//! `admin backup FILE`: a running server's backup, written beside its place, read over, and only then put there.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_core::time::UnixSeconds;
use bhyt_platform::files::{AtomicFile, FileAccess, FileOperation};

use super::client::AdminClient;
use super::error::AdminError;
use super::print::Output;
use crate::backup_file::{BackupEnd, BackupFault, BackupPart, BackupReader};
use crate::folder::io_at;

/// What a backup holds.
#[derive(Clone, Debug)]
pub(super) struct BackupReport {
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
    pub(super) began: UnixSeconds,
    pub(super) ended: UnixSeconds,
}

/// Takes a backup. An older file at `path` stays until the new one is whole and durable.
pub(super) async fn run(client: &AdminClient, output: &Output, path: &Path) -> Result<(), AdminError> {
    let mut file = AtomicFile::begin(path, FileAccess::OwnerOnly).map_err(AdminError::BackupFile)?;
    let mut bytes = 0;
    let take = |reply| match reply {
        AdminReply::Backup(piece) => {
            bytes += piece.len() as u64;
            file.write(&piece).map_err(AdminError::BackupFile)
        }
        _ => Err(AdminError::Unexpected),
    };
    client.stream(AdminCommand::Backup, take).await?;
    let written = file.sync().map_err(AdminError::BackupFile)?;
    let end = read_over(written)?;
    file.finish().map_err(AdminError::BackupFile)?;
    output.backup(&BackupReport { file: path.to_owned(), bytes, began: end.began, ended: end.ended })
}

fn read_over(path: &Path) -> Result<BackupEnd, AdminError> {
    let file = File::open(path).map_err(io_at(FileOperation::Open, path)).map_err(AdminError::BackupFile)?;
    let read = || -> Result<BackupEnd, BackupFault> {
        let mut reader = BackupReader::begin(BufReader::new(file))?;
        loop {
            if let BackupPart::End(end) = reader.read_part()? {
                return Ok(end);
            }
        }
    };
    read().map_err(AdminError::Backup)
}
