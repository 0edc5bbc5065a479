//! Trust bundles: bytes as received, payloads that chosen root keys sign for real, and chains of bundles.
//!
//! A bundle counts when the threshold of its own roots has signed it, and follows when that of the roots in hand has
//! too; versions and times never go back; whatever was read is read again from what it encodes to.

use std::sync::LazyLock;

use bhyt_core::cbor;
use bhyt_core::cose::{Object, Verified};
use bhyt_core::keys::{KeyId, SecretKey};
use bhyt_core::status::StatusVersion;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{self, IndexRange, KeyUse, RootSet, TrustBundle, TrustError, TrustedKey};

use super::input::{Input, Script};
use crate::authority::{Authority, at, trusted};
use crate::forge::{bstr, protected};

/// Five root keys; a set of them is five bits.
static ROOTS: LazyLock<[SecretKey; 5]> =
    LazyLock::new(|| [1, 2, 3, 4, 5].map(|seed| SecretKey::from_seed(&[seed; 32])));

/// A first bundle by roots 0 to 2, two of which must sign, and then one attempt after the other to follow it.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut held = trust::anchor(&sign(&first_payload(), 0b11)).expect("our own bundle");
    let mut steps = 0;
    while !input.is_empty() && steps < STEPS_MAX {
        steps += 1;
        let kind = input.byte() % 3;
        let next = match kind {
            0 => {
                let bytes = input.bytes();
                check_foreign(bytes);
                follow(&held, bytes, None)
            }
            1 => {
                let signers = input.byte();
                follow(&held, &sign(input.bytes(), signers), Some(signers))
            }
            _ => {
                let signers = input.byte();
                let bundle = draw_bundle(&mut input, held.claims());
                follow(&held, &bundle.sign(&chosen(signers)), Some(signers))
            }
        };
        held = next.unwrap_or(held);
    }
}

/// Bytes with signatures that the input brought along: ours, or none.
fn check_foreign(bytes: &[u8]) {
    if let Ok(read) = trust::anchor(bytes) {
        let known = known_bundles().iter().any(|bundle| bundle == read.claims());
        assert!(known, "a bundle that our roots have not signed");
    }
}

/// Tries to take a bundle. `signers` says whose signatures it has, if that is known.
fn follow(held: &Verified<TrustBundle>, bytes: &[u8], signers: Option<u8>) -> Option<Verified<TrustBundle>> {
    let anchored = trust::anchor(bytes);
    let before = held.claims();
    if let (Ok(read), Some(signers)) = (&anchored, signers) {
        let bundle = read.claims();
        assert!(reached(&bundle.roots, signers), "the threshold of its own roots");
        let again = trust::anchor(&bundle.sign(&chosen(signers)));
        assert_eq!(again.expect("a bundle as encoded").claims(), bundle);
    }
    match trust::accept(held, bytes) {
        Ok(None) => {
            assert!(
                bytes == held.bytes() || anchored.is_err() || anchored.is_ok_and(|it| it.claims() == before)
            );
            None
        }
        Ok(Some(next)) => {
            let after = next.claims();
            assert!(after.version > before.version && after.issued >= before.issued, "nothing goes back");
            let signed = signers.is_none_or(|signers| reached(&before.roots, signers));
            assert!(signed, "the threshold of the roots in hand");
            assert_eq!(anchored.expect("it stands alone too").claims(), after);
            assert!(trust::accept(&next, held.bytes()).is_err(), "there is no way back");
            Some(next)
        }
        Err(TrustError::Unreadable(_) | TrustError::DuplicateSigner) => None,
        Err(TrustError::TooFewSignatures { .. }) => {
            let both = |signers| {
                let own = anchored.as_ref().is_ok_and(|read| reached(&read.claims().roots, signers));
                own && reached(&before.roots, signers)
            };
            assert!(!signers.is_some_and(both), "enough signatures are enough");
            None
        }
        Err(TrustError::Rollback { .. } | TrustError::Fork { .. } | TrustError::TimeWentBack) => None,
    }
}

fn reached(roots: &RootSet, signers: u8) -> bool {
    let signing = chosen(signers).into_iter().filter(|key| roots.keys().contains(&key.public_key()));
    signing.count() >= roots.threshold()
}

fn chosen(signers: u8) -> Vec<&'static SecretKey> {
    ROOTS.iter().enumerate().filter(|(bit, _)| signers >> bit & 1 == 1).map(|(_, key)| key).collect()
}

