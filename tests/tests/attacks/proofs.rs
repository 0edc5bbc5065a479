//! Somebody else's code: old, of the future, shown again here, there and after a restart, made by another key, and relayed
//! from another desk, without a challenge and with one.
//!
//! One limit is accepted and stated here to the second: a proof counts once on each terminal. Two terminals that share
//! nothing both take it while it is new; a desk that asks for an answer to its challenge takes it not even then.

use bhyt_core::card::CardClaims;
use bhyt_core::keys::KeyId;
use bhyt_core::presentation::{Challenge, Presentation, UnsignedProof};
use bhyt_core::replay::ReplayCache;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::Policy;
use bhyt_tests::authority::{Authority, Phone, at, day, example_card};
use bhyt_tests::desk::{Desk, line};

/// A member with a phone, and two clinics that share nothing but the authority.
struct Town {
    phone: Phone,
    card: Vec<u8>,
    here: Desk,
    there: Desk,
}

impl Town {
    fn new() -> Self {
        let (authority, phone) = (Authority::new(7), Phone::new(8));
        let binding = Some(phone.binding(day(2026, 11, 1)));
        let card = authority.sign_card(CardClaims { binding, ..example_card() });
        let desk = || Desk::of(&authority, NOON);
        Self { phone, card, here: desk(), there: desk() }
    }

    fn code(&self, time: UnixSeconds) -> Presentation {
        self.phone.present(&self.card, time, None)
    }

    fn answer(&self, challenge: Challenge) -> Presentation {
        self.phone.prove(&self.card, UnsignedProof { time: NOON, nonce: [7; 4], challenge: Some(challenge) })
    }
}

fn challenge(terminal: u8, number: u8) -> Challenge {
    Challenge { terminal: KeyId([terminal; 8]), random: [number; 8] }
}

/// What a desk says that shows this challenge and asks for its answer.
fn demand(desk: &Desk, challenge: Challenge, presentation: &Presentation) -> String {
    line(&desk.verify(presentation).demanding(&challenge, presentation))
}

/// Each second from five minutes ago to five minutes from now.
#[test]
fn a_code_is_new_from_two_minutes_ago_to_one_minute_ahead() {
    for second in 0..=600 {
        let town = Town::new();
        let time = NOON.minus(300).plus(second);
        let expected = match second {
            0..180 => "accept fresh proof_stale 000",
            180..=360 => PROVEN,
            _ => "accept fresh proof_from_future 000",
        };
        assert_eq!(town.here.answer(&town.code(time)), expected, "{second} s after {}", NOON.0 - 300);
    }
}

#[test]
fn a_code_counts_once_here_and_a_restart_does_not_forget_it() {
    let mut town = Town::new();
    let code = town.code(NOON);
    let policy = Policy::default();
    let proof = town.here.verify(&code).relied_on().unwrap();
    let stored = town.here.replay.remember(proof, None, &policy);
    assert_eq!(town.here.answer(&code), SEEN);
    // What was to be made durable is all that is left of the cache.
    town.here.replay = ReplayCache::from_parts([stored.added], stored.forgotten_before);
    assert_eq!(town.here.answer(&code), SEEN);
    // For as long as its time alone would let it pass, and after.
    for (later, expected) in [(1, SEEN), (120, SEEN), (121, SEEN), (86_400, SEEN)] {
        town.here.clock = NOON.plus(later);
        assert_eq!(town.here.answer(&code), expected, "{later} s later");
    }
    // Another proof of the same second is another proof.
    town.here.clock = NOON;
    let other = town.phone.prove(&town.card, UnsignedProof { time: NOON, nonce: [9; 4], challenge: None });
    assert_eq!(town.here.scan(&other), PROVEN);
}

/// The same proof in another writing is the same proof: what is remembered is what it says, not how it is signed.
#[test]
fn a_code_that_was_wrapped_anew_is_the_same_code() {
    let mut town = Town::new();
    let code = town.code(NOON);
    assert_eq!(town.here.scan(&code), PROVEN);
    let again = Presentation::decode_text(&format!("\t {}\r\n", code.encode_text())).unwrap();
    assert_eq!(town.here.scan(&again), SEEN);
    let proof = code.proof().unwrap().clone();
    assert_eq!(town.here.scan(&Presentation::new(town.card.clone(), Some(proof))), SEEN);
}

/// The accepted limit: nothing that two terminals know tells them that the other has taken this proof. Both are right that
/// the phone made it just now; one of them is wrong that the phone is here. It ends when the proof is old.
#[test]
fn a_code_counts_once_on_each_terminal_while_it_is_new() {
    for (later, expected) in [(0, PROVEN), (119, PROVEN), (120, PROVEN), (121, STALE)] {
        let mut town = Town::new();
        let code = town.code(NOON);
        assert_eq!(town.here.scan(&code), PROVEN);
        town.there.clock = NOON.plus(later);
        assert_eq!(town.there.scan(&code), expected, "{later} s later");
    }
}

