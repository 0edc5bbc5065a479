//! What the phone holds out: a live code with a fresh proof, or the printed card without one. Making a proof is prepare →
//! sign → seal, so that a key file, an enclave and a prompt share one path.

use std::time::Duration;

use bhyt_core::keys::Signature;
use bhyt_core::presentation::{Challenge, Presentation, UnsignedProof};
use bhyt_core::time::UnixSeconds;

/// A live presentation that waits for the signature of the presentation key.
///
/// Sign soon: the proof counts from the moment of preparation.
#[derive(Clone, Debug)]
pub struct PreparedPresentation {
    card: Vec<u8>,
    proof: UnsignedProof,
}

impl PreparedPresentation {
    pub(crate) fn new(
        card: Vec<u8>,
        time: UnixSeconds,
        nonce: [u8; 4],
        challenge: Option<Challenge>,
    ) -> Self {
        Self { card, proof: UnsignedProof { time, nonce, challenge } }
    }

    /// The bytes that the presentation key signs: by Ed25519 without pre-hash, or by ECDSA with SHA-256 on P-256.
    pub fn to_be_signed(&self) -> Vec<u8> {
        self.proof.to_be_signed(&self.card)
    }

    /// Joins the signature; the text of the code. A foreign signature makes a code that every terminal refuses.
    pub fn seal(self, signature: Signature) -> String {
        Presentation::new(self.card, Some(self.proof.seal(signature))).encode_text()
    }

    /// When the proof was made.
    pub fn made_at(&self) -> UnixSeconds {
        self.proof.time
    }
}

/// The text of a card without proof.
pub(crate) fn without_proof(card: Vec<u8>) -> String {
    Presentation::new(card, None).encode_text()
}

/// A live code on screen is made anew this often; terminals take it for longer.
pub const LIVE_CODE_LIFE: Duration = Duration::from_secs(30);
