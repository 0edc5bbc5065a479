//! CBOR of the two things that a status key signs, a snapshot (a whole list) and a delta. Bytes: `docs/formats.md`,
//! "Status list".
//!
//! ```cddl
//! Snapshot = { 1: 1, Head, 5: Sets, 6: bstr .size 32 }
//! Delta = {
//!   1: 2, Head,
//!   6: bstr .size 32,                      ; SHA-256 of the sets it leads to
//!   7: uint,                               ; the number of the version it starts at, in the same epoch
//!   8: { * SetNumber => Edits },
//!   9: { * SetNumber => count: uint },     ; of the sets it leads to; 1 and more
//! }
//! Head = (
//!   2: [ epoch: uint .size 4, number: uint ],
//!   3: Time,
//!   4: [ indexes_below: uint, issued_until: Time, reserved: [ *1024 [ first: uint, count: uint ] ] ],
//! )
//! Sets = { * SetNumber => [ count: uint, gaps: bstr ] }   ; count is 1 and more; 6 is SHA-256 of these bytes
//! Edits = [ added: uint, gaps: bstr, removed: uint, gaps: bstr ]   ; over the universe of the list it leads to
//! SetNumber = 1..23
//! ```
//!
//! Another kind (key 1) or a set outside 1 to 23 needs an update of the program.

use std::collections::BTreeMap;

use minicbor::Decoder;
use sha2::{Digest as _, Sha256};

use super::delta::Delta;
use super::edit::CodedEdits;
use super::list::{Covers, StatusError, StatusHead, StatusList, make_sets};
use super::reason::SetNumber;
use super::set::CompressedSet;
use super::version::StatusVersion;
use crate::cbor::{self, DecodeError, EncodeResult, Key, read_array, read_bytes, read_map};
use crate::cose::{Object, Payload};
use crate::limits::{STATUS_BYTES_MAX, STATUS_DELTA_BYTES_MAX, STATUS_RESERVED_MAX};
use crate::time::UnixSeconds;
use crate::trust::IndexRange;

type Encoder<'a> = minicbor::Encoder<&'a mut Vec<u8>>;

/// Either of the two, for whoever is handed bytes without being told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusMessage {
    /// A whole list.
    Snapshot(StatusList),
    /// From version to version.
    Delta(Delta),
}

impl Payload for StatusList {
    const OBJECT: Object = Object::Status;
    const BYTES_MAX: usize = STATUS_BYTES_MAX;

