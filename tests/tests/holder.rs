//! Whether the person at the desk holds the card: every reason and both bases, to the second, and what is remembered of a
//! proof. On each of these the card itself is good.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::card::CardClaims;
use bhyt_core::ids::BindingNumber;
use bhyt_core::keys::KeyId;
use bhyt_core::limits::{CHALLENGES_MAX, REPLAY_KEYS_MAX};
use bhyt_core::presentation::{Challenge, Presentation, Proof, ReplayKey, UnsignedProof};
use bhyt_core::presentation_key::KeyKind;
use bhyt_core::replay::{ReplayCache, SeenProof};
use bhyt_core::time::{Day, UnixSeconds};
use bhyt_core::trust::Policy;
use bhyt_tests::authority::{Authority, DAY, ListDraft, Phone, at, day, example_card};
use bhyt_tests::desk::Desk;
use bhyt_tests::forge::{P256_ORDER, other_form};

/// A member with a phone, at a desk at noon of 1 June 2026.
struct Visit {
    authority: Authority,
    phone: Phone,
    card: Vec<u8>,
    desk: Desk,
}

impl Visit {
    fn new() -> Self {
        Self::bound_until(day(2026, 11, 1))
    }

    fn bound_until(end: Day) -> Self {
        Self::with(Phone::new(8), end)
    }

    fn with(phone: Phone, end: Day) -> Self {
        let authority = Authority::new(7);
        let card = CardClaims { binding: Some(phone.binding(end)), ..example_card() };
        let (card, desk) = (authority.sign_card(card), Desk::of(&authority, NOON));
        Self { authority, phone, card, desk }
    }

    fn proof_at(&self, time: UnixSeconds) -> Presentation {
        self.phone.present(&self.card, time, None)
    }

    fn answer_to(&self, challenge: Challenge, time: UnixSeconds) -> Presentation {
        self.phone.present(&self.card, time, Some(challenge))
    }

    /// Another proof of the same second.
    fn proof_with(&self, nonce: u8, time: UnixSeconds) -> Presentation {
        self.phone.prove(&self.card, UnsignedProof { time, nonce: [nonce; 4], challenge: None })
    }

    fn check(&mut self, presentation: &Presentation, holder: &str) {
        assert_eq!(self.desk.scan(presentation), format!("accept fresh {holder} 000"));
    }
}

fn challenge(number: u8) -> Challenge {
    Challenge { terminal: KeyId([0xaa; 8]), random: [number; 8] }
}

#[test]
fn a_proof_counts_from_two_minutes_old_to_one_minute_ahead() {
    for (time, holder) in [
        (NOON, "proven_by_clock"),
        (NOON.minus(120), "proven_by_clock"),
        (NOON.minus(121), "proof_stale"),
        (NOON.plus(60), "proven_by_clock"),
        (NOON.plus(61), "proof_from_future"),
        (UnixSeconds(0), "proof_stale"),
        (UnixSeconds(u64::MAX), "proof_from_future"),
    ] {
        let mut visit = Visit::new();
        let proof = visit.proof_at(time);
        visit.check(&proof, holder);
    }
}

#[test]
fn the_bundle_says_how_long_a_proof_counts() {
    let mut visit = Visit::new();
    let mut bundle = visit.authority.bundle(2, NOON);
    bundle.policy = Policy { proof_age_seconds: 10, proof_ahead_seconds: 0, ..Policy::default() };
    visit.desk.trust = visit.authority.trust(&bundle);
    for (time, holder) in [
        (NOON.minus(10), "proven_by_clock"),
        (NOON.minus(11), "proof_stale"),
        (NOON.plus(1), "proof_from_future"),
    ] {
        let proof = visit.proof_at(time);
        visit.check(&proof, holder);
    }
}

#[test]
fn a_card_without_a_proof_is_a_good_card() {
    let mut visit = Visit::new();
    let card = visit.card.clone();
    visit.check(&Presentation::new(card, None), "no_proof");
}

