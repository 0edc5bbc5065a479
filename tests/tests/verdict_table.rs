//! The verdict table of `docs/formats.md`, row by row, and that the earlier of two neighbouring rows decides. The signature
//! is checked before the payload is read, so a payload's shape is judged only when it is really signed.

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::{CardStanding, ReducedCode};
use bhyt_core::ids::{CardNumber, SocialNumber, StatusIndex};
use bhyt_core::presentation::Presentation;
use bhyt_core::verdict::{Outcome, RejectReason, UndecidedReason};
use bhyt_tests::authority::{Authority, DAY, at, day, example_card};
use bhyt_tests::case::{
    Case, with_bad_signature, with_extra_byte, with_foreign_proof, with_negative_claim, without_claims,
};
use bhyt_tests::desk::{Desk, line};

#[test]
fn each_row_has_its_answer_and_the_earlier_of_two_decides() {
    for (number, (change, expected)) in ROWS.iter().enumerate() {
        assert_eq!(Case::with(change).answer(), *expected, "case {number}");
    }
}

#[test]
fn every_standing_has_the_portals_code() {
    let reduced = |code| CardStanding::Reduced(ReducedCode::new(code).unwrap());
    let check = |standing, expected: &str| {
        let mut case = Case::default();
        case.stand(standing);
        assert_eq!(case.answer(), expected);
    };
    check(CardStanding::InForce, "accept fresh no_proof 000");
    check(CardStanding::Withdrawn, "reject withdrawn 110");
    for (code, expected) in [
        (120, "reject reduced 120"),
        (121, "reject reduced 121"),
        (122, "reject reduced 122"),
        (123, "reject reduced 123"),
        (124, "reject reduced 124"),
    ] {
        check(reduced(code), expected);
    }
    check(CardStanding::Superseded, "accept fresh no_proof superseded 000");
    check(CardStanding::Held, "undecided held 500");
}

#[test]
fn a_card_in_several_sets_is_answered_by_the_gravest() {
    let check = |sets: &[i64], expected: &str| {
        let mut case = Case::default();
        case.stand_in(sets);
        assert_eq!(case.answer(), expected, "{sets:?}");
    };
    check(&[1, 2, 3, 10], "reject withdrawn 110");
    check(&[2, 3, 14, 11], "reject reduced 121");
    check(&[2, 3], "undecided held 500");
    check(&[1, 5], "undecided needs_update 500");
}

#[test]
fn army_and_police_cards_are_good_cards_with_a_note() {
    let check = |number: &str, listed: CardStanding, expected: &str| {
        let mut case = Case::default();
        case.card.number = CardNumber::parse(number).unwrap();
        case.stand(listed);
        assert_eq!(case.answer(), expected, "{number}");
    };
    use CardStanding::{InForce, Superseded, Withdrawn};
    check("QN5799900000017", InForce, "accept fresh no_proof army_managed 001");
    check("TQ4979900000017", InForce, "accept fresh no_proof army_managed 001");
    check("QN597KT00000A17", InForce, "accept fresh no_proof army_managed 001");
    check("CA5799900000017", InForce, "accept fresh no_proof police_managed 002");
    check("TA4989900000017", InForce, "accept fresh no_proof police_managed 002");
    check("DN4799900000017", InForce, "accept fresh no_proof 000");
    check("9797979797", InForce, "accept fresh no_proof 000");
    check("QN5979900000017", Superseded, "accept fresh no_proof superseded 000");
    check("QN5979900000017", Withdrawn, "reject withdrawn 110");
}

#[test]
fn a_superseded_card_in_its_dates_is_004_once_its_successor_was_seen() {
    let superseded = || {
        let mut case = Case::default();
        case.stand(CardStanding::Superseded);
        case.verify()
    };
    let successor = CardClaims {
        status_index: StatusIndex(70_001),
        valid_from: day(2026, 5, 1),
        issued_at: at(2026, 4, 20),
        ..example_card()
    };
    let check = |seen: &CardClaims, code: u16| {
        assert_eq!(superseded().with_successor(seen).portal_code(), code);
    };
    check(&successor, 4);
    // Signed again for a device that renewed its hold, long after the successor was: the old card is still the old one.
    let renewed = {
        let mut case = Case::default();
        case.stand(CardStanding::Superseded);
        case.card.issued_at = at(2026, 5, 30);
        case.verify()
    };
    assert_eq!(renewed.with_successor(&successor).portal_code(), 4);
    // From the same day on: only the time of signing tells.
    check(&CardClaims { valid_from: day(2026, 1, 1), ..successor.clone() }, 4);
    check(&CardClaims { valid_from: day(2026, 1, 1), issued_at: at(2025, 12, 1), ..successor.clone() }, 0);
    // The same card, an earlier one, and another person's.
    check(&CardClaims { status_index: example_card().status_index, ..successor.clone() }, 0);
    check(&CardClaims { valid_from: day(2025, 1, 1), ..successor.clone() }, 0);
    let stranger = SocialNumber::parse("9900000018").unwrap();
    check(&CardClaims { social_number: stranger, ..successor.clone() }, 0);
    // Nothing but an accepted superseded card is changed by it.
    let mut withdrawn = Case::default();
    withdrawn.stand(CardStanding::Withdrawn);
    for verdict in [withdrawn.verify(), Case::default().verify()] {
        let before = line(&verdict);
        assert_eq!(line(&verdict.with_successor(&successor)), before);
    }
}

