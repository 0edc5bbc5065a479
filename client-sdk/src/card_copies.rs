//! A copy of the cards that a phone shows, one small file a member beside the cache, for when the cache cannot be read:
//! the disk is full, or the cache was damaged and set aside. The card is then shown as it last was, until a sync.
//!
//! Promises: sealed under the member's key, as the cache is, and replaced as a whole. An economy otherwise: a copy that is
//! missing, damaged or old is nobody's mistake, and none that cannot be written fails a sync. What is shown of it is
//! verified by the trust bundle like anything else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bhyt_core::codec;
use bhyt_core::ids::MemberId;
use bhyt_core::limits::CARDS_COPY_BYTES_MAX;
use bhyt_core::seal::{SEAL_BYTES, SealKey};
use bhyt_platform::files::{FileAccess, create_private_folder, read_bounded, write_atomic};

use crate::error::SdkError;
use crate::stored::{StoredCards, StoredError};
use crate::vault::Vault;
use crate::wallet_cache::{CachedMember, CardRecords};

/// The folder of the copies.
#[derive(Debug)]
pub(crate) struct CardCopies {
    folder: PathBuf,
    vault: Vault,
    /// Whose cards have changed since they were copied.
    changed: Mutex<BTreeSet<MemberId>>,
}

impl CardCopies {
    /// Copies in `folder`, which is made with the first of them.
    pub(crate) fn new(folder: &Path, vault: Vault) -> Self {
        Self { folder: folder.to_owned(), vault, changed: Mutex::default() }
    }

    /// The cards of a member as they were copied.
    pub(crate) fn read(&self, member: MemberId, key: &SealKey) -> Option<(CardRecords, Vec<Vec<u8>>)> {
        let sealed = read_bounded(&self.path(member), CARDS_COPY_BYTES_MAX + SEAL_BYTES).ok()?;
        let body = key.open(&place(member), &sealed).ok()?;
        let cards: StoredCards = codec::decode(&body).ok()?;
        Some((CardRecords::of_records(cards.records), cards.credentials))
    }

    /// Whether there is a copy.
    pub(crate) fn has(&self, member: MemberId) -> bool {
        self.path(member).exists()
    }

    /// The cards of a member have changed.
    pub(crate) fn note(&self, member: MemberId) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(member);
    }

    /// The members whose cards are to be copied anew.
    pub(crate) fn due(&self) -> BTreeSet<MemberId> {
        std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Copies a member's cards.
    pub(crate) fn keep(&self, member: MemberId, key: &SealKey, cached: &CachedMember) {
        let kept = self.try_keep(member, key, cached);
        if let Err(error) = kept {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(%member, error, "cards not copied; without the cache they could not be shown");
        }
    }

    /// Removes a member's copy. It can no longer be opened anyway.
    pub(crate) fn remove(&self, member: MemberId) {
        let _ = fs::remove_file(self.path(member));
    }

    fn try_keep(&self, member: MemberId, key: &SealKey, cached: &CachedMember) -> Result<(), SdkError> {
        let records = cached.cards.iter().cloned().collect();
        let cards = StoredCards { records, credentials: cached.credentials.clone() };
        let body = codec::encode(&cards).map_err(StoredError::from)?;
        create_private_folder(&self.folder)?;
        let sealed = self.vault.seal(key, &place(member), &body);
        Ok(write_atomic(&self.path(member), &sealed, FileAccess::OwnerOnly)?)
    }

    fn path(&self, member: MemberId) -> PathBuf {
        self.folder.join(member.to_hex())
    }
}

fn place(member: MemberId) -> Vec<u8> {
    [b"cards/", member.0.as_slice()].concat()
}
