//! Edits of a set: what to add and what to remove, ascending, at most one a value. Found between two sets, joined
//! when one follows the other, and coded as two sets of their own.

use std::cmp::Ordering;

use super::golomb::{GapReader, GapWriter, GolombError};
use super::set::{CompressedSet, SetError};

/// One value that comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    /// The value.
    pub value: u64,
    /// What becomes of it.
    pub change: Change,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not in the set, and is now.
    Add,
    /// It was in the set, and is not now.
    Remove,
}

/// The edits of one set as they stand in a delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodedEdits {
    pub(super) adds: (u64, Vec<u8>),
    pub(super) removes: (u64, Vec<u8>),
}

/// The edits that make `to` of `from`.
pub(super) fn find_edits(from: Option<&CompressedSet>, to: Option<&CompressedSet>) -> Vec<Edit> {
    let removed = from.into_iter().flat_map(CompressedSet::iter);
    let added = to.into_iter().flat_map(CompressedSet::iter);
    merge(
        removed.map(|value| Edit { value, change: Change::Remove }),
        added.map(|value| Edit { value, change: Change::Add }),
    )
    .filter_map(Merged::alone)
    .collect()
}

/// The edits that do what `first` and then `second` do. A value that comes and goes, or goes and comes, is not edited.
///
/// # Errors
/// [`SetError::WrongBase`] when both add or both remove a value, so that `second` was made for another set.
pub(super) fn join_edits(first: &[Edit], second: &[Edit]) -> Result<Vec<Edit>, SetError> {
    merge(first.iter().copied(), second.iter().copied())
        .filter_map(|merged| match merged {
            Merged::Both(a, b) if a.change == b.change => Some(Err(SetError::WrongBase)),
            merged => merged.alone().map(Ok),
        })
        .collect()
}

/// How many values a set of `count` has after `edits`; `None` when it would have fewer than none.
pub(super) fn count_after(count: u64, edits: &[Edit]) -> Option<u64> {
    let adds = edits.iter().filter(|edit| edit.change == Change::Add).count();
    let removes = edits.len() - adds;
    (count + adds as u64).checked_sub(removes as u64)
}

impl CodedEdits {
    /// Codes ascending edits of values below `universe`.
    pub(super) fn encode(universe: u64, edits: &[Edit]) -> Result<Self, GolombError> {
        let encode = |change| {
            let values = edits.iter().filter(|edit| edit.change == change);
            let count = values.clone().count() as u64;
            let mut writer = GapWriter::new(universe, count)?;
            values.map(|edit| edit.value).try_for_each(|value| writer.push(value))?;
            Ok((count, writer.finish()?))
        };
        Ok(Self { adds: encode(Change::Add)?, removes: encode(Change::Remove)? })
    }

    /// Reads the edits. Allocates for no more than the bits that are there can stand for, and for each once.
    pub(super) fn decode(&self, universe: u64) -> Result<Vec<Edit>, SetError> {
        let reader = |(count, bytes)| GapReader::new(universe, count, bytes);
        let mut adds = reader((self.adds.0, &self.adds.1))?;
        let mut removes = reader((self.removes.0, &self.removes.1))?;
        let (mut add, mut remove) = (adds.next_value()?, removes.next_value()?);
        let mut edits = Vec::with_capacity((self.adds.0 + self.removes.0) as usize);
        loop {
            let (value, change) = match (add, remove) {
                // Added and removed at once fits no set.
                (Some(a), Some(r)) if a == r => return Err(SetError::WrongBase),
                (Some(a), r) if r.is_none_or(|r| a < r) => (a, Change::Add),
                (_, Some(r)) => (r, Change::Remove),
                _ => break,
            };
            match change {
                Change::Add => add = adds.next_value()?,
                Change::Remove => remove = removes.next_value()?,
            }
            edits.push(Edit { value, change });
        }
        adds.finish()?;
        removes.finish()?;
        Ok(edits)
    }
}

/// An edit of one side, or edits of both sides for one value.
enum Merged {
    One(Edit),
    Both(Edit, Edit),
}

impl Merged {
    fn alone(self) -> Option<Edit> {
        match self {
            Self::One(edit) => Some(edit),
            Self::Both(..) => None,
        }
    }
}

fn merge(
    left: impl Iterator<Item = Edit>,
    right: impl Iterator<Item = Edit>,
) -> impl Iterator<Item = Merged> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => a.value.cmp(&b.value),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => left.next().map(Merged::One),
            Ordering::Greater => right.next().map(Merged::One),
            Ordering::Equal => Some(Merged::Both(left.next()?, right.next()?)),
        }
    })
}
