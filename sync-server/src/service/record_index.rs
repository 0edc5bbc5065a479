//! Where the records of a member stand, by the names that their sources gave them: what tells a new record from a
//! correction and from a row that was here before.
//!
//! The index is a copy of what the feed says and catches up with it: records that came in another way (a clinic's, or
//! one handed back after a restore) are found in the feed's pages when the index is next used. It is kept in pieces, in the
//! order in which records came, each sealed under the member's key; a correction rewrites the record's piece, and the last,
//! which says how far the feed is in them.

use std::collections::BTreeMap;

use bhyt_core::feed::Entry;
use bhyt_core::ids::MemberId;
use bhyt_core::limits::{INDEX_PIECE_RECORDS, INDEXED_RECORDS_MAX};
use bhyt_core::record::{Content, Record, Seq};
use bhyt_core::records::{Fact, SourceKey};
use bhyt_platform::entropy::{Entropy, make_bytes};
use sha2::{Digest, Sha256};

use super::Service;
use super::docs::{Found, OpenMember, encode, open, write};
use super::fault::ServiceFault;
use super::feed::FeedTail;
use super::values::{IndexedRecordV1, RecordIndexDetailsV1, RecordIndexV1};
use crate::store::{DocKey, DocKind, DocWrite, Expected, Store};

/// The index of one member, open.
pub(crate) struct RecordIndex {
    member: MemberId,
    pieces: Vec<Piece>,
    /// Piece, and place in it.
    places: BTreeMap<SourceKey, (usize, usize)>,
}

struct Piece {
    expected: Expected,
    details: RecordIndexDetailsV1,
    changed: bool,
}

/// What the index says of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) first_seq: Seq,
    pub(crate) revision: u32,
    digest: BodyDigest,
}

/// Tells bodies of one record apart; all zeros for a tombstone.
type BodyDigest = [u8; 16];

impl Indexed {
    /// Whether the latest revision says just this.
    pub(crate) fn says(&self, content: &Content) -> bool {
        self.digest == digest_of(content)
    }

    /// Whether it was retracted.
    pub(crate) fn is_retracted(&self) -> bool {
        self.digest == TOMBSTONE
    }
}

impl RecordIndex {
    /// The record of this name.
    pub(crate) fn find(&self, name: &SourceKey) -> Option<Indexed> {
        let (piece, at) = *self.places.get(name)?;
        let record = self.pieces.get(piece)?.details.records.get(at)?;
        let IndexedRecordV1 { first_seq, revision, digest, .. } = *record;
        Some(Indexed { first_seq, revision, digest })
    }

    /// Whether as many more records have room.
    pub(crate) fn has_room(&self, records: usize) -> bool {
        self.places.len() + records <= INDEXED_RECORDS_MAX
    }

    /// Enters the latest revision of a record.
    pub(crate) fn enter(&mut self, name: SourceKey, record: &Record) {
        let Record { first_seq, revision, .. } = *record;
        let entry =
            IndexedRecordV1 { source: name.0, first_seq, revision, digest: digest_of(&record.content) };
        if let Some((piece, at)) = self.places.get(&name).copied() {
            let piece = self.pieces.get_mut(piece);
            if let Some((place, changed)) =
                piece.and_then(|piece| Some((piece.details.records.get_mut(at)?, &mut piece.changed)))
            {
                *place = entry;
                *changed = true;
            }
            return;
        }
        if self.pieces.last().is_none_or(|piece| piece.details.records.len() >= INDEX_PIECE_RECORDS) {
            let details = RecordIndexDetailsV1 { covered: Seq(0), records: Vec::new() };
            self.pieces.push(Piece { expected: Expected::Absent, details, changed: true });
        }
        let number = self.pieces.len() - 1;
        if let Some(piece) = self.pieces.last_mut() {
            self.places.insert(name, (number, piece.details.records.len()));
            piece.details.records.push(entry);
            piece.changed = true;
        }
    }

    /// The writes that store it; the feed up to `covered` is in it. The last piece says so: it is written also where a
    /// correction changed an earlier one, or every later import would read the corrections again.
    pub(crate) fn writes(
        mut self,
        member: &OpenMember,
        covered: Seq,
        entropy: &dyn Entropy,
    ) -> Result<Vec<DocWrite>, ServiceFault> {
        if let Some(last) = self.pieces.last_mut() {
            last.changed |= last.details.covered < covered;
            last.details.covered = covered;
        }
        let changed = self.pieces.iter().enumerate().filter(|(_, piece)| piece.changed);
        changed.map(|(number, piece)| piece.write(member, number, entropy)).collect()
    }

