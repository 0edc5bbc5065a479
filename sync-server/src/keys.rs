//! The server's own keys: one file each in `keys/`, named by use and key id. The trust bundle says which of them may sign;
//! a key that is in no bundle (not yet, or no more) lies there and signs nothing.
//!
//! Promises: what is loaded is what the names say. Refuses: a file whose key is not the one in its name, and a file that is
//! no key of ours, so that a key never gets lost by a slip of the hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bhyt_core::ids::from_hex;
use bhyt_core::keys::{KeyId, PublicKey, SecretKey};
use bhyt_core::seal::SealKey;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, TrustBundle, TrustedKey};
use bhyt_platform::entropy::{Entropy, make_bytes};
use bhyt_platform::files::{self, FileAccess, FileError, FileOperation};
use bhyt_platform::key_file::{KeyFileError, KeyUsage, SecretBytes, create_key_file, read_key_file};
use bhyt_platform::quic::TransportKey;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::folder::io_at;
use crate::member_keys::MEMBER_KEYS;

/// The keys in a `keys` folder.
#[derive(Clone, Debug)]
pub struct ServerKeys {
    signing: BTreeMap<KeyId, (KeyUse, SecretKey)>,
    store: SealKey,
}

impl ServerKeys {
    /// Reads every key in `folder`.
    pub fn load(folder: &Path) -> Result<Self, KeysError> {
        let store = read_key_file(&store_key_path(folder), STORE)?;
        let mut signing = BTreeMap::new();
        for path in key_paths(folder)? {
            if path == store_key_path(folder) {
                continue;
            }
            let misnamed = || KeysError::Misnamed { path: path.clone() };
            let (usage, key_id) = parse_name(&path).ok_or_else(misnamed)?;
            let secret = read_secret(&path, usage_word(usage).ok_or_else(misnamed)?)?;
            if secret.public_key().key_id() != key_id {
                return Err(misnamed());
            }
            signing.insert(key_id, (usage, secret));
        }
        Ok(Self { signing, store: SealKey::from_bytes(*store.as_bytes()) })
    }

    /// The key to sign with for `usage` at `at`: one that is here, and may by the bundle.
    ///
    /// Of several, the one whose window began last, so that a new key takes over when its time comes. The transport key is
    /// the exception: the one whose window began first, because a phone that was away for months knows only that one,
    /// until the next bundle takes it out.
    pub fn signing_key(&self, bundle: &TrustBundle, usage: KeyUse, at: UnixSeconds) -> Option<&SecretKey> {
        let here = |key: &&TrustedKey| self.secret(key.key.key_id(), usage).is_some();
        let usable = bundle.keys_for(usage).filter(|key| key.may_sign_at(at)).filter(here);
        let chosen = match usage {
            KeyUse::Transport => usable.min_by_key(|key| key.signs_from),
            // Of two that begin together, the later in the bundle.
            _ => usable.max_by_key(|key| key.signs_from),
        };
        self.secret(chosen?.key.key_id(), usage)
    }

    /// The key that clients see in the handshake, by the bundle.
    pub fn transport_key(&self, bundle: &TrustBundle, at: UnixSeconds) -> Option<TransportKey> {
        let secret = self.signing_key(bundle, KeyUse::Transport, at)?;
        Some(TransportKey::from_seed(&secret.seed()))
    }

    /// The key of this id, if it is here and for this use.
    pub fn secret(&self, key_id: KeyId, usage: KeyUse) -> Option<&SecretKey> {
        let (found, secret) = self.signing.get(&key_id)?;
        (*found == usage).then_some(secret)
    }

    /// The key of this id, whatever it is for.
    pub fn any_secret(&self, key_id: KeyId) -> Option<&SecretKey> {
        self.signing.get(&key_id).map(|(_, secret)| secret)
    }

    /// The key that the store is sealed under: it wraps members' keys, and blind indexes derive from it.
    pub fn store_key(&self) -> &SealKey {
        &self.store
    }
}

/// Uses without which a server does not work; each needs a key that signs.
pub const SERVER_USES: [KeyUse; 4] = [KeyUse::Card, KeyUse::Status, KeyUse::Head, KeyUse::Transport];
/// Uses that a new server has keys for. One made before receipts were signed works without that key, and takes no
/// operations of phones until `trust renew --add receipt`.
pub const FIRST_USES: [KeyUse; 5] =
    [KeyUse::Card, KeyUse::Status, KeyUse::Head, KeyUse::Transport, KeyUse::Receipt];
/// All uses that a server may have keys for.
const KEY_USES: [KeyUse; 6] =
    [KeyUse::Card, KeyUse::Status, KeyUse::Head, KeyUse::Transport, KeyUse::TokenStatus, KeyUse::Receipt];

/// The word for a use, in file names, key files and on the command line; `None` for a use the server has no keys for.
pub fn usage_word(usage: KeyUse) -> Option<KeyUsage<'static>> {
    Some(match usage {
        KeyUse::Card => CARD,
        KeyUse::Status => STATUS,
        KeyUse::Head => HEAD,
        KeyUse::Transport => TRANSPORT,
        KeyUse::TokenStatus => TOKEN_STATUS,
        KeyUse::Receipt => RECEIPT,
        _ => return None,
    })
}

