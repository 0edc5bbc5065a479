//! High-water marks of a terminal or phone: what may never go back. Kept per signing key, and gone with that key, so
//! that a stolen status key that jumped ahead is undone by the next bundle. Persisted after the checks pass and before
//! the result is used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::keys::KeyId;
use crate::limits::TRUST_KEYS_MAX;
use crate::status::StatusVersion;
use crate::time::UnixSeconds;
use crate::trust::{KeyUse, TrustBundle, TrustedKey};

/// The marks of all status keys that a bundle names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    status: BTreeMap<KeyId, StatusMark>,
}

/// The newest list seen of one key. Ordered by version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StatusMark {
    /// Its version.
    pub version: StatusVersion,
    /// Its time.
    pub time: UnixSeconds,
}

impl Marks {
    /// The marks that stay in force under `trust`: those that its status keys may have made.
    pub fn under(mut self, trust: &TrustBundle) -> Self {
        self.status.retain(|key_id, mark| check_window(trust, *key_id, *mark).is_ok());
        self
    }

    /// The earliest that it can be: the bundle was made, and lists of its status keys were. Card dates, terminal clocks
    /// and phones never raise it.
    pub fn floor(&self, trust: &TrustBundle) -> UnixSeconds {
        self.standing(trust).map(|mark| mark.time).fold(trust.issued, UnixSeconds::max)
    }

    /// The newest list seen of a key.
    pub fn status(&self, key_id: KeyId) -> Option<StatusMark> {
        self.status.get(&key_id).copied()
    }

    /// Whether a list of `key_id`, whose signature has been verified, may be taken; the marks after it. The order of
    /// versions goes over all keys of the bundle: while an old status key still verifies, its last list must not push
    /// out the lists of the key that followed it.
    pub fn admit(&self, trust: &TrustBundle, key_id: KeyId, list: StatusMark) -> Result<Self, StatusRefusal> {
        check_signer(trust, key_id, list, self.floor(trust))?;
        // The list in force stays in force under a bundle that knows a newer one: it is judged by its age.
        let in_force = self.status.get(&key_id) == Some(&list);
        if let Some(least) = trust.status.filter(|least| list.version < *least && !in_force) {
            return Err(StatusRefusal::OlderThanBundle { least, got: list.version });
        }
        if let Some(newest) = self.standing(trust).max() {
            if list.version < newest.version {
                return Err(StatusRefusal::Rollback { held: newest.version, got: list.version });
            }
            let same_version_other_time = list.version == newest.version && list.time != newest.time;
            if list.time < newest.time || same_version_other_time {
                return Err(StatusRefusal::TimeWentBack);
            }
        }
        let mut next = self.clone().under(trust);
        next.status.insert(key_id, list);
        debug_assert!(next.status.len() <= TRUST_KEYS_MAX, "only keys of the bundle have marks");
        Ok(next)
    }

    fn standing(&self, trust: &TrustBundle) -> impl Iterator<Item = StatusMark> {
        let standing =
            self.status.iter().filter(|(key_id, mark)| check_window(trust, **key_id, **mark).is_ok());
        standing.map(|(_, mark)| *mark)
    }
}

/// Whether a list of `key_id` counts under `trust` when it is not earlier than `floor`. Asked when the list comes, when
/// it is read again, and at every verdict, so that a program that runs on and one that was started anew say the same.
pub(crate) fn check_signer(
    trust: &TrustBundle,
    key_id: KeyId,
    list: StatusMark,
    floor: UnixSeconds,
) -> Result<(), StatusRefusal> {
    let key = check_window(trust, key_id, list)?;
    // Taking the list would raise the floor to its time.
    let taken = key.verifies_at(floor.max(list.time));
    taken.then_some(()).ok_or(StatusRefusal::OutsideKeyWindow)
}

/// Whether a status key of `trust` may have made this list, now or earlier.
fn check_window(trust: &TrustBundle, key_id: KeyId, list: StatusMark) -> Result<&TrustedKey, StatusRefusal> {
    let key = trust.key(key_id, KeyUse::Status).ok_or(StatusRefusal::UnknownKey)?;
    if !key.may_sign_at(list.time) {
        return Err(StatusRefusal::OutsideKeyWindow);
    }
    // A time beyond the bundle's life would raise the floor past everything the bundle vouches for.
    if list.time > trust.expires {
        return Err(StatusRefusal::FromTheFuture);
    }
    Ok(key)
}

/// Why a list is not taken, although its signature holds. The one in force stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusRefusal {
    /// The key is no status key of the bundle.
    #[error("signed by no status key of the bundle")]
    UnknownKey,
    /// The key may not sign at the list's time, or is not taken any more.
    #[error("outside the key's window")]
    OutsideKeyWindow,
    /// Its time lies beyond the end of the bundle.
    #[error("time beyond the end of the bundle")]
    FromTheFuture,
    /// Older than the list the bundle was made with: somebody holds lists back.
    #[error("version {got:?} where the bundle knows {least:?}")]
    OlderThanBundle {
        /// The bundle's.
        least: StatusVersion,
        /// Offered.
        got: StatusVersion,
    },
    /// Older than one seen before, of this key or another of the bundle.
    #[error("version {got:?} after {held:?}")]
    Rollback {
        /// Seen before.
        held: StatusVersion,
        /// Offered.
        got: StatusVersion,
    },
    /// A later version with an earlier time, or two times of one version.
    #[error("time went back")]
    TimeWentBack,
    /// Another list of the version in force.
    #[error("two lists of version {version:?}")]
    Fork {
        /// The version of both.
        version: StatusVersion,
    },
}
