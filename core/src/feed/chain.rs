//! Revisions in order: which revision may come next, and which one counts.
//!
//! Promises: a record's revisions have one kind, begin at 0 where the record stands, and go up by one. Only erased
//! leaves make a hole, never a larger one than they are many. Refuses: a retraction with nothing to retract.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Content, Record, RecordKind, Seq};

/// The latest revision of every record of a feed up to some size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chains {
    latest: BTreeMap<Seq, Link>,
    erased: BTreeSet<Seq>,
}

/// The latest revision of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it stands.
    pub seq: Seq,
    /// Its number.
    pub revision: u32,
    /// The record's kind.
    pub kind: RecordKind,
}

impl Chains {
    /// Takes the record that stands at `seq`; called in order of `seq`.
    ///
    /// # Errors
    /// [`ChainFault`] when this revision may not stand here; nothing has changed then.
    pub fn admit(&mut self, seq: Seq, record: &Record) -> Result<(), ChainFault> {
        let first_seq = record.first_seq;
        if record.revision == 0 {
            Self::check_first(seq, record)?;
        } else if let Some(latest) = self.latest.get(&first_seq) {
            if latest.kind != record.kind {
                return Err(ChainFault::Kind { seq, expected: latest.kind, got: record.kind });
            }
            self.check_step(seq, latest.seq, latest.revision, record)?;
        } else if self.erased.contains(&first_seq) {
            self.check_step(seq, first_seq, 0, record)?;
        } else {
            return Err(ChainFault::UnknownRecord { seq, first_seq });
        }
        self.latest.insert(first_seq, Link { seq, revision: record.revision, kind: record.kind });
        Ok(())
    }

    /// Takes note that the record at `seq` was erased: whichever revision it was, it is not held against the others.
    pub fn admit_erased(&mut self, seq: Seq) {
        self.erased.insert(seq);
    }

    /// The latest revision of the record named `first_seq`, retracted ones included.
    pub fn latest(&self, first_seq: Seq) -> Option<Link> {
        self.latest.get(&first_seq).copied()
    }

    fn check_first(seq: Seq, record: &Record) -> Result<(), ChainFault> {
        match record.content {
            _ if record.first_seq != seq => {
                Err(ChainFault::UnknownRecord { seq, first_seq: record.first_seq })
            }
            Content::Tombstone => Err(ChainFault::NothingToRetract { seq }),
            Content::Body(_) => Ok(()),
        }
    }

    fn check_step(&self, seq: Seq, latest_seq: Seq, latest: u32, record: &Record) -> Result<(), ChainFault> {
        let erased = self.erased.range(latest_seq.plus(1)..).filter(|&&at| at < seq).count() as u64;
        let next = u64::from(latest) + 1;
        let got = record.revision;
        if (next..=next + erased).contains(&u64::from(got)) {
            Ok(())
        } else {
            Err(ChainFault::Revision { seq, expected: next, got })
        }
    }
}

/// A view of the records that stand: of each record its latest revision, retracted ones left out, in the order in
/// which the records first appeared. Takes revisions in order of `seq`, as pages hold them.
pub fn current_records<'a>(
    revisions: impl IntoIterator<Item = (Seq, &'a Record)>,
) -> BTreeMap<Seq, (Seq, &'a Record)> {
    let mut current = BTreeMap::new();
    for (seq, record) in revisions {
        match record.content {
            Content::Body(_) => current.insert(record.first_seq, (seq, record)),
            Content::Tombstone => current.remove(&record.first_seq),
        };
    }
    current
}

