//! A phone's sync, frame by frame, against a server that is honest, one that is confused and one that lies. A session
//! finishes what it staged or applies nothing.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::card::CardClaims;
use bhyt_core::cose::Unsigned;
use bhyt_core::feed::{BlockWindow, Epoch, Extent, FeedFault, FeedHead, FeedPage, FeedState};
use bhyt_core::ids::{MemberId, StatusIndex};
use bhyt_core::keys::SecretKey;
use bhyt_core::limits::BINDINGS_MAX;
use bhyt_core::merkle::Frontier;
use bhyt_core::record::{Body, PageSeed, Record, RecordKind, Seq};
use bhyt_core::sync::messages::{FeedPlace, FeedReply, Follow, MemberCursor, Refusal, Reply, Request};
use bhyt_core::sync::wallet::{Effect, MemberState, SyncFault, WalletSession};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{IndexRange, TrustError};
use bhyt_tests::authority::{Authority, Phone, at, day, example_card};

const MEMBER: MemberId = MemberId([1; 16]);
const OTHER: MemberId = MemberId([2; 16]);

/// The server's side of one feed: its records, and heads that are signed or forged.
#[derive(Clone)]
struct Ledger {
    pages: Vec<FeedPage>,
    frontier: Frontier,
    now: UnixSeconds,
}

impl Ledger {
    /// `count` records that say `byte`.
    fn new(count: u64, byte: u8) -> Self {
        let mut ledger = Self { pages: Vec::new(), frontier: Frontier::new(), now: at(2026, 6, 1) };
        (0..count).for_each(|_| ledger.append(byte));
        ledger
    }

    fn append(&mut self, byte: u8) {
        let seq = Seq(self.frontier.size());
        if self.pages.last().is_none_or(FeedPage::is_closed) {
            self.pages.push(FeedPage::new(seq, PageSeed([5; 32])));
        }
        let page = self.pages.last_mut().unwrap();
        let body = Body::new(vec![byte]).unwrap();
        page.push(Record::first(seq, RecordKind::Visit, body, self.now)).unwrap();
        let (seq, entry) = page.entries().last().unwrap();
        self.frontier.append(entry.leaf_hash(seq)).unwrap();
        self.now = self.now.plus(1);
    }

    fn head(&self) -> FeedHead {
        let extent = Extent { epoch: Epoch(1), size: self.frontier.size() };
        FeedHead { member: MEMBER, extent, root: self.frontier.root(), time: self.now }
    }

    fn since(&self, size: u64) -> Vec<FeedPage> {
        self.pages.iter().filter_map(|page| page.since(Seq(size))).collect()
    }
}

fn sign(head: FeedHead, key: &SecretKey) -> Vec<u8> {
    Unsigned::new(head, key.public_key().key_id()).sign(key).bytes().to_vec()
}

/// One frame of a feed.
fn feed(pages: Vec<FeedPage>, head: Option<Vec<u8>>) -> Reply {
    Reply::Feed(FeedReply { member: MEMBER, pages, head })
}

/// A phone that holds one member.
struct Wallet {
    authority: Authority,
    session: WalletSession,
}

impl Wallet {
    /// Nothing read yet.
    fn new() -> Self {
        let authority = Authority::new(7);
        let trust = authority.trust(&authority.bundle(1, at(2026, 5, 1)));
        let state = MemberState {
            feed: FeedState::new(MEMBER),
            staged: Vec::new(),
            credentials: Vec::new(),
            presentation_key: Phone::new(8).binding(day(2026, 11, 1)).key,
            grant: None,
            personal: None,
        };
        let mut session = WalletSession::new(trust, [(MEMBER, state)].into());
        session.request(Follow::Once);
        Self { authority, session }
    }

    /// All of a ledger read.
    fn with(ledger: &Ledger) -> Self {
        let mut wallet = Self::new();
        let head = wallet.sign(ledger.head());
        wallet.session.handle(feed(ledger.since(0), Some(head))).unwrap();
        wallet
    }

    fn sign(&self, head: FeedHead) -> Vec<u8> {
        sign(head, &self.authority.head_key)
    }

