//! Records: one official fact each, and the leaf that a member's feed commits to it with.
//!
//! A record is named by the `seq` of its first revision. A correction is a new leaf with that name and the next revision;
//! a retraction is the same with a [`Content::Tombstone`] for its body, so both are ordinary leaves of one form, and a
//! later revision may correct a retraction. A tombstone hashes as a body of no bytes, which no real body has: bodies
//! are CBOR, and [`Body`] refuses to be empty. Its leaf is salted like any other, so the leaf alone does not tell it.
//!
//! Promises: a [`Body`] is never empty and never over its bound, wherever it was read from; nothing here prints one.

use std::fmt;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cbor;
use crate::limits::BODY_BYTES_MAX;
use crate::merkle::TreeHash;
use crate::time::UnixSeconds;

/// A place in a member's feed, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// The place `count` further on; stays at the end of the range, which no feed reaches.
    pub fn plus(self, count: usize) -> Self {
        Self(self.0.saturating_add(count as u64))
    }
}

/// What a record tells of. Open: a kind of a newer server is kept as its number, shown as unknown and committed to
/// like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u16", into = "u16")]
pub enum RecordKind {
    /// Card issued (thẻ BHYT).
    Card,
    /// Contribution period (giai đoạn tham gia).
    ContributionPeriod,
    /// Benefit drawn (chế độ đã hưởng).
    Benefit,
    /// Visit (lượt khám chữa bệnh).
    Visit,
    /// Notice.
    Notice,
    /// More cost lines of a visit.
    VisitLines,
    /// A kind this version does not know. Made by [`RecordKind::from`], never by hand from a known number.
    Unknown(u16),
}

impl RecordKind {
    /// The number in the leaf.
    pub fn number(self) -> u16 {
        match self {
            Self::Card => 1,
            Self::ContributionPeriod => 2,
            Self::Benefit => 3,
            Self::Visit => 4,
            Self::Notice => 5,
            Self::VisitLines => 6,
            Self::Unknown(number) => number,
        }
    }
}

/// One revision of one record. Where it stands is not part of it: the page or the caller says the `seq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it tells of; the same in every revision.
    pub kind: RecordKind,
    /// Where the first revision stands: the record's name.
    pub first_seq: Seq,
    /// 0 for the first, one more for each later one.
    pub revision: u32,
    /// When the server recorded it.
    pub time: UnixSeconds,
    /// What it says, or that it says nothing any more.
    pub content: Content,
}

impl Record {
    /// The first revision of a new record that stands at `seq`.
    pub fn first(seq: Seq, kind: RecordKind, body: Body, time: UnixSeconds) -> Self {
        Self { kind, first_seq: seq, revision: 0, time, content: Content::Body(body) }
    }

    /// The revision after this one. Also takes a retracted record back into life.
    pub fn corrected(&self, body: Body, time: UnixSeconds) -> Self {
        self.followed_by(Content::Body(body), time)
    }

    /// The revision after this one, saying that the record no longer stands.
    pub fn retracted(&self, time: UnixSeconds) -> Self {
        self.followed_by(Content::Tombstone, time)
    }

    /// The leaf: deterministic CBOR [seq, kind, first seq, revision, time in seconds, SHA-256(salt ‖ body)].
    pub fn encode_leaf(&self, seq: Seq, salt: &Salt) -> Vec<u8> {
        let digest = Sha256::new().chain_update(salt.0).chain_update(self.content.bytes());
        let digest: [u8; 32] = digest.finalize().into();
        cbor::encode(|e| {
            e.array(6)?.u64(seq.0)?.u16(self.kind.number())?.u64(self.first_seq.0)?;
            e.u32(self.revision)?.u64(self.time.0)?.bytes(&digest)?;
            Ok(())
        })
    }

    /// The hash of the leaf, as the tree takes it.
    pub fn leaf_hash(&self, seq: Seq, salt: &Salt) -> TreeHash {
        TreeHash::of_leaf(&self.encode_leaf(seq, salt))
    }

    fn followed_by(&self, content: Content, time: UnixSeconds) -> Self {
        let revision = self.revision.saturating_add(1);
        Self { kind: self.kind, first_seq: self.first_seq, revision, time, content }
    }
}

/// What a revision says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// The fact, in the form of its kind.
    Body(Body),
    /// The record is retracted.
    Tombstone,
}

impl Content {
    /// The bytes that the leaf commits to; none for a tombstone.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Body(body) => body.as_bytes(),
            Self::Tombstone => &[],
        }
    }
}

/// The bytes of one fact: 1 to [`BODY_BYTES_MAX`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>")]
pub struct Body(Vec<u8>);

