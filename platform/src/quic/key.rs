//! Transport keys: the Ed25519 key a side proves in the TLS handshake, and the public key it sees of the other.
//! A transport key has no other use (no card, proof or record is ever signed with it).

use std::fmt;
use std::sync::Arc;

use bhyt_core::keys::PublicKey;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// The raw Ed25519 public key of a peer, proven in the handshake or pinned beforehand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey([u8; 32]);

impl PeerKey {
    /// Takes the 32 bytes of RFC 8032. Any bytes will do: a key that is none simply never proves anything.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a SubjectPublicKeyInfo; anything but Ed25519 is `None`.
    pub(super) fn from_spki(spki: &[u8]) -> Option<Self> {
        spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok().map(Self)
    }
}

impl From<&PublicKey> for PeerKey {
    fn from(key: &PublicKey) -> Self {
        Self(*key.as_bytes())
    }
}

impl From<[u8; 32]> for PeerKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// The short form for logs: the first four bytes in hex.
impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerKey({self})")
    }
}

/// The private key a side proves in the handshake. Cheap to clone; never printed.
#[derive(Clone)]
pub struct TransportKey {
    pub(super) certified: Arc<CertifiedKey>,
    public: PeerKey,
    derive: ring::hmac::Key,
}

impl TransportKey {
    /// Makes the key of this Ed25519 seed. The caller draws, keeps and wipes the seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let der: Zeroizing<Vec<u8>> = Zeroizing::new([&PKCS8_PREFIX[..], &seed[..]].concat());
        let signing = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der.as_slice()))
            .expect("every 32 bytes are an Ed25519 seed");
        let spki = signing.public_key().expect("an Ed25519 key knows its public half").to_vec();
        let public = PeerKey::from_spki(&spki).expect("the SPKI of an Ed25519 key is ours");
        // RFC 7250: the SPKI stands where a certificate would be.
        let certified = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], signing));
        Self { certified, public, derive: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, seed) }
    }

    /// The half that others pin or look up.
    #[must_use]
    pub fn public_key(&self) -> PeerKey {
        self.public
    }

    /// A secret for `label` that is the same after a restart.
    pub(super) fn derive_secret(&self, label: &[u8]) -> [u8; 32] {
        let mut secret = [0; 32];
        secret.copy_from_slice(ring::hmac::sign(&self.derive, label).as_ref());
        secret
    }
}

impl fmt::Debug for TransportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportKey({})", self.public)
    }
}

/// RFC 8410 §4: SubjectPublicKeyInfo of Ed25519 up to the 32 key bytes.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// RFC 8410 §7: OneAsymmetricKey version 1 of Ed25519 up to the 32 seed bytes.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 §7.1, test 1.
    #[test]
    fn public_key_of_a_known_seed() {
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(TransportKey::from_seed(&seed).public_key(), PeerKey::new(public));
    }

    #[test]
    fn other_key_kinds_are_no_peer_key() {
        let mut spki = [&SPKI_PREFIX[..], &[7; 32]].concat();
        assert_eq!(PeerKey::from_spki(&spki), Some(PeerKey::new([7; 32])));
        assert_eq!(PeerKey::from_spki(&spki[..43]), None);
        spki[8] = 0x6e; // X25519
        assert_eq!(PeerKey::from_spki(&spki), None);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let key = TransportKey::from_seed(&[0x5a; 32]);
        assert!(!format!("{key:?}").contains("5a5a"));
    }

    fn hex(text: &str) -> [u8; 32] {
        bhyt_core::ids::from_hex(text).unwrap().try_into().unwrap()
    }
}
