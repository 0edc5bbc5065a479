//! What makes two facts one record: the key under which its source names it, so that an import that is repeated appends
//! nothing and a fact that comes changed becomes a revision.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::record::RecordKind;

/// Names a record by what its source calls it. Unkeyed: whoever stores it where its member's key does not reach hashes it
/// under a key of their own first, because the number of cases of one facility can be counted through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(pub [u8; 16]);

impl SourceKey {
    /// The first 16 bytes of SHA-256(`bhyt/source/v1` ‖ kind, 2 bytes ‖ for each part its length, 4 bytes, and the
    /// part), numbers big-endian.
    pub(super) fn of(kind: RecordKind, parts: &[&[u8]]) -> Self {
        let mut hash =
            Sha256::new().chain_update(b"bhyt/source/v1").chain_update(kind.number().to_be_bytes());
        for part in parts {
            let length = u32::try_from(part.len()).expect("parts are fields of a body");
            hash.update(length.to_be_bytes());
            hash.update(part);
        }
        let mut key = [0; 16];
        key.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        Self(key)
    }
}

impl fmt::Debug for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceKey(…)")
    }
}
