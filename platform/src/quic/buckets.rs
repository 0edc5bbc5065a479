//! Token buckets for many keys in bounded memory. Pure: the time is an argument.
//!
//! A bucket is one instant, the moment when it would be full again (the "generic cell rate algorithm"). Keys live
//! in two generations: a full young one becomes the old one, and the old one is forgotten. So a flood of keys
//! costs no scan, and whoever is forgotten early merely starts with a full bucket.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::time::{Duration, Instant};

/// Token buckets of one size for keys `K`.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    /// Time one token takes to come back.
    interval: Duration,
    burst: u32,
    generation_max: usize,
    young: HashMap<K, Instant>,
    old: HashMap<K, Instant>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// `per_second` and `burst` are at least 1; at most `remembered_max` keys are kept, rounded up to 2.
    pub(super) fn new(per_second: u32, burst: u32, remembered_max: usize) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            burst: burst.max(1),
            generation_max: (remembered_max / 2).max(1),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// Takes a token, from the whole bucket.
    pub(super) fn take(&mut self, key: K, now: Instant) -> bool {
        self.take_up_to(self.burst, key, now)
    }

    /// Takes a token, from the upper half of the bucket only.
    pub(super) fn take_from_upper_half(&mut self, key: K, now: Instant) -> bool {
        self.take_up_to(self.burst.div_ceil(2), key, now)
    }

    fn take_up_to(&mut self, tokens: u32, key: K, now: Instant) -> bool {
        let known = self.young.get(&key).copied().or_else(|| self.old.get(&key).copied());
        let full_at = known.unwrap_or(now).max(now);
        let next_full_at = full_at + self.interval;
        if next_full_at.duration_since(now) > self.interval * tokens {
            return false;
        }
        if self.young.len() >= self.generation_max && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, next_full_at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let (mut buckets, start) = (Buckets::new(10, 5, 100), Instant::now());
        let taken = |buckets: &mut Buckets<u8>, now| (0..100).filter(|_| buckets.take(1, now)).count();
        assert_eq!(taken(&mut buckets, start), 5);
        assert_eq!(taken(&mut buckets, start), 0);
        assert_eq!(taken(&mut buckets, start + Duration::from_millis(300)), 3);
        assert_eq!(taken(&mut buckets, start + Duration::from_secs(60)), 5);
    }

    #[test]
    fn the_lower_half_is_kept_for_the_proven() {
        let (mut buckets, now) = (Buckets::new(1, 6, 100), Instant::now());
        assert_eq!((0..100).filter(|_| buckets.take_from_upper_half(1, now)).count(), 3);
        assert_eq!((0..100).filter(|_| buckets.take(1, now)).count(), 3);
    }

    #[test]
    fn keys_do_not_share() {
        let (mut buckets, now) = (Buckets::new(1, 1, 100), Instant::now());
        assert!(buckets.take(1, now));
        assert!(buckets.take(2, now));
        assert!(!buckets.take(1, now));
    }

    #[test]
    fn memory_is_bounded_and_the_lately_seen_are_remembered() {
        let (mut buckets, now) = (Buckets::new(1, 1, 1_000), Instant::now());
        for key in 0..10_000_u32 {
            assert!(buckets.take(key, now));
            assert!(buckets.young.len() + buckets.old.len() <= 1_000);
        }
        assert!((9_600..10_000).all(|key| !buckets.take(key, now)));
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_gives_nothing_away() {
        let (mut buckets, start) = (Buckets::new(1, 2, 10), Instant::now() + Duration::from_secs(100));
        assert!(buckets.take(1, start));
        assert!(!buckets.take(1, start - Duration::from_secs(50)));
    }
}
