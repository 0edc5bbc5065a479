//! A backup as a file: trust bundles, the store's writes and the end that proves the rest. Bytes: `docs/formats.md`,
//! "Backup file". The server makes it frame by frame, nobody holds it whole.
//!
//! Promises: a file that reads to its end is as it was made, and with the store key also who made it. Refuses: a file
//! that was cut, changed anywhere or has anything after its end; by name, with the place of the first harmed frame.

use std::io::{self, Read};

use bhyt_core::limits::{BACKUP_FRAME_BYTES_MAX, BATCH_KEYS_MAX};
use bhyt_core::seal::SealKey;
use bhyt_core::time::UnixSeconds;
use bhyt_platform::batch_bytes::{decode_batch, encode_batch};
use bhyt_platform::kv::{Batch, StoreError};
use sha2::{Digest, Sha256};

/// Makes the bytes of a backup, a frame at a time.
#[derive(Clone)]
pub struct BackupMaker {
    hash: Sha256,
    key: SealKey,
    began: UnixSeconds,
    bundles: u64,
    frames: u64,
    gathered: Batch,
    gathered_bytes: usize,
}

impl BackupMaker {
    /// Begins a backup, proven under the key that [`proof_key`] makes of the store's; the first bytes.
    pub fn begin(key: SealKey, now: UnixSeconds) -> (Self, Vec<u8>) {
        let start = [MAGIC.as_slice(), &SCHEMA.to_le_bytes()].concat();
        let hash = Sha256::new_with_prefix(&start);
        let (bundles, frames, gathered) = (0, 0, Batch::new());
        (Self { hash, key, began: now, bundles, frames, gathered, gathered_bytes: 0 }, start)
    }

    /// A trust bundle; they come oldest first, before any writes.
    pub fn trust(&mut self, bundle: &[u8]) -> Vec<u8> {
        self.bundles += 1;
        self.frame(TRUST, bundle)
    }

    /// Takes one write; a frame when enough have come together.
    ///
    /// # Errors
    /// [`StoreError`] for a key or value that no store holds.
    pub fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Vec<u8>>, StoreError> {
        match value {
            Some(value) => self.gathered.put(key, value)?,
            None => self.gathered.delete(key)?,
        }
        self.gathered_bytes += key.len() + value.map_or(0, <[u8]>::len) + WRITE_BYTES;
        let full = self.gathered_bytes >= GATHER_BYTES || self.gathered.len() >= BATCH_KEYS_MAX;
        Ok(if full { self.gathered() } else { None })
    }

    /// The last frames.
    pub fn end(mut self, now: UnixSeconds) -> Vec<u8> {
        let mut bytes = self.gathered().unwrap_or_default();
        let hash: [u8; 32] = self.hash.clone().finalize().into();
        let numbers = [self.began.0, now.0, self.bundles, self.frames];
        let mut payload = numbers.map(u64::to_le_bytes).concat();
        payload.extend(hash);
        payload.extend(self.key.blind(&hash));
        bytes.extend(self.frame(END, &payload));
        bytes
    }

    fn gathered(&mut self) -> Option<Vec<u8>> {
        let batch = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        if batch.is_empty() {
            return None;
        }
        let mut payload = Vec::new();
        encode_batch(&batch, &mut payload);
        self.frames += 1;
        Some(self.frame(WRITES, &payload))
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a bundle and gathered writes are bounded");
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.push(kind);
        bytes.extend(checksum(kind, payload).to_le_bytes());
        bytes.extend_from_slice(payload);
        self.hash.update(&bytes);
        bytes
    }
}

impl std::fmt::Debug for BackupMaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupMaker").field("frames", &self.frames).finish_non_exhaustive()
    }
}

/// A piece of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupPart {
    /// A trust bundle.
    Trust(Vec<u8>),
    /// Writes to the store.
    Writes(Batch),
    /// The end; everything before it is as it was made.
    End(BackupEnd),
}

/// What the end of a backup says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupEnd {
    /// When it was begun.
    pub began: UnixSeconds,
    /// When it ended: the store is the one of this moment.
    pub ended: UnixSeconds,
    hash: [u8; 32],
    proof: [u8; 32],
}

impl BackupEnd {
    /// Whether the backup was made by the holder of this store key, from a store that is sealed under it.
    pub fn is_proven_by(&self, store_key: &SealKey) -> bool {
        proof_key(store_key).blind(&self.hash) == self.proof
    }
}

