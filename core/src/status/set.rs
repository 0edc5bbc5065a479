//! A set of values that stays compressed in memory: Golomb-coded gaps, and a skip table made when it is loaded.
//!
//! Promises: bytes are read through once before anything is asked, so a set that exists is whole and canonical; a
//! question walks at most one stride of gaps; a change is merged in one pass, and one that does not fit the set it is
//! applied to is refused. Refuses more than [`STATUS_ENTRIES_MAX`] values or [`STATUS_BYTES_MAX`] bytes.

use super::edit::{Change, Edit, count_after};
use super::golomb::{GapReader, GapWriter, GolombError};
use super::skip::SkipTable;
use crate::limits::{STATUS_BYTES_MAX, STATUS_ENTRIES_MAX};

/// Why bytes are no set, or a change does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The values do not code, or the bytes are no canonical code.
    #[error("coding of a status set")]
    Coding(#[from] GolombError),
    /// More values than [`STATUS_ENTRIES_MAX`].
    #[error("{count} values, at most {STATUS_ENTRIES_MAX}")]
    TooMany {
        /// The values announced.
        count: u64,
    },
    /// More bytes than [`STATUS_BYTES_MAX`].
    #[error("{bytes} bytes, at most {STATUS_BYTES_MAX}")]
    TooLarge {
        /// The bytes found.
        bytes: usize,
    },
    /// A change adds what is there, or removes what is not.
    #[error("the change was made for another set")]
    WrongBase,
}

/// A set of values below a universe, asked in its compressed form.
#[derive(Clone, PartialEq, Eq)]
pub struct CompressedSet {
    universe: u64,
    count: u64,
    bytes: Vec<u8>,
    skips: SkipTable,
}

impl CompressedSet {
    /// Loads `count` values below `universe` from their canonical `bytes`, reading all of them once (about 4 ms a
    /// million), and keeps at most `skips_max` skip entries of 8 bytes.
    ///
    /// # Errors
    /// [`SetError::TooMany`] and [`SetError::TooLarge`] before anything is read; [`SetError::Coding`] for bytes that
    /// [`GapWriter`] would not have written.
    pub fn decode(universe: u64, count: u64, bytes: Vec<u8>, skips_max: usize) -> Result<Self, SetError> {
        check_count(count)?;
        check_bytes(bytes.len())?;
        let mut skips = SkipTable::for_count(count, skips_max);
        let mut reader = GapReader::new(universe, count, &bytes)?;
        for _ in 0..count {
            skips.step(|| reader.place());
            reader.next_value()?;
        }
        reader.finish()?;
        Ok(Self { universe, count, bytes, skips })
    }

    /// Codes `count` ascending `values` below `universe`, with at most `skips_max` skip entries.
    ///
    /// # Errors
    /// [`SetError::TooMany`]; [`SetError::TooLarge`]; [`SetError::Coding`] when the values do not ascend, are not
    /// below the universe, or are not `count`.
    pub fn from_values(
        universe: u64,
        count: u64,
        skips_max: usize,
        values: impl IntoIterator<Item = u64>,
    ) -> Result<Self, SetError> {
        let mut writer = SetWriter::new(universe, count, skips_max)?;
        for value in values {
            writer.push(value)?;
        }
        writer.finish()
    }

    /// No values, below `universe`.
    pub(super) fn empty(universe: u64) -> Self {
        Self { universe, count: 0, bytes: Vec::new(), skips: SkipTable::for_count(0, 0) }
    }

    /// This set after `edits` (strictly ascending), coded anew below `universe`, with at most `skips_max` skip
    /// entries. One pass; this set is left as it is.
    ///
    /// # Errors
    /// [`SetError::WrongBase`] when an added value is in the set already or a removed one is not; else as
    /// [`CompressedSet::from_values`].
    pub fn apply(&self, universe: u64, skips_max: usize, edits: &[Edit]) -> Result<Self, SetError> {
        let count = count_after(self.count, edits).ok_or(SetError::WrongBase)?;
        let mut writer = SetWriter::new(universe, count, skips_max)?;
        // The count goes by what the edits say; another number of values comes of edits that do not fit.
        let mut push = |value| match writer.push(value) {
            Err(SetError::Coding(GolombError::Count)) => Err(SetError::WrongBase),
            other => other,
        };
        let mut edits = edits.iter().peekable();
        for value in self.iter() {
            while let Some(edit) = edits.next_if(|edit| edit.value < value) {
                push(added(edit)?)?;
            }
            match edits.next_if(|edit| edit.value == value) {
                None => push(value)?,
                Some(Edit { change: Change::Remove, .. }) => {}
                Some(_) => return Err(SetError::WrongBase),
            }
        }
        for edit in edits {
            push(added(edit)?)?;
        }
        writer.finish()
    }

    /// Whether `value` is in the set.
    pub fn contains(&self, value: u64) -> bool {
        self.next_from(value) == Some(value)
    }

    /// The least value of the set that is not below `from`.
    pub fn next_from(&self, from: u64) -> Option<u64> {
        let mut reader = self.reader_before(from)?;
        while let Ok(Some(value)) = reader.next_value() {
            if value >= from {
                return Some(value);
            }
        }
        None
    }

    /// The values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let mut reader = GapReader::new(self.universe, self.count, &self.bytes).ok();
        // Read through when it was made, so no error is left to come.
        std::iter::from_fn(move || reader.as_mut()?.next_value().ok().flatten())
    }

    /// Values are below this.
    pub fn universe(&self) -> u64 {
        self.universe
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The canonical bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Memory of the skip table, in bytes.
    pub fn skip_bytes(&self) -> usize {
        self.skips.bytes()
    }

    /// A reader at the last stretch that begins at or before `value`.
    fn reader_before(&self, value: u64) -> Option<GapReader<'_>> {
        let reader = GapReader::new(self.universe, self.count, &self.bytes).ok()?;
        Some(match self.skips.place_before(value) {
            Some((passed, place)) => reader.resume(place, self.count - passed, &self.bytes),
            None => reader,
        })
    }
}

