//! Frames of phones and terminals. One bidirectional stream is one exchange: the client sends a [`Request`] and reads
//! [`Reply`] frames until [`Reply::Done`] or [`Reply::Refused`]. The server opens one-way streams of its own: the first
//! carries [`Hello`], each later one a single [`Reply`] that was not asked for (news); taken in the order in which the
//! streams were begun, they end in [`Reply::Done`].
//!
//! Enum variants are only ever appended; a changed struct gets a new schema number.

use serde::{Deserialize, Serialize};

use crate::codec::Schema;
use crate::feed::{Extent, FeedBlock, FeedPage, HandedRecord};
use crate::ids::{FacilityCode, MemberId};
use crate::keys::{KeyId, PublicKey};
use crate::limits::FRAME_BYTES_MAX;
use crate::p256_keys::P256PublicKey;
use crate::presentation::Proof;
use crate::presentation_key::PresentationKey;
use crate::status::StatusVersion;
use crate::sync::admin::{AdminReply, AdminRequest};
use crate::sync::personal::{PersonalCursor, PersonalReply, SyncPersonal};
use crate::time::UnixSeconds;

/// The server's first words; a client is connected when it has read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The server's clock, for showing a phone's skew; never a source of trusted time.
    pub time: UnixSeconds,
}

impl Schema for Hello {
    const SCHEMA: u16 = 1;
    const BYTES_MAX: usize = 64;
}

/// What a client asks; the first frame of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A new device asks for a member's records, with a one-time code. Any transport key may ask.
    Activate(Activate<PublicKey>),
    /// A new terminal asks to be enrolled, with a one-time token. Any transport key may ask.
    Enrol(Enrol),
    /// A device brings its members up to date.
    SyncWallet(SyncWallet),
    /// A terminal brings trust and status list up to date.
    SyncTerminal(SyncTerminal),
    /// An operator's command.
    Admin(AdminRequest),
    /// As [`Self::Activate`], by a device whose presentation key is on P-256.
    ActivateP256(Activate<P256PublicKey>),
    /// A device hands back a record that a restored server has forgotten.
    HandBack(HandBack),
    /// A device hands in operations on a personal document, and asks for what it lacks of it.
    SyncPersonal(SyncPersonal),
    /// A device that a restored server has forgotten shows that it held a member's card. Any transport key may ask.
    Readmit(Box<Readmit>),
    /// As [`Self::SyncWallet`], by a device that reads [`Reply::FeedHead`] and [`Reply::FeedBlock`]; news come so too.
    SyncFeeds(SyncFeeds),
}

impl Schema for Request {
    const SCHEMA: u16 = 2;
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
}

impl From<Activate> for Request {
    fn from(activate: Activate) -> Self {
        match activate.presentation_key {
            PresentationKey::Ed25519(key) => Self::Activate(activate.with_key(key)),
            PresentationKey::P256(key) => Self::ActivateP256(activate.with_key(key)),
        }
    }
}

/// A device's first request. In a frame the kind of key is the request's; both sides then speak of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activate<K = PresentationKey> {
    /// Mã số BHXH, personal number, or the 32 hexadecimal digits of a member id; at most 32 bytes.
    pub alias: String,
    /// The one-time code; at most 64 bytes.
    pub code: String,
    /// The key that will make proofs.
    pub presentation_key: K,
    /// A proof by that key over the device's transport key (its 32 bytes stand where a card's bytes would), so that
    /// nobody binds a key that is not theirs.
    pub possession: ProofBytes,
}

impl<K: Copy + Into<PresentationKey>> Activate<K> {
    /// The same, of any kind of key.
    pub fn any_key(&self) -> Activate {
        self.clone().with_key(self.presentation_key.into())
    }

    fn with_key<L>(self, presentation_key: L) -> Activate<L> {
        let Self { alias, code, possession, .. } = self;
        Activate { alias, code, presentation_key, possession }
    }
}

/// A proof as it travels in a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofBytes {
    /// When the phone signed, by its clock.
    pub time: UnixSeconds,
    /// Random.
    pub nonce: [u8; 4],
    /// First half of the signature (serde has no arrays of 64).
    pub signature_r: [u8; 32],
    /// Second half.
    pub signature_s: [u8; 32],
}

impl From<&Proof> for ProofBytes {
    fn from(proof: &Proof) -> Self {
        let (mut signature_r, mut signature_s) = ([0; 32], [0; 32]);
        let (r, s) = proof.signature.0.split_at(32);
        signature_r.copy_from_slice(r);
        signature_s.copy_from_slice(s);
        Self { time: proof.time, nonce: proof.nonce, signature_r, signature_s }
    }
}

