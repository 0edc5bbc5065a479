//! The phone's side of a sync, without I/O: frames in, effects out. A session finishes what it staged or applies
//! nothing: pages wait until a verified head covers them, and each effect is one commit of the caller's.

use std::collections::BTreeMap;

use crate::card::CardClaims;
use crate::cose::{Payload, Signed, Verified};
use crate::feed::{
    BlockFault, BlockWindow, Epoch, EpochStatement, Extent, FeedBlock, FeedFault, FeedHead, FeedPage,
    FeedState,
};
use crate::grant::{Grant, GrantScope};
use crate::ids::MemberId;
use crate::limits::{BINDINGS_MAX, WALLET_MEMBERS_MAX};
use crate::presentation_key::PresentationKey;
use crate::record::Seq;
use crate::sync::messages::{
    FeedPlace, FeedReply, Follow, MemberCursor, Refusal, Reply, Request, SyncFeeds, state_digest,
};
use crate::sync::personal::PersonalCursor;
use crate::sync::staged::Staged;
use crate::time::UnixSeconds;
use crate::trust::{self, KeyUse, TrustBundle, TrustError};

/// What a phone holds of one member, as the session needs it.
#[derive(Clone, Debug)]
pub struct MemberState {
    /// The feed as far as read.
    pub feed: FeedState,
    /// Pages that follow on it and wait for a head: what [`Effect::Stage`] handed over before an answer was cut short.
    pub staged: Vec<FeedPage>,
    /// This device's credentials, signed bytes.
    pub credentials: Vec<Vec<u8>>,
    /// The device's presentation key: credentials bound to another are not taken.
    pub presentation_key: PresentationKey,
    /// The signed grant by which a carer's phone holds the member; `None` on the member's own.
    pub grant: Option<Vec<u8>>,
    /// What is asked about the member's personal document; the answer is [`Reply::Personal`], which is not the session's.
    pub personal: Option<PersonalCursor>,
}

impl MemberState {
    fn cursor(&self, member: MemberId) -> MemberCursor {
        let epoch = self.feed.mark().map_or(Epoch(0), |mark| mark.extent.epoch);
        let extent = Extent { epoch, size: self.feed.frontier().size() };
        let root = self.feed.frontier().root();
        let credentials = self.credentials.iter().chain(&self.grant).map(Vec::as_slice);
        MemberCursor { member, extent, state: state_digest(&root.0, credentials) }
    }
}

/// One sync, or the news of one connection.
#[derive(Clone, Debug)]
pub struct WalletSession {
    trust: Verified<TrustBundle>,
    members: BTreeMap<MemberId, MemberState>,
    staged: BTreeMap<MemberId, Staged>,
    window: BlockWindow,
    disputed: Option<Verified<FeedHead>>,
    outcome: Option<Result<(), Refusal>>,
}

impl WalletSession {
    /// A session over what the phone holds.
    pub fn new(trust: Verified<TrustBundle>, mut members: BTreeMap<MemberId, MemberState>) -> Self {
        let resumed = |(member, state): (&MemberId, &mut MemberState)| {
            (*member, Staged::resumed(std::mem::take(&mut state.staged)))
        };
        let staged = members.iter_mut().map(resumed).collect();
        Self { trust, members, staged, window: BlockWindow::default(), disputed: None, outcome: None }
    }

    /// The request that brings everything up to date, and begins the exchange.
    pub fn request(&mut self, follow: Follow) -> Request {
        self.end_exchange();
        self.outcome = None;
        let place = |(member, state): (&MemberId, &MemberState)| FeedPlace {
            cursor: state.cursor(*member),
            staged: self.staged.get(member).map_or(0, Staged::records),
            personal: state.personal.clone(),
        };
        let members = self.members.iter().map(place).collect();
        Request::SyncFeeds(SyncFeeds { trust: self.trust.claims().version, members, follow })
    }

