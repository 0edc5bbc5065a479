//! The card credential. Where the answer is a verdict, its reason and the portal's code stand in the table.

use bhyt_core::card::CardClaims;
use bhyt_core::cose::{Payload, Signed};
use bhyt_core::ids::{CardNumber, SocialNumber};
use bhyt_core::presentation::Presentation;
use bhyt_core::presentation_key::KeyKind;
use bhyt_core::time::BirthDate;
use bhyt_tests::authority::{Authority, Phone, at, day, example_card};
use bhyt_tests::desk::Desk;
use bhyt_tests::forge::{Forge, payload_of};
use bhyt_tests::table::{Kind, Row, Subject};

/// A card on which every claim stands. Its number ends in letters, so that the insurance number stands beside it.
fn full_card() -> CardClaims {
    CardClaims {
        number: CardNumber::parse("TE199KT0000000A").unwrap(),
        social_number: SocialNumber::parse("9900000017").unwrap(),
        binding: Some(Phone::new(8).binding(day(2026, 11, 1))),
        ..example_card()
    }
}

fn check(claims: CardClaims, rows: &[Row]) {
    let authority = Authority::new(7);
    let desk = Desk::of(&authority, at(2026, 6, 1));
    let judge = |payload: &[u8]| {
        let card = Forge::card(&authority.card_key, payload).sign();
        desk.answer(&Presentation::new(card, None))
    };
    let payload = payload_of(&authority.sign_card(claims));
    Subject { payload, judge: &judge, good: GOOD, malformed: MALFORMED }.check(rows);
}

#[test]
fn every_claim_of_a_card_and_every_way_to_spoil_it() {
    check(full_card(), ROWS);
}

#[test]
fn a_birth_date_of_which_only_the_year_or_month_is_known() {
    let rows: Vec<Row> = ROWS
        .iter()
        .map(|row| match row.path {
            "-65537.3" => Row { kind: Kind::SizedOrNumber([MALFORMED; 3], GOOD), ..*row },
            _ => *row,
        })
        .collect();
    for birth_date in [BirthDate::Year(1994), BirthDate::Month { year: 1994, month: 1 }] {
        check(CardClaims { birth_date, ..full_card() }, &rows);
    }
}

#[test]
fn a_presentation_key_on_p256() {
    let phone = Phone::of_kind(KeyKind::P256, 4);
    let rows = ROWS.iter().map(|row| match row.path {
        "8.1.1" => newer("8.1.1", Kind::Number(&[(LEAST, NEWER), (2, GOOD), (3, NEWER)])),
        "8.1.-1" => newer("8.1.-1", Kind::Number(&[(LEAST, NEWER), (1, GOOD), (2, NEWER)])),
        _ => *row,
    });
    // Either y is a key, and which of them it is, is signed.
    let rows = rows.chain([row("8.1.-3", MALFORMED, Kind::False(GOOD))]).collect::<Vec<_>>();
    check(CardClaims { binding: Some(phone.binding(day(2026, 11, 1))), ..full_card() }, &rows);
}

/// The signature is checked before the payload is read: without it, nothing about the payload is said.
#[test]
fn no_change_of_a_claim_survives_the_old_signature() {
    let authority = Authority::new(7);
    let desk = Desk::of(&authority, at(2026, 6, 1));
    let good = Forge::card(&authority.card_key, &payload_of(&authority.sign_card(full_card())));
    let subject = Subject {
        payload: good.payload.clone(),
        judge: &|_| String::new(),
        good: GOOD,
        malformed: MALFORMED,
    };
    let changes = subject.changes();
    assert!(changes.len() > 500, "{}", changes.len());
    for payload in changes {
        let card = good.with_payload_unsigned(&payload);
        let expected = if card.len() > bhyt_core::limits::CARD_BYTES_MAX { MALFORMED } else { FORGED };
        assert_eq!(desk.answer(&Presentation::new(card, None)), expected, "{payload:02x?}");
    }
}