impl From<&ProofBytes> for Proof {
    fn from(bytes: &ProofBytes) -> Self {
        let mut signature = [0; 64];
        let (r, s) = signature.split_at_mut(32);
        r.copy_from_slice(&bytes.signature_r);
        s.copy_from_slice(&bytes.signature_s);
        let signature = crate::keys::Signature(signature);
        Self { time: bytes.time, nonce: bytes.nonce, signature, challenge: None }
    }
}

/// A record that a restored server has forgotten. Handed back twice it is taken once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandBack {
    /// Whose.
    pub member: MemberId,
    /// The signed head of the feed that the record was in.
    pub head: Vec<u8>,
    /// The record with its proof.
    pub record: HandedRecord,
}

/// What a device shows that a restored server does not know: the card that it held, that its two keys belong together, and
/// that the member's feed was given to it. One request a credential; twice is the same as once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readmit {
    /// Whose.
    pub member: MemberId,
    /// A card of the member, bound to the device's presentation key; at most [`crate::limits::CARD_BYTES_MAX`].
    pub credential: Vec<u8>,
    /// The presentation key's proof over the device's transport key, as in [`Activate`]; however old.
    pub possession: ProofBytes,
    /// The signed head of the member's feed that the device holds, or the statement of its epoch.
    pub head: Vec<u8>,
    /// The first record of that card, proven under the head: a card issued after the backup is entered by it.
    pub record: Option<HandedRecord>,
}

/// A terminal's first request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// The one-time token; at most 64 bytes.
    pub token: String,
    /// The key that will sign the terminal's own documents (use `terminal`); its transport key speaks here.
    pub terminal_key: PublicKey,
}

/// What a phone has, and whether it stays for news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncWallet {
    /// Version of the trust bundle in hand.
    pub trust: u64,
    /// A cursor for each member on the phone; at most [`crate::limits::WALLET_MEMBERS_MAX`].
    pub members: Vec<MemberCursor>,
    /// Whether news are wanted on this connection from now on.
    pub follow: Follow,
}

/// What a phone has, verified and not yet, and whether it stays for news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncFeeds {
    /// Version of the trust bundle in hand.
    pub trust: u64,
    /// Where the phone is with each of its members; at most [`crate::limits::WALLET_MEMBERS_MAX`].
    pub members: Vec<FeedPlace>,
    /// Whether news are wanted on this connection from now on.
    pub follow: Follow,
}

/// Where a phone is with one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedPlace {
    /// What it holds verified.
    pub cursor: MemberCursor,
    /// Records beyond those that came before an answer was cut short, and wait for a head over them.
    pub staged: u64,
    /// What the phone knows the server to have of the member's personal document. `None` asks nothing of it: the phone has
    /// edits to hand in, and asks with them, or holds the member by a grant.
    pub personal: Option<PersonalCursor>,
}

/// What a phone holds of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberCursor {
    /// Whose.
    pub member: MemberId,
    /// How far the feed in hand goes.
    pub extent: Extent,
    /// [`state_digest`] of the feed's root and of the device's own credentials.
    pub state: StateDigest,
}

/// 16 bytes that are equal when two sides hold the same; see [`state_digest`].
pub type StateDigest = [u8; 16];

/// SHA-256 over the feed's root and each of the device's credentials in byte order, cut to 16 bytes. Each part goes in
/// as its own SHA-256, so that no two lists run together.
pub fn state_digest<'a>(root: &[u8; 32], credentials: impl IntoIterator<Item = &'a [u8]>) -> StateDigest {
    use sha2::{Digest, Sha256};
    let mut hashes: Vec<[u8; 32]> =
        credentials.into_iter().map(|credential| Sha256::digest(credential).into()).collect();
    hashes.sort_unstable();
    let digest = hashes.iter().fold(Sha256::new_with_prefix(root), |digest, hash| digest.chain_update(hash));
    let mut state = [0; 16];
    state.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    state
}

/// Whether the client stays for news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Follow {
    /// Answer this and forget it.
    Once,
    /// Send news on this connection until it ends.
    Stay,
}

/// What a terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncTerminal {
    /// Version of the trust bundle in hand.
    pub trust: u64,
    /// The status list in hand: its version and the key that signed it.
    pub status: Option<(StatusVersion, KeyId)>,
    /// A snapshot received in part: its version and the bytes in hand.
    pub partial: Option<(StatusVersion, u64)>,
    /// Whether news are wanted on this connection from now on.
    pub follow: Follow,
}

