//! What a wallet holds in memory: who the server and the members are, and what is shown of each.

use std::collections::BTreeMap;

use bhyt_core::cose::Verified;
use bhyt_core::ids::MemberId;
use bhyt_core::seal::SealKey;
use bhyt_core::time::{Day, UnixSeconds};
use bhyt_core::trust::TrustBundle;

use crate::stored::{StoredFork, StoredGrant, StoredProgress};
use crate::wallet_cache::CachedMember;
use crate::wallet_own::OwnMember;

/// What is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) trust: Option<Verified<TrustBundle>>,
    pub(crate) server: Option<String>,
    pub(crate) members: BTreeMap<MemberId, HeldMember>,
    pub(crate) progress: StoredProgress,
}

/// One member.
#[derive(Clone, Debug)]
pub(crate) struct HeldMember {
    /// What is kept of the member is sealed under it.
    pub(crate) key: SealKey,
    pub(crate) cached: CachedMember,
    /// The first fork of this feed that was seen.
    pub(crate) fork: Option<StoredFork>,
    /// A restored server does not know that this phone holds the member, and does not take its word for it.
    pub(crate) forgotten: bool,
    /// By which a carer's phone holds the member; `None` on the member's own.
    pub(crate) grant: Option<StoredGrant>,
}

impl HeldMember {
    /// As the stores have it.
    pub(crate) fn of(own: OwnMember, cached: CachedMember) -> Self {
        Self { key: own.key, cached, fork: own.fork, forgotten: false, grant: own.grant }
    }

    /// Whether it may be shown on this day: a grant ends on the phone, too.
    pub(crate) fn is_held_on(&self, today: Day) -> bool {
        self.grant.as_ref().is_none_or(|held| today <= held.grant.until)
    }
}

impl Held {
    /// The day of now, and no day before what the server has signed: a clock turned back prolongs no grant.
    pub(crate) fn today(&self, now: UnixSeconds) -> Day {
        let signed = self.members.values().filter_map(|held| held.cached.feed.mark().map(|mark| mark.time));
        let signed = signed.chain(self.trust.as_ref().map(|trust| trust.claims().issued));
        signed.fold(now, UnixSeconds::max).day()
    }
}
