//! The state machines of phone and terminal, fed with replies in any order: such as an honest server sends, such as one
//! that lies with real keys does, and any bytes that decode.
//!
//! What is made durable is enough to begin again from, and says what the session says; nothing that was verified goes
//! back; a refused reply changes nothing that is held.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::CardStanding;
use bhyt_core::codec;
use bhyt_core::feed::{BlockWindow, FeedPage, FeedState};
use bhyt_core::held_status::HeldStatus;
use bhyt_core::ids::{MemberId, StatusIndex};
use bhyt_core::limits::STATUS_BYTES_MAX;
use bhyt_core::marks::Marks;
use bhyt_core::status::StatusList;
use bhyt_core::sync::messages::{FeedReply, Follow, Refusal, Reply, SnapshotPiece};
use bhyt_core::sync::terminal::{PartialSnapshot, TerminalEffect, TerminalSession};
use bhyt_core::sync::wallet::{Effect, MemberState, WalletSession};

use super::input::{Input, Script};
use super::ledger::{Ledger, sign_head};
use crate::authority::{Authority, ListDraft, Phone, at, day, example_card, sign_list};

/// The kind of an input is its first byte: a phone's session or a terminal's.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let mut input = Input::new(data);
    match kind % 2 {
        0 => Wallet::new().run(&mut input),
        _ => Terminal::new().run(&mut input),
    }
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new(7));

/// A reply that does not depend on who asks: endings, bundles, any bytes.
fn common(input: &mut Input<'_>, kind: u8) -> Option<Reply> {
    Some(match kind {
        0 => Reply::Done,
        1 => Reply::Refused(*input.pick(&[Refusal::Internal, Refusal::NotAuthorised, Refusal::NotFound])),
        2 => {
            let mut bundle = AUTHORITY.bundle(u64::from(input.byte() % 6), at(2026, 5, 1));
            bundle.issued = bundle.issued.plus(input.byte().into());
            if input.byte() & 1 == 1 {
                bundle.keys.pop();
            }
            Reply::Trust(AUTHORITY.sign_bundle(&bundle))
        }
        _ => codec::decode(input.bytes()).ok()?,
    })
}

/// A phone with two members, and what it has made durable.
struct Wallet {
    session: WalletSession,
    ledgers: [Ledger; 2],
    stored: BTreeMap<MemberId, Vec<FeedPage>>,
}

impl Wallet {
    fn new() -> Self {
        let trust = AUTHORITY.trust(&AUTHORITY.bundle(1, at(2026, 5, 1)));
        let state = |member| MemberState {
            feed: FeedState::new(member),
            staged: Vec::new(),
            credentials: Vec::new(),
            presentation_key: Phone::new(8).key(),
            grant: None,
            personal: None,
        };
        let members = MEMBERS.map(|member| (member, state(member))).into();
        let stored = MEMBERS.map(|member| (member, Vec::new())).into();
        let session = WalletSession::new(trust, members);
        Self { session, ledgers: MEMBERS.map(Ledger::new), stored }
    }

    fn run(mut self, input: &mut Input<'_>) {
        let mut steps = 0;
        while !input.is_empty() && steps < STEPS_MAX {
            steps += 1;
            let kind = input.byte() % 11;
            let reply = match kind {
                0..=3 => common(input, kind),
                4 => self.feed(input),
                5 => Some(self.credentials(input)),
                6 => Some(Reply::Retired(MemberId([input.byte() % 4; 16]))),
                7 => {
                    let ledger = self.ledgers.get_mut(usize::from(input.byte() & 1));
                    let ledger = ledger.expect("two ledgers");
                    (0..input.byte() % 40).for_each(|n| ledger.append(&[n], None));
                    None
                }
                8 => {
                    self.session.request(Follow::Stay);
                    None
                }
                9 => {
                    self.session.restart(*input.pick(&MEMBERS));
                    None
                }
                _ => {
                    self.blocks(input);
                    None
                }
            };
            if let Some(reply) = reply {
                self.take(reply);
            }
        }
        self.check_restart();
    }

