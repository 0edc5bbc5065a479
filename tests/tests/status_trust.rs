//! Which status lists a terminal takes, from whom, in which order; what a stolen status key can do and how it is undone;
//! and that a list read from the terminal's own disk is believed no more than one from the line.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::CardStanding;
use bhyt_core::held_status::{HeldStatus, StatusFault};
use bhyt_core::ids::StatusIndex;
use bhyt_core::keys::SecretKey;
use bhyt_core::limits::STATUS_DELTAS_MAX;
use bhyt_core::marks::StatusRefusal;
use bhyt_core::presentation::Presentation;
use bhyt_core::status::list::StatusError;
use bhyt_core::status::reason::SetNumber;
use bhyt_core::status::set::SetError;
use bhyt_core::status::{StatusList, StatusVersion};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{IndexRange, KeyUse, TrustBundle};
use bhyt_tests::authority::{Authority, DAY, ListDraft, at, example_card, sign_list, trusted};
use bhyt_tests::desk::Desk;

/// A terminal at noon of 1 June 2026, with a bundle of 2 May and list 10 of that noon.
struct Terminal {
    authority: Authority,
    desk: Desk,
}

impl Terminal {
    fn new() -> Self {
        let authority = Authority::new(7);
        let desk = Desk::with_list(&authority, &ListDraft::new(10, NOON), NOON);
        Self { authority, desk }
    }

    fn sign(&self, list: &ListDraft) -> Vec<u8> {
        self.authority.sign_list(&list.list())
    }

    /// Offers bytes; what is in force stays when they are refused.
    fn check(&mut self, bytes: &[u8], expected: Result<(), StatusFault>) {
        let (before, marks) = (self.desk.status.clone(), self.desk.marks.clone());
        assert_eq!(self.desk.take_list(bytes), expected);
        if expected.is_err() {
            assert_eq!(self.desk.marks, marks);
            let bytes = |status: &Option<HeldStatus>| status.as_ref().map(HeldStatus::encode);
            assert_eq!(bytes(&self.desk.status), bytes(&before));
        }
    }

    fn take_trust(&mut self, bundle: &TrustBundle) {
        self.desk.trust = self.authority.trust(bundle);
        self.desk.marks = std::mem::take(&mut self.desk.marks).under(bundle);
    }

    fn next_bundle(&self) -> TrustBundle {
        self.authority.bundle(2, NOON.plus(1))
    }

    /// What is in force after a restart.
    fn reload(&self) -> Result<StatusVersion, StatusFault> {
        let file = self.desk.status.as_ref().unwrap().encode();
        let (status, marks) = HeldStatus::decode(&file, self.desk.trust.claims(), &self.desk.marks)?;
        assert_eq!(marks, self.desk.marks.clone().under(self.desk.trust.claims()));
        Ok(status.list().version())
    }

    fn answer(&self, claims: CardClaims) -> String {
        self.desk.answer(&Presentation::new(self.authority.sign_card(claims), None))
    }
}

fn draft(epoch: u32, number: u64, time: UnixSeconds) -> ListDraft {
    ListDraft { version: StatusVersion { epoch, number }, ..ListDraft::new(1, time) }
}

fn version(epoch: u32, number: u64) -> StatusVersion {
    StatusVersion { epoch, number }
}

fn refused(refusal: StatusRefusal) -> Result<(), StatusFault> {
    Err(StatusFault::Refused(refusal))
}

#[test]
fn versions_and_times_go_up() {
    let check = |list: ListDraft, expected: Result<(), StatusFault>| {
        let mut terminal = Terminal::new();
        let bytes = terminal.sign(&list);
        terminal.check(&bytes, expected);
    };
    let rollback = |got| refused(StatusRefusal::Rollback { held: version(1, 10), got });
    check(draft(1, 11, NOON), Ok(()));
    check(draft(1, 10, NOON), Ok(()));
    check(draft(2, 0, NOON), Ok(()));
    check(draft(1, 9, NOON.plus(1)), rollback(version(1, 9)));
    check(draft(0, u64::MAX, NOON.plus(1)), rollback(version(0, u64::MAX)));
    check(draft(1, 11, NOON.minus(1)), refused(StatusRefusal::TimeWentBack));
    check(draft(2, 0, NOON.minus(1)), refused(StatusRefusal::TimeWentBack));
    check(draft(1, 10, NOON.plus(1)), refused(StatusRefusal::TimeWentBack));
    check(draft(1, 11, NOON.minus(30 * DAY).plus(400 * DAY)), Ok(()));
    check(draft(1, 11, NOON.minus(30 * DAY).plus(400 * DAY + 1)), refused(StatusRefusal::FromTheFuture));
}