/// One frame of an answer, or of news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The exchange is over and everything asked for has been sent.
    Done,
    /// Nothing was done.
    Refused(Refusal),
    /// Activated: the member's id. A sync follows in an exchange of its own.
    Activated(MemberId),
    /// Enrolled at this facility.
    Enrolled(FacilityCode),
    /// The next trust bundle to take; several come in order when roots changed in between.
    Trust(Vec<u8>),
    /// More of a member's feed, to a [`Request::SyncWallet`]. Pages of one answer join on to each other; the last frame
    /// carries the signed head.
    Feed(FeedReply),
    /// All of this device's credentials for a member; those in hand that are not among them are dropped.
    Credentials {
        /// Whose.
        member: MemberId,
        /// Signed cards bound to this device's presentation key.
        credentials: Vec<Vec<u8>>,
    },
    /// This device no longer holds this member: its data is to be wiped.
    Retired(MemberId),
    /// A status delta that follows on from the list in hand, or from the delta before it.
    StatusDelta(Vec<u8>),
    /// A piece of a status snapshot.
    StatusSnapshot(SnapshotPiece),
    /// The answer to an operator.
    Admin(AdminReply),
    /// A new epoch of a member's feed. Whoever holds more records than were kept hands them back, and asks again; to the
    /// others the records that follow come in this answer.
    Epoch {
        /// Whose.
        member: MemberId,
        /// The signed statement.
        statement: Vec<u8>,
    },
    /// The answer to [`Request::SyncPersonal`]; as news, what somebody else has changed.
    Personal(PersonalReply),
    /// A restored server does not know that this device holds this member: it is to be readmitted. Nothing is wiped.
    Forgotten(MemberId),
    /// The signed head that the [`Self::FeedBlock`]s which follow lead to. None follow when nothing is new beneath it.
    FeedHead {
        /// Whose.
        member: MemberId,
        /// The signed head.
        head: Vec<u8>,
    },
    /// More of a member's records, up to the head that was sent before. Blocks of one member join on to each other, and the
    /// first begins where the phone is: after what it has staged, or, when that does not count, after what it holds.
    FeedBlock {
        /// Whose.
        member: MemberId,
        /// The records; each block is read with those before it in this answer, of whichever member.
        block: FeedBlock,
    },
    /// A member on this phone holds this signed grant: the dependant's card, and what else it gives, follows. A grant that
    /// is held already is sent again and changes nothing.
    Granted(Vec<u8>),
}

impl Schema for Reply {
    const SCHEMA: u16 = 3;
    const BYTES_MAX: usize = FRAME_BYTES_MAX;
}

/// A piece of a member's feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedReply {
    /// Whose.
    pub member: MemberId,
    /// Records from the phone's size on.
    pub pages: Vec<FeedPage>,
    /// The signed head over everything sent so far; present in the last piece.
    pub head: Option<Vec<u8>>,
}

/// A piece of a status snapshot's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPiece {
    /// Which snapshot.
    pub version: StatusVersion,
    /// Where this piece starts.
    pub offset: u64,
    /// Bytes of the whole snapshot; at most [`crate::limits::STATUS_BYTES_MAX`].
    pub total: u64,
    /// The piece.
    pub bytes: Vec<u8>,
}

/// Why nothing was done. A code: the reason in words stays in the server's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// This key may not ask this, or not any more.
    #[error("not authorised")]
    NotAuthorised,
    /// The code or token is wrong, used or over; or the member is not known. One answer, so that nothing can be probed.
    #[error("code not accepted")]
    BadCode,
    /// The request breaks a bound or a form.
    #[error("malformed request")]
    Malformed,
    /// No such thing.
    #[error("not found")]
    NotFound,
    /// The request contradicts what is stored.
    #[error("conflicts with what is stored")]
    Conflict,
    /// All of the sixteen bindings of the card are in use.
    #[error("no free binding")]
    NoFreeBinding,
    /// Too much at once; come back after this many seconds.
    #[error("busy, come back in {retry_after_seconds} s")]
    Busy {
        /// Seconds.
        retry_after_seconds: u32,
    },
    /// The server failed; nothing was done.
    #[error("server failed")]
    Internal,
    /// The same operation id came with other content.
    #[error("operation id used for something else")]
    OperationReused,
    /// The server was restored from a backup and issues nothing until it was given the newest status list.
    #[error("restored from a backup: waits for the newest status list (bhyt-server adopt)")]
    AwaitsStatus,
    /// It would leave the server without an administrator.
    #[error("the last administrator stays one")]
    LastAdministrator,
    /// The server was restored from a backup and does not know this device: it is to be readmitted.
    #[error("restored from a backup: this device is not known")]
    Forgotten,
}