#[test]
fn a_proof_is_the_cards_own_or_the_card_is_refused() {
    let visit = Visit::new();
    let check = |presentation: Presentation| {
        assert_eq!(visit.desk.answer(&presentation), "reject bad_proof 050");
    };
    check(Phone::new(9).present(&visit.card, NOON, None));
    // A proof of this phone for another of its cards.
    let other = visit.authority.sign_card(CardClaims {
        issued_at: at(2025, 12, 21),
        binding: Some(visit.phone.binding(day(2026, 11, 1))),
        ..example_card()
    });
    let proof = visit.phone.present(&other, NOON, None).proof().cloned();
    check(Presentation::new(visit.card.clone(), proof));
    // Every part of a proof is signed.
    let proof = visit.proof_at(NOON).proof().cloned().unwrap();
    let changed = |proof: Proof| Presentation::new(visit.card.clone(), Some(proof));
    check(changed(Proof { time: NOON.plus(1), ..proof }));
    check(changed(Proof { nonce: [0; 4], ..proof }));
    check(changed(Proof { challenge: Some(challenge(1)), ..proof }));
    // A card without a device has no phone to prove it.
    let unbound = visit.authority.sign_card(example_card());
    check(visit.phone.present(&unbound, NOON, None));
}

#[test]
fn a_proof_is_taken_once() {
    let mut visit = Visit::new();
    let (first, second) = (visit.proof_with(1, NOON), visit.proof_with(2, NOON));
    visit.check(&first, "proven_by_clock");
    visit.check(&first, "proof_seen_before");
    visit.check(&second, "proven_by_clock");
    visit.check(&first, "proof_seen_before");
}

#[test]
fn a_phone_on_p256_proves_its_holder_as_any_other() {
    let p256 = |seed| Phone::of_kind(KeyKind::P256, seed);
    let mut visit = Visit::with(p256(8), day(2026, 11, 1));
    let proof = visit.proof_at(NOON);
    visit.check(&proof, "proven_by_clock");
    visit.check(&proof, "proof_seen_before");
    visit.desk.show(challenge(1));
    let answer = visit.answer_to(challenge(1), UnixSeconds(0));
    visit.check(&answer, "proven_by_challenge");
    // The key's kind decides how a proof is read: the same bytes of secret make another key, and no proof for this card.
    let other_kind = Visit::new();
    for (card, phone) in [(&visit.card, Phone::new(8)), (&visit.card, p256(9)), (&other_kind.card, p256(8))] {
        let desk = Desk::of(&visit.authority, NOON);
        assert_eq!(desk.answer(&phone.present(card, NOON, None)), "reject bad_proof 050");
    }
    let proof = visit.proof_with(9, NOON).proof().cloned().unwrap();
    for (from, to) in [(0, 32), (32, 64), (0, 64)] {
        for bad in [[0; 32], P256_ORDER, [0xff; 32]] {
            let mut signature = proof.signature;
            signature.0[from..to].copy_from_slice(&bad.repeat(2)[..to - from]);
            let spoilt = Presentation::new(visit.card.clone(), Some(Proof { signature, ..proof.clone() }));
            assert_eq!(visit.desk.answer(&spoilt), "reject bad_proof 050");
        }
    }
}

/// ECDSA has two signatures for one: whoever sees a proof can write the other, and it is no second proof.
#[test]
fn a_proof_in_its_other_form_is_the_same_proof() {
    for first_as_made in [true, false] {
        let mut visit = Visit::with(Phone::of_kind(KeyKind::P256, 8), day(2026, 11, 1));
        let made = visit.proof_at(NOON);
        let proof = made.proof().cloned().unwrap();
        let signature = other_form(&proof.signature);
        assert_ne!(signature, proof.signature);
        let other = Presentation::new(visit.card.clone(), Some(Proof { signature, ..proof }));
        let (first, second) = if first_as_made { (made, other) } else { (other, made) };
        visit.check(&first, "proven_by_clock");
        visit.check(&second, "proof_seen_before");
    }
}

#[test]
fn what_was_not_relied_on_is_not_remembered() {
    let mut visit = Visit::new();
    let early = visit.proof_at(NOON.plus(70));
    visit.check(&early, "proof_from_future");
    visit.desk.clock = NOON.plus(30);
    visit.check(&early, "proven_by_clock");
}

#[test]
fn an_answer_to_this_terminals_challenge_counts_whatever_the_phones_clock_says() {
    for time in [NOON, UnixSeconds(0), NOON.minus(400 * DAY), NOON.plus(400 * DAY), UnixSeconds(u64::MAX)] {
        let mut visit = Visit::new();
        visit.desk.show(challenge(1));
        let answer = visit.answer_to(challenge(1), time);
        visit.check(&answer, "proven_by_challenge");
        visit.check(&answer, "proof_seen_before");
    }
}

