//! Snapshot, delta and status file. A terminal that holds list 10 of noon is offered each of them, signed again by the
//! status key after each change; what is in force stays whatever is refused.

use bhyt_core::card_record::CardStanding;
use bhyt_core::cbor::DecodeError;
use bhyt_core::cose::Object;
use bhyt_core::held_status::{HeldStatus, StatusFault};
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::IndexRange;
use bhyt_tests::authority::{Authority, ListDraft, at};
use bhyt_tests::desk::Desk;
use bhyt_tests::forge::{Forge, payload_of};
use bhyt_tests::table::{Kind, Row, Subject};

/// List 10 of noon: two withdrawn cards, a held one, a retired binding, and a range of indexes that no card has.
fn first() -> ListDraft {
    let mut draft = ListDraft::new(10, NOON);
    draft.reserved = vec![IndexRange { first: 60_000, count: 1_000 }];
    for (index, standing) in
        [(5, CardStanding::Withdrawn), (70_000, CardStanding::Withdrawn), (9, CardStanding::Held)]
    {
        draft.sets.set_standing(StatusIndex(index), standing);
    }
    draft.sets.retire_binding(StatusIndex(7), BindingNumber::new(3).unwrap());
    draft
}

/// A minute later: one more is withdrawn and one no more, and the retired binding has ended.
fn second() -> ListDraft {
    let mut draft = first();
    (draft.version.number, draft.time) = (11, NOON.plus(60));
    draft.sets.set_standing(StatusIndex(8), CardStanding::Withdrawn);
    draft.sets.set_standing(StatusIndex(5), CardStanding::InForce);
    draft.sets.free_binding(StatusIndex(7), BindingNumber::new(3).unwrap());
    draft
}

struct Terminal {
    authority: Authority,
    desk: Desk,
}

impl Terminal {
    fn new() -> Self {
        let authority = Authority::new(7);
        let desk = Desk::with_list(&authority, &first(), NOON);
        Self { authority, desk }
    }

    fn forge(&self, payload: &[u8]) -> Forge {
        Forge { object: Object::Status, ..Forge::card(&self.authority.status_key, payload) }
    }

    fn snapshot(&self) -> Vec<u8> {
        payload_of(&self.authority.sign_list(&first().list()))
    }

    fn delta(&self) -> Vec<u8> {
        payload_of(&self.authority.sign_delta(&first().list(), &second().list()))
    }

    /// Offered to this terminal, or to one that holds nothing yet.
    fn offer(&self, held: bool, bytes: &[u8]) -> String {
        let (trust, none) = (self.desk.trust.claims(), bhyt_core::marks::Marks::default());
        let held = if held { (self.desk.status.as_ref(), &self.desk.marks) } else { (None, &none) };
        words(HeldStatus::accept(held.0, bytes, trust, held.1).map(|(status, _)| status))
    }
}

fn words(offered: Result<HeldStatus, StatusFault>) -> String {
    match offered {
        Ok(_) => "taken".to_owned(),
        Err(StatusFault::Unreadable(DecodeError::NeedsUpdate)) => "needs update".to_owned(),
        Err(StatusFault::Unreadable(DecodeError::Malformed(_))) => "malformed".to_owned(),
        Err(StatusFault::Refused(refusal)) => name(&refusal),
        Err(StatusFault::Delta(error)) => format!("delta {}", name(&error)),
        Err(other) => name(&other),
    }
}

