//! Sealing of bodies under a member's key: XChaCha20-Poly1305, the place a value is kept at as associated data, so that
//! a sealed value cannot be moved to another place. The nonce is drawn by the caller; 24 random bytes never repeat.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use zeroize::Zeroizing;

/// A 32-byte symmetric key, wiped on drop.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// From 32 bytes that the caller drew or unwrapped.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Seals `body` for `place`. Returns nonce ‖ ciphertext ‖ tag, [`SEAL_BYTES`] longer than the body.
    pub fn seal(&self, place: &[u8], body: &[u8], nonce: &[u8; 24]) -> Vec<u8> {
        let sealed = self
            .cipher()
            .encrypt(XNonce::from_slice(nonce), Payload { msg: body, aad: place })
            .expect("a body in memory is shorter than 256 GB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`Self::seal`] made for the same place.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (nonce, ciphertext) = sealed.split_at_checked(24).ok_or(OpenError)?;
        let opened =
            self.cipher().decrypt(XNonce::from_slice(nonce), Payload { msg: ciphertext, aad: place });
        opened.map(Zeroizing::new).map_err(|_| OpenError)
    }

    /// Seals another key under this one.
    pub fn wrap(&self, place: &[u8], key: &Self, nonce: &[u8; 24]) -> Vec<u8> {
        self.seal(place, key.0.as_slice(), nonce)
    }

    /// Opens a key that [`Self::wrap`] sealed.
    pub fn unwrap_key(&self, place: &[u8], wrapped: &[u8]) -> Result<Self, OpenError> {
        let bytes = self.open(place, wrapped)?;
        <[u8; 32]>::try_from(bytes.as_slice()).map(Self::from_bytes).map_err(|_| OpenError)
    }

    /// A key for another purpose: HMAC-SHA256 of the purpose under this key.
    pub fn derive(&self, purpose: &[u8]) -> Self {
        Self::from_bytes(self.hmac(purpose))
    }

    /// A blind index: HMAC-SHA256 of a value under this key, so that a store can be asked for a number it never holds.
    pub fn blind(&self, value: &[u8]) -> [u8; 32] {
        self.hmac(value)
    }

    fn hmac(&self, message: &[u8]) -> [u8; 32] {
        let mac = <Hmac<sha2::Sha256> as Mac>::new_from_slice(self.0.as_slice());
        mac.expect("HMAC takes a key of any length").chain_update(message).finalize().into_bytes().into()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.as_slice().into())
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(…)")
    }
}

/// Bytes that sealing adds: nonce and tag.
pub const SEAL_BYTES: usize = 24 + 16;

/// Not sealed under this key for this place, or changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed bytes do not open")]
pub struct OpenError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_at_its_place_and_only_unchanged() {
        let key = SealKey::from_bytes([1; 32]);
        let sealed = key.seal(b"here", b"body", &[2; 24]);
        assert_eq!(sealed.len(), 4 + SEAL_BYTES);
        assert_eq!(key.open(b"here", &sealed).unwrap().as_slice(), b"body");
        assert_eq!(key.open(b"there", &sealed), Err(OpenError));
        assert_eq!(key.derive(b"other").open(b"here", &sealed), Err(OpenError));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(b"here", &changed), Err(OpenError));
            assert_eq!(key.open(b"here", &sealed[..at]), Err(OpenError));
        }
        let wrapped = key.wrap(b"key", &SealKey::from_bytes([3; 32]), &[4; 24]);
        assert_eq!(key.unwrap_key(b"key", &wrapped).unwrap().0.as_slice(), [3; 32]);
    }
}