    fn size(&self) -> u64 {
        self.session.members()[&MEMBER].feed.next_seq().0
    }

    fn cursor(&mut self) -> MemberCursor {
        self.place().cursor
    }

    /// A frame that cannot be used: the fault, and nothing changed.
    fn refuses(&mut self, reply: Reply, expected: SyncFault) {
        let before = (self.session.members()[&MEMBER].clone(), self.session.trust().bytes().to_vec());
        assert_eq!(self.session.handle(reply).unwrap_err(), expected);
        let after = &self.session.members()[&MEMBER];
        assert_eq!((&after.feed, &after.credentials), (&before.0.feed, &before.0.credentials));
        assert_eq!(self.session.trust().bytes(), before.1);
    }

    fn refuses_feed(&mut self, pages: Vec<FeedPage>, head: FeedHead, fault: FeedFault) {
        let head = self.sign(head);
        self.refuses(feed(pages, Some(head.clone())), SyncFault::Feed { member: MEMBER, fault });
        assert_eq!(self.session.disputed().map(|head| head.bytes()), Some(&head[..]));
    }
}

/// Pages and size of the one commit among effects.
fn committed(effects: &[Effect]) -> (u64, usize) {
    match effects {
        [Effect::Commit(update)] => (update.feed.next_seq().0, update.pages.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_come_in_pieces_and_are_committed_with_their_head() {
    let (mut wallet, mut ledger) = (Wallet::new(), Ledger::new(70, 1));
    let [first, second, third] = <[FeedPage; 3]>::try_from(ledger.since(0)).unwrap();
    for page in [first, second] {
        assert!(wallet.session.handle(feed(vec![page], None)).unwrap().is_empty());
    }
    assert_eq!(wallet.size(), 0);
    let head = wallet.sign(ledger.head());
    let effects = wallet.session.handle(feed(vec![third], Some(head))).unwrap();
    assert_eq!(committed(&effects), (70, 3));
    assert!(wallet.session.handle(Reply::Done).unwrap().is_empty());
    assert_eq!(wallet.session.outcome(), Some(Ok(())));

    // News, and then a head that only says that nothing is new.
    ledger.append(2);
    for (pages, expected) in [(ledger.since(70), (71, 1)), (Vec::new(), (71, 0))] {
        let head = wallet.sign(ledger.head());
        let effects = wallet.session.handle(feed(pages, Some(head))).unwrap();
        assert_eq!(committed(&effects), expected);
    }
    assert_eq!(wallet.cursor().extent, Extent { epoch: Epoch(1), size: 71 });
    assert_eq!(wallet.session.outcome(), None);
}

#[test]
fn pages_without_a_head_are_nothing() {
    let ledger = Ledger::new(40, 1);
    let pages = ledger.since(0);
    let mut wallet = Wallet::new();
    wallet.session.handle(feed(pages.clone(), None)).unwrap();
    wallet.refuses(Reply::Done, SyncFault::NoHead);
    // They are not kept for a later head either.
    let short = FeedFault::Short { wanted: 40, got: 0 };
    wallet.refuses_feed(Vec::new(), ledger.head(), short);

    for ending in
        [Reply::Refused(Refusal::Internal), Reply::Refused(Refusal::Busy { retry_after_seconds: 9 })]
    {
        let mut wallet = Wallet::new();
        wallet.session.handle(feed(pages.clone(), None)).unwrap();
        wallet.session.handle(ending).unwrap();
        assert!(wallet.session.outcome().unwrap().is_err());
        wallet.refuses_feed(Vec::new(), ledger.head(), short);
    }
    let mut wallet = Wallet::new();
    wallet.session.handle(feed(pages, None)).unwrap();
    wallet.session.request(Follow::Once);
    wallet.refuses_feed(Vec::new(), ledger.head(), short);
}

#[test]
fn a_head_is_signed_by_a_head_key_of_the_bundle_in_its_time() {
    let ledger = Ledger::new(3, 1);
    let check = |key: &SecretKey| {
        let mut wallet = Wallet::new();
        wallet.refuses(feed(ledger.since(0), Some(sign(ledger.head(), key))), SyncFault::BadHead);
        assert!(wallet.session.disputed().is_none());
        // The pages that came with it are gone with it.
        let short = FeedFault::Short { wanted: 3, got: 0 };
        wallet.refuses_feed(Vec::new(), ledger.head(), short);
    };
    let authority = Authority::new(7);
    check(&authority.card_key);
    check(&authority.status_key);
    check(&authority.roots[0]);
    check(&SecretKey::from_seed(&[99; 32]));
    let mut wallet = Wallet::new();
    for bytes in [Vec::new(), vec![0; 500], authority.sign_card(example_card())] {
        wallet.refuses(feed(Vec::new(), Some(bytes)), SyncFault::BadHead);
    }

    let head = ledger.head();
    for (signs_until, verify_until, good) in [
        (Some(head.time.plus(1)), None, true),
        (Some(head.time), None, false),
        (None, Some(at(2026, 6, 2).plus(1)), true),
        (None, Some(at(2026, 6, 2)), false),
    ] {
        let mut bundle = authority.bundle(2, at(2026, 6, 2));
        (bundle.keys[2].signs_until, bundle.keys[2].verify_until) = (signs_until, verify_until);
        let mut wallet = Wallet::new();
        wallet.session.handle(Reply::Trust(authority.sign_bundle(&bundle))).unwrap();
        let head = wallet.sign(head);
        let taken = wallet.session.handle(feed(ledger.since(0), Some(head)));
        assert_eq!(taken.is_ok(), good, "{signs_until:?} {verify_until:?}");
    }
}

#[test]
fn a_feed_never_goes_back_and_the_disputed_head_is_kept() {
    let ledger = Ledger::new(40, 1);
    let mark = ledger.head();
    let check = |pages: Vec<FeedPage>, head: FeedHead, fault: FeedFault| {
        Wallet::with(&ledger).refuses_feed(pages, head, fault);
    };
    let got = Extent { size: 39, ..mark.extent };
    check(Vec::new(), Ledger::new(39, 1).head(), FeedFault::Rollback { have: mark.extent, got });
    let other = Ledger::new(40, 2).head();
    check(Vec::new(), other, FeedFault::Fork { extent: mark.extent, have: mark.root, got: other.root });
    let earlier = UnixSeconds(mark.time.0 - 1);
    let time_went_back = FeedFault::TimeWentBack { have: mark.time, got: earlier };
    check(Vec::new(), FeedHead { time: earlier, ..mark }, time_went_back);
    let foreign = FeedHead { member: OTHER, ..mark };
    check(Vec::new(), foreign, FeedFault::WrongMember { expected: MEMBER, got: OTHER });
    let gap = FeedFault::Gap { expected: Seq(40), got: Seq(0) };
    check(ledger.since(0), Ledger::new(41, 1).head(), gap);
}

#[test]
fn a_member_that_this_phone_does_not_hold_is_refused() {
    let mut wallet = Wallet::new();
    let reply = FeedReply { member: OTHER, pages: Vec::new(), head: None };
    wallet.refuses(Reply::Feed(reply), SyncFault::UnknownMember);
    let credentials = Reply::Credentials { member: OTHER, credentials: Vec::new() };
    wallet.refuses(credentials, SyncFault::UnknownMember);
    assert!(wallet.session.handle(Reply::Retired(OTHER)).unwrap().is_empty());
}

#[test]
fn a_retired_member_is_wiped_once() {
    let mut wallet = Wallet::with(&Ledger::new(3, 1));
    wallet.session.handle(feed(Ledger::new(4, 1).since(3), None)).unwrap();
    let effects = wallet.session.handle(Reply::Retired(MEMBER)).unwrap();
    assert!(matches!(effects[..], [Effect::Wipe(MEMBER)]));
    assert!(wallet.session.handle(Reply::Retired(MEMBER)).unwrap().is_empty());
    assert!(wallet.session.members().is_empty());
    // Its staged pages went with it, so the exchange ends well.
    assert!(wallet.session.handle(Reply::Done).unwrap().is_empty());
}

#[test]
fn credentials_are_this_devices_and_signed_or_none_is_taken() {
    let authority = Authority::new(7);
    let ours = CardClaims { binding: Some(Phone::new(8).binding(day(2026, 11, 1))), ..example_card() };
    let good = authority.sign_card(ours.clone());
    let reply = |credentials: Vec<Vec<u8>>| Reply::Credentials { member: MEMBER, credentials };
    let mut wallet = Wallet::new();
    let effects = wallet.session.handle(reply(vec![good.clone()])).unwrap();
    assert!(matches!(&effects[..], [Effect::Credentials { credentials, .. }] if credentials.len() == 1));
    let before = wallet.cursor().state;

    let mut changed = good.clone();
    changed[100] ^= 1;
    let forger = Authority { card_key: authority.status_key.clone(), ..Authority::new(7) };
    let stranger = Authority { card_key: SecretKey::from_seed(&[99; 32]), ..Authority::new(7) };
    let foreign = CardClaims { binding: Some(Phone::new(9).binding(day(2026, 11, 1))), ..ours.clone() };
    for bad in [
        changed,
        Vec::new(),
        authority.sign_card(example_card()),
        authority.sign_card(foreign),
        forger.sign_card(ours.clone()),
        stranger.sign_card(ours.clone()),
    ] {
        wallet.refuses(reply(vec![good.clone(), bad]), SyncFault::BadCredential);
    }
    wallet.refuses(reply(vec![good; BINDINGS_MAX + 1]), SyncFault::TooMuch);
    assert_eq!(wallet.cursor().state, before);
    // The key's range and window, as at the counter.
    let mut bundle = authority.bundle(2, at(2026, 6, 2));
    bundle.keys[0].ranges = vec![IndexRange { first: 70_000, count: 1 }];
    bundle.keys[0].signs_until = Some(at(2025, 12, 20).plus(1));
    wallet.session.handle(Reply::Trust(authority.sign_bundle(&bundle))).unwrap();
    let elsewhere = CardClaims { status_index: StatusIndex(70_001), ..ours.clone() };
    let later = CardClaims { issued_at: at(2025, 12, 20).plus(1), ..ours };
    for bad in [elsewhere, later] {
        wallet.refuses(reply(vec![authority.sign_card(bad)]), SyncFault::BadCredential);
    }
    // Those in hand that are not among the new ones are dropped.
    wallet.session.handle(reply(Vec::new())).unwrap();
    assert!(wallet.session.members()[&MEMBER].credentials.is_empty());
    assert_ne!(wallet.cursor().state, before);
}

#[test]
fn a_new_bundle_counts_from_the_next_frame_on() {
    let (mut wallet, ledger) = (Wallet::new(), Ledger::new(3, 1));
    let new_key = SecretKey::from_seed(&[60; 32]);
    let mut bundle = wallet.authority.bundle(2, at(2026, 6, 1));
    bundle.keys[2].key = new_key.public_key();
    let bytes = wallet.authority.sign_bundle(&bundle);
    let effects = wallet.session.handle(Reply::Trust(bytes.clone())).unwrap();
    assert!(matches!(&effects[..], [Effect::TakeTrust(trust)] if trust.claims().version == 2));
    assert!(wallet.session.handle(Reply::Trust(bytes)).unwrap().is_empty());
    let old = wallet.sign(ledger.head());
    wallet.refuses(feed(ledger.since(0), Some(old)), SyncFault::BadHead);
    let new = sign(ledger.head(), &new_key);
    let effects = wallet.session.handle(feed(ledger.since(0), Some(new))).unwrap();
    assert_eq!(committed(&effects), (3, 1));
    let older = wallet.authority.sign_bundle(&wallet.authority.bundle(1, at(2026, 6, 1)));
    wallet.refuses(Reply::Trust(older), SyncFault::Trust(TrustError::Rollback { held: 2, got: 1 }));
}

#[test]
fn frames_of_other_exchanges_have_no_place() {
    let mut wallet = Wallet::new();
    wallet.refuses(Reply::Activated(MEMBER), SyncFault::Unexpected);
    wallet.refuses(Reply::StatusDelta(vec![1]), SyncFault::Unexpected);
}

/// The records here are damaged, or the server's: all of them are read again, through the head last verified.
#[test]
fn records_that_do_not_lead_to_the_head_are_read_again_from_the_beginning() {
    let honest = Ledger::new(40, 1);
    let mut wallet = Wallet::with(&honest);
    let mark = honest.head();
    let (mut longer, mut damaged) = (honest.clone(), honest);
    longer.append(1);
    damaged.append(2);
    let mismatch = FeedFault::RootMismatch {
        extent: longer.head().extent,
        signed: longer.head().root,
        computed: damaged.head().root,
    };
    wallet.refuses_feed(damaged.since(40), longer.head(), mismatch);

    wallet.session.restart(MEMBER);
    wallet.session.restart(OTHER);
    assert_eq!(wallet.cursor().extent, Extent { size: 0, ..mark.extent });
    // Another history, however well signed, does not lead through the mark.
    let mut forked = Ledger::new(41, 3);
    forked.now = longer.now;
    let at_mark = Ledger::new(40, 3).head();
    let fork = FeedFault::Fork { extent: mark.extent, have: mark.root, got: at_mark.root };
    wallet.refuses_feed(forked.since(0), forked.head(), fork);
    // The mark still holds against an older head.
    let rollback = FeedFault::Rollback { have: mark.extent, got: Ledger::new(39, 1).head().extent };
    wallet.refuses_feed(Ledger::new(39, 1).since(0), Ledger::new(39, 1).head(), rollback);

    let head = wallet.sign(longer.head());
    let effects = wallet.session.handle(feed(longer.since(0), Some(head))).unwrap();
    assert_eq!(committed(&effects), (41, 2));
    assert!(matches!(&effects[..], [Effect::Commit(update)] if update.pages[0].first_seq() == Seq(0)));

    // A member never read begins anew.
    let mut fresh = Wallet::new();
    fresh.session.restart(MEMBER);
    assert_eq!(fresh.cursor().extent, Extent { epoch: Epoch(0), size: 0 });
}

/// A head and the blocks to it, one a page, from a place on.
fn blocks(wallet: &Wallet, ledger: &Ledger, from: u64) -> Vec<Reply> {
    let mut window = BlockWindow::default();
    let block = |page: FeedPage| Reply::FeedBlock { member: MEMBER, block: window.make_block(&[page]).0 };
    let head = Reply::FeedHead { member: MEMBER, head: wallet.sign(ledger.head()) };
    [head].into_iter().chain(ledger.since(from).into_iter().map(block)).collect()
}

impl Wallet {
    /// A phone that staged these pages before the line broke.
    fn resumed(staged: Vec<FeedPage>) -> Self {
        let mut wallet = Self::new();
        let members = wallet.session.members().clone().into_iter();
        let members =
            members.map(|(member, state)| (member, MemberState { staged: staged.clone(), ..state }));
        wallet.session = WalletSession::new(wallet.session.trust().clone(), members.collect());
        wallet
    }

    fn place(&mut self) -> FeedPlace {
        match self.session.request(Follow::Once) {
            Request::SyncFeeds(sync) => sync.members.first().unwrap().clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Takes replies; the pages staged, and the pages committed in the end.
    fn take(&mut self, replies: Vec<Reply>) -> (Vec<FeedPage>, Option<Vec<FeedPage>>) {
        let (mut staged, mut committed) = (Vec::new(), None);
        for effect in replies.into_iter().flat_map(|reply| self.session.handle(reply).unwrap()) {
            match effect {
                Effect::Stage { member: MEMBER, pages, size: 200 } => staged.extend(pages),
                Effect::Commit(update) => committed = Some(update.pages),
                other => panic!("{other:?}"),
            }
        }
        (staged, committed)
    }
}

#[test]
fn blocks_follow_their_head_and_the_last_commits_all_of_them() {
    let (mut wallet, ledger) = (Wallet::new(), Ledger::new(200, 1));
    let replies = blocks(&wallet, &ledger, 0);
    let (staged, committed) = wallet.take(replies);
    assert_eq!((staged, committed), (ledger.since(0)[..6].to_vec(), Some(ledger.since(0))));
    assert_eq!((wallet.size(), wallet.session.awaited()), (200, 0));
    // Nothing new: the head alone.
    let later = Ledger { now: ledger.now.plus(60), ..ledger };
    let (staged, committed) = wallet.take(blocks(&wallet, &later, 200));
    assert_eq!((staged.len(), committed), (0, Some(Vec::new())));
}

#[test]
fn an_answer_cut_after_any_frame_goes_on_where_it_ended() {
    let ledger = Ledger::new(200, 1);
    for cut in 0..7 {
        let mut wallet = Wallet::new();
        let first = blocks(&wallet, &ledger, 0);
        let (staged, committed) = wallet.take(first[..=cut].to_vec());
        assert_eq!((staged.len(), committed), (cut, None));
        assert_eq!((wallet.place().staged, wallet.size()), (32 * cut as u64, 0));
        // In the same session, and in one that begins with what was kept.
        for mut wallet in [
            Wallet { authority: Authority::new(7), session: wallet.session.clone() },
            Wallet::resumed(staged),
        ] {
            let staged = wallet.place().staged;
            let rest = blocks(&wallet, &ledger, staged);
            assert_eq!(rest.len(), 1 + 7 - cut);
            assert_eq!(wallet.take(rest).1, Some(ledger.since(0)));
            assert_eq!(wallet.place().staged, 0);
        }
    }
}

#[test]
fn staged_pages_that_the_server_does_not_count_on_are_forgotten() {
    let ledger = Ledger::new(200, 1);
    let other = Ledger::new(64, 9);
    // It begins where the phone is verified, or its feed is shorter than what is staged.
    for staged in [other.since(0), Ledger::new(250, 9).since(0)] {
        let mut wallet = Wallet::resumed(staged);
        let all = blocks(&wallet, &ledger, 0);
        assert_eq!(wallet.take(all).1, Some(ledger.since(0)));
    }
    // It counts on them, and they are of another feed: nothing is applied, and nothing of them is left.
    let mut wallet = Wallet::resumed(other.since(0));
    let mut rest = blocks(&wallet, &ledger, 64);
    let last = rest.pop().unwrap();
    rest.into_iter().for_each(|reply| drop(wallet.session.handle(reply).unwrap()));
    let fault = wallet.session.handle(last).unwrap_err();
    assert!(matches!(fault, SyncFault::Feed { fault: FeedFault::RootMismatch { .. }, .. }), "{fault:?}");
    assert_eq!((wallet.place().staged, wallet.size()), (0, 0));
}

#[test]
fn blocks_out_of_their_place_are_refused() {
    let ledger = Ledger::new(200, 1);
    let frames = blocks(&Wallet::new(), &ledger, 0);
    let head = || frames[0].clone();
    let gap = |expected, got| {
        let fault = FeedFault::Gap { expected: Seq(expected), got: Seq(got) };
        SyncFault::Feed { member: MEMBER, fault }
    };
    Wallet::new().refuses(frames[1].clone(), SyncFault::NoHead);
    let mut wallet = Wallet::new();
    wallet.take(vec![head()]);
    wallet.refuses(blocks(&Wallet::new(), &ledger, 32)[1].clone(), gap(0, 32));
    let mut wallet = Wallet::new();
    wallet.take(vec![head(), frames[1].clone()]);
    wallet.refuses(frames[1].clone(), gap(32, 0));
    wallet.refuses(Reply::Done, SyncFault::NoHead);
    // More than the head signs.
    let mut long = blocks(&wallet, &Ledger::new(210, 1), 0);
    long[0] = head();
    let last = long.pop().unwrap();
    wallet.take(long);
    let fault = wallet.session.handle(last).unwrap_err();
    assert!(matches!(fault, SyncFault::Feed { fault: FeedFault::TooLong { limit: 200, got: 210 }, .. }));
}
