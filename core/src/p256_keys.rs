//! P-256 keys and ESP256, for phones whose secure element knows nothing else. The one module that names p256. Only a
//! presentation key may be one ([`crate::presentation_key`]): everything else that is signed is Ed25519.
//!
//! A key is a point of the curve, never the one at infinity. A signature is r ‖ s, both from 1 to n − 1. Both s and n − s
//! are taken: neither FIPS 186-5 nor RFC 9053 prefers one, and secure elements give either. Nothing of ours may
//! therefore be named by a signature; what a terminal remembers of a proof is the hash of its payload.

use std::fmt;

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{SigningKey, VerifyingKey};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::cbor;
use crate::ids::MalformedId;
use crate::keys::{BadSignature, KeyId, Signature};

/// COSE algorithm ESP256 (RFC 9864 §2.1): ECDSA with SHA-256 on P-256. Pinned to the key; a proof names no algorithm.
pub const ALGORITHM_ESP256: i64 = -9;

/// A public key on P-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct P256PublicKey(VerifyingKey);

impl P256PublicKey {
    /// From the x-coordinate and the sign of y, as a COSE_Key with a compressed point has them. `None` when no point of
    /// the curve has this x.
    pub fn from_x(x: &[u8; 32], y_is_odd: bool) -> Option<Self> {
        // SEC 1 v2 §2.3.3: a compressed point is 02 or 03, by the parity of y, and x.
        let mut point = [0; 33];
        let (tag, rest) = point.split_at_mut(1);
        tag.fill(2 + u8::from(y_is_odd));
        rest.copy_from_slice(x);
        Self::from_sec1(&point)
    }

    /// From what a phone's keystore exports: a point as SEC 1 writes it, uncompressed (65 bytes) or compressed (33).
    pub fn from_sec1(point: &[u8]) -> Option<Self> {
        let known = matches!((point.first(), point.len()), (Some(2 | 3), 33) | (Some(4), 65));
        VerifyingKey::from_sec1_bytes(point).ok().filter(|_| known).map(Self)
    }

    /// The x-coordinate, big-endian.
    pub fn x(&self) -> [u8; 32] {
        self.0.as_affine().to_encoded_point(true).x().copied().unwrap_or_default().into()
    }

    /// Whether y is odd, which with x is the whole key.
    pub fn y_is_odd(&self) -> bool {
        self.0.as_affine().to_encoded_point(true).as_bytes().first() == Some(&3)
    }

    /// The first eight bytes of [`Self::thumbprint`].
    pub fn key_id(&self) -> KeyId {
        let [a, b, c, d, e, f, g, h, ..] = self.thumbprint();
        KeyId([a, b, c, d, e, f, g, h])
    }

    /// The COSE key thumbprint, over {1: 2 (EC2), −1: 1 (P-256), −2: x, −3: y}. RFC 9679 §4.2: "implementations adhering
    /// to this specification MUST use the uncompressed point representation", so y stands here as 32 bytes.
    pub fn thumbprint(&self) -> [u8; 32] {
        let point = self.0.as_affine().to_encoded_point(false);
        let y = point.y().copied().unwrap_or_default();
        let key = cbor::encode(|e| {
            e.map(4)?.u8(1)?.u8(2)?.i8(-1)?.u8(1)?.i8(-2)?.bytes(&self.x())?.i8(-3)?.bytes(&y)?;
            Ok(())
        });
        Sha256::digest(key).into()
    }

    /// The deterministic COSE_Key of a card: {1: 2 (EC2), −1: 1 (P-256), −2: x, −3: whether y is odd} (RFC 9053 §7.1.1).
    pub fn to_cose_key(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.map(4)?.u8(1)?.u8(2)?.i8(-1)?.u8(1)?.i8(-2)?.bytes(&self.x())?;
            e.i8(-3)?.bool(self.y_is_odd())?;
            Ok(())
        })
    }

    /// Checks an ESP256 signature over `message`. Refuses an r or s of zero, and of n and more.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = p256::ecdsa::Signature::from_slice(&signature.0).map_err(|_| BadSignature)?;
        self.0.verify(message, &signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for P256PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P256PublicKey({})", self.key_id())
    }
}

/// In frames and stores: whether y is odd, and x.
impl Serialize for P256PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.y_is_odd(), self.x()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for P256PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (y_is_odd, x) = <(bool, [u8; 32])>::deserialize(deserializer)?;
        Self::from_x(&x, y_is_odd).ok_or_else(|| serde::de::Error::custom(MalformedId("P256PublicKey")))
    }
}

/// A signing key in memory, wiped on drop. A phone's secure element keeps its own, and hands signatures out.
#[derive(Clone)]
pub struct P256SecretKey(SigningKey);

impl P256SecretKey {
    /// From a number of 32 bytes, big-endian; the caller draws it. `None` for zero and for n and more: of 2^32 draws, one.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        SigningKey::from_slice(bytes).ok().map(Self)
    }

    /// Signs `message`, with the nonce of RFC 6979: no randomness is needed, and none can leak the key.
    pub fn sign(&self, message: &[u8]) -> Signature {
        let signature: p256::ecdsa::Signature = self.0.sign(message);
        Signature(signature.to_bytes().into())
    }

    /// The public half.
    pub fn public_key(&self) -> P256PublicKey {
        P256PublicKey(*self.0.verifying_key())
    }

    /// The number, for writing a key file.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }
}

impl fmt::Debug for P256SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P256SecretKey({})", self.public_key().key_id())
    }
}

/// What the keystores of Android and iOS call a signature: DER of SEQUENCE { r INTEGER, s INTEGER } (X9.62), read
/// strictly. `None` for anything else; whether r and s are in range is asked when the signature is verified.
pub fn signature_from_der(der: &[u8]) -> Option<Signature> {
    let body = der.strip_prefix(&[SEQUENCE])?;
    let (&length, body) = body.split_first()?;
    // Two integers of at most 33 bytes: the length is always the short form's.
    if usize::from(length) != body.len() || length > 2 * (2 + 33) {
        return None;
    }
    let (r, rest) = read_integer(body)?;
    let (s, rest) = read_integer(rest)?;
    let mut signature = [0; 64];
    let (first, second) = signature.split_at_mut(32);
    first.copy_from_slice(&r);
    second.copy_from_slice(&s);
    rest.is_empty().then_some(Signature(signature))
}

/// One INTEGER from 0 to 2^256 − 1 in its shortest form, and what follows.
fn read_integer(der: &[u8]) -> Option<([u8; 32], &[u8])> {
    let (&length, rest) = der.strip_prefix(&[INTEGER])?.split_first()?;
    let (digits, rest) = rest.split_at_checked(length.into())?;
    let magnitude = match digits {
        // X.690 §8.3.2: the first nine bits are not all equal. A leading bit is a sign, and r and s have none.
        [0, next, ..] if *next < 0x80 => return None,
        [0, magnitude @ ..] if !magnitude.is_empty() => magnitude,
        [first, ..] if *first < 0x80 => digits,
        _ => return None,
    };
    let mut number = [0; 32];
    let start = number.len().checked_sub(magnitude.len())?;
    number.get_mut(start..)?.copy_from_slice(magnitude);
    Some((number, rest))
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
