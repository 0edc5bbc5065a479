//! Numbers from a seed, so that every run measures the same thing.

use std::collections::BTreeSet;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    /// `count` different numbers below `universe`, ascending.
    pub(crate) fn distinct(&mut self, count: u64, universe: u64) -> Vec<u64> {
        let mut drawn = BTreeSet::new();
        while (drawn.len() as u64) < count {
            drawn.insert(self.below(universe));
        }
        drawn.into_iter().collect()
    }
}

/// lg of the number of ways to give each of `n` cards one standing, `counts` of them a listed one: what no list can beat.
pub(crate) fn lg_multinomial(n: u64, counts: &[u64]) -> f64 {
    let listed: u64 = counts.iter().sum();
    let parts: f64 = counts.iter().map(|count| ln_factorial(*count)).sum();
    (ln_factorial(n) - ln_factorial(n - listed) - parts) / std::f64::consts::LN_2
}

/// Stirling's series; exact to 1e-9 from 10 on, summed below.
fn ln_factorial(n: u64) -> f64 {
    if n < 10 {
        return (2..=n).map(|k| (k as f64).ln()).sum();
    }
    let x = n as f64;
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the definition, counted out in whole numbers.
    #[test]
    fn the_multinomial_is_that_of_small_numbers() {
        let factorial = |n: u64| (1..=u128::from(n)).product::<u128>();
        for (n, counts) in
            [(10, vec![3, 2]), (12, vec![12]), (20, vec![1, 1, 1]), (30, vec![15]), (9, vec![])]
        {
            let rest = n - counts.iter().sum::<u64>();
            let parts: u128 = counts.iter().map(|count| factorial(*count)).product();
            let exact = (factorial(n) / parts / factorial(rest)) as f64;
            let got = lg_multinomial(n, &counts);
            assert!((got - exact.log2()).abs() < 1e-7, "{n} {counts:?}: {got}");
        }
    }

    /// Half of a million bits: a little under a million, by half of lg(π n / 2).
    #[test]
    fn the_multinomial_is_that_of_large_numbers() {
        let (n, expected) = (1_000_000_u64, 1e6 - 0.5 * (std::f64::consts::PI * 5e5).log2());
        assert!((lg_multinomial(n, &[n / 2]) - expected).abs() < 1e-3);
    }

    #[test]
    fn a_seed_gives_the_same_distinct_numbers_in_order() {
        let drawn = Chance::new(7).distinct(1_000, 5_000);
        assert_eq!(drawn, Chance::new(7).distinct(1_000, 5_000));
        assert!(drawn.is_sorted_by(|a, b| a < b) && drawn.len() == 1_000 && drawn.iter().all(|n| *n < 5_000));
    }
}
