//! Trust bundles: what is taken, what is refused and with which error, and how keys come and go. A bundle is a small TUF
//! root: version N is signed by the thresholds of N−1 and of N.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::card::CardClaims;
use bhyt_core::cbor::{self, DecodeError};
use bhyt_core::cose::{Object, Verified};
use bhyt_core::ids::from_hex;
use bhyt_core::keys::{KeyId, PublicKey, SecretKey, Signature};
use bhyt_core::limits::{ROOT_KEYS_MAX, TRUST_BYTES_MAX, TRUST_KEYS_MAX};
use bhyt_core::presentation::Presentation;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{self, IndexRange, KeyUse, RootSet, Roots, TrustBundle, TrustError};
use bhyt_tests::authority::{Authority, DAY, ListDraft, at, example_card, trusted};
use bhyt_tests::desk::Desk;

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn roots(keys: &[&SecretKey], threshold: usize) -> RootSet {
    RootSet::new(keys.iter().map(|key| key.public_key()).collect(), threshold).unwrap()
}

/// A terminal that holds version 5 of 1 June 2026.
struct Terminal {
    authority: Authority,
    held: Verified<TrustBundle>,
}

impl Terminal {
    fn new() -> Self {
        let authority = Authority::new(7);
        let held = authority.trust(&authority.bundle(5, at(2026, 6, 1)));
        Self { authority, held }
    }

    fn next(&self) -> TrustBundle {
        self.authority.bundle(6, at(2026, 7, 1))
    }

    /// Offers a bundle; the version in hand afterwards.
    fn check(&self, bytes: &[u8], expected: Result<u64, TrustError>) {
        let found = trust::accept(&self.held, bytes);
        let version = |next: Option<Verified<TrustBundle>>| next.map_or(5, |next| next.claims().version);
        assert_eq!(found.map(version), expected);
    }
}

const TOO_FEW: Result<u64, TrustError> = Err(TrustError::TooFewSignatures { of: Roots::Held });
const TOO_FEW_OWN: Result<u64, TrustError> = Err(TrustError::TooFewSignatures { of: Roots::Own });

#[test]
fn versions_go_up_and_nothing_goes_back() {
    let terminal = Terminal::new();
    let sign = |bundle: &TrustBundle| terminal.authority.sign_bundle(bundle);
    terminal.check(&sign(&terminal.next()), Ok(6));
    terminal.check(&sign(&TrustBundle { version: 900, ..terminal.next() }), Ok(900));
    terminal.check(terminal.held.bytes(), Ok(5));
    let older = TrustBundle { version: 4, ..terminal.next() };
    terminal.check(&sign(&older), Err(TrustError::Rollback { held: 5, got: 4 }));
    let other = TrustBundle { version: 5, ..terminal.next() };
    terminal.check(&sign(&other), Err(TrustError::Fork { version: 5 }));
    let earlier = TrustBundle { issued: at(2026, 6, 1).minus(1), ..terminal.next() };
    terminal.check(&sign(&earlier), Err(TrustError::TimeWentBack));
    terminal.check(&sign(&TrustBundle { issued: at(2026, 6, 1), ..terminal.next() }), Ok(6));
}

/// The signatures are not part of what is signed: anybody can take one off, or put them in another order.
#[test]
fn the_same_bundle_under_other_signatures_is_no_fork() {
    let terminal = Terminal::new();
    let [a, b, c] = &terminal.authority.roots;
    for signers in [&[b, a][..], &[a, b, c], &[b, c], &[c]] {
        terminal.check(&terminal.held.claims().sign(signers), Ok(5));
    }
}

#[test]
fn a_threshold_is_of_different_root_keys() {
    let terminal = Terminal::new();
    let ([a, b, c], next) = (&terminal.authority.roots, terminal.next());
    let stranger = secret(99);
    terminal.check(&next.sign(&[a, c]), Ok(6));
    terminal.check(&next.sign(&[a, b, c]), Ok(6));
    terminal.check(&next.sign(&[&stranger, b, c]), Ok(6));
    terminal.check(&next.sign(&[a]), TOO_FEW);
    terminal.check(&next.sign(&[a, &stranger]), TOO_FEW);
    terminal.check(&next.sign(&[a, &terminal.authority.card_key]), TOO_FEW);
    terminal.check(&next.sign(&[a, a]), Err(TrustError::DuplicateSigner));
    terminal.check(&next.sign(&[a, b, a]), Err(TrustError::DuplicateSigner));
    // One key under the id of another: the id is part of what is signed, and is the key's own.
    let as_b =
        |key: &SecretKey| (b.public_key().key_id(), key.sign(&next.to_be_signed(b.public_key().key_id())));
    let by_a = (a.public_key().key_id(), a.sign(&next.to_be_signed(a.public_key().key_id())));
    terminal.check(&next.seal(&[by_a, as_b(a)]), TOO_FEW);
    terminal.check(&next.seal(&[by_a, as_b(b)]), Ok(6));
    // A signature that does not hold is none, and does no harm.
    let broken = (c.public_key().key_id(), Signature([7; 64]));
    terminal.check(&next.seal(&[by_a, broken]), TOO_FEW);
    terminal.check(&next.seal(&[by_a, as_b(b), broken]), Ok(6));
    // Signed as another object, or over other bytes.
    let elsewhere = TrustBundle { version: 7, ..next.clone() };
    let moved = (b.public_key().key_id(), b.sign(&elsewhere.to_be_signed(b.public_key().key_id())));
    terminal.check(&next.seal(&[by_a, moved]), TOO_FEW);
}