/// The names in JSON are an interface: programs of others compare them.
#[test]
fn names_and_codes_never_change() {
    use RejectReason as R;
    use UndecidedReason as U;
    let reduced = R::Reduced(ReducedCode::new(120).unwrap());
    let rejects = [
        R::Malformed,
        R::BadSignature,
        R::Withdrawn,
        reduced,
        R::NotYetValid,
        R::Expired,
        R::Superseded,
        R::BadProof,
    ];
    let undecided = [
        U::NeedsUpdate,
        U::UnknownKey,
        U::NotCovered,
        U::ClockUntrusted,
        U::Held,
        U::StatusTooOld,
        U::NoStatusList,
        U::TrustExpired,
    ];
    assert_eq!(
        rejects.map(R::name).join(" "),
        "malformed bad_signature withdrawn reduced not_yet_valid expired superseded bad_proof"
    );
    assert_eq!(
        undecided.map(U::name).join(" "),
        "needs_update unknown_key not_covered clock_untrusted held status_too_old no_status_list trust_expired"
    );
    // The default is the closed door: an unsigned card is never accepted.
    let nothing = Presentation::new(Vec::new(), None);
    let desk = Desk::of(&Authority::new(7), at(2026, 6, 1));
    assert_eq!(desk.verify(&nothing).outcome(), Outcome::Reject(R::Malformed));
}

/// What a case is, and its answer.
type Row = (fn(&mut Case), &'static str);

/// In the order of the table.
const ROWS: &[Row] = &[
    // 1, and 1 before 2.
    (|case| case.show = with_extra_byte, "reject malformed 051"),
    (|case| case.show = without_claims, "reject malformed 051"),
    (
        |case| {
            case.show = with_extra_byte;
            case.forget_card_key();
        },
        "reject malformed 051",
    ),
    // 2, and 2 before 3.
    (Case::forget_card_key, "undecided unknown_key 500"),
    (|case| case.show = with_negative_claim, "undecided needs_update 500"),
    (|case| case.stand_in(&[4]), "undecided needs_update 500"),
    (
        |case| {
            case.show = with_bad_signature;
            case.forget_card_key();
        },
        "undecided unknown_key 500",
    ),
    (
        |case| {
            case.show = with_negative_claim;
            case.end_key_before_card();
        },
        "undecided needs_update 500",
    ),
    // 3, and 3 before 4.
    (|case| case.show = with_bad_signature, "reject bad_signature 050"),
    (Case::end_key_before_card, "reject bad_signature 050"),
    (
        |case| {
            case.end_key_before_card();
            case.list().indexes_below = 65_536;
        },
        "reject bad_signature 050",
    ),
    // 4. A list cannot speak of an index that it does not cover, so no card is in rows 4 and 5.
    (|case| case.list().indexes_below = 65_536, "undecided not_covered 500"),
    // 4 before 7.
    (
        |case| {
            case.list().indexes_below = 65_536;
            case.card.valid_to = Some(day(2026, 5, 31));
        },
        "undecided not_covered 500",
    ),
    // 5, and 2 before it.
    (|case| case.stand(CardStanding::Withdrawn), "reject withdrawn 110"),
    (|case| case.stand_in(&[1, 23 - 8]), "undecided needs_update 500"),
    // 5 before 6: the clock is 200 days ahead, and the card over by then.
    (
        |case| {
            case.stand(CardStanding::Withdrawn);
            case.clock = at(2027, 1, 2);
        },
        "reject withdrawn 110",
    ),
    // 6, and 6 before 7.
    (|case| case.clock = at(2027, 1, 2), "undecided clock_untrusted 500"),
    (|case| case.clock = at(2025, 12, 31), "undecided clock_untrusted 500"),
    // 7, and 7 before 8.
    (|case| case.card.valid_to = Some(day(2026, 5, 31)), "reject expired 010"),
    (|case| case.card.valid_from = day(2026, 6, 2), "reject not_yet_valid 010"),
    (
        |case| {
            case.stand(CardStanding::Superseded);
            case.card.valid_to = Some(day(2026, 5, 31));
        },
        "reject superseded 003",
    ),
    (
        |case| {
            case.stand(CardStanding::Superseded);
            case.card.valid_from = day(2026, 6, 2);
        },
        "reject not_yet_valid 010",
    ),
    (
        |case| {
            case.stand(CardStanding::Held);
            case.card.valid_to = Some(day(2026, 5, 31));
        },
        "reject expired 010",
    ),
    (
        |case| {
            case.list = None;
            case.card.valid_to = Some(day(2026, 5, 1));
        },
        "reject expired 010",
    ),
    // 8, and 8 before 9.
    (|case| case.stand(CardStanding::Held), "undecided held 500"),
    (|case| case.list = None, "undecided no_status_list 500"),
    (|case| case.clock = case.clock.plus(30 * DAY + 1), "undecided status_too_old 500"),
    (Case::let_trust_expire, "undecided trust_expired 500"),
    (
        |case| {
            case.stand(CardStanding::Held);
            case.show = with_foreign_proof;
        },
        "undecided held 500",
    ),
    (
        |case| {
            case.list = None;
            case.show = with_foreign_proof;
        },
        "undecided no_status_list 500",
    ),
    (
        |case| {
            case.let_trust_expire();
            case.show = with_foreign_proof;
        },
        "undecided trust_expired 500",
    ),
    // 9, and 9 before 10.
    (|case| case.show = with_foreign_proof, "reject bad_proof 050"),
    (
        |case| {
            case.stand(CardStanding::Superseded);
            case.show = with_foreign_proof;
        },
        "reject bad_proof 050",
    ),
    // 10.
    (|_| {}, "accept fresh no_proof 000"),
    (|case| case.stand(CardStanding::Superseded), "accept fresh no_proof superseded 000"),
];
