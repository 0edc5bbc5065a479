//! COSE_Sign1 (RFC 9052 §4.2) in our profile: tagged, protected header exactly {1: algorithm, 4: key id}, empty
//! unprotected header, payload inside, `external_aad` naming the object.
//!
//! Signing is prepare → sign → seal: [`Unsigned::to_be_signed`] goes to whatever holds the key, and the signature comes
//! back to [`Unsigned::seal`]. Trust is a type: only [`Verified`] lets claims be read, and it keeps the received bytes.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::cbor::{self, DecodeError};
use crate::keys::{ALGORITHM_ED25519, BadSignature, KeyId, PublicKey, SecretKey, Signature};

/// What a signature speaks of. Its `external_aad` keeps a signature over one object from passing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Card credential.
    Card,
    /// Proof of the holder.
    Present,
    /// Status snapshot or delta.
    Status,
    /// Trust bundle.
    Trust,
    /// Head of a member's feed.
    Head,
    /// New epoch of a member's feed.
    Epoch,
    /// Receipt of an operation.
    Receipt,
    /// Grant to a carer.
    Grant,
}

impl Object {
    /// The ASCII bytes `bhyt/<object>/v1`.
    pub const fn external_aad(self) -> &'static [u8] {
        match self {
            Self::Card => b"bhyt/card/v1",
            Self::Present => b"bhyt/present/v1",
            Self::Status => b"bhyt/status/v1",
            Self::Trust => b"bhyt/trust/v1",
            Self::Head => b"bhyt/head/v1",
            Self::Epoch => b"bhyt/epoch/v1",
            Self::Receipt => b"bhyt/receipt/v1",
            Self::Grant => b"bhyt/grant/v1",
        }
    }
}

/// A payload that travels in a COSE_Sign1 of ours.
pub trait Payload: Sized {
    /// What the signature speaks of.
    const OBJECT: Object;
    /// Bytes of the whole signed object at most.
    const BYTES_MAX: usize;

    /// Deterministic CBOR of the payload.
    fn encode(&self) -> Vec<u8>;

    /// Reads the payload. Only called on bytes whose signature has been verified.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// A payload prepared for a key that has not signed yet.
#[derive(Clone, Debug)]
pub struct Unsigned<T> {
    value: T,
    payload: Vec<u8>,
    key_id: KeyId,
}

impl<T: Payload> Unsigned<T> {
    /// Prepares `value` for the key named `key_id`.
    pub fn new(value: T, key_id: KeyId) -> Self {
        let payload = value.encode();
        Self { value, payload, key_id }
    }

    /// The Sig_structure that the key signs (RFC 9052 §4.4).
    pub fn to_be_signed(&self) -> Vec<u8> {
        let protected = encode_protected(ALGORITHM_ED25519, self.key_id);
        sig_structure(&protected, T::OBJECT, &self.payload)
    }

    /// Joins payload and signature. The signature is taken as it is: who seals with a foreign signature makes an
    /// object that nobody accepts.
    pub fn seal(self, signature: &Signature) -> Verified<T> {
        let protected = encode_protected(ALGORITHM_ED25519, self.key_id);
        let bytes = cbor::encode(|e| {
            // RFC 9052 §4.2: tag 18, [protected, unprotected, payload, signature]
            e.tag(minicbor::data::Tag::new(18))?.array(4)?.bytes(&protected)?.map(0)?;
            e.bytes(&self.payload)?.bytes(&signature.0)?;
            Ok(())
        });
        Verified { claims: self.value, key_id: self.key_id, bytes: bytes.into() }
    }

