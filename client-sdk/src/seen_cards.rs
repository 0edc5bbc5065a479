//! The cards that this terminal has accepted, so that the successor of a superseded card is known when it was here. Under
//! a blind index of the person's number, sealed; in the cache, because losing them costs a note and no verdict.

use std::sync::Arc;

use bhyt_core::card::CardClaims;
use bhyt_core::codec;
use bhyt_core::cose::Signed;
use bhyt_core::seal::SealKey;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, TrustBundle};
use bhyt_platform::kv::{Batch, Kv};

use crate::stored::{StoredError, StoredSeenCard, put, read};
use crate::vault::Vault;

/// One card a person.
#[derive(Debug)]
pub(crate) struct SeenCards {
    store: Arc<dyn Kv>,
    vault: Vault,
    key: SealKey,
}

impl SeenCards {
    pub(crate) fn new(store: Arc<dyn Kv>, vault: Vault, key: SealKey) -> Self {
        Self { store, vault, key }
    }

    /// The card last seen of the person of `card`, when it still verifies.
    pub(crate) fn of_person(&self, card: &CardClaims, trust: &TrustBundle) -> Option<CardClaims> {
        let place = self.place(card);
        let stored: StoredSeenCard = read(self.store.as_ref(), &place).ok()??;
        let credential = self.key.open(&place, &stored.sealed).ok()?;
        let signed = Signed::<CardClaims>::decode(&credential).ok()?;
        let key = trust.key(signed.key_id(), KeyUse::Card)?;
        Some(signed.verify(&key.key).ok()?.into_claims())
    }

    /// Puts a card into a batch of the cache, in place of the person's older one.
    pub(crate) fn put(
        &self,
        batch: &mut Batch,
        card: &CardClaims,
        credential: &[u8],
        seen_at: UnixSeconds,
    ) -> Result<(), StoredError> {
        let place = self.place(card);
        let sealed = self.vault.seal(&self.key, &place, credential);
        put(batch, &place, &StoredSeenCard { sealed, seen_at })
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

    fn place(&self, card: &CardClaims) -> Vec<u8> {
        let person = self.key.blind(card.social_number.as_str().as_bytes());
        [&[SEEN_TAG], person.as_slice()].concat()
    }
}

/// Persons whose card a terminal remembers: a busy hospital's year, 30 MB.
pub(crate) const SEEN_CARDS_MAX: usize = 65_536;
const SEEN_TAG: u8 = b'v';
const SCAN: usize = 200;
