//! The clock, as an argument: programs pass [`SystemClock`], tests a [`ManualClock`]. Core never asks for the time; hosts
//! read it here and pass it in.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bhyt_core::time::UnixSeconds;

/// Tells the time of day. It may be wrong and it may jump: what depends on it says how.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The time now.
    fn now(&self) -> UnixSeconds;
}

/// The clock of the system. A clock before 1970 reads as zero, which every floor of ours lies above.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixSeconds {
        UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

/// A clock that stands still until it is moved. Clones share one time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    seconds: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: UnixSeconds) -> Self {
        Self { seconds: Arc::new(AtomicU64::new(start.0)) }
    }

    /// Shows `time` from now on, earlier or later.
    pub fn set(&self, time: UnixSeconds) {
        self.seconds.store(time.0, Ordering::SeqCst);
    }

    /// Moves on by `seconds`.
    pub fn advance(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixSeconds {
        UnixSeconds(self.seconds.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_when_told_and_its_clones_with_it() {
        let clock = ManualClock::new(UnixSeconds(100));
        let other = clock.clone();
        clock.advance(20);
        assert_eq!(other.now(), UnixSeconds(120));
        other.set(UnixSeconds(7));
        assert_eq!(clock.now(), UnixSeconds(7));
    }

    #[test]
    fn the_system_clock_is_past_the_writing_of_this_test() {
        assert!(SystemClock.now() > UnixSeconds(1_750_000_000));
    }
}
