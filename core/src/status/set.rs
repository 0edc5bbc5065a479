//! A set of values that stays compressed in memory: Golomb-coded gaps, and a skip table made when it is loaded.
//!
//! Promises: bytes are read through once before anything is asked, so a set that exists is whole and canonical; a
//! question walks at most one stride of gaps; a change is merged in one pass, and one that does not fit the set it is
//! applied to is refused. Refuses more than [`STATUS_ENTRIES_MAX`] values or [`STATUS_BYTES_MAX`] bytes.

use super::golomb::{GapReader, GapWriter, GolombError, UNIVERSE_MAX};
use crate::limits::{STATUS_BYTES_MAX, STATUS_ENTRIES_MAX, STATUS_SKIP_BYTES_MAX};

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
    pub fn decode(
        universe: u64,
        count: u64,
        bytes: Vec<u8>,
        skips_max: usize,
    ) -> Result<Self, SetError> {
        check_count(count)?;
        check_bytes(bytes.len())?;
        let mut skips = SkipTable::for_count(count, skips_max);
        let mut reader = GapReader::new(universe, count, &bytes)?;
        for _ in 0..count {
            skips.step(|| reader.place());
            reader.next_value()?;
        }
        reader.finish()?;
        Ok(Self {
            universe,
            count,
            bytes,
            skips,
        })
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

    /// This set with `adds` and without `removes` (both strictly ascending), coded anew below `universe`, with at
    /// most `skips_max` skip entries. One pass, this set is left as it is.
    ///
    /// # Errors
    /// [`SetError::WrongBase`] when an add is in the set already or a remove is not; else as
    /// [`CompressedSet::from_values`].
    pub fn apply(
        &self,
        universe: u64,
        skips_max: usize,
        adds: &[u64],
        removes: &[u64],
    ) -> Result<Self, SetError> {
        let count = (self.count + adds.len() as u64)
            .checked_sub(removes.len() as u64)
            .ok_or(SetError::WrongBase)?;
        let mut writer = SetWriter::new(universe, count, skips_max)?;
        // The count goes by what the change says; another number of values is a change that does not fit.
        let mut push = |value| match writer.push(value) {
            Err(SetError::Coding(GolombError::Count)) => Err(SetError::WrongBase),
            other => other,
        };
        let mut adds = adds.iter().copied().peekable();
        let mut removes = removes.iter().copied().peekable();
        for value in self.iter() {
            while let Some(add) = adds.next_if(|&add| add <= value) {
                if add == value {
                    return Err(SetError::WrongBase);
                }
                push(add)?;
            }
            match removes.next_if(|&remove| remove <= value) {
                None => push(value)?,
                Some(remove) if remove == value => {}
                Some(_) => return Err(SetError::WrongBase),
            }
        }
        if removes.next().is_some() {
            return Err(SetError::WrongBase);
        }
        adds.try_for_each(|add| push(add))?;
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
        self.skips.entries.capacity() * size_of::<u64>()
    }

    /// A reader at the last stretch that begins at or before `value`.
    fn reader_before(&self, value: u64) -> Option<GapReader<'_>> {
        let reader = GapReader::new(self.universe, self.count, &self.bytes).ok()?;
        let after = self
            .skips
            .entries
            .partition_point(|&entry| unpack_skip(entry).1 <= value);
        let Some(&entry) = after
            .checked_sub(1)
            .and_then(|at| self.skips.entries.get(at))
        else {
            return Some(reader);
        };
        let left = self.count - after as u64 * self.skips.stride;
        Some(reader.resume(unpack_skip(entry), left, &self.bytes))
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

/// How many skip entries each of sets with these `counts` gets, so that all tables together stay within
/// [`STATUS_SKIP_BYTES_MAX`]. A question asks every set, and what it walks in one set is count over entries: the sum
/// is least when entries go by the square root of the count.
pub(super) fn share_skips(counts: &[u64]) -> impl Iterator<Item = usize> + '_ {
    let all = counts.iter().map(|count| count.isqrt()).sum::<u64>().max(1);
    counts
        .iter()
        .map(move |count| (SKIPS_MAX * count.isqrt() / all) as usize)
}

/// Every `stride` values: where the next code starts, and the least value it can stand for.
#[derive(Clone, PartialEq, Eq)]
struct SkipTable {
    stride: u64,
    entries: Vec<u64>,
    /// While it is made: values until the next entry.
    left: u64,
}

impl SkipTable {
    fn for_count(count: u64, skips_max: usize) -> Self {
        // The beginning needs no entry, so this stride gives at most `skips_max`.
        let stride = count.div_ceil(skips_max as u64 + 1).max(STRIDE_MIN);
        let entries = Vec::with_capacity((count.saturating_sub(1) / stride) as usize);
        Self {
            stride,
            entries,
            left: stride,
        }
    }

    /// To be called before each value, with its place.
    #[inline]
    fn step(&mut self, place: impl FnOnce() -> (u64, u64)) {
        if self.left == 0 {
            let (position_bits, floor) = place();
            self.entries.push(floor << POSITION_BITS | position_bits);
            self.left = self.stride;
        }
        self.left -= 1;
    }
}

/// Position in bits, and least value to come.
fn unpack_skip(entry: u64) -> (u64, u64) {
    (entry & ((1 << POSITION_BITS) - 1), entry >> POSITION_BITS)
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
        Ok(Self {
            universe,
            count,
            gaps: GapWriter::new(universe, count)?,
            skips,
        })
    }

    #[inline]
    fn push(&mut self, value: u64) -> Result<(), SetError> {
        self.skips.step(|| self.gaps.place());
        Ok(self.gaps.push(value)?)
    }

    fn finish(self) -> Result<CompressedSet, SetError> {
        let bytes = self.gaps.finish()?;
        check_bytes(bytes.len())?;
        let Self {
            universe,
            count,
            skips,
            ..
        } = self;
        Ok(CompressedSet {
            universe,
            count,
            bytes,
            skips,
        })
    }
}