/// Reads a backup part by part.
#[derive(Debug)]
pub struct BackupReader<R> {
    input: R,
    hash: Sha256,
    offset: u64,
    bundles: u64,
    frames: u64,
}

impl<R: Read> BackupReader<R> {
    /// Reads the first bytes.
    ///
    /// # Errors
    /// [`BackupFault`] when this is no backup, or a newer one.
    pub fn begin(input: R) -> Result<Self, BackupFault> {
        let mut reader = Self { input, hash: Sha256::new(), offset: 0, bundles: 0, frames: 0 };
        let mut start = [0; MAGIC.len() + 4];
        let read = reader.read(&mut start);
        let (magic, schema) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return match read {
                Err(BackupFault::Read(error)) => Err(BackupFault::Read(error)),
                _ => Err(BackupFault::NoBackup),
            };
        }
        read?;
        if schema != SCHEMA.to_le_bytes() {
            return Err(BackupFault::OtherVersion);
        }
        reader.hash.update(start);
        Ok(reader)
    }

    /// The next part; after [`BackupPart::End`] there is nothing more to ask for.
    ///
    /// # Errors
    /// [`BackupFault`]; nothing of the file is to be used then.
    pub fn read_part(&mut self) -> Result<BackupPart, BackupFault> {
        let at = self.offset;
        let harmed = BackupFault::Harmed { at };
        let mut head = [0; 9];
        self.read(&mut head)?;
        let [l0, l1, l2, l3, kind, c0, c1, c2, c3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > BACKUP_FRAME_BYTES_MAX {
            return Err(harmed);
        }
        let mut payload = vec![0; length];
        self.read(&mut payload)?;
        if checksum(kind, &payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(harmed);
        }
        let before: [u8; 32] = self.hash.clone().finalize().into();
        self.hash.update(head);
        self.hash.update(&payload);
        match kind {
            TRUST if self.frames == 0 => {
                self.bundles += 1;
                Ok(BackupPart::Trust(payload))
            }
            WRITES if self.bundles > 0 => {
                self.frames += 1;
                decode_batch(&payload).map(BackupPart::Writes).ok_or(harmed)
            }
            END => {
                let end = self.read_end(&payload, before).ok_or(harmed)?;
                self.refuse_more()?;
                Ok(BackupPart::End(end))
            }
            _ => Err(harmed),
        }
    }

    fn read_end(&self, payload: &[u8], before: [u8; 32]) -> Option<BackupEnd> {
        let (began, rest) = payload.split_first_chunk()?;
        let (ended, rest) = rest.split_first_chunk()?;
        let (bundles, rest) = rest.split_first_chunk()?;
        let (frames, rest) = rest.split_first_chunk()?;
        let (hash, proof) = rest.split_first_chunk()?;
        let counted = (u64::from_le_bytes(*bundles), u64::from_le_bytes(*frames));
        let whole = *hash == before && counted == (self.bundles, self.frames);
        whole.then_some(BackupEnd {
            began: UnixSeconds(u64::from_le_bytes(*began)),
            ended: UnixSeconds(u64::from_le_bytes(*ended)),
            hash: *hash,
            proof: proof.try_into().ok()?,
        })
    }

    fn refuse_more(&mut self) -> Result<(), BackupFault> {
        let at = self.offset;
        match self.read(&mut [0]) {
            Err(BackupFault::CutShort { .. }) => Ok(()),
            Ok(()) => Err(BackupFault::Harmed { at }),
            Err(fault) => Err(fault),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), BackupFault> {
        let at = self.offset;
        self.input.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupFault::CutShort { at },
            _ => BackupFault::Read(error),
        })?;
        self.offset += into.len() as u64;
        Ok(())
    }
}

/// Why a backup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupFault {
    /// The file does not begin as a backup does.
    #[error("this is no backup")]
    NoBackup,
    /// A program of another version made it.
    #[error("the backup is of a version that this program does not know")]
    OtherVersion,
    /// It ends before its end.
    #[error("the backup is cut short at byte {at}")]
    CutShort {
        /// Where the frame began that is not whole.
        at: u64,
    },
    /// A frame is not what was written, or stands where it must not.
    #[error("the backup is harmed at byte {at}")]
    Harmed {
        /// Where the frame begins.
        at: u64,
    },
    /// The system does not give the bytes.
    #[error("the backup cannot be read")]
    Read(#[source] io::Error),
}

