//! Failed attempts at one-time codes, and commands that an operator may not give, counted in memory by key and by
//! address. Whoever fails too often waits; a restart forgets, which gives a guesser of 60-bit codes nothing.

use std::net::IpAddr;

use bhyt_core::keys::KeyId;
use bhyt_core::sync::messages::Refusal;
use bhyt_core::time::UnixSeconds;

use super::answer::Peer;
use super::windows::Windows;

/// Failures within the last minutes.
#[derive(Debug)]
pub(crate) struct Attempts {
    failures: Windows<Source>,
    per_key_max: u32,
    per_address_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    Key(KeyId),
    Address(IpAddr),
}

impl Attempts {
    /// Those of one-time codes.
    pub(crate) fn at_codes() -> Self {
        Self {
            failures: Windows::of(WINDOW_SECONDS),
            per_key_max: CODES_PER_KEY_MAX,
            per_address_max: CODES_PER_ADDRESS_MAX,
        }
    }

    /// Those of operators at what is not theirs. They are known by their keys, wherever they are.
    pub(crate) fn at_commands() -> Self {
        Self {
            failures: Windows::of(WINDOW_SECONDS),
            per_key_max: DENIALS_PER_KEY_MAX,
            per_address_max: u32::MAX,
        }
    }

    /// Refuses whoever has failed too often.
    pub(crate) fn check(&self, peer: &Peer, now: UnixSeconds) -> Result<(), Refusal> {
        for (source, limit) in self.sources(peer) {
            if let Some(wait) = self.failures.wait(&source, limit, now) {
                return Err(Refusal::Busy { retry_after_seconds: u32::try_from(wait).unwrap_or(u32::MAX) });
            }
        }
        Ok(())
    }

    /// Counts a failure.
    pub(crate) fn fail(&self, peer: &Peer, now: UnixSeconds) {
        for (source, _) in self.sources(peer) {
            self.failures.count(source, 1, now);
        }
    }

    fn sources(&self, peer: &Peer) -> [(Source, u32); 2] {
        [
            (Source::Key(peer.key.key_id()), self.per_key_max),
            (Source::Address(peer.address), self.per_address_max),
        ]
    }
}

/// Failures are forgotten after ten minutes.
const WINDOW_SECONDS: u64 = 600;
/// A person mistypes a few times.
const CODES_PER_KEY_MAX: u32 = 8;
/// Thousands of phones share an address; a guesser makes new keys behind one.
const CODES_PER_ADDRESS_MAX: u32 = 256;
/// Each leaves a line in the audit trail: 32 in ten minutes tell all there is to tell.
const DENIALS_PER_KEY_MAX: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_core::keys::SecretKey;

    #[test]
    fn who_fails_too_often_waits_and_others_do_not() {
        let attempts = Attempts::at_codes();
        let peer = |seed| Peer {
            key: SecretKey::from_seed(&[seed; 32]).public_key(),
            address: IpAddr::from([127, 0, 0, seed]),
        };
        let now = UnixSeconds(1_000);
        for _ in 0..CODES_PER_KEY_MAX {
            assert_eq!(attempts.check(&peer(1), now), Ok(()));
            attempts.fail(&peer(1), now);
        }
        let busy = Refusal::Busy { retry_after_seconds: 590 };
        assert_eq!(attempts.check(&peer(1), now.plus(10)), Err(busy));
        assert_eq!(attempts.check(&peer(2), now), Ok(()));
        assert_eq!(attempts.check(&peer(1), now.plus(WINDOW_SECONDS)), Ok(()));
    }
}
