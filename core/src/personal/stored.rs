//! A personal document as bytes: its changes in order, what they depend on by place instead of by hash, all deflated.
//!
//! A hash does not compress and each change carries some; their places do, and the hashes follow from the bytes. Inflating
//! fills a buffer whose length was checked first, and never more.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::chunk::{self, ChunkError, write_unsigned};
use super::columns::Reader;
use super::history::History;
use super::ids::ChangeHash;
use crate::limits::{PERSONAL_BYTES_MAX, PERSONAL_CHANGES_MAX, PERSONAL_DEPS_MAX};

/// Why bytes are no stored personal document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// A schema number that this version does not know.
    #[error("schema {0} where {SCHEMA} is known")]
    Schema(u16),
    /// More bytes than a document may have.
    #[error("more than {PERSONAL_BYTES_MAX} bytes")]
    TooLarge,
    /// Cut short, left over, or not of the form.
    #[error("malformed bytes")]
    Malformed,
}

/// Changes as bytes.
pub(crate) fn encode(history: &History) -> Vec<u8> {
    let mut plain = Vec::new();
    for past in history.changes() {
        let (deps, rest) = chunk::split(&past.bytes).expect("what is kept was read before");
        write_unsigned(&mut plain, deps.len() as u64);
        for place in deps.iter().filter_map(|hash| history.place(hash)) {
            write_unsigned(&mut plain, place as u64);
        }
        write_unsigned(&mut plain, rest.len() as u64);
        plain.extend(rest);
    }
    let mut bytes = SCHEMA.to_le_bytes().to_vec();
    bytes.extend((plain.len() as u32).to_le_bytes());
    bytes.extend(miniz_oxide::deflate::compress_to_vec(&plain, COMPRESSION_LEVEL));
    bytes
}

/// The changes in their order. Each is whole and follows what it depends on; what it says is not read here.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Vec<u8>>, StoredError> {
    let (schema, rest) = bytes.split_first_chunk().ok_or(StoredError::Malformed)?;
    let schema = u16::from_le_bytes(*schema);
    if schema != SCHEMA {
        return Err(StoredError::Schema(schema));
    }
    let (length, deflated) = rest.split_first_chunk().ok_or(StoredError::Malformed)?;
    let plain = inflate(deflated, u32::from_le_bytes(*length))?;
    let mut reader = Reader(&plain);
    let mut changes = Vec::new();
    let mut hashes = Vec::new();
    while !reader.is_empty() {
        if changes.len() >= PERSONAL_CHANGES_MAX {
            return Err(StoredError::TooLarge);
        }
        let change = read_change(&mut reader, &hashes).map_err(|_| StoredError::Malformed)?;
        hashes.push(chunk::hash(&change).map_err(|_| StoredError::Malformed)?);
        changes.push(change);
    }
    Ok(changes)
}

fn read_change(reader: &mut Reader<'_>, before: &[ChangeHash]) -> Result<Vec<u8>, ChunkError> {
    let mut deps = Vec::new();
    for _ in 0..reader.length(PERSONAL_DEPS_MAX)? {
        let place = reader.length(before.len())?;
        deps.push(*before.get(place).ok_or(ChunkError::Malformed)?);
    }
    let length = reader.length(PERSONAL_BYTES_MAX)?;
    Ok(chunk::join(&deps, reader.take(length)?))
}

fn inflate(deflated: &[u8], length: u32) -> Result<Vec<u8>, StoredError> {
    let length = usize::try_from(length).ok().filter(|&length| length <= PERSONAL_BYTES_MAX);
    let mut plain = vec![0; length.ok_or(StoredError::TooLarge)?];
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = Box::<DecompressorOxide>::default();
    let (status, read, written) = decompress(&mut state, deflated, &mut plain, 0, flags);
    let is_whole = status == TINFLStatus::Done && read == deflated.len() && written == plain.len();
    is_whole.then_some(plain).ok_or(StoredError::Malformed)
}

const SCHEMA: u16 = 1;
const COMPRESSION_LEVEL: u8 = 8;
