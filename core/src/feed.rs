//! The feed: the ordered list of a member's records, a Merkle tree with a signed head. One signature speaks for every
//! record. Bytes: `docs/formats.md`, "Feed".
//!
//! Here stands the head. Records are stored in [`FeedPage`]s and travel in [`FeedBlock`]s of them, a reader holds a [`FeedState`], and [`Chains`]
//! keeps revisions in order. An [`EpochStatement`] opens a new epoch after a restore, and a [`HandedRecord`] is what a phone
//! gives back then.

mod block;
mod chain;
mod epoch;
mod hand_back;
mod pack;
mod page;
mod state;

use serde::{Deserialize, Serialize};

use crate::cbor::{self, DecodeError};
use crate::cose::{Object, Payload};
use crate::ids::MemberId;
use crate::limits::HEAD_BYTES_MAX;
use crate::merkle::TreeHash;
use crate::record::Seq;
use crate::time::UnixSeconds;

pub use block::{BlockFault, BlockWindow, FeedBlock};
pub use chain::{ChainFault, Chains, Link, current_records};
pub use epoch::{EpochReason, EpochStatement};
pub use hand_back::{HandedRecord, hand_back, hand_back_one};
pub use page::{Entry, FeedPage, PageFault};
pub use state::{FeedFault, FeedState};

/// A lifetime of a member's feed on the server. A new one begins, signed, when the server was restored from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// How far a feed goes. A later epoch is further, and within one, a larger size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Extent {
    /// The feed's epoch.
    pub epoch: Epoch,
    /// Leaves in the tree.
    pub size: u64,
}

/// What the server signs of a feed, as `bhyt/head/v1`: with it, every record up to its size.
///
/// The one who holds two verified heads of one [`Extent`] with two roots holds the proof that the server misbehaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedHead {
    /// Whose feed.
    pub member: MemberId,
    /// How far it goes.
    pub extent: Extent,
    /// The root over all leaves.
    pub root: TreeHash,
    /// When the server signed.
    pub time: UnixSeconds,
}

impl FeedHead {
    /// The place that the next record will have.
    pub fn next_seq(&self) -> Seq {
        Seq(self.extent.size)
    }
}

impl Payload for FeedHead {
    const OBJECT: Object = Object::Head;
    const BYTES_MAX: usize = HEAD_BYTES_MAX;

    /// [member, epoch, size, root, time].
    fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(5)?.bytes(&self.member.0)?.u64(self.extent.epoch.0)?.u64(self.extent.size)?;
            e.bytes(&self.root.0)?.u64(self.time.0)?;
            Ok(())
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut d = cbor::decoder(bytes)?;
        cbor::read_array(&mut d, 5, "feed head")?;
        Ok(Self {
            member: MemberId(cbor::read_bytes(&mut d, "feed head")?),
            extent: Extent { epoch: Epoch(d.u64()?), size: d.u64()? },
            root: TreeHash(cbor::read_bytes(&mut d, "feed head")?),
            time: UnixSeconds(d.u64()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cose::{Signed, Unsigned, VerifyError};
    use crate::ids::hex;
    use crate::keys::SecretKey;

    fn head() -> FeedHead {
        FeedHead {
            member: MemberId([0xab; 16]),
            extent: Extent { epoch: Epoch(2), size: 300 },
            root: TreeHash([0xcd; 32]),
            time: UnixSeconds(1_700_000_000),
        }
    }

    #[test]
    fn a_head_is_these_bytes_and_reads_back() {
        let bytes = head().encode();
        let (member, root) = ("ab".repeat(16), "cd".repeat(32));
        assert_eq!(hex(&bytes), format!("8550{member}0219012c5820{root}1a6553f100"));
        assert_eq!(FeedHead::decode(&bytes), Ok(head()));
        for cut in 0..bytes.len() {
            assert!(FeedHead::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let longer = cbor::encode(|e| {
            e.array(6)?;
            e.writer_mut().extend_from_slice(&bytes[1..]);
            e.u8(0)?;
            Ok(())
        });
        assert_eq!(FeedHead::decode(&longer), Err(DecodeError::Malformed("feed head")));
    }

    #[test]
    fn the_largest_head_is_within_its_bound_and_every_changed_bit_is_refused() {
        let key = SecretKey::from_seed(&[3; 32]);
        let mut largest = head();
        largest.extent = Extent { epoch: Epoch(u64::MAX), size: u64::MAX };
        largest.time = UnixSeconds(u64::MAX);
        let sealed = Unsigned::new(largest, key.public_key().key_id()).sign(&key);
        assert!(sealed.bytes().len() <= HEAD_BYTES_MAX, "{} bytes", sealed.bytes().len());
        let verify = |bytes: &[u8]| match Signed::<FeedHead>::decode(bytes) {
            Ok(signed) => signed.verify(&key.public_key()).map(|head| *head.claims()),
            Err(fault) => Err(VerifyError::Payload(fault)),
        };
        assert_eq!(verify(sealed.bytes()), Ok(largest));
        for bit in 0..sealed.bytes().len() * 8 {
            let mut bytes = sealed.bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&bytes).is_err(), "bit {bit}");
        }
    }
}
