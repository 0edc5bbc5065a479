//! Everything that is a number, at its ends, all together: clocks, floors, windows, policies, lists, proofs. Nothing panics,
//! and a card that is genuine and not listed is refused for its dates or for nothing. Each finding prints its seed and throw.

use bhyt_core::card::{CardClaims, Validity};
use bhyt_core::card_record::CardStanding;
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::keys::{KeyId, SecretKey};
use bhyt_core::presentation::{Challenge, Presentation};
use bhyt_core::status::StatusVersion;
use bhyt_core::status::reason::SetNumber;
use bhyt_core::time::{Day, UnixSeconds};
use bhyt_core::trust::{IndexRange, KeyUse, Policy};
use bhyt_core::verdict::{Accept, Basis, Holder, Outcome, RejectReason};
use bhyt_core::verify::verify_text;
use bhyt_tests::authority::{Authority, DAY, ListDraft, Phone, at, day, example_card, trusted};
use bhyt_tests::case::Case;
use bhyt_tests::desk::{Desk, line};
use bhyt_tests::dice::Dice;

const NOON: UnixSeconds = UnixSeconds(1_780_290_000);

/// Instants at which something begins or ends, and their neighbours.
fn instants() -> Vec<UnixSeconds> {
    let ends = [
        0,
        61_200,
        NOON.0,
        NOON.0 - 45 * DAY,
        NOON.0 + 45 * DAY,
        day(2026, 12, 31).end().0,
        32_503_654_800,
        u64::MAX,
    ];
    let near = |at: u64| [at.saturating_sub(1), at, at.saturating_add(1)];
    ends.into_iter().flat_map(near).map(UnixSeconds).collect()
}

/// Everything a verdict is made of, thrown.
struct Throw {
    claims: CardClaims,
    desk: Desk,
    shown: Presentation,
    policy: Policy,
    listed: CardStanding,
}

fn throw(dice: &mut Dice) -> Throw {
    let (authority, phone, instants) = (Authority::new(7), Phone::new(8), instants());
    let seconds = [0, 1, 59, 86_400, u64::MAX - 1, u64::MAX];
    let days = [day(1970, 1, 2), day(2026, 6, 1), day(2026, 12, 31), day(2999, 12, 31)];
    let policy = Policy {
        fresh_seconds: *dice.pick(&seconds),
        stale_seconds: *dice.pick(&seconds),
        proof_age_seconds: *dice.pick(&seconds),
        proof_ahead_seconds: *dice.pick(&seconds),
        trust_grace_seconds: *dice.pick(&seconds),
    };
    let mut bundle = authority.bundle(*dice.pick(&[0, 1, u64::MAX]), *dice.pick(&instants));
    (bundle.policy, bundle.expires) = (policy, *dice.pick(&instants));
    let clock = *dice.pick(&instants);
    let mut desk = Desk::without_list(authority.trust(&bundle), clock);
    let index = StatusIndex(*dice.pick(&[0, 65_535, 65_536, u32::MAX]));
    let mut draft = ListDraft::new(*dice.pick(&[0, 1, u64::MAX]), *dice.pick(&instants));
    draft.indexes_below = *dice.pick(&[0, 65_536, 1 << 32]);
    let standings =
        [CardStanding::InForce, CardStanding::Withdrawn, CardStanding::Superseded, CardStanding::Held];
    let covered = u64::from(index.0) < draft.indexes_below;
    let mut listed = CardStanding::InForce;
    if covered {
        listed = *dice.pick(&standings);
        draft.sets.set_standing(index, listed);
    }
    // A list that is not taken is no list.
    let _ = desk.take_list(&authority.sign_list(&draft.list()));
    let from = *dice.pick(&days);
    let to = Some(*dice.pick(&days)).filter(|to| *to >= from);
    let mut binding = phone.binding(*dice.pick(&[Day::from_days(-62_091).unwrap(), days[1], days[3]]));
    binding.number = BindingNumber::new(dice.below(16)).unwrap();
    let claims = CardClaims {
        valid_from: from,
        valid_to: to,
        issued_at: *dice.pick(&instants),
        status_index: index,
        binding: Some(binding),
        ..example_card()
    };
    let challenge = dice.once_in(3).then_some(Challenge { terminal: KeyId([1; 8]), random: [2; 8] });
    if dice.once_in(2) {
        desk.replay.show_challenge(
            Challenge { terminal: KeyId([1; 8]), random: [2; 8] },
            *dice.pick(&instants),
            clock,
        );
    }
    let shown = phone.present(&authority.sign_card(claims.clone()), *dice.pick(&instants), challenge);
    Throw { claims, desk, shown, policy, listed }
}