#[test]
fn a_root_set_is_different_keys_and_a_threshold_among_them() {
    let keys = |count: u8| (1..=count).map(|seed| secret(seed).public_key()).collect::<Vec<PublicKey>>();
    let check = |keys: Vec<PublicKey>, threshold, good: bool| {
        assert_eq!(RootSet::new(keys, threshold).is_some(), good);
    };
    check(keys(1), 1, true);
    check(keys(ROOT_KEYS_MAX as u8), ROOT_KEYS_MAX, true);
    check(keys(ROOT_KEYS_MAX as u8 + 1), 1, false);
    check(keys(0), 0, false);
    check(keys(3), 0, false);
    check(keys(3), 4, false);
    check([keys(2), keys(1)].concat(), 2, false);
}

#[test]
fn a_root_change_needs_both_thresholds() {
    let terminal = Terminal::new();
    let [a, b, c] = &terminal.authority.roots;
    let (d, e) = (secret(21), secret(22));
    let next = TrustBundle { roots: roots(&[&d, &e, c], 2), ..terminal.next() };
    terminal.check(&next.sign(&[a, b]), TOO_FEW_OWN);
    terminal.check(&next.sign(&[&d, &e]), TOO_FEW);
    terminal.check(&next.sign(&[a, b, &d]), TOO_FEW_OWN);
    terminal.check(&next.sign(&[a, b, &d, &e]), Ok(6));
    // A key of both sets counts in both.
    terminal.check(&next.sign(&[a, c, &d]), Ok(6));
    // A threshold that grows binds its own bundle.
    let stricter = TrustBundle { roots: roots(&[a, b, c], 3), ..terminal.next() };
    terminal.check(&stricter.sign(&[a, b]), TOO_FEW_OWN);
    terminal.check(&stricter.sign(&[a, b, c]), Ok(6));
}

#[test]
fn a_terminal_that_was_away_takes_each_root_change_in_turn() {
    let terminal = Terminal::new();
    let [a, b, _] = &terminal.authority.roots;
    let (d, e, f, g) = (secret(21), secret(22), secret(23), secret(24));
    let second = TrustBundle { roots: roots(&[&d, &e], 2), ..terminal.next() };
    let third = TrustBundle { version: 7, roots: roots(&[&f, &g], 1), ..second.clone() };
    let fourth = TrustBundle { version: 8, ..third.clone() };
    let (second, third, fourth) =
        (second.sign(&[a, b, &d, &e]), third.sign(&[&d, &e, &f]), fourth.sign(&[&g]));
    for out_of_turn in [&third, &fourth] {
        terminal.check(out_of_turn, TOO_FEW);
    }
    let mut held = terminal.held.clone();
    for (bytes, version) in [(&second, 6), (&third, 7), (&fourth, 8)] {
        held = trust::accept(&held, bytes).unwrap().unwrap();
        assert_eq!(held.claims().version, version);
    }
    // And nobody leads it back to the keys that were left.
    let old_keys = TrustBundle { version: 9, ..terminal.next() };
    assert_eq!(
        trust::accept(&held, &old_keys.sign(&[a, b])).unwrap_err(),
        TrustError::TooFewSignatures { of: Roots::Held }
    );
}

#[test]
fn bounds_are_kept_before_anything_is_read() {
    let terminal = Terminal::new();
    let malformed = |bytes: &[u8]| {
        let found = trust::accept(&terminal.held, bytes).unwrap_err();
        assert!(matches!(found, TrustError::Unreadable(DecodeError::Malformed(_))), "{found:?}");
    };
    malformed(&vec![0xd8; TRUST_BYTES_MAX + 1]);
    malformed(&[]);
    let bytes = terminal.authority.sign_bundle(&terminal.next());
    (0..bytes.len()).for_each(|cut| malformed(&bytes[..cut]));
    malformed(&[&bytes[..], &[0]].concat());
    let key = |number: usize| {
        let mut seed = [3; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        trusted(&SecretKey::from_seed(&seed), KeyUse::Terminal)
    };
    let with_keys = |count| {
        let keys = (0..count).map(key).collect();
        terminal.authority.sign_bundle(&TrustBundle { keys, ..terminal.next() })
    };
    terminal.check(&with_keys(TRUST_KEYS_MAX), Ok(6));
    malformed(&with_keys(TRUST_KEYS_MAX + 1));
    let mut ranged = terminal.next();
    ranged.keys[0].ranges = vec![IndexRange { first: 9, count: 0 }];
    malformed(&terminal.authority.sign_bundle(&ranged));
}

#[test]
fn no_changed_bit_makes_another_bundle() {
    let terminal = Terminal::new();
    let next = terminal.next();
    let bytes = terminal.authority.sign_bundle(&next);
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let taken = trust::accept(&terminal.held, &bytes);
        assert!(taken.is_err(), "bit {bit}");
    }
}