    fn feed(&self, input: &mut Input<'_>) -> Option<Reply> {
        let ledger = self.ledgers.get(usize::from(input.byte() & 1))?;
        let how = input.byte();
        let held = self.session.members().get(&ledger.member).map_or(0, |state| state.feed.next_seq().0);
        let from = if how & 1 == 0 { held } else { u64::from(input.byte()) };
        let mut pages = ledger.since(from);
        if how & 2 == 2 {
            pages.truncate(usize::from(input.byte() % 4));
        }
        let size = if how & 4 == 0 { ledger.size() } else { u64::from(input.byte()) };
        let key = if how & 8 == 0 { &AUTHORITY.head_key } else { &AUTHORITY.card_key };
        let head = (how & 16 == 0).then(|| sign_head(key, ledger.head(size)));
        Some(Reply::Feed(FeedReply { member: MemberId([ledger.member.0[0] ^ (how >> 7); 16]), pages, head }))
    }

    /// A head and the blocks to it, or some of them, or others.
    fn blocks(&mut self, input: &mut Input<'_>) {
        let Some(ledger) = self.ledgers.get(usize::from(input.byte() & 1)) else { return };
        let how = input.byte();
        let held = self.session.members().get(&ledger.member).map_or(0, |state| state.feed.next_seq().0);
        let from = if how & 1 == 0 { held } else { u64::from(input.byte()) };
        let size = if how & 2 == 0 { ledger.size() } else { u64::from(input.byte()) };
        let head = sign_head(&AUTHORITY.head_key, ledger.head(size));
        let mut replies = vec![Reply::FeedHead { member: ledger.member, head }];
        let mut window = BlockWindow::default();
        for pages in ledger.since(from).chunks(1 + usize::from(how >> 2 & 3)) {
            let (block, _) = window.make_block(pages);
            replies.push(Reply::FeedBlock { member: ledger.member, block });
        }
        if how & 16 == 16 {
            replies.remove(usize::from(input.byte()) % replies.len());
        }
        for reply in replies {
            self.take(reply);
        }
    }

    fn credentials(&self, input: &mut Input<'_>) -> Reply {
        let member = *input.pick(&MEMBERS);
        let phone = Phone::new(8 + (input.byte() >> 7));
        let card = |index: u8| {
            let binding = (index & 3 != 0).then(|| phone.binding(day(2026, 11, 1)));
            let status_index = StatusIndex(index.into());
            AUTHORITY.sign_card(CardClaims { binding, status_index, ..example_card() })
        };
        let credentials = (0..input.byte() % 20).map(|_| card(input.byte())).collect();
        Reply::Credentials { member, credentials }
    }

    fn take(&mut self, reply: Reply) {
        let held = |session: &WalletSession| {
            let member =
                |(id, state): (&MemberId, &MemberState)| (*id, state.feed.clone(), state.credentials.clone());
            (session.trust().bytes().to_vec(), session.members().iter().map(member).collect::<Vec<_>>())
        };
        let before = self.session.clone();
        match self.session.handle(reply) {
            Err(_) => assert!(held(&self.session) == held(&before), "a refused reply changes nothing"),
            Ok(effects) => effects.into_iter().for_each(|effect| self.store(effect, &before)),
        }
    }

    /// What an SDK does with an effect, and what must be so.
    fn store(&mut self, effect: Effect, before: &WalletSession) {
        match effect {
            Effect::TakeTrust(trust) => {
                assert!(trust.claims().version > before.trust().claims().version, "bundles go up");
                assert_eq!(trust.bytes(), self.session.trust().bytes());
            }
            Effect::Commit(update) => {
                let (pages, was) =
                    (self.stored.get_mut(&update.member), before.members().get(&update.member));
                let (pages, was) = (pages.expect("a member held"), was.expect("a member held"));
                if update.pages.first().is_some_and(|page| page.first_seq().0 == 0) {
                    pages.clear();
                }
                pages.extend(update.pages);
                let again = FeedState::from_store(*update.head.claims(), pages.iter());
                assert_eq!(again.as_ref(), Ok(&update.feed), "what is stored leads to the head");
                let mark = was.feed.mark().map(|mark| mark.extent);
                assert!(Some(update.head.claims().extent) >= mark, "a feed never goes back");
            }
            Effect::Stage { member, pages, size } => {
                let mark = |session: &WalletSession| session.members().get(&member).map(|it| it.feed.clone());
                assert!(mark(before) == mark(&self.session), "nothing staged is held");
                assert!(pages.last().is_some_and(|page| page.next_seq().0 < size), "the last is committed");
            }
            Effect::Credentials { member, credentials } => {
                let state = self.session.members().get(&member).expect("a member held");
                assert!(credentials.iter().map(|card| card.bytes()).eq(state.credentials.iter()));
                for card in &credentials {
                    let bound = card.claims().binding.is_some_and(|it| it.key == state.presentation_key);
                    assert!(bound, "a credential of this device");
                }
            }
            Effect::Wipe(member) => {
                assert!(
                    before.members().contains_key(&member) && !self.session.members().contains_key(&member)
                );
                self.stored.remove(&member);
            }
            Effect::Epoch { member, statement, feed } => {
                assert_eq!(feed.mark(), Some(&statement.claims().head()), "the statement is the mark");
                assert!(self.session.members().get(&member).is_some_and(|state| state.feed == *feed));
            }
            Effect::HandBack { member, statement } => {
                let held = before.members().get(&member).expect("a member held").feed.next_seq();
                assert!(held.0 > statement.claims().kept.size, "only what is more than was kept");
            }
            Effect::Granted(grant) => {
                let held = self.session.members().get(&grant.claims().dependant);
                assert!(held.is_some_and(|held| held.grant.as_deref() == Some(grant.bytes())));
                self.stored.entry(grant.claims().dependant).or_default();
            }
            Effect::Forgotten(member) => assert!(before.members().contains_key(&member)),
        }
    }

