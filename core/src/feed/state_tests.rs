//! A phone against a server that is honest, and against one that is not.

use super::*;
use crate::cose::{Signed, Unsigned};
use crate::feed::{EpochReason, hand_back};
use crate::keys::SecretKey;
use crate::record::{Body, PageSeed, Record, RecordKind};

const MEMBER: MemberId = MemberId([1; 16]);

/// The server's side of one feed.
#[derive(Clone)]
struct Ledger {
    pages: Vec<FeedPage>,
    frontier: Frontier,
    seed: u8,
    now: u64,
    epoch: u64,
}

impl Ledger {
    fn new(seed: u8, count: u64) -> Self {
        let mut ledger = Self { pages: Vec::new(), frontier: Frontier::new(), seed, now: 1_000, epoch: 1 };
        for _ in 0..count {
            ledger.append_new();
        }
        ledger
    }

    fn append_new(&mut self) {
        let seq = Seq(self.frontier.size());
        let body = Body::new(vec![0xa0, self.seed, self.epoch as u8]).unwrap();
        self.append(Record::first(seq, RecordKind::Visit, body, UnixSeconds(self.now)));
    }

    fn append(&mut self, record: Record) {
        self.now += 1;
        if self.pages.last().is_none_or(FeedPage::is_closed) {
            let seed = PageSeed([self.seed; 32]);
            self.pages.push(FeedPage::new(Seq(self.frontier.size()), seed));
        }
        self.pages.last_mut().unwrap().push(record).unwrap();
        let (seq, entry) = self.pages.last().unwrap().entries().last().unwrap();
        self.frontier.append(entry.leaf_hash(seq)).unwrap();
    }

    fn record(&self, at: u64) -> Record {
        let mut records = self.pages.iter().flat_map(FeedPage::records);
        records.find(|(seq, _)| *seq == Seq(at)).unwrap().1.clone()
    }

    fn since(&self, seq: Seq) -> Vec<FeedPage> {
        self.pages.iter().filter_map(|page| page.since(seq)).collect()
    }

    fn head(&self) -> FeedHead {
        let extent = Extent { epoch: Epoch(self.epoch), size: self.frontier.size() };
        FeedHead { member: MEMBER, extent, root: self.frontier.root(), time: UnixSeconds(self.now) }
    }
}

/// A server that keeps the first `kept` records of a feed, and its statement.
fn restored(ledger: &Ledger, kept: u64) -> (Ledger, Verified<EpochStatement>) {
    let mut ledger = ledger.clone();
    let records: Vec<Record> = (0..kept).map(|at| ledger.record(at)).collect();
    let (seed, now, before) = (ledger.seed, ledger.now + 100, ledger.epoch);
    ledger = Ledger { epoch: before + 10, ..Ledger::new(seed, 0) };
    records.into_iter().for_each(|record| ledger.append(record));
    ledger.now = now;
    let FeedHead { member, extent, root, time } = ledger.head();
    let reason = EpochReason::Restored;
    let statement = EpochStatement { member, before: Epoch(before), kept: extent, root, time, reason };
    let key = SecretKey::from_seed(&[9; 32]);
    let sealed = Unsigned::new(statement, key.public_key().key_id()).sign(&key);
    (ledger, Signed::decode(sealed.bytes()).unwrap().verify(&key.public_key()).unwrap())
}

/// Over the wire: signed, decoded and verified.
fn signed(head: FeedHead) -> Verified<FeedHead> {
    let key = SecretKey::from_seed(&[9; 32]);
    let sealed = Unsigned::new(head, key.public_key().key_id()).sign(&key);
    Signed::decode(sealed.bytes()).unwrap().verify(&key.public_key()).unwrap()
}

fn synced(ledger: &Ledger) -> FeedState {
    FeedState::new(MEMBER).extend(&ledger.pages, &signed(ledger.head())).unwrap()
}

fn refused(state: &FeedState, pages: &[FeedPage], head: FeedHead) -> FeedFault {
    state.extend(pages, &signed(head)).unwrap_err()
}

