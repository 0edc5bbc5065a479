//! The trust bundle: which keys may sign what and when, and the policy of verification; COSE_Sign (RFC 9052 §4.1) by a
//! threshold of root keys, `bhyt/trust/v1`. A small TUF root: version N is signed by the thresholds of N−1 and of N,
//! versions never go back. Bytes: `docs/formats.md`, "Trust bundle".

use std::collections::BTreeSet;

use minicbor::data::Tag;

use crate::cbor::{self, DecodeError, read_array};
use crate::cose::{Object, Verified, decode_protected, encode_protected};
use crate::ids::StatusIndex;
use crate::keys::{ALGORITHM_ED25519, KeyId, PublicKey, SecretKey, Signature};
use crate::limits::{ROOT_KEYS_MAX, TRUST_BYTES_MAX, TRUST_SIGNATURES_MAX};
use crate::status::StatusVersion;
use crate::time::UnixSeconds;

/// What the root keys say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustBundle {
    /// Grows by at least one with every bundle.
    pub version: u64,
    /// When it was made.
    pub issued: UnixSeconds,
    /// When the next is due; verification goes on for [`Policy::trust_grace_seconds`] after.
    pub expires: UnixSeconds,
    /// Who may sign the next.
    pub roots: RootSet,
    /// Who may sign what.
    pub keys: Vec<TrustedKey>,
    /// How strictly terminals judge.
    pub policy: Policy,
    /// The status version in circulation when the bundle was made: an older list is refused.
    pub status: Option<StatusVersion>,
}

impl TrustBundle {
    /// The key of this id, if it may be used for `usage`.
    pub fn key(&self, key_id: KeyId, usage: KeyUse) -> Option<&TrustedKey> {
        self.keys.iter().find(|key| key.usage == usage && key.key.key_id() == key_id)
    }

    /// The keys of one use, in bundle order.
    pub fn keys_for(&self, usage: KeyUse) -> impl Iterator<Item = &TrustedKey> {
        self.keys.iter().filter(move |key| key.usage == usage)
    }

    /// The bytes that every root key signs for itself (RFC 9052 §4.4).
    pub fn to_be_signed(&self, root: KeyId) -> Vec<u8> {
        sig_structure(root, &self.encode())
    }

    /// Joins the bundle with its signatures.
    pub fn seal(&self, signatures: &[(KeyId, Signature)]) -> Vec<u8> {
        cbor::encode(|e| {
            // RFC 9052 §4.1: tag 98, [protected, unprotected, payload, [+ [protected, unprotected, signature]]]
            e.tag(Tag::new(98))?.array(4)?.bytes(&[])?.map(0)?.bytes(&self.encode())?;
            e.array(signatures.len() as u64)?;
            for (root, signature) in signatures {
                e.array(3)?
                    .bytes(&encode_protected(ALGORITHM_ED25519, *root))?
                    .map(0)?
                    .bytes(&signature.0)?;
            }
            Ok(())
        })
    }

    /// Signs with root keys in memory and seals.
    pub fn sign(&self, roots: &[&SecretKey]) -> Vec<u8> {
        let sign = |root: &&SecretKey| {
            let key_id = root.public_key().key_id();
            (key_id, root.sign(&self.to_be_signed(key_id)))
        };
        self.seal(&roots.iter().map(sign).collect::<Vec<_>>())
    }
}

/// The root keys, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootSet {
    keys: Vec<PublicKey>,
    threshold: usize,
}

impl RootSet {
    /// `None` unless the keys are 1 to [`ROOT_KEYS_MAX`] different ones and the threshold is between 1 and their number.
    pub fn new(keys: Vec<PublicKey>, threshold: usize) -> Option<Self> {
        let different = keys.iter().map(PublicKey::key_id).collect::<BTreeSet<_>>().len() == keys.len();
        let sound = different && keys.len() <= ROOT_KEYS_MAX && (1..=keys.len()).contains(&threshold);
        sound.then_some(Self { keys, threshold })
    }

    /// The keys.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// How many must sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// SHA-256 over threshold and sorted keys: what an operator compares by eye.
    pub fn fingerprint(&self) -> [u8; 32] {
        use sha2::Digest as _;
        let mut keys: Vec<_> = self.keys.iter().map(|key| *key.as_bytes()).collect();
        keys.sort_unstable();
        let threshold = [u8::try_from(self.threshold).unwrap_or(u8::MAX)];
        keys.iter()
            .fold(sha2::Sha256::new_with_prefix(threshold), |hash, key| hash.chain_update(key))
            .finalize()
            .into()
    }

    fn reached_by(&self, envelope: &Envelope<'_>) -> bool {
        let valid = |key: &&PublicKey| envelope.signed_by(key);
        self.keys.iter().filter(valid).count() >= self.threshold
    }
}

