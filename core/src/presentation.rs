//! What the phone shows: the card credential and, when live, a fresh proof that the phone holds its key. As text
//! `BHYT1:` and Base45 (RFC 9285). Bytes: `docs/formats.md`, "Presentation".

use std::fmt;

use minicbor::Decoder;
use sha2::{Digest, Sha256};

use crate::cbor::{self, DecodeError, read_array, read_bytes};
use crate::cose::{Object, sig_structure};
use crate::keys::{BadSignature, KeyId, Signature};
use crate::limits::{CARD_BYTES_MAX, PRESENTATION_BYTES_MAX, QR_TEXT_CHARS_MAX};
use crate::presentation_key::PresentationKey;
use crate::time::UnixSeconds;

/// A presentation as received: of the right shape, nothing in it verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presentation {
    card: Vec<u8>,
    proof: Option<Proof>,
}

impl Presentation {
    /// Joins a card credential's bytes and a proof.
    pub fn new(card: Vec<u8>, proof: Option<Proof>) -> Self {
        Self { card, proof }
    }

    /// Reads the text of a QR. White space around it is a scanner's and is dropped. A newer version number than ours
    /// is [`DecodeError::NeedsUpdate`]; any other text is malformed.
    pub fn decode_text(text: &str) -> Result<Self, DecodeError> {
        let text = text.trim();
        let too_long = text.len() > QR_TEXT_CHARS_MAX;
        let (version, body) = text
            .strip_prefix("BHYT")
            .and_then(|rest| rest.split_once(':'))
            .ok_or(DecodeError::Malformed("not a BHYT code"))?;
        let plain =
            !version.starts_with('0') && version.len() <= 4 && version.bytes().all(|c| c.is_ascii_digit());
        match version.parse::<u16>() {
            Ok(1) if plain && too_long => Err(DecodeError::Malformed("text too long")),
            Ok(1) if plain => Self::decode(&decode_base45(body)?),
            Ok(newer) if plain && newer > 1 => Err(DecodeError::NeedsUpdate),
            _ => Err(DecodeError::Malformed("not a BHYT code")),
        }
    }

    /// Reads the CBOR array [card credential bytes, proof or null].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > PRESENTATION_BYTES_MAX {
            return Err(DecodeError::Malformed("presentation too long"));
        }
        let mut decoder = cbor::decoder(bytes)?;
        read_array(&mut decoder, 2, "not a presentation")?;
        let card = decoder.bytes()?;
        if card.len() > CARD_BYTES_MAX {
            return Err(DecodeError::Malformed("card too long"));
        }
        let proof = match decoder.datatype()? {
            minicbor::data::Type::Null => None,
            _ => Some(Proof::read(&mut decoder)?),
        };
        Ok(Self { card: card.to_vec(), proof })
    }

    /// The CBOR bytes.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(2)?.bytes(&self.card)?;
            match &self.proof {
                None => e.null()?,
                Some(proof) => {
                    e.array(3 + u64::from(proof.challenge.is_some()))?;
                    e.u64(proof.time.0)?.bytes(&proof.nonce)?.bytes(&proof.signature.0)?;
                    match &proof.challenge {
                        None => e,
                        Some(challenge) => e.bytes(&challenge.to_bytes())?,
                    }
                }
            };
            Ok(())
        })
    }

    /// The text of the QR; every character is in the alphanumeric set of ISO/IEC 18004.
    pub fn encode_text(&self) -> String {
        format!("{TEXT_PREFIX}{}", base45::encode(self.encode()))
    }

    /// The card credential's bytes, not verified.
    pub fn card_bytes(&self) -> &[u8] {
        &self.card
    }

    /// The proof, not verified.
    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }
}

/// A proof by the presentation key: made at `time`, over the card's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The phone's clock when it signed.
    pub time: UnixSeconds,
    /// Random, so that two proofs of one second differ.
    pub nonce: [u8; 4],
    /// By the presentation key.
    pub signature: Signature,
    /// The terminal's challenge that it answers, if any.
    pub challenge: Option<Challenge>,
}

impl Proof {
    /// Checks that `key` made this proof for exactly this card.
    pub fn verify(&self, card: &[u8], key: &PresentationKey) -> Result<(), BadSignature> {
        key.verify(&self.unsigned().to_be_signed(card), &self.signature)
    }

    /// What a terminal remembers to know this proof again: SHA-256 of the proof's payload. Not of its signature, which on
    /// P-256 has a second form.
    pub fn replay_key(&self, card: &[u8]) -> ReplayKey {
        ReplayKey(Sha256::digest(self.unsigned().payload(card)).into())
    }

    fn unsigned(&self) -> UnsignedProof {
        UnsignedProof { time: self.time, nonce: self.nonce, challenge: self.challenge }
    }

    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let length = d.array()?.filter(|length| (3..=4).contains(length));
        let length = length.ok_or(DecodeError::Malformed("proof"))?;
        Ok(Self {
            time: UnixSeconds(d.u64()?),
            nonce: read_bytes(d, "proof nonce")?,
            signature: Signature(read_bytes(d, "proof signature")?),
            challenge: match length {
                4 => Some(Challenge::from_bytes(read_bytes(d, "challenge")?)),
                _ => None,
            },
        })
    }
}

