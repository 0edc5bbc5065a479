//! The bodies of official records, field by field: contribution periods, benefits, visits with their lines, notices.

use bhyt_core::cbor::DecodeError;
use bhyt_core::record::{Body, RecordKind};
use bhyt_core::records::Fact;
use bhyt_tests::facts;
use bhyt_tests::table::{Kind, Row, Subject};

fn check(fact: Fact, rows: &[Row]) {
    let kind = fact.kind();
    let judge = |bytes: &[u8]| judge(kind, bytes);
    let payload = fact.encode().unwrap().as_bytes().to_vec();
    Subject { payload, judge: &judge, good: GOOD, malformed: MALFORMED }.check(rows);
}

fn judge(kind: RecordKind, bytes: &[u8]) -> String {
    let Ok(body) = Body::new(bytes.to_vec()) else { return MALFORMED.to_owned() };
    match Fact::decode(kind, &body) {
        Ok(fact) => {
            let again = fact.encode().unwrap();
            assert!(again == body || again.as_bytes().len() < bytes.len(), "one encoding");
            GOOD.to_owned()
        }
        Err(DecodeError::Malformed(_)) => MALFORMED.to_owned(),
        Err(DecodeError::NeedsUpdate) => NEWER.to_owned(),
    }
}

#[test]
fn every_field_of_a_contribution_period_and_every_way_to_spoil_it() {
    check(Fact::Contribution(facts::contribution()), CONTRIBUTION);
}

#[test]
fn every_field_of_a_benefit_and_every_way_to_spoil_it() {
    check(Fact::Benefit(facts::benefit()), BENEFIT);
}

#[test]
fn every_field_of_a_visit_and_every_way_to_spoil_it() {
    check(Fact::Visit(Box::new(facts::visit())), VISIT);
}

#[test]
fn every_field_of_more_cost_lines_and_every_way_to_spoil_it() {
    check(Fact::VisitLines(facts::visit_lines()), VISIT_LINES);
}

#[test]
fn every_field_of_a_notice_and_every_way_to_spoil_it() {
    check(Fact::Notice(facts::notice()), NOTICE);
}

#[test]
fn a_kind_of_a_newer_server_needs_update() {
    assert_eq!(judge(RecordKind::Unknown(7), &[0xa0]), NEWER);
}

const GOOD: &str = "taken";
const MALFORMED: &str = "malformed";
const NEWER: &str = "needs update";
const LEAST: i128 = -(1 << 64);
const UNITS: i128 = 999_999_999_999_999;

/// A field that must be there.
const fn must(path: &'static str, kind: Kind) -> Row {
    Row { path, gone: MALFORMED, retyped: MALFORMED, kind }
}

/// A field that may be there.
const fn may(path: &'static str, kind: Kind) -> Row {
    Row { path, gone: GOOD, retyped: MALFORMED, kind }
}

const BODY: Row = must(".", Kind::Map([GOOD, NEWER]));
const INSIDE: Kind = Kind::Map([GOOD, NEWER]);
/// Text: any length within its bound, but not none.
const TEXT: Kind = Kind::Sized([GOOD, GOOD, MALFORMED]);
/// Bytes of one length.
const FIXED: Kind = Kind::Sized([MALFORMED; 3]);
const LIST: Kind = Kind::Array(GOOD);
/// An open code, and any other number of two bytes.
const OPEN: Kind = Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (1 << 16, MALFORMED)]);
/// A closed code with the numbers 1 to 4.
const CLOSED: Kind = Kind::Number(&[(LEAST, MALFORMED), (0, NEWER), (1, GOOD), (5, NEWER)]);
const DECIMAL: Kind = Kind::Number(&[(LEAST, MALFORMED), (-UNITS, GOOD), (UNITS + 1, MALFORMED)]);
const DAY: Kind = Kind::Number(&[(LEAST, MALFORMED), (-62_091, GOOD), (376_200, MALFORMED)]);
const MINUTES: Kind =
    Kind::Number(&[(LEAST, MALFORMED), (-62_091 * 1_440, GOOD), (376_200 * 1_440, MALFORMED)]);