/// The use that a word stands for.
pub fn parse_usage(word: &str) -> Option<KeyUse> {
    KEY_USES.into_iter().find(|usage| usage_word(*usage).is_some_and(|known| known.name() == word))
}

/// Draws a signing key. It counts for nothing until it is kept in a file and named in a bundle.
pub fn make_signing_key(entropy: &dyn Entropy) -> SecretKey {
    SecretKey::from_seed(&make_bytes(entropy))
}

/// Keeps a signing key in `folder`.
pub fn keep_signing_key(folder: &Path, usage: KeyUse, secret: &SecretKey) -> Result<(), KeysError> {
    let word = usage_word(usage).ok_or(KeysError::NoSuchUse { usage })?;
    let name = format!("{}-{}.key", word.name(), secret.public_key().key_id());
    keep_secret(&folder.join(name), word, secret)
}

/// Draws the store key and keeps it in `folder`.
pub fn make_store_key(folder: &Path, entropy: &dyn Entropy) -> Result<(), KeysError> {
    create_key_file(&store_key_path(folder), STORE, &SecretBytes::new(make_bytes(entropy)))?;
    Ok(())
}

/// Keeps a root key in a file.
pub fn keep_root_key(path: &Path, secret: &SecretKey) -> Result<(), KeysError> {
    keep_secret(path, ROOT, secret)
}

/// Reads a root key.
pub fn read_root_key(path: &Path) -> Result<SecretKey, KeysError> {
    read_secret(path, ROOT)
}

/// Keeps an operator's key in a file and returns its public half.
pub fn make_operator_key(path: &Path, entropy: &dyn Entropy) -> Result<PublicKey, KeysError> {
    let secret = make_signing_key(entropy);
    keep_secret(path, OPERATOR, &secret)?;
    Ok(secret.public_key())
}

/// Reads an operator's key.
pub fn read_operator_key(path: &Path) -> Result<SecretKey, KeysError> {
    read_secret(path, OPERATOR)
}

/// Copies every key of `from`, which were loaded from there, into the new folder `to`.
pub fn copy_keys(from: &Path, to: &Path) -> Result<(), KeysError> {
    files::create_private_folder(to)?;
    for path in key_paths(from)? {
        let bytes = files::read_bounded(&path, KEY_FILE_BYTES_MAX)?;
        let name = path.file_name().unwrap_or_default();
        files::write_atomic(&to.join(name), &Zeroizing::new(bytes), FileAccess::OwnerOnly)?;
    }
    Ok(())
}

/// An operator's public key, as [`hex`](bhyt_core::ids::hex) prints it.
pub fn parse_public_key(text: &str) -> Option<PublicKey> {
    let bytes: [u8; 32] = from_hex(text.trim())?.try_into().ok()?;
    PublicKey::from_bytes(&bytes)
}

/// Why a key was not read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The key file cannot be used.
    #[error("key file cannot be used")]
    KeyFile(#[from] KeyFileError),
    /// The folder cannot be read.
    #[error("folder of keys cannot be read")]
    Folder(#[from] FileError),
    /// A file in the folder of keys is none, or its name says another key than it holds.
    #[error("{} is not the key file that its name says", .path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
    },
    /// The server has no keys for this use.
    #[error("the server has no {usage:?} keys")]
    NoSuchUse {
        /// The use.
        usage: KeyUse,
    },
}

impl Failure for KeysError {
    fn exit(&self) -> Exit {
        match self {
            Self::KeyFile(KeyFileError::File(_)) | Self::Folder(_) => Exit::Io,
            Self::KeyFile(KeyFileError::Exists { .. } | KeyFileError::OpenToOthers { .. }) => Exit::Refused,
            Self::KeyFile(_) | Self::Misnamed { .. } => Exit::Data,
            Self::NoSuchUse { .. } => Exit::Internal,
        }
    }
}

fn keep_secret(path: &Path, word: KeyUsage<'_>, secret: &SecretKey) -> Result<(), KeysError> {
    create_key_file(path, word, &SecretBytes::new(*secret.seed()))?;
    Ok(())
}

fn read_secret(path: &Path, word: KeyUsage<'_>) -> Result<SecretKey, KeysError> {
    Ok(SecretKey::from_seed(read_key_file(path, word)?.as_bytes()))
}

