//! What stands in the stores of phone and terminal: one frozen struct a schema number, and values that are longer than
//! one store value. Schema numbers of the SDK begin at 100.

use serde::{Deserialize, Serialize};

use bhyt_core::codec::{self, CodecError, Schema};
use bhyt_core::feed::{FeedHead, FeedPage};
use bhyt_core::grant::Grant;
use bhyt_core::ids::FacilityCode;
use bhyt_core::limits::{
    CARD_BYTES_MAX, CARDS_COPY_BYTES_MAX, GRANT_BYTES_MAX, HEAD_BYTES_MAX, PERSONAL_STORED_BYTES_MAX,
    TRUST_BYTES_MAX, VALUE_BYTES_MAX,
};
use bhyt_core::marks::Marks;
use bhyt_core::presentation_key::PresentationKey;
use bhyt_core::record::Record;
use bhyt_core::replay::SeenProof;
use bhyt_core::schemas;
use bhyt_core::seal::SEAL_BYTES;
use bhyt_core::sync::messages::ProofBytes;
use bhyt_core::time::UnixSeconds;
use bhyt_platform::kv::{Batch, Kv, StoreError};

use crate::error::Problem;

/// Own: where the server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredServer {
    pub(crate) address: String,
}

/// Own: a member that this phone holds; the key is wrapped under the store key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredMember {
    pub(crate) wrapped_key: Vec<u8>,
    pub(crate) activated_at: UnixSeconds,
}

/// Own: the furthest head ever verified of a member's feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredMark {
    pub(crate) head: FeedHead,
}

/// Own: the signed bytes of that head, for when another is signed that cannot stand beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredHead {
    pub(crate) signed: Vec<u8>,
}

/// Own: the first head that parted from the one held, and both as signed. `held` is absent where the mark is older than
/// [`StoredHead`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredFork {
    pub(crate) time: UnixSeconds,
    pub(crate) disputed: Vec<u8>,
    pub(crate) held: Option<Vec<u8>>,
}

/// Own: that this phone's two keys belong together, as proven at the last activation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPossession {
    pub(crate) presentation_key: PresentationKey,
    pub(crate) proof: ProofBytes,
}

/// Own: the grant by which a carer's phone holds a dependant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredGrant {
    pub(crate) grant: Grant,
    pub(crate) signed: Vec<u8>,
}

/// Cache, sealed: how far the pages go, in one commit with the last of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredCursor {
    pub(crate) generation: u32,
    pub(crate) head: FeedHead,
    pub(crate) signed_head: Vec<u8>,
}

/// Cache, sealed: a run of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPage {
    pub(crate) page: FeedPage,
}

/// Cache, sealed: the credentials that this device was given for one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredCredentials {
    pub(crate) credentials: Vec<Vec<u8>>,
}

/// Beside the cache, sealed: the cards that a phone shows of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredCards {
    pub(crate) records: Vec<Record>,
    pub(crate) credentials: Vec<Vec<u8>>,
}

/// Cache: how the last syncs went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredProgress {
    pub(crate) last_success: Option<UnixSeconds>,
    pub(crate) server_ahead_seconds: Option<i64>,
    pub(crate) problem: Option<Problem>,
}

/// Own: where a terminal is enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredEnrolment {
    pub(crate) facility: FacilityCode,
    pub(crate) enrolled_at: UnixSeconds,
}

/// Own: the key under which a terminal seals the cards it has seen, wrapped under the store key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredSeenKey {
    pub(crate) wrapped_key: Vec<u8>,
}

/// Own: a terminal's high-water marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredMarks {
    pub(crate) marks: Marks,
}

/// Own: a proof that was relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredProof {
    pub(crate) proof: SeenProof,
}

/// Own: proofs made before this may have been forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredForgotten {
    pub(crate) before: UnixSeconds,
}

/// Cache: a card that a terminal has accepted, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredSeenCard {
    pub(crate) sealed: Vec<u8>,
    pub(crate) seen_at: UnixSeconds,
}

/// The length of a value that is stored in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredLength {
    bytes: u32,
}