/// What a key may sign. One key has one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyUse {
    /// Card credentials (1).
    Card,
    /// Status lists (2).
    Status,
    /// Feed heads (3).
    Head,
    /// Receipts (4).
    Receipt,
    /// Content bundles (5).
    Content,
    /// The server's end of a connection (6).
    Transport,
    /// Terminals (7).
    Terminal,
    /// Operators (8).
    Operator,
    /// Token status lists, for readers of others (9).
    TokenStatus,
    /// A use of a newer bundle; never matches a look-up of ours.
    Other(u64),
}

impl KeyUse {
    /// From the number in the bundle.
    pub fn from_code(code: u64) -> Self {
        Self::KNOWN.into_iter().find(|usage| usage.code() == code).unwrap_or(Self::Other(code))
    }

    /// The number in the bundle.
    pub fn code(self) -> u64 {
        match self {
            Self::Card => 1,
            Self::Status => 2,
            Self::Head => 3,
            Self::Receipt => 4,
            Self::Content => 5,
            Self::Transport => 6,
            Self::Terminal => 7,
            Self::Operator => 8,
            Self::TokenStatus => 9,
            Self::Other(code) => code,
        }
    }

    const KNOWN: [Self; 9] = [
        Self::Card,
        Self::Status,
        Self::Head,
        Self::Receipt,
        Self::Content,
        Self::Transport,
        Self::Terminal,
        Self::Operator,
        Self::TokenStatus,
    ];
}

/// A key with what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// What it may sign.
    pub usage: KeyUse,
    /// It signs from here,
    pub signs_from: UnixSeconds,
    /// until here (exclusive); open when `None`.
    pub signs_until: Option<UnixSeconds>,
    /// What it signed is taken until here (exclusive); open when `None`.
    pub verify_until: Option<UnixSeconds>,
    /// Card keys: the status indexes it may sign cards for; all when empty.
    pub ranges: Vec<IndexRange>,
}

impl TrustedKey {
    /// Whether something signed at `at` is inside the key's signing window.
    pub fn may_sign_at(&self, at: UnixSeconds) -> bool {
        at >= self.signs_from && self.signs_until.is_none_or(|until| at < until)
    }

    /// Whether the key's signatures are still taken at `now`.
    pub fn verifies_at(&self, now: UnixSeconds) -> bool {
        self.verify_until.is_none_or(|until| now < until)
    }

    /// Whether the key may sign a card of this index.
    pub fn covers(&self, index: StatusIndex) -> bool {
        self.ranges.is_empty() || self.ranges.iter().any(|range| range.contains(index))
    }
}

/// Indexes `first` to `first + count − 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRange {
    /// The first index.
    pub first: u32,
    /// How many; at least one.
    pub count: u32,
}

impl IndexRange {
    /// Whether `index` lies inside.
    pub fn contains(self, index: StatusIndex) -> bool {
        index.0.checked_sub(self.first).is_some_and(|offset| offset < self.count)
    }
}

/// How strictly terminals judge; signed, so that it changes everywhere without an update of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A status list this old or younger is fresh; seconds.
    pub fresh_seconds: u64,
    /// An older list than this decides nothing; seconds.
    pub stale_seconds: u64,
    /// A proof may lie this far in the past; seconds.
    pub proof_age_seconds: u64,
    /// A proof may lie this far in the future; seconds.
    pub proof_ahead_seconds: u64,
    /// A bundle counts this long after it expired; seconds.
    pub trust_grace_seconds: u64,
}

impl Default for Policy {
    /// Fresh ≤ 24 h, stale ≤ 30 d, proof from 120 s old to 60 s ahead, 180 d of grace.
    fn default() -> Self {
        Self {
            fresh_seconds: 86_400,
            stale_seconds: 30 * 86_400,
            proof_age_seconds: crate::limits::PROOF_AGE_SECONDS_DEFAULT,
            proof_ahead_seconds: crate::limits::PROOF_AHEAD_SECONDS_DEFAULT,
            trust_grace_seconds: 180 * 86_400,
        }
    }
}

/// Takes a bundle as the anchor: signed by the threshold of its own roots. Whoever calls this has the file from a hand
/// it trusts, or compares [`RootSet::fingerprint`].
pub fn anchor(bytes: &[u8]) -> Result<Verified<TrustBundle>, TrustError> {
    let envelope = Envelope::read(bytes)?;
    // The payload names the keys that sign it, so it is read before it is verified; nothing of it leaves unverified.
    let bundle = TrustBundle::decode(envelope.payload)?;
    if !bundle.roots.reached_by(&envelope) {
        return Err(TrustError::TooFewSignatures { of: Roots::Own });
    }
    let signer = envelope.signatures.first().map_or(KeyId([0; 8]), |(key_id, ..)| *key_id);
    Ok(Verified::from_checked(bundle, signer, bytes))
}