    /// What was stored is what the session holds, but for a member that is being read again.
    fn check_restart(&self) {
        for (member, state) in self.session.members() {
            let pages = self.stored.get(member).expect("a member held");
            if let Some(mark) = state.feed.mark().filter(|mark| mark.extent.size == state.feed.next_seq().0) {
                assert_eq!(FeedState::from_store(*mark, pages).as_ref(), Ok(&state.feed));
            }
        }
    }
}

/// A terminal, and what it has made durable.
struct Terminal {
    session: TerminalSession,
    lists: Vec<StatusList>,
    draft: ListDraft,
    partial: Option<PartialSnapshot>,
}

impl Terminal {
    fn new() -> Self {
        let trust = AUTHORITY.trust(&AUTHORITY.bundle(1, at(2026, 5, 1)));
        let draft = ListDraft::new(1, at(2026, 6, 1));
        let session = TerminalSession::new(trust, None, Marks::default(), None);
        Self { session, lists: vec![draft.list()], draft, partial: None }
    }

    fn run(mut self, input: &mut Input<'_>) {
        let mut steps = 0;
        while !input.is_empty() && steps < STEPS_MAX {
            steps += 1;
            let kind = input.byte() % 9;
            let reply = match kind {
                0..=3 => common(input, kind),
                4 => Some(self.piece(input)),
                5 => self.delta(input),
                6 => {
                    self.publish(input);
                    None
                }
                7 => {
                    self.session.request(Follow::Stay);
                    None
                }
                _ => {
                    self.restart();
                    None
                }
            };
            if let Some(reply) = reply {
                self.take(reply);
            }
        }
    }

    fn publish(&mut self, input: &mut Input<'_>) {
        for _ in 0..input.byte() % 32 {
            self.draft.sets.set_standing(StatusIndex(input.short().into()), CardStanding::Withdrawn);
        }
        self.draft.version.number += 1 + u64::from(input.byte() & 3);
        self.draft.time = self.draft.time.plus(1);
        self.lists.push(self.draft.list());
    }

    fn list(&self, input: &mut Input<'_>) -> &StatusList {
        self.lists.iter().rev().nth(input.below(self.lists.len())).expect("the first at least")
    }

    /// A piece of a snapshot: the one that is asked for, or any other.
    fn piece(&self, input: &mut Input<'_>) -> Reply {
        let list = self.list(input);
        let bytes = sign_list(&AUTHORITY.status_key, list);
        let how = input.byte();
        let asked = self.partial.as_ref().filter(|partial| partial.version == list.version());
        let asked = asked.map_or(0, |partial| partial.bytes.len());
        let offset = if how & 1 == 0 { asked } else { usize::from(input.byte()) };
        let length = if how & 2 == 0 { bytes.len() } else { usize::from(input.byte()) };
        let piece = bytes.get(offset..).unwrap_or_default();
        let total = if how & 4 == 0 { bytes.len() as u64 } else { input.number() };
        Reply::StatusSnapshot(SnapshotPiece {
            version: list.version(),
            offset: offset as u64,
            total,
            bytes: piece.get(..length).unwrap_or(piece).to_vec(),
        })
    }

