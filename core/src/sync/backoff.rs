//! When to try again: exponential with full jitter, honouring what a busy server asked for. No clock: a duration out.

use std::time::Duration;

/// Waits between failed attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// After a success the next wait is short again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure: between half and all of 1 s · 2ⁿ, at most [`WAIT_MAX`], and never less
    /// than the server asked for. `random` is drawn by the caller.
    pub fn after_failure(&mut self, asked: Option<Duration>, random: u64) -> Duration {
        let full = WAIT_MIN.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX)).min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        let half = full / 2;
        let jitter = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
        (half + Duration::from_millis(random % jitter)).max(asked.unwrap_or_default().min(ASKED_MAX))
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// The longest wait of our own; a phone that comes back to a network is told by the app and tries at once.
pub const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

const WAIT_MIN: Duration = Duration::from_secs(1);
const DOUBLINGS_MAX: u32 = 16;
/// A server cannot silence a phone for longer than a day.
const ASKED_MAX: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_start_again_after_success() {
        let mut backoff = Backoff::default();
        let mut last = Duration::ZERO;
        for failure in 0..40 {
            let wait = backoff.after_failure(None, u64::MAX);
            assert!(wait >= last / 2 && wait <= WAIT_MAX, "{failure}: {wait:?}");
            last = wait;
        }
        assert!(last >= WAIT_MAX / 2);
        backoff.reset();
        assert!(backoff.after_failure(None, 7) <= Duration::from_secs(1));
        assert_eq!(backoff.after_failure(Some(Duration::from_secs(90)), 0), Duration::from_secs(90));
        assert_eq!(backoff.after_failure(Some(Duration::MAX), 0), ASKED_MAX);
    }
}
