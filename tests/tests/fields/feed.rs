//! The head of a feed, which is signed, and the record of a card, which the head's tree commits to.

use bhyt_core::card_record::{CardRecord, CardStanding, ReducedCode};
use bhyt_core::cbor::DecodeError;
use bhyt_core::cose::{Object, Signed, Unsigned, VerifyError};
use bhyt_core::feed::{Epoch, Extent, FeedHead, FeedPage, FeedState};
use bhyt_core::ids::MemberId;
use bhyt_core::keys::SecretKey;
use bhyt_core::merkle::Frontier;
use bhyt_core::record::{Body, PageSeed, Record, RecordKind, Seq};
use bhyt_core::time::UnixSeconds;
use bhyt_tests::forge::{Forge, payload_of};
use bhyt_tests::surgery::Item;
use bhyt_tests::table::{Kind, Row, Subject};

const MEMBER: MemberId = MemberId([1; 16]);

/// A page with this many records.
fn page(count: u64) -> FeedPage {
    let mut page = FeedPage::new(Seq(0), PageSeed([5; 32]));
    for seq in 0..count {
        let body = Body::new(vec![seq as u8]).unwrap();
        page.push(Record::first(Seq(seq), RecordKind::Visit, body, UnixSeconds(900))).unwrap();
    }
    page
}

/// The head over such a page.
fn head(count: u64) -> FeedHead {
    let mut frontier = Frontier::new();
    for (seq, entry) in page(count).entries() {
        frontier.append(entry.leaf_hash(seq)).unwrap();
    }
    let extent = Extent { epoch: Epoch(1), size: count };
    FeedHead { member: MEMBER, extent, root: frontier.root(), time: UnixSeconds(1_000 + count) }
}

fn sign(head: FeedHead, key: &SecretKey) -> Vec<u8> {
    Unsigned::new(head, key.public_key().key_id()).sign(key).bytes().to_vec()
}

/// A phone that holds two records is offered a third under this head.
fn offer(held: &FeedState, bytes: &[u8], key: &SecretKey) -> String {
    let head = match Signed::<FeedHead>::decode(bytes).map_err(VerifyError::from) {
        Ok(signed) => signed.verify(&key.public_key()),
        Err(error) => Err(error),
    };
    let news = page(3).since(Seq(2)).unwrap();
    match head {
        Ok(head) => match held.extend([&news], &head) {
            Ok(_) => GOOD.to_owned(),
            Err(fault) => format!("{fault:?}").split(' ').next().unwrap_or_default().to_owned(),
        },
        Err(VerifyError::Payload(DecodeError::Malformed(_))) => MALFORMED.to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn held(key: &SecretKey) -> FeedState {
    let head = Signed::<FeedHead>::decode(&sign(head(2), key)).unwrap().verify(&key.public_key()).unwrap();
    FeedState::new(MEMBER).extend([&page(2)], &head).unwrap()
}

#[test]
fn every_field_of_a_head_and_every_way_to_spoil_it() {
    let key = SecretKey::from_seed(&[3; 32]);
    let held = held(&key);
    let forge = |payload: &[u8]| Forge { object: Object::Head, ..Forge::card(&key, payload) };
    let judge = |payload: &[u8]| offer(&held, &forge(payload).sign(), &key);
    let payload = payload_of(&sign(head(3), &key));
    let subject = Subject { payload: payload.clone(), judge: &judge, good: GOOD, malformed: MALFORMED };
    subject.check(HEAD);
    for changed in subject.changes() {
        let bytes = forge(&payload).with_payload_unsigned(&changed);
        let expected =
            if bytes.len() > bhyt_core::limits::HEAD_BYTES_MAX { MALFORMED } else { "BadSignature" };
        assert_eq!(offer(&held, &bytes, &key), expected, "{changed:02x?}");
    }
    // Every bit of member and root makes another member and another root.
    let tree = Item::parse(&payload);
    for (path, length, expected) in [("[0]", 16, "WrongMember"), ("[3]", 32, "RootMismatch")] {
        for bit in 0..length * 8 {
            let Item::Bytes(mut field) = tree.at(path).clone() else { panic!("bytes") };
            field[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(judge(&tree.with(path, Item::Bytes(field)).encode()), expected, "{path}, bit {bit}");
        }
    }
}

#[test]
fn every_field_of_a_cards_record_and_every_way_to_spoil_it() {
    let judge = |bytes: &[u8]| match CardRecord::decode(bytes) {
        Ok(record) => {
            assert!(record.encode() == bytes || record.encode().len() < bytes.len(), "one encoding");
            GOOD.to_owned()
        }
        Err(DecodeError::Malformed(_)) => MALFORMED.to_owned(),
        Err(DecodeError::NeedsUpdate) => NEWER.to_owned(),
    };
    let record = |standing| CardRecord { credential: vec![0xd2; 240], standing }.encode();
    let reduced = record(CardStanding::Reduced(ReducedCode::new(121).unwrap()));
    Subject { payload: reduced, judge: &judge, good: GOOD, malformed: MALFORMED }.check(REDUCED);
    let held = record(CardStanding::Held);
    Subject { payload: held, judge: &judge, good: GOOD, malformed: MALFORMED }.check(HELD);
    let longest = CardRecord { credential: vec![0; 640], standing: CardStanding::Held }.encode();
    let too_long = CardRecord { credential: vec![0; 641], standing: CardStanding::Held }.encode();
    assert_eq!((judge(&longest), judge(&too_long)), (GOOD.to_owned(), MALFORMED.to_owned()));
}

const GOOD: &str = "taken";
const MALFORMED: &str = "malformed";
const NEWER: &str = "needs update";
const LEAST: i128 = -(1 << 64);

const fn row(path: &'static str, gone: &'static str, kind: Kind) -> Row {
    Row { path, gone, retyped: MALFORMED, kind }
}

const HEAD: &[Row] = &[
    // Five elements, no more: a head of another form is another object.
    row(".", MALFORMED, Kind::Array(MALFORMED)),
    row("[0]", MALFORMED, Kind::Sized([MALFORMED; 3])),
    row(
        "[1]",
        MALFORMED,
        Kind::Number(&[(LEAST, MALFORMED), (0, "Rollback"), (1, GOOD), (2, "EpochChanged")]),
    ),
    row(
        "[2]",
        MALFORMED,
        Kind::Number(&[
            (LEAST, MALFORMED),
            (0, "Rollback"),
            // Of the size in hand and another root: two heads of one place.
            (2, "Fork"),
            (3, GOOD),
            (4, "Short"),
            ((1 << 20) + 1, "TooLong"),
        ]),
    ),
    row("[3]", MALFORMED, Kind::Sized([MALFORMED; 3])),
    row("[4]", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, "TimeWentBack"), (1_002, GOOD)])),
];

/// The credential is judged for itself, later: here it is bytes.
const CREDENTIAL: Row = row("1", MALFORMED, Kind::Sized([GOOD; 3]));

const REDUCED: &[Row] = &[
    row(".", MALFORMED, Kind::Map([GOOD, NEWER])),
    CREDENTIAL,
    row("2", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (2, GOOD), (3, MALFORMED), (5, NEWER)])),
    row("3", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, NEWER), (120, GOOD), (125, NEWER)])),
];

const HELD: &[Row] = &[
    row(".", MALFORMED, Kind::Map([GOOD, NEWER])),
    CREDENTIAL,
    row(
        "2",
        MALFORMED,
        Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (2, MALFORMED), (3, GOOD), (5, NEWER)]),
    ),
];
