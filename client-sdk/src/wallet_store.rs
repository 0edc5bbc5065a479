//! Everything a phone holds, in memory and in its two stores, always in step: what a session hands over is made durable
//! here, one effect at a time, and only then shown.
//!
//! Promises: reading waits for no disk and no network; a phone that dies at any commit shows what it showed before or
//! what it was to show after, and its next sync mends the rest. A cache that cannot be read is dropped and fetched again;
//! the marks in the own store still know how far each feed had been.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bhyt_core::cose::Verified;
use bhyt_core::feed::{EpochStatement, FeedHead, FeedPage, FeedState};
use bhyt_core::grant::{Grant, GrantScope};
use bhyt_core::ids::MemberId;
use bhyt_core::keys::PublicKey;
use bhyt_core::limits::WALLET_MEMBERS_MAX;
use bhyt_core::operation::Rejection;
use bhyt_core::presentation_key::PresentationKey;
use bhyt_core::record::{RecordKind, Seq};
use bhyt_core::sync::personal::PersonalCursor;
use bhyt_core::sync::wallet::{Effect, MemberState, MemberUpdate, WalletSession};
use bhyt_core::time::UnixSeconds;
use bhyt_platform::kv::{Kv, StoreError};

use crate::card_copies::CardCopies;
use crate::error::{Problem, Refused, SdkError};
use crate::held::{Held, HeldMember};
use crate::keys::DeviceKeys;
use crate::personal_book::{Owner, PersonalBook};
use crate::stored::{StoredError, StoredGrant, StoredPossession, StoredProgress};
use crate::vault::Vault;
use crate::wallet_cache::{CachedMember, HeldPages, WalletCache};
use crate::wallet_epochs::HandingBack;
use crate::wallet_own::{Admitted, OwnMember, WalletOwn};
use crate::wallet_readmit::Readmission;

/// The stores and what is read from them.
#[derive(Debug)]
pub(crate) struct WalletStore {
    own: WalletOwn,
    personal: PersonalBook,
    cache: WalletCache,
    copies: CardCopies,
    held: RwLock<Held>,
    /// What a restored server has forgotten.
    handing_back: Mutex<BTreeMap<MemberId, HandingBack>>,
    /// What makes this phone known again to a restored server.
    readmission: Mutex<Readmission>,
}

/// What an effect changed, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Trust,
    Records(MemberId),
    Credentials(MemberId),
    Removed(MemberId),
    Granted(MemberId),
}

impl WalletStore {
    /// Reads both stores. Damage of the cache itself is an error, for the caller to set it aside; anything in it that
    /// does not open, decode or fit together is dropped here.
    pub(crate) fn open(
        own: Arc<dyn Kv>,
        cache: Arc<dyn Kv>,
        vault: Vault,
        copies: CardCopies,
    ) -> Result<Self, SdkError> {
        let personal = PersonalBook::new(Arc::clone(&own), vault.clone(), vault.entropy());
        let own = WalletOwn::new(own, vault.clone());
        let cache = WalletCache::new(cache, vault);
        let owned = own.members()?;
        cache.remove_others(&owned.keys().copied().collect::<Vec<_>>())?;
        let mut members = BTreeMap::new();
        for (id, member) in owned {
            let cached = load_member(&cache, &copies, id, &member)?;
            if !copies.has(id) {
                copies.note(id);
            }
            members.insert(id, HeldMember::of(member, cached));
        }
        let progress = match cache.progress() {
            Ok(progress) => progress,
            Err(StoredError::Store(error)) => return Err(error.into()),
            Err(_) => StoredProgress::default(),
        };
        let held = Held { trust: own.trust()?, server: own.server()?, members, progress };
        let (held, handing_back, readmission) = (RwLock::new(held), Mutex::default(), Mutex::default());
        Ok(Self { own, personal, cache, copies, held, handing_back, readmission })
    }

    /// The disk is full: said in the status until a sync goes through.
    pub(crate) fn note_full(&self) {
        self.held_mut().progress.problem = Some(Problem::System);
    }

    /// What is held now.
    pub(crate) fn held(&self) -> RwLockReadGuard<'_, Held> {
        // A panic while writing leaves the last whole value: each write is one assignment.
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session over what is held, for the holder of `presentation_key`, that asks about these personal documents.
    pub(crate) fn make_session(
        &self,
        presentation_key: PresentationKey,
        personal: &BTreeMap<MemberId, PersonalCursor>,
    ) -> Result<WalletSession, SdkError> {
        let held = self.held();
        let trust = held.trust.clone().ok_or(SdkError::NotActivated)?;
        if held.members.is_empty() {
            return Err(SdkError::NotActivated);
        }
        let state = |id: &MemberId, member: &HeldMember| MemberState {
            feed: member.cached.feed.clone(),
            staged: member.cached.staged.pages().to_vec(),
            credentials: member.cached.credentials.clone(),
            presentation_key,
            grant: member.grant.as_ref().map(|held| held.signed.clone()),
            personal: personal.get(id).cloned(),
        };
        let members = held.members.iter().map(|(id, member)| (*id, state(id, member)));
        Ok(WalletSession::new(trust, members.collect()))
    }

