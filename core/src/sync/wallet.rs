//! The phone's side of a sync, without I/O: frames in, effects out. A session finishes what it staged or applies
//! nothing: pages wait until a verified head covers them, and each effect is one commit of the caller's.

use std::collections::BTreeMap;

use crate::card::CardClaims;
use crate::cose::{Payload, Signed, Verified};
use crate::feed::{Epoch, EpochStatement, Extent, FeedFault, FeedHead, FeedPage, FeedState};
use crate::ids::MemberId;
use crate::limits::BINDINGS_MAX;
use crate::presentation_key::PresentationKey;
use crate::sync::messages::{
    FeedReply, Follow, MemberCursor, Refusal, Reply, Request, SyncWallet, state_digest,
};
use crate::time::UnixSeconds;
use crate::trust::{self, KeyUse, TrustBundle, TrustError};

/// What a phone holds of one member, as the session needs it.
#[derive(Clone, Debug)]
pub struct MemberState {
    /// The feed as far as read.
    pub feed: FeedState,
    /// This device's credentials, signed bytes.
    pub credentials: Vec<Vec<u8>>,
    /// The device's presentation key: credentials bound to another are not taken.
    pub presentation_key: PresentationKey,
}

impl MemberState {
    fn cursor(&self, member: MemberId) -> MemberCursor {
        let epoch = self.feed.mark().map_or(Epoch(0), |mark| mark.extent.epoch);
        let extent = Extent { epoch, size: self.feed.frontier().size() };
        let root = self.feed.frontier().root();
        let credentials = self.credentials.iter().map(Vec::as_slice);
        MemberCursor { member, extent, state: state_digest(&root.0, credentials) }
    }
}

/// One sync, or the news of one connection.
#[derive(Clone, Debug)]
pub struct WalletSession {
    trust: Verified<TrustBundle>,
    members: BTreeMap<MemberId, MemberState>,
    staged: BTreeMap<MemberId, super::staged::Staged>,
    disputed: Option<Verified<FeedHead>>,
    outcome: Option<Result<(), Refusal>>,
}

impl WalletSession {
    /// A session over what the phone holds.
    pub fn new(trust: Verified<TrustBundle>, members: BTreeMap<MemberId, MemberState>) -> Self {
        Self { trust, members, staged: BTreeMap::new(), disputed: None, outcome: None }
    }

    /// The request that brings everything up to date, and begins the exchange.
    pub fn request(&mut self, follow: Follow) -> Request {
        self.staged.clear();
        self.outcome = None;
        Request::SyncWallet(SyncWallet {
            trust: self.trust.claims().version,
            members: self.members.iter().map(|(member, state)| state.cursor(*member)).collect(),
            follow,
        })
    }

    /// Takes one reply. What it returns is to be made durable before the next is handled.
    pub fn handle(&mut self, reply: Reply) -> Result<Vec<Effect>, SyncFault> {
        match reply {
            Reply::Done => self.finish(),
            Reply::Refused(refusal) => {
                self.staged.clear();
                self.outcome = Some(Err(refusal));
                let all = self.members.keys().filter(|_| refusal == Refusal::Forgotten);
                Ok(all.copied().map(Effect::Forgotten).collect())
            }
            Reply::Trust(bytes) => Ok(self.take_trust(&bytes)?.into_iter().collect()),
            Reply::Feed(feed) => self.take_pages(feed),
            Reply::Epoch { member, statement } => self.take_epoch(member, &statement),
            Reply::Credentials { member, credentials } => self.take_credentials(member, credentials),
            Reply::Retired(member) => {
                self.staged.remove(&member);
                Ok(self.members.remove(&member).map(|_| Effect::Wipe(member)).into_iter().collect())
            }
            Reply::Forgotten(member) if self.members.contains_key(&member) => {
                Ok(vec![Effect::Forgotten(member)])
            }
            Reply::Forgotten(_) => Err(SyncFault::UnknownMember),
            _ => Err(SyncFault::Unexpected),
        }
    }

    /// Forgets the records of a member that do not follow on, after [`FeedFault::RootMismatch`]: the next
    /// [`Self::request`] asks for all of them again, and they must lead through the head last verified. The pages of the
    /// next [`Effect::Commit`] then begin at 0, in place of those held.
    pub fn restart(&mut self, member: MemberId) {
        self.staged.remove(&member);
        if let Some(state) = self.members.get_mut(&member) {
            let mark = state.feed.mark().copied();
            state.feed = mark.map_or_else(|| FeedState::new(member), FeedState::from_mark);
        }
    }