    fn encode(&self) -> Vec<u8> {
        let sets = encode_sets(self.sets());
        cbor::encode(|e| {
            e.map(6)?.u8(1)?.u8(SNAPSHOT)?;
            encode_head(e, self.head())?;
            e.u8(5)?.writer_mut().extend_from_slice(&sets);
            e.u8(6)?.bytes(self.digest())?;
            Ok(())
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match StatusMessage::decode(bytes)? {
            StatusMessage::Snapshot(list) => Ok(list),
            StatusMessage::Delta(_) => Err(DecodeError::Malformed("a delta, not a snapshot")),
        }
    }
}

impl Payload for Delta {
    const OBJECT: Object = Object::Status;
    const BYTES_MAX: usize = STATUS_DELTA_BYTES_MAX;

    fn encode(&self) -> Vec<u8> {
        let below = self.head.covers.indexes_below();
        cbor::encode(|e| {
            e.map(8)?.u8(1)?.u8(DELTA)?;
            encode_head(e, &self.head)?;
            e.u8(6)?.bytes(&self.digest)?.u8(7)?.u64(self.from)?;
            e.u8(8)?.map(self.edits.len() as u64)?;
            for (number, edits) in &self.edits {
                let coded = CodedEdits::encode(number.universe(below), edits)
                    .expect("edits come of sets below this universe");
                e.u8(number.value())?.array(4)?.u64(coded.adds.0)?.bytes(&coded.adds.1)?;
                e.u64(coded.removes.0)?.bytes(&coded.removes.1)?;
            }
            e.u8(9)?.map(self.counts.len() as u64)?;
            for (number, count) in &self.counts {
                e.u8(number.value())?.u64(*count)?;
            }
            Ok(())
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match StatusMessage::decode(bytes)? {
            StatusMessage::Delta(delta) => Ok(delta),
            StatusMessage::Snapshot(_) => Err(DecodeError::Malformed("a snapshot, not a delta")),
        }
    }
}

impl Payload for StatusMessage {
    const OBJECT: Object = Object::Status;
    const BYTES_MAX: usize = STATUS_BYTES_MAX;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Snapshot(list) => list.encode(),
            Self::Delta(delta) => delta.encode(),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let fields = Fields::decode(bytes)?;
        match fields.kind.ok_or(MISSING)? {
            SNAPSHOT => fields.snapshot().map(Self::Snapshot),
            DELTA if bytes.len() > STATUS_DELTA_BYTES_MAX => {
                Err(DecodeError::Malformed("a delta larger than may be"))
            }
            DELTA => fields.delta().map(Self::Delta),
            _ => Err(DecodeError::NeedsUpdate),
        }
    }
}

/// The CBOR map of sets, over which the digest of a list is made.
pub(super) fn encode_sets<'a>(sets: impl Iterator<Item = (SetNumber, &'a CompressedSet)> + Clone) -> Vec<u8> {
    cbor::encode(|e| {
        e.map(sets.clone().count() as u64)?;
        for (number, set) in sets {
            e.u8(number.value())?.array(2)?.u64(set.count())?.bytes(set.bytes())?;
        }
        Ok(())
    })
}

fn encode_head(e: &mut Encoder<'_>, head: &StatusHead) -> EncodeResult {
    let StatusHead { version, time, covers } = head;
    e.u8(2)?.array(2)?.u32(version.epoch)?.u64(version.number)?;
    e.u8(3)?.u64(time.0)?;
    e.u8(4)?.array(3)?.u64(covers.indexes_below())?.u64(covers.issued_until().0)?;
    e.array(covers.reserved().len() as u64)?;
    for range in covers.reserved() {
        e.array(2)?.u32(range.first)?.u32(range.count)?;
    }
    Ok(())
}

/// What stands in a payload of either kind, read and not yet put together. A key that belongs to the other kind is
/// ignored like an unknown one.
#[derive(Default)]
struct Fields<'b> {
    kind: Option<u8>,
    version: Option<StatusVersion>,
    time: Option<UnixSeconds>,
    covers: Option<Covers>,
    sets: BTreeMap<SetNumber, (u64, &'b [u8])>,
    /// Of the sets as they stand in the bytes.
    sets_digest: Option<[u8; 32]>,
    digest: Option<[u8; 32]>,
    from: Option<u64>,
    edits: BTreeMap<SetNumber, CodedEdits>,
    counts: Option<BTreeMap<SetNumber, u64>>,
}

impl<'b> Fields<'b> {
    fn decode(bytes: &'b [u8]) -> Result<Self, DecodeError> {
        let mut fields = Self::default();
        read_map(&mut cbor::decoder(bytes)?, |key, d| {
            match key {
                1 => fields.kind = Some(d.u8().map_err(|_| DecodeError::NeedsUpdate)?),
                2 => {
                    read_array(d, 2, "status version")?;
                    fields.version = Some(StatusVersion { epoch: d.u32()?, number: d.u64()? });
                }
                3 => fields.time = Some(UnixSeconds(d.u64()?)),
                4 => fields.covers = Some(decode_covers(d)?),
                5 => {
                    let start = d.position();
                    fields.sets = read_sets(d, |d| {
                        read_array(d, 2, "status set")?;
                        Ok((at_least_one(d.u64()?)?, d.bytes()?))
                    })?;
                    let sets = bytes.get(start..d.position()).unwrap_or_default();
                    fields.sets_digest = Some(Sha256::digest(sets).into());
                }
                6 => fields.digest = Some(read_bytes(d, "status digest")?),
                7 => fields.from = Some(d.u64()?),
                8 => fields.edits = read_sets(d, decode_edits)?,
                9 => fields.counts = Some(read_sets(d, |d| at_least_one(d.u64()?))?),
                _ => return Ok(Key::Unknown),
            }
            Ok(Key::Known)
        })?;
        Ok(fields)
    }

