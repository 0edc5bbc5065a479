//! Clocks that are wrong, lists that are old, and what no combination of them may do: a table to the day, and a sweep with
//! a seed. Stale data alone never refuses anyone, an error is never "withdrawn", and "undecided" is never 050.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::{CardStanding, ReducedCode};
use bhyt_core::presentation::Presentation;
use bhyt_core::time::{Day, UnixSeconds};
use bhyt_core::verdict::{Accept, Holder, Outcome, RejectReason, UnprovenReason, Verdict};
use bhyt_core::verify::{Now, verify};
use bhyt_tests::authority::{Authority, DAY, ListDraft, Phone, at, day, example_card};
use bhyt_tests::desk::{Desk, line};
use bhyt_tests::dice::Dice;

/// A desk whose list is of noon, 1 June 2026, and a member's phone.
struct Noon {
    authority: Authority,
    phone: Phone,
}

impl Noon {
    fn new() -> Self {
        Self { authority: Authority::new(7), phone: Phone::new(8) }
    }

    /// A card of these days, long bound.
    fn card(&self, from: Day, to: Option<Day>) -> Vec<u8> {
        let binding = Some(self.phone.binding(day(2099, 1, 1)));
        self.authority.sign_card(CardClaims { valid_from: from, valid_to: to, binding, ..example_card() })
    }

    /// Answers a printed card by a clock that is `offset` seconds from the list.
    fn answer(&self, card: &[u8], offset: i64) -> String {
        let mut desk = Desk::of(&self.authority, at(2026, 6, 1));
        desk.clock = UnixSeconds(desk.clock.0.checked_add_signed(offset).unwrap());
        desk.answer(&Presentation::new(card.to_vec(), None))
    }
}

#[test]
fn clocks_that_are_days_or_a_year_off() {
    let noon = Noon::new();
    let always = noon.card(day(2020, 1, 1), None);
    let new = noon.card(day(2026, 5, 12), Some(day(2099, 12, 31)));
    let ending = noon.card(day(2020, 1, 1), Some(day(2026, 6, 20)));
    let check = |days: i64, seconds: i64, expected: [&str; 3]| {
        for (card, expected) in [&always, &new, &ending].into_iter().zip(expected) {
            assert_eq!(noon.answer(card, days * DAY as i64 + seconds), expected, "{days} days {seconds}");
        }
    };
    let (good, expired) = ("accept fresh no_proof 000", "reject expired 010");
    let (doubt, old) = ("undecided clock_untrusted 500", "undecided status_too_old 500");
    // Behind the list: the card is judged at the list's time.
    check(-365, 0, [good, doubt, good]);
    check(-46, 0, [good, doubt, good]);
    check(-45, -1, [good, doubt, good]);
    check(-45, 0, [good, good, good]);
    check(-44, 0, [good, good, good]);
    check(0, 0, [good, good, good]);
    // Ahead: by the clock, unless it is far from what is known.
    check(44, 0, [old, old, expired]);
    check(45, 0, [old, old, expired]);
    check(45, 1, [old, old, doubt]);
    check(46, 0, [old, old, doubt]);
    check(365, 0, [old, old, doubt]);
}

#[test]
fn lists_of_every_age_up_to_sixty_days() {
    let noon = Noon::new();
    let always = noon.card(day(2020, 1, 1), None);
    // Ends ten days after the list: from noon of the first, that is ten and a half.
    let ending = noon.card(day(2020, 1, 1), Some(day(2026, 6, 11)));
    for days in 0..=60 {
        let (good, age) = (noon.answer(&always, days * DAY as i64), days * DAY as i64);
        let accepted = match days {
            0..=1 => "accept fresh no_proof 000".to_owned(),
            2..=30 => format!("accept stale:{age} no_proof 000"),
            _ => "undecided status_too_old 500".to_owned(),
        };
        assert_eq!(good, accepted, "{days}");
        let expected = match days {
            0..=10 => accepted,
            11..=45 => "reject expired 010".to_owned(),
            _ => "undecided clock_untrusted 500".to_owned(),
        };
        assert_eq!(noon.answer(&ending, age), expected, "{days}");
    }
}

#[test]
fn what_is_listed_stays_listed_however_old_the_list() {
    let noon = Noon::new();
    let card = noon.card(day(2020, 1, 1), None);
    let reduced = CardStanding::Reduced(ReducedCode::new(123).unwrap());
    for (standing, expected) in [
        (CardStanding::Withdrawn, "reject withdrawn 110"),
        (reduced, "reject reduced 123"),
        (CardStanding::Held, "undecided held 500"),
    ] {
        let mut list = ListDraft::new(1, at(2026, 6, 1));
        list.sets.set_standing(example_card().status_index, standing);
        let mut desk = Desk::with_list(&noon.authority, &list, list.time);
        for days in 0..=60 {
            desk.clock = list.time.plus(days * DAY);
            assert_eq!(desk.answer(&Presentation::new(card.clone(), None)), expected, "{days}");
        }
    }
}