/// Why a revision may not stand where it does. The server signed it, so the server is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// A later revision of a record that is not there, or a first one that names another place than its own.
    #[error("leaf {seq} revises record {first_seq}, which is not there")]
    UnknownRecord {
        /// Where the revision stands.
        seq: Seq,
        /// The record it names.
        first_seq: Seq,
    },
    /// Not the next revision.
    #[error("leaf {seq} is revision {got}, expected {expected}")]
    Revision {
        /// Where it stands.
        seq: Seq,
        /// The revision that should come.
        expected: u64,
        /// Its number.
        got: u32,
    },
    /// The record was of another kind before.
    #[error("leaf {seq} makes a {expected:?} a {got:?}")]
    Kind {
        /// Where it stands.
        seq: Seq,
        /// The record's kind.
        expected: RecordKind,
        /// This revision's.
        got: RecordKind,
    },
    /// A first revision that is a tombstone.
    #[error("leaf {seq} retracts nothing")]
    NothingToRetract {
        /// Where it stands.
        seq: Seq,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Body;
    use crate::time::UnixSeconds;

    fn body(byte: u8) -> Body {
        Body::new(vec![byte]).unwrap()
    }

    fn first(seq: u64) -> Record {
        Record::first(Seq(seq), RecordKind::Visit, body(seq as u8), UnixSeconds(seq))
    }

    fn admit_all(revisions: &[Record]) -> Result<Chains, ChainFault> {
        let mut chains = Chains::default();
        for (seq, record) in (0..).map(Seq).zip(revisions) {
            chains.admit(seq, record)?;
        }
        Ok(chains)
    }

    #[test]
    fn corrected_retracted_and_revived_in_order() {
        let (a, b) = (first(0), first(1));
        let corrected = a.corrected(body(9), UnixSeconds(2));
        let retracted = corrected.retracted(UnixSeconds(3));
        let gone = b.retracted(UnixSeconds(4));
        let revived = retracted.corrected(body(8), UnixSeconds(5));
        let feed = [a, b, corrected, retracted, gone, revived];
        let chains = admit_all(&feed).unwrap();
        let link = Link { seq: Seq(5), revision: 3, kind: RecordKind::Visit };
        assert_eq!(chains.latest(Seq(0)), Some(link));
        let current = current_records((0..).map(Seq).zip(&feed));
        assert_eq!(current, BTreeMap::from([(Seq(0), (Seq(5), &feed[5]))]));
        assert_eq!(current_records((0..).map(Seq).zip(&feed[..3])).len(), 2);
    }

    #[test]
    fn revisions_out_of_their_chain_are_refused() {
        let a = first(0);
        let next = a.corrected(body(9), UnixSeconds(2));
        let check = |second: Record, fault: ChainFault| {
            assert_eq!(admit_all(&[a.clone(), second]).unwrap_err(), fault);
        };
        let (seq, kind) = (Seq(1), RecordKind::Notice);
        let expected = RecordKind::Visit;
        check(Record { kind, ..next.clone() }, ChainFault::Kind { seq, expected, got: kind });
        let skipped = next.corrected(body(1), UnixSeconds(3));
        check(skipped, ChainFault::Revision { seq, expected: 1, got: 2 });
        let at_end = Record { revision: u32::MAX, ..next.clone() };
        check(at_end, ChainFault::Revision { seq, expected: 1, got: u32::MAX });
        let itself = Record { first_seq: seq, ..next };
        check(itself, ChainFault::UnknownRecord { seq, first_seq: seq });
        check(a.clone(), ChainFault::UnknownRecord { seq, first_seq: Seq(0) });
        let tombstone = Record { content: Content::Tombstone, ..first(1) };
        check(tombstone, ChainFault::NothingToRetract { seq });
    }

    #[test]
    fn an_erased_leaf_excuses_as_many_missing_revisions_as_it_is_leaves() {
        let a = first(0);
        let second = a.corrected(body(1), UnixSeconds(1)).corrected(body(2), UnixSeconds(2));
        let third = second.corrected(body(3), UnixSeconds(3));
        let mut chains = admit_all(&[a]).unwrap();
        chains.admit_erased(Seq(1));
        let refused = ChainFault::Revision { seq: Seq(2), expected: 1, got: 3 };
        assert_eq!(chains.clone().admit(Seq(2), &third), Err(refused));
        assert_eq!(chains.admit(Seq(2), &second), Ok(()));

        let mut beginning_erased = Chains::default();
        beginning_erased.admit_erased(Seq(0));
        let first_left = Record { revision: 1, ..second };
        assert_eq!(beginning_erased.admit(Seq(1), &first_left), Ok(()));
    }
}
