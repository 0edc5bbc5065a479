//! The receipt of an operation: what a member shows to prove that a petition was handed in, and when.

use bhyt_core::cbor::DecodeError;
use bhyt_core::cose::{Object, Signed, Unsigned, VerifyError};
use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::keys::SecretKey;
use bhyt_core::limits::RECEIPT_BYTES_MAX;
use bhyt_core::operation::Generation;
use bhyt_core::operation::OperationHash;
use bhyt_core::receipt::Receipt;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::KeyUse;
use bhyt_tests::authority::{Authority, at, trusted};
use bhyt_tests::forge::{Forge, payload_of};
use bhyt_tests::surgery::Item;
use bhyt_tests::table::{Kind, Row, Subject};

fn receipt() -> Receipt {
    Receipt {
        member: MemberId([1; 16]),
        operation: OperationId([2; 16]),
        change: OperationHash::of(b"a change"),
        generation: Generation(3),
        time: UnixSeconds(1_795_399_200),
    }
}

fn sign(key: &SecretKey) -> Vec<u8> {
    Unsigned::new(receipt(), key.public_key().key_id()).sign(key).bytes().to_vec()
}

/// A member shows these bytes for this petition.
fn show(bytes: &[u8], key: &SecretKey) -> String {
    let read = Signed::<Receipt>::decode(bytes).map_err(VerifyError::from);
    match read.and_then(|signed| signed.verify(&key.public_key())) {
        Ok(read) => {
            let (read, asked) = (*read.claims(), receipt());
            match (
                read.member == asked.member,
                read.operation == asked.operation,
                read.change == asked.change,
            ) {
                (false, ..) => "of another member".to_owned(),
                (_, false, _) => "of another operation".to_owned(),
                (_, _, false) => "of other bytes".to_owned(),
                _ => GOOD.to_owned(),
            }
        }
        Err(VerifyError::Payload(DecodeError::Malformed(_))) => MALFORMED.to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn every_field_of_a_receipt_and_every_way_to_spoil_it() {
    let key = SecretKey::from_seed(&[3; 32]);
    let forge = |payload: &[u8]| Forge { object: Object::Receipt, ..Forge::card(&key, payload) };
    let judge = |payload: &[u8]| show(&forge(payload).sign(), &key);
    let payload = payload_of(&sign(&key));
    let subject = Subject { payload: payload.clone(), judge: &judge, good: GOOD, malformed: MALFORMED };
    subject.check(RECEIPT);
    for changed in subject.changes() {
        let bytes = forge(&payload).with_payload_unsigned(&changed);
        let expected = if bytes.len() > RECEIPT_BYTES_MAX { MALFORMED } else { "BadSignature" };
        assert_eq!(show(&bytes, &key), expected, "{changed:02x?}");
    }
    let tree = Item::parse(&payload);
    let fields = [
        ("[0]", 16, "of another member"),
        ("[1]", 16, "of another operation"),
        ("[2]", 32, "of other bytes"),
    ];
    for (path, length, expected) in fields {
        for bit in 0..length * 8 {
            let Item::Bytes(mut field) = tree.at(path).clone() else { panic!("bytes") };
            field[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(judge(&tree.with(path, Item::Bytes(field)).encode()), expected, "{path}, bit {bit}");
        }
    }
}

#[test]
fn a_receipt_is_one_by_a_receipt_key_in_its_window_alone() {
    let authority = Authority::new(7);
    let now = receipt().time;
    let judge = |usage, from: u64, until: Option<u64>| {
        let mut key = trusted(&authority.receipt_key, usage);
        key.signs_from = UnixSeconds(from);
        key.signs_until = until.map(UnixSeconds);
        let mut bundle = authority.bundle(1, at(2026, 11, 1));
        bundle.keys.push(key);
        Receipt::verify(&sign(&authority.receipt_key), &bundle).is_ok()
    };
    assert!(judge(KeyUse::Receipt, now.0, None));
    assert!(!judge(KeyUse::Receipt, now.0 + 1, None), "before its window");
    assert!(!judge(KeyUse::Receipt, 0, Some(now.0)), "after its window");
    assert!(!judge(KeyUse::Head, 0, None), "a key of another use");
    let without = authority.bundle(1, at(2026, 11, 1));
    assert!(Receipt::verify(&sign(&authority.receipt_key), &without).is_err(), "in no bundle");
}

const GOOD: &str = "taken";
const MALFORMED: &str = "malformed";
const LEAST: i128 = -(1 << 64);

const fn row(path: &'static str, kind: Kind) -> Row {
    Row { path, gone: MALFORMED, retyped: MALFORMED, kind }
}

const RECEIPT: &[Row] = &[
    row(".", Kind::Array(MALFORMED)),
    row("[0]", Kind::Sized([MALFORMED; 3])),
    row("[1]", Kind::Sized([MALFORMED; 3])),
    row("[2]", Kind::Sized([MALFORMED; 3])),
    row("[3]", Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (3, GOOD), (1 << 32, MALFORMED)])),
    row("[4]", Kind::Number(&[(LEAST, MALFORMED), (0, GOOD), (1_795_399_200, GOOD)])),
];