#[test]
fn first_sync_then_news_then_nothing_new() {
    let mut ledger = Ledger::new(1, 70);
    let phone = synced(&ledger);
    assert_eq!((phone.next_seq(), phone.mark()), (Seq(70), Some(&ledger.head())));

    for _ in 0..40 {
        ledger.append_new();
    }
    ledger.append(ledger.record(3).retracted(UnixSeconds(5)));
    let news = ledger.since(phone.next_seq());
    assert_eq!(news.first().unwrap().first_seq(), Seq(70));
    let phone = phone.extend(&news, &signed(ledger.head())).unwrap();
    assert_eq!(phone.frontier(), &ledger.frontier);
    assert_eq!(phone.chains().latest(Seq(3)).unwrap().seq, Seq(110));

    ledger.now += 100;
    let phone = phone.extend(&[], &signed(ledger.head())).unwrap();
    assert_eq!(phone.mark().unwrap().time, UnixSeconds(ledger.now));
    assert_eq!(FeedState::from_store(ledger.head(), &ledger.pages), Ok(phone));
}

#[test]
fn an_empty_feed_has_a_head_too() {
    let ledger = Ledger::new(1, 0);
    assert_eq!(synced(&ledger).next_seq(), Seq(0));
}

#[test]
fn pages_that_do_not_join_are_refused() {
    let ledger = Ledger::new(1, 70);
    let phone = FeedState::new(MEMBER);
    let [first, second, third] = &ledger.pages[..] else { panic!("three pages") };
    let head = ledger.head();
    let gap = FeedFault::Gap { expected: Seq(32), got: Seq(64) };
    assert_eq!(refused(&phone, &[first.clone(), third.clone()], head), gap);
    let again = FeedFault::Gap { expected: Seq(32), got: Seq(0) };
    assert_eq!(refused(&phone, &[first.clone(), first.clone()], head), again);
    let short = FeedFault::Short { wanted: 70, got: 64 };
    assert_eq!(refused(&phone, &[first.clone(), second.clone()], head), short);

    let mut longer = ledger.clone();
    longer.append_new();
    assert_eq!(refused(&phone, &longer.pages, head), FeedFault::TooLong { limit: 70, got: 71 });
    let mut beyond = head;
    beyond.extent.size = FEED_RECORDS_MAX + 1;
    let too_long = FeedFault::TooLong { limit: FEED_RECORDS_MAX, got: FEED_RECORDS_MAX + 1 };
    assert_eq!(refused(&phone, &[], beyond), too_long);
}

#[test]
fn a_server_restored_from_an_older_backup_is_a_rollback() {
    let older = Ledger::new(1, 8);
    let mut ledger = older.clone();
    ledger.append_new();
    let phone = synced(&ledger);
    let (have, got) = (ledger.head().extent, older.head().extent);
    assert_eq!(refused(&phone, &[], older.head()), FeedFault::Rollback { have, got });

    let mut earlier_epoch = ledger.head();
    earlier_epoch.extent = Extent { epoch: Epoch(0), size: 100 };
    let got = earlier_epoch.extent;
    assert_eq!(refused(&phone, &[], earlier_epoch), FeedFault::Rollback { have, got });
}

#[test]
fn two_roots_at_one_size_are_a_fork() {
    let (ledger, other) = (Ledger::new(1, 8), Ledger::new(2, 8));
    let phone = synced(&ledger);
    let (have, got) = (ledger.head(), other.head());
    let fork = FeedFault::Fork { extent: have.extent, have: have.root, got: got.root };
    assert_eq!(refused(&phone, &[], got), fork);
}

#[test]
fn a_fork_below_the_mark_shows_when_everything_is_read_again() {
    let mut other = Ledger::new(2, 8);
    let phone = synced(&Ledger::new(1, 8));
    let got = other.head().root;
    other.append_new();
    let news = other.since(phone.next_seq());
    let mismatch = refused(&phone, &news, other.head());
    assert!(matches!(mismatch, FeedFault::RootMismatch { .. }), "{mismatch:?}");

    let mark = *phone.mark().unwrap();
    let restarted = FeedState::from_mark(mark);
    assert_eq!(restarted.next_seq(), Seq(0));
    let fork = FeedFault::Fork { extent: mark.extent, have: mark.root, got };
    assert_eq!(refused(&restarted, &other.pages, other.head()), fork);
}