#[test]
fn a_challenge_is_this_terminals_is_answered_once_and_ends() {
    let mut visit = Visit::new();
    visit.desk.show(challenge(1));
    let not_ours = Challenge { terminal: KeyId([0xbb; 8]), ..challenge(1) };
    for other in [not_ours, challenge(2)] {
        let answer = visit.answer_to(other, NOON);
        visit.check(&answer, "proof_seen_before");
    }
    let again = visit.answer_to(challenge(1), NOON.plus(1));
    let answer = visit.answer_to(challenge(1), NOON);
    visit.check(&answer, "proven_by_challenge");
    visit.check(&again, "proof_seen_before");

    for (waited, holder) in [(119, "proven_by_challenge"), (120, "proof_seen_before")] {
        let mut visit = Visit::new();
        visit.desk.show(challenge(1));
        visit.desk.clock = NOON.plus(waited);
        let answer = visit.answer_to(challenge(1), NOON);
        visit.check(&answer, holder);
    }
}

#[test]
fn challenges_are_bounded_and_the_oldest_goes() {
    let mut cache = ReplayCache::default();
    for number in 0..=CHALLENGES_MAX as u8 {
        cache.show_challenge(challenge(number), NOON.plus(100 + u64::from(number)), NOON);
    }
    assert!(!cache.awaits(&challenge(0), NOON) && cache.awaits(&challenge(1), NOON));
    // Showing one clears those that are over.
    cache.show_challenge(challenge(200), NOON.plus(999), NOON.plus(500));
    assert!(!cache.awaits(&challenge(1), NOON));
}

#[test]
fn a_retired_device_is_not_a_withdrawn_card() {
    let mut visit = Visit::new();
    let (index, binding) = (example_card().status_index, |number| BindingNumber::new(number).unwrap());
    let mut list = ListDraft::new(2, NOON);
    list.sets.retire_binding(index, binding(4));
    let proof = visit.proof_with(1, NOON);
    visit.desk.take_list(&visit.authority.sign_list(&list.list())).unwrap();
    visit.check(&proof, "proven_by_clock");

    (list.version.number, list.time) = (3, NOON.plus(1));
    list.sets.retire_binding(index, binding(3));
    visit.desk.take_list(&visit.authority.sign_list(&list.list())).unwrap();
    let (proof, printed) = (visit.proof_with(2, NOON), Presentation::new(visit.card.clone(), None));
    visit.check(&proof, "device_retired");
    visit.check(&printed, "no_proof");
    visit.desk.show(challenge(1));
    let answer = visit.answer_to(challenge(1), NOON);
    visit.check(&answer, "device_retired");
}

#[test]
fn a_binding_counts_through_its_last_day_in_vietnam() {
    let end = day(2026, 6, 1);
    // Its day ends at 17:00 UTC; noon in Vietnam is 05:00 UTC.
    let (last, over) = (end.plus_days(1).start().minus(1), end.plus_days(1).start());
    assert_eq!(over.0 % DAY, 61_200);
    for (clock, holder) in [(last, "proven_by_clock"), (over, "binding_ended")] {
        let mut visit = Visit::bound_until(end);
        visit.desk.clock = clock;
        let proof = visit.proof_at(clock);
        visit.check(&proof, holder);
        visit.desk.show(challenge(1));
        let answer = visit.answer_to(challenge(1), clock);
        let holder = if holder == "binding_ended" { holder } else { "proven_by_challenge" };
        visit.check(&answer, holder);
    }
}

#[test]
fn a_terminal_that_knows_its_clock_to_be_behind_believes_a_challenge_only() {
    // The list is of noon: it cannot be earlier. A minute is no doubt, as a proof a minute ahead is none.
    for (behind, holder) in [(60, "proven_by_clock"), (61, "clock_untrusted"), (DAY, "clock_untrusted")] {
        let mut visit = Visit::new();
        visit.desk.clock = NOON.minus(behind);
        let proof = visit.proof_at(visit.desk.clock);
        visit.check(&proof, holder);
        visit.desk.show(challenge(1));
        let answer = visit.answer_to(challenge(1), visit.desk.clock);
        visit.check(&answer, "proven_by_challenge");
    }
}

