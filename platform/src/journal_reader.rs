//! Reading a journal from its start to its end, and judging what stands there when it is not a frame.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bhyt_core::limits::{JOURNAL_DAMAGE_BYTES_MAX, JOURNAL_FRAME_BYTES_MAX};

use crate::batch_bytes::decode_batch;
use crate::files::FileOperation;
use crate::journal_bytes::{
    FRAME_HEAD_BYTES, FrameHead, HEADER_BYTES, Header, HeaderError, SCHEMA, newest_frame,
};
use crate::kv::{Batch, Damage, StoreError};

/// Reads frames and checks their order. Changes nothing.
#[derive(Debug)]
pub(crate) struct JournalReader<'a> {
    path: &'a Path,
    input: BufReader<&'a File>,
    file_bytes: u64,
    snapshot_end: u64,
    offset: u64,
    last: u64,
    commits: u64,
}

/// What stands at the reader's place.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame, now read.
    Batch(Batch),
    /// Nothing: the end of the file.
    End,
    /// Something else, of so many bytes.
    Bad(u64),
}

impl<'a> JournalReader<'a> {
    /// Reads the header.
    pub(crate) fn start(path: &'a Path, file: &'a File) -> Result<Self, StoreError> {
        let metadata = file.metadata().map_err(StoreError::at(FileOperation::Read, path))?;
        let mut reader = Self {
            path,
            input: BufReader::new(file),
            file_bytes: metadata.len(),
            snapshot_end: 0,
            offset: HEADER_BYTES as u64,
            last: 0,
            commits: 0,
        };
        let mut bytes = [0; HEADER_BYTES];
        if reader.file_bytes >= reader.offset {
            reader.read(&mut bytes)?;
        }
        match Header::decode(&bytes) {
            Ok(header) => {
                reader.last = header.base;
                reader.snapshot_end = reader.offset.saturating_add(header.snapshot_bytes);
                Ok(reader)
            }
            Err(HeaderError::NewerSchema(found)) => {
                Err(StoreError::NewerVersion { path: path.to_owned(), found, known: SCHEMA })
            }
            Err(HeaderError::Malformed) => {
                let newest = reader.newest_behind(u64::MAX)?;
                Err(reader.corrupt(Damage::JournalHeader { newest }))
            }
        }
    }

    /// Reads one frame.
    pub(crate) fn next(&mut self) -> Result<Next, StoreError> {
        let left = self.file_bytes.saturating_sub(self.offset);
        if left == 0 {
            return Ok(Next::End);
        }
        let Some((head, payload)) = self.frame(left)? else {
            return Ok(Next::Bad(left));
        };
        let in_snapshot = self.offset < self.snapshot_end;
        let expected = if in_snapshot { self.last } else { self.last.saturating_add(1) };
        // The checksum says that these bytes were written so: what is wrong in them is not a torn write.
        let batch = decode_batch(&payload).filter(|_| head.number == expected);
        let batch = batch.ok_or_else(|| self.damaged(head.number.max(self.last)))?;
        self.last = head.number;
        self.commits += u64::from(!in_snapshot);
        self.offset += (FRAME_HEAD_BYTES + payload.len()) as u64;
        Ok(Next::Batch(batch))
    }

    /// Passes the end, or a bad frame of `left` bytes that can only be a torn last write. Anything else is damage.
    pub(crate) fn judge_end(&mut self, left: u64) -> Result<(), StoreError> {
        if self.offset < self.snapshot_end {
            let newest = self.newest_behind(self.ceiling(left))?;
            return Err(self.damaged(newest.max(self.last)));
        }
        if left == 0 {
            return Ok(());
        }
        let newest = self.newest_behind(self.ceiling(left))?;
        if newest > self.last || left > (FRAME_HEAD_BYTES + JOURNAL_FRAME_BYTES_MAX) as u64 {
            return Err(self.damaged(newest.max(self.last)));
        }
        Ok(())
    }

    /// Where the next frame starts, or would.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of the newest frame read.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Frames read behind the snapshot.
    pub(crate) fn commits(&self) -> u64 {
        self.commits
    }

    /// Head and payload of a whole frame; `None` when what stands there is not one.
    fn frame(&mut self, left: u64) -> Result<Option<(FrameHead, Vec<u8>)>, StoreError> {
        let Some(payload_left) = left.checked_sub(FRAME_HEAD_BYTES as u64) else {
            return Ok(None);
        };
        let mut head = [0; FRAME_HEAD_BYTES];
        self.read(&mut head)?;
        let head = FrameHead::decode(&head);
        let length = head.length as usize;
        if length > JOURNAL_FRAME_BYTES_MAX || u64::from(head.length) > payload_left {
            return Ok(None);
        }
        let mut payload = vec![0; length];
        self.read(&mut payload)?;
        Ok(head.fits(&payload).then_some((head, payload)))
    }

    /// The highest frame number that the rest of the file can hold: commits are numbered one by one.
    fn ceiling(&self, left: u64) -> u64 {
        self.last.saturating_add(left / FRAME_HEAD_BYTES as u64 + 1)
    }

    /// The newest whole frame from here on, up to `ceiling`; 0 when there is none, `u64::MAX` when it would take more
    /// memory than is allowed to find out.
    fn newest_behind(&mut self, ceiling: u64) -> Result<u64, StoreError> {
        let left = self.file_bytes.saturating_sub(self.offset);
        if left > JOURNAL_DAMAGE_BYTES_MAX {
            return Ok(u64::MAX);
        }
        let mut rest = Vec::new();
        self.input
            .seek(SeekFrom::Start(self.offset))
            .and_then(|_| self.input.by_ref().take(left).read_to_end(&mut rest))
            .map_err(StoreError::at(FileOperation::Read, self.path))?;
        Ok(newest_frame(&rest, self.last, ceiling).unwrap_or(0))
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.input.read_exact(bytes).map_err(StoreError::at(FileOperation::Read, self.path))
    }

    fn damaged(&self, newest: u64) -> StoreError {
        self.corrupt(Damage::JournalFrame { offset: self.offset, newest })
    }

    fn corrupt(&self, what: Damage) -> StoreError {
        StoreError::Corrupt { path: PathBuf::from(self.path), what }
    }
}
