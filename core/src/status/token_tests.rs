//! Tokens of a list, read back as the draft says: each status at its place, pieces that join, and what stands around them.

use std::collections::BTreeMap;

use super::build::StatusSets;
use super::list::{Covers, StatusHead};
use super::reason::SetNumber;
use super::token::*;
use super::version::StatusVersion;
use super::{StatusList, list::StatusError};
use crate::card_record::{CardStanding, ReducedCode};
use crate::cbor;
use crate::ids::{BindingNumber, StatusIndex};
use crate::keys::SecretKey;
use crate::limits::TOKEN_INDEXES;
use crate::time::UnixSeconds;

fn list(indexes_below: u64, sets: &StatusSets) -> Result<StatusList, StatusError> {
    let covers = Covers::new(indexes_below, UnixSeconds(1_000), Vec::new())?;
    let version = StatusVersion { epoch: 1, number: 2 };
    sets.to_list(StatusHead { version, time: UnixSeconds(1_000), covers })
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[5; 32])
}

fn terms() -> TokenTerms {
    TokenTerms {
        uri: TokenUri::parse("https://bhyt.example/status").unwrap(),
        life_seconds: 500,
        ttl_seconds: 60,
        key_id: key().public_key().key_id(),
    }
}

fn tokens(list: &StatusList) -> Vec<UnsignedToken> {
    TokenPieces::new(list, terms()).unwrap().collect()
}

/// sub, exp, iat, bits, ttl and the statuses of a sealed token.
fn open(token: &[u8]) -> (String, u64, u64, u8, u64, Vec<u8>) {
    let mut d = cbor::decoder(token).unwrap();
    assert_eq!(d.array().unwrap(), Some(4));
    d.skip().unwrap();
    assert_eq!(d.map().unwrap(), Some(0));
    let mut p = cbor::decoder(d.bytes().unwrap()).unwrap();
    assert_eq!(p.map().unwrap(), Some(5));
    assert_eq!(p.u64().unwrap(), 2);
    let subject = p.str().unwrap().to_owned();
    let mut number = |label: u64| {
        assert_eq!(p.u64().unwrap(), label);
        p.u64().unwrap()
    };
    let (expires, issued) = (number(4), number(6));
    assert_eq!(p.u64().unwrap(), 65_533);
    assert_eq!((p.map().unwrap(), p.str().unwrap()), (Some(2), "lst"));
    let statuses = miniz_oxide::inflate::decompress_to_vec_zlib(p.bytes().unwrap()).unwrap();
    assert_eq!(p.str().unwrap(), "bits");
    let bits = p.u8().unwrap();
    assert_eq!(p.u64().unwrap(), 65_534);
    (subject, expires, issued, bits, p.u64().unwrap(), statuses)
}

/// Status of an index in a token's statuses, as the draft's §4.1 counts bits.
fn status(statuses: &[u8], at: usize) -> u8 {
    statuses[at / 4] >> (at % 4 * 2) & 3
}

#[test]
fn each_index_has_the_status_that_the_list_gives_it() {
    let mut sets = StatusSets::default();
    let standings = [
        (0, CardStanding::Withdrawn),
        (1, CardStanding::Held),
        (5, CardStanding::Superseded),
        (6, CardStanding::Reduced(ReducedCode::new(120).unwrap())),
        (7, CardStanding::Reduced(ReducedCode::new(124).unwrap())),
        (99, CardStanding::Held),
    ];
    for (index, standing) in standings {
        sets.set_standing(StatusIndex(index), standing);
    }
    // Of a card that stands in several sets, withdrawn counts more than held, whatever the sets' order.
    sets.insert(SetNumber::WITHDRAWN, 98);
    sets.insert(SetNumber::HELD, 98);
    sets.insert(SetNumber::SUPERSEDED, 98);
    sets.retire_binding(StatusIndex(50), BindingNumber::new(3).unwrap());
    let made = tokens(&list(102, &sets).unwrap());
    assert_eq!((made.len(), made[0].number(), made[0].indexes()), (1, 0, 102));
    let (subject, expires, issued, bits, ttl, statuses) = open(&made[0].clone().sign(&key()));
    assert_eq!(subject, "https://bhyt.example/status/0");
    assert_eq!((expires, issued, bits, ttl, statuses.len()), (1_500, 1_000, 2, 60, 26));
    let listed = BTreeMap::from([(0, 1), (1, 2), (6, 1), (7, 1), (98, 1), (99, 2)]);
    for at in 0..104 {
        assert_eq!(status(&statuses, at), listed.get(&at).copied().unwrap_or(0), "{at}");
    }
}

