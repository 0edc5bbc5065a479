//! COSE (RFC 9052), CWT (RFC 8392) and COSE key thumbprints (RFC 9679) as others encode them. Our profile is narrower
//! than the standards: where it refuses an example, the test says with which fault. Data: `tests/vectors/cose_wg.json`,
//! `cwt_rfc8392.json`, `thumbprint_rfc9679.json`.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::card::CardClaims;
use bhyt_core::cbor::{self, DecodeError, Key, check_deterministic, read_map};
use bhyt_core::cose::{Object, Payload, Signed, sig_structure};
use bhyt_core::feed::FeedHead;
use bhyt_core::ids::{from_hex, hex};
use bhyt_core::keys::{KeyId, PublicKey, SecretKey, Signature};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{self, Policy, RootSet, TrustBundle, TrustError};
use serde_json::Value;

fn cose(pointer: &str) -> String {
    text(include_str!("../vectors/cose_wg.json"), pointer)
}

fn cwt(name: &str) -> Vec<u8> {
    from_hex(&text(include_str!("../vectors/cwt_rfc8392.json"), name)).unwrap()
}

fn thumbprint(name: &str) -> String {
    text(include_str!("../vectors/thumbprint_rfc9679.json"), name)
}

fn text(file: &str, pointer: &str) -> String {
    let file: Value = serde_json::from_str(file).unwrap();
    file.pointer(pointer).unwrap().as_str().unwrap().to_owned()
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    from_hex(text).unwrap().try_into().unwrap()
}

/// The CBOR byte string of `external_aad`, in hex.
fn aad(object: Object) -> String {
    hex(&cbor::encode(|e| {
        e.bytes(object.external_aad())?;
        Ok(())
    }))
}

#[test]
fn a_sign1_structure_is_the_working_groups_with_our_aad_in_its_place() {
    let payload = from_hex(&cose("/payload")).unwrap();
    let ours = |protected: &str| hex(&sig_structure(&from_hex(protected).unwrap(), Object::Card, &payload));
    let with_aad = ours(&cose("/sign1_pass_02/protected"));
    let their_aad = format!("4c{}", cose("/sign1_pass_02/external_aad"));
    assert_eq!(with_aad.replace(&aad(Object::Card), &their_aad), cose("/sign1_pass_02/to_be_signed"));

    let without_aad = ours(&cose("/eddsa_sig_01/protected"));
    assert_eq!(without_aad.replace(&aad(Object::Card), "40"), cose("/eddsa_sig_01/to_be_signed"));
}

#[test]
fn a_sign_structure_is_the_working_groups_with_our_aad_header_and_payload_in_their_places() {
    let key = SecretKey::from_seed(&bytes(&cose("/key/secret_key"))).public_key();
    let bundle = TrustBundle {
        version: 1,
        issued: UnixSeconds(1),
        expires: UnixSeconds(2),
        roots: RootSet::new(vec![key], 1).unwrap(),
        keys: Vec::new(),
        policy: Policy::default(),
        status: None,
    };
    let ours = bundle.to_be_signed(key.key_id());
    let (theirs, aad) = (cose("/sign_pass_02/to_be_signed"), cose("/sign_pass_02/external_aad"));
    let theirs = from_hex(&theirs).unwrap();
    let read = |bytes: &[u8]| {
        let mut d = cbor::decoder(bytes).unwrap();
        let length = d.array().unwrap().unwrap();
        let context = d.str().unwrap().to_owned();
        let strings: Vec<_> = (1..length).map(|_| hex(d.bytes().unwrap())).collect();
        (context, strings)
    };
    let (context, strings) = read(&theirs);
    assert_eq!((context.as_str(), strings.len()), ("Signature", 4));
    assert_eq!(strings, ["", &cose("/sign_pass_02/protected"), &aad, &cose("/payload")]);
    let (context, strings) = read(&ours);
    assert_eq!((context.as_str(), strings.len()), ("Signature", 4));
    let protected = format!("a201320448{}", key.key_id());
    assert_eq!(strings[..3], [String::new(), protected, hex(Object::Trust.external_aad())]);
}

