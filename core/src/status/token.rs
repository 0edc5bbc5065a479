//! The list for readers of others: an IETF Token Status List in CWT form (draft-ietf-oauth-status-list-21), which libraries
//! off the shelf read. A view of a list, made from it whenever somebody wants one; no program of ours reads it.
//!
//! Promises: a status for each index that the list covers, in pieces of [`TOKEN_INDEXES`], so that every piece inflates to
//! 4 MiB at most; one pass over the sets, one piece in memory at a time; the same list and terms give the same bytes.
//! Refuses a list with a set of no known meaning: others must not read "valid" where we would not say it.
//!
//! The format has no `external_aad`. A token is therefore signed by keys of a use of their own
//! ([`crate::trust::KeyUse::TokenStatus`]), carries its media type in the protected header and no COSE tag, and can neither
//! pass for an object of ours nor one of ours for a token.

use std::iter::Peekable;

use super::list::StatusList;
use super::reason::{SetMeaning, SetNumber};
use crate::card_record::CardStanding;
use crate::cbor;
use crate::keys::{KeyId, SecretKey, Signature};
use crate::limits::{TOKEN_INDEXES, TOKEN_URI_BYTES_MAX};
use crate::time::UnixSeconds;

/// COSE algorithm EdDSA (RFC 9053 §2.2). RFC 9864 names the curve too (−19), which is what all our objects do; here it is
/// the number that others' readers know.
pub const ALGORITHM_EDDSA: i64 = -8;

/// Why there is no token of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A set that a newer version knows. What it says of its cards cannot be told to others.
    #[error("set {} has no meaning for this version", number.value())]
    UnknownSet {
        /// Which.
        number: SetNumber,
    },
}

/// Where tokens are to be found: an absolute URI without query or fragment. A token's own is this, `/` and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUri(String);

impl TokenUri {
    /// `None` for what is no such URI (RFC 3986 §3), ends in a slash, or is longer than [`TOKEN_URI_BYTES_MAX`].
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let letter = scheme.bytes().next()?.is_ascii_alphabetic();
        let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let of_rest = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/[]@!$&'()*+,;=%".contains(&byte);
        let sound = letter && scheme.bytes().all(of_scheme) && !rest.is_empty() && rest.bytes().all(of_rest);
        (sound && text.len() <= TOKEN_URI_BYTES_MAX && !text.ends_with('/')).then(|| Self(text.to_owned()))
    }

    /// The URI of the token of this number, which is the token's `sub`.
    pub fn of(&self, number: u64) -> String {
        format!("{}/{number}", self.0)
    }
}

/// What stands in every token of one list besides its statuses.
#[derive(Debug, Clone)]
pub struct TokenTerms {
    /// Where they are to be found.
    pub uri: TokenUri,
    /// Seconds from the list's time for which they count.
    pub life_seconds: u64,
    /// Seconds after which a reader had better fetch them anew; at least 1.
    pub ttl_seconds: u64,
    /// The key that signs.
    pub key_id: KeyId,
}

/// The tokens of a list, one after the other.
pub struct TokenPieces<'a> {
    list: &'a StatusList,
    terms: TokenTerms,
    /// In the order of writing: what comes later in a piece stays.
    listed: [(Status, Vec<Values<'a>>); 2],
    number: u64,
}

type Values<'a> = Peekable<Box<dyn Iterator<Item = u64> + 'a>>;

/// Draft §7.1, in two bits. A card that was superseded is valid until its own dates end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Thu hồi, báo giảm.
    Invalid = 1,
    /// Tạm giữ.
    Suspended = 2,
}

impl<'a> TokenPieces<'a> {
    /// The tokens of `list`, from number 0 on.
    ///
    /// # Errors
    /// [`TokenError::UnknownSet`].
    pub fn new(list: &'a StatusList, terms: TokenTerms) -> Result<Self, TokenError> {
        let (mut held, mut gone) = (Vec::new(), Vec::new());
        for (number, set) in list.sets() {
            let values: Box<dyn Iterator<Item = u64> + 'a> = Box::new(set.iter());
            match number.meaning() {
                SetMeaning::Cards(CardStanding::Withdrawn | CardStanding::Reduced(_)) => {
                    gone.push(values.peekable());
                }
                SetMeaning::Cards(CardStanding::Held) => held.push(values.peekable()),
                SetMeaning::Cards(CardStanding::InForce | CardStanding::Superseded)
                | SetMeaning::RetiredBindings => {}
                SetMeaning::UnknownOfCards | SetMeaning::UnknownOfBindings => {
                    return Err(TokenError::UnknownSet { number });
                }
            }
        }
        let listed = [(Status::Suspended, held), (Status::Invalid, gone)];
        Ok(Self { list, terms, listed, number: 0 })
    }

