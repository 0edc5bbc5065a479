//! What a phone shows, as bytes and as text. The proof is signed again for the time, nonce and challenge that stand in it, so
//! that it is the field and not the signature that decides; the other way round, no field survives the old signature.

use bhyt_core::card::CardClaims;
use bhyt_core::keys::{KeyId, SecretKey};
use bhyt_core::presentation::{Challenge, Presentation, UnsignedProof};
use bhyt_core::time::UnixSeconds;
use bhyt_core::verify::verify_text;
use bhyt_tests::authority::{Authority, Phone, at, day, example_card};
use bhyt_tests::desk::{Desk, line};
use bhyt_tests::surgery::Item;
use bhyt_tests::table::{Kind, Row, Subject};

/// A desk that shows one challenge, a phone, and its card.
struct Scene {
    desk: Desk,
    card: Vec<u8>,
}

const CHALLENGE: Challenge = Challenge { terminal: KeyId([0xaa; 8]), random: [9; 8] };
const NOON: UnixSeconds = UnixSeconds(1_780_290_000);

impl Scene {
    fn new() -> Self {
        let authority = Authority::new(7);
        let mut desk = Desk::of(&authority, NOON);
        desk.show(CHALLENGE);
        let binding = Some(Phone::new(8).binding(day(2026, 11, 1)));
        let card = authority.sign_card(CardClaims { binding, ..example_card() });
        Self { desk, card }
    }

    fn live(&self, challenge: Option<Challenge>) -> Presentation {
        Phone::new(8).present(&self.card, NOON, challenge)
    }

    fn judge(&self, bytes: &[u8]) -> String {
        match Presentation::decode(bytes) {
            Ok(presentation) => self.desk.answer(&presentation),
            Err(_) => MALFORMED.to_owned(),
        }
    }

    /// As the phone would have signed it, had it meant what stands there.
    fn signed_again(&self, bytes: &[u8]) -> Vec<u8> {
        let Ok(presentation) = Presentation::decode(bytes) else { return bytes.to_vec() };
        let Some(proof) = presentation.proof() else { return bytes.to_vec() };
        let unsigned = UnsignedProof { time: proof.time, nonce: proof.nonce, challenge: proof.challenge };
        let signature =
            SecretKey::from_seed(&[8; 32]).sign(&unsigned.to_be_signed(presentation.card_bytes()));
        Presentation::new(presentation.card_bytes().to_vec(), Some(unsigned.seal(signature))).encode()
    }
}

#[test]
fn every_field_of_a_presentation_and_every_way_to_spoil_it() {
    let scene = Scene::new();
    let judge = |bytes: &[u8]| scene.judge(&scene.signed_again(bytes));
    let check = |presentation: Presentation, rows: &[Row], good| {
        Subject { payload: presentation.encode(), judge: &judge, good, malformed: MALFORMED }.check(rows);
    };
    check(Presentation::new(scene.card.clone(), None), PRINTED, UNPROVEN);
    check(scene.live(None), &[CARD, &LIVE].concat(), PROVEN);
    check(scene.live(Some(CHALLENGE)), &[CARD, ANSWER].concat(), "accept fresh proven_by_challenge 000");
}

#[test]
fn no_field_of_a_proof_survives_the_old_signature() {
    let scene = Scene::new();
    for challenge in [None, Some(CHALLENGE)] {
        let tree = Item::parse(&scene.live(challenge).encode());
        for path in ["[1][0]", "[1][1]", "[1][2]", "[1][3]"] {
            if path == "[1][3]" && challenge.is_none() {
                continue;
            }
            for bit in 0..tree.at(path).encode().len() * 8 {
                let mut field = tree.at(path).encode();
                field[bit / 8] ^= 1 << (bit % 8);
                let answer = scene.judge(&tree.with(path, Item::Raw(field)).encode());
                assert!([MALFORMED, BAD_PROOF].contains(&answer.as_str()), "{path}, bit {bit}: {answer}");
            }
        }
        // A challenge put beside a proof that answers none, and one taken away.
        let other = match challenge {
            None => {
                let Item::Array(mut proof) = tree.at("[1]").clone() else { panic!("a proof") };
                proof.push(Item::Bytes(CHALLENGE.to_bytes().to_vec()));
                tree.with("[1]", Item::Array(proof))
            }
            Some(_) => tree.without("[1][3]").unwrap(),
        };
        assert_eq!(scene.judge(&other.encode()), BAD_PROOF);
    }
}