/// The name of an error's variant.
fn name(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

#[test]
fn every_field_of_a_snapshot_and_every_way_to_spoil_it() {
    let terminal = Terminal::new();
    let judge = |payload: &[u8]| terminal.offer(false, &terminal.forge(payload).sign());
    Subject { payload: terminal.snapshot(), judge: &judge, good: GOOD, malformed: MALFORMED }.check(SNAPSHOT);
}

#[test]
fn every_field_of_a_delta_and_every_way_to_spoil_it() {
    let terminal = Terminal::new();
    let judge = |payload: &[u8]| terminal.offer(true, &terminal.forge(payload).sign());
    Subject { payload: terminal.delta(), judge: &judge, good: GOOD, malformed: MALFORMED }.check(DELTA);
}

/// What a terminal keeps and a USB stick carries. Each part is signed for itself.
#[test]
fn every_part_of_a_status_file_and_every_way_to_spoil_it() {
    let mut terminal = Terminal::new();
    let mut third = second();
    (third.version.number, third.time) = (12, NOON.plus(120));
    for (from, to) in [(first(), second()), (second(), third)] {
        terminal.desk.take_list(&terminal.authority.sign_delta(&from.list(), &to.list())).unwrap();
    }
    let file = terminal.desk.status.as_ref().unwrap().encode();
    let (trust, marks) = (terminal.desk.trust.claims(), &terminal.desk.marks);
    let judge = |bytes: &[u8]| words(HeldStatus::decode(bytes, trust, marks).map(|(status, _)| status));
    Subject { payload: file, judge: &judge, good: GOOD, malformed: MALFORMED }.check(FILE);
}

#[test]
fn no_change_of_a_field_survives_the_old_signature() {
    let terminal = Terminal::new();
    for (payload, held) in [(terminal.snapshot(), false), (terminal.delta(), true)] {
        let good = terminal.forge(&payload);
        let subject = Subject { payload, judge: &|_| String::new(), good: GOOD, malformed: MALFORMED };
        let changes = subject.changes();
        assert!(changes.len() > 300, "{}", changes.len());
        for changed in changes {
            assert_eq!(terminal.offer(held, &good.with_payload_unsigned(&changed)), "Unverified");
        }
    }
}

const NOON: UnixSeconds = UnixSeconds(1_780_290_000);

#[test]
fn noon_is_noon() {
    assert_eq!(NOON, at(2026, 6, 1));
}

const GOOD: &str = "taken";
const MALFORMED: &str = "malformed";
const NEWER: &str = "needs update";

const LEAST: i128 = -(1 << 64);
const NOON_: i128 = NOON.0 as i128;
/// The end of the bundle's life.
const EXPIRES: i128 = NOON_ + 370 * 86_400;
const FIXED: Kind = Kind::Array(MALFORMED);
const U32: Kind = Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (1 << 32, MALFORMED)]);
const BYTES: Kind = Kind::Sized([MALFORMED; 3]);

const fn row(path: &'static str, gone: &'static str, kind: Kind) -> Row {
    Row { path, gone, retyped: MALFORMED, kind }
}

/// Only this number is right.
const fn only(values: &'static [(i128, &'static str)]) -> Kind {
    Kind::Values(values, MALFORMED)
}

const SNAPSHOT: &[Row] = &[
    row(".", MALFORMED, Kind::Map([GOOD, NEWER])),
    // A kind that this version does not know, whatever it is.
    Row {
        path: "1",
        gone: MALFORMED,
        retyped: NEWER,
        kind: Kind::Number(&[(LEAST, NEWER), (1, GOOD), (2, MALFORMED), (3, NEWER)]),
    },
    row("2", MALFORMED, FIXED),
    row("2[0]", MALFORMED, U32),
    row("2[1]", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, GOOD)])),
    // Not before the last card it knows of, and not after the end of the bundle.
    row("3", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (NOON_, GOOD), (EXPIRES + 1, "FromTheFuture")])),
    row("4", MALFORMED, FIXED),
    row("4[0]", MALFORMED, only(&[(131_072, GOOD), (60_999, MALFORMED), (70_000, MALFORMED)])),
    row("4[1]", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (NOON_ + 1, MALFORMED)])),
    row("4[2]", MALFORMED, FIXED),
    row("4[2][0]", GOOD, FIXED),
    row("4[2][0][0]", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (130_073, MALFORMED)])),
    row("4[2][0][1]", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (1, GOOD), (71_073, MALFORMED)])),
    row("5", MALFORMED, Kind::Sets([MALFORMED, NEWER])),
    row("5.1", MALFORMED, FIXED),
    row("5.1[0]", MALFORMED, only(&[(2, GOOD)])),
    row("5.1[1]", MALFORMED, BYTES),
    row("5.3", MALFORMED, FIXED),
    row("5.3[0]", MALFORMED, only(&[(1, GOOD)])),
    row("5.3[1]", MALFORMED, BYTES),
    row("5.16", MALFORMED, FIXED),
    row("5.16[0]", MALFORMED, only(&[(1, GOOD)])),
    row("5.16[1]", MALFORMED, BYTES),
    row("6", MALFORMED, BYTES),
];

