//! Where the rows of the verdict table begin and end: to the second, to the index; and what a verdict shows besides its
//! answer.

use bhyt_core::card_record::CardStanding;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::IndexRange;
use bhyt_core::verify::verify_text;
use bhyt_tests::authority::{DAY, ListDraft, at, day};
use bhyt_tests::case::{Case, with_bad_signature, with_extra_byte};
use bhyt_tests::desk::{Desk, line};

#[test]
fn validity_turns_at_midnight_in_vietnam_to_the_second() {
    let check = |clock: UnixSeconds, expected: &str| {
        let case = Case::default();
        // The list is of that moment, so that clock and floor agree.
        let list = ListDraft::new(1, clock);
        let case = Case { clock, list: Some(list), bundle: case.authority.bundle(1, clock), ..case };
        assert_eq!(case.answer(), expected);
    };
    let (first, end) = (day(2026, 1, 1).start(), day(2027, 1, 1).start());
    assert_eq!((first.0 % DAY, end.0 % DAY), (61_200, 61_200), "17:00 UTC");
    check(first.minus(1), "reject not_yet_valid 010");
    check(first, "accept fresh no_proof 000");
    check(end.minus(1), "accept fresh no_proof 000");
    check(end, "reject expired 010");
}

#[test]
fn freshness_and_trust_end_to_the_second() {
    let check = |list_age: u64, expected: &str| {
        let mut case = Case::default();
        case.clock = case.clock.plus(list_age);
        assert_eq!(case.answer(), expected, "{list_age}");
    };
    check(0, "accept fresh no_proof 000");
    check(DAY, "accept fresh no_proof 000");
    check(DAY + 1, "accept stale:86401 no_proof 000");
    check(30 * DAY, "accept stale:2592000 no_proof 000");
    check(30 * DAY + 1, "undecided status_too_old 500");

    let mut case = Case::with(Case::let_trust_expire);
    assert_eq!(case.answer(), "undecided trust_expired 500");
    case.clock = case.clock.minus(1);
    assert_eq!(case.answer(), format!("accept stale:{} no_proof 000", 180 * DAY - 1));
}

#[test]
fn the_policy_of_the_bundle_is_the_policy() {
    let mut case = Case::default();
    (case.bundle.policy.fresh_seconds, case.bundle.policy.stale_seconds) = (10, 20);
    for (age, expected) in [
        (10, "accept fresh no_proof 000"),
        (11, "accept stale:11 no_proof 000"),
        (21, "undecided status_too_old 500"),
    ] {
        case.clock = at(2026, 6, 1).plus(age);
        assert_eq!(case.answer(), expected);
    }
}

#[test]
fn a_card_is_signed_inside_its_keys_window_and_ranges() {
    let check = |change: fn(&mut Case), expected: &str| {
        assert_eq!(Case::with(change).answer(), expected);
    };
    let (good, bad) = ("accept fresh no_proof 000", "reject bad_signature 050");
    // The card was signed at noon of 20 December 2025, for index 70,000.
    check(|case| case.card_key().signs_from = at(2025, 12, 20), good);
    check(|case| case.card_key().signs_from = at(2025, 12, 20).plus(1), bad);
    check(|case| case.card_key().signs_until = Some(at(2025, 12, 20).plus(1)), good);
    check(|case| case.card_key().signs_until = Some(at(2025, 12, 20)), bad);
    check(|case| ranges(case, &[(70_000, 1)]), good);
    check(|case| ranges(case, &[(0, 10), (69_000, 1_001)]), good);
    check(|case| ranges(case, &[(0, 70_000), (70_001, u32::MAX)]), bad);
    // Verified until: by the floor, which is the list's noon of 1 June, whatever the clock says.
    check(|case| case.card_key().verify_until = Some(at(2026, 6, 1).plus(1)), good);
    check(|case| case.card_key().verify_until = Some(at(2026, 6, 1)), bad);
    check(
        |case| {
            case.card_key().verify_until = Some(at(2026, 6, 1).plus(1));
            case.clock = at(2026, 6, 10);
        },
        "accept stale:777600 no_proof 000",
    );
}

fn ranges(case: &mut Case, ranges: &[(u32, u32)]) {
    case.card_key().ranges = ranges.iter().map(|&(first, count)| IndexRange { first, count }).collect();
}

#[test]
fn what_is_refused_is_shown_and_what_is_not_signed_is_not() {
    let check = |change: fn(&mut Case), shown: bool| {
        let verdict = Case::with(change).verify();
        assert_eq!(verdict.card().is_some(), shown, "{}", line(&verdict));
        assert!(verdict.relied_on().is_none());
    };
    check(|case| case.stand(CardStanding::Withdrawn), true);
    check(|case| case.stand(CardStanding::Held), true);
    check(|case| case.card.valid_to = Some(day(2026, 5, 31)), true);
    check(|case| case.list = None, true);
    check(|case| case.show = with_bad_signature, false);
    check(|case| case.show = with_extra_byte, false);
    check(Case::forget_card_key, false);
    check(Case::end_key_before_card, false);
}

#[test]
fn every_verdict_says_what_it_rests_on() {
    let case = Case::default();
    let verdict = case.verify();
    let evidence = verdict.evidence();
    assert_eq!(evidence.card_key, Some(case.authority.card_key.public_key().key_id()));
    assert_eq!((evidence.trust_version, evidence.status_age_seconds), (1, Some(0)));
    assert_eq!(evidence.status_version, Some(ListDraft::new(1, case.clock).version));
    assert_eq!((evidence.clock, evidence.floor, evidence.judged_at), (case.clock, case.clock, case.clock));

    let desk = Desk::of(&case.authority, case.clock);
    let unreadable = verify_text("HC1:NO", &desk.trust, desk.status.as_ref(), &desk.replay, desk.now());
    assert_eq!(line(&unreadable), "reject malformed 051");
    assert_eq!((unreadable.evidence().card_key, unreadable.evidence().trust_version), (None, 1));
    let newer = verify_text("BHYT2:ANY", &desk.trust, desk.status.as_ref(), &desk.replay, desk.now());
    assert_eq!(line(&newer), "undecided needs_update 500");
}
