//! The body of a record of kind Card: the credential as issued and what became of the card since. Each change of the
//! card's standing is a revision of its record, so a phone without network shows what the last sync knew.

use crate::cbor::{self, DecodeError, Key, read_map};
use crate::limits::CARD_BYTES_MAX;

/// What a member's feed says of one card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardRecord {
    /// The card credential as issued, without binding.
    pub credential: Vec<u8>,
    /// What became of it.
    pub standing: CardStanding,
}

/// What became of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum CardStanding {
    /// Nothing: it stands (0).
    InForce,
    /// Thu hồi (1).
    Withdrawn,
    /// Báo giảm, with the portal's code 120 to 124 (2).
    Reduced(ReducedCode),
    /// Đã cấp thẻ mới (3).
    Superseded,
    /// Tạm giữ (4).
    Held,
}

/// The portal's codes of báo giảm, 120 to 124 (domain of `maKetQua`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct ReducedCode(u8);

impl ReducedCode {
    /// `None` outside 120 to 124.
    pub fn new(code: u64) -> Option<Self> {
        u8::try_from(code).ok().filter(|code| (120..=124).contains(code)).map(Self)
    }

    /// 120 to 124.
    pub fn value(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for ReducedCode {
    type Error = crate::ids::MalformedId;
    fn try_from(code: u8) -> Result<Self, Self::Error> {
        Self::new(u64::from(code)).ok_or(crate::ids::MalformedId("ReducedCode"))
    }
}

impl From<ReducedCode> for u8 {
    fn from(code: ReducedCode) -> Self {
        code.0
    }
}

impl CardRecord {
    /// CBOR {1: credential, 2: standing, 3: reduced code}, deterministic.
    pub fn encode(&self) -> Vec<u8> {
        let (standing, code) = match self.standing {
            CardStanding::InForce => (0, None),
            CardStanding::Withdrawn => (1, None),
            CardStanding::Reduced(code) => (2, Some(code)),
            CardStanding::Superseded => (3, None),
            CardStanding::Held => (4, None),
        };
        cbor::encode(|e| {
            e.map(2 + u64::from(code.is_some()))?.u8(1)?.bytes(&self.credential)?.u8(2)?.u8(standing)?;
            if let Some(code) = code {
                e.u8(3)?.u8(code.value())?;
            }
            Ok(())
        })
    }

    /// Reads a body. An unknown standing, and an unknown code of báo giảm, is [`DecodeError::NeedsUpdate`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut credential, mut standing, mut code) = (None, None, None);
        read_map(&mut cbor::decoder(bytes)?, |key, d| {
            match key {
                1 => credential = Some(d.bytes()?),
                2 => standing = Some(d.u64()?),
                3 => code = Some(d.u64()?),
                _ => return Ok(Key::Unknown),
            }
            Ok(Key::Known)
        })?;
        let credential = credential.filter(|credential| credential.len() <= CARD_BYTES_MAX);
        let standing = match (standing, code) {
            (Some(0), None) => CardStanding::InForce,
            (Some(1), None) => CardStanding::Withdrawn,
            (Some(2), Some(code)) => {
                CardStanding::Reduced(ReducedCode::new(code).ok_or(DecodeError::NeedsUpdate)?)
            }
            (Some(3), None) => CardStanding::Superseded,
            (Some(4), None) => CardStanding::Held,
            (Some(5..), _) => return Err(DecodeError::NeedsUpdate),
            _ => return Err(DecodeError::Malformed("card record")),
        };
        let credential = credential.ok_or(DecodeError::Malformed("card record"))?.to_vec();
        Ok(Self { credential, standing })
    }
}
