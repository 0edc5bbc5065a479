//! The key under which a device seals what it stores, and where it comes from.
//!
//! On a server or terminal it is a key file ([`StoreKeyFile`]); on a phone the application answers from the system's
//! keystore by implementing [`StoreKeyProvider`]. Losing this key loses what was sealed under it, and destroying it is how
//! a device is wiped.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::entropy::{Entropy, make_bytes};
use crate::key_file::{KeyFileError, KeyUsage, SecretBytes, create_key_file, read_key_file};

/// Hands out the store key. Called at each opening of a store, never cached by us beyond it.
pub trait StoreKeyProvider: Send + Sync + fmt::Debug + 'static {
    /// The same key every time, or an error; never a new key in place of one that cannot be read.
    fn store_key(&self) -> Result<StoreKey, StoreKeyError>;
}

/// The key that seals stored values. Wiped when dropped and never shown.
#[derive(Clone, Debug)]
pub struct StoreKey(SecretBytes);

impl StoreKey {
    /// Takes the bytes in; wiping the caller's copy is the caller's.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBytes::new(bytes))
    }

    /// The bytes. Copies are the caller's to wipe.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// Why there is no store key.
#[derive(Debug, thiserror::Error)]
pub enum StoreKeyError {
    /// The device is locked; try again once the user has unlocked it.
    #[error("the store key is locked until the device is unlocked")]
    Locked,
    /// The key is gone for good: what was sealed under it cannot be read again.
    #[error("the store key does not exist")]
    Missing,
    /// The key file cannot be used.
    #[error("cannot use the store key file")]
    KeyFile(#[source] KeyFileError),
    /// The application's own keystore failed.
    #[error("the keystore failed")]
    Keystore(#[source] Box<dyn Error + Send + Sync>),
}

/// A store key in a key file of the use `store`.
#[derive(Clone, Debug)]
pub struct StoreKeyFile {
    path: PathBuf,
}

impl StoreKeyFile {
    /// The key in an existing file; it is read when asked for.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Draws a new key into a new file. Fails when `path` is taken.
    pub fn make(path: &Path, entropy: &dyn Entropy) -> Result<Self, StoreKeyError> {
        let secret = SecretBytes::new(make_bytes(entropy));
        create_key_file(path, STORE_USAGE, &secret).map_err(StoreKeyError::KeyFile)?;
        Ok(Self::new(path))
    }
}

impl StoreKeyProvider for StoreKeyFile {
    fn store_key(&self) -> Result<StoreKey, StoreKeyError> {
        match read_key_file(&self.path, STORE_USAGE) {
            Ok(secret) => Ok(StoreKey(secret)),
            Err(error) if error.is_missing() => Err(StoreKeyError::Missing),
            Err(error) => Err(StoreKeyError::KeyFile(error)),
        }
    }
}

const STORE_USAGE: KeyUsage<'static> = KeyUsage::new("store").expect("a plain word");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn a_made_key_is_the_same_each_time_and_a_missing_one_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.key");
        let error = StoreKeyFile::new(&path).store_key().unwrap_err();
        assert!(matches!(error, StoreKeyError::Missing));
        let entropy = SeededEntropy::danger_from_seed(1);
        let made = StoreKeyFile::make(&path, &entropy).unwrap().store_key().unwrap();
        let read = StoreKeyFile::new(&path).store_key().unwrap();
        assert_eq!(made.as_bytes(), read.as_bytes());
        assert!(StoreKeyFile::make(&path, &entropy).is_err());
    }
}