#[test]
fn pieces_join_on_to_each_other() {
    let mut sets = StatusSets::default();
    let (first, last) = (TOKEN_INDEXES as u32, 2 * TOKEN_INDEXES as u32 + 7);
    for index in [0, first - 1, first, first + 1, last - 1] {
        sets.set_standing(StatusIndex(index), CardStanding::Withdrawn);
    }
    sets.set_standing(StatusIndex(2 * first), CardStanding::Held);
    let made = tokens(&list(u64::from(last), &sets).unwrap());
    let sizes: Vec<_> = made.iter().map(|token| (token.number(), token.indexes())).collect();
    assert_eq!(sizes, [(0, TOKEN_INDEXES), (1, TOKEN_INDEXES), (2, 7)]);
    let opened: Vec<_> = made.into_iter().map(|token| open(&token.sign(&key()))).collect();
    assert_eq!(opened.iter().map(|piece| piece.5.len()).collect::<Vec<_>>(), [1 << 22, 1 << 22, 2]);
    let end = TOKEN_INDEXES as usize - 1;
    let at = |piece: usize, at: usize| status(&opened[piece].5, at);
    assert_eq!([at(0, 0), at(0, 1), at(0, end), at(1, 0), at(1, 1), at(1, 2)], [1, 0, 1, 1, 1, 0]);
    assert_eq!([at(2, 0), at(2, 5), at(2, 6), at(2, 7)], [2, 0, 1, 0]);
    assert_eq!(opened[2].0, "https://bhyt.example/status/2");
    assert_eq!(tokens(&list(TOKEN_INDEXES, &StatusSets::default()).unwrap()).len(), 1);
    assert!(tokens(&list(0, &StatusSets::default()).unwrap()).is_empty());
}

#[test]
fn what_is_signed_has_no_tag_and_no_aad_and_names_its_type() {
    let token = tokens(&list(4, &StatusSets::default()).unwrap()).remove(0);
    let signed = token.to_be_signed();
    assert!(signed.starts_with(b"\x84\x6aSignature1\x58\x2a\xa3\x01\x27\x04\x48"), "{signed:02x?}");
    let sealed = token.sign(&key());
    assert_eq!(cbor::check_deterministic(&sealed), Ok(()));
    assert!(sealed.starts_with(&[0x84, 0x58, 0x2a, 0xa3]));
}

#[test]
fn a_set_of_no_known_meaning_makes_no_token() {
    for number in [4, 17] {
        let mut sets = StatusSets::default();
        let number = SetNumber::new(number).unwrap();
        sets.insert(number, 3);
        let list = list(16, &sets).unwrap();
        assert_eq!(TokenPieces::new(&list, terms()).unwrap_err(), TokenError::UnknownSet { number });
    }
}

#[test]
fn a_token_uri_is_one() {
    for good in ["https://a", "https://a.example/s:1/%20~x", "urn:bhyt:status"] {
        assert!(TokenUri::parse(good).is_some(), "{good}");
    }
    let long = format!("https://{}", "a".repeat(260));
    for bad in
        ["", "https:", "a/b", "1x:y", "https://a/", "https://a b", "https://a?b", "https://a#b", "https://ạ"]
    {
        assert_eq!(TokenUri::parse(bad), None, "{bad}");
    }
    assert_eq!(TokenUri::parse(&long), None);
}