    /// The signed head of the last feed that was not taken. Where the fault is a fork, it is, beside the head held, the
    /// proof that the server signed two feeds: keep both.
    pub fn disputed(&self) -> Option<&Verified<FeedHead>> {
        self.disputed.as_ref()
    }

    /// How the exchange ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<Result<(), Refusal>> {
        self.outcome
    }

    /// The trust bundle in force now.
    pub fn trust(&self) -> &Verified<TrustBundle> {
        &self.trust
    }

    /// What is held of the members now.
    pub fn members(&self) -> &BTreeMap<MemberId, MemberState> {
        &self.members
    }

    fn finish(&mut self) -> Result<Vec<Effect>, SyncFault> {
        self.outcome = Some(Ok(()));
        let unfinished = !self.staged.is_empty();
        self.staged.clear();
        if unfinished { Err(SyncFault::NoHead) } else { Ok(Vec::new()) }
    }

    fn take_trust(&mut self, bytes: &[u8]) -> Result<Option<Effect>, SyncFault> {
        let next = trust::accept(&self.trust, bytes)?;
        Ok(next.map(|next| {
            self.trust = next.clone();
            Effect::TakeTrust(next)
        }))
    }

    fn take_pages(&mut self, reply: FeedReply) -> Result<Vec<Effect>, SyncFault> {
        let state = self.members.get(&reply.member).ok_or(SyncFault::UnknownMember)?;
        if !self.staged.entry(reply.member).or_default().add(reply.pages) {
            self.staged.remove(&reply.member);
            return Err(SyncFault::TooMuch);
        }
        let Some(head) = reply.head else {
            return Ok(Vec::new());
        };
        let pages = self.staged.remove(&reply.member).unwrap_or_default().into_pages();
        let head = self.verify_head(&head)?;
        let feed = match state.feed.extend(&pages, &head) {
            Ok(feed) => feed,
            Err(fault) => {
                self.disputed = Some(head);
                return Err(SyncFault::Feed { member: reply.member, fault });
            }
        };
        let update = MemberUpdate { member: reply.member, feed: feed.clone(), pages, head };
        if let Some(state) = self.members.get_mut(&reply.member) {
            state.feed = feed;
        }
        Ok(vec![Effect::Commit(Box::new(update))])
    }

    /// Enters a new epoch, unless more is held than was kept: that is handed back first.
    fn take_epoch(&mut self, member: MemberId, statement: &[u8]) -> Result<Vec<Effect>, SyncFault> {
        let statement: Verified<EpochStatement> =
            self.verify_by_head_key(statement, |it: &EpochStatement| it.time)?;
        let state = self.members.get_mut(&member).ok_or(SyncFault::UnknownMember)?;
        if state.feed.frontier().size() > statement.claims().kept.size {
            return Ok(vec![Effect::HandBack { member, statement: Box::new(statement) }]);
        }
        let entered = state.feed.enter_epoch([], &statement);
        state.feed = entered.map_err(|fault| SyncFault::Feed { member, fault })?;
        self.staged.remove(&member);
        let feed = Box::new(state.feed.clone());
        Ok(vec![Effect::Epoch { member, statement: Box::new(statement), feed }])
    }

    fn verify_head(&self, bytes: &[u8]) -> Result<Verified<FeedHead>, SyncFault> {
        self.verify_by_head_key(bytes, |head: &FeedHead| head.time)
    }

    fn verify_by_head_key<T: Payload>(
        &self,
        bytes: &[u8],
        time: impl Fn(&T) -> UnixSeconds,
    ) -> Result<Verified<T>, SyncFault> {
        let signed = Signed::<T>::decode(bytes).map_err(|_| SyncFault::BadHead)?;
        let key = self.trust.claims().key(signed.key_id(), KeyUse::Head).ok_or(SyncFault::BadHead)?;
        let verified = signed.verify(&key.key).map_err(|_| SyncFault::BadHead)?;
        // A phone's floor is the time of its bundle: its own clock is nobody's.
        let permitted =
            key.may_sign_at(time(verified.claims())) && key.verifies_at(self.trust.claims().issued);
        permitted.then_some(verified).ok_or(SyncFault::BadHead)
    }

    fn take_credentials(
        &mut self,
        member: MemberId,
        credentials: Vec<Vec<u8>>,
    ) -> Result<Vec<Effect>, SyncFault> {
        let state = self.members.get(&member).ok_or(SyncFault::UnknownMember)?;
        if credentials.len() > BINDINGS_MAX {
            return Err(SyncFault::TooMuch);
        }
        let verified = credentials.iter().map(|bytes| self.verify_card(bytes, &state.presentation_key));
        let verified = verified.collect::<Result<Vec<_>, _>>()?;
        if let Some(state) = self.members.get_mut(&member) {
            state.credentials = credentials;
        }
        Ok(vec![Effect::Credentials { member, credentials: verified }])
    }

    fn verify_card(&self, bytes: &[u8], holder: &PresentationKey) -> Result<Verified<CardClaims>, SyncFault> {
        let signed = Signed::<CardClaims>::decode(bytes).map_err(|_| SyncFault::BadCredential)?;
        let key = self.trust.claims().key(signed.key_id(), KeyUse::Card).ok_or(SyncFault::BadCredential)?;
        let card = signed.verify(&key.key).map_err(|_| SyncFault::BadCredential)?;
        let claims = card.claims();
        let ours = claims.binding.is_some_and(|binding| binding.key == *holder);
        let permitted = key.may_sign_at(claims.issued_at) && key.covers(claims.status_index);
        (ours && permitted).then_some(card).ok_or(SyncFault::BadCredential)
    }
}