/// A time of which the minute is not known: one digit more or less than the example has is no date, a number is minutes.
const CIVIL: Kind = Kind::SizedOrNumber([MALFORMED; 3], GOOD);
const SECONDS: Kind = Kind::Number(&[(LEAST, MALFORMED), (0, GOOD)]);

const CONTRIBUTION: &[Row] = &[
    BODY,
    must("1", CLOSED),
    must("2", Kind::Array(MALFORMED)),
    must("2[0]", Kind::Number(&[(LEAST, MALFORMED), (-2_040, GOOD), (600, MALFORMED)])),
    must("2[1]", Kind::Number(&[(LEAST, MALFORMED), (594, GOOD), (12_360, MALFORMED)])),
    must("3", CLOSED),
    may("4", TEXT),
    may("5", TEXT),
    may("6", TEXT),
    may("7", TEXT),
    may("8", DECIMAL),
    may("9", DECIMAL),
    may("10", Kind::Sized([MALFORMED, GOOD, MALFORMED])),
];

const BENEFIT: &[Row] = &[
    BODY,
    must("1", OPEN),
    may("2", TEXT),
    may("3", TEXT),
    may("4", CIVIL),
    may("5", CIVIL),
    may("6", CIVIL),
    may("7", DECIMAL),
    may("8", TEXT),
    may("9", TEXT),
    may("10", TEXT),
    may("11", OPEN),
    may("12", LIST),
    must("12[0]", INSIDE),
    must("12[0].1", DAY),
    must("12[0].2", DECIMAL),
    may("12[0].3", TEXT),
    may("12[0].4", TEXT),
];

const VISIT: &[Row] = &[
    BODY,
    must("1", FIXED),
    must("2", TEXT),
    must("3", MINUTES),
    may("4", MINUTES),
    may("5", TEXT),
    may("6", TEXT),
    may("7", TEXT),
    may("8", TEXT),
    may("9", LIST),
    may("9[0]", TEXT),
    may("9[1]", TEXT),
    may("10", TEXT),
    may("11", TEXT),
    may("12", TEXT),
    may("13", OPEN),
    may("14", OPEN),
    may("15", CIVIL),
    may("16", INSIDE),
    may("16.1", DECIMAL),
    may("16.2", DECIMAL),
    may("16.3", DECIMAL),
    may("16.4", DECIMAL),
    may("16.5", DECIMAL),
    may("16.6", DECIMAL),
    may("16.7", DECIMAL),
    may("16.8", DECIMAL),
    may("16.9", DECIMAL),
    may("17", LIST),
    must("17[0]", INSIDE),
    must("17[0].1", TEXT),
    must("17[0].2", TEXT),
    may("17[0].3", TEXT),
    may("17[0].4", DECIMAL),
    may("17[0].5", DECIMAL),
    may("17[0].6", DECIMAL),
    may("17[0].7", DECIMAL),
    may("17[0].8", DECIMAL),
    may("17[0].9", DECIMAL),
    may("17[0].10", DECIMAL),
    may("17[0].11", DECIMAL),
    may("17[0].12", TEXT),
    may("18", OPEN),
    may("19", LIST),
    must("19[0]", INSIDE),
    must("19[0].1", TEXT),
    must("19[0].2", OPEN),
    may("19[0].3", DAY),
    may("19[0].4", OPEN),
    may("20", INSIDE),
    must("20.1", FIXED),
    must("20.2", FIXED),
    may("20.3", OPEN),
    must("20.4", SECONDS),
];

const VISIT_LINES: &[Row] = &[
    BODY,
    must("1", FIXED),
    must("2", OPEN),
    may("3", LIST),
    must("3[0]", INSIDE),
    must("3[0].1", TEXT),
    must("3[0].2", TEXT),
    may("3[0].3", TEXT),
    may("3[0].4", DECIMAL),
    may("3[0].5", DECIMAL),
    may("3[0].6", DECIMAL),
    may("3[0].7", DECIMAL),
    may("3[0].8", DECIMAL),
    may("3[0].9", DECIMAL),
    may("3[0].10", DECIMAL),
    may("3[0].11", DECIMAL),
    may("3[0].12", TEXT),
];

const NOTICE: &[Row] =
    &[BODY, must("1", FIXED), must("2", TEXT), may("3", TEXT), must("4", SECONDS), may("5", SECONDS)];