#[test]
fn nothing_panics_at_the_ends_of_numbers_and_no_card_is_refused_by_them() {
    for seed in 1..=3 {
        let mut dice = Dice::new(seed);
        for number in 0..500 {
            let Throw { claims, mut desk, shown, policy, listed } = throw(&mut dice);
            let verdict = desk.verify(&shown);
            let what = format!("seed {seed}, throw {number}: {}", line(&verdict));
            let judged_at = verdict.evidence().judged_at;
            assert!(judged_at >= desk.clock && judged_at >= desk.trust.claims().issued, "{what}");
            match verdict.outcome() {
                Outcome::Reject(RejectReason::Withdrawn) => {
                    assert_eq!(listed, CardStanding::Withdrawn, "{what}")
                }
                Outcome::Reject(RejectReason::NotYetValid) => {
                    assert_eq!(claims.validity_at(judged_at), Validity::NotYet, "{what}");
                }
                Outcome::Reject(RejectReason::Expired | RejectReason::Superseded) => {
                    assert_eq!(claims.validity_at(judged_at), Validity::Over, "{what}");
                }
                Outcome::Reject(other) => panic!("{what}: {other:?}"),
                Outcome::Accept(Accept { holder: Holder::Proven(Basis::Clock), .. }) => {
                    let (proof, clock) = (shown.proof().unwrap().time.0, desk.clock.0);
                    assert!(clock.saturating_sub(proof) <= policy.proof_age_seconds, "{what}");
                    assert!(proof.saturating_sub(clock) <= policy.proof_ahead_seconds, "{what}");
                }
                Outcome::Accept(_) | Outcome::Undecided(_) => {}
            }
            // Whatever it was, it is not proven twice; and words and successor are made of it without a panic.
            desk.scan(&shown);
            assert!(!desk.scan(&shown).contains("proven_by"), "{what}");
            let _ = (bhyt_core::words::reason(&verdict), bhyt_core::words::freshness(&verdict));
            let _ = verdict.with_successor(&claims).portal_code();
        }
    }
}

/// One second on either side of every edge that the clock can stand at, on a card of one day, in Vietnam.
#[test]
fn a_card_of_one_day_stands_from_its_first_second_to_its_last() {
    let one = day(2026, 6, 1);
    for (clock, expected) in [
        (one.start().minus(1), "reject not_yet_valid 010"),
        (one.start(), "accept fresh no_proof 000"),
        (one.end().minus(1), "accept fresh no_proof 000"),
        (one.end(), "reject expired 010"),
    ] {
        let mut case = Case::with(|case| case.card.valid_from = day(2026, 6, 1));
        case.card.valid_to = Some(one);
        case.bundle.issued = one.start().minus(DAY);
        case.list().time = one.start().minus(1);
        case.clock = clock;
        assert_eq!(case.answer(), expected, "{clock:?}");
    }
}

/// Clock and floor disagree about a card by exactly 45 days, and by a second more.
#[test]
fn doubt_begins_a_second_after_forty_five_days() {
    let end = day(2026, 6, 1).end();
    for (apart, expected) in
        [(45 * DAY, "reject expired 010"), (45 * DAY + 1, "undecided clock_untrusted 500")]
    {
        let mut case = Case::with(|case| case.card.valid_to = Some(day(2026, 6, 1)));
        (case.clock, case.list().time) = (end, end.minus(apart));
        case.bundle.issued = end.minus(apart);
        assert_eq!(case.answer(), expected, "{apart}");
        // The other way round, the clock is behind.
        (case.clock, case.list().time) = (end.minus(apart), end);
        assert_eq!(case.answer(), expected, "{apart} behind");
    }
}