impl Body {
    /// Takes the bytes.
    ///
    /// # Errors
    /// [`BodyFault`] when there are none or too many.
    pub fn new(bytes: Vec<u8>) -> Result<Self, BodyFault> {
        match bytes.len() {
            0 => Err(BodyFault::Empty),
            got if got > BODY_BYTES_MAX => Err(BodyFault::TooLong { limit: BODY_BYTES_MAX, got }),
            _ => Ok(Self(bytes)),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// 32 random bytes that salt the leaves of one page. Whoever has it can tell a guessed body from its leaf.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageSeed(pub [u8; 32]);

impl PageSeed {
    /// The salt of the leaf at `seq`: HMAC-SHA-256 (RFC 2104) of the `seq` as 8 bytes big-endian, its first 16 bytes.
    pub fn derive_salt(&self, seq: Seq) -> Salt {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(&seq.0.to_be_bytes());
        let mut salt = [0; 16];
        for (to, from) in salt.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
        Salt(salt)
    }
}

/// The salt of one leaf.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salt(pub [u8; 16]);

/// Why bytes are no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// No bytes: that is what a tombstone hashes as.
    #[error("body is empty")]
    Empty,
    /// Over the bound.
    #[error("body of {got} bytes, at most {limit}")]
    TooLong {
        /// [`BODY_BYTES_MAX`].
        limit: usize,
        /// Bytes there.
        got: usize,
    },
}

impl From<u16> for RecordKind {
    fn from(number: u16) -> Self {
        match number {
            1 => Self::Card,
            2 => Self::ContributionPeriod,
            3 => Self::Benefit,
            4 => Self::Visit,
            5 => Self::Notice,
            6 => Self::VisitLines,
            other => Self::Unknown(other),
        }
    }
}

impl From<RecordKind> for u16 {
    fn from(kind: RecordKind) -> Self {
        kind.number()
    }
}

impl TryFrom<Vec<u8>> for Body {
    type Error = BodyFault;

    fn try_from(bytes: Vec<u8>) -> Result<Self, BodyFault> {
        Self::new(bytes)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Body {
    /// The length alone: the bytes are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

impl fmt::Debug for PageSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageSeed(…)")
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bare;
    use crate::ids::{from_hex, hex};

    fn body(bytes: &[u8]) -> Body {
        Body::new(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_leaf_is_these_bytes() {
        let record = Record::first(Seq(300), RecordKind::Visit, body(b"\xa0"), UnixSeconds(1_700_000_000));
        let salt = PageSeed([1; 32]).derive_salt(Seq(300));
        // HMAC-SHA-256(01 × 32, 000000000000012c), and SHA-256(salt ‖ a0), by Python's hmac and hashlib.
        assert_eq!(hex(&salt.0), "a622a661e0ca36fe95c07c647e750af9");
        let leaf = record.encode_leaf(Seq(300), &salt);
        assert_eq!(
            hex(&leaf),
            "8619012c0419012c001a6553f100582050fad40ed4c5e5122866cbcf12953aa62963a8c9783ca8ad1996ed302754126f"
        );
        assert!(cbor::check_deterministic(&leaf).is_ok());
    }

    #[test]
    fn a_tombstone_is_the_leaf_of_no_bytes_and_no_body_is() {
        let record = Record::first(Seq(0), RecordKind::Card, body(b"\xa0"), UnixSeconds(5));
        let retracted = record.retracted(UnixSeconds(9));
        assert_eq!((retracted.revision, retracted.first_seq, retracted.kind), (1, Seq(0), RecordKind::Card));
        let salt = Salt([7; 16]);
        let leaf = retracted.encode_leaf(Seq(1), &salt);
        assert!(leaf.ends_with(&Sha256::digest([7; 16])));
        assert_eq!(Body::new(Vec::new()), Err(BodyFault::Empty));
        let too_long = BodyFault::TooLong { limit: BODY_BYTES_MAX, got: BODY_BYTES_MAX + 1 };
        assert_eq!(Body::new(vec![0; BODY_BYTES_MAX + 1]), Err(too_long));
        assert!(matches!(retracted.corrected(body(b"\xa1"), UnixSeconds(10)).content, Content::Body(_)));
    }

    #[test]
    fn every_kind_number_comes_back_as_itself() {
        for number in 0..=u16::MAX {
            assert_eq!(RecordKind::from(number).number(), number);
        }
    }

    #[test]
    fn a_stored_record_keeps_its_bytes_and_an_empty_body_is_not_read() {
        let record = Record::first(Seq(2), RecordKind::Unknown(77), body(b"\xa0"), UnixSeconds(3));
        let bytes = bare::encode(&record);
        assert_eq!(hex(&bytes), "4d000200000000000000000000000300000000000000000000000100000000000000a0");
        assert_eq!(bare::decode::<Record>(&bytes).unwrap(), record);
        let empty = from_hex("4d00020000000000000000000000030000000000000000000000").unwrap();
        assert!(bare::decode::<Record>(&[empty, vec![0; 8]].concat()).is_err());
    }
}
