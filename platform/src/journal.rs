//! An append-only file that holds what exists nowhere else: a snapshot, and every commit since.
//!
//! ```text
//! journal = header, snapshot frames, commit frames                    all numbers little-endian
//! header  = "BHYTJRNL", schema u32, base u64, snapshot bytes u64, CRC-32 of the 28 bytes before u32
//! frame   = payload length u32, number u64, CRC-32 of number and payload u32, payload
//! ```
//!
//! A payload is one batch. Snapshot frames carry the number of the commit whose state they are (`base`) and were renamed
//! into place as a whole; commits follow with base + 1, base + 2 and so on, each on the disk before the next is written.
//!
//! So at most one frame can be torn, the last, and only behind the snapshot. A bad frame there is cut off and reported. A
//! bad frame inside the snapshot, or with a good one behind it, or with more bytes than one frame can have, is
//! [`Damage`](crate::kv::Damage), and the file stays as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::files::{FileAccess, FileOperation, folder_of, sync_folder, temporary_beside};
use crate::journal_bytes::{HEADER_BYTES, Header, encode_frame};
use crate::journal_reader::{JournalReader, Next};
use crate::kv::{Batch, StoreError};

/// A journal open for appending. One at a time for a file; the store's lock sees to that.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    last: u64,
    closed: bool,
}

/// The state of a store in batches, for [`Journal::create`] and [`Journal::compact`].
pub type Snapshot<'a> = &'a mut dyn Iterator<Item = Result<Batch, StoreError>>;

/// What reading a journal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Commits behind the snapshot.
    pub commits: u64,
    /// Bytes of a torn last frame that were cut off. Its commit was never acknowledged, if the disk keeps what it syncs.
    pub torn_bytes: u64,
}

impl Journal {
    /// Writes a new journal that starts with `snapshot`, the state after commit `base`, and replaces what is at `path`.
    ///
    /// On error the old file is untouched, unless only the sync of the folder failed.
    pub fn create(path: &Path, base: u64, snapshot: Snapshot<'_>) -> Result<Self, StoreError> {
        let (file, bytes) = put_in_place(path, base, snapshot)?;
        sync_folder(folder_of(path))?;
        Ok(Self { path: path.to_owned(), file, bytes, last: base, closed: false })
    }

    /// Hands every batch of the journal at `path` to `replay`, oldest first, and changes nothing: a torn last frame is passed
    /// over.
    ///
    /// After an error `replay` may have been given a part, which is then to be dropped.
    pub fn read(path: &Path, replay: impl FnMut(Batch)) -> Result<Replayed, StoreError> {
        let file = File::open(path).map_err(StoreError::at(FileOperation::Open, path))?;
        read_frames(path, &file, replay).map(|(replayed, ..)| replayed)
    }

    /// Opens the journal at `path` and hands every batch to `replay`, oldest first. Cuts a torn last frame off.
    ///
    /// After an error `replay` may have been given a part, which is then to be dropped.
    pub fn open(path: &Path, replay: impl FnMut(Batch)) -> Result<(Self, Replayed), StoreError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).open(path);
        let mut file = file.map_err(StoreError::at(FileOperation::Open, path))?;
        let (replayed, bytes, last) = read_frames(path, &file, replay)?;
        if replayed.torn_bytes > 0 {
            file.set_len(bytes)
                .and_then(|()| file.sync_all())
                .map_err(StoreError::at(FileOperation::Truncate, path))?;
        }
        file.seek(SeekFrom::Start(bytes)).map_err(StoreError::at(FileOperation::Read, path))?;
        Ok((Self { path: path.to_owned(), file, bytes, last, closed: false }, replayed))
    }

    /// Appends `batch` and returns its number once it is on the disk.
    ///
    /// After an error the journal is closed: what is at its end is known only to the next [`Self::open`].
    pub fn append(&mut self, batch: &Batch) -> Result<u64, StoreError> {
        self.refuse_closed()?;
        let number = self.last.saturating_add(1);
        let frame = encode_frame(number, batch);
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.closed = true;
            return Err(StoreError::from_io(FileOperation::Write, &self.path, error));
        }
        self.bytes += frame.len() as u64;
        self.last = number;
        Ok(number)
    }

    /// Replaces the file by a snapshot of the state after the newest commit.
    ///
    /// On error the journal goes on with the old file, unless only the sync of the folder failed: then it is closed, since
    /// nobody knows which of the two a power cut would leave.
    pub fn compact(&mut self, snapshot: Snapshot<'_>) -> Result<(), StoreError> {
        self.refuse_closed()?;
        let (file, bytes) = put_in_place(&self.path, self.last, snapshot)?;
        self.file = file;
        self.bytes = bytes;
        sync_folder(folder_of(&self.path)).inspect_err(|_| self.closed = true)?;
        Ok(())
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of the newest commit; the snapshot's when there is none behind it.
    pub fn last(&self) -> u64 {
        self.last
    }

    fn refuse_closed(&self) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Closed { path: self.path.clone() });
        }
        Ok(())
    }
}

/// Writes a whole journal beside `path`, synced, and renames it there. The file is returned ready to append.
fn put_in_place(path: &Path, base: u64, snapshot: Snapshot<'_>) -> Result<(File, u64), StoreError> {
    let temporary = temporary_beside(path);
    let written = write_synced(&temporary, base, snapshot).and_then(|written| {
        fs::rename(&temporary, path).map_err(StoreError::at(FileOperation::Rename, path))?;
        Ok(written)
    });
    if written.is_err() {
        // The first error is the one to report; a leftover is removed when the store is opened.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Reads all whole frames: what was found, where they end, and the number of the last one.
fn read_frames(
    path: &Path,
    file: &File,
    mut replay: impl FnMut(Batch),
) -> Result<(Replayed, u64, u64), StoreError> {
    let mut reader = JournalReader::start(path, file)?;
    let torn_bytes = loop {
        match reader.next()? {
            Next::Batch(batch) => replay(batch),
            Next::End => break 0,
            Next::Bad(left) => break left,
        }
    };
    reader.judge_end(torn_bytes)?;
    Ok((Replayed { commits: reader.commits(), torn_bytes }, reader.offset(), reader.last()))
}

fn write_synced(path: &Path, base: u64, snapshot: Snapshot<'_>) -> Result<(File, u64), StoreError> {
    let mut options = FileAccess::OwnerOnly.options();
    let file = options.read(true).write(true).create(true).truncate(true).open(path);
    let file = file.map_err(StoreError::at(FileOperation::Create, path))?;
    let mut output = BufWriter::new(file);
    // The header is known at the end: until then there stands one that no reader takes.
    output.write_all(&[0; HEADER_BYTES]).map_err(StoreError::at(FileOperation::Write, path))?;
    let mut snapshot_bytes = 0;
    for batch in snapshot {
        let frame = encode_frame(base, &batch?);
        output.write_all(&frame).map_err(StoreError::at(FileOperation::Write, path))?;
        snapshot_bytes += frame.len() as u64;
    }
    let header = Header { base, snapshot_bytes }.encode();
    finish(output, &header)
        .map(|file| (file, HEADER_BYTES as u64 + snapshot_bytes))
        .map_err(StoreError::at(FileOperation::Write, path))
}

fn finish(output: BufWriter<File>, header: &[u8]) -> Result<File, io::Error> {
    let mut file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    file.write_all(header)?;
    file.sync_all()?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}