    fn head(&mut self) -> Result<StatusHead, DecodeError> {
        Ok(StatusHead {
            version: self.version.ok_or(MISSING)?,
            time: self.time.ok_or(MISSING)?,
            covers: self.covers.take().ok_or(MISSING)?,
        })
    }

    fn snapshot(mut self) -> Result<StatusList, DecodeError> {
        let head = self.head()?;
        let digest = self.digest.ok_or(MISSING)?;
        if self.sets_digest.ok_or(MISSING)? != digest {
            return Err(DecodeError::Malformed("status sets do not hash to their digest"));
        }
        let counts = self.sets.iter().map(|(number, (count, _))| (*number, *count)).collect();
        let sets = make_sets(head.covers.indexes_below(), &counts, |number, universe, skips_max| {
            let (count, gaps) = self.sets.get(&number).copied().unwrap_or_default();
            CompressedSet::decode(universe, count, gaps.to_vec(), skips_max)
        })?;
        Ok(StatusList::with_digest(head, sets, digest)?)
    }

    fn delta(mut self) -> Result<Delta, DecodeError> {
        let head = self.head()?;
        let below = head.covers.indexes_below();
        let edits = self.edits.iter().map(|(&number, coded)| {
            let edits = coded.decode(number.universe(below));
            edits.map(|edits| (number, edits)).map_err(|_| DecodeError::Malformed("status edits"))
        });
        Ok(Delta {
            from: self.from.ok_or(MISSING)?,
            edits: edits.collect::<Result<_, _>>()?,
            counts: self.counts.ok_or(MISSING)?,
            digest: self.digest.ok_or(MISSING)?,
            head,
        })
    }
}

impl From<StatusError> for DecodeError {
    fn from(_: StatusError) -> Self {
        Self::Malformed("status list")
    }
}

fn decode_covers(d: &mut Decoder<'_>) -> Result<Covers, DecodeError> {
    read_array(d, 3, "status covers")?;
    let (indexes_below, issued_until) = (d.u64()?, UnixSeconds(d.u64()?));
    let length = d.array()?.ok_or(MISSING)?;
    if length > STATUS_RESERVED_MAX as u64 {
        return Err(DecodeError::Malformed("too many reserved ranges"));
    }
    let mut reserved = Vec::with_capacity(length as usize);
    for _ in 0..length {
        read_array(d, 2, "reserved range")?;
        reserved.push(IndexRange { first: d.u32()?, count: d.u32()? });
    }
    Ok(Covers::new(indexes_below, issued_until, reserved)?)
}

fn decode_edits(d: &mut Decoder<'_>) -> Result<CodedEdits, DecodeError> {
    read_array(d, 4, "status edits")?;
    let coded =
        CodedEdits { adds: (d.u64()?, d.bytes()?.to_vec()), removes: (d.u64()?, d.bytes()?.to_vec()) };
    at_least_one(coded.adds.0 | coded.removes.0)?;
    Ok(coded)
}

/// A map by set number. A number that this version has no rule for makes the whole unreadable, because its universe
/// is not known.
fn read_sets<'b, T>(
    d: &mut Decoder<'b>,
    mut read: impl FnMut(&mut Decoder<'b>) -> Result<T, DecodeError>,
) -> Result<BTreeMap<SetNumber, T>, DecodeError> {
    let mut sets = BTreeMap::new();
    read_map(d, |key, d| {
        let number = SetNumber::new(key).ok_or(DecodeError::NeedsUpdate)?;
        sets.insert(number, read(d)?);
        Ok(Key::Known)
    })?;
    Ok(sets)
}

/// What holds nothing does not stand in a list, so that a list has one encoding.
fn at_least_one(count: u64) -> Result<u64, DecodeError> {
    if count == 0 { Err(DecodeError::Malformed("an empty status set")) } else { Ok(count) }
}

const SNAPSHOT: u8 = 1;
const DELTA: u8 = 2;
const MISSING: DecodeError = DecodeError::Malformed("status list");