/// Everything in the folder, but for hidden files (an editor's, a file manager's) and the members' keys.
fn key_paths(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let list = || io_at(FileOperation::List, folder);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(list())? {
        let entry = entry.map_err(list())?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && name != MEMBER_KEYS {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// `<use>-<key id>.key`.
fn parse_name(path: &Path) -> Option<(KeyUse, KeyId)> {
    let (word, key_id) = path.file_name()?.to_str()?.strip_suffix(".key")?.rsplit_once('-')?;
    Some((parse_usage(word)?, KeyId::from_hex(key_id)?))
}

fn store_key_path(folder: &Path) -> PathBuf {
    folder.join("store.key")
}

/// A key file is one line of about a hundred bytes.
const KEY_FILE_BYTES_MAX: usize = 256;
const CARD: KeyUsage<'static> = KeyUsage::new("card").expect("a plain word");
const STATUS: KeyUsage<'static> = KeyUsage::new("status").expect("a plain word");
const HEAD: KeyUsage<'static> = KeyUsage::new("head").expect("a plain word");
const TRANSPORT: KeyUsage<'static> = KeyUsage::new("transport").expect("a plain word");
const RECEIPT: KeyUsage<'static> = KeyUsage::new("receipt").expect("a plain word");
const TOKEN_STATUS: KeyUsage<'static> = KeyUsage::new("token-status").expect("a plain word");
const STORE: KeyUsage<'static> = KeyUsage::new("store").expect("a plain word");
const ROOT: KeyUsage<'static> = KeyUsage::new("root").expect("a plain word");
const OPERATOR: KeyUsage<'static> = KeyUsage::new("operator").expect("a plain word");

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_core::trust::{Policy, RootSet};
    use bhyt_platform::entropy::SeededEntropy;

    fn made(folder: &Path, usages: &[KeyUse]) -> Vec<SecretKey> {
        let entropy = SeededEntropy::danger_from_seed(1);
        make_store_key(folder, &entropy).unwrap();
        let keep = |usage: &KeyUse| {
            let secret = make_signing_key(&entropy);
            keep_signing_key(folder, *usage, &secret).unwrap();
            secret
        };
        usages.iter().map(keep).collect()
    }

    fn trusted(secret: &SecretKey, usage: KeyUse, signs_from: u64, until: Option<u64>) -> TrustedKey {
        TrustedKey {
            key: secret.public_key(),
            usage,
            signs_from: UnixSeconds(signs_from),
            signs_until: until.map(UnixSeconds),
            verify_until: None,
            ranges: Vec::new(),
        }
    }

    fn bundle(keys: Vec<TrustedKey>) -> TrustBundle {
        let root = SecretKey::from_seed(&[9; 32]).public_key();
        TrustBundle {
            version: 1,
            issued: UnixSeconds(0),
            expires: UnixSeconds(9),
            roots: RootSet::new(vec![root], 1).unwrap(),
            keys,
            policy: Policy::default(),
            status: None,
        }
    }

    #[test]
    fn the_newest_key_in_its_window_signs_and_the_oldest_is_seen_in_handshakes() {
        let folder = tempfile::tempdir().unwrap();
        let uses = [KeyUse::Card, KeyUse::Card, KeyUse::Transport, KeyUse::Transport];
        let secrets = made(folder.path(), &uses);
        let [old, new, first, second] = secrets.as_slice() else { panic!() };
        let keys = ServerKeys::load(folder.path()).unwrap();
        let bundle = bundle(vec![
            trusted(new, KeyUse::Card, 20, None),
            trusted(old, KeyUse::Card, 0, Some(30)),
            trusted(&SecretKey::from_seed(&[7; 32]), KeyUse::Card, 25, None),
            trusted(second, KeyUse::Transport, 20, None),
            trusted(first, KeyUse::Transport, 0, None),
        ]);
        let check = |usage, at, expected: Option<&SecretKey>| {
            let found = keys.signing_key(&bundle, usage, UnixSeconds(at));
            assert_eq!(found.map(SecretKey::public_key), expected.map(SecretKey::public_key), "{at}");
        };
        check(KeyUse::Card, 19, Some(old));
        // A newer key that is not here does not stop one that is.
        check(KeyUse::Card, 29, Some(new));
        check(KeyUse::Transport, 99, Some(first));
        check(KeyUse::Head, 29, None);
        assert!(keys.secret(old.public_key().key_id(), KeyUse::Head).is_none());
    }

    #[test]
    fn files_that_are_not_what_they_say_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = made(folder.path(), &[KeyUse::Card]);
        let name = |usage: &str, secret: &SecretKey| {
            folder.path().join(format!("{usage}-{}.key", secret.public_key().key_id()))
        };
        let good = name("card", &secrets[0]);
        fs::write(folder.path().join(".DS_Store"), "").unwrap();
        assert!(ServerKeys::load(folder.path()).is_ok());
        let other = SecretKey::from_seed(&[3; 32]);
        for bad in [name("card", &other), name("operator", &secrets[0]), folder.path().join("x.key")] {
            fs::rename(&good, &bad).unwrap();
            let error = ServerKeys::load(folder.path()).unwrap_err();
            assert!(matches!(error, KeysError::Misnamed { .. }), "{error}");
            fs::rename(&bad, &good).unwrap();
        }
        fs::rename(&good, name("head", &secrets[0])).unwrap();
        let error = ServerKeys::load(folder.path()).unwrap_err();
        assert!(matches!(error, KeysError::KeyFile(KeyFileError::OtherUse { .. })), "{error}");
        assert_eq!(error.exit(), Exit::Data);
    }
}
