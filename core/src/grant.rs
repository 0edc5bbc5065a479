//! A grant: a carer's phone may hold a dependant's card, or card and records, from one day to another. The server signs
//! it for what an operator has entered. Bytes: `docs/formats.md`, "Grant".
//!
//! Promises: a grant that was read has an end, and speaks of two different people. It is nothing a clinic sees: what it
//! brings is a binding of the carer's phone, and that ends no later.

use serde::{Deserialize, Serialize};

use crate::cbor::{self, DecodeError};
use crate::cose::{Object, Payload};
use crate::ids::MemberId;
use crate::limits::GRANT_BYTES_MAX;
use crate::time::{Day, UnixSeconds};

/// What the server signs of a grant, as `bhyt/grant/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whose card.
    pub dependant: MemberId,
    /// On whose phones.
    pub carer: MemberId,
    /// How much of it.
    pub scope: GrantScope,
    /// What the carer is to the dependant.
    pub relation: GrantRelation,
    /// The first day.
    pub from: Day,
    /// The last day.
    pub until: Day,
    /// When the server signed.
    pub time: UnixSeconds,
}

/// How much a grant gives. Variants are only ever appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantScope {
    /// The card alone.
    Card,
    /// The card and all records.
    CardAndRecords,
}

/// What a carer is to a dependant. Variants are only ever appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantRelation {
    /// Cha, mẹ.
    Parent,
    /// Người giám hộ.
    Guardian,
    /// Vợ, chồng.
    Spouse,
    /// Con.
    Child,
    /// Người chăm sóc khác.
    Other,
}

impl Grant {
    /// Whether it counts on this day.
    pub fn covers(&self, day: Day) -> bool {
        self.from <= day && day <= self.until
    }
}

impl GrantScope {
    /// All of them, in their order.
    pub const ALL: [Self; 2] = [Self::Card, Self::CardAndRecords];

    /// The word, on command lines and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::CardAndRecords => "records",
        }
    }

    /// The scope of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == word)
    }
}

impl GrantRelation {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [Self::Parent, Self::Guardian, Self::Spouse, Self::Child, Self::Other];

    /// The word, on command lines and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Guardian => "guardian",
            Self::Spouse => "spouse",
            Self::Child => "child",
            Self::Other => "other",
        }
    }

    /// The relation of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|relation| relation.name() == word)
    }
}

impl Payload for Grant {
    const OBJECT: Object = Object::Grant;
    const BYTES_MAX: usize = GRANT_BYTES_MAX;

    /// [dependant, carer, scope, relation, from, until, time]; scope and relation count from 1.
    fn encode(&self) -> Vec<u8> {
        let (scope, relation) = (self.scope as u8 + 1, self.relation as u8 + 1);
        cbor::encode(|e| {
            e.array(7)?.bytes(&self.dependant.0)?.bytes(&self.carer.0)?.u8(scope)?.u8(relation)?;
            e.i64(self.from.days())?.i64(self.until.days())?.u64(self.time.0)?;
            Ok(())
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut d = cbor::decoder(bytes)?;
        cbor::read_array(&mut d, 7, "grant")?;
        let grant = Self {
            dependant: MemberId(cbor::read_bytes(&mut d, "grant")?),
            carer: MemberId(cbor::read_bytes(&mut d, "grant")?),
            scope: numbered(&GrantScope::ALL, d.u64()?)?,
            relation: numbered(&GrantRelation::ALL, d.u64()?)?,
            from: Day::from_days(d.i64()?).ok_or(DecodeError::Malformed("grant"))?,
            until: Day::from_days(d.i64()?).ok_or(DecodeError::Malformed("grant"))?,
            time: UnixSeconds(d.u64()?),
        };
        match grant.dependant != grant.carer && grant.from <= grant.until {
            true => Ok(grant),
            false => Err(DecodeError::Malformed("grant")),
        }
    }
}

/// The value of this number, counted from 1. Another number is a newer version's, but for 0.
fn numbered<T: Copy>(values: &[T], number: u64) -> Result<T, DecodeError> {
    let at = number.checked_sub(1).ok_or(DecodeError::Malformed("grant"))?;
    let value = usize::try_from(at).ok().and_then(|at| values.get(at));
    value.copied().ok_or(DecodeError::NeedsUpdate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cose::Unsigned;
    use crate::ids::hex;
    use crate::keys::SecretKey;

    fn day(days: i64) -> Day {
        Day::from_days(days).unwrap()
    }

    fn grant() -> Grant {
        Grant {
            dependant: MemberId([0xab; 16]),
            carer: MemberId([0xcd; 16]),
            scope: GrantScope::CardAndRecords,
            relation: GrantRelation::Guardian,
            from: day(20_700),
            until: day(21_000),
            time: UnixSeconds(1_790_000_000),
        }
    }

    #[test]
    fn a_grant_is_these_bytes_and_reads_back() {
        let bytes = grant().encode();
        let (dependant, carer) = ("ab".repeat(16), "cd".repeat(16));
        assert_eq!(hex(&bytes), format!("8750{dependant}50{carer}02021950dc1952081a6ab13b80"));
        assert_eq!(Grant::decode(&bytes), Ok(grant()));
        for cut in 0..bytes.len() {
            assert!(Grant::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Grant::decode(&[&bytes[..], &[0]].concat()).is_err());
    }

    /// Every field, what may stand in it and what else comes to.
    #[test]
    fn every_field_of_a_grant_and_every_way_to_spoil_it() {
        const MALFORMED: Result<Grant, DecodeError> = Err(DecodeError::Malformed("grant"));
        let bytes = grant().encode();
        // Scope and relation stand behind the head and two ids of 17 bytes.
        let with = |at: usize, byte: u8| {
            let mut changed = bytes.clone();
            changed[at] = byte;
            Grant::decode(&changed)
        };
        assert_eq!((with(35, 0), with(36, 0)), (MALFORMED, MALFORMED));
        assert_eq!(with(35, 1), Ok(Grant { scope: GrantScope::Card, ..grant() }));
        assert_eq!(
            (with(35, 3), with(36, 6)),
            (Err(DecodeError::NeedsUpdate), Err(DecodeError::NeedsUpdate))
        );
        assert!(with(0, 0x86).is_err() && with(0, 0x88).is_err(), "fewer fields, or more");
        assert!(with(1, 0x4f).is_err() && with(18, 0x51).is_err(), "ids have 16 bytes");
        assert!(with(35, 0x40).is_err(), "another type");
        let spoilt = [Grant { carer: grant().dependant, ..grant() }, Grant { until: day(20_699), ..grant() }];
        for spoilt in spoilt {
            assert_eq!(Grant::decode(&spoilt.encode()), MALFORMED, "{spoilt:?}");
        }
        for only in [-1, 0, 20_700].map(day) {
            let one_day = Grant { from: only, until: only, ..grant() };
            assert_eq!(Grant::decode(&one_day.encode()), Ok(one_day));
        }
    }

    #[test]
    fn the_largest_grant_is_within_its_bound() {
        let key = SecretKey::from_seed(&[3; 32]);
        let (from, until) = (day(0).plus_days(i64::MIN), day(0).plus_days(i64::MAX));
        let largest = Grant { from, until, time: UnixSeconds(u64::MAX), ..grant() };
        let sealed = Unsigned::new(largest, key.public_key().key_id()).sign(&key);
        assert!(sealed.bytes().len() <= GRANT_BYTES_MAX, "{} bytes", sealed.bytes().len());
    }
}
