//! What the server stores of a member's key and of its erasure, byte for byte: one frozen struct a schema number.

use bhyt_core::codec::{self, CodecError, Schema};
use bhyt_core::ids::OperationId;
use bhyt_core::keys::KeyId;
use bhyt_core::sync::erasure::ErasureReason;
use bhyt_core::time::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::store::BYTES_MAX;

/// A member: its key, wrapped, and its details under that key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberV2 {
    /// The member's key.
    pub wrapped_key: WrappedKeyV1,
    /// [`MemberDetailsV1`](super::values::MemberDetailsV1), sealed.
    pub sealed: Vec<u8>,
}

/// A member's key, wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WrappedKeyV1 {
    /// Under a key of the store's: how it was. Read, and never written any more.
    Store(Vec<u8>),
    /// Under the member's leaf of the tree of keys.
    Tree(Vec<u8>),
}

/// A member whose key was wrapped under a key of the store's. Read, and never written any more.
#[derive(Serialize, Deserialize)]
struct MemberV1 {
    wrapped_key: Vec<u8>,
    sealed: Vec<u8>,
}

/// Which tree of members' keys a store belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberKeysMarkV1 {
    /// What tells the tree from others.
    pub tree: [u8; 16],
    /// Members that were erased, when it was last looked at.
    pub erased: u64,
}

/// That a member is to be erased, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureV1 {
    /// Why.
    pub reason: ErasureReason,
    /// Who asked for it.
    pub asked_by: KeyId,
    /// In which operation.
    pub operation: OperationId,
    /// When.
    pub asked: UnixSeconds,
    /// Until when it can be taken back.
    pub due: UnixSeconds,
    /// Whether it has begun: nothing takes it back then.
    pub begun: bool,
    /// When nothing was left.
    pub done: Option<UnixSeconds>,
}

impl Schema for MemberV1 {
    const SCHEMA: u16 = 101;
    const BYTES_MAX: usize = BYTES_MAX;
}

impl Schema for MemberV2 {
    const SCHEMA: u16 = 170;
    const BYTES_MAX: usize = BYTES_MAX;

    fn decode_older(found: u16, bytes: &[u8]) -> Result<Self, CodecError> {
        match found {
            MemberV1::SCHEMA => {
                let MemberV1 { wrapped_key, sealed } = codec::decode(bytes)?;
                Ok(Self { wrapped_key: WrappedKeyV1::Store(wrapped_key), sealed })
            }
            _ => Err(CodecError::UnknownSchema { found, known: Self::SCHEMA }),
        }
    }
}

impl Schema for MemberKeysMarkV1 {
    const SCHEMA: u16 = 171;
    const BYTES_MAX: usize = 64;
}

impl Schema for ErasureV1 {
    const SCHEMA: u16 = 172;
    const BYTES_MAX: usize = 128;
}

#[cfg(test)]
mod tests {
    //! Golden bytes: never edited, only added.

    use bhyt_core::ids::from_hex;

    use super::*;
    use crate::service::golden::check;

    #[test]
    fn stored_bytes_are_frozen_and_what_an_earlier_version_wrote_is_read() {
        let (wrapped, sealed) = (vec![1, 2], vec![3]);
        check(
            &MemberV2 { wrapped_key: WrappedKeyV1::Tree(wrapped), sealed },
            "aa000100000002000000000000000102010000000000000003",
        );
        let older = from_hex("650001000000000000000102000000000000000203").unwrap();
        let read = codec::decode::<MemberV2>(&older).unwrap();
        assert_eq!(read, MemberV2 { wrapped_key: WrappedKeyV1::Store(vec![1]), sealed: vec![2, 3] });
        check(
            &MemberKeysMarkV1 { tree: [4; 16], erased: 5 },
            &format!("ab00{}0500000000000000", "04".repeat(16)),
        );
        let erasure = ErasureV1 {
            reason: ErasureReason::Mistake,
            asked_by: KeyId([1; 8]),
            operation: OperationId([2; 16]),
            asked: UnixSeconds(3),
            due: UnixSeconds(4),
            begun: true,
            done: Some(UnixSeconds(5)),
        };
        let (by, operation) = ("01".repeat(8), "02".repeat(16));
        let golden =
            format!("ac0001000000{by}{operation}0300000000000000040000000000000001010500000000000000");
        check(&erasure, &golden);
        let unknown = CodecError::UnknownSchema { found: 117, known: 170 };
        assert_eq!(codec::decode::<MemberV2>(&[117, 0]), Err(unknown));
    }
}
