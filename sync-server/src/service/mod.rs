//! The service: what phones, terminals and operators ask, answered over a [`Store`] with keys, clock and randomness
//! passed in. No sockets: [`Service::answer`] takes a decoded request and sends replies into a [`ReplySink`]; the
//! programs around it carry them.
//!
//! Promises: every exchange is authorised from the current key table; what changes goes through one commit, with its
//! operation and its audit line; nothing signed leaves before the commit that keeps it.

mod activation;
mod adopt;
mod answer;
mod attempts;
mod audit;
mod authorise;
mod backup;
mod bindings;
mod card_changes;
mod card_import;
mod card_terms;
mod cards;
mod codes;
mod commands;
mod devices;
mod docs;
mod epochs;
mod erasure;
mod export;
mod fault;
mod feed;
mod feed_answer;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod grants;
mod hand_back;
mod hub;
mod key_check;
mod member_import;
mod members;
mod operations;
pub(crate) mod operators;
mod parts;
mod personal;
mod personal_doc;
mod personal_merge;
mod principal;
mod publisher;
mod quotas;
mod readmit;
mod record_import;
mod record_index;
mod restored;
mod rows;
mod slots;
mod status_changes;
mod terminal_sync;
mod terminals;
pub mod values;
pub mod values_members;
mod values_older;
pub mod values_operators;
pub mod values_personal;
mod vault;
mod wallet_sync;
mod windows;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, RwLock};

use bhyt_core::cose::{Payload, Unsigned, Verified};
use bhyt_core::ids::MemberId;
use bhyt_core::keys::KeyId;
use bhyt_core::status::index_order::IndexOrderKey;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::KeyUse;
use bhyt_platform::clock::Clock;
use bhyt_platform::entropy::Entropy;
use tokio::sync::Mutex;

use crate::store::{Commit, Outcome, Store, StoreFault};
use attempts::Attempts;
use docs::Found;
use hub::Hub;
use publisher::Publisher;
use quotas::Quotas;
use restored::{RestoredV1, restored_key};
use slots::{SlotLease, Slots};
use status_changes::{ChangeTicket, StatusDraft};
use vault::Vault;

pub use adopt::Adopted;
pub use answer::{Next, Peer, ReplySink};
pub(crate) use audit::line_write as audit_write;
pub use authorise::{Permit, authorise};
pub use erasure::sweep_erased;
pub use fault::{EraseFault, ServiceFault, SignFault, Stop};
pub use hub::{News, Seat};
pub use key_check::check_members_mark;
pub use parts::{
    KeyRing, MemberKeys, MemberKeysMark, NoHook, PublishHook, ServiceParts, ServiceSettings, TrustSource,
};
pub use principal::Principal;
pub use restored::mark_restored;
pub use wallet_sync::WalletSync;

/// The service over a store. Shared by all connections.
#[derive(Debug)]
pub struct Service<S> {
    store: S,
    vault: Vault,
    keys: Arc<dyn KeyRing>,
    trust: Arc<dyn TrustSource>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    slots: Slots,
    publisher: Publisher,
    hub: Hub,
    attempts: Attempts,
    denials: Attempts,
    quotas: Quotas,
    audit_lines: AtomicU32,
    /// Members whose erasure has begun and is not done.
    erasing: RwLock<BTreeSet<MemberId>>,
    /// Held by whoever carries erasures out.
    erasing_one: Mutex<()>,
    settings: ServiceSettings,
    started: UnixSeconds,
    /// The backup that the store came from, and the list it was given since.
    restored: Option<RestoredV1>,
}