    /// Takes in a member that the server has just given to this device.
    pub(crate) fn add_member(&self, admitted: Admitted) -> Result<(), SdkError> {
        let member = admitted.member;
        let known = self.held().members.contains_key(&member);
        if !known && self.held().members.len() >= WALLET_MEMBERS_MAX {
            return Err(SdkError::system(FamilyTooLarge { limit: WALLET_MEMBERS_MAX }));
        }
        let key = self.own.add_member(&admitted)?;
        let mut held = self.held_mut();
        held.trust = Some(admitted.trust);
        held.server = Some(admitted.server);
        let cached = CachedMember::empty(member, None);
        let added = HeldMember { key, cached, fork: None, forgotten: false, grant: None };
        let there = held.members.entry(member).or_insert(added);
        (there.forgotten, there.grant) = (false, None);
        Ok(())
    }

    /// Makes one effect of a session durable, and then visible.
    pub(crate) fn apply(&self, effect: Effect) -> Result<Option<Change>, SdkError> {
        match effect {
            Effect::TakeTrust(trust) => {
                self.own.keep_trust(&trust)?;
                self.held_mut().trust = Some(trust);
                Ok(Some(Change::Trust))
            }
            Effect::Commit(update) => self.commit(&update),
            Effect::Stage { member, pages, size: _ } => {
                self.stage(member, pages)?;
                Ok(None)
            }
            Effect::Credentials { member, credentials } => {
                let Some(held) = self.member(member) else { return Ok(None) };
                let bytes: Vec<_> = credentials.iter().map(|card| card.bytes().to_vec()).collect();
                self.cache.keep_credentials(member, &held.key, bytes.clone())?;
                if let Some(held) = self.held_mut().members.get_mut(&member) {
                    held.cached.credentials = bytes;
                }
                self.copies.note(member);
                Ok(Some(Change::Credentials(member)))
            }
            Effect::Wipe(member) => {
                self.personal.remove(member)?;
                self.own.remove_member(member)?;
                self.held_mut().members.remove(&member);
                self.copies.remove(member);
                self.cache.remove_member(member)?;
                Ok(Some(Change::Removed(member)))
            }
            Effect::Epoch { member, statement, feed } => self.enter_epoch(member, &statement, *feed),
            Effect::HandBack { member, statement } => {
                self.begin_hand_back(member, *statement)?;
                Ok(None)
            }
            Effect::Granted(grant) => self.take_grant(&grant),
            Effect::Forgotten(member) => {
                self.begin_readmission(member)?;
                Ok(None)
            }
        }
    }

    /// Takes a dependant in. Of one that is here by another grant, what that grant does not give is removed.
    fn take_grant(&self, grant: &Verified<Grant>) -> Result<Option<Change>, SdkError> {
        let (claims, signed) = (*grant.claims(), grant.bytes().to_vec());
        let member = claims.dependant;
        let with_records = |held: &StoredGrant| held.grant.scope == GrantScope::CardAndRecords;
        let has_records =
            self.member(member).and_then(|held| held.grant).is_some_and(|held| with_records(&held));
        if claims.scope == GrantScope::Card && has_records {
            self.apply(Effect::Wipe(member))?;
        }
        let stored = StoredGrant { grant: claims, signed };
        let key = self.own.keep_grant(&stored)?;
        let mut held = self.held_mut();
        let cached = CachedMember::empty(member, None);
        let added = HeldMember { key, cached, fork: None, forgotten: false, grant: None };
        let there = held.members.entry(member).or_insert(added);
        (there.forgotten, there.grant) = (false, Some(stored));
        Ok(Some(Change::Granted(member)))
    }

    /// Removes the members whose grants are over; says who they were.
    pub(crate) fn end_grants(&self, now: UnixSeconds) -> Result<Vec<MemberId>, SdkError> {
        let over: Vec<MemberId> = {
            let held = self.held();
            let today = held.today(now);
            let over = held.members.iter().filter(|(_, member)| !member.is_held_on(today));
            over.map(|(member, _)| *member).collect()
        };
        for member in &over {
            self.apply(Effect::Wipe(*member))?;
        }
        Ok(over)
    }

    /// Notes how a sync went.
    pub(crate) fn set_progress(&self, progress: StoredProgress) {
        self.held_mut().progress = progress;
    }