#[test]
fn the_working_groups_signatures_are_made_and_verified() {
    let key = SecretKey::from_seed(&bytes(&cose("/key/secret_key")));
    assert_eq!(hex(key.public_key().as_bytes()), cose("/key/public_key"));
    for example in ["eddsa_sig_01", "eddsa_01"] {
        let to_be_signed = from_hex(&cose(&format!("/{example}/to_be_signed"))).unwrap();
        let signature = Signature(bytes(&cose(&format!("/{example}/signature"))));
        assert_eq!(key.sign(&to_be_signed), signature, "{example}");
        assert_eq!(key.public_key().verify(&to_be_signed, &signature), Ok(()), "{example}");
    }
}

/// They are sound COSE and none of ours: the algorithm is the polymorphic EdDSA (−8), the key id is unprotected, a
/// content type is protected. Accepting them would be a second form for one meaning.
#[test]
fn the_working_groups_messages_are_outside_our_profile() {
    let sign1 = from_hex(&cose("/eddsa_sig_01/cbor")).unwrap();
    assert_eq!(check_deterministic(&sign1), Ok(()));
    let fault = Signed::<FeedHead>::decode(&sign1).unwrap_err();
    assert_eq!(fault, DecodeError::Malformed("protected header"));

    let sign = from_hex(&cose("/eddsa_01/cbor")).unwrap();
    assert_eq!(check_deterministic(&sign), Ok(()));
    let fault = trust::anchor(&sign).unwrap_err();
    assert_eq!(fault, TrustError::Unreadable(DecodeError::Malformed("body header is not empty")));
    let fault = Signed::<FeedHead>::decode(&sign).unwrap_err();
    assert_eq!(fault, DecodeError::Malformed("not a COSE_Sign1"));
}

/// RFC 8392 A.1: the claim keys and types that a card shares with every CWT, and the extension rule on the others.
#[test]
fn the_claims_of_a_cwt_are_read_by_their_registered_keys() {
    let claims = cwt("/a1_claims");
    let (mut texts, mut numbers, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    let mut decoder = cbor::decoder(&claims).unwrap();
    read_map(&mut decoder, |key, d| {
        match key {
            1 | 2 => texts.push(d.str()?.to_owned()),
            4..=6 => numbers.push(d.u64()?),
            _ => {
                unknown.push(key);
                return Ok(Key::Unknown);
            }
        }
        Ok(Key::Known)
    })
    .unwrap();
    assert_eq!(texts, ["coap://as.example.com", "erikw"]);
    assert_eq!(numbers, [1_444_064_944, 1_443_944_944, 1_443_944_944]);
    assert_eq!(unknown, [3, 7]);
    assert_eq!(CardClaims::decode(&claims), Err(DecodeError::Malformed("issuer")));
}

/// A.3 is signed with ES256, which no key of ours has; its envelope is refused before that. A.7 has a NumericDate with
/// a fraction, which RFC 8392 allows and our integers do not.
#[test]
fn signed_and_fractional_cwts_are_outside_our_profile() {
    let signed = cwt("/a3_signed");
    assert_eq!(check_deterministic(&signed), Ok(()));
    let fault = Signed::<CardClaims>::decode(&signed).unwrap_err();
    assert_eq!(fault, DecodeError::Malformed("protected header"));
    let fault = check_deterministic(&cwt("/a7_float_claims")).unwrap_err();
    assert_eq!(fault, DecodeError::Malformed("simple value or float"));
}

/// RFC 9679 §6 is an EC2 key: the required members in deterministic order are what our strict reader takes, and the
/// key as given there, with its kid last, is not. The OKP key goes through our own thumbprint.
#[test]
fn thumbprints() {
    let deterministic = |name: &str| check_deterministic(&from_hex(&thumbprint(name)).unwrap());
    assert_eq!(deterministic("/ec2_required"), Ok(()));
    let fault = DecodeError::Malformed("map keys not in order");
    assert_eq!(deterministic("/ec2_cose_key"), Err(fault));

    let whole = bytes::<32>(&thumbprint("/okp_thumbprint"));
    let first_eight = whole.first_chunk().unwrap();
    let key = PublicKey::from_bytes(&bytes(&thumbprint("/okp_public_key"))).unwrap();
    assert_eq!(hex(&key.to_cose_key()), thumbprint("/okp_required"));
    assert_eq!(hex(&key.thumbprint()), thumbprint("/okp_thumbprint"));
    assert_eq!(key.key_id(), KeyId(*first_eight));
}