impl<S: Store> Service<S> {
    /// Opens the service: checks that the store is sealed under this key, loads the status list, and publishes what a crash kept from being published.
    ///
    /// # Errors
    /// [`ServiceFault`] when the store or a key fails.
    pub async fn open(parts: ServiceParts<S>) -> Result<Self, ServiceFault> {
        let vault = Vault::new(&parts.store_key, parts.member_keys);
        let started = parts.clock.now();
        let mut service = Self {
            slots: Slots::new(IndexOrderKey::new(vault.index_order_key())),
            store: parts.store,
            vault,
            keys: parts.keys,
            trust: parts.trust,
            clock: parts.clock,
            entropy: parts.entropy,
            publisher: Publisher::new(parts.published),
            hub: Hub::default(),
            attempts: Attempts::at_codes(),
            denials: Attempts::at_commands(),
            quotas: Quotas::default(),
            audit_lines: AtomicU32::new(0),
            erasing: RwLock::default(),
            erasing_one: Mutex::default(),
            settings: parts.settings,
            started,
            restored: None,
        };
        service.check_store_key().await?;
        service.check_member_keys().await?;
        service.load_erasures().await?;
        let restored: Option<Found<RestoredV1>> = service.doc("restore", &restored_key()).await?;
        service.restored = restored.map(|found| found.value);
        service.load_status().await?;
        service.publish_due().await?;
        Ok(service)
    }

    /// The service's clock.
    pub fn now(&self) -> UnixSeconds {
        self.clock.now()
    }

    /// Completes, with the cause, when the store has closed: nothing can be answered until it is opened again.
    pub(crate) async fn store_closed(&self) -> StoreFault {
        self.store.closed().await
    }

    /// A trust bundle or a key has changed: whoever stays is told, and a new status key signs from now on.
    ///
    /// # Errors
    /// [`ServiceFault`] when no status list could be made; the one in force stays.
    pub async fn trust_changed(&self) -> Result<(), ServiceFault> {
        self.hub.announce_trust();
        self.publish_due().await
    }

    /// Signs `prepare`'s payload with the key for this use. The bytes are not to leave before their commit.
    fn sign<T: Payload>(
        &self,
        usage: KeyUse,
        at: UnixSeconds,
        prepare: impl FnOnce(KeyId) -> Unsigned<T>,
    ) -> Result<Verified<T>, ServiceFault> {
        let key = self.keys.key_for(usage, at).ok_or(ServiceFault::NoKey { usage })?;
        self.sign_with(key, prepare(key))
    }

    /// Signs with this key, which is the one that `unsigned` names.
    fn sign_with<T: Payload>(&self, key: KeyId, unsigned: Unsigned<T>) -> Result<Verified<T>, ServiceFault> {
        let signature = self
            .keys
            .sign(key, &unsigned.to_be_signed())
            .map_err(|source| ServiceFault::Sign { key, source })?;
        Ok(unsigned.seal(&signature))
    }

    /// Commits a draft, and does what follows once it is durable: counts, pending status changes, news.
    async fn commit(&self, draft: Draft<'_, '_>) -> Result<Outcome, ServiceFault> {
        let Draft { mut commit, status, counting } = draft;
        let ticket = ChangeTicket::take(&self.publisher.log, status, &mut commit)?;
        let mut counted = None;
        if let Some(Counting { lease, members, cards }) = counting {
            commit.docs.push(lease.count(members, cards)?);
            counted = Some((lease, members, cards));
        }
        let announced: Vec<MemberId> = commit.announce.clone();
        let outcome = self.store.commit(commit).await?;
        if let Some((lease, members, cards)) = counted {
            lease.settle(outcome, members, cards);
        }
        if let Some(ticket) = ticket {
            ticket.settle(outcome);
        }
        if outcome == Outcome::Applied {
            self.hub.announce(&announced);
        }
        Ok(outcome)
    }
}

/// A commit with what goes along with it.
#[derive(Debug, Default)]
struct Draft<'d, 'l> {
    commit: Commit,
    status: StatusDraft,
    counting: Option<Counting<'d, 'l>>,
}

/// Members and cards that a commit adds, and the slot that counts them.
#[derive(Debug)]
struct Counting<'d, 'l> {
    lease: &'d mut SlotLease<'l>,
    members: u64,
    cards: u64,
}

/// Times a commit is tried when others were faster. Each loss means that somebody else got on.
const ATTEMPTS_MAX: u32 = 24;
