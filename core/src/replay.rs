//! What a terminal remembers between checks: the proofs it has seen and the challenges it has shown. Kept for the
//! acceptance window and bounded; whatever was forgotten is refused as too old, never taken as new.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{CHALLENGES_MAX, REPLAY_KEYS_MAX};
use crate::presentation::{Challenge, ReplayKey};
use crate::time::UnixSeconds;
use crate::trust::Policy;

/// The proofs and challenges of one terminal.
#[derive(Clone, Debug, Default)]
pub struct ReplayCache {
    seen: BTreeMap<ReplayKey, UnixSeconds>,
    challenges: BTreeMap<Challenge, UnixSeconds>,
    forgotten_before: UnixSeconds,
}

impl ReplayCache {
    /// A cache as it was kept: the proofs with their times, and the time before which proofs were forgotten.
    pub fn from_parts(seen: impl IntoIterator<Item = SeenProof>, forgotten_before: UnixSeconds) -> Self {
        let seen = seen.into_iter().map(|proof| (proof.key, proof.time)).collect();
        Self { seen, challenges: BTreeMap::new(), forgotten_before }
    }

    /// Remembers a proof that a verdict has relied on, and forgets those that no clock reading near it could still
    /// accept. The challenge it answered, if any, is spent. Returns what the caller stores, durable before it ends.
    ///
    /// What counts as forgotten goes up to the newest proof that was: had the clock run a year ahead for an hour, proofs
    /// of the right time must be taken again afterwards.
    pub fn remember(
        &mut self,
        proof: SeenProof,
        challenge: Option<&Challenge>,
        policy: &Policy,
    ) -> Remembered {
        if let Some(challenge) = challenge {
            self.challenges.remove(challenge);
        }
        self.seen.insert(proof.key, proof.time);
        let window = policy.proof_age_seconds.saturating_add(policy.proof_ahead_seconds);
        let mut forgotten = Vec::new();
        let old = proof.time.minus(window.saturating_mul(2));
        let mut forgotten_before = self.forgotten_before;
        self.seen.retain(|key, time| {
            let keep = *time >= old;
            if !keep {
                forgotten.push(*key);
                forgotten_before = forgotten_before.max(time.plus(1));
            }
            keep
        });
        self.forgotten_before = forgotten_before;
        while self.seen.len() > REPLAY_KEYS_MAX {
            let Some((key, time)) = self.seen.iter().min_by_key(|(_, time)| **time).map(|(k, t)| (*k, *t))
            else {
                break;
            };
            self.seen.remove(&key);
            forgotten.push(key);
            self.forgotten_before = self.forgotten_before.max(time.plus(1));
        }
        Remembered { added: proof, forgotten, forgotten_before: self.forgotten_before }
    }

    /// Notes a challenge that the terminal shows until `until`. The oldest goes when there are too many.
    pub fn show_challenge(&mut self, challenge: Challenge, until: UnixSeconds, now: UnixSeconds) {
        self.challenges.retain(|_, until| *until > now);
        while self.challenges.len() >= CHALLENGES_MAX {
            let oldest =
                self.challenges.iter().min_by_key(|(_, until)| **until).map(|(challenge, _)| *challenge);
            let Some(oldest) = oldest else { break };
            self.challenges.remove(&oldest);
        }
        self.challenges.insert(challenge, until);
    }

    /// Whether this challenge is shown by this terminal at `now` and not answered.
    pub fn awaits(&self, challenge: &Challenge, now: UnixSeconds) -> bool {
        self.challenges.get(challenge).is_some_and(|until| now < *until)
    }

    /// Whether this proof was relied on before.
    pub fn has_seen(&self, key: &ReplayKey) -> bool {
        self.seen.contains_key(key)
    }

    /// Proofs made before this time may have been seen and forgotten.
    pub fn forgotten_before(&self) -> UnixSeconds {
        self.forgotten_before
    }
}

/// A proof that a verdict relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenProof {
    /// Which.
    pub key: ReplayKey,
    /// When the phone made it; of an answer to a challenge, when this terminal took it, since the phone's clock played no
    /// part and may say anything.
    pub time: UnixSeconds,
}

/// A change of the cache, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Stored.
    pub added: SeenProof,
    /// Removed.
    pub forgotten: Vec<ReplayKey>,
    /// The new mark.
    pub forgotten_before: UnixSeconds,
}
