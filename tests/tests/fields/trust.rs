//! The payload of a trust bundle, signed again by the first two roots after each change. Where the root keys themselves
//! were changed, the threshold of the bundle's own roots is missed or met by whoever is left.

use bhyt_core::cose::Verified;
use bhyt_core::keys::SecretKey;
use bhyt_core::status::StatusVersion;
use bhyt_core::trust::{self, IndexRange, KeyUse, TrustBundle, TrustError};
use bhyt_tests::authority::{Authority, at, trusted};
use bhyt_tests::forge::{bundle_payload_of, seal_bundle};
use bhyt_tests::table::{Kind, Row, Subject};

/// A bundle on which every field stands; after one of 1 June.
fn full_bundle(authority: &Authority) -> TrustBundle {
    let mut bundle = authority.bundle(6, at(2026, 7, 1));
    bundle.keys.truncate(1);
    let card = bundle.keys.first_mut().unwrap();
    card.signs_until = Some(at(2027, 1, 1));
    card.verify_until = Some(at(2028, 1, 1));
    card.ranges = vec![IndexRange { first: 7, count: 9 }];
    // A use of a newer version, whatever kind of key it is for.
    bundle.keys.push(trusted(&SecretKey::from_seed(&[60; 32]), KeyUse::Other(10)));
    bundle.status = Some(StatusVersion { epoch: 1, number: 5 });
    bundle
}

fn judge(held: &Verified<TrustBundle>, bytes: &[u8]) -> String {
    match trust::accept(held, bytes) {
        Ok(Some(_)) => "taken".to_owned(),
        Ok(None) => "the same".to_owned(),
        Err(error) => words(error),
    }
}

fn words(error: TrustError) -> String {
    use bhyt_core::cbor::DecodeError::{Malformed, NeedsUpdate};
    match error {
        TrustError::Unreadable(NeedsUpdate) => "needs update".to_owned(),
        TrustError::Unreadable(Malformed(_)) => "malformed".to_owned(),
        TrustError::TooFewSignatures { of } => format!("too few of {of:?}"),
        TrustError::Rollback { .. } => "rollback".to_owned(),
        TrustError::Fork { .. } => "fork".to_owned(),
        TrustError::TimeWentBack => "time went back".to_owned(),
        TrustError::DuplicateSigner => "signed twice".to_owned(),
    }
}

#[test]
fn every_field_of_a_bundle_and_every_way_to_spoil_it() {
    let authority = Authority::new(7);
    let held = authority.trust(&authority.bundle(5, at(2026, 6, 1)));
    let payload = bundle_payload_of(&authority.sign_bundle(&full_bundle(&authority)));
    let [a, b, _] = &authority.roots;
    let judge = |payload: &[u8]| judge(&held, &seal_bundle(payload, payload, &[a, b]));
    Subject { payload, judge: &judge, good: GOOD, malformed: MALFORMED }.check(ROWS);
}

#[test]
fn no_change_of_a_field_survives_the_old_signatures() {
    let authority = Authority::new(7);
    let held = authority.trust(&authority.bundle(5, at(2026, 6, 1)));
    let payload = bundle_payload_of(&authority.sign_bundle(&full_bundle(&authority)));
    let [a, b, _] = &authority.roots;
    let subject =
        Subject { payload: payload.clone(), judge: &|_| String::new(), good: GOOD, malformed: MALFORMED };
    let changes = subject.changes();
    assert!(changes.len() > 500, "{}", changes.len());
    for changed in changes {
        assert_eq!(judge(&held, &seal_bundle(&changed, &payload, &[a, b])), "too few of Held");
    }
}

const GOOD: &str = "taken";
const MALFORMED: &str = "malformed";
const NEWER: &str = "needs update";

const LEAST: i128 = -(1 << 64);
const MAP: Kind = Kind::Map([GOOD, NEWER]);
/// Seconds, and whatever else is any number of 0 and more.
const ANY: Kind = Kind::Number(&[(LEAST, MALFORMED), (0, GOOD)]);
const U32: Kind = Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (1 << 32, MALFORMED)]);
/// A key of a use that this version knows.
const KEY: Kind = Kind::Sized([MALFORMED; 3]);

const fn row(path: &'static str, gone: &'static str, kind: Kind) -> Row {
    Row { path, gone, retyped: MALFORMED, kind }
}

const ROWS: &[Row] = &[
    row(".", MALFORMED, MAP),
    row(
        "1",
        MALFORMED,
        Kind::Values(
            &[
                (0, "rollback"),
                (1, "rollback"),
                (4, "rollback"),
                (5, "fork"),
                (6, GOOD),
                (LEAST, MALFORMED),
                (-1, MALFORMED),
            ],
            GOOD,
        ),
    ),
    row("2", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, "time went back"), (1_780_290_000, GOOD)])),
    row("3", MALFORMED, ANY),
    // Without the third root, which has not signed, the two others still are the threshold; a root twice is no set.
    row("4", MALFORMED, Kind::Array(MALFORMED)),
    row("4[0]", "too few of Own", KEY),
    row("4[1]", "too few of Own", KEY),
    row("4[2]", GOOD, KEY),
    row(
        "5",
        MALFORMED,
        Kind::Number(&[(LEAST, MALFORMED), (1, GOOD), (3, "too few of Own"), (4, MALFORMED)]),
    ),
    row("6", GOOD, Kind::Array(MALFORMED)),
    row("6[0]", GOOD, MAP),
    row("6[0].1", MALFORMED, KEY),
    row("6[0].2", MALFORMED, ANY),
    row("6[0].3", MALFORMED, ANY),
    row("6[0].4", GOOD, ANY),
    row("6[0].5", GOOD, ANY),
    // The same range twice says nothing new.
    row("6[0].6", GOOD, Kind::Array(GOOD)),
    row("6[0].6[0]", GOOD, Kind::Array(MALFORMED)),
    row("6[0].6[0][0]", MALFORMED, U32),
    row("6[0].6[0][1]", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (1, GOOD), (1 << 32, MALFORMED)])),
    row("6[1]", GOOD, MAP),
    row("6[1].1", MALFORMED, Kind::Sized([GOOD; 3])),
    row("6[1].2", MALFORMED, ANY),
    row("6[1].3", MALFORMED, ANY),
    row("7", MALFORMED, MAP),
    row("7.1", GOOD, ANY),
    row("7.2", GOOD, ANY),
    row("7.3", GOOD, ANY),
    row("7.4", GOOD, ANY),
    row("7.5", GOOD, ANY),
    row("8", GOOD, Kind::Array(MALFORMED)),
    row("8[0]", MALFORMED, U32),
    row("8[1]", MALFORMED, ANY),
];
