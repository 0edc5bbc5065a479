//! Where to enter the compressed bytes of a set without reading them from the start: every so many values, the place
//! of the next code. Made when a set is loaded or built, never stored, and bounded over all sets of a list.

use super::golomb::UNIVERSE_MAX;
use crate::limits::{STATUS_BYTES_MAX, STATUS_SKIP_BYTES_MAX};

/// How many skip entries each of sets with these `counts` gets, so that all tables together stay within
/// [`STATUS_SKIP_BYTES_MAX`]. A question asks every set, and what it walks in one set is count over entries: the sum
/// is least when entries go by the square root of the count.
pub(super) fn share_skips(counts: &[u64]) -> impl Iterator<Item = usize> + '_ {
    let all = counts.iter().map(|count| count.isqrt()).sum::<u64>().max(1);
    counts.iter().map(move |count| (SKIPS_MAX * count.isqrt() / all) as usize)
}

/// Every `stride` values: where the next code starts, and the least value it can stand for.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SkipTable {
    stride: u64,
    entries: Vec<u64>,
    /// While it is made: values until the next entry.
    left: u64,
}

impl SkipTable {
    /// For a set of `count` values; at most `skips_max` entries of 8 bytes.
    pub(super) fn for_count(count: u64, skips_max: usize) -> Self {
        // The beginning needs no entry, so this stride gives at most `skips_max`.
        let stride = count.div_ceil(skips_max as u64 + 1).max(STRIDE_MIN);
        let entries = Vec::with_capacity((count.saturating_sub(1) / stride) as usize);
        Self { stride, entries, left: stride }
    }

    /// To be called before each value, with its place.
    #[inline]
    pub(super) fn step(&mut self, place: impl FnOnce() -> (u64, u64)) {
        if self.left == 0 {
            let (position_bits, floor) = place();
            self.entries.push(floor << POSITION_BITS | position_bits);
            self.left = self.stride;
        }
        self.left -= 1;
    }

    /// The last entry before whose values all are below `value`: how many those are, and the place behind them.
    pub(super) fn place_before(&self, value: u64) -> Option<(u64, (u64, u64))> {
        let after = self.entries.partition_point(|&entry| entry >> POSITION_BITS <= value);
        let entry = *self.entries.get(after.checked_sub(1)?)?;
        let place = (entry & ((1 << POSITION_BITS) - 1), entry >> POSITION_BITS);
        Some((after as u64 * self.stride, place))
    }

    /// Memory of the entries.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<u64>()
    }
}

const SKIPS_MAX: u64 = (STATUS_SKIP_BYTES_MAX / size_of::<u64>()) as u64;
/// Gaps are read in no time up to here.
const STRIDE_MIN: u64 = 32;
/// Low bits of a skip entry; the value has the others.
const POSITION_BITS: u32 = 28;
const _: () = assert!(STATUS_BYTES_MAX as u64 * 8 < 1 << POSITION_BITS);
const _: () = assert!(UNIVERSE_MAX.ilog2() + POSITION_BITS <= 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_within_the_memory() {
        for counts in [vec![], vec![0], vec![1, 0], vec![950_000; 9], vec![1, 1 << 24, 77], vec![1 << 24; 23]]
        {
            let bytes = share_skips(&counts).sum::<usize>() * 8;
            assert!(bytes <= STATUS_SKIP_BYTES_MAX, "{counts:?}");
        }
    }
}