    fn delta(&self, input: &mut Input<'_>) -> Option<Reply> {
        let (from, to) = (self.list(input), self.list(input));
        (from.version() < to.version()).then(|| Reply::StatusDelta(AUTHORITY.sign_delta(from, to)))
    }

    fn take(&mut self, reply: Reply) {
        let held = |session: &TerminalSession| {
            let status = session.status().map(HeldStatus::encode);
            (session.trust().bytes().to_vec(), status, session.marks().clone())
        };
        let before = self.session.clone();
        match self.session.handle(reply) {
            Err(_) => assert!(held(&self.session) == held(&before), "a refused reply changes nothing"),
            Ok(effects) => effects.into_iter().for_each(|effect| self.store(effect, &before)),
        }
        // What is in force is what a start from disk would find in force.
        if let Some(status) = self.session.status() {
            let trust = self.session.trust().claims();
            let read = HeldStatus::decode(&status.encode(), trust, self.session.marks());
            assert!(read.expect("a file of ours").0.list() == status.list());
        }
    }

    fn store(&mut self, effect: TerminalEffect, before: &TerminalSession) {
        let floor = |session: &TerminalSession| session.marks().floor(session.trust().claims());
        match effect {
            TerminalEffect::TakeTrust { trust, marks } => {
                assert!(trust.claims().version > before.trust().claims().version, "bundles go up");
                assert_eq!(&marks, self.session.marks());
            }
            TerminalEffect::DropStatus => assert!(self.session.status().is_none()),
            TerminalEffect::TakeStatus { status, marks } => {
                assert_eq!(marks.status(status.key_id()), Some(status.mark()));
                assert!(self.lists.iter().any(|list| list == status.list()), "a list that the server made");
                assert!(floor(&self.session) >= floor(before), "the floor never goes back");
                self.partial = None;
            }
            TerminalEffect::KeepPart(piece) => self.keep_part(piece),
        }
    }

    fn keep_part(&mut self, piece: SnapshotPiece) {
        let begun = PartialSnapshot { version: piece.version, total: piece.total, bytes: Vec::new() };
        let before = self.partial.take().filter(|_| piece.offset > 0);
        let mut part = before.unwrap_or_else(|| begun.clone());
        assert_eq!((part.version, part.total), (begun.version, begun.total), "pieces of one snapshot");
        assert_eq!(part.bytes.len() as u64, piece.offset, "one behind the other");
        part.bytes.extend(piece.bytes);
        assert!((part.bytes.len() as u64) < part.total && part.total <= STATUS_BYTES_MAX as u64);
        self.partial = Some(part);
    }

    fn restart(&mut self) {
        let old = &self.session;
        let (trust, status, marks) = (old.trust().clone(), old.status().cloned(), old.marks().clone());
        self.session = TerminalSession::new(trust, status, marks, self.partial.clone());
    }
}

/// Syncs as they should be, with lies in between, and any frame.
pub fn seeds() -> Vec<Vec<u8>> {
    let wallet = Script::new().raw(&[0, 8, 7, 0, 35, 4, 0, 0, 5, 0, 0, 2, 1, 2, 0, 7, 1, 3, 4, 1, 0]);
    let wallet = wallet.raw(&[2, 2, 5, 0, 4, 0, 16, 4, 0, 0, 9, 0, 4, 0, 0, 7, 0, 1, 4, 0, 2, 1, 0, 6, 1]);
    let terminal = Script::new().raw(&[1, 7, 4, 0, 0, 0, 6, 2, 1, 0, 2, 0, 1, 5, 1, 0, 0, 4, 0, 2, 90, 8]);
    let terminal = terminal.raw(&[4, 0, 0, 2, 2, 9, 1, 0, 6, 1, 3, 0, 0, 4, 0, 4]).number(1 << 20);
    let mut seeds = vec![wallet.done(), terminal.done()];
    for reply in [Reply::Done, Reply::Retired(MemberId([1; 16])), Reply::Trust(vec![1; 9])] {
        let bytes = codec::encode(&reply).expect("a frame of ours");
        seeds.extend([0, 1].map(|kind| Script::new().raw(&[kind, 3]).bytes(&bytes).done()));
    }
    seeds
}

const MEMBERS: [MemberId; 2] = [MemberId([1; 16]), MemberId([2; 16])];
/// Acts in one input.
const STEPS_MAX: usize = 48;