    /// The statement of a new epoch as the furthest head verified.
    pub(crate) fn keep_statement(&self, statement: &Verified<EpochStatement>) -> Result<(), SdkError> {
        self.own.keep_mark(statement.claims().head(), statement.bytes())
    }

    /// All pages held of a member, and the feed; `None` when there are none.
    pub(crate) fn pages_of(&self, member: MemberId) -> Result<Option<(HeldPages, FeedState)>, SdkError> {
        let Some(held) = self.member(member) else { return Ok(None) };
        let cached = self.cache.pages(member, &held.key)?;
        Ok(cached.map(|pages| (pages, held.cached.feed)))
    }

    /// Reads what is cached of a member, page by page; nothing for somebody who is not on this phone, or not any more.
    pub(crate) fn read_feed<T>(
        &self,
        member: MemberId,
        now: UnixSeconds,
        begin: impl Fn() -> T,
        visit: impl FnMut(&mut T, &FeedPage, Seq),
    ) -> Result<T, SdkError> {
        let today = self.held().today(now);
        match self.member(member).filter(|held| held.is_held_on(today)) {
            Some(held) => Ok(self.cache.read_pages(member, &held.key, begin, visit)?),
            None => Ok(begin()),
        }
    }

    pub(crate) fn change_member(&self, member: MemberId, change: impl FnOnce(&mut HeldMember)) {
        if let Some(held) = self.held_mut().members.get_mut(&member) {
            change(held);
        }
    }

    pub(crate) fn handing_back(&self) -> MutexGuard<'_, BTreeMap<MemberId, HandingBack>> {
        self.handing_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn readmission(&self) -> MutexGuard<'_, Readmission> {
        self.readmission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The signed head of a member's feed that the own store has.
    pub(crate) fn signed_head(&self, member: MemberId) -> Result<Option<Vec<u8>>, SdkError> {
        self.own.signed_head(member)
    }

    /// The proof made at the last activation.
    pub(crate) fn possession(&self) -> Result<Option<StoredPossession>, SdkError> {
        self.own.possession()
    }

    /// The personal documents.
    pub(crate) fn personal(&self) -> &PersonalBook {
        &self.personal
    }

    /// Whose document is meant, and as whom this phone writes in it. A grant gives no document.
    pub(crate) fn owner(&self, member: MemberId, keys: &DeviceKeys) -> Result<Owner, SdkError> {
        let HeldMember { key, grant, .. } = self.member(member).ok_or(SdkError::NotActivated)?;
        if grant.is_some() {
            return Err(SdkError::Refused { why: Refused::Edit(Rejection::NotPermitted) });
        }
        let device = keys.transport.transport_key()?;
        let device = PublicKey::from_bytes(device.public_key().as_bytes()).ok_or(SdkError::NotActivated)?;
        Ok(Owner { member, key, device: device.key_id() })
    }

    /// Keeps how a sync went.
    pub(crate) fn put_progress(&self, progress: &StoredProgress) -> Result<(), SdkError> {
        Ok(self.cache.keep_progress(progress)?)
    }

    /// Copies the cards that have changed since the last time, for when the cache cannot be read.
    pub(crate) fn copy_cards(&self) {
        for member in self.copies.due() {
            if let Some(held) = self.member(member) {
                self.copies.keep(member, &held.key, &held.cached);
            }
        }
    }

    /// Forgets the feed of a member whose records do not follow on: all of it is read again up to the mark and beyond,
    /// and shown as it was meanwhile. Whether there was anything to forget: if not, the server was asked for all already.
    pub(crate) fn reread(&self, member: MemberId) -> bool {
        let mut held = self.held_mut();
        let Some(held) = held.members.get_mut(&member) else { return false };
        let Some(mark) = held.cached.feed.mark().copied() else { return false };
        if held.cached.feed.next_seq() == Seq(0) {
            return false;
        }
        held.cached = held.cached.clone().reread_from(mark);
        true
    }

    /// Forgets the records of a member that wait for a head, which they do not lead to; whether there were any.
    pub(crate) fn forget_staged(&self, member: MemberId) -> Result<bool, SdkError> {
        let forgotten =
            self.held_mut().members.get_mut(&member).is_some_and(|held| held.cached.staged.forget());
        self.keep_staged(member)?;
        Ok(forgotten)
    }

    /// [`Self::forget_staged`] of all members.
    pub(crate) fn forget_all_staged(&self) -> Result<(), SdkError> {
        let members: Vec<MemberId> = self.held().members.keys().copied().collect();
        members.into_iter().try_for_each(|member| self.forget_staged(member).map(|_| ()))
    }