impl std::fmt::Debug for CompressedSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompressedSet")
            .field("universe", &self.universe)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// The value of an edit that meets no value of the set.
fn added(edit: &Edit) -> Result<u64, SetError> {
    match edit.change {
        Change::Add => Ok(edit.value),
        Change::Remove => Err(SetError::WrongBase),
    }
}

/// Codes values and notes the skip entries on the way.
struct SetWriter {
    universe: u64,
    count: u64,
    gaps: GapWriter,
    skips: SkipTable,
}

impl SetWriter {
    fn new(universe: u64, count: u64, skips_max: usize) -> Result<Self, SetError> {
        check_count(count)?;
        let skips = SkipTable::for_count(count, skips_max);
        Ok(Self { universe, count, gaps: GapWriter::new(universe, count)?, skips })
    }

    #[inline]
    fn push(&mut self, value: u64) -> Result<(), SetError> {
        self.skips.step(|| self.gaps.place());
        Ok(self.gaps.push(value)?)
    }

    fn finish(self) -> Result<CompressedSet, SetError> {
        let bytes = self.gaps.finish()?;
        check_bytes(bytes.len())?;
        let Self { universe, count, skips, .. } = self;
        Ok(CompressedSet { universe, count, bytes, skips })
    }
}

fn check_count(count: u64) -> Result<(), SetError> {
    if count > STATUS_ENTRIES_MAX { Err(SetError::TooMany { count }) } else { Ok(()) }
}

fn check_bytes(bytes: usize) -> Result<(), SetError> {
    if bytes > STATUS_BYTES_MAX { Err(SetError::TooLarge { bytes }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::status::edit::find_edits;
    use crate::status::golomb::UNIVERSE_MAX;
    use crate::status::testing::Lcg;

    fn make(universe: u64, values: &[u64], skips_max: usize) -> CompressedSet {
        let count = values.len() as u64;
        CompressedSet::from_values(universe, count, skips_max, values.iter().copied()).unwrap()
    }

    #[test]
    fn a_set_answers_as_a_plain_one() {
        let mut random = Lcg::new(10);
        for (universe, count, skips_max) in
            [(1, 0, 0), (1, 1, 9), (500, 64, 1), (500, 499, 3), (100_000, 3_000, 7), (UNIVERSE_MAX, 999, 99)]
        {
            let values = random.subset(universe, count);
            let plain: BTreeSet<u64> = values.iter().copied().collect();
            let set = make(universe, &values, skips_max);
            assert!(set.skip_bytes() <= skips_max * 8);
            let loaded = CompressedSet::decode(universe, count, set.bytes().to_vec(), skips_max);
            assert_eq!(loaded.as_ref(), Ok(&set));
            assert!(set.iter().eq(values.iter().copied()));
            let near = values.iter().flat_map(|&value| [value.saturating_sub(1), value, value + 1]);
            let others: Vec<u64> = (0..500).map(|_| random.below(universe)).chain([universe]).collect();
            for value in near.chain(others) {
                assert_eq!(set.contains(value), plain.contains(&value));
                assert_eq!(set.next_from(value), plain.range(value..).next().copied());
            }
        }
    }

    #[test]
    fn edits_make_the_set_that_is_built_anew() {
        let mut random = Lcg::new(11);
        for (before, after) in [(0, 0), (0, 50), (50, 0), (900, 940), (1, 1), (1_000, 3)] {
            let before = make(10_000, &random.subset(10_000, before), 5);
            let after = make(20_000, &random.subset(20_000, after), 6);
            let edits = find_edits(Some(&before), Some(&after));
            assert_eq!(before.apply(20_000, 6, &edits), Ok(after));
        }
    }

    #[test]
    fn edits_for_another_set_are_refused() {
        let set = make(100, &[10, 20, 30], 0);
        let apply = |universe, edits: &[(u64, Change)]| {
            let edits: Vec<Edit> = edits.iter().map(|&(value, change)| Edit { value, change }).collect();
            set.apply(universe, 0, &edits)
        };
        use Change::{Add, Remove};
        for edits in [
            &[(10, Add)][..],
            &[(5, Add), (30, Add)],
            &[(9, Remove)],
            &[(10, Remove), (31, Remove)],
            &[(40, Add), (40, Remove)],
            &[(1, Remove), (2, Remove), (3, Remove), (4, Remove)],
        ] {
            assert_eq!(apply(100, edits), Err(SetError::WrongBase), "{edits:?}");
        }
        assert_eq!(apply(100, &[(5, Add), (4, Add)]), Err(GolombError::NotAscending.into()));
        assert_eq!(apply(30, &[]), Err(GolombError::OutsideUniverse.into()));
    }

    #[test]
    fn bounds_come_before_bytes() {
        let count = STATUS_ENTRIES_MAX + 1;
        assert_eq!(CompressedSet::decode(1 << 36, count, vec![], 0), Err(SetError::TooMany { count }));
        let bytes = STATUS_BYTES_MAX + 1;
        assert_eq!(CompressedSet::decode(9, 1, vec![0; bytes], 0), Err(SetError::TooLarge { bytes }));
        assert_eq!(CompressedSet::decode(9, 9, vec![1], 0), Err(GolombError::Truncated.into()));
    }
}
