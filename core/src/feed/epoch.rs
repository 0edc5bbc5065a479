//! A new epoch of a feed: what the server signs when it was restored from a backup and keeps less than phones may have.
//! Bytes: `docs/formats.md`, "Feed".
//!
//! A statement is a head of the new epoch at the size kept. So a reader goes on from it by the rules that it has: a feed
//! that does not pass through the root kept is a fork, and one that goes back without a statement is a rollback.

use serde::{Deserialize, Serialize};

use crate::cbor::{self, DecodeError};
use crate::cose::{Object, Payload};
use crate::feed::{Epoch, Extent, FeedHead};
use crate::ids::MemberId;
use crate::limits::EPOCH_BYTES_MAX;
use crate::merkle::TreeHash;
use crate::time::UnixSeconds;

/// What the server signs of a new epoch, as `bhyt/epoch/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStatement {
    /// Whose feed.
    pub member: MemberId,
    /// The epoch of the head that was kept; 0 when there was none.
    pub before: Epoch,
    /// The new epoch, which is later, and the records kept.
    pub kept: Extent,
    /// The root over them.
    pub root: TreeHash,
    /// When the server signed.
    pub time: UnixSeconds,
    /// Why.
    pub reason: EpochReason,
}

/// Why a feed has a new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EpochReason {
    /// The server was restored from a backup.
    Restored,
}

impl EpochStatement {
    /// The statement as a head of the new epoch.
    pub fn head(&self) -> FeedHead {
        FeedHead { member: self.member, extent: self.kept, root: self.root, time: self.time }
    }
}

impl Payload for EpochStatement {
    const OBJECT: Object = Object::Epoch;
    const BYTES_MAX: usize = EPOCH_BYTES_MAX;

    /// [member, old epoch, new epoch, size, root, time, reason].
    fn encode(&self) -> Vec<u8> {
        let EpochReason::Restored = self.reason;
        cbor::encode(|e| {
            e.array(7)?.bytes(&self.member.0)?.u64(self.before.0)?.u64(self.kept.epoch.0)?;
            e.u64(self.kept.size)?.bytes(&self.root.0)?.u64(self.time.0)?.u8(RESTORED)?;
            Ok(())
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut d = cbor::decoder(bytes)?;
        cbor::read_array(&mut d, 7, "feed epoch")?;
        let statement = Self {
            member: MemberId(cbor::read_bytes(&mut d, "feed epoch")?),
            before: Epoch(d.u64()?),
            kept: Extent { epoch: Epoch(d.u64()?), size: d.u64()? },
            root: TreeHash(cbor::read_bytes(&mut d, "feed epoch")?),
            time: UnixSeconds(d.u64()?),
            reason: match d.u64()? {
                reason if reason == u64::from(RESTORED) => EpochReason::Restored,
                _ => return Err(DecodeError::NeedsUpdate),
            },
        };
        match statement.before < statement.kept.epoch {
            true => Ok(statement),
            false => Err(DecodeError::Malformed("feed epoch")),
        }
    }
}

const RESTORED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cose::{Signed, Unsigned};
    use crate::ids::hex;
    use crate::keys::SecretKey;

    fn statement() -> EpochStatement {
        EpochStatement {
            member: MemberId([0xab; 16]),
            before: Epoch(1),
            kept: Extent { epoch: Epoch(2), size: 300 },
            root: TreeHash([0xcd; 32]),
            time: UnixSeconds(1_700_000_000),
            reason: EpochReason::Restored,
        }
    }

    #[test]
    fn a_statement_is_these_bytes_and_reads_back() {
        let bytes = statement().encode();
        let (member, root) = ("ab".repeat(16), "cd".repeat(32));
        assert_eq!(hex(&bytes), format!("8750{member}010219012c5820{root}1a6553f10001"));
        assert_eq!(EpochStatement::decode(&bytes), Ok(statement()));
        for cut in 0..bytes.len() {
            assert!(EpochStatement::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut other = bytes;
        *other.last_mut().unwrap() = 2;
        assert_eq!(EpochStatement::decode(&other), Err(DecodeError::NeedsUpdate));
        let backwards = EpochStatement { before: Epoch(2), ..statement() }.encode();
        assert_eq!(EpochStatement::decode(&backwards), Err(DecodeError::Malformed("feed epoch")));
    }

    #[test]
    fn the_largest_statement_is_within_its_bound_and_is_no_head() {
        let key = SecretKey::from_seed(&[3; 32]);
        let largest = EpochStatement {
            before: Epoch(u64::MAX - 1),
            kept: Extent { epoch: Epoch(u64::MAX), size: u64::MAX },
            time: UnixSeconds(u64::MAX),
            ..statement()
        };
        let sealed = Unsigned::new(largest, key.public_key().key_id()).sign(&key);
        assert!(sealed.bytes().len() <= EPOCH_BYTES_MAX, "{} bytes", sealed.bytes().len());
        let as_head =
            Signed::<FeedHead>::decode(sealed.bytes()).map(|signed| signed.verify(&key.public_key()));
        assert!(!matches!(as_head, Ok(Ok(_))));
    }
}