/// The key that proves a backup of a store that is sealed under `store_key`.
pub fn proof_key(store_key: &SealKey) -> SealKey {
    store_key.derive(b"bhyt/backup/v1")
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&[kind]);
    sum.update(payload);
    sum.finalize()
}

const MAGIC: &[u8; 8] = b"BHYTBKUP";
const SCHEMA: u32 = 1;
const TRUST: u8 = 1;
const WRITES: u8 = 2;
const END: u8 = 3;
/// Writes are gathered up to this; the one that passes it still fits the frame.
const GATHER_BYTES: usize = 128 * 1024;
/// Kind and lengths of a write.
const WRITE_BYTES: usize = 7;
const _: () = assert!(
    GATHER_BYTES + bhyt_core::limits::VALUE_BYTES_MAX + bhyt_core::limits::KEY_BYTES_MAX + 1_024
        <= BACKUP_FRAME_BYTES_MAX
);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealKey {
        SealKey::from_bytes([byte; 32])
    }

    fn small() -> Vec<u8> {
        let (mut maker, mut bytes) = BackupMaker::begin(proof_key(&key(1)), UnixSeconds(5));
        bytes.extend(maker.trust(b"bundle"));
        for number in 0..600_u32 {
            let value = (number % 7 != 0).then_some(b"value".as_slice());
            bytes.extend(maker.write(&number.to_be_bytes(), value).unwrap().unwrap_or_default());
        }
        bytes.extend(maker.end(UnixSeconds(6)));
        bytes
    }

    fn read(bytes: &[u8]) -> Result<(usize, BackupEnd), BackupFault> {
        let mut reader = BackupReader::begin(bytes)?;
        let mut writes = 0;
        loop {
            match reader.read_part()? {
                BackupPart::Trust(bundle) => assert_eq!(bundle, b"bundle"),
                BackupPart::Writes(batch) => writes += batch.len(),
                BackupPart::End(end) => return Ok((writes, end)),
            }
        }
    }

    #[test]
    fn what_was_made_is_read_and_only_the_right_key_proves_it() {
        let (writes, end) = read(&small()).unwrap();
        assert_eq!((writes, end.began, end.ended), (600, UnixSeconds(5), UnixSeconds(6)));
        assert!(end.is_proven_by(&key(1)) && !end.is_proven_by(&key(2)));
        assert_eq!(&small()[..17], b"BHYTBKUP\x01\0\0\0\x06\0\0\0\x01");
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_refused() {
        let good = small();
        for at in 0..good.len() {
            assert!(read(&good[..at]).is_err(), "cut at {at}");
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            let taken = read(&bad);
            // The last 32 bytes prove who made it, to whoever has the key; their frame's sum is harmed all the same.
            assert!(taken.is_err(), "flipped at {at}");
        }
        assert!(matches!(read(&[&good[..], b"x"].concat()), Err(BackupFault::Harmed { .. })));
        assert!(matches!(read(b"BHYTJRNL"), Err(BackupFault::NoBackup)));
        assert!(matches!(read(b"BHYTBKUP\x02\0\0\0"), Err(BackupFault::OtherVersion)));
    }

    #[test]
    fn frames_that_were_left_out_or_moved_are_noticed() {
        let good = small();
        let mut starts = vec![12];
        while let Some(next) = good.get(starts[starts.len() - 1]..).filter(|rest| !rest.is_empty()) {
            let length = u32::from_le_bytes([next[0], next[1], next[2], next[3]]) as usize;
            starts.push(starts[starts.len() - 1] + 9 + length);
        }
        let frame = |at: usize| &good[starts[at]..starts[at + 1]];
        let frames = starts.len() - 1;
        assert_eq!(frames, 5, "a bundle, three times writes, the end");
        for order in [vec![0, 1, 2, 4], vec![0, 2, 1, 3, 4], vec![1, 2, 3, 4], vec![0, 1, 1, 2, 3, 4]] {
            let bytes =
                [&good[..12], &order.iter().map(|at| frame(*at)).collect::<Vec<_>>().concat()].concat();
            assert!(matches!(read(&bytes), Err(BackupFault::Harmed { .. })), "{order:?}");
        }
    }
}