#[test]
fn a_lost_cache_is_read_again_and_the_mark_still_counts() {
    let mut ledger = Ledger::new(1, 8);
    let older = ledger.clone();
    ledger.append_new();
    let restarted = FeedState::from_mark(ledger.head());
    let rollback = FeedFault::Rollback { have: ledger.head().extent, got: older.head().extent };
    assert_eq!(refused(&restarted, &older.pages, older.head()), rollback);
    assert_eq!(restarted.extend(&ledger.pages, &signed(ledger.head())), Ok(synced(&ledger)));
}

#[test]
fn a_changed_record_does_not_have_the_signed_root() {
    let ledger = Ledger::new(1, 40);
    let phone = FeedState::new(MEMBER);
    let change = |at: usize, change: fn(&mut Record)| {
        let mut page = FeedPage::new(Seq(0), PageSeed([1; 32]));
        for (seq, record) in ledger.pages[0].records() {
            let mut record = record.clone();
            if seq == Seq(at as u64) {
                change(&mut record);
            }
            page.push(record).unwrap();
        }
        let fault = refused(&phone, &[page, ledger.pages[1].clone()], ledger.head());
        assert!(matches!(fault, FeedFault::RootMismatch { .. }), "{fault:?}");
    };
    for at in [0, 17, 31] {
        change(at, |record| record.kind = RecordKind::Notice);
        change(at, |record| record.time = UnixSeconds(1));
        change(at, |record| record.content = Ledger::new(2, 1).record(0).content);
    }
}

#[test]
fn erased_records_leave_the_root_as_it_was_signed() {
    let mut ledger = Ledger::new(1, 40);
    let corrected = ledger.record(2).corrected(Body::new(vec![0xa1]).unwrap(), UnixSeconds(7));
    ledger.append(corrected);
    ledger.pages[0].erase(Seq(2)).unwrap();
    assert_eq!(synced(&ledger).frontier(), &ledger.frontier);
}

#[test]
fn other_members_epochs_and_earlier_heads_are_refused() {
    let ledger = Ledger::new(1, 8);
    let (phone, head) = (synced(&ledger), ledger.head());
    let other = FeedHead { member: MemberId([2; 16]), ..head };
    let wrong = FeedFault::WrongMember { expected: MEMBER, got: other.member };
    assert_eq!(refused(&phone, &[], other), wrong);

    let mut next_epoch = head;
    next_epoch.extent.epoch = Epoch(2);
    let changed = FeedFault::EpochChanged { have: Epoch(1), got: Epoch(2) };
    assert_eq!(refused(&phone, &[], next_epoch), changed);

    let earlier = FeedHead { time: UnixSeconds(head.time.0 - 1), ..head };
    let back = FeedFault::TimeWentBack { have: head.time, got: earlier.time };
    assert_eq!(refused(&phone, &[], earlier), back);
}

#[test]
fn revisions_of_nothing_are_refused_though_signed() {
    let mut ledger = Ledger::new(1, 2);
    let phone = synced(&ledger);
    let foreign = Record { first_seq: Seq(9), ..ledger.record(0).retracted(UnixSeconds(3)) };
    ledger.append(foreign);
    let fault = ChainFault::UnknownRecord { seq: Seq(2), first_seq: Seq(9) };
    let news = ledger.since(phone.next_seq());
    assert_eq!(refused(&phone, &news, ledger.head()), FeedFault::Chain(fault));
}

#[test]
fn with_its_statement_a_new_epoch_is_followed_from_whatever_was_held() {
    let before = Ledger::new(1, 70);
    let phones = [0, 1, 40, 50, 60, 70].map(|size| {
        let earlier = Ledger::new(1, size);
        if size == 0 { FeedState::new(MEMBER) } else { synced(&earlier) }
    });
    let (mut server, statement) = restored(&before, 50);
    server.append_new();
    for phone in phones {
        let held = phone.next_seq().0;
        let plain = phone.extend(&server.since(phone.next_seq()), &signed(server.head()));
        assert_eq!(plain.is_err(), held > 0, "{held} held, without the statement");
        let next = phone.enter_epoch(&before.since(Seq(0)), &statement).unwrap();
        assert_eq!(next.next_seq().0, if held > 50 { 0 } else { held });
        let followed = next.extend(&server.since(next.next_seq()), &signed(server.head())).unwrap();
        assert_eq!(followed.mark(), Some(&server.head()));
        assert_eq!(
            followed.enter_epoch([], &statement).unwrap_err(),
            FeedFault::EpochOrder { have: Epoch(11), before: Epoch(1), next: Epoch(11) }
        );
    }
}