#[test]
fn a_clock_below_the_floor_judges_the_card_at_the_floor_and_the_holder_by_challenge_only() {
    let noon = Noon::new();
    let card = noon.card(day(2026, 5, 12), None);
    let mut desk = Desk::of(&noon.authority, at(2026, 6, 1));
    desk.clock = at(2026, 5, 1);
    let proof = noon.phone.present(&card, desk.clock, None);
    assert_eq!(desk.answer(&proof), "accept fresh clock_untrusted 000");
    let verdict = desk.verify(&proof);
    assert_eq!((verdict.evidence().clock, verdict.evidence().judged_at), (at(2026, 5, 1), at(2026, 6, 1)));
    let challenge = bhyt_core::presentation::Challenge::from_bytes([7; 16]);
    desk.show(challenge);
    let answer = noon.phone.present(&card, UnixSeconds(5), Some(challenge));
    assert_eq!(desk.scan(&answer), "accept fresh proven_by_challenge 000");
}

/// The floor is the latest of the bundle's time and the list's, whatever a caller passes in.
#[test]
fn a_caller_cannot_lower_the_floor() {
    let noon = Noon::new();
    let card = Presentation::new(noon.card(day(2020, 1, 1), Some(day(2026, 5, 20))), None);
    let mut desk = Desk::of(&noon.authority, at(2026, 6, 1));
    let now = Now { clock: at(2026, 5, 10), floor: UnixSeconds(0) };
    let ask = |desk: &Desk| verify(&card, &desk.trust, desk.status.as_ref(), &desk.replay, now);
    assert_eq!(line(&ask(&desk)), "reject expired 010");
    assert_eq!(ask(&desk).evidence().floor, at(2026, 6, 1));
    // Without the list, the bundle of 2 May is what is known.
    desk.status = None;
    assert_eq!(ask(&desk).evidence().floor, at(2026, 5, 2));
    assert_eq!(line(&ask(&desk)), "undecided no_status_list 500");
}

/// One throw of everything that a terminal may stand before.
struct Throw {
    desk: Desk,
    card: Vec<u8>,
    claims: CardClaims,
    standing: CardStanding,
    /// What time it really is.
    truth: UnixSeconds,
    proof: Presentation,
}

impl Throw {
    fn new(noon: &Noon, dice: &mut Dice) -> Self {
        let truth = at(2026, 6, 1);
        let years = |dice: &mut Dice, day: Day| day.plus_days(dice.below(900) as i64 - 450);
        let valid_from = years(dice, truth.day());
        let valid_to = (!dice.once_in(4)).then(|| valid_from.plus_days(1 + dice.below(700) as i64));
        let binding = (!dice.once_in(3)).then(|| noon.phone.binding(years(dice, truth.day())));
        let claims = CardClaims { valid_from, valid_to, binding, ..example_card() };
        let reduced = CardStanding::Reduced(ReducedCode::new(120 + dice.below(5)).unwrap());
        let standing = match dice.below(10) {
            0 => CardStanding::Withdrawn,
            1 => reduced,
            2 => CardStanding::Superseded,
            3 => CardStanding::Held,
            _ => CardStanding::InForce,
        };
        let ages = [0, 3_600, DAY, DAY + 1, 30 * DAY, 30 * DAY + 1, 44 * DAY, 46 * DAY, 200 * DAY, 500 * DAY];
        let (list_age, bundle_age) = (*dice.pick(&ages), *dice.pick(&ages));
        let mut list = ListDraft::new(1, truth.minus(list_age));
        list.sets.set_standing(claims.status_index, standing);
        let trust = noon.authority.trust(&noon.authority.bundle(1, truth.minus(bundle_age)));
        let mut desk = Desk::without_list(trust, truth);
        // A list beyond the bundle's end is not taken; that leaves a desk without one.
        let _ = desk.take_list(&noon.authority.sign_list(&list.list()));
        let card = noon.authority.sign_card(claims.clone());
        let proof = match dice.below(5) {
            0 => Presentation::new(card.clone(), None),
            1 => Phone::new(99).present(&card, truth, None),
            2 => noon.phone.present(&card, truth.minus(dice.below(400)), None),
            3 => noon.phone.present(&card, truth.plus(dice.below(200)), None),
            _ => noon.phone.present(&card, truth, None),
        };
        Self { desk, card, claims, standing, truth, proof }
    }