/// The end of a key, of its ranges and of the list's knowledge, each to the second and to the index.
#[test]
fn windows_ranges_and_covers_end_where_they_say() {
    let check = |change: &dyn Fn(&mut Case), expected: &str| {
        let mut case = Case::default();
        change(&mut case);
        assert_eq!(case.answer(), expected);
    };
    let (good, bad) = ("accept fresh no_proof 000", "reject bad_signature 050");
    for (index, expected) in [(u32::MAX - 1, bad), (u32::MAX, good)] {
        check(
            &|case| {
                case.card_key().ranges = vec![IndexRange { first: u32::MAX, count: u32::MAX }];
                (case.card.status_index, case.list().indexes_below) = (StatusIndex(index), 1 << 32);
            },
            expected,
        );
    }
    check(&|case| case.card_key().signs_from = UnixSeconds(u64::MAX), bad);
    check(&|case| case.card_key().signs_until = Some(UnixSeconds(0)), bad);
    check(&|case| case.card_key().verify_until = Some(UnixSeconds(u64::MAX)), good);
    // Signed in the last second there is, under the list's knowledge of that second: after it, and never covered.
    check(
        &|case| {
            case.card.issued_at = UnixSeconds(u64::MAX);
            case.card.status_index = StatusIndex(131_072);
        },
        good,
    );
    check(
        &|case| (case.card.status_index, case.card.issued_at) = (StatusIndex(131_072), case.clock),
        "undecided not_covered 500",
    );
    check(
        &|case| (case.card.status_index, case.card.issued_at) = (StatusIndex(131_072), case.clock.plus(1)),
        good,
    );
}

/// Whatever a newer version may bring: a clerk with this one is told to update, or that nobody knows; never that a card is bad.
#[test]
fn an_unknown_thing_never_turns_red() {
    let authority = Authority::new(7);
    let card = Presentation::new(authority.sign_card(example_card()), None);
    let desk = Desk::of(&authority, NOON);
    let text =
        |text: &str| line(&verify_text(text, &desk.trust, desk.status.as_ref(), &desk.replay, desk.now()));
    for version in (2..=9_999).step_by(7) {
        assert_eq!(text(&format!("BHYT{version}:ANYTHING")), "undecided needs_update 500");
    }
    // A set of a newer meaning concerns the cards in it; the sets of bindings those whose binding stands there.
    let index = u64::from(example_card().status_index.0);
    for number in [4, 5, 6, 7, 8, 9, 15] {
        let mut case = Case::default();
        case.stand_in(&[number]);
        assert_eq!(case.answer(), "undecided needs_update 500", "set {number}");
    }
    for number in 17..=23 {
        for binding in 0..16 {
            let mut case = Case::default();
            case.list().sets.insert(SetNumber::new(number).unwrap(), index * 16 + binding);
            assert_eq!(case.answer(), "undecided needs_update 500", "set {number}");
        }
        let mut case = Case::default();
        for beside in [index * 16 - 1, index * 16 + 16] {
            case.list().sets.insert(SetNumber::new(number).unwrap(), beside);
        }
        assert_eq!(case.answer(), "accept fresh no_proof 000", "set {number}");
    }
    // A key that no bundle names, and one that it names for a use of later.
    for (seed, named) in [(90, false), (91, true)] {
        let key = SecretKey::from_seed(&[seed; 32]);
        let mut bundle = authority.bundle(1, NOON.minus(DAY));
        if named {
            bundle.keys.push(trusted(&key, KeyUse::Other(77)));
        }
        let desk = Desk { trust: authority.trust(&bundle), ..desk.clone() };
        let by_key = Authority { card_key: key, ..Authority::new(7) };
        let other = Presentation::new(by_key.sign_card(example_card()), None);
        assert_eq!(desk.answer(&other), "undecided unknown_key 500");
        assert_eq!(desk.answer(&card), "accept fresh no_proof 000");
    }
    // A list of another epoch, as far as numbers go, is a list like any other.
    let mut far = ListDraft::new(u64::MAX, NOON);
    far.version = StatusVersion { epoch: u32::MAX, number: u64::MAX };
    assert_eq!(Desk::with_list(&authority, &far, NOON).answer(&card), "accept fresh no_proof 000");
}

#[test]
fn noon_is_noon() {
    assert_eq!(NOON, at(2026, 6, 1));
}