    /// Signs and seals with a key in memory.
    pub fn sign(self, key: &SecretKey) -> Verified<T> {
        let signature = key.sign(&self.to_be_signed());
        self.seal(&signature)
    }
}

/// A signed object as received: of the right shape, not verified, its claims unreadable.
#[derive(Clone)]
pub struct Signed<T> {
    bytes: Arc<[u8]>,
    algorithm: i64,
    key_id: KeyId,
    payload: std::ops::Range<usize>,
    signature: Signature,
    object: PhantomData<fn() -> T>,
}

impl<T: Payload> Signed<T> {
    /// Reads the envelope. Bounded by [`Payload::BYTES_MAX`]; refuses whatever would not re-encode to the same bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > T::BYTES_MAX {
            return Err(DecodeError::Malformed("larger than its kind may be"));
        }
        let mut decoder = cbor::decoder(bytes)?;
        if decoder.tag()? != minicbor::data::Tag::new(18) {
            return Err(DecodeError::Malformed("not a COSE_Sign1"));
        }
        cbor::read_array(&mut decoder, 4, "not a COSE_Sign1")?;
        let (algorithm, key_id) = decode_protected(decoder.bytes()?)?;
        if decoder.map()? != Some(0) {
            return Err(DecodeError::Malformed("unprotected header is not empty"));
        }
        let length = decoder.bytes()?.len();
        let payload = decoder.position() - length..decoder.position();
        let signature = Signature(cbor::read_bytes(&mut decoder, "signature")?);
        Ok(Self { bytes: bytes.into(), algorithm, key_id, payload, signature, object: PhantomData })
    }

    /// The key that is said to have signed.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The bytes as received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Checks the signature over the bytes as received, and only then reads the claims. The caller has looked the key
    /// up by [`Self::key_id`] and use; its algorithm is pinned to it and a message that names another is refused.
    pub fn verify(self, key: &PublicKey) -> Result<Verified<T>, VerifyError> {
        let payload = self.bytes.get(self.payload.clone()).unwrap_or_default();
        if self.algorithm != ALGORITHM_ED25519 || key.key_id() != self.key_id {
            return Err(VerifyError::BadSignature);
        }
        let protected = encode_protected(self.algorithm, self.key_id);
        key.verify(&sig_structure(&protected, T::OBJECT, payload), &self.signature)?;
        let claims = T::decode(payload)?;
        Ok(Verified { claims, key_id: self.key_id, bytes: self.bytes })
    }

    /// The claims of bytes that this program verified before and kept in memory since.
    pub(crate) fn read_again(&self) -> Result<T, DecodeError> {
        T::decode(self.bytes.get(self.payload.clone()).unwrap_or_default())
    }
}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("key_id", &self.key_id).field("length", &self.bytes.len()).finish()
    }
}

/// A signed object whose signature holds: the only form whose claims can be read.
#[derive(Clone)]
pub struct Verified<T> {
    claims: T,
    key_id: KeyId,
    bytes: Arc<[u8]>,
}

impl<T> Verified<T> {
    /// What was signed. That the signature holds is not yet that it may be relied on now: see `verify`.
    pub fn claims(&self) -> &T {
        &self.claims
    }

    /// The claims, without their proof.
    pub fn into_claims(self) -> T {
        self.claims
    }

    /// The key that signed.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The signed bytes, as received or as sealed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// For objects in another COSE structure than Sign1, whose module has checked the signatures itself.
    pub(crate) fn from_checked(claims: T, key_id: KeyId, bytes: &[u8]) -> Self {
        Self { claims, key_id, bytes: bytes.into() }
    }
}

impl<T> fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("key_id", &self.key_id).field("length", &self.bytes.len()).finish()
    }
}

/// Why a signed object was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The signature is not this key's, or not for this object.
    #[error("bad signature")]
    BadSignature,
    /// Signed, and its payload is not readable.
    #[error("payload not readable")]
    Payload(#[from] DecodeError),
}

impl From<BadSignature> for VerifyError {
    fn from(_: BadSignature) -> Self {
        Self::BadSignature
    }
}

/// RFC 9052 §4.4: ["Signature1", body_protected, external_aad, payload].
pub fn sig_structure(protected: &[u8], object: Object, payload: &[u8]) -> Vec<u8> {
    cbor::encode(|e| {
        e.array(4)?.str("Signature1")?.bytes(protected)?;
        e.bytes(object.external_aad())?.bytes(payload)?;
        Ok(())
    })
}

/// The protected header {1: algorithm, 4: key id}.
pub(crate) fn encode_protected(algorithm: i64, key_id: KeyId) -> Vec<u8> {
    cbor::encode(|e| {
        e.map(2)?.u8(1)?.i64(algorithm)?.u8(4)?.bytes(&key_id.0)?;
        Ok(())
    })
}

/// Reads a protected header and refuses anything but {1: algorithm, 4: key id}.
pub(crate) fn decode_protected(bytes: &[u8]) -> Result<(i64, KeyId), DecodeError> {
    const WHAT: DecodeError = DecodeError::Malformed("protected header");
    let mut decoder = cbor::decoder(bytes)?;
    if decoder.map()? != Some(2) || decoder.u8()? != 1 {
        return Err(WHAT);
    }
    let algorithm = decoder.i64()?;
    if decoder.u8()? != 4 {
        return Err(WHAT);
    }
    Ok((algorithm, KeyId(cbor::read_bytes(&mut decoder, "key id")?)))
}