    /// Takes one reply. What it returns is to be made durable before the next is handled.
    pub fn handle(&mut self, reply: Reply) -> Result<Vec<Effect>, SyncFault> {
        match reply {
            Reply::Done => self.finish(),
            Reply::Refused(refusal) => {
                self.end_exchange();
                self.outcome = Some(Err(refusal));
                let all = self.members.keys().filter(|_| refusal == Refusal::Forgotten);
                Ok(all.copied().map(Effect::Forgotten).collect())
            }
            Reply::Trust(bytes) => Ok(self.take_trust(&bytes)?.into_iter().collect()),
            Reply::Feed(feed) => self.take_pages(feed),
            Reply::FeedHead { member, head } => self.take_head(member, &head),
            Reply::FeedBlock { member, block } => self.take_block(member, &block),
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
            Reply::Granted(grant) => self.take_grant(&grant),
            _ => Err(SyncFault::Unexpected),
        }
    }

    /// Forgets the records of a member that do not follow on, after [`FeedFault::RootMismatch`]: the next
    /// [`Self::request`] asks for all of them again, and they must lead through the head last verified. The pages of the
    /// next [`Effect::Commit`] then begin at 0, in place of those held.
    pub fn restart(&mut self, member: MemberId) {
        self.staged.remove(&member);
        if let Some(state) = self.members.get_mut(&member) {
            state.feed = state.feed.reread();
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

    /// Records still to come under the heads that have come.
    pub fn awaited(&self) -> u64 {
        let awaited = |(member, staged): (&MemberId, &Staged)| {
            let size = staged.head.as_ref()?.claims().extent.size;
            let held = self.members.get(member)?.feed.next_seq().0 + staged.records();
            Some(size.saturating_sub(held))
        };
        self.staged.iter().filter_map(awaited).sum()
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
        let unfinished = self.staged.values().any(Staged::is_unfinished);
        self.end_exchange();
        if unfinished { Err(SyncFault::NoHead) } else { Ok(Vec::new()) }
    }

    fn end_exchange(&mut self) {
        self.staged.values_mut().for_each(Staged::end_exchange);
        self.window = BlockWindow::default();
    }

    fn take_trust(&mut self, bytes: &[u8]) -> Result<Option<Effect>, SyncFault> {
        let next = trust::accept(&self.trust, bytes)?;
        Ok(next.map(|next| {
            self.trust = next.clone();
            Effect::TakeTrust(next)
        }))
    }

    fn take_pages(&mut self, reply: FeedReply) -> Result<Vec<Effect>, SyncFault> {
        let member = reply.member;
        if !self.members.contains_key(&member) {
            return Err(SyncFault::UnknownMember);
        }
        self.stage(member, reply.pages)?;
        let Some(head) = reply.head else {
            return Ok(Vec::new());
        };
        let head = self.verify_head(&head).inspect_err(|_| self.forget_staged(member))?;
        self.complete(member, head)
    }

    /// Takes the head that the blocks which follow are to lead to.
    fn take_head(&mut self, member: MemberId, head: &[u8]) -> Result<Vec<Effect>, SyncFault> {
        let state = self.members.get(&member).ok_or(SyncFault::UnknownMember)?;
        let head = self.verify_head(head)?;
        if let Err(fault) = state.feed.check_head(head.claims()) {
            return Err(self.dispute(member, head, fault));
        }
        let held = state.feed.next_seq().0;
        let staged = self.staged.entry(member).or_default();
        let size = head.claims().extent.size;
        if held + staged.records() > size {
            staged.forget_pages();
        }
        if held + staged.records() == size {
            return self.complete(member, head);
        }
        staged.head = Some(head);
        Ok(Vec::new())
    }

    fn take_block(&mut self, member: MemberId, block: &FeedBlock) -> Result<Vec<Effect>, SyncFault> {
        let held = self.members.get(&member).ok_or(SyncFault::UnknownMember)?.feed.next_seq();
        let staged = self.staged.entry(member).or_default();
        let head = staged.head.clone().ok_or(SyncFault::NoHead)?;
        let pages = self.window.read_block(block)?;
        let first = pages.first().ok_or(SyncFault::Unexpected)?.first_seq();
        let expected = Seq(held.0 + staged.records());
        if staged.begin() && first == held {
            // The server does not count on what came before.
            staged.forget_pages();
        } else if first != expected {
            return Err(SyncFault::Feed { member, fault: FeedFault::Gap { expected, got: first } });
        }
        self.stage(member, pages.clone())?;
        let (limit, staged) = (head.claims().extent.size, self.staged.entry(member).or_default());
        let got = held.0 + staged.records();
        if got == limit {
            return self.complete(member, head);
        }
        if got > limit {
            let fault = FeedFault::TooLong { limit, got };
            return Err(self.dispute(member, head, fault));
        }
        staged.keep();
        Ok(vec![Effect::Stage { member, pages, size: limit }])
    }

    fn stage(&mut self, member: MemberId, pages: Vec<FeedPage>) -> Result<(), SyncFault> {
        if self.staged.entry(member).or_default().add(pages) {
            return Ok(());
        }
        self.forget_staged(member);
        Err(SyncFault::TooMuch)
    }

    fn forget_staged(&mut self, member: MemberId) {
        self.staged.remove(&member);
    }

    /// Everything up to the head has come: it is taken as a whole, or not at all.
    fn complete(&mut self, member: MemberId, head: Verified<FeedHead>) -> Result<Vec<Effect>, SyncFault> {
        let pages = self.staged.remove(&member).unwrap_or_default().into_pages();
        let state = self.members.get_mut(&member).ok_or(SyncFault::UnknownMember)?;
        match state.feed.extend(&pages, &head) {
            Ok(feed) => {
                state.feed = feed.clone();
                Ok(vec![Effect::Commit(Box::new(MemberUpdate { member, feed, pages, head }))])
            }
            Err(fault) => Err(self.dispute(member, head, fault)),
        }
    }

    /// Whatever was to lead to this head is forgotten, and the head kept for whoever asks.
    fn dispute(&mut self, member: MemberId, head: Verified<FeedHead>, fault: FeedFault) -> SyncFault {
        self.forget_staged(member);
        self.disputed = Some(head);
        SyncFault::Feed { member, fault }
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

    /// Takes a dependant in for a member who is here in their own right; a grant in hand gives way to a new one.
    fn take_grant(&mut self, bytes: &[u8]) -> Result<Vec<Effect>, SyncFault> {
        let grant: Verified<Grant> = self.verify_by_head_key(bytes, |it: &Grant| it.time)?;
        let Grant { dependant, carer, scope, .. } = *grant.claims();
        let carer = self.members.get(&carer).filter(|carer| carer.grant.is_none());
        let presentation_key = carer.ok_or(SyncFault::UnknownMember)?.presentation_key;
        let known = self.members.get(&dependant);
        if known.is_none() && self.members.len() >= WALLET_MEMBERS_MAX {
            return Err(SyncFault::TooMuch);
        }
        match known.map(|known| &known.grant) {
            Some(Some(held)) if held == bytes => return Ok(Vec::new()),
            // Who is here in their own right is nobody's charge on this phone.
            Some(None) => return Err(SyncFault::Unexpected),
            _ => {}
        }
        let (kept, all) = (known.cloned(), scope == GrantScope::CardAndRecords);
        let feed = kept.as_ref().filter(|_| all).map(|kept| kept.feed.clone());
        let feed = feed.unwrap_or_else(|| FeedState::new(dependant));
        if !all {
            self.forget_staged(dependant);
        }
        let credentials = kept.map(|kept| kept.credentials).unwrap_or_default();
        let (staged, signed) = (Vec::new(), Some(bytes.to_vec()));
        let state =
            MemberState { feed, staged, credentials, presentation_key, grant: signed, personal: None };
        self.members.insert(dependant, state);
        Ok(vec![Effect::Granted(Box::new(grant))])
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
    /// Records on their way: to be kept if that can be, and shown to nobody before the [`Self::Commit`] that has them too.
    /// Pages that begin where the feed held ends take the place of all staged before.
    Stage {
        /// Whose.
        member: MemberId,
        /// Those that came.
        pages: Vec<FeedPage>,
        /// Records of the feed when all have come.
        size: u64,
    },
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
    /// A carer's phone holds the dependant from now on, or by another grant. With [`GrantScope::Card`] no records are held.
    Granted(Box<Verified<Grant>>),
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
    /// Records without a head over them, or a head without its records.
    #[error("records and signed head do not come together")]
    NoHead,
    /// A block that cannot be read.
    #[error("block of records not read")]
    Block(#[from] BlockFault),
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