#[test]
fn a_relayed_code_passes_where_nothing_is_asked_and_not_where_an_answer_is() {
    let mut town = Town::new();
    let filmed = town.code(NOON);
    // Somebody films the code in a queue and sends it to a friend at another desk. Without a challenge it passes there.
    assert_eq!(town.there.answer(&filmed), PROVEN);
    // With one, it proves nothing; the card stays a good card, so that nobody is sent away for an old phone.
    town.there.show(challenge(2, 1));
    assert_eq!(demand(&town.there, challenge(2, 1), &filmed), UNANSWERED);
    // Nor is it spent: at its own desk it still counts.
    assert_eq!(town.here.scan(&filmed), PROVEN);
    // An answer to another desk's challenge is no answer here, asked or not.
    town.here.show(challenge(1, 1));
    let elsewhere = town.answer(challenge(1, 1));
    assert_eq!(town.there.answer(&elsewhere), SEEN);
    assert_eq!(demand(&town.there, challenge(2, 1), &elsewhere), SEEN);
    // Two desks of one clinic share a terminal: the answer to one is not the answer to the other.
    town.there.show(challenge(2, 2));
    let neighbour = town.answer(challenge(2, 2));
    assert_eq!(demand(&town.there, challenge(2, 1), &neighbour), UNANSWERED);
    assert_eq!(demand(&town.there, challenge(2, 2), &neighbour), ANSWERED);
    // The member's own answer is taken, once.
    let own = town.answer(challenge(2, 1));
    assert_eq!(demand(&town.there, challenge(2, 1), &own), ANSWERED);
    assert_eq!(town.there.scan(&own), ANSWERED);
    assert_eq!(demand(&town.there, challenge(2, 1), &own), SEEN);
}

/// What is asked for changes nothing but whether the holder is proven.
#[test]
fn asking_for_an_answer_refuses_no_card() {
    let town = Town::new();
    let printed = Presentation::new(town.card.clone(), None);
    assert_eq!(demand(&town.here, challenge(1, 1), &printed), "accept fresh no_proof 000");
    let stale = town.code(NOON.minus(500));
    assert_eq!(demand(&town.here, challenge(1, 1), &stale), STALE);
    let foreign = Phone::new(9).present(&town.card, NOON, None);
    assert_eq!(demand(&town.here, challenge(1, 1), &foreign), "reject bad_proof 050");
    let verdict = town.here.verify(&town.code(NOON)).demanding(&challenge(1, 1), &town.code(NOON));
    assert!(verdict.relied_on().is_none(), "what proves nothing is not remembered");
}

/// By every key there is but the card's own: other phones, and whoever signs cards, lists, heads and bundles.
#[test]
fn a_proof_by_another_key_is_refused_whoever_holds_it() {
    let town = Town::new();
    let authority = Authority::new(7);
    let proof = UnsignedProof { time: NOON, nonce: [1; 4], challenge: None };
    let keys =
        [&authority.card_key, &authority.status_key, &authority.head_key].into_iter().chain(&authority.roots);
    for key in keys {
        let signature = key.sign(&proof.to_be_signed(&town.card));
        let shown = Presentation::new(town.card.clone(), Some(proof.seal(signature)));
        assert_eq!(town.here.answer(&shown), "reject bad_proof 050");
    }
    for seed in (0..=255).filter(|seed| *seed != 8).step_by(15) {
        let shown = Phone::new(seed).present(&town.card, NOON, None);
        assert_eq!(town.here.answer(&shown), "reject bad_proof 050", "phone {seed}");
    }
    // The right phone, over another card of the same member, over no card, and over this one with a byte more.
    let other = authority
        .sign_card(CardClaims { binding: Some(town.phone.binding(day(2026, 11, 2))), ..example_card() });
    for over in [other, Vec::new(), [&town.card[..], &[0]].concat()] {
        let proof = town.phone.present(&over, NOON, None).proof().cloned();
        assert_eq!(town.here.answer(&Presentation::new(town.card.clone(), proof)), "reject bad_proof 050");
    }
}

const NOON: UnixSeconds = UnixSeconds(1_780_290_000);
const PROVEN: &str = "accept fresh proven_by_clock 000";
const ANSWERED: &str = "accept fresh proven_by_challenge 000";
const SEEN: &str = "accept fresh proof_seen_before 000";
const STALE: &str = "accept fresh proof_stale 000";
const UNANSWERED: &str = "accept fresh challenge_unanswered 000";

#[test]
fn noon_is_noon() {
    assert_eq!(NOON, at(2026, 6, 1));
}
