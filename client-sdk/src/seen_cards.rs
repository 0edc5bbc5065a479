//! The cards that this terminal has accepted, so that the successor of a superseded card is known when it was here. Under
//! a blind index of the person's number, sealed; in the cache, because losing them costs a note and no verdict. The
//! latest are in memory too: a card counts as seen from its answer on, and not from when the disk has it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bhyt_core::card::CardClaims;
use bhyt_core::codec;
use bhyt_core::cose::Signed;
use bhyt_core::seal::SealKey;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, TrustBundle};
use bhyt_platform::kv::{Batch, Kv};

use crate::keeper::NOTES_UNDER_WAY_MAX;
use crate::stored::{StoredError, StoredSeenCard, put, read};
use crate::vault::Vault;

/// One card a person.
#[derive(Debug)]
pub(crate) struct SeenCards {
    store: Arc<dyn Kv>,
    vault: Vault,
    key: SealKey,
    /// Not all on the disk yet, oldest first; at most [`RECENT_MAX`].
    recent: Mutex<VecDeque<SeenCard>>,
}

/// A card that was accepted, sealed for its place.
#[derive(Clone, Debug)]
pub(crate) struct SeenCard {
    place: Vec<u8>,
    stored: StoredSeenCard,
}

impl SeenCards {
    pub(crate) fn new(store: Arc<dyn Kv>, vault: Vault, key: SealKey) -> Self {
        Self { store, vault, key, recent: Mutex::default() }
    }

    /// The card last seen of the person of `card`, when it still verifies.
    pub(crate) fn of_person(&self, card: &CardClaims, trust: &TrustBundle) -> Option<CardClaims> {
        let place = self.place(card);
        let stored = self.recent_at(&place).or_else(|| read(self.store.as_ref(), &place).ok()?)?;
        let credential = self.key.open(&place, &stored.sealed).ok()?;
        let signed = Signed::<CardClaims>::decode(&credential).ok()?;
        let key = trust.key(signed.key_id(), KeyUse::Card)?;
        Some(signed.verify(&key.key).ok()?.into_claims())
    }

    /// Remembers a card from now on, in place of the person's older one; what it returns is to be made durable.
    pub(crate) fn remember(&self, card: &CardClaims, credential: &[u8], seen_at: UnixSeconds) -> SeenCard {
        let place = self.place(card);
        let sealed = self.vault.seal(&self.key, &place, credential);
        let seen = SeenCard { place, stored: StoredSeenCard { sealed, seen_at } };
        let mut recent = self.recent();
        if recent.len() >= RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(seen.clone());
        seen
    }

    /// Removes the cards seen longest ago when there are more than [`SEEN_CARDS_MAX`].
    pub(crate) fn prune(&self) -> Result<(), StoredError> {
        let (mut seen, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let found = self.store.scan(&[SEEN_TAG], after.as_deref(), SCAN)?;
            for (place, bytes) in &found {
                let seen_at = codec::decode::<StoredSeenCard>(bytes).map(|card| card.seen_at);
                seen.push((seen_at.unwrap_or_default(), place.clone()));
            }
            match found.into_iter().next_back() {
                Some((place, _)) => after = Some(place),
                None => break,
            }
        }
        seen.sort_unstable();
        let surplus = seen.len().saturating_sub(SEEN_CARDS_MAX);
        seen.truncate(surplus);
        for places in seen.chunks(SCAN) {
            let mut batch = Batch::new();
            for (_, place) in places {
                batch.delete(place)?;
            }
            self.store.commit(batch)?;
        }
        Ok(())
    }

    fn recent_at(&self, place: &[u8]) -> Option<StoredSeenCard> {
        let recent = self.recent();
        Some(recent.iter().rfind(|seen| seen.place == place)?.stored.clone())
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<SeenCard>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, card: &CardClaims) -> Vec<u8> {
        let person = self.key.blind(card.social_number.as_str().as_bytes());
        [&[SEEN_TAG], person.as_slice()].concat()
    }
}

impl SeenCard {
    /// Puts the card into a batch of the cache.
    pub(crate) fn put(&self, batch: &mut Batch) -> Result<(), StoredError> {
        put(batch, &self.place, &self.stored)
    }
}

/// Persons whose card a terminal remembers: a busy hospital's year, 30 MB.
pub(crate) const SEEN_CARDS_MAX: usize = 65_536;
/// Cards in memory: all that the keeper may still have to write, less than 1 MB.
const RECENT_MAX: usize = NOTES_UNDER_WAY_MAX + 1;
const SEEN_TAG: u8 = b'v';
const SCAN: usize = 200;