#[test]
fn two_lists_of_one_version_are_a_fork() {
    let mut terminal = Terminal::new();
    let fork = refused(StatusRefusal::Fork { version: version(1, 10) });
    let mut other = draft(1, 10, NOON);
    other.sets.set_standing(StatusIndex(1), CardStanding::Held);
    let bytes = terminal.sign(&other);
    terminal.check(&bytes, fork);
    let wider = ListDraft { indexes_below: 196_608, ..draft(1, 10, NOON) };
    let bytes = terminal.sign(&wider);
    terminal.check(&bytes, fork);
}

#[test]
fn a_list_is_of_a_status_key_in_its_window() {
    let terminal = Terminal::new();
    let (list, stranger) = (draft(1, 11, NOON.plus(10)), SecretKey::from_seed(&[99; 32]));
    let unknown = refused(StatusRefusal::UnknownKey);
    let outside = refused(StatusRefusal::OutsideKeyWindow);
    let check = |key: &SecretKey, change: fn(&mut TrustBundle), expected: Result<(), StatusFault>| {
        let mut terminal = Terminal::new();
        let mut bundle = terminal.authority.bundle(2, NOON);
        change(&mut bundle);
        terminal.desk.trust = terminal.authority.trust(&bundle);
        terminal.check(&sign_list(key, &list.list()), expected);
    };
    let status_key = &terminal.authority.status_key;
    check(status_key, |_| {}, Ok(()));
    check(&terminal.authority.card_key, |_| {}, unknown);
    check(&stranger, |_| {}, unknown);
    check(status_key, |bundle| bundle.keys[1].signs_from = NOON.plus(10), Ok(()));
    check(status_key, |bundle| bundle.keys[1].signs_from = NOON.plus(11), outside);
    check(status_key, |bundle| bundle.keys[1].signs_until = Some(NOON.plus(11)), Ok(()));
    check(status_key, |bundle| bundle.keys[1].signs_until = Some(NOON.plus(10)), outside);
    check(status_key, |bundle| bundle.keys[1].verify_until = Some(NOON.plus(11)), Ok(()));
    // Taking it would raise the floor to its time, and by that floor it does not count.
    check(status_key, |bundle| bundle.keys[1].verify_until = Some(NOON.plus(10)), outside);
}

#[test]
fn a_list_held_back_is_seen_by_the_bundle() {
    let mut terminal = Terminal::new();
    let least = version(1, 20);
    terminal.take_trust(&TrustBundle { status: Some(least), ..terminal.next_bundle() });
    let older = refused(StatusRefusal::OlderThanBundle { least, got: version(1, 19) });
    let (older_list, new_list) = (draft(1, 19, NOON.plus(9)), draft(1, 20, NOON.plus(9)));
    let bytes = terminal.sign(&older_list);
    terminal.check(&bytes, older);
    let bytes = terminal.sign(&new_list);
    terminal.check(&bytes, Ok(()));
}

/// The bundle came by USB stick and the lists did not: what is in force is judged by its age, after a restart as before.
#[test]
fn a_newer_bundle_does_not_take_the_list_in_force_away() {
    let mut terminal = Terminal::new();
    terminal.take_trust(&TrustBundle { status: Some(version(1, 20)), ..terminal.next_bundle() });
    terminal.desk.clock = NOON.plus(3 * DAY);
    assert_eq!(terminal.answer(example_card()), format!("accept stale:{} no_proof 000", 3 * DAY));
    assert_eq!(terminal.reload(), Ok(version(1, 10)));
}

