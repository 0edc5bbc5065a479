//! How often a store was committed to, beside the store: notices a store that comes back older than it was.
//!
//! The count is written after a commit is durable and not synced itself, so it is never ahead of what the store promised; a
//! power cut may leave an older one, and a missing or unreadable one counts as zero. The file holds the count, u64
//! little-endian, and its CRC-32.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::files::{FileAccess, FileError, FileOperation, read_bounded};
use crate::kv::StoreError;

/// The open file.
#[derive(Debug)]
pub(crate) struct CommitCount {
    state: Mutex<(File, u64)>,
}

impl CommitCount {
    /// The count in `path`, and the file for new ones.
    pub(crate) fn open(path: &Path) -> Result<(Self, u64), StoreError> {
        let found = match read_bounded(path, COUNT_BYTES) {
            Ok(bytes) => decode(&bytes),
            Err(FileError::TooLong { .. }) => None,
            Err(error) if error.is_missing() => None,
            Err(error) => return Err(error.into()),
        };
        let count = found.unwrap_or(0);
        let mut options = FileAccess::OwnerOnly.options();
        // What is no count is no beginning of one either.
        let file = options.write(true).create(true).truncate(found.is_none()).open(path);
        let file = file.map_err(StoreError::at(FileOperation::Open, path))?;
        Ok((Self { state: Mutex::new((file, count)) }, count))
    }

    /// Notes that `commits` are durable. A failure is no failure of the commit: the file is a lower bound.
    pub(crate) fn note(&self, commits: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, noted) = &mut *state;
        if commits > *noted {
            *noted = commits;
            let _ = file.rewind().and_then(|()| file.write_all(&encode(commits)));
        }
    }
}

fn encode(count: u64) -> Vec<u8> {
    let number = count.to_le_bytes();
    [number.as_slice(), &crc32fast::hash(&number).to_le_bytes()].concat()
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let (number, sum) = bytes.split_first_chunk()?;
    (sum == crc32fast::hash(number).to_le_bytes()).then_some(u64::from_le_bytes(*number))
}

const COUNT_BYTES: usize = size_of::<u64>() + size_of::<u32>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_comes_back_and_a_damaged_one_is_zero() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commits");
        let (count, found) = CommitCount::open(&path).unwrap();
        assert_eq!(found, 0);
        count.note(0x0102);
        count.note(7);
        drop(count);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[..8], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(CommitCount::open(&path).unwrap().1, 0x0102);
        let check = |damaged: &[u8]| {
            std::fs::write(&path, damaged).unwrap();
            let (count, found) = CommitCount::open(&path).unwrap();
            assert_eq!(found, 0, "{damaged:?}");
            // And it counts on from there, whatever stood there before.
            count.note(3);
            drop(count);
            assert_eq!(CommitCount::open(&path).unwrap().1, 3, "{damaged:?}");
        };
        (0..bytes.len()).for_each(|cut| check(&bytes[..cut]));
        check(&[&bytes[..], &[0]].concat());
        check(&[&bytes[..], &bytes[..]].concat());
        check(&vec![0xff; 100_000]);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            check(&changed);
        }
    }
}
