//! Counts of what each source did in its current window of time, in memory: what [`super::attempts`] and
//! [`super::quotas`] go by. Bounded: with too many sources the windows that are over go, and then all; a restart forgets.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use bhyt_core::time::UnixSeconds;

/// A count for each source.
#[derive(Debug)]
pub(crate) struct Windows<K> {
    seconds: u64,
    counts: Mutex<HashMap<K, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: UnixSeconds,
    count: u32,
}

impl<K: Eq + Hash> Windows<K> {
    /// Windows of so many seconds, each from its source's first count on.
    pub(crate) fn of(seconds: u64) -> Self {
        Self { seconds, counts: Mutex::default() }
    }

    /// Counts so many more in the source's window.
    pub(crate) fn count(&self, source: K, more: u32, now: UnixSeconds) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= SOURCES_MAX {
            counts.retain(|_, window| now.since(window.since) < self.seconds);
        }
        if counts.len() >= SOURCES_MAX {
            counts.clear();
        }
        let window = counts.entry(source).or_insert(Window { since: now, count: 0 });
        if now.since(window.since) >= self.seconds {
            *window = Window { since: now, count: 0 };
        }
        window.count = window.count.saturating_add(more);
    }

    /// How many are left of `limit` in the source's window.
    pub(crate) fn left(&self, source: &K, limit: u32, now: UnixSeconds) -> u32 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let window = counts.get(source).filter(|window| now.since(window.since) < self.seconds);
        window.map_or(limit, |window| limit.saturating_sub(window.count))
    }

    /// Seconds until the window ends of a source that has reached `limit` in it.
    pub(crate) fn wait(&self, source: &K, limit: u32, now: UnixSeconds) -> Option<u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let window = counts.get(source).filter(|window| window.count >= limit)?;
        self.seconds.checked_sub(now.since(window.since)).filter(|&left| left > 0)
    }
}

/// Sources remembered.
const SOURCES_MAX: usize = 65_536;
