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
use bhyt_core::sync::messages::SnapshotPiece;
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
    part: Mutex<Option<(StatusVersion, u64)>>,
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

    /// Keeps a piece of a snapshot behind those before it; one that starts at 0 begins anew. An economy: nothing is synced,
    /// and what a power cut spoils does not verify later and is fetched again.
    pub(crate) fn keep_part(&self, piece: &SnapshotPiece) -> Result<(), SdkError> {
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        // Noted anew when it is written: what a full disk has left of a piece is no part.
        let here = part.take();
        let mut options = OpenOptions::new();
        let opened = match piece.offset {
            0 => options.write(true).create(true).truncate(true),
            offset if here == Some((piece.version, offset)) => options.append(true),
            _ => return self.remove(PART),
        };
        let append = |mut file: fs::File| {
            if piece.offset == 0 {
                file.write_all(&encode_part_head(piece))?;
            }
            file.write_all(&piece.bytes)
        };
        opened.open(self.path(PART)).and_then(append).map_err(SdkError::system)?;
        *part = Some((piece.version, piece.offset + piece.bytes.len() as u64));
        Ok(())
    }

    /// The part of a snapshot that is here.
    pub(crate) fn read_part(&self) -> Option<PartialSnapshot> {
        let bytes = read_bounded(&self.path(PART), PART_HEAD_BYTES + STATUS_BYTES_MAX).ok()?;
        let partial = decode_part(&bytes)?;
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        *part = Some((partial.version, partial.bytes.len() as u64));
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

/// The whole file of a part that came in one piece.
pub(crate) fn encode_part(piece: &SnapshotPiece) -> Vec<u8> {
    [encode_part_head(piece), piece.bytes.clone()].concat()
}

/// `BHYTPART`, epoch u32, number u64, total u64, all little-endian; the bytes follow.
fn encode_part_head(piece: &SnapshotPiece) -> Vec<u8> {
    [
        PART_WORD.as_slice(),
        &piece.version.epoch.to_le_bytes(),
        &piece.version.number.to_le_bytes(),
        &piece.total.to_le_bytes(),
    ]
    .concat()
}

pub(crate) fn decode_part(bytes: &[u8]) -> Option<PartialSnapshot> {
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

    const VERSION: StatusVersion = StatusVersion { epoch: 1, number: 7 };

    fn byte(at: usize) -> u8 {
        at as u8
    }

    fn piece(from: usize, to: usize) -> SnapshotPiece {
        let bytes = (from..to).map(byte).collect();
        SnapshotPiece { version: VERSION, offset: from as u64, total: 1_000, bytes }
    }

    fn partial(length: usize) -> PartialSnapshot {
        PartialSnapshot { version: VERSION, total: 1_000, bytes: (0..length).map(byte).collect() }
    }

    #[test]
    fn a_part_grows_survives_a_restart_and_gives_way_to_another() {
        let folder = tempfile::tempdir().unwrap();
        let files = StatusFiles::open(folder.path()).unwrap();
        assert_eq!(files.read_part(), None);
        for (from, to) in [(0, 100), (100, 250), (250, 999)] {
            files.keep_part(&piece(from, to)).unwrap();
            let reopened = StatusFiles::open(folder.path()).unwrap();
            assert_eq!(reopened.read_part(), Some(partial(to)));
            assert_eq!(files.read_part(), Some(partial(to)));
        }
        let other = SnapshotPiece { version: StatusVersion { epoch: 1, number: 8 }, ..piece(0, 10) };
        files.keep_part(&other).unwrap();
        let expected = PartialSnapshot { version: other.version, ..partial(10) };
        assert_eq!(files.read_part(), Some(expected));
        files.drop_part().unwrap();
        assert_eq!(files.read_part(), None);
    }

    /// The same snapshot from its beginning, another total, and a piece that what is here does not lead up to.
    #[test]
    fn a_part_that_begins_anew_leaves_nothing_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let files = StatusFiles::open(folder.path()).unwrap();
        files.keep_part(&piece(0, 500)).unwrap();
        files.keep_part(&SnapshotPiece { total: 900, ..piece(0, 100) }).unwrap();
        assert_eq!(files.read_part(), Some(PartialSnapshot { total: 900, ..partial(100) }));
        files.keep_part(&piece(200, 300)).unwrap();
        assert_eq!(files.read_part(), None);
        // Nor is one continued that this program has not looked at.
        files.keep_part(&piece(0, 100)).unwrap();
        let reopened = StatusFiles::open(folder.path()).unwrap();
        reopened.keep_part(&piece(100, 200)).unwrap();
        assert_eq!(reopened.read_part(), None);
    }

    #[test]
    fn a_spoilt_part_is_no_part() {
        let head = encode_part_head(&piece(0, 1));
        for bytes in [vec![], head.clone(), [&head[..], &[0; 1_000]].concat(), vec![7; 100]] {
            assert_eq!(decode_part(&bytes), None);
        }
        // Cut at every byte of its head; and announced as more than a snapshot may be.
        let whole = [&head[..], &[1, 2, 3]].concat();
        (0..=head.len()).for_each(|cut| assert_eq!(decode_part(&whole[..cut]), None, "cut at {cut}"));
        assert!(decode_part(&whole).is_some());
        for total in [0, 3, STATUS_BYTES_MAX as u64 + 1, u64::MAX] {
            let head = encode_part_head(&SnapshotPiece { total, ..piece(0, 1) });
            assert_eq!(decode_part(&[&head[..], &[1, 2, 3]].concat()), None, "{total}");
        }
    }
}
