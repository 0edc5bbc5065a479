//! The keys of a device, behind traits: an application answers from the system's keystore, a program from key files.
//!
//! A device has three. The *transport key* speaks to the server, in the background, without the user. The *presentation
//! key* signs proofs and nothing else, so it may sit behind the phone's unlock. The *store key* wraps the keys of the
//! members; losing it loses what is stored, destroying it wipes the device.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bhyt_core::keys::{KeyId, PublicKey, Signature};
use bhyt_core::presentation_key::{KeyKind, PresentationKey, PresentationSecret};
use bhyt_platform::entropy::{Entropy, make_bytes};
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

/// The key that a terminal signs its own documents with, which is Ed25519.
pub(crate) fn terminal_key(keys: &DeviceKeys) -> Result<PublicKey, KeyError> {
    match keys.presentation.public_key()? {
        PresentationKey::Ed25519(key) => Ok(key),
        PresentationKey::P256(_) => Err(KeyError::OtherKind),
    }
}

/// The key that signs proofs, and nothing else. A phone's secure element that knows only P-256 answers with
/// [`PresentationKey::P256`] (its export through `P256PublicKey::from_sec1`) and signs with ECDSA and SHA-256; what it
/// gives as DER goes through `signature_from_der`, both in `bhyt_core::p256_keys`.
pub trait PresentationKeys: Send + Sync + std::fmt::Debug + 'static {
    /// The public half; must not need the user.
    fn public_key(&self) -> Result<PresentationKey, KeyError>;

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
    /// A terminal's key is on P-256, which only phones may have.
    #[error("a terminal's key is Ed25519")]
    OtherKind,
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
    signing: Signing,
    /// Read once: every open connection holds it anyway.
    transport: OnceLock<TransportKey>,
    /// The public half. The secret is read anew for each signature.
    public: OnceLock<PresentationKey>,
}

/// The file of a signing key: what it is for, and of which kind it is.
#[derive(Clone, Copy, Debug)]
struct Signing {
    usage: KeyUsage<'static>,
    kind: KeyKind,
}

impl KeyFiles {
    /// The keys of a phone in `folder`: `transport.key`, `store.key`, and `presentation.key` or, on P-256,
    /// `presentation-p256.key`. A phone keeps the presentation key it has; `kind` is that of a new one.
    ///
    /// `Missing::Make` draws what is not there; with `Missing::Refuse` a missing key stays missing, so that data sealed
    /// under a lost key is never mixed with data under a new one.
    pub fn of_phone(
        folder: &Path,
        kind: KeyKind,
        missing: Missing,
        entropy: &dyn Entropy,
    ) -> Result<DeviceKeys, SdkError> {
        let held = |signing: &Signing| path_of(folder, signing.usage).exists();
        let held = [PRESENTATION, PRESENTATION_P256].into_iter().find(held);
        let signing = held.unwrap_or(match kind {
            KeyKind::Ed25519 => PRESENTATION,
            KeyKind::P256 => PRESENTATION_P256,
        });
        Self::open(folder, signing, missing, entropy)
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
        signing: Signing,
        missing: Missing,
        entropy: &dyn Entropy,
    ) -> Result<DeviceKeys, SdkError> {
        let files =
            Self { folder: folder.to_owned(), signing, transport: OnceLock::new(), public: OnceLock::new() };
        let files = Arc::new(files);
        let store_path = path_of(folder, STORE);
        if missing == Missing::Make {
            create_private_folder(folder)?;
            files.make_if_missing(TRANSPORT, make_bytes(entropy))?;
            files.make_if_missing(signing.usage, make_secret(signing.kind, entropy)?)?;
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

    fn make_if_missing(&self, usage: KeyUsage<'static>, secret: [u8; 32]) -> Result<(), SdkError> {
        match create_key_file(&path_of(&self.folder, usage), usage, &SecretBytes::new(secret)) {
            Ok(()) | Err(KeyFileError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self, usage: KeyUsage<'static>) -> Result<SecretBytes, KeyError> {
        read_key_file(&path_of(&self.folder, usage), usage).map_err(|error| {
            if error.is_missing() { KeyError::Missing } else { KeyError::Keystore(error.into()) }
        })
    }

    fn signing_key(&self) -> Result<PresentationSecret, KeyError> {
        let secret = self.read(self.signing.usage)?;
        let key = PresentationSecret::from_bytes(self.signing.kind, secret.as_bytes());
        key.ok_or_else(|| KeyError::Keystore(NotAKey.into()))
    }
}

fn path_of(folder: &Path, usage: KeyUsage<'static>) -> PathBuf {
    folder.join(format!("{}.key", usage.name()))
}

/// Draws a key of this kind: one draw, but for one in 2^32 of P-256.
fn make_secret(kind: KeyKind, entropy: &dyn Entropy) -> Result<[u8; 32], SdkError> {
    let draws = std::iter::repeat_with(|| make_bytes(entropy)).take(DRAWS_MAX);
    let mut keys = draws.filter(|bytes| PresentationSecret::from_bytes(kind, bytes).is_some());
    keys.next().ok_or_else(|| SdkError::system(NotAKey))
}

/// Bytes that are no key of their kind.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not a key of its kind")]
struct NotAKey;

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
        if let Some(key) = self.transport.get() {
            return Ok(key.clone());
        }
        let key = TransportKey::from_seed(self.read(TRANSPORT)?.as_bytes());
        Ok(self.transport.get_or_init(|| key).clone())
    }
}

impl PresentationKeys for KeyFiles {
    fn public_key(&self) -> Result<PresentationKey, KeyError> {
        if let Some(key) = self.public.get() {
            return Ok(*key);
        }
        let key = self.signing_key()?.public_key();
        Ok(*self.public.get_or_init(|| key))
    }

    fn sign(&self, to_be_signed: &[u8]) -> Result<Signature, KeyError> {
        Ok(self.signing_key()?.sign(to_be_signed))
    }
}

/// Reads the store key for one opening.
pub(crate) fn store_key(keys: &DeviceKeys) -> Result<StoreKey, SdkError> {
    Ok(keys.store.store_key()?)
}

const TRANSPORT: KeyUsage<'static> = KeyUsage::new("transport").expect("a plain word");
const PRESENTATION: Signing =
    Signing { usage: KeyUsage::new("presentation").expect("a plain word"), kind: KeyKind::Ed25519 };
const PRESENTATION_P256: Signing =
    Signing { usage: KeyUsage::new("presentation-p256").expect("a plain word"), kind: KeyKind::P256 };
const TERMINAL: Signing =
    Signing { usage: KeyUsage::new("terminal").expect("a plain word"), kind: KeyKind::Ed25519 };
const STORE: KeyUsage<'static> = KeyUsage::new("store").expect("a plain word");
/// Draws of a key before the random source is called broken.
const DRAWS_MAX: usize = 4;