/// A COSE_Sign over any payload by chosen roots, put together by hand.
fn sign(payload: &[u8], signers: u8) -> Vec<u8> {
    let signature = |key: &&SecretKey| {
        let header = protected(-19, key.public_key().key_id());
        let to_be_signed = cbor::encode(|e| {
            e.array(5)?.str("Signature")?.bytes(&[])?.bytes(&header)?;
            e.bytes(Object::Trust.external_aad())?.bytes(payload)?;
            Ok(())
        });
        [&[0x83], &bstr(&header)[..], &[0xa0], &bstr(&key.sign(&to_be_signed).0)].concat()
    };
    let signers = chosen(signers);
    let signatures: Vec<u8> = signers.iter().flat_map(signature).collect();
    // Tag 98, four parts, no body headers; there are fewer than 24 signers.
    let head = [&[0xd8, 98, 0x84, 0x40, 0xa0], &bstr(payload)[..], &[0x80 | signers.len() as u8]];
    [&head.concat(), &signatures[..]].concat()
}

/// A bundle near the one in hand: most of them could follow it.
fn draw_bundle(input: &mut Input<'_>, held: &TrustBundle) -> TrustBundle {
    let roots = chosen(input.byte()).iter().map(|key| key.public_key()).collect();
    let roots = RootSet::new(roots, input.below(5)).unwrap_or_else(|| held.roots.clone());
    let authority = Authority::new(7);
    let signing = [&authority.card_key, &authority.status_key, &authority.head_key];
    let keys = signing.into_iter().map(|key| draw_key(input, key)).collect();
    TrustBundle {
        version: held.version.wrapping_add(u64::from(input.byte())).wrapping_sub(1),
        issued: held.issued.plus(input.byte().into()).minus(1),
        expires: UnixSeconds(input.number()),
        roots,
        keys,
        policy: held.policy,
        status: (input.byte() & 1 == 1).then(|| StatusVersion { epoch: 1, number: input.number() }),
    }
}

fn draw_key(input: &mut Input<'_>, key: &SecretKey) -> TrustedKey {
    let usage = KeyUse::from_code(u64::from(input.byte() % 12));
    let set = input.byte();
    TrustedKey {
        signs_from: UnixSeconds(u64::from(set) << 24),
        signs_until: (set & 1 == 1).then(|| UnixSeconds(input.number())),
        verify_until: (set & 2 == 2).then(|| UnixSeconds(input.number())),
        ranges: vec![IndexRange { first: set.into(), count: 1 }; usize::from(set >> 6)],
        ..trusted(key, usage)
    }
}

fn first_bundle() -> TrustBundle {
    let roots = ROOTS.iter().take(3).map(SecretKey::public_key).collect();
    let roots = RootSet::new(roots, 2).expect("three keys");
    TrustBundle { roots, ..Authority::new(7).bundle(1, at(2026, 5, 1)) }
}

/// Bundles with signatures in the seeds.
fn known_bundles() -> Vec<TrustBundle> {
    let first = first_bundle();
    let roots = ROOTS.iter().skip(1).map(SecretKey::public_key).collect();
    let next = TrustBundle {
        version: 2,
        issued: first.issued.plus(1),
        roots: RootSet::new(roots, 3).expect("four keys"),
        status: Some(StatusVersion { epoch: 1, number: 7 }),
        ..first.clone()
    };
    vec![first, next]
}

/// The payload of the first bundle, out of its Sig_structure.
fn payload(bundle: &TrustBundle) -> Vec<u8> {
    let to_be_signed = bundle.to_be_signed(KeyId([0; 8]));
    let mut d = cbor::decoder(&to_be_signed).expect("CBOR");
    d.array().and_then(|_| d.str().map(drop)).expect("a Sig_structure");
    (0..4).map(|_| d.bytes().expect("its parts").to_vec()).last().expect("its payload")
}

fn first_payload() -> Vec<u8> {
    payload(&first_bundle())
}

/// The bundles as signed, their payloads, and drawn chains.
pub fn seeds() -> Vec<Vec<u8>> {
    let known = known_bundles();
    let mut seeds = Vec::new();
    for bundle in &known {
        let signed = bundle.sign(&chosen(0b1_1111));
        seeds.push(Script::new().raw(&[0]).bytes(&signed).done());
        seeds.push(Script::new().raw(&[1, 0b111]).bytes(&payload(bundle)).done());
    }
    // A drawn bundle: signers, roots, threshold; three keys of use and set; version, issued, expires, status.
    let drawn = |signers: u8, roots: u8, threshold: u8| {
        let keys = Script::new().raw(&[2, signers, roots, threshold, 1, 0, 2, 64, 3, 4]);
        keys.raw(&[2, 2]).number(u64::MAX / 2).raw(&[0]).done()
    };
    seeds.push([drawn(0b11, 0b111, 2), drawn(0b11, 0b11110, 3), drawn(0b11110, 0b11110, 3)].concat());
    seeds.push([drawn(0b11111, 0b11000, 1), drawn(0b11000, 0b11000, 2)].concat());
    seeds
}

/// Bundles in one input.
const STEPS_MAX: usize = 8;