/// Two hundred proofs, a minute apart, then all of them again with the clock set back to when each was made.
#[test]
fn what_was_forgotten_is_old_and_never_new() {
    let mut visit = Visit::new();
    let proofs: Vec<_> = (0..200).map(|minute| (NOON.plus(60 * minute), minute as u8)).collect();
    for &(time, nonce) in &proofs {
        visit.desk.clock = time;
        let proof = visit.proof_with(nonce, time);
        visit.check(&proof, "proven_by_clock");
    }
    for &(time, nonce) in &proofs {
        visit.desk.clock = time;
        let answer = visit.desk.scan(&visit.proof_with(nonce, time));
        assert!(
            ["proof_stale", "proof_seen_before"].iter().any(|holder| answer.contains(holder)),
            "{answer}"
        );
    }
}

#[test]
fn the_cache_is_bounded_and_says_what_to_store_and_what_to_remove() {
    let policy = Policy::default();
    let proof = |number: u64, time| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        SeenProof { key: ReplayKey(key), time }
    };
    let mut cache = ReplayCache::default();
    for number in 0..REPLAY_KEYS_MAX as u64 {
        let change = cache.remember(proof(number, NOON), None, &policy);
        assert_eq!((change.added, change.forgotten.len()), (proof(number, NOON), 0));
    }
    assert_eq!(cache.forgotten_before(), UnixSeconds(0));
    let change = cache.remember(proof(9_999, NOON.plus(1)), None, &policy);
    assert_eq!((change.forgotten.len(), change.forgotten_before), (1, NOON.plus(1)));

    let window = policy.proof_age_seconds + policy.proof_ahead_seconds;
    let change = cache.remember(proof(10_000, NOON.plus(1 + 2 * window)), None, &policy);
    assert_eq!((change.forgotten.len(), change.forgotten_before), (REPLAY_KEYS_MAX - 1, NOON.plus(1)));
    assert!(cache.has_seen(&proof(9_999, NOON).key) && !cache.has_seen(&proof(0, NOON).key));

    let restarted = ReplayCache::from_parts([change.added], change.forgotten_before);
    assert!(restarted.has_seen(&change.added.key));
    assert_eq!(restarted.forgotten_before(), NOON.plus(1));
}

/// A phone whose clock is years ahead answers a challenge. Were its time believed, every proof of the right time would be
/// taken for a forgotten one from then on, restarts included.
#[test]
fn a_phone_with_a_wrong_clock_does_not_spoil_the_proofs_of_others() {
    for wrong in [NOON.plus(3_650 * DAY), UnixSeconds(u64::MAX), UnixSeconds(0)] {
        let mut visit = Visit::new();
        let before = visit.proof_with(1, NOON.minus(30));
        visit.check(&before, "proven_by_clock");
        visit.desk.show(challenge(1));
        let answer = visit.answer_to(challenge(1), wrong);
        visit.check(&answer, "proven_by_challenge");
        let after = visit.proof_with(2, NOON.minus(60));
        visit.check(&after, "proven_by_clock");
        visit.check(&before, "proof_seen_before");
    }
}

/// The terminal's clock runs twenty days ahead for an hour, and a phone's with it; then both are set right.
#[test]
fn a_clock_that_was_ahead_for_a_while_does_not_spoil_the_proofs_after() {
    let mut visit = Visit::new();
    let before = visit.proof_with(1, NOON);
    visit.check(&before, "proven_by_clock");
    visit.desk.clock = NOON.plus(20 * DAY);
    let ahead = visit.proof_with(2, visit.desk.clock);
    assert_eq!(visit.desk.scan(&ahead), format!("accept stale:{} proven_by_clock 000", 20 * DAY));
    visit.desk.clock = NOON.plus(3_600);
    let after = visit.proof_with(3, visit.desk.clock);
    visit.check(&after, "proven_by_clock");
    visit.desk.clock = NOON;
    visit.check(&before, "proof_stale");
}

const NOON: UnixSeconds = UnixSeconds(1_780_290_000);

#[test]
fn noon_is_noon() {
    assert_eq!(NOON, at(2026, 6, 1));
}
