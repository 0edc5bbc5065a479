//! Sealing of what is stored. Each member has a random key, wrapped under the store key; bodies are sealed under the
//! member's key for the place they stand at. Erasing a member's key erases the member, wherever copies lie.

use std::sync::Arc;

use bhyt_core::seal::{OpenError, SealKey};
use bhyt_platform::entropy::{Entropy, make_bytes};
use bhyt_platform::store_key::StoreKey;

/// Wraps and opens keys, seals and opens bodies.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    wrapping: SealKey,
    entropy: Arc<dyn Entropy>,
}

impl Vault {
    pub(crate) fn new(store_key: &StoreKey, entropy: Arc<dyn Entropy>) -> Self {
        let wrapping = SealKey::from_bytes(*store_key.as_bytes()).derive(b"bhyt/wrapping/v1");
        Self { wrapping, entropy }
    }

    /// Where its randomness comes from.
    pub(crate) fn entropy(&self) -> Arc<dyn Entropy> {
        Arc::clone(&self.entropy)
    }

    /// Draws a key and wraps it for `place`.
    pub(crate) fn make_key(&self, place: &[u8]) -> (SealKey, Vec<u8>) {
        let key = SealKey::from_bytes(make_bytes(self.entropy.as_ref()));
        let wrapped = self.wrapping.wrap(place, &key, &make_bytes(self.entropy.as_ref()));
        (key, wrapped)
    }

    /// Opens a wrapped key.
    pub(crate) fn open_key(&self, place: &[u8], wrapped: &[u8]) -> Result<SealKey, OpenError> {
        self.wrapping.unwrap_key(place, wrapped)
    }

    /// Seals `body` under `key` for `place`.
    pub(crate) fn seal(&self, key: &SealKey, place: &[u8], body: &[u8]) -> Vec<u8> {
        key.seal(place, body, &make_bytes(self.entropy.as_ref()))
    }
}