/// Each bit of the payload, signed again: whatever is read is written again as the same bytes, so that no two cards differ
/// only in encoding. An entry that this version does not know is the one thing that is not written again.
#[test]
fn a_changed_bit_makes_another_card_or_none() {
    let authority = Authority::new(7);
    let payload = payload_of(&authority.sign_card(full_card()));
    let mut read = 0;
    for bit in 0..payload.len() * 8 {
        let mut changed = payload.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let card = Forge::card(&authority.card_key, &changed).sign();
        let signed = Signed::<CardClaims>::decode(&card).unwrap();
        let Ok(card) = signed.verify(&authority.card_key.public_key()) else { continue };
        read += 1;
        let again = card.claims().encode();
        assert!(again == changed || again.len() < changed.len(), "bit {bit}");
        assert_ne!(card.claims(), &full_card(), "bit {bit}");
    }
    assert!(read > 100, "{read}");
}

const GOOD: &str = "accept fresh no_proof 000";
const MALFORMED: &str = "reject malformed 051";
const NEWER: &str = "undecided needs_update 500";
const FORGED: &str = "reject bad_signature 050";

const LEAST: i128 = -(1 << 64);
const TEXT: Kind = Kind::Sized([MALFORMED; 3]);
const MAP: Kind = Kind::Map([GOOD, NEWER]);
/// 1800-01-01 to 2999-12-31.
const DAYS: Kind = Kind::Number(&[(LEAST, MALFORMED), (-62_091, GOOD), (376_200, MALFORMED)]);

const fn row(path: &'static str, gone: &'static str, kind: Kind) -> Row {
    Row { path, gone, retyped: MALFORMED, kind }
}

/// A field whose every other value and type is a newer version's.
const fn newer(path: &'static str, kind: Kind) -> Row {
    Row { path, gone: NEWER, retyped: NEWER, kind }
}

const ROWS: &[Row] = &[
    row(".", MALFORMED, MAP),
    row("1", MALFORMED, TEXT),
    row("2", MALFORMED, TEXT),
    // exp: of this year's end, of 1 June, and no later than nbf.
    row(
        "4",
        GOOD,
        Kind::Values(
            &[
                (1_798_736_400, GOOD),
                (1_798_736_401, MALFORMED),
                (1_798_736_399, MALFORMED),
                (1_780_246_800, "reject expired 010"),
                (1_767_200_400, MALFORMED),
                (32_503_654_800, GOOD),
                (32_503_741_200, MALFORMED),
            ],
            MALFORMED,
        ),
    ),
    // nbf: of 1 January, of 2 June, and no earlier than exp.
    row(
        "5",
        MALFORMED,
        Kind::Values(
            &[
                (1_767_200_400, GOOD),
                (1_767_200_401, MALFORMED),
                (61_200, GOOD),
                (1_780_333_200, "reject not_yet_valid 010"),
                (1_798_736_400, MALFORMED),
            ],
            MALFORMED,
        ),
    ),
    row("6", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, GOOD)])),
    row("8", MALFORMED, MAP),
    row("8.1", NEWER, MAP),
    newer("8.1.1", Kind::Number(&[(LEAST, NEWER), (1, GOOD), (2, NEWER)])),
    newer("8.1.-1", Kind::Number(&[(LEAST, NEWER), (6, GOOD), (7, NEWER)])),
    row("8.1.-2", MALFORMED, TEXT),
    row("-65537", MALFORMED, MAP),
    row("-65537.1", MALFORMED, TEXT),
    // Cut, the last letter of the name is no UTF-8.
    row("-65537.2", MALFORMED, Kind::Sized([GOOD, MALFORMED, MALFORMED])),
    row("-65537.3", MALFORMED, DAYS),
    row("-65537.4", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (3, MALFORMED)])),
    row("-65537.5", MALFORMED, TEXT),
    row("-65537.6", GOOD, DAYS),
    row("-65537.7", GOOD, TEXT),
    row("-65537.8", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (1, GOOD), (6, MALFORMED)])),
    row(
        "-65537.9",
        MALFORMED,
        Kind::Number(&[
            (LEAST, MALFORMED),
            (0, GOOD),
            (131_072, "undecided not_covered 500"),
            (1 << 32, MALFORMED),
        ]),
    ),
    row("-65537.10", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (16, MALFORMED)])),
    row("-65537.11", MALFORMED, DAYS),
];