/// Whoever has the status key signs the last version there can be, at the last time it may carry.
#[test]
fn a_stolen_key_that_jumps_ahead_is_undone_by_the_next_bundle() {
    let mut terminal = Terminal::new();
    let end = terminal.desk.trust.claims().expires;
    let mut jump = draft(u32::MAX, u64::MAX, end);
    jump.sets.set_standing(example_card().status_index, CardStanding::Withdrawn);
    let bytes = terminal.sign(&jump);
    terminal.check(&bytes, Ok(()));
    assert_eq!(terminal.desk.now().floor, end);
    assert_eq!(terminal.answer(example_card()), "reject withdrawn 110");
    let bytes = terminal.sign(&draft(1, 11, NOON.plus(60)));
    let stuck = StatusRefusal::Rollback { held: version(u32::MAX, u64::MAX), got: version(1, 11) };
    terminal.check(&bytes, refused(stuck));

    let new_key = SecretKey::from_seed(&[70; 32]);
    let mut bundle = terminal.next_bundle();
    bundle.keys[1] = trusted(&new_key, KeyUse::Status);
    bundle.status = Some(version(1, 10));
    terminal.take_trust(&bundle);
    assert_eq!(terminal.desk.now().floor, bundle.issued);
    assert_eq!(terminal.answer(example_card()), "undecided no_status_list 500");
    assert_eq!(terminal.reload(), Err(StatusFault::Refused(StatusRefusal::UnknownKey)));
    let new_list = sign_list(&new_key, &draft(2, 1, NOON.plus(120)).list());
    terminal.check(&new_list, Ok(()));
    terminal.desk.clock = NOON.plus(120);
    assert_eq!(terminal.answer(example_card()), "accept fresh no_proof 000");
    terminal.check(&bytes, refused(StatusRefusal::UnknownKey));
}

/// The bundle may also keep the key, and say until when it was the authority's: what was signed later falls.
#[test]
fn a_key_that_was_closed_earlier_takes_its_later_lists_with_it() {
    let mut terminal = Terminal::new();
    let stolen_list = draft(1, 11, NOON.plus(90 * DAY));
    let bytes = terminal.sign(&stolen_list);
    terminal.check(&bytes, Ok(()));
    let marks = terminal.desk.marks.clone();
    let mut bundle = terminal.next_bundle();
    bundle.keys[1].signs_until = Some(NOON.plus(1));
    terminal.take_trust(&bundle);
    assert_eq!(terminal.desk.now().floor, bundle.issued);
    assert_eq!(terminal.answer(example_card()), "undecided no_status_list 500");
    assert_eq!(terminal.reload(), Err(StatusFault::Refused(StatusRefusal::OutsideKeyWindow)));
    // Even when the caller keeps the old marks.
    terminal.desk.marks = marks;
    assert_eq!(terminal.desk.now().floor, bundle.issued);
    let bytes = terminal.sign(&draft(1, 10, NOON));
    terminal.check(&bytes, Ok(()));
}

/// A program that runs on and one that was started anew say the same of a key whose time is over.
#[test]
fn a_key_that_is_taken_no_more_takes_its_list_with_it_at_once() {
    let mut terminal = Terminal::new();
    let mut bundle = terminal.next_bundle();
    bundle.keys[1].verify_until = Some(bundle.issued.plus(1));
    terminal.take_trust(&bundle);
    assert_eq!(terminal.answer(example_card()), "accept fresh no_proof 000");
    assert_eq!(terminal.reload(), Ok(version(1, 10)));
    bundle.keys[1].verify_until = Some(bundle.issued);
    terminal.take_trust(&bundle);
    assert_eq!(terminal.answer(example_card()), "undecided no_status_list 500");
    assert_eq!(terminal.reload(), Err(StatusFault::Refused(StatusRefusal::OutsideKeyWindow)));
}

/// While an old status key still verifies, its last list is still well signed and equal to its mark.
#[test]
fn the_last_list_of_the_old_key_does_not_push_out_the_first_of_the_new() {
    let mut terminal = Terminal::new();
    let (old_file, old_list) =
        (terminal.desk.status.as_ref().unwrap().encode(), terminal.sign(&draft(1, 10, NOON)));
    let new_key = SecretKey::from_seed(&[70; 32]);
    let mut bundle = terminal.next_bundle();
    bundle.keys.push(trusted(&new_key, KeyUse::Status));
    terminal.take_trust(&bundle);
    let mut new_list = draft(2, 1, NOON.plus(60));
    new_list.sets.set_standing(example_card().status_index, CardStanding::Withdrawn);
    terminal.check(&sign_list(&new_key, &new_list.list()), Ok(()));
    let rollback = StatusRefusal::Rollback { held: version(2, 1), got: version(1, 10) };
    terminal.check(&old_list, refused(rollback));
    let restarted = HeldStatus::decode(&old_file, &bundle, &terminal.desk.marks);
    assert_eq!(restarted.unwrap_err(), StatusFault::Refused(rollback));
    assert_eq!(terminal.answer(example_card()), "reject withdrawn 110");
}

