//! From version to version: the edits of each set, and what the list is after them.
//!
//! Promises: a chain of deltas is applied as a whole or not at all, in one pass over the sets however long it is; the
//! result has the counts and the hash that the last delta announces, so that list and chain cannot drift apart; the
//! same two lists give the same delta. Refuses a delta for another list, one that leads back, and one into another
//! epoch.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::edit::{Edit, count_after, find_edits, join_edits};
use super::list::{StatusError, StatusHead, StatusList, make_sets};
use super::reason::SetNumber;
use super::set::{CompressedSet, SetError};
use super::version::StatusVersion;
use crate::cose::Payload as _;
use crate::limits::{STATUS_DELTA_BYTES_MAX, STATUS_DELTAS_MAX};

/// What leads from one list to a later one of the same epoch.
#[derive(Clone, PartialEq, Eq)]
pub struct Delta {
    /// The number of the version it starts at; the epoch is that of `head`.
    pub(super) from: u64,
    /// The head of the list it leads to.
    pub(super) head: StatusHead,
    /// Edits by set; sets without edits do not stand there.
    pub(super) edits: BTreeMap<SetNumber, Vec<Edit>>,
    /// Counts of the sets it leads to; empty sets do not stand there.
    pub(super) counts: BTreeMap<SetNumber, u64>,
    /// [`StatusList::digest`] of the list it leads to.
    pub(super) digest: [u8; 32],
}

impl Delta {
    /// The delta that leads from `from` to `to`.
    ///
    /// # Errors
    /// [`StatusError::OtherEpoch`] and [`StatusError::NotForward`] when none can; [`StatusError::DeltaTooLarge`] when
    /// a snapshot has to.
    pub fn between(from: &StatusList, to: &StatusList) -> Result<Self, StatusError> {
        check_forward(from.head(), to.head())?;
        let numbers: BTreeSet<SetNumber> = from.sets().chain(to.sets()).map(|(number, _)| number).collect();
        let edits = numbers
            .into_iter()
            .map(|number| (number, find_edits(from.set(number), to.set(number))))
            .filter(|(_, edits)| !edits.is_empty())
            .collect();
        let delta = Self {
            from: from.version().number,
            head: to.head().clone(),
            edits,
            counts: counts_of(to),
            digest: *to.digest(),
        };
        // The rest is for headers and signature.
        let bytes = delta.encode().len();
        if bytes > STATUS_DELTA_BYTES_MAX - 256 {
            return Err(StatusError::DeltaTooLarge { bytes });
        }
        Ok(delta)
    }

    /// Where it starts.
    pub fn from(&self) -> StatusVersion {
        StatusVersion { number: self.from, ..self.head.version }
    }

    /// Where it leads.
    pub fn to(&self) -> StatusVersion {
        self.head.version
    }

    /// The head of the list it leads to.
    pub fn head(&self) -> &StatusHead {
        &self.head
    }

    /// Values that come and go, in all sets.
    pub fn entries(&self) -> usize {
        self.edits.values().map(Vec::len).sum()
    }
}

impl std::fmt::Debug for Delta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delta")
            .field("from", &self.from())
            .field("to", &self.to())
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}

impl StatusList {
    /// The list that `deltas` lead to, one after the other. This list is left as it is. No deltas lead to itself.
    ///
    /// # Errors
    /// [`StatusError::WrongBase`], [`StatusError::OtherEpoch`], [`StatusError::NotForward`] when they do not join on;
    /// [`StatusError::Set`], [`StatusError::Counts`], [`StatusError::Digest`] when they were made for another list;
    /// [`StatusError::TooManyDeltas`]. After any of them a snapshot is needed.
    pub fn apply(&self, deltas: &[Delta]) -> Result<Self, StatusError> {
        let Some(last) = deltas.last() else {
            return Ok(self.clone());
        };
        if deltas.len() > STATUS_DELTAS_MAX {
            return Err(StatusError::TooManyDeltas { got: deltas.len() });
        }
        let edits = self.join(deltas)?;
        let sets =
            make_sets(last.head.covers.indexes_below(), &last.counts, |number, universe, skips_max| {
                let edits = edits.get(&number).map_or(&[][..], |edits| edits);
                match self.set(number) {
                    Some(set) => set.apply(universe, skips_max, edits),
                    None => CompressedSet::empty(universe).apply(universe, skips_max, edits),
                }
            })?;
        let list = Self::new(last.head.clone(), sets)?;
        // Edits of a set that ends up empty are covered by the counts, which were followed from step to step.
        if list.digest() == &last.digest { Ok(list) } else { Err(StatusError::Digest) }
    }

    /// The edits that all of the deltas together make. Those of one delta are its own and not copied.
    fn join<'a>(&self, deltas: &'a [Delta]) -> Result<JoinedEdits<'a>, StatusError> {
        let (mut head, mut counts) = (self.head(), counts_of(self));
        let mut joined = JoinedEdits::new();
        for delta in deltas {
            check_forward(head, &delta.head)?;
            if head.version != delta.from() {
                return Err(StatusError::WrongBase { held: head.version, from: delta.from() });
            }
            for (&number, edits) in &delta.edits {
                let wrong_base = StatusError::Set { number, source: SetError::WrongBase };
                let count = counts.entry(number).or_default();
                *count = count_after(*count, edits).ok_or(wrong_base)?;
                let so_far = match joined.get(&number) {
                    None => Cow::Borrowed(&edits[..]),
                    Some(so_far) => Cow::Owned(join_edits(so_far, edits).map_err(|_| wrong_base)?),
                };
                joined.insert(number, so_far);
            }
            counts.retain(|_, count| *count > 0);
            if counts != delta.counts {
                return Err(StatusError::Counts);
            }
            head = &delta.head;
        }
        Ok(joined)
    }
}

type JoinedEdits<'a> = BTreeMap<SetNumber, Cow<'a, [Edit]>>;

/// Whether a list with head `to` may follow one with head `from`.
fn check_forward(from: &StatusHead, to: &StatusHead) -> Result<(), StatusError> {
    if from.version.epoch != to.version.epoch {
        return Err(StatusError::OtherEpoch);
    }
    let forward = to.version > from.version
        && to.time >= from.time
        && to.covers.indexes_below() >= from.covers.indexes_below()
        && to.covers.issued_until() >= from.covers.issued_until();
    if forward { Ok(()) } else { Err(StatusError::NotForward) }
}

fn counts_of(list: &StatusList) -> BTreeMap<SetNumber, u64> {
    list.sets().map(|(number, set)| (number, set.count())).collect()
}