/// A proof prepared for the presentation key.
#[derive(Clone, Copy, Debug)]
pub struct UnsignedProof {
    /// The phone's clock.
    pub time: UnixSeconds,
    /// Four random bytes.
    pub nonce: [u8; 4],
    /// The terminal's challenge, if the phone saw one.
    pub challenge: Option<Challenge>,
}

impl UnsignedProof {
    /// The Sig_structure that the presentation key signs: empty protected header, `bhyt/present/v1`.
    pub fn to_be_signed(&self, card: &[u8]) -> Vec<u8> {
        sig_structure(&[], Object::Present, &self.payload(card))
    }

    /// Joins the proof and its signature.
    pub fn seal(self, signature: Signature) -> Proof {
        Proof { time: self.time, nonce: self.nonce, signature, challenge: self.challenge }
    }

    /// CBOR [SHA-256 of the card credential, time, nonce, challenge or null].
    fn payload(&self, card: &[u8]) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(4)?.bytes(&Sha256::digest(card))?.u64(self.time.0)?.bytes(&self.nonce)?;
            match &self.challenge {
                None => e.null()?,
                Some(challenge) => e.bytes(&challenge.to_bytes())?,
            };
            Ok(())
        })
    }
}

/// A terminal's challenge: its key id and eight random bytes, good for one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Challenge {
    /// The terminal that shows it.
    pub terminal: KeyId,
    /// Random.
    pub random: [u8; 8],
}

impl Challenge {
    /// key id ‖ random, 16 bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (terminal, random) = bytes.split_at_mut(8);
        terminal.copy_from_slice(&self.terminal.0);
        random.copy_from_slice(&self.random);
        bytes
    }

    /// From key id ‖ random.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, random @ ..] = bytes;
        Self { terminal: KeyId([a, b, c, d, e, f, g, h]), random }
    }
}

/// Identifies one proof for ever: SHA-256 of its payload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ReplayKey(pub [u8; 32]);

impl fmt::Debug for ReplayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayKey(…)")
    }
}

/// The version prefix of a QR text.
pub const TEXT_PREFIX: &str = "BHYT1:";

/// RFC 9285, and nothing that would not re-encode to the same text (the crate cuts an overflowing last pair).
fn decode_base45(text: &str) -> Result<Vec<u8>, DecodeError> {
    let decoded = base45::decode(text).ok().filter(|bytes| base45::encode(bytes) == text);
    decoded.ok_or(DecodeError::Malformed("not Base45"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    fn live() -> Presentation {
        let key = SecretKey::from_seed(&[7; 32]);
        let card = vec![0xd2; 200];
        let challenge = Challenge { terminal: key.public_key().key_id(), random: [9; 8] };
        let proof =
            UnsignedProof { time: UnixSeconds(1_800_000_000), nonce: [1; 4], challenge: Some(challenge) };
        let signature = key.sign(&proof.to_be_signed(&card));
        Presentation::new(card, Some(proof.seal(signature)))
    }

    #[test]
    fn text_is_read_back_and_the_proof_holds_for_its_card_only() {
        let presentation = live();
        let read = Presentation::decode_text(&format!(" {}\r\n", presentation.encode_text())).unwrap();
        assert_eq!(read, presentation);
        let (proof, key) = (read.proof().unwrap(), SecretKey::from_seed(&[7; 32]).public_key().into());
        assert!(proof.verify(read.card_bytes(), &key).is_ok());
        assert!(proof.verify(&[0xd2; 199], &key).is_err());
        assert!(Proof { challenge: None, ..proof.clone() }.verify(read.card_bytes(), &key).is_err());
    }

    #[test]
    fn versions_and_junk_are_told_apart() {
        let check = |text: &str, expected: DecodeError| {
            let found = Presentation::decode_text(text).unwrap_err();
            assert_eq!(std::mem::discriminant(&found), std::mem::discriminant(&expected), "{text}");
        };
        check("BHYT2:ANYTHING", DecodeError::NeedsUpdate);
        check("BHYT37:", DecodeError::NeedsUpdate);
        for junk in [
            "",
            "BHYT",
            "BHYT1",
            "BHYT0:A",
            "BHYT01:A",
            "BHYT-1:A",
            "BHYT+2:A",
            "HC1:A",
            "bhyt1:A",
            "BHYT1:",
            "BHYT1:~~",
            "BHYT1:::::",
            "BHYT99999:A",
        ] {
            check(junk, DecodeError::Malformed(""));
        }
        check(&format!("BHYT1:{}", "0".repeat(QR_TEXT_CHARS_MAX)), DecodeError::Malformed(""));
        let text = live().encode_text();
        for cut in text.char_indices().map(|(at, _)| at) {
            assert!(Presentation::decode_text(text.get(..cut).unwrap()).is_err());
        }
    }
}