/// Lists 10 to `count`; each holds one card more than the one before.
fn history(count: u64) -> Vec<StatusList> {
    let mut list = draft(1, 10, NOON);
    (10..=count)
        .map(|number| {
            (list.version.number, list.time) = (number, NOON.plus(number - 10));
            let made = list.list();
            list.sets.set_standing(StatusIndex(number as u32), CardStanding::Held);
            made
        })
        .collect()
}

#[test]
fn a_chain_is_followed_to_its_bound_and_then_from_its_beginning() {
    let (mut terminal, lists) = (Terminal::new(), history(40));
    for pair in lists.windows(2).take(STATUS_DELTAS_MAX) {
        let delta = terminal.authority.sign_delta(&pair[0], &pair[1]);
        assert_eq!(terminal.desk.status.as_ref().unwrap().cursor(), pair[0].version());
        terminal.check(&delta, Ok(()));
    }
    let held = |terminal: &Terminal| terminal.desk.status.clone().unwrap();
    assert_eq!(held(&terminal).list(), &lists[STATUS_DELTAS_MAX]);
    assert_eq!(terminal.reload(), Ok(lists[STATUS_DELTAS_MAX].version()));
    assert_eq!(held(&terminal).cursor(), lists[0].version());
    // News goes on to bring single steps; the answer to the cursor is one step from the beginning.
    let next = terminal.authority.sign_delta(&lists[STATUS_DELTAS_MAX], &lists[STATUS_DELTAS_MAX + 1]);
    terminal.check(&next, Err(StatusFault::ChainFull));
    let all = terminal.authority.sign_delta(&lists[0], &lists[30]);
    terminal.check(&all, Ok(()));
    assert_eq!(held(&terminal).list(), &lists[30]);
    assert_eq!(terminal.reload(), Ok(lists[30].version()));
    assert_eq!(held(&terminal).cursor(), lists[30].version());
    let last = terminal.authority.sign_delta(&lists[29], &lists[30]);
    terminal.check(&last, Err(StatusFault::NeedsSnapshot));
}

#[test]
fn a_delta_for_another_list_is_refused() {
    let lists = history(13);
    let check = |from: &StatusList, to: &StatusList, expected: StatusFault| {
        let mut terminal = Terminal::new();
        let delta = terminal.authority.sign_delta(from, to);
        terminal.check(&delta, Err(expected));
    };
    check(&lists[1], &lists[2], StatusFault::NeedsSnapshot);
    // Another epoch's.
    check(&draft(2, 10, NOON).list(), &draft(2, 11, NOON).list(), StatusFault::NeedsSnapshot);
    // The right version, and another content: it removes what is not there, or counts, or hashes to something else.
    let listed = |number, indexes: &[u32]| {
        let mut list = draft(1, number, NOON);
        indexes.iter().for_each(|index| list.sets.set_standing(StatusIndex(*index), CardStanding::Held));
        list.list()
    };
    let wrong_base = StatusError::Set { number: SetNumber::HELD, source: SetError::WrongBase };
    check(&listed(10, &[5]), &listed(11, &[]), StatusFault::Delta(wrong_base));
    check(&listed(10, &[5]), &listed(11, &[5, 6]), StatusFault::Delta(StatusError::Counts));
    let mut terminal = Terminal::new();
    let first = terminal.authority.sign_list(&listed(11, &[1, 2]));
    terminal.check(&first, Ok(()));
    let delta = terminal.authority.sign_delta(&listed(11, &[1, 3]), &listed(12, &[1, 3, 4]));
    terminal.check(&delta, Err(StatusFault::Delta(StatusError::Digest)));
    // Without a list there is nothing to change.
    let mut terminal = Terminal::new();
    terminal.desk.status = None;
    let delta = terminal.authority.sign_delta(&lists[0], &lists[1]);
    terminal.check(&delta, Err(StatusFault::NeedsSnapshot));
}

#[test]
fn a_delta_is_of_the_key_that_signed_the_list() {
    let (mut terminal, lists, new_key) = (Terminal::new(), history(12), SecretKey::from_seed(&[70; 32]));
    let mut bundle = terminal.next_bundle();
    bundle.keys.push(trusted(&new_key, KeyUse::Status));
    terminal.take_trust(&bundle);
    let other = Authority { status_key: new_key, ..Authority::new(7) };
    terminal.check(&other.sign_delta(&lists[0], &lists[1]), Err(StatusFault::NeedsSnapshot));
}

