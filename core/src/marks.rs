//! High-water marks of a terminal or phone: what may never go back. Kept per signing key, and gone with that key, so
//! that a stolen status key that jumped ahead is undone by the next bundle. Persisted after the checks pass and before
//! the result is used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::keys::KeyId;
use crate::limits::TRUST_KEYS_MAX;
use crate::status::StatusVersion;
use crate::time::UnixSeconds;
use crate::trust::{KeyUse, TrustBundle};

/// The marks of all status keys that a bundle names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    status: BTreeMap<KeyId, StatusMark>,
}

/// The newest list seen of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusMark {
    /// Its version.
    pub version: StatusVersion,
    /// Its time.
    pub time: UnixSeconds,
}

impl Marks {
    /// The marks that stay in force under `trust`: those of keys it names as status keys.
    pub fn under(mut self, trust: &TrustBundle) -> Self {
        self.status.retain(|key_id, _| trust.key(*key_id, KeyUse::Status).is_some());
        self
    }

    /// The earliest that it can be: the bundle was made, and lists of its status keys were. Card dates, terminal clocks
    /// and phones never raise it.
    pub fn floor(&self, trust: &TrustBundle) -> UnixSeconds {
        let known = self.status.iter().filter(|(key_id, _)| trust.key(**key_id, KeyUse::Status).is_some());
        known.map(|(_, mark)| mark.time).fold(trust.issued, UnixSeconds::max)
    }

    /// The newest list seen of a key.
    pub fn status(&self, key_id: KeyId) -> Option<StatusMark> {
        self.status.get(&key_id).copied()
    }

    /// Whether a list of `key_id`, whose signature has been verified, may be taken; the marks after it.
    pub fn admit(&self, trust: &TrustBundle, key_id: KeyId, list: StatusMark) -> Result<Self, StatusRefusal> {
        let key = trust.key(key_id, KeyUse::Status).ok_or(StatusRefusal::UnknownKey)?;
        if !key.may_sign_at(list.time) || !key.verifies_at(self.floor(trust)) {
            return Err(StatusRefusal::OutsideKeyWindow);
        }
        // A time beyond the bundle's life would raise the floor past everything the bundle vouches for.
        if list.time > trust.expires {
            return Err(StatusRefusal::FromTheFuture);
        }
        if let Some(least) = trust.status.filter(|least| list.version < *least) {
            return Err(StatusRefusal::OlderThanBundle { least, got: list.version });
        }
        if let Some(held) = self.status.get(&key_id) {
            if list.version < held.version {
                return Err(StatusRefusal::Rollback { held: held.version, got: list.version });
            }
            let same_version_other_time = list.version == held.version && list.time != held.time;
            if list.time < held.time || same_version_other_time {
                return Err(StatusRefusal::TimeWentBack);
            }
        }
        let mut next = self.clone();
        next.status.insert(key_id, list);
        debug_assert!(next.status.len() <= TRUST_KEYS_MAX, "only keys of the bundle have marks");
        Ok(next)
    }
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
    /// Older than one seen before.
    #[error("version {got:?} after {held:?}")]
    Rollback {
        /// Seen before.
        held: StatusVersion,
        /// Offered.
        got: StatusVersion,
    },
    /// A later version with an earlier time, or two lists of one version.
    #[error("time went back")]
    TimeWentBack,
}