    /// Whether the card is good in truth: the desk's clock is right, and the card is in its dates and listed nowhere.
    fn is_good(&self) -> bool {
        let in_dates = self.truth >= self.claims.valid_from.start()
            && self.claims.valid_to.is_none_or(|last| self.truth < last.plus_days(1).start());
        in_dates && self.standing == CardStanding::InForce
    }

    fn is_valid_at_floor(&self) -> bool {
        let floor = self.desk.now().floor;
        floor >= self.claims.valid_from.start()
            && self.claims.valid_to.is_none_or(|last| floor < last.plus_days(1).start())
    }
}

/// Throws of one seed; the seed stands in every message.
fn sweep(seed: u64, mut check: impl FnMut(&mut Throw, &mut Dice, &str)) {
    let (noon, mut dice) = (Noon::new(), Dice::new(seed));
    for number in 0..2_000 {
        let mut throw = Throw::new(&noon, &mut dice);
        check(&mut throw, &mut dice, &format!("seed {seed}, throw {number}"));
    }
}

#[test]
fn stale_data_alone_never_refuses_anyone() {
    let mut good = 0;
    sweep(1, |throw, _, at| {
        if throw.is_good() {
            good += 1;
            let verdict = throw.desk.verify(&Presentation::new(throw.card.clone(), None));
            assert!(!matches!(verdict.outcome(), Outcome::Reject(_)), "{at}: {}", line(&verdict));
        }
    });
    assert!(good > 200, "{good}");
}

#[test]
fn a_clock_far_ahead_refuses_only_what_the_floor_refuses_too() {
    let mut seen = 0;
    sweep(2, |throw, dice, at| {
        let ahead = 45 * DAY + 1 + dice.below(3_650 * DAY);
        throw.desk.clock = throw.desk.now().floor.plus(ahead);
        if throw.standing == CardStanding::InForce && throw.is_valid_at_floor() {
            seen += 1;
            let verdict = throw.desk.verify(&Presentation::new(throw.card.clone(), None));
            assert!(!matches!(verdict.outcome(), Outcome::Reject(_)), "{at}: {}", line(&verdict));
        }
    });
    assert!(seen > 200, "{seen}");
}

#[test]
fn codes_say_what_was_decided_and_nothing_else() {
    let mut withdrawn = 0;
    sweep(3, |throw, dice, at| {
        let clock = throw.truth.0.saturating_add_signed(dice.below(800 * DAY) as i64 - 400 * DAY as i64);
        throw.desk.clock = UnixSeconds(clock);
        let verdict = throw.desk.verify(&throw.proof);
        let code = verdict.portal_code();
        let agrees = match verdict.outcome() {
            Outcome::Accept(_) => [0, 1, 2, 4].contains(&code),
            Outcome::Reject(_) => [3, 10, 50, 51, 110, 120, 121, 122, 123, 124].contains(&code),
            Outcome::Undecided(_) => code == 500,
        };
        assert!(agrees, "{at}: {}", line(&verdict));
        if code == 110 {
            withdrawn += 1;
            assert_eq!(throw.standing, CardStanding::Withdrawn, "{at}");
        }
    });
    assert!(withdrawn > 50, "{withdrawn}");
}

#[test]
fn an_error_is_never_withdrawn_nor_any_other_standing() {
    sweep(4, |throw, dice, at| {
        let mut card = throw.card.clone();
        let place = usize::try_from(dice.below(card.len() as u64)).unwrap();
        card[place] ^= 1 << dice.below(8);
        let verdict = throw.desk.verify(&Presentation::new(card, throw.proof.proof().cloned()));
        let error = matches!(
            verdict.outcome(),
            Outcome::Undecided(_) | Outcome::Reject(RejectReason::Malformed | RejectReason::BadSignature)
        );
        assert!(error && verdict.card().is_none(), "{at}: {}", line(&verdict));
    });
}

/// The proof is what anybody can add, change or leave out. It decides about the holder; of the card it can say no more
/// than that the proof is false.
#[test]
fn nothing_unsigned_turns_a_refusal_into_an_acceptance() {
    let card_only = |verdict: &Verdict| match verdict.outcome() {
        Outcome::Accept(accept) => {
            Outcome::Accept(Accept { holder: Holder::Unproven(UnprovenReason::NoProof), ..accept })
        }
        outcome => outcome,
    };
    sweep(5, |throw, _, at| {
        let printed = throw.desk.verify(&Presentation::new(throw.card.clone(), None));
        let shown = throw.desk.verify(&throw.proof);
        match shown.outcome() {
            Outcome::Reject(RejectReason::BadProof) => {
                assert!(matches!(printed.outcome(), Outcome::Accept(_)), "{at}: {}", line(&printed));
            }
            _ => assert_eq!(card_only(&shown), card_only(&printed), "{at}"),
        }
    });
}