#[test]
fn a_file_that_was_touched_is_refused_or_says_the_same() {
    let (mut terminal, lists) = (Terminal::new(), history(12));
    for pair in lists.windows(2) {
        let delta = terminal.authority.sign_delta(&pair[0], &pair[1]);
        terminal.check(&delta, Ok(()));
    }
    let (trust, marks) = (terminal.desk.trust.claims(), &terminal.desk.marks);
    let file = terminal.desk.status.as_ref().unwrap().encode();
    let read =
        |bytes: &[u8]| HeldStatus::decode(bytes, trust, marks).map(|(status, _)| status.list().clone());
    assert_eq!(read(&file), Ok(lists[2].clone()));
    (0..file.len()).for_each(|cut| assert!(read(&file[..cut]).is_err(), "cut at {cut}"));
    assert!(read(&[&file[..], &[0]].concat()).is_err());
    for place in 0..file.len() {
        for change in [1, 0x80, 0xff] {
            let mut touched = file.clone();
            touched[place] ^= change;
            let found = read(&touched);
            assert!(found.is_err() || found.as_ref() == Ok(&lists[2]), "byte {place}: {found:?}");
        }
    }
}

#[test]
fn an_old_file_put_back_is_seen_by_the_mark() {
    let (mut terminal, lists) = (Terminal::new(), history(12));
    let old = terminal.desk.status.as_ref().unwrap().encode();
    let delta = terminal.authority.sign_delta(&lists[0], &lists[2]);
    terminal.check(&delta, Ok(()));
    let rollback = StatusRefusal::Rollback { held: version(1, 12), got: version(1, 10) };
    let read = |marks| HeldStatus::decode(&old, terminal.desk.trust.claims(), marks).map(|_| ());
    assert_eq!(read(&terminal.desk.marks), refused(rollback));
    // A file that is ahead of the marks, when power failed between the two, is taken and raises them.
    let new = terminal.desk.status.as_ref().unwrap().encode();
    let (_, marks) =
        HeldStatus::decode(&new, terminal.desk.trust.claims(), &Terminal::new().desk.marks).unwrap();
    assert_eq!(marks, terminal.desk.marks);
}

#[test]
fn a_list_speaks_of_the_indexes_it_covers() {
    let mut terminal = Terminal::new();
    let reserved = vec![IndexRange { first: 60_000, count: 1_000 }];
    let bytes = terminal.sign(&ListDraft { reserved, ..draft(1, 11, NOON) });
    terminal.check(&bytes, Ok(()));
    terminal.desk.clock = NOON.plus(5 * DAY);
    let check = |index: u32, issued_at: UnixSeconds, expected: &str| {
        let claims = CardClaims { status_index: StatusIndex(index), issued_at, ..example_card() };
        assert_eq!(terminal.answer(claims), expected, "{index}");
    };
    let judged = format!("accept stale:{} no_proof 000", 5 * DAY);
    for index in [0, 59_999, 61_000, 131_071] {
        check(index, NOON.minus(1), &judged);
        check(index, NOON.plus(1), &judged);
    }
    for index in [60_000, 60_999, 131_072, u32::MAX] {
        check(index, NOON, "undecided not_covered 500");
        // Issued after the list: judged like any other, at the list's age.
        check(index, NOON.plus(1), &judged);
    }
}

#[test]
fn a_set_of_a_newer_version_concerns_the_cards_in_it() {
    let mut terminal = Terminal::new();
    let mut list = draft(1, 11, NOON);
    list.sets.insert(SetNumber::new(15).unwrap(), 70_000);
    list.sets.insert(SetNumber::new(23).unwrap(), 80_000 * 16 + 9);
    let bytes = terminal.sign(&list);
    terminal.check(&bytes, Ok(()));
    for (index, expected) in [
        (69_999, "accept fresh no_proof 000"),
        (70_000, "undecided needs_update 500"),
        (70_001, "accept fresh no_proof 000"),
        (80_000, "undecided needs_update 500"),
        (80_001, "accept fresh no_proof 000"),
    ] {
        let claims = CardClaims { status_index: StatusIndex(index), ..example_card() };
        assert_eq!(terminal.answer(claims), expected, "{index}");
    }
    assert_eq!(terminal.reload(), Ok(version(1, 11)));
}

const NOON: UnixSeconds = UnixSeconds(1_780_290_000);

#[test]
fn noon_is_noon() {
    assert_eq!(NOON, at(2026, 6, 1));
}
