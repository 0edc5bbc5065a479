//! What a running server leaves in small files for the commands beside it, which must not need its store open.
//!
//! One file so far: `status/current`, the status version in force. The publisher of status lists replaces it before a
//! list leaves the process; `trust renew` reads it, because a bundle names the list that was in circulation.

use bhyt_core::codec::{self, CodecError, Schema};
use bhyt_core::status::StatusVersion;
use bhyt_core::time::UnixSeconds;
use bhyt_platform::files::{self, FileAccess, FileError};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::folder::DataFolder;

/// The status version in force: in `status/current`, and in the store as the document `StatusVersion` of id `current`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentStatusV1 {
    /// Epoch of the list.
    pub epoch: u32,
    /// Number of the list inside its epoch.
    pub number: u64,
    /// When the list was made.
    pub time: UnixSeconds,
    /// Card indexes below this are spoken of.
    pub covers: u64,
    /// The list has every status change up to this number.
    pub last_change: u64,
}

impl CurrentStatusV1 {
    /// Epoch and number.
    pub fn version(&self) -> StatusVersion {
        StatusVersion { epoch: self.epoch, number: self.number }
    }
}

impl Schema for CurrentStatusV1 {
    const SCHEMA: u16 = 140;
    const BYTES_MAX: usize = 128;
}

/// Replaces `status/current`, durably.
pub fn write_current_status(folder: &DataFolder, current: &CurrentStatusV1) -> Result<(), StoredError> {
    let bytes = codec::encode(current)?;
    files::create_private_folder(&folder.status())?;
    files::write_atomic(&folder.current_status_file(), &bytes, FileAccess::AllMayRead)?;
    Ok(())
}

/// Reads `status/current`; `None` before the first list.
pub fn read_current_status(folder: &DataFolder) -> Result<Option<CurrentStatusV1>, StoredError> {
    match files::read_bounded(&folder.current_status_file(), CurrentStatusV1::BYTES_MAX) {
        Ok(bytes) => Ok(Some(codec::decode(&bytes)?)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Why `status/current` was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The file cannot be read or written.
    #[error("status version in force: file failed")]
    File(#[from] FileError),
    /// Its bytes are not what was written.
    #[error("status version in force: not readable")]
    Codec(#[from] CodecError),
}

impl Failure for StoredError {
    fn exit(&self) -> Exit {
        match self {
            Self::File(_) => Exit::Io,
            Self::Codec(_) => Exit::Data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_in_force_is_read_back_and_its_bytes_are_golden() {
        let folder = tempfile::tempdir().unwrap();
        let folder = DataFolder::new(folder.path());
        assert_eq!(read_current_status(&folder).unwrap(), None);
        let current =
            CurrentStatusV1 { epoch: 1, number: 2, time: UnixSeconds(3), covers: 4, last_change: 5 };
        write_current_status(&folder, &current).unwrap();
        assert_eq!(read_current_status(&folder).unwrap(), Some(current));
        let golden = "8c0001000000020000000000000003000000000000000400000000000000\
                      0500000000000000";
        let bytes = std::fs::read(folder.current_status_file()).unwrap();
        assert_eq!(bhyt_core::ids::hex(&bytes), golden);
        std::fs::write(folder.current_status_file(), &bytes[1..]).unwrap();
        let error = read_current_status(&folder).unwrap_err();
        assert_eq!(error.exit(), Exit::Data);
    }
}