const DELTA: &[Row] = &[
    row(".", MALFORMED, Kind::Map([GOOD, NEWER])),
    Row {
        path: "1",
        gone: MALFORMED,
        retyped: NEWER,
        kind: Kind::Number(&[(LEAST, NEWER), (1, MALFORMED), (2, GOOD), (3, NEWER)]),
    },
    row("2", MALFORMED, FIXED),
    row(
        "2[0]",
        MALFORMED,
        Kind::Number(&[
            (LEAST, MALFORMED),
            (0, "NeedsSnapshot"),
            (1, GOOD),
            (2, "NeedsSnapshot"),
            (1 << 32, MALFORMED),
        ]),
    ),
    row("2[1]", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, "delta NotForward"), (11, GOOD)])),
    row(
        "3",
        MALFORMED,
        Kind::Number(&[
            (LEAST, MALFORMED),
            (0, "delta NotForward"),
            (NOON_, "delta Covers"),
            (NOON_ + 60, GOOD),
            (EXPIRES + 1, "FromTheFuture"),
        ]),
    ),
    row("4", MALFORMED, FIXED),
    row("4[0]", MALFORMED, only(&[(131_072, GOOD)])),
    row(
        "4[1]",
        MALFORMED,
        Kind::Number(&[
            (LEAST, MALFORMED),
            (0, "delta NotForward"),
            (NOON_, GOOD),
            (NOON_ + 61, "delta Covers"),
        ]),
    ),
    row("4[2]", MALFORMED, FIXED),
    row("4[2][0]", GOOD, FIXED),
    row("4[2][0][0]", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (130_073, MALFORMED)])),
    row("4[2][0][1]", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (1, GOOD), (71_073, MALFORMED)])),
    row("6", MALFORMED, BYTES),
    row(
        "7",
        MALFORMED,
        Kind::Number(&[(LEAST, MALFORMED), (0, "NeedsSnapshot"), (10, GOOD), (11, "NeedsSnapshot")]),
    ),
    // Edits that are left out, or a set of them, leave other counts than the list they lead to.
    row("8", "delta Counts", Kind::Sets([MALFORMED, NEWER])),
    row("8.1", "delta Digest", FIXED),
    row("8.1[0]", MALFORMED, only(&[(1, GOOD)])),
    row("8.1[1]", MALFORMED, BYTES),
    row("8.1[2]", MALFORMED, only(&[(1, GOOD)])),
    row("8.1[3]", MALFORMED, BYTES),
    row("8.16", "delta Counts", FIXED),
    row("8.16[0]", MALFORMED, only(&[(0, GOOD)])),
    row("8.16[1]", MALFORMED, Kind::Sized([MALFORMED, GOOD, GOOD])),
    row("8.16[2]", MALFORMED, only(&[(1, GOOD)])),
    row("8.16[3]", MALFORMED, BYTES),
    row("9", MALFORMED, Kind::Sets([MALFORMED, NEWER])),
    row(
        "9.1",
        "delta Counts",
        Kind::Number(&[(LEAST, MALFORMED), (1, "delta Counts"), (2, GOOD), (3, "delta Counts")]),
    ),
    row("9.3", "delta Counts", Kind::Number(&[(LEAST, MALFORMED), (1, GOOD), (2, "delta Counts")])),
];

const FILE: &[Row] = &[
    row(".", MALFORMED, FIXED),
    row("[0]", MALFORMED, BYTES),
    // The first delta twice: the second time it starts at a list that is left.
    row("[1]", MALFORMED, Kind::Array("NeedsSnapshot")),
    row("[1][0]", "NeedsSnapshot", BYTES),
    // The last step is missing: an older list than the mark.
    row("[1][1]", "Rollback", BYTES),
];