    /// Keeps what waits for a head, of all members: an answer may have been cut short.
    pub(crate) fn keep_all_staged(&self) -> Result<(), SdkError> {
        let members: Vec<MemberId> = self.held().members.keys().copied().collect();
        members.into_iter().try_for_each(|member| self.keep_staged(member))
    }

    /// Keeps the proof that the server signed two feeds of a member: `disputed`, and the head held. The first pair stays.
    pub(crate) fn keep_fork(&self, member: MemberId, disputed: &Verified<FeedHead>) -> Result<(), SdkError> {
        let kept = self.held().members.get(&member).is_none_or(|held| held.fork.is_some());
        if kept {
            return Ok(());
        }
        let fork = self.own.keep_fork(member, disputed)?;
        tracing::error!(%member, "the server has signed two feeds of one member; both heads are kept");
        if let Some(held) = self.held_mut().members.get_mut(&member) {
            held.fork = Some(fork);
        }
        Ok(())
    }

    /// The mark in the own store comes first: from then on no older head is taken, whatever becomes of the cache.
    fn commit(&self, update: &MemberUpdate) -> Result<Option<Change>, SdkError> {
        let Some(held) = self.member(update.member) else { return Ok(None) };
        let head = update.head.claims();
        // Another conversation may have moved on since this one began.
        let from = update.pages.first().map_or(Seq(head.extent.size), FeedPage::first_seq);
        if from != held.cached.feed.next_seq() {
            return Ok(None);
        }
        if held.cached.feed.mark() != Some(head) {
            self.own.keep_mark(*head, update.head.bytes())?;
        }
        let cached = self.cache.commit_update(&held.key, &held.cached, update)?;
        if let Some(held) = self.held_mut().members.get_mut(&update.member) {
            held.cached = cached;
        }
        if update.pages.iter().flat_map(FeedPage::records).any(|(_, record)| record.kind == RecordKind::Card)
        {
            self.copies.note(update.member);
        }
        Ok(Some(Change::Records(update.member)))
    }

    fn stage(&self, member: MemberId, pages: Vec<FeedPage>) -> Result<(), SdkError> {
        let due = match self.held_mut().members.get_mut(&member) {
            Some(HeldMember { cached, .. }) => {
                cached.staged.add(pages, cached.feed.next_seq());
                cached.staged.is_due()
            }
            None => false,
        };
        if due { self.keep_staged(member) } else { Ok(()) }
    }

    fn keep_staged(&self, member: MemberId) -> Result<(), SdkError> {
        let held = self.member(member);
        let unkept = |held: &HeldMember| {
            !held.cached.staged.unkept().is_empty() || !held.cached.staged.stale().is_empty()
        };
        let Some(held) = held.filter(unkept) else { return Ok(()) };
        self.cache.keep_staged(member, &held.key, &held.cached)?;
        self.change_member(member, |held| held.cached.staged.note_kept());
        Ok(())
    }

    fn member(&self, member: MemberId) -> Option<HeldMember> {
        self.held().members.get(&member).cloned()
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the cache has of a member, judged by the mark; what the copy of the cards has, when the cache has nothing.
fn load_member(
    cache: &WalletCache,
    copies: &CardCopies,
    id: MemberId,
    member: &OwnMember,
) -> Result<CachedMember, SdkError> {
    let mut cached = match cache.load(id, &member.key, member.mark) {
        Ok(loaded) => loaded,
        Err(StoredError::Store(error)) => return Err(error.into()),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(%id, error, "cached records dropped; they are fetched again");
            cache.remove_member(id)?;
            CachedMember::empty(id, member.mark)
        }
    };
    if !cached.has_records() {
        if let Some((cards, credentials)) = copies.read(id, &member.key) {
            keep_again(cache, id, member, &credentials)?;
            (cached.cards, cached.credentials) = (cards, credentials);
        }
        return Ok(cached);
    }
    Ok(match member.mark {
        // The mark went ahead, and the phone died before its records came in: the feed must lead through the mark.
        Some(mark) if cached.feed.mark() != Some(&mark) => cached.reread_from(mark),
        _ => cached,
    })
}

/// A server that is told of these credentials does not send them again: they are to be in the cache, if it takes any.
fn keep_again(
    cache: &WalletCache,
    id: MemberId,
    member: &OwnMember,
    credentials: &[Vec<u8>],
) -> Result<(), SdkError> {
    match cache.keep_credentials(id, &member.key, credentials.to_vec()) {
        Ok(()) | Err(StoredError::Store(StoreError::Full { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// More members than one phone holds.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("this phone holds {limit} members already")]
struct FamilyTooLarge {
    limit: usize,
}

#[cfg(test)]
#[path = "wallet_store_tests.rs"]
mod tests;