    /// The statuses from index `first` on, of `count` cards: two bits each, the least significant first.
    fn take_statuses(&mut self, first: u64, count: u64) -> Vec<u8> {
        let mut statuses = vec![0; usize::try_from(count.div_ceil(STATUSES_A_BYTE)).unwrap_or_default()];
        for (status, sets) in &mut self.listed {
            for values in sets {
                while let Some(value) = values.next_if(|value| *value < first + count) {
                    let (at, place) = ((value - first) / STATUSES_A_BYTE, (value - first) % STATUSES_A_BYTE);
                    let byte = usize::try_from(at).ok().and_then(|at| statuses.get_mut(at));
                    if let Some(byte) = byte {
                        let shift = place * u64::from(STATUS_BITS);
                        *byte = *byte & !(0b11 << shift) | (*status as u8) << shift;
                    }
                }
            }
        }
        statuses
    }
}

impl Iterator for TokenPieces<'_> {
    type Item = UnsignedToken;

    fn next(&mut self) -> Option<UnsignedToken> {
        let first = self.number * TOKEN_INDEXES;
        let count = self.list.head().covers.indexes_below().checked_sub(first).filter(|count| *count > 0)?;
        let count = count.min(TOKEN_INDEXES);
        let statuses = self.take_statuses(first, count);
        // Draft §4.1: "compressed using DEFLATE with the ZLIB data format", best at the highest level.
        let compressed = miniz_oxide::deflate::compress_to_vec_zlib(&statuses, COMPRESSION_LEVEL);
        let token = UnsignedToken::new(&self.terms, self.number, count, self.list.time(), &compressed);
        self.number += 1;
        Some(token)
    }
}

impl std::fmt::Debug for TokenPieces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenPieces").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A token prepared for its key.
#[derive(Clone, Debug)]
pub struct UnsignedToken {
    number: u64,
    indexes: u64,
    protected: Vec<u8>,
    payload: Vec<u8>,
}

impl UnsignedToken {
    fn new(terms: &TokenTerms, number: u64, indexes: u64, time: UnixSeconds, compressed: &[u8]) -> Self {
        let protected = cbor::encode(|e| {
            // Draft §5.2: 16 (typ, RFC 9596), which is REQUIRED.
            e.map(3)?.u8(1)?.i64(ALGORITHM_EDDSA)?.u8(4)?.bytes(&terms.key_id.0)?.u8(16)?.str(MEDIA_TYPE)?;
            Ok(())
        });
        let payload = cbor::encode(|e| {
            // Draft §5.2: 2 sub, 4 exp, 6 iat, 65533 status_list, 65534 ttl. Issued is when the statuses were so: to sign an
            // old list anew makes it no younger.
            e.map(5)?.u8(2)?.str(&terms.uri.of(number))?;
            e.u8(4)?.u64(time.plus(terms.life_seconds).0)?.u8(6)?.u64(time.0)?;
            e.u16(65_533)?.map(2)?.str("lst")?.bytes(compressed)?.str("bits")?.u8(STATUS_BITS)?;
            e.u16(65_534)?.u64(terms.ttl_seconds)?;
            Ok(())
        });
        Self { number, indexes, protected, payload }
    }

    /// Its number: it speaks of the indexes from this times [`TOKEN_INDEXES`] on,
    pub fn number(&self) -> u64 {
        self.number
    }

    /// of this many.
    pub fn indexes(&self) -> u64 {
        self.indexes
    }

    /// The Sig_structure that the key signs (RFC 9052 §4.4): `external_aad` is empty.
    pub fn to_be_signed(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(4)?.str("Signature1")?.bytes(&self.protected)?.bytes(&[])?.bytes(&self.payload)?;
            Ok(())
        })
    }

    /// Joins payload and signature. Draft §5.2: the token "MUST not be tagged".
    pub fn seal(self, signature: &Signature) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(4)?.bytes(&self.protected)?.map(0)?.bytes(&self.payload)?.bytes(&signature.0)?;
            Ok(())
        })
    }

    /// Signs and seals with a key in memory.
    pub fn sign(self, key: &SecretKey) -> Vec<u8> {
        let signature = key.sign(&self.to_be_signed());
        self.seal(&signature)
    }
}

/// The media type of a token (draft §14.7).
pub const MEDIA_TYPE: &str = "application/statuslist+cwt";
/// Bits of a status: valid, invalid and suspended need two.
const STATUS_BITS: u8 = 2;
const STATUSES_A_BYTE: u64 = 8 / STATUS_BITS as u64;
const COMPRESSION_LEVEL: u8 = 9;