#[test]
fn a_key_stands_once_whatever_its_use() {
    let terminal = Terminal::new();
    let check = |change: fn(&mut TrustBundle, &Authority)| {
        let mut bundle = terminal.next();
        change(&mut bundle, &terminal.authority);
        let twice = TrustError::Unreadable(DecodeError::Malformed("a key stands twice"));
        terminal.check(&terminal.authority.sign_bundle(&bundle), Err(twice));
    };
    check(|bundle, authority| bundle.keys.push(trusted(&authority.card_key, KeyUse::Status)));
    check(|bundle, authority| bundle.keys.push(trusted(&authority.card_key, KeyUse::Card)));
    check(|bundle, authority| bundle.keys.push(trusted(&authority.roots[2], KeyUse::Card)));
}

/// The bytes of a bundle put together by hand, signed by the first two roots.
fn sign_payload(authority: &Authority, payload: &[u8]) -> Vec<u8> {
    let protected = |key: KeyId| {
        cbor::encode(|e| {
            e.map(2)?.u8(1)?.i8(-19)?.u8(4)?.bytes(&key.0)?;
            Ok(())
        })
    };
    cbor::encode(|e| {
        e.tag(minicbor::data::Tag::new(98))?.array(4)?.bytes(&[])?.map(0)?.bytes(payload)?.array(2)?;
        for root in authority.roots.iter().take(2) {
            let protected = protected(root.public_key().key_id());
            let to_be_signed = cbor::encode(|e| {
                e.array(5)?.str("Signature")?.bytes(&[])?.bytes(&protected)?;
                e.bytes(Object::Trust.external_aad())?.bytes(payload)?;
                Ok(())
            });
            e.array(3)?.bytes(&protected)?.map(0)?.bytes(&root.sign(&to_be_signed).0)?;
        }
        Ok(())
    })
}

/// A whole bundle's payload: version 6, its roots, the given keys in hex, the policy and further entries in hex.
fn payload(authority: &Authority, entries: u8, keys: &str, policy: &str, more: &str) -> Vec<u8> {
    let roots: Vec<u8> = authority
        .roots
        .iter()
        .flat_map(|root| [&[0x58, 32], &root.public_key().as_bytes()[..]].concat())
        .collect();
    let issued = at(2026, 7, 1).0 as u32;
    [
        &[0xa0 + entries, 1, 6, 2, 0x1a],
        &issued.to_be_bytes()[..],
        &[3, 0x1a],
        &(issued + 9_999).to_be_bytes(),
        &[4, 0x83],
        &roots,
        &[5, 2, 6],
        &from_hex(keys).unwrap(),
        &[7],
        &from_hex(policy).unwrap(),
        &from_hex(more).unwrap(),
    ]
    .concat()
}

#[test]
fn newer_bundles_are_read_as_far_as_they_are_understood() {
    let terminal = Terminal::new();
    let check = |entries, keys: &str, policy: &str, more: &str, expected| {
        let payload = payload(&terminal.authority, entries, keys, policy, more);
        terminal.check(&sign_payload(&terminal.authority, &payload), expected);
    };
    let needs_update = Err(TrustError::Unreadable(DecodeError::NeedsUpdate));
    let card = trusted(&secret(40), KeyUse::Card)
        .key
        .as_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect::<String>();
    // {1: key, 2: use 1, 3: 0}
    let key = format!("81a3015820{card}02010300");
    check(7, &key, "a0", "", Ok(6));
    // An entry of 0 and more is ignored wherever it stands: in the bundle, in a key, in the policy.
    check(8, &key, "a0", "1763666f6f", Ok(6));
    check(7, &format!("81a4015820{card}020103001700"), "a0", "", Ok(6));
    check(7, &key, "a11701", "", Ok(6));
    // A negative one is not.
    check(8, &key, "a0", "2001", needs_update);
    check(7, &format!("81a4015820{card}020103002000"), "a0", "", needs_update);
    check(7, &key, "a12001", "", needs_update);
    // A use that this program does not know is nothing to it, whatever kind of key it is for.
    check(7, &format!("81a3015820{card}020a0300"), "a0", "", Ok(6));
    check(7, &format!("81a3015820{}020a0300", "02".repeat(32)), "a0", "", Ok(6));
    check(7, &format!("81a3015821{}02181e0300", "ab".repeat(33)), "a0", "", Ok(6));
    // For a use that it knows, the key is one of ours.
    let malformed = Err(TrustError::Unreadable(DecodeError::Malformed("public key")));
    check(7, &format!("81a3015820{}02010300", "02".repeat(32)), "a0", "", malformed);
    check(7, &format!("81a3015821{}02010300", "ab".repeat(33)), "a0", "", malformed);
}