#[test]
fn a_statement_over_another_beginning_is_a_fork_at_once_or_where_it_shows() {
    let ledger = Ledger::new(1, 70);
    let (other, statement) = restored(&Ledger::new(2, 70), 50);
    let is_fork = |result: Result<FeedState, FeedFault>| matches!(result, Err(FeedFault::Fork { .. }));
    let phone = synced(&ledger);
    assert!(is_fork(phone.enter_epoch(&ledger.pages, &statement)), "longer than what was kept");
    let level = synced(&Ledger::new(1, 50));
    assert!(is_fork(level.enter_epoch([], &statement)), "as long");
    let shorter = synced(&Ledger::new(1, 40)).enter_epoch([], &statement).unwrap();
    let read = shorter.extend(&other.since(Seq(40)), &signed(other.head()));
    assert!(
        matches!(read, Err(FeedFault::RootMismatch { .. })),
        "shorter: the records do not join, {read:?}"
    );
    let read = shorter.reread().extend(&other.pages, &signed(other.head()));
    assert!(is_fork(read), "and are another past when all are read again");
    // A phone that lost its records still knows the root it saw.
    let lost = FeedState::from_mark(*synced(&Ledger::new(1, 40)).mark().unwrap());
    let lost = lost.enter_epoch([], &statement).unwrap();
    assert!(is_fork(lost.extend(&other.pages, &signed(other.head()))));
    assert!(is_fork(lost.reread().extend(&other.pages, &signed(other.head()))));
}

#[test]
fn after_two_restores_of_one_backup_a_phone_follows_the_second_and_older_ones_follow_both() {
    let before = Ledger::new(1, 70);
    let (mut first, to_first) = restored(&before, 50);
    first.append_new();
    let phone = synced(&Ledger::new(1, 50)).enter_epoch([], &to_first).unwrap();
    let phone = phone.extend(&first.since(Seq(50)), &signed(first.head())).unwrap();
    // The same backup again: the server has never heard of epoch 11.
    let mut statement = *to_first.claims();
    statement.kept.epoch = Epoch(12);
    let key = SecretKey::from_seed(&[9; 32]);
    let sealed = Unsigned::new(statement, key.public_key().key_id()).sign(&key);
    let sealed = Signed::decode(sealed.bytes()).unwrap().verify(&key.public_key()).unwrap();
    let next = phone.enter_epoch(&first.since(Seq(0)), &sealed).unwrap();
    assert_eq!(next.mark().unwrap().extent, statement.kept);
    // A backup of the first restore: whoever is still in epoch 1 takes both statements in turn.
    let (second, to_second) = restored(&first, 51);
    let old = synced(&before);
    let late = old.enter_epoch(&before.pages, &to_second).unwrap_err();
    assert!(matches!(late, FeedFault::EpochOrder { .. }), "{late}");
    let old = old.enter_epoch(&before.pages, &to_first).unwrap().enter_epoch([], &to_second).unwrap();
    assert!(old.extend(&second.pages, &signed(second.head())).is_ok());
}

#[test]
fn a_record_handed_back_proves_its_place_and_nothing_else() {
    let ledger = Ledger::new(1, 70);
    let head = signed(ledger.head());
    let handed = hand_back(&ledger.pages, Seq(45));
    assert_eq!(handed.len(), 25);
    for record in &handed {
        record.verify(&head).unwrap();
        let mut moved = record.clone();
        moved.seq = Seq(record.seq.0 - 1);
        assert!(moved.verify(&head).is_err());
        let mut other = record.clone();
        other.record.time = UnixSeconds(1);
        assert!(other.verify(&head).is_err());
        let mut long = record.clone();
        long.path.resize(21, TreeHash([0; 32]));
        assert!(long.verify(&head).is_err());
        assert!(record.verify(&signed(Ledger::new(2, 70).head())).is_err());
    }
}
