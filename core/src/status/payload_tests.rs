//! Payload bytes of snapshot and delta: golden bytes, extension, and what harmed or foreign bytes come to.

use super::build::StatusSets;
use super::delta::Delta;
use super::list::StatusList;
use super::payload::StatusMessage;
use super::reason::SetNumber;
use super::testing::{Lcg, head, random_sets};
use crate::cbor::DecodeError;
use crate::cose::{Payload, Signed, Unsigned};
use crate::ids::{from_hex, hex};
use crate::keys::SecretKey;

fn small(version: u64, values: &[(i64, u64)]) -> StatusList {
    let mut sets = StatusSets::default();
    values.iter().for_each(|&(number, value)| sets.insert(SetNumber::new(number).unwrap(), value));
    sets.to_list(head(version, 20)).unwrap()
}

fn random(version: u64) -> StatusList {
    let shares = [(1, 60), (2, 9), (10, 25), (3, 5), (16, 40), (17, 3), (5, 3)];
    let sets = random_sets(&mut Lcg::new(50 + version), 4_000, &shares);
    sets.to_list(head(version, 4_000)).unwrap()
}

#[test]
fn golden_bytes() {
    let first = small(1, &[(1, 2), (1, 7), (1, 19), (16, 33)]);
    let second = small(2, &[(1, 2), (1, 19), (3, 0), (16, 33)]);
    let delta = Delta::between(&first, &second).unwrap();
    let check = |bytes: Vec<u8>, golden: &str| assert_eq!(hex(&bytes), golden);
    // From a second implementation of the description, in another language.
    check(first.encode(), FIRST);
    check(delta.encode(), FIRST_TO_SECOND);
}

#[test]
fn what_was_encoded_is_decoded_and_nothing_else_is() {
    let (list, later) = (random(1), random(2));
    let delta = Delta::between(&list, &later).unwrap();
    assert_eq!(StatusList::decode(&list.encode()), Ok(list.clone()));
    assert_eq!(Delta::decode(&delta.encode()), Ok(delta.clone()));
    assert!(StatusList::decode(&delta.encode()).is_err());
    assert!(Delta::decode(&list.encode()).is_err());
    for message in [StatusMessage::Snapshot(list), StatusMessage::Delta(delta)] {
        assert_eq!(StatusMessage::decode(&message.encode()), Ok(message));
    }
}

#[test]
fn harmed_bytes_are_refused_or_read_as_what_they_say() {
    let list = random(1);
    let delta = Delta::between(&list, &random(2)).unwrap();
    for bytes in [list.encode(), delta.encode()] {
        for length in 0..bytes.len() {
            assert!(StatusMessage::decode(&bytes[..length]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut harmed = bytes.clone();
            harmed[bit / 8] ^= 0x80 >> (bit % 8);
            let Ok(message) = StatusMessage::decode(&harmed) else { continue };
            let again = message.encode();
            let has_unknown_key = again.len() < harmed.len();
            assert!(again == harmed || has_unknown_key, "one message, one encoding");
            if let StatusMessage::Delta(other) = message {
                // A head may say another time or cover; edits and counts are held by the digest.
                let same_edits = other.edits == delta.edits && other.digest == delta.digest;
                assert!(list.apply(&[other]).is_err() || same_edits);
            }
        }
    }
}

#[test]
fn newer_keys_are_ignored_or_need_an_update() {
    // A snapshot of nothing: {1: 1, 2: [1, 1], 3: 1000, 4: [0, 0, []], 5: {}, 6: SHA-256 of a0}.
    let digest = "c19a797fa1fd590cd2e5b42d1cf5f246e29b91684e2f87404b81dc345c7a56a0";
    let snapshot = |count: &str, kind: &str, sets: &str, more: &str| {
        let text = format!("{count}01{kind}02820101031903e80483000080{sets}065820{digest}{more}");
        StatusMessage::decode(&from_hex(&text).unwrap())
    };
    assert!(snapshot("a6", "01", "05a0", "").is_ok());
    assert!(snapshot("a7", "01", "05a0", "1763666f6f").is_ok(), "an unknown key of 0 and more");
    let needs_update = Err(DecodeError::NeedsUpdate);
    assert_eq!(snapshot("a7", "01", "05a0", "2001"), needs_update);
    assert_eq!(snapshot("a6", "03", "05a0", ""), needs_update);
    for number in ["00", "1818", "20"] {
        assert_eq!(snapshot("a6", "01", &format!("05a1{number}820041ff"), ""), needs_update);
    }
    let malformed = |result: Result<_, DecodeError>| {
        assert!(matches!(result, Err(DecodeError::Malformed(_))));
    };
    malformed(snapshot("a6", "01", "05a101820040", ""));
    malformed(snapshot("a6", "01", "05a1018201411f", ""));
    malformed(snapshot("a5", "01", "", ""));
}

#[test]
fn snapshot_and_delta_travel_signed() {
    let key = SecretKey::from_seed(&[9; 32]);
    let list = random(1);
    let sealed = Unsigned::new(list.clone(), key.public_key().key_id()).sign(&key);
    let read = Signed::<StatusMessage>::decode(sealed.bytes()).unwrap().verify(&key.public_key());
    assert_eq!(read.unwrap().into_claims(), StatusMessage::Snapshot(list));
}

const FIRST: &str = "\
    a6010102820101031903e80483141903e88005a201820342c87010820141a106582072d3a8dc5679\
    de8cbb1ba99c4218adee959936773051265bb356910178843aa7";
const FIRST_TO_SECOND: &str = "\
    a8010202820102031907d00483141907d080065820cac2353daf6d8c0179e04d27890ad7a4c8a2ba\
    777ad1d62295f640aad8ec5d4a070108a2018400400141c80384014180004009a3010203011001";