    fn covered(&self) -> Seq {
        self.pieces.last().map_or(Seq(0), |last| last.details.covered)
    }

    /// Takes what a record of the feed says.
    fn learn(&mut self, record: &Record) {
        let Content::Body(body) = &record.content else {
            let entries = self.pieces.iter().flat_map(|piece| &piece.details.records);
            let retracted = entries.filter(|entry| entry.first_seq == record.first_seq);
            let names: Vec<_> = retracted.map(|entry| SourceKey(entry.source)).collect();
            names.into_iter().for_each(|name| self.enter(name, record));
            return;
        };
        // What cannot be read has no name that a source could give again.
        if let Some(name) = Fact::decode(record.kind, body).ok().and_then(|fact| fact.source_key()) {
            self.enter(name, record);
        }
    }
}

impl Piece {
    fn write(
        &self,
        member: &OpenMember,
        number: usize,
        entropy: &dyn Entropy,
    ) -> Result<DocWrite, ServiceFault> {
        let key = piece_key(member.id, number)?;
        let body = encode(WHAT, &self.details)?;
        let sealed = member.key.seal(&place(&key), &body, &make_bytes::<24>(entropy));
        write(WHAT, key, self.expected, &RecordIndexV1 { sealed })
    }
}

impl<S: Store> Service<S> {
    /// The index of a member, caught up with the feed that ends at `tail`.
    pub(crate) async fn record_index(
        &self,
        member: &OpenMember,
        tail: &FeedTail,
    ) -> Result<RecordIndex, ServiceFault> {
        let mut index = RecordIndex { member: member.id, pieces: Vec::new(), places: BTreeMap::new() };
        loop {
            let number = index.pieces.len();
            let key = piece_key(index.member, number)?;
            let Some(found) = self.doc::<RecordIndexV1>(WHAT, &key).await? else { break };
            let Found { revision, value } = found;
            let details: RecordIndexDetailsV1 = open(WHAT, &member.key, &place(&key), &value.sealed)?;
            for (at, record) in details.records.iter().enumerate() {
                index.places.insert(SourceKey(record.source), (number, at));
            }
            let is_last = details.records.len() < INDEX_PIECE_RECORDS;
            let expected = Expected::Revision(revision);
            index.pieces.push(Piece { expected, details, changed: false });
            if is_last {
                break;
            }
        }
        self.catch_up(member, tail.next_seq(), &mut index).await?;
        Ok(index)
    }

    async fn catch_up(
        &self,
        member: &OpenMember,
        end: Seq,
        index: &mut RecordIndex,
    ) -> Result<(), ServiceFault> {
        let mut next = index.covered();
        while next < end {
            let pages = self.feed_pages(member.id, &member.key, next, PAGES_AT_A_TIME).await?;
            let before = next;
            for (seq, entry) in pages.iter().flat_map(|page| page.entries()) {
                if let Entry::Record { record, .. } = entry {
                    index.learn(record);
                }
                next = seq.plus(1);
            }
            if next == before {
                return Err(ServiceFault::Inconsistent { what: "feed page" });
            }
        }
        Ok(())
    }
}

fn digest_of(content: &Content) -> BodyDigest {
    let mut digest = TOMBSTONE;
    if let Content::Body(body) = content {
        digest.iter_mut().zip(Sha256::digest(body.as_bytes())).for_each(|(to, from)| *to = from);
    }
    digest
}

fn piece_key(member: MemberId, number: usize) -> Result<DocKey, ServiceFault> {
    let number = u16::try_from(number).map_err(|_| ServiceFault::Inconsistent { what: WHAT })?;
    Ok(DocKey::new(DocKind::RecordIndex, [member.0.as_slice(), &number.to_be_bytes()].concat()))
}

fn place(key: &DocKey) -> Vec<u8> {
    [b"index/".as_slice(), &key.id].concat()
}

const WHAT: &str = "record index";
const TOMBSTONE: BodyDigest = [0; 16];
const PAGES_AT_A_TIME: usize = 8;
const _: () = assert!(INDEXED_RECORDS_MAX / INDEX_PIECE_RECORDS < u16::MAX as usize);
