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
    /// Counts one operation more; false when the device has used up its hour.
    pub(crate) fn take(&self, device: KeyId, now: UnixSeconds) -> bool {
        self.used.count(device, now) <= OPERATIONS_PER_WINDOW_MAX
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
        for _ in 0..OPERATIONS_PER_WINDOW_MAX {
            assert!(quotas.take(device(1), now));
        }
        assert!(!quotas.take(device(1), now.plus(WINDOW_SECONDS - 1)));
        assert!(quotas.take(device(2), now));
        assert!(quotas.take(device(1), now.plus(WINDOW_SECONDS)));
    }
}