/// Takes a bundle after the one in hand. `Ok(None)` when it is the one in hand, whichever of the roots have signed this
/// copy: anybody can take a signature off on the way, and that is no second bundle.
pub fn accept(
    held: &Verified<TrustBundle>,
    bytes: &[u8],
) -> Result<Option<Verified<TrustBundle>>, TrustError> {
    if held.bytes() == bytes {
        return Ok(None);
    }
    let envelope = Envelope::read(bytes)?;
    if Envelope::read(held.bytes())?.payload == envelope.payload {
        return Ok(None);
    }
    if !held.claims().roots.reached_by(&envelope) {
        return Err(TrustError::TooFewSignatures { of: Roots::Held });
    }
    let next = anchor(bytes)?;
    let (old, new) = (held.claims(), next.claims());
    match new.version.cmp(&old.version) {
        std::cmp::Ordering::Less => Err(TrustError::Rollback { held: old.version, got: new.version }),
        std::cmp::Ordering::Equal => Err(TrustError::Fork { version: old.version }),
        std::cmp::Ordering::Greater if new.issued < old.issued => Err(TrustError::TimeWentBack),
        std::cmp::Ordering::Greater => Ok(Some(next)),
    }
}

/// Why a trust bundle is not taken. The one in hand stays in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Not a bundle, or a newer form of one.
    #[error("trust bundle not readable")]
    Unreadable(#[from] DecodeError),
    /// One root key signs twice.
    #[error("a root key signs twice")]
    DuplicateSigner,
    /// Fewer valid signatures of different root keys than the threshold.
    #[error("too few signatures of the {of:?} root keys")]
    TooFewSignatures {
        /// Whose threshold was missed.
        of: Roots,
    },
    /// An older version than the one in hand.
    #[error("version {got} is older than {held}")]
    Rollback {
        /// In hand.
        held: u64,
        /// Offered.
        got: u64,
    },
    /// Another bundle of the version in hand: the roots signed two.
    #[error("two bundles of version {version}")]
    Fork {
        /// The version of both.
        version: u64,
    },
    /// A newer version that says it was made earlier.
    #[error("made before the bundle in hand")]
    TimeWentBack,
}

/// Which set of root keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those the bundle itself names.
    Own,
    /// Those of the bundle in hand.
    Held,
}

/// A COSE_Sign taken apart, nothing verified.
struct Envelope<'b> {
    payload: &'b [u8],
    signatures: Vec<(KeyId, i64, Signature)>,
}

impl<'b> Envelope<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, TrustError> {
        if bytes.len() > TRUST_BYTES_MAX {
            return Err(DecodeError::Malformed("trust bundle too long").into());
        }
        let envelope = Self::read_envelope(bytes)?;
        let signers: BTreeSet<_> = envelope.signatures.iter().map(|(key_id, ..)| key_id).collect();
        if signers.len() != envelope.signatures.len() {
            return Err(TrustError::DuplicateSigner);
        }
        Ok(envelope)
    }

    fn read_envelope(bytes: &'b [u8]) -> Result<Self, DecodeError> {
        let mut d = cbor::decoder(bytes)?;
        if d.tag()? != Tag::new(98) {
            return Err(DecodeError::Malformed("not a COSE_Sign"));
        }
        read_array(&mut d, 4, "not a COSE_Sign")?;
        if !d.bytes()?.is_empty() || d.map()? != Some(0) {
            return Err(DecodeError::Malformed("body header is not empty"));
        }
        let payload = d.bytes()?;
        let count = d.array()?.and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|count| (1..=TRUST_SIGNATURES_MAX).contains(count));
        let mut signatures = Vec::new();
        for _ in 0..count.ok_or(DecodeError::Malformed("number of signatures"))? {
            read_array(&mut d, 3, "COSE_Signature")?;
            let (algorithm, key_id) = decode_protected(d.bytes()?)?;
            if d.map()? != Some(0) {
                return Err(DecodeError::Malformed("unprotected header is not empty"));
            }
            signatures.push((key_id, algorithm, Signature(cbor::read_bytes(&mut d, "signature")?)));
        }
        Ok(Self { payload, signatures })
    }

    fn signed_by(&self, key: &PublicKey) -> bool {
        let key_id = key.key_id();
        self.signatures.iter().any(|(signer, algorithm, signature)| {
            *signer == key_id
                && *algorithm == ALGORITHM_ED25519
                && key.verify(&sig_structure(key_id, self.payload), signature).is_ok()
        })
    }
}

/// RFC 9052 §4.4: ["Signature", body_protected, sign_protected, external_aad, payload].
fn sig_structure(root: KeyId, payload: &[u8]) -> Vec<u8> {
    cbor::encode(|e| {
        e.array(5)?.str("Signature")?.bytes(&[])?.bytes(&encode_protected(ALGORITHM_ED25519, root))?;
        e.bytes(Object::Trust.external_aad())?.bytes(payload)?;
        Ok(())
    })
}
