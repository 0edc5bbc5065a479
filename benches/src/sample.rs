//! What many measurements say: medians, percentiles, and two things measured in turn.

use std::time::Duration;

/// The median of what was measured; not a number of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The least value that so many percent do not exceed (nearest rank); not a number of nothing.
pub(crate) fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Two things measured in turn, A B A B …, so that both see the same machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs {
    pairs: Vec<(f64, f64)>,
}

impl Pairs {
    /// What ours and what the limit took, one after the other.
    pub(crate) fn add(&mut self, ours: Duration, limit: Duration) {
        self.pairs.push((ours.as_secs_f64(), limit.as_secs_f64()));
    }

    /// The median of the ratios of neighbours. Not the ratio of the medians: a machine that slows down half way changes
    /// that one, and not this.
    pub(crate) fn ratio(&self) -> f64 {
        median(&self.pairs.iter().map(|(ours, limit)| ours / limit).collect::<Vec<_>>())
    }

    /// The median of the ratios of rates: how much of the limit's rate ours reaches.
    pub(crate) fn rate_ratio(&self) -> f64 {
        median(&self.pairs.iter().map(|(ours, limit)| limit / ours).collect::<Vec<_>>())
    }

    /// The median of what the limit took, in seconds.
    pub(crate) fn limit(&self) -> f64 {
        median(&self.pairs.iter().map(|(_, limit)| *limit).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let of = |percent| percentile(&values, percent);
        assert_eq!((of(50.0), of(99.0), of(100.0), of(0.0)), (50.0, 99.0, 100.0, 1.0));
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_machine_that_slows_down_changes_no_ratio() {
        let mut pairs = Pairs::default();
        for slowness in [1, 1, 1, 10, 10, 10, 10] {
            pairs.add(Duration::from_millis(3 * slowness), Duration::from_millis(2 * slowness));
        }
        assert!((pairs.ratio() - 1.5).abs() < 1e-9 && (pairs.rate_ratio() - 2.0 / 3.0).abs() < 1e-9);
        assert!((pairs.limit() - 0.02).abs() < 1e-9);
    }
}
