//! What the tests of this folder share: a seeded generator and random ascending sets. No randomness: a seed repeats.

use std::collections::BTreeSet;

use super::build::StatusSets;
use super::list::{Covers, StatusHead};
use super::reason::SetNumber;
use super::version::StatusVersion;
use crate::time::UnixSeconds;

/// A 64-bit linear congruential generator (Knuth's MMIX constants), high half twice.
#[derive(Debug)]
pub(super) struct Lcg(u64);

impl Lcg {
    pub(super) fn new(seed: u64) -> Self {
        let mut generator = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        generator.next_u64();
        generator
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.half() << 32 | self.half()
    }

    /// A value below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// `count` distinct values below `universe`, ascending, each subset equally likely (Floyd).
    pub(super) fn subset(&mut self, universe: u64, count: u64) -> Vec<u64> {
        let mut chosen = BTreeSet::new();
        for top in universe - count..universe {
            let candidate = self.below(top + 1);
            if !chosen.insert(candidate) {
                chosen.insert(top);
            }
        }
        chosen.into_iter().collect()
    }

    fn half(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }
}

/// Bits that tell which of the ways to part `universe` cards into `parts` and the rest it is: the entropy floor.
pub(super) fn floor_bits(universe: u64, parts: &[u64]) -> f64 {
    let rest = universe - parts.iter().sum::<u64>();
    let all: f64 = parts.iter().chain([&rest]).map(|&part| ln_factorial(part)).sum();
    (ln_factorial(universe) - all) / std::f64::consts::LN_2
}

/// Stirling's series, exact to far more digits than any ratio here needs.
fn ln_factorial(n: u64) -> f64 {
    let n = n as f64;
    if n < 2.0 {
        return 0.0;
    }
    n * n.ln() - n + 0.5 * (2.0 * std::f64::consts::PI * n).ln() + 1.0 / (12.0 * n)
}

/// A head of version [1, `number`] at time 1,000 × `number`, without reserved ranges.
pub(super) fn head(number: u64, indexes_below: u64) -> StatusHead {
    let time = UnixSeconds(1_000 * number);
    StatusHead {
        version: StatusVersion { epoch: 1, number },
        time,
        covers: Covers::new(indexes_below, time, Vec::new()).unwrap(),
    }
}

/// Sets in which a share of the cards below `indexes_below` is listed under each number.
pub(super) fn random_sets(random: &mut Lcg, indexes_below: u64, shares: &[(i64, u64)]) -> StatusSets {
    let mut sets = StatusSets::default();
    for &(number, count) in shares {
        let number = SetNumber::new(number).unwrap();
        for value in random.subset(number.universe(indexes_below), count) {
            sets.insert(number, value);
        }
    }
    sets
}
