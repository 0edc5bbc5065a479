//! The status list of a terminal, a file, because it is too large for a store value; and the part of a snapshot that a
//! broken line left behind.
//!
//! Promises: a new list waits as `status.new` on the disk while its marks are made durable, and is renamed after that, so
//! that a terminal that dies in between has the list that its marks speak of. Files are verified when they are read: not
//! even the terminal's own disk has to be trusted.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bhyt_core::held_status::{FILE_BYTES_MAX, HeldStatus};
use bhyt_core::limits::STATUS_BYTES_MAX;
use bhyt_core::marks::Marks;
use bhyt_core::status::StatusVersion;
use bhyt_core::sync::terminal::PartialSnapshot;
use bhyt_core::trust::TrustBundle;
use bhyt_platform::files::{
    FileAccess, create_private_folder, read_bounded, remove_leftovers, sync_folder, write_atomic,
};

use crate::error::SdkError;

/// The folder of a terminal's status files.
#[derive(Debug)]
pub(crate) struct StatusFiles {
    folder: PathBuf,
    /// Which snapshot the part file holds, and how much of it.
    part: Mutex<Option<(StatusVersion, usize)>>,
}

impl StatusFiles {
    pub(crate) fn open(folder: &Path) -> Result<Self, SdkError> {
        create_private_folder(folder)?;
        remove_leftovers(folder)?;
        Ok(Self { folder: folder.to_owned(), part: Mutex::new(None) })
    }

    /// The list in force, or none: a new one that its marks speak of, else the old one. What does not verify, and what
    /// is older than the marks, is no list; the next sync brings one.
    pub(crate) fn load(&self, trust: &TrustBundle, marks: &Marks) -> Result<Option<HeldStatus>, SdkError> {
        let is_marked = |list: &HeldStatus| marks.status(list.key_id()) == Some(list.mark());
        let waiting = self.read(NEW, trust, marks)?.filter(is_marked);
        if waiting.is_some() {
            self.publish()?;
            return Ok(waiting);
        }
        self.remove(NEW)?;
        self.read(LIST, trust, marks)
    }

    /// Writes a new list beside the one in force. Durable when this returns.
    pub(crate) fn stage(&self, list: &HeldStatus) -> Result<(), SdkError> {
        Ok(write_atomic(&self.path(NEW), &list.encode(), FileAccess::AllMayRead)?)
    }

    /// Puts the staged list in force; its marks are durable by now.
    pub(crate) fn publish(&self) -> Result<(), SdkError> {
        fs::rename(self.path(NEW), self.path(LIST)).map_err(SdkError::system)?;
        sync_folder(&self.folder)?;
        self.drop_part()
    }

    /// Forgets the list.
    pub(crate) fn drop_list(&self) -> Result<(), SdkError> {
        self.remove(NEW)?;
        self.remove(LIST)
    }

    /// Keeps the part of a snapshot that has come. An economy: nothing is synced, and what a power cut spoils does not
    /// verify later and is fetched again.
    pub(crate) fn keep_part(&self, partial: &PartialSnapshot) -> Result<(), SdkError> {
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        let written = part.filter(|(version, _)| *version == partial.version);
        let written = written.map_or(0, |(_, length)| length);
        let news = partial.bytes.get(written..).unwrap_or_default();
        let mut options = OpenOptions::new();
        let opened = match written {
            0 => options.write(true).create(true).truncate(true),
            _ => options.append(true),
        };
        let append = |mut file: fs::File| {
            if written == 0 {
                file.write_all(&encode_part_head(partial))?;
            }
            file.write_all(news)
        };
        opened.open(self.path(PART)).and_then(append).map_err(SdkError::system)?;
        *part = Some((partial.version, partial.bytes.len()));
        Ok(())
    }

    /// The part of a snapshot that is here.
    pub(crate) fn read_part(&self) -> Option<PartialSnapshot> {
        let bytes = read_bounded(&self.path(PART), PART_HEAD_BYTES + STATUS_BYTES_MAX).ok()?;
        let partial = decode_part(&bytes)?;
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        *part = Some((partial.version, partial.bytes.len()));
        Some(partial)
    }

    /// Forgets the part of a snapshot.
    pub(crate) fn drop_part(&self) -> Result<(), SdkError> {
        *self.part.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.remove(PART)
    }

    fn read(&self, name: &str, trust: &TrustBundle, marks: &Marks) -> Result<Option<HeldStatus>, SdkError> {
        let bytes = match read_bounded(&self.path(name), FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match HeldStatus::decode(&bytes, trust, marks) {
            Ok((list, _)) => Ok(Some(list)),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(name, error, "status file not taken");
                Ok(None)
            }
        }
    }

    fn remove(&self, name: &str) -> Result<(), SdkError> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SdkError::system(error)),
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// `BHYTPART`, epoch u32, number u64, total u64, all little-endian; the bytes follow.
fn encode_part_head(partial: &PartialSnapshot) -> Vec<u8> {
    [
        PART_WORD.as_slice(),
        &partial.version.epoch.to_le_bytes(),
        &partial.version.number.to_le_bytes(),
        &partial.total.to_le_bytes(),
    ]
    .concat()
}

fn decode_part(bytes: &[u8]) -> Option<PartialSnapshot> {
    let (epoch, rest) = bytes.strip_prefix(PART_WORD)?.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (total, bytes) = rest.split_first_chunk()?;
    let version = StatusVersion { epoch: u32::from_le_bytes(*epoch), number: u64::from_le_bytes(*number) };
    let total = u64::from_le_bytes(*total);
    let fits = !bytes.is_empty() && (bytes.len() as u64) < total && total <= STATUS_BYTES_MAX as u64;
    fits.then(|| PartialSnapshot { version, total, bytes: bytes.to_vec() })
}

const LIST: &str = "status";
const NEW: &str = "status.new";
const PART: &str = "status.part";
const PART_WORD: &[u8; 8] = b"BHYTPART";
const PART_HEAD_BYTES: usize = 8 + 4 + 8 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(length: usize) -> PartialSnapshot {
        let version = StatusVersion { epoch: 1, number: 7 };
        PartialSnapshot { version, total: 1_000, bytes: (0..length).map(|at| at as u8).collect() }
    }

    #[test]
    fn a_part_grows_survives_a_restart_and_gives_way_to_another() {
        let folder = tempfile::tempdir().unwrap();
        let files = StatusFiles::open(folder.path()).unwrap();
        assert_eq!(files.read_part(), None);
        for length in [100, 250, 999] {
            files.keep_part(&partial(length)).unwrap();
            let reopened = StatusFiles::open(folder.path()).unwrap();
            assert_eq!(reopened.read_part(), Some(partial(length)));
            assert_eq!(files.read_part(), Some(partial(length)));
        }
        let mut other = partial(10);
        other.version.number = 8;
        files.keep_part(&other).unwrap();
        assert_eq!(files.read_part(), Some(other));
        files.drop_part().unwrap();
        assert_eq!(files.read_part(), None);
    }

    #[test]
    fn a_spoilt_part_is_no_part() {
        let head = encode_part_head(&partial(1));
        for bytes in [vec![], head.clone(), [&head[..], &[0; 1_000]].concat(), vec![7; 100]] {
            assert_eq!(decode_part(&bytes), None);
        }
    }
}
