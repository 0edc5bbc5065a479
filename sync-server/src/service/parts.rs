//! What the service is built from, and the small interfaces behind which the host's keys, trust bundles and files stand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bhyt_core::cose::Verified;
use bhyt_core::ids::MemberId;
use bhyt_core::keys::{KeyId, Signature};
use bhyt_core::seal::SealKey;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, TrustBundle};
use bhyt_platform::clock::Clock;
use bhyt_platform::entropy::Entropy;

use super::fault::{EraseFault, SignFault};
use crate::stored::CurrentStatusV1;

/// What [`Service::open`](super::Service::open) needs.
#[derive(Debug)]
pub struct ServiceParts<S> {
    /// Where everything is kept.
    pub store: S,
    /// The key that the store is sealed under.
    pub store_key: SealKey,
    /// What members' keys are wrapped under.
    pub member_keys: Arc<dyn MemberKeys>,
    /// The server's signing keys.
    pub keys: Arc<dyn KeyRing>,
    /// The trust bundle in force and those before it.
    pub trust: Arc<dyn TrustSource>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Told of each status version before it is handed out.
    pub published: Arc<dyn PublishHook>,
    /// What an operator may choose.
    pub settings: ServiceSettings,
}

/// What an operator may choose about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// How long a one-time code or token is good. Default a day.
    pub code_lifetime: Duration,
    /// The longest time between two status lists when nothing changes. Default an hour.
    pub status_resign: Duration,
    /// How long a line of the audit trail is kept. Default a year.
    pub audit_kept: Duration,
    /// How long an erasure waits before nothing brings the member back. Default a week.
    pub erasure_waits: Duration,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            code_lifetime: Duration::from_secs(86_400),
            status_resign: Duration::from_secs(3_600),
            audit_kept: Duration::from_secs(365 * 86_400),
            erasure_waits: Duration::from_secs(7 * 86_400),
        }
    }
}

/// Holds the server's signing keys. A key may sit in a file or in a device: what signs only ever sees bytes.
pub trait KeyRing: fmt::Debug + Send + Sync + 'static {
    /// The key that signs for this use at this time by the trust bundle in force; `None` when there is none.
    fn key_for(&self, usage: KeyUse, at: UnixSeconds) -> Option<KeyId>;

    /// Signs with the key of this id.
    fn sign(&self, key: KeyId, message: &[u8]) -> Result<Signature, SignFault>;
}

/// What members' keys are wrapped under: kept outside the store and its backups, so that taking one away takes the member
/// out of every backup.
pub trait MemberKeys: fmt::Debug + Send + Sync + 'static {
    /// The key that wraps this member's key; `None` once the member is erased.
    fn wrapping_key(&self, member: MemberId) -> Option<SealKey>;

    /// Whether this member was erased.
    fn is_erased(&self, member: MemberId) -> bool;

    /// Takes this member's wrapping key away for good; durable when it returns. Blocks on the disk.
    ///
    /// # Errors
    /// [`EraseFault`]; the key may be away or not.
    fn erase(&self, member: MemberId) -> Result<(), EraseFault>;

    /// Which keys these are, and how many were taken away.
    fn mark(&self) -> MemberKeysMark;
}

/// Tells members' keys from others, and newer ones from older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberKeysMark {
    /// Random, the same for good.
    pub tree: [u8; 16],
    /// Members that were erased.
    pub erased: u64,
}

/// The trust bundle in force and those before it.
pub trait TrustSource: fmt::Debug + Send + Sync + 'static {
    /// The bundle in force.
    fn current(&self) -> Arc<Verified<TrustBundle>>;

    /// What brings a holder of `version` up to date, in order: bundles that changed the roots, and the latest. None
    /// when that is what it holds.
    fn since(&self, version: u64) -> Vec<Vec<u8>>;

    /// Every bundle so far, oldest first.
    fn all(&self) -> Vec<Vec<u8>>;
}

/// Told of each status version once it is stored and before any peer sees it, so that the next trust bundle can name
/// it without the store.
pub trait PublishHook: fmt::Debug + Send + Sync + 'static {
    /// This version is in circulation from now on.
    fn published(&self, current: &CurrentStatusV1);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHook;

impl PublishHook for NoHook {
    fn published(&self, _: &CurrentStatusV1) {}
}