fn check_count(count: u64) -> Result<(), SetError> {
    if count > STATUS_ENTRIES_MAX {
        Err(SetError::TooMany { count })
    } else {
        Ok(())
    }
}

fn check_bytes(bytes: usize) -> Result<(), SetError> {
    if bytes > STATUS_BYTES_MAX {
        Err(SetError::TooLarge { bytes })
    } else {
        Ok(())
    }
}

const SKIPS_MAX: u64 = (STATUS_SKIP_BYTES_MAX / size_of::<u64>()) as u64;
/// Gaps are read in no time up to here.
const STRIDE_MIN: u64 = 32;
/// Low bits of a skip entry; the value has the others.
const POSITION_BITS: u32 = 28;
const _: () = assert!(STATUS_BYTES_MAX as u64 * 8 <= (1 << POSITION_BITS) - 1);
const _: () = assert!(UNIVERSE_MAX.ilog2() + POSITION_BITS <= 64);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::status::testing::Lcg;

    fn make(universe: u64, values: &[u64], skips_max: usize) -> CompressedSet {
        let count = values.len() as u64;
        CompressedSet::from_values(universe, count, skips_max, values.iter().copied()).unwrap()
    }

    #[test]
    fn a_set_answers_as_a_plain_one() {
        let mut random = Lcg::new(10);
        for (universe, count, skips_max) in [
            (1, 0, 0),
            (1, 1, 9),
            (500, 64, 1),
            (500, 499, 3),
            (100_000, 3_000, 7),
            (UNIVERSE_MAX, 999, 99),
        ] {
            let values = random.subset(universe, count);
            let plain: BTreeSet<u64> = values.iter().copied().collect();
            let set = make(universe, &values, skips_max);
            assert!(set.skip_bytes() <= skips_max * 8);
            let loaded = CompressedSet::decode(universe, count, set.bytes().to_vec(), skips_max);
            assert_eq!(loaded.as_ref(), Ok(&set));
            assert!(set.iter().eq(values.iter().copied()));
            let near = values
                .iter()
                .flat_map(|&value| [value.saturating_sub(1), value, value + 1]);
            let others: Vec<u64> = (0..500)
                .map(|_| random.below(universe))
                .chain([universe])
                .collect();
            for value in near.chain(others) {
                assert_eq!(set.contains(value), plain.contains(&value));
                assert_eq!(set.next_from(value), plain.range(value..).next().copied());
            }
        }
    }

    #[test]
    fn a_change_makes_the_set_that_is_built_anew() {
        let mut random = Lcg::new(11);
        for (count, adds, removes) in [(0, 0, 0), (0, 50, 0), (50, 0, 50), (900, 70, 30), (1, 1, 1)]
        {
            let mut pool = random.subset(10_000, count + adds);
            let adds: Vec<u64> = (0..adds)
                .map(|_| pool.remove(random.below(pool.len() as u64) as usize))
                .collect();
            let adds: BTreeSet<u64> = adds.into_iter().collect();
            let set = make(10_000, &pool, 5);
            let removes: Vec<u64> = random
                .subset(count.max(1), removes)
                .into_iter()
                .map(|at| pool[at as usize])
                .collect();
            let mut after: BTreeSet<u64> = pool.iter().copied().collect();
            after.extend(&adds);
            after.retain(|value| !removes.contains(value));
            let adds: Vec<u64> = adds.into_iter().collect();
            let after: Vec<u64> = after.into_iter().collect();
            assert_eq!(
                set.apply(20_000, 6, &adds, &removes),
                Ok(make(20_000, &after, 6))
            );
        }
    }

    #[test]
    fn a_change_for_another_set_is_refused() {
        let set = make(100, &[10, 20, 30], 0);
        let refused = |adds: &[u64], removes: &[u64]| {
            assert_eq!(
                set.apply(100, 0, adds, removes),
                Err(SetError::WrongBase),
                "{adds:?} {removes:?}"
            );
        };
        refused(&[10], &[]);
        refused(&[5, 30], &[]);
        refused(&[], &[9]);
        refused(&[], &[10, 31]);
        refused(&[40], &[40]);
        refused(&[], &[1, 2, 3, 4]);
        assert_eq!(
            set.apply(100, 0, &[5, 4], &[]),
            Err(GolombError::NotAscending.into())
        );
        assert_eq!(
            set.apply(30, 0, &[], &[]),
            Err(GolombError::OutsideUniverse.into())
        );
    }

    #[test]
    fn bounds_come_before_bytes() {
        let count = STATUS_ENTRIES_MAX + 1;
        assert_eq!(
            CompressedSet::decode(1 << 36, count, vec![], 0),
            Err(SetError::TooMany { count })
        );
        let bytes = STATUS_BYTES_MAX + 1;
        assert_eq!(
            CompressedSet::decode(9, 1, vec![0; bytes], 0),
            Err(SetError::TooLarge { bytes })
        );
        assert_eq!(
            CompressedSet::decode(9, 9, vec![1], 0),
            Err(GolombError::Truncated.into())
        );
    }

    #[test]
    fn shares_stay_within_the_memory() {
        for counts in [
            vec![],
            vec![0],
            vec![1, 0],
            vec![950_000; 9],
            vec![1, 1 << 24, 77],
            vec![1 << 24; 23],
        ] {
            let bytes = share_skips(&counts).sum::<usize>() * 8;
            assert!(bytes <= STATUS_SKIP_BYTES_MAX, "{counts:?}");
        }
    }
}