/// What the phone is to make durable, each in one commit, in the order given.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A new trust bundle.
    TakeTrust(Verified<TrustBundle>),
    /// Records and cursor of one member.
    Commit(Box<MemberUpdate>),
    /// All of this device's credentials of a member.
    Credentials {
        /// Whose.
        member: MemberId,
        /// Verified and bound to this device.
        credentials: Vec<Verified<CardClaims>>,
    },
    /// Remove everything of this member.
    Wipe(MemberId),
    /// The feed goes on in a new epoch; the statement takes the place of the head last verified.
    Epoch {
        /// Whose.
        member: MemberId,
        /// The statement.
        statement: Box<Verified<EpochStatement>>,
        /// The feed after.
        feed: Box<FeedState>,
    },
    /// A restored server has kept fewer records than are held: those beyond are to be handed back, one request each, and
    /// then [`FeedState::enter_epoch`] with all pages held. Nothing more of this member comes in this exchange.
    HandBack {
        /// Whose.
        member: MemberId,
        /// The statement.
        statement: Box<Verified<EpochStatement>>,
    },
    /// A restored server does not know that this device holds this member: the device asks to be readmitted, one request a
    /// credential. Everything stays as it is.
    Forgotten(MemberId),
}

/// New records of a member, verified against the head.
#[derive(Clone, Debug)]
pub struct MemberUpdate {
    /// Whose.
    pub member: MemberId,
    /// The feed after.
    pub feed: FeedState,
    /// The new records.
    pub pages: Vec<FeedPage>,
    /// The head that signs them.
    pub head: Verified<FeedHead>,
}

/// The server's answer cannot be used. What was committed before stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncFault {
    /// A frame that has no place in this exchange.
    #[error("unexpected frame")]
    Unexpected,
    /// Data of a member that this phone does not hold.
    #[error("data of an unknown member")]
    UnknownMember,
    /// More than the bounds allow.
    #[error("more than the bounds allow")]
    TooMuch,
    /// Records without a head over them.
    #[error("records without a signed head")]
    NoHead,
    /// The head, or the statement of a new epoch, is not signed by a head key of the bundle.
    #[error("feed head does not verify")]
    BadHead,
    /// A credential that is not signed by a card key, or not bound to this device.
    #[error("credential does not verify")]
    BadCredential,
    /// The trust bundle is not taken.
    #[error("trust bundle not taken")]
    Trust(#[from] TrustError),
    /// The records do not follow on from those in hand: set aside, reported, fetched again.
    #[error("feed of member {member} does not follow on")]
    Feed {
        /// Whose.
        member: MemberId,
        /// How.
        fault: FeedFault,
    },
}
