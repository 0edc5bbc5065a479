//! The key with which a phone proves that it holds a card: Ed25519, or P-256 where the phone's secure element knows only
//! that. The kind stands in the card's `cnf` and decides the algorithm; a proof names none.

use minicbor::Decoder;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cbor::{DecodeError, Key, read_bytes, read_map};
use crate::keys::{BadSignature, KeyId, PublicKey, SecretKey, Signature};
use crate::p256_keys::{P256PublicKey, P256SecretKey};

/// A presentation key. Variants are only ever appended: frames and stores hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PresentationKey {
    /// Signs with Ed25519 (COSE −19).
    Ed25519(PublicKey),
    /// Signs with ESP256 (COSE −9).
    P256(P256PublicKey),
}

impl PresentationKey {
    /// Of which kind it is.
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Ed25519(_) => KeyKind::Ed25519,
            Self::P256(_) => KeyKind::P256,
        }
    }

    /// The first eight bytes of the key's thumbprint (RFC 9679).
    pub fn key_id(&self) -> KeyId {
        match self {
            Self::Ed25519(key) => key.key_id(),
            Self::P256(key) => key.key_id(),
        }
    }

    /// The deterministic COSE_Key that a card's `cnf` holds.
    pub fn to_cose_key(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.to_cose_key(),
            Self::P256(key) => key.to_cose_key(),
        }
    }

    /// Checks a signature over `message` by the algorithm of the key's kind.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        match self {
            Self::Ed25519(key) => key.verify(message, signature),
            Self::P256(key) => key.verify(message, signature),
        }
    }

    /// Reads a COSE_Key from bytes that are known to be deterministic, so that kty (1) and crv (−1) come before what their
    /// kind has in other places. A kind that is not ours needs an update, whatever else the key says; one of ours that is
    /// no key of the curve is malformed.
    pub(crate) fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (mut key_type, mut kind, mut x, mut y) = (0, None, None, None);
        read_map(d, |label, d| {
            match (label, kind) {
                (1, _) => key_type = read_name(d)?,
                (-1, _) => {
                    kind = Some(match (key_type, read_name(d)?) {
                        (1, 6) => KeyKind::Ed25519,
                        (2, 1) => KeyKind::P256,
                        _ => return Err(DecodeError::NeedsUpdate),
                    });
                }
                (-2, Some(_)) => x = Some(read_bytes(d, "x of a key")?),
                (-3, Some(KeyKind::P256)) => y = Some(d.bool()?),
                _ => return Ok(Key::Unknown),
            }
            Ok(Key::Known)
        })?;
        let kind = kind.ok_or(DecodeError::NeedsUpdate)?;
        let key = match (kind, x, y) {
            (KeyKind::Ed25519, Some(x), None) => PublicKey::from_bytes(&x).map(Self::Ed25519),
            (KeyKind::P256, Some(x), Some(odd)) => P256PublicKey::from_x(&x, odd).map(Self::P256),
            _ => None,
        };
        key.ok_or(DecodeError::Malformed("no key of its curve"))
    }
}

/// RFC 9053 §7: kty and crv are numbers or texts, and in place of crv other kinds have what they like.
fn read_name(d: &mut Decoder<'_>) -> Result<i64, DecodeError> {
    d.i64().map_err(|_| DecodeError::NeedsUpdate)
}

impl From<PublicKey> for PresentationKey {
    fn from(key: PublicKey) -> Self {
        Self::Ed25519(key)
    }
}

impl From<P256PublicKey> for PresentationKey {
    fn from(key: P256PublicKey) -> Self {
        Self::P256(key)
    }
}

/// The two kinds of presentation keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Smaller and faster to check: what a phone has when it may choose.
    Ed25519,
    /// What every secure element knows.
    P256,
}

impl KeyKind {
    /// The name on command lines and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::P256 => "p256",
        }
    }

    /// From its [`Self::name`].
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Ed25519, Self::P256].into_iter().find(|kind| kind.name() == name)
    }
}

/// A presentation key held in memory, wiped on drop: what key files hold.
#[derive(Clone, Debug)]
pub enum PresentationSecret {
    /// Ed25519.
    Ed25519(SecretKey),
    /// P-256.
    P256(P256SecretKey),
}

impl PresentationSecret {
    /// From 32 bytes; the caller draws them. `None` for the one draw in 2^32 that is no number of a P-256 key.
    pub fn from_bytes(kind: KeyKind, bytes: &[u8; 32]) -> Option<Self> {
        match kind {
            KeyKind::Ed25519 => Some(Self::Ed25519(SecretKey::from_seed(bytes))),
            KeyKind::P256 => P256SecretKey::from_bytes(bytes).map(Self::P256),
        }
    }

    /// Signs `message`, deterministically.
    pub fn sign(&self, message: &[u8]) -> Signature {
        match self {
            Self::Ed25519(key) => key.sign(message),
            Self::P256(key) => key.sign(message),
        }
    }

    /// The public half.
    pub fn public_key(&self) -> PresentationKey {
        match self {
            Self::Ed25519(key) => key.public_key().into(),
            Self::P256(key) => key.public_key().into(),
        }
    }

    /// The bytes, for writing a key file.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        match self {
            Self::Ed25519(key) => key.seed(),
            Self::P256(key) => key.to_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bare;
    use crate::ids::{from_hex, hex};

    fn secret(kind: KeyKind) -> PresentationSecret {
        PresentationSecret::from_bytes(kind, &[1; 32]).unwrap()
    }

    #[test]
    fn each_kind_signs_and_verifies_and_not_for_the_other() {
        let (ed25519, p256) = (secret(KeyKind::Ed25519), secret(KeyKind::P256));
        for (signer, other) in [(&ed25519, &p256), (&p256, &ed25519)] {
            let signature = signer.sign(b"message");
            assert_eq!(signer.public_key().verify(b"message", &signature), Ok(()));
            assert_eq!(signer.public_key().verify(b"Message", &signature), Err(BadSignature));
            assert_eq!(other.public_key().verify(b"message", &signature), Err(BadSignature));
            let kind = signer.public_key().kind();
            assert_eq!(KeyKind::parse(kind.name()), Some(kind));
            let again = PresentationSecret::from_bytes(kind, &signer.to_bytes()).unwrap();
            assert_eq!(again.public_key(), signer.public_key());
        }
        assert_eq!(KeyKind::parse("p384"), None);
    }

    /// Golden: frames and stores hold these bytes.
    #[test]
    fn in_frames_a_key_is_its_kind_and_itself() {
        for (kind, golden) in [
            (KeyKind::Ed25519, "000000008a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"),
            (KeyKind::P256, "01000000006ff03b949241ce1dadd43519e6960e0a85b41a69a05c328103aa2bce1594ca16"),
        ] {
            let key = secret(kind).public_key();
            assert_eq!(hex(&bare::encode(&key)), golden);
            assert_eq!(bare::decode::<PresentationKey>(&from_hex(golden).unwrap()), Ok(key));
        }
        let no_point = [&[1, 0, 0, 0, 0][..], &[0x11; 32]].concat();
        assert!(bare::decode::<PresentationKey>(&no_point).is_err());
        let no_bool = [&[1, 0, 0, 0, 2][..], &[0; 32]].concat();
        assert!(bare::decode::<PresentationKey>(&no_bool).is_err());
    }
}
