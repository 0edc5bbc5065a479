//! Ed25519 keys and key ids. The one module that names ed25519-dalek. Verification is always `verify_strict`, so a
//! signature is not malleable and small-order keys and nonces are refused. The other kind of key, for phones alone, is
//! in [`crate::p256_keys`].

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::cbor;
use crate::ids::hex;

/// COSE algorithm Ed25519 (RFC 9864 §2.2): what everybody signs with but a phone whose element knows P-256 alone.
pub const ALGORITHM_ED25519: i64 = -19;

/// An Ed25519 public key: a point of the curve, and not one of small order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From the 32 bytes of RFC 8032 §5.1.5. `None` when they are no point or one of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(Self)
    }

    /// The 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// RFC 9679: SHA-256 over the deterministic COSE_Key with its required members only
    /// (§4.1: kty, crv and x of an OKP key), cut to eight bytes.
    pub fn key_id(&self) -> KeyId {
        let thumbprint = self.thumbprint();
        let [a, b, c, d, e, f, g, h, ..] = thumbprint;
        KeyId([a, b, c, d, e, f, g, h])
    }

    /// The whole COSE key thumbprint of RFC 9679, 32 bytes.
    pub fn thumbprint(&self) -> [u8; 32] {
        Sha256::digest(self.to_cose_key()).into()
    }

    /// The deterministic COSE_Key {1: 1 (OKP), −1: 6 (Ed25519), −2: x} (RFC 9053 §7.2).
    pub fn to_cose_key(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.map(3)?.u8(1)?.u8(1)?.i8(-1)?.u8(6)?.i8(-2)?.bytes(self.as_bytes())?;
            Ok(())
        })
    }

    /// Checks a signature over `message` strictly (no malleable and no small-order forms).
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.key_id())
    }
}

impl TryFrom<[u8; 32]> for PublicKey {
    type Error = crate::ids::MalformedId;
    fn try_from(bytes: [u8; 32]) -> Result<Self, Self::Error> {
        Self::from_bytes(&bytes).ok_or(crate::ids::MalformedId("PublicKey"))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(<[u8; 32]>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The first eight bytes of a key's thumbprint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// Reads 16 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        crate::ids::from_hex(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The 64 bytes of a signature: R ‖ S of Ed25519, or r ‖ s of ESP256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(…)")
    }
}

/// The signature is not this key's over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad signature")]
pub struct BadSignature;

/// A signing key held in memory, wiped on drop. What signs in a phone's enclave or an HSM never is one of these:
/// those take the bytes of `to_be_signed` and hand a [`Signature`] back.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// From the 32-byte seed of RFC 8032 §5.1.5; the caller draws it.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Signs `message` (deterministic, RFC 8032 §5.1.6).
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The seed, for writing a key file.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public_key().key_id())
    }
}