/// The text is Base45 of the bytes and nothing else. White space around it is a scanner's; inside, it is part of the code.
#[test]
fn every_character_of_the_text_and_every_way_to_write_it() {
    let scene = Scene::new();
    let judge = |text: &str| {
        let desk = &scene.desk;
        line(&verify_text(text, &desk.trust, desk.status.as_ref(), &desk.replay, desk.now()))
    };
    let text = scene.live(None).encode_text();
    for (before, after) in [
        ("", ""),
        (" ", " "),
        ("\t", "\r\n"),
        ("\u{a0}\u{3000}", "\u{2028}\u{85}\u{b}\u{c}"),
        ("\n\n", &" ".repeat(5_000)),
    ] {
        assert_eq!(judge(&format!("{before}{text}{after}")), PROVEN, "{before:?} {after:?}");
    }
    // A byte-order mark, a zero-width space, a zero byte and an AIM identifier are no white space.
    for before in ["\u{feff}", "\u{200b}", "\0", "]Q1"] {
        assert_eq!(judge(&format!("{before}{text}")), MALFORMED, "{before:?}");
    }
    let body = text.strip_prefix("BHYT1:").unwrap();
    for (prefix, expected) in [
        ("", MALFORMED),
        ("BHYT1", MALFORMED),
        ("BHYT:", MALFORMED),
        ("BHYT1::", MALFORMED),
        ("bhyt1:", MALFORMED),
        ("BHYT 1:", MALFORMED),
        ("BHYT1 :", MALFORMED),
        ("BHYT0:", MALFORMED),
        ("BHYT01:", MALFORMED),
        ("BHYT+1:", MALFORMED),
        ("BHYT１:", MALFORMED),
        ("BHYT10000:", MALFORMED),
        ("BHYT65537:", MALFORMED),
        ("BHYT2:", NEWER),
        ("BHYT10:", NEWER),
        ("BHYT9999:", NEWER),
    ] {
        assert_eq!(judge(&format!("{prefix}{body}")), expected, "{prefix}");
    }
    for place in 0..=text.len() {
        for extra in [" ", "\n", "0", ":"] {
            let changed = [text.get(..place).unwrap(), extra, text.get(place..).unwrap()].concat();
            let around = extra.trim().is_empty() && (place == 0 || place == text.len());
            let expected = match extra {
                _ if around => PROVEN,
                // Version 10.
                "0" if place == 5 => NEWER,
                _ => MALFORMED,
            };
            assert_eq!(judge(&changed), expected, "{extra:?} at {place}");
        }
        if place < text.len() {
            assert_eq!(judge(text.get(..place).unwrap()), MALFORMED, "cut at {place}");
            assert_eq!(
                judge(&[text.get(..place).unwrap(), text.get(place + 1..).unwrap()].concat()),
                MALFORMED
            );
        }
    }
}

#[test]
fn noon_is_noon() {
    assert_eq!(NOON, at(2026, 6, 1));
}

const UNPROVEN: &str = "accept fresh no_proof 000";
const PROVEN: &str = "accept fresh proven_by_clock 000";
const MALFORMED: &str = "reject malformed 051";
const NEWER: &str = "undecided needs_update 500";
const BAD_PROOF: &str = "reject bad_proof 050";
const STALE: &str = "accept fresh proof_stale 000";
const AHEAD: &str = "accept fresh proof_from_future 000";
const BY_CHALLENGE: &str = "accept fresh proven_by_challenge 000";

const LEAST: i128 = -(1 << 64);
const NOON_: i128 = NOON.0 as i128;
const FIXED: Kind = Kind::Array(MALFORMED);
const BYTES: Kind = Kind::Sized([MALFORMED; 3]);

const fn row(path: &'static str, gone: &'static str, kind: Kind) -> Row {
    Row { path, gone, retyped: MALFORMED, kind }
}

const CARD: &[Row] = &[
    row(".", MALFORMED, FIXED),
    row("[0]", MALFORMED, BYTES),
    row("[1][1]", MALFORMED, BYTES),
    row("[1][2]", MALFORMED, BYTES),
];

const PRINTED: &[Row] =
    &[row(".", MALFORMED, FIXED), row("[0]", MALFORMED, BYTES), row("[1]", MALFORMED, Kind::Null)];

/// Without its proof, a live card is one as on paper.
const PROOF: Row = row("[1]", MALFORMED, Kind::ArrayOrNull(MALFORMED, UNPROVEN));

const LIVE: [Row; 2] = [
    PROOF,
    row(
        "[1][0]",
        MALFORMED,
        Kind::Number(&[(LEAST, MALFORMED), (0, STALE), (NOON_ - 120, PROVEN), (NOON_ + 61, AHEAD)]),
    ),
];

const ANSWER: &[Row] = &[
    PROOF,
    // The phone's clock may say anything.
    row("[1][0]", MALFORMED, Kind::Number(&[(LEAST, MALFORMED), (0, BY_CHALLENGE)])),
    row("[1][3]", PROVEN, BYTES),
];