schemas! {
    StoredServer 100 512;
    StoredMember 101 256;
    StoredMark 102 128;
    StoredCursor 103 512;
    StoredPage 104 SEALED_MAX;
    StoredCredentials 105 SEALED_MAX;
    StoredProgress 106 64;
    StoredEnrolment 107 256;
    StoredMarks 108 VALUE_BYTES_MAX;
    StoredProof 109 64;
    StoredForgotten 110 16;
    StoredSeenCard 111 CARD_BYTES_MAX + SEAL_BYTES + 32;
    StoredLength 112 8;
    StoredSeenKey 113 128;
    StoredHead 114 HEAD_BYTES_MAX + 16;
    StoredFork 115 2 * HEAD_BYTES_MAX + 32;
    StoredCards 116 CARDS_COPY_BYTES_MAX;
    StoredPossession 117 192;
    StoredGrant 118 128 + GRANT_BYTES_MAX;
}

/// Why a stored value cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredError {
    /// The store did not answer.
    #[error("store")]
    Store(#[from] StoreError),
    /// The bytes are not of the schema.
    #[error("stored value")]
    Codec(#[from] CodecError),
    /// The bytes do not open under the key.
    #[error("sealed value")]
    Seal(#[from] bhyt_core::seal::OpenError),
    /// Parts of a long value are missing, or pages do not lead to their head.
    #[error("stored parts do not fit together")]
    Parts,
}

impl From<StoredError> for crate::error::SdkError {
    fn from(error: StoredError) -> Self {
        match error {
            StoredError::Store(error) => error.into(),
            StoredError::Codec(CodecError::UnknownSchema { .. }) => Self::UpdateApp { source: error.into() },
            // A key that opens nothing is another key than the one the data was sealed under.
            StoredError::Seal(_) => Self::Locked { source: error.into() },
            other => Self::system(other),
        }
    }
}

/// Reads a value, if it is there.
pub(crate) fn read<T: Schema>(store: &dyn Kv, key: &[u8]) -> Result<Option<T>, StoredError> {
    match store.get(key)? {
        Some(bytes) => Ok(Some(codec::decode(&bytes)?)),
        None => Ok(None),
    }
}

/// Puts a value into a batch.
pub(crate) fn put<T: Schema>(batch: &mut Batch, key: &[u8], value: &T) -> Result<(), StoredError> {
    Ok(batch.put(key, &codec::encode(value)?)?)
}

/// Puts bytes that are longer than one value: their length under `key`, the parts under `key` and a number.
pub(crate) fn put_long(batch: &mut Batch, key: &[u8], bytes: &[u8]) -> Result<(), StoredError> {
    let length = u32::try_from(bytes.len()).map_err(|_| StoredError::Parts)?;
    put(batch, key, &StoredLength { bytes: length })?;
    for (number, part) in (0_u8..PARTS_MAX).zip(bytes.chunks(VALUE_BYTES_MAX)) {
        batch.put(&part_key(key, number), part)?;
    }
    Ok(())
}

/// Reads what [`put_long`] wrote.
pub(crate) fn read_long(store: &dyn Kv, key: &[u8]) -> Result<Option<Vec<u8>>, StoredError> {
    let Some(StoredLength { bytes: length }) = read(store, key)? else {
        return Ok(None);
    };
    let length = usize::try_from(length).map_err(|_| StoredError::Parts)?;
    let mut bytes = Vec::new();
    for number in 0..PARTS_MAX {
        if bytes.len() >= length {
            break;
        }
        bytes.extend(store.get(&part_key(key, number))?.ok_or(StoredError::Parts)?);
    }
    // A shorter value leaves parts of a longer one behind it; its own parts say where it ends.
    (bytes.len() == length).then_some(bytes).map(Some).ok_or(StoredError::Parts)
}

fn part_key(key: &[u8], number: u8) -> Vec<u8> {
    [key, b"/", &[number]].concat()
}

/// Where phone and terminal keep how the last syncs went.
pub(crate) const PROGRESS_KEY: &[u8] = b"s";
const SEALED_MAX: usize = VALUE_BYTES_MAX - SEAL_BYTES;
const PARTS_MAX: u8 = 11;
const _: () = assert!(TRUST_BYTES_MAX <= VALUE_BYTES_MAX * PARTS_MAX as usize);
const _: () = assert!(PERSONAL_STORED_BYTES_MAX + SEAL_BYTES <= VALUE_BYTES_MAX * PARTS_MAX as usize);

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
