//! How much a device hands in: each new operation is looked at, merged, signed and stored, so a device may do so only so
//! often. Counted in memory; whoever has used up an hour is told to come again, and loses nothing.

use bhyt_core::keys::KeyId;
use bhyt_core::time::UnixSeconds;

use super::windows::Windows;

/// Operations of each device in its current hour.
#[derive(Debug)]
pub(crate) struct Quotas {
    used: Windows<KeyId>,
}

impl Quotas {
    /// How many new operations of the device are looked at until its hour is over.
    pub(crate) fn left(&self, device: KeyId, now: UnixSeconds) -> u32 {
        self.used.left(&device, OPERATIONS_PER_WINDOW_MAX, now)
    }

    /// Counts operations that were looked at. Two exchanges of one device at the same time may go over by one request.
    pub(crate) fn take(&self, device: KeyId, operations: u32, now: UnixSeconds) {
        self.used.count(device, operations, now);
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self { used: Windows::of(WINDOW_SECONDS) }
    }
}

const WINDOW_SECONDS: u64 = 3_600;
/// A full outbox of edits that were made in a month without network, and again as many.
const OPERATIONS_PER_WINDOW_MAX: u32 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_has_used_up_its_hour_waits_and_others_do_not() {
        let (quotas, now) = (Quotas::default(), UnixSeconds(1_000));
        let device = |number| KeyId([number; 8]);
        quotas.take(device(1), OPERATIONS_PER_WINDOW_MAX - 1, now);
        assert_eq!(quotas.left(device(1), now), 1);
        quotas.take(device(1), 2, now);
        assert_eq!(quotas.left(device(1), now.plus(WINDOW_SECONDS - 1)), 0);
        assert_eq!(quotas.left(device(2), now), OPERATIONS_PER_WINDOW_MAX);
        let later = now.plus(WINDOW_SECONDS);
        assert_eq!(quotas.left(device(1), later), OPERATIONS_PER_WINDOW_MAX);
        quotas.take(device(1), 1, later);
        assert_eq!(quotas.left(device(1), later), OPERATIONS_PER_WINDOW_MAX - 1);
    }
}