#[test]
fn what_the_policy_leaves_out_is_the_default() {
    let terminal = Terminal::new();
    let payload = payload(&terminal.authority, 7, "80", "a10205", "");
    let next = trust::accept(&terminal.held, &sign_payload(&terminal.authority, &payload)).unwrap().unwrap();
    let policy = next.claims().policy;
    assert_eq!((policy.fresh_seconds, policy.stale_seconds), (DAY, 5));
    assert_eq!((policy.proof_age_seconds, policy.proof_ahead_seconds), (120, 60));
    assert_eq!(policy.trust_grace_seconds, 180 * DAY);
}

#[test]
fn a_key_signs_what_it_is_for() {
    let authority = Authority::new(7);
    let desk = Desk::of(&authority, at(2026, 6, 1));
    let keys = [&authority.status_key, &authority.head_key];
    for key in keys {
        let forger = Authority { card_key: key.clone(), ..Authority::new(7) };
        let card = Presentation::new(forger.sign_card(example_card()), None);
        assert_eq!(desk.answer(&card), "reject bad_signature 050");
    }
    // A key of a use that this program does not know may be anything; a root key stands in no list of keys.
    let mut bundle = authority.bundle(1, at(2026, 5, 1));
    bundle.keys.push(trusted(&secret(60), KeyUse::Other(10)));
    let desk = Desk { trust: authority.trust(&bundle), ..desk };
    for key in [&secret(60), &secret(61), &authority.roots[0]] {
        let forger = Authority { card_key: key.clone(), ..Authority::new(7) };
        let card = Presentation::new(forger.sign_card(example_card()), None);
        assert_eq!(desk.answer(&card), "undecided unknown_key 500");
    }
}

/// The issuing key is followed by another while a phone is offline for eight months.
#[test]
fn a_phone_that_was_away_shows_a_card_of_the_old_key() {
    let (old, new) = (Authority::new(7), Authority { card_key: secret(70), ..Authority::new(7) });
    let (turn, now) = (at(2026, 1, 10), at(2026, 9, 1));
    let mut bundle = new.bundle(2, at(2026, 8, 1));
    bundle.keys[0].signs_from = turn;
    bundle.keys.push(trusted(&old.card_key, KeyUse::Card));
    bundle.keys[3].signs_until = Some(turn);
    let show = |bundle: &TrustBundle, signer: &Authority, issued_at: UnixSeconds| {
        let list = old.sign_list(&ListDraft::new(1, now).list());
        let desk = Desk::new(new.trust(bundle), &list, now);
        let card = signer.sign_card(CardClaims { issued_at, ..example_card() });
        desk.answer(&Presentation::new(card, None))
    };
    let (good, bad) = ("accept fresh no_proof 000", "reject bad_signature 050");
    assert_eq!(show(&bundle, &old, turn.minus(1)), good);
    assert_eq!(show(&bundle, &old, turn), bad);
    assert_eq!(show(&bundle, &new, turn), good);
    assert_eq!(show(&bundle, &new, turn.minus(1)), bad);
    // In time the old key is closed for good, and at last leaves the bundle: a key nobody knows is no forgery.
    bundle.keys[3].verify_until = Some(now);
    assert_eq!(show(&bundle, &old, turn.minus(1)), bad);
    bundle.keys.pop();
    assert_eq!(show(&bundle, &old, turn.minus(1)), "undecided unknown_key 500");
    // A terminal whose bundle is older than the new key does not know it either.
    assert_eq!(show(&old.bundle(1, at(2025, 12, 1)), &new, turn), "undecided unknown_key 500");
}

#[test]
fn a_fingerprint_is_of_the_threshold_and_the_keys_in_any_order() {
    let (a, b, c) = (secret(1), secret(2), secret(3));
    let fingerprint = |keys: &[&SecretKey], threshold| roots(keys, threshold).fingerprint();
    let usual = fingerprint(&[&a, &b, &c], 2);
    assert_eq!(fingerprint(&[&c, &a, &b], 2), usual);
    assert_ne!(fingerprint(&[&a, &b, &c], 1), usual);
    assert_ne!(fingerprint(&[&a, &b], 2), usual);
}
