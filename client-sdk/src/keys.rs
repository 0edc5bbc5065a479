//! The keys of a device, behind traits: an application answers from the system's keystore, a program from key files.
//!
//! A device has three. The *transport key* speaks to the server, in the background, without the user. The *presentation
//! key* signs proofs and nothing else, so it may sit behind the phone's unlock. The *store key* wraps the keys of the
//! members; losing it loses what is stored, destroying it wipes the device.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bhyt_core::keys::{KeyId, PublicKey, SecretKey, Signature};
use bhyt_platform::entropy::Entropy;
use bhyt_platform::files::create_private_folder;
use bhyt_platform::key_file::{KeyFileError, KeyUsage, SecretBytes, create_key_file, read_key_file};
use bhyt_platform::quic::TransportKey;
use bhyt_platform::store_key::{StoreKey, StoreKeyError, StoreKeyFile, StoreKeyProvider};

use crate::error::{Cause, SdkError};

/// The key that speaks to the server. Needed without the user, so not behind the unlock.
pub trait TransportKeys: Send + Sync + std::fmt::Debug + 'static {
    /// The same key every time.
    fn transport_key(&self) -> Result<TransportKey, KeyError>;
}

/// What the operator's lists call a device: the id of its transport key. `None` while the key does not answer.
pub(crate) fn device_id(keys: &DeviceKeys) -> Option<KeyId> {
    let key = keys.transport.transport_key().ok()?.public_key();
    PublicKey::from_bytes(key.as_bytes()).map(|key| key.key_id())
}

/// The key that signs proofs, and nothing else.
pub trait PresentationKeys: Send + Sync + std::fmt::Debug + 'static {
    /// The public half; must not need the user.
    fn public_key(&self) -> Result<PublicKey, KeyError>;

    /// Signs what [`crate::PreparedPresentation::to_be_signed`] gave. May ask the user; blocks until answered.
    fn sign(&self, to_be_signed: &[u8]) -> Result<Signature, KeyError>;
}

/// Why a key did not answer.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The device is locked, or the user said no.
    #[error("the key is locked")]
    Locked,
    /// The key is gone.
    #[error("the key does not exist")]
    Missing,
    /// The keystore failed.
    #[error("the keystore failed")]
    Keystore(#[source] Cause),
}

impl From<KeyError> for SdkError {
    fn from(error: KeyError) -> Self {
        Self::Locked { source: error.into() }
    }
}

/// All keys of a device.
#[derive(Clone, Debug)]
pub struct DeviceKeys {
    /// Speaks to the server.
    pub transport: Arc<dyn TransportKeys>,
    /// Signs proofs on a phone; a terminal's own documents on a terminal.
    pub presentation: Arc<dyn PresentationKeys>,
    /// Wraps what is stored.
    pub store: Arc<dyn StoreKeyProvider>,
}

/// The default keys: files in one folder, readable by their owner only.
#[derive(Debug)]
pub struct KeyFiles {
    folder: PathBuf,
    signing: KeyUsage<'static>,
}

impl KeyFiles {
    /// The keys of a phone in `folder`: `transport.key`, `presentation.key` and `store.key`.
    ///
    /// `Missing::Make` draws what is not there; with `Missing::Refuse` a missing key stays missing, so that data sealed
    /// under a lost key is never mixed with data under a new one.
    pub fn of_phone(folder: &Path, missing: Missing, entropy: &dyn Entropy) -> Result<DeviceKeys, SdkError> {
        Self::open(folder, PRESENTATION, missing, entropy)
    }

    /// The keys of a terminal in `folder`: `transport.key`, `terminal.key` and `store.key`.
    pub fn of_terminal(
        folder: &Path,
        missing: Missing,
        entropy: &dyn Entropy,
    ) -> Result<DeviceKeys, SdkError> {
        Self::open(folder, TERMINAL, missing, entropy)
    }

    fn open(
        folder: &Path,
        signing: KeyUsage<'static>,
        missing: Missing,
        entropy: &dyn Entropy,
    ) -> Result<DeviceKeys, SdkError> {
        let files = Arc::new(Self { folder: folder.to_owned(), signing });
        let store_path = files.path(STORE);
        if missing == Missing::Make {
            create_private_folder(folder)?;
            for usage in [TRANSPORT, signing] {
                files.make_if_missing(usage, entropy)?;
            }
            match StoreKeyFile::make(&store_path, entropy) {
                Ok(_) | Err(StoreKeyError::KeyFile(KeyFileError::Exists { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(DeviceKeys {
            transport: files.clone(),
            presentation: files,
            store: Arc::new(StoreKeyFile::new(&store_path)),
        })
    }

    fn make_if_missing(&self, usage: KeyUsage<'static>, entropy: &dyn Entropy) -> Result<(), SdkError> {
        let secret = SecretBytes::new(bhyt_platform::entropy::make_bytes(entropy));
        match create_key_file(&self.path(usage), usage, &secret) {
            Ok(()) | Err(KeyFileError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn path(&self, usage: KeyUsage<'static>) -> PathBuf {
        self.folder.join(format!("{}.key", usage.name()))
    }

    fn read(&self, usage: KeyUsage<'static>) -> Result<SecretBytes, KeyError> {
        read_key_file(&self.path(usage), usage).map_err(|error| {
            if error.is_missing() { KeyError::Missing } else { KeyError::Keystore(error.into()) }
        })
    }
}

/// What to do about a key file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A new device: draw it.
    Make,
    /// A device that holds data: the key is lost, say so when it is asked for.
    Refuse,
}

impl TransportKeys for KeyFiles {
    fn transport_key(&self) -> Result<TransportKey, KeyError> {
        Ok(TransportKey::from_seed(self.read(TRANSPORT)?.as_bytes()))
    }
}

impl PresentationKeys for KeyFiles {
    fn public_key(&self) -> Result<PublicKey, KeyError> {
        Ok(SecretKey::from_seed(self.read(self.signing)?.as_bytes()).public_key())
    }

    fn sign(&self, to_be_signed: &[u8]) -> Result<Signature, KeyError> {
        Ok(SecretKey::from_seed(self.read(self.signing)?.as_bytes()).sign(to_be_signed))
    }
}

/// Reads the store key for one opening.
pub(crate) fn store_key(keys: &DeviceKeys) -> Result<StoreKey, SdkError> {
    Ok(keys.store.store_key()?)
}

const TRANSPORT: KeyUsage<'static> = KeyUsage::new("transport").expect("a plain word");
const PRESENTATION: KeyUsage<'static> = KeyUsage::new("presentation").expect("a plain word");
const TERMINAL: KeyUsage<'static> = KeyUsage::new("terminal").expect("a plain word");
const STORE: KeyUsage<'static> = KeyUsage::new("store").expect("a plain word");
