//! What a renewal changes of a bundle's policy: how old a list may be, how far a proof may lie off, how long an expired
//! bundle counts. What is not given stays as it is. Every terminal judges by it from its next sync on.
//!
//! Refuses values that no service could run with, and a list that would be too old before it stops being fresh.

use bhyt_core::trust::Policy;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde::Serialize;

/// A change of policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct PolicyChange {
    /// Hours up to which a status list is fresh, 1 to 720; 24 at first.
    #[arg(long, value_name = "HOURS", value_parser = range(1, 720))]
    pub fresh_hours: Option<u64>,
    /// Days after which a status list decides nothing any more, 1 to 400; 30 at first.
    #[arg(long, value_name = "DAYS", value_parser = range(1, 400))]
    pub stale_days: Option<u64>,
    /// Seconds that a phone's proof may be old, 30 to 3600; 120 at first.
    #[arg(long, value_name = "SECONDS", value_parser = range(30, 3_600))]
    pub proof_age: Option<u64>,
    /// Seconds that a phone's clock may be ahead, 0 to 3600; 60 at first.
    #[arg(long, value_name = "SECONDS", value_parser = range(0, 3_600))]
    pub proof_ahead: Option<u64>,
    /// Days that an expired bundle still counts, 0 to 3650; 180 at first.
    #[arg(long, value_name = "DAYS", value_parser = range(0, 3_650))]
    pub grace_days: Option<u64>,
}

impl PolicyChange {
    /// The policy after the change; `None` when a list would be too old before it stops being fresh.
    pub fn apply(&self, held: Policy) -> Option<Policy> {
        let policy = Policy {
            fresh_seconds: self.fresh_hours.map_or(held.fresh_seconds, |hours| hours * 3_600),
            stale_seconds: self.stale_days.map_or(held.stale_seconds, |days| days * 86_400),
            proof_age_seconds: self.proof_age.unwrap_or(held.proof_age_seconds),
            proof_ahead_seconds: self.proof_ahead.unwrap_or(held.proof_ahead_seconds),
            trust_grace_seconds: self.grace_days.map_or(held.trust_grace_seconds, |days| days * 86_400),
        };
        (policy.fresh_seconds <= policy.stale_seconds).then_some(policy)
    }
}

/// A policy, as reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyReport {
    /// A list this old or younger is fresh.
    pub fresh_seconds: u64,
    /// An older list than this decides nothing.
    pub stale_seconds: u64,
    /// A proof may lie this far in the past.
    pub proof_age_seconds: u64,
    /// A proof may lie this far in the future.
    pub proof_ahead_seconds: u64,
    /// A bundle counts this long after it expired.
    pub trust_grace_seconds: u64,
}

impl From<Policy> for PolicyReport {
    fn from(policy: Policy) -> Self {
        let Policy {
            fresh_seconds,
            stale_seconds,
            proof_age_seconds,
            proof_ahead_seconds,
            trust_grace_seconds,
        } = policy;
        Self { fresh_seconds, stale_seconds, proof_age_seconds, proof_ahead_seconds, trust_grace_seconds }
    }
}

impl PolicyReport {
    /// In one line.
    pub fn describe(&self) -> String {
        format!(
            "lists fresh {} h, good {} d; proofs {} s old to {} s ahead; expired bundles {} d",
            self.fresh_seconds / 3_600,
            self.stale_seconds / 86_400,
            self.proof_age_seconds,
            self.proof_ahead_seconds,
            self.trust_grace_seconds / 86_400,
        )
    }
}

fn range(min: u64, max: u64) -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(min..=max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays() {
        let held = Policy::default();
        assert_eq!(PolicyChange::default().apply(held), Some(held));
        let change = PolicyChange { stale_days: Some(14), proof_age: Some(90), ..PolicyChange::default() };
        let policy = Policy { stale_seconds: 14 * 86_400, proof_age_seconds: 90, ..held };
        assert_eq!(change.apply(held), Some(policy));
        let expected = "lists fresh 24 h, good 14 d; proofs 90 s old to 60 s ahead; expired bundles 180 d";
        assert_eq!(PolicyReport::from(policy).describe(), expected);
    }

    #[test]
    fn a_list_is_not_too_old_while_it_is_fresh() {
        let change = |fresh_hours, stale_days| PolicyChange {
            fresh_hours: Some(fresh_hours),
            stale_days: Some(stale_days),
            ..PolicyChange::default()
        };
        assert!(change(48, 2).apply(Policy::default()).is_some());
        assert_eq!(change(49, 2).apply(Policy::default()), None);
    }
}
