//! The bytes of a card and of a presentation: golden ones from another implementation, how many there are, and what
//! becomes of every changed bit. `tests/vectors/card_golden.json` is only added to. What an issuer may sign and what we
//! make of it stands in `card_claims.rs`.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::card::CardClaims;
use bhyt_core::cose::{Signed, Unsigned};
use bhyt_core::ids::{CardNumber, FullName, Sex, SocialNumber, from_hex, hex};
use bhyt_core::keys::SecretKey;
use bhyt_core::limits::{CARD_BYTES_MAX, PRESENTATION_BYTES_MAX, QR_TEXT_CHARS_MAX};
use bhyt_core::presentation::{Challenge, Presentation, UnsignedProof};
use bhyt_core::presentation_key::KeyKind;
use bhyt_core::time::{BirthDate, UnixSeconds};
use bhyt_core::verdict::Outcome;
use bhyt_core::verify::verify_text;
use bhyt_tests::authority::{Authority, Phone, at, day, example_card};
use bhyt_tests::desk::{Desk, line};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../vectors/card_golden.json")).unwrap()
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    from_hex(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

/// What the cards of the golden file say, in its order.
fn golden_claims() -> Vec<CardClaims> {
    let number = |text| CardNumber::parse(text).unwrap();
    let born = |birth_date| CardClaims { birth_date, ..example_card() };
    vec![
        example_card(),
        CardClaims { binding: Some(Phone::new(2).binding(day(2026, 6, 30))), ..example_card() },
        CardClaims { number: number("9900000017"), ..example_card() },
        born(BirthDate::Year(1994)),
        born(BirthDate::Month { year: 1994, month: 3 }),
        born(BirthDate::Day(day(1949, 12, 31))),
        CardClaims { number: number("TE199KT0000000A"), ..example_card() },
        CardClaims { valid_to: None, five_years: None, area: None, sex: Sex::Unknown, ..example_card() },
    ]
}

#[test]
fn cards_are_the_bytes_that_another_implementation_makes() {
    let issuer = SecretKey::from_seed(&[1; 32]);
    let golden = golden();
    let cards = golden["cards"].as_array().unwrap();
    for (claims, entry) in golden_claims().into_iter().zip(cards) {
        let (what, card) = (&entry["what"], entry["card"].as_str().unwrap());
        let ours = Unsigned::new(claims.clone(), issuer.public_key().key_id()).sign(&issuer);
        assert_eq!(hex(ours.bytes()), card, "{what}");
        let read = Signed::<CardClaims>::decode(&from_hex(card).unwrap()).unwrap();
        assert_eq!(read.verify(&issuer.public_key()).unwrap().claims(), &claims, "{what}");
    }
    assert_eq!(cards.len(), golden_claims().len());
    let phone = Phone::of_kind(KeyKind::P256, 2);
    let claims = CardClaims { binding: Some(phone.binding(day(2026, 6, 30))), ..example_card() };
    let ours = Unsigned::new(claims, issuer.public_key().key_id()).sign(&issuer);
    assert_eq!(hex(ours.bytes()), golden["p256"]["card"].as_str().unwrap());
}

#[test]
fn presentations_are_the_text_that_another_implementation_makes() {
    let golden = golden();
    check_presentations(&Phone::new(2), &golden["cards"][1]["card"], &golden["presentations"]);
    let p256 = &golden["p256"];
    check_presentations(&Phone::of_kind(KeyKind::P256, 2), &p256["card"], &p256["presentations"]);
}

fn check_presentations(phone: &Phone, card: &Value, entries: &Value) {
    let card = from_hex(card.as_str().unwrap()).unwrap();
    for entry in entries.as_array().unwrap() {
        let challenge =
            entry["challenge"].as_str().map(|_| Challenge::from_bytes(bytes(&entry["challenge"])));
        let ours = match entry["time"].as_u64() {
            None => Presentation::new(card.clone(), None),
            Some(time) => {
                let (time, nonce) = (UnixSeconds(time), bytes(&entry["nonce"]));
                phone.prove(&card, UnsignedProof { time, nonce, challenge })
            }
        };
        let text = entry["text"].as_str().unwrap();
        assert_eq!(ours.encode_text(), text);
        assert_eq!(Presentation::decode_text(text), Ok(ours.clone()));
        if let Some(proof) = ours.proof() {
            assert_eq!(hex(&proof.replay_key(&card).0), entry["replay_key"].as_str().unwrap());
        }
    }
}

/// A card with everything on it.
fn full_card(name: &str) -> (Phone, CardClaims) {
    full_card_of(Phone::new(8), name)
}

fn full_card_of(phone: Phone, name: &str) -> (Phone, CardClaims) {
    let binding = Some(phone.binding(day(2026, 11, 30)));
    let full_name = FullName::parse(name).unwrap();
    (phone, CardClaims { full_name, binding, ..example_card() })
}

#[test]
fn a_full_card_fits_its_bounds_and_a_code_of_version_12() {
    let challenge = Challenge::from_bytes([0xff; 16]);
    let measure = |name: &str| {
        let (phone, claims) = full_card(name);
        let card = Authority::new(7).sign_card(claims);
        let live = phone.present(&card, at(2026, 6, 1), None);
        let answer = phone.present(&card, at(2026, 6, 1), Some(challenge));
        (card.len(), live, answer)
    };
    let name = "Lưu Thị Mẫu Thử";
    assert_eq!(name.len(), 22);
    let (card, live, answer) = measure(name);
    assert_eq!((card, live.encode().len(), answer.encode().len()), (235, 315, 332));
    assert!(card <= 250 && live.encode().len() <= 330 && answer.encode().len() <= 350);
    assert_eq!((live.encode_text().len(), answer.encode_text().len()), (479, 504));

    let (_, live, answer) = measure(&"x".repeat(40));
    assert!(live.encode_text().len() <= V12_L_CHARS && answer.encode_text().len() <= V12_L_CHARS);
    let (_, live, _) = measure(&"x".repeat(110));
    assert!(live.encode_text().len() <= V13_L_CHARS);
    let (_, _, answer) = measure(&"x".repeat(90));
    assert!(answer.encode_text().len() <= V13_L_CHARS);
    let alphanumeric = |text: String| text.bytes().all(|c| ALPHANUMERIC.contains(&c));
    assert!(alphanumeric(live.encode_text()) && alphanumeric(answer.encode_text()));
}

/// P-256 costs two bytes: the parity of y, under a label of its own.
#[test]
fn a_card_on_p256_fits_the_same_bounds() {
    let measure = |name: &str| {
        let (phone, claims) = full_card_of(Phone::of_kind(KeyKind::P256, 8), name);
        let card = Authority::new(7).sign_card(claims);
        let live = phone.present(&card, at(2026, 6, 1), None);
        let answer = phone.present(&card, at(2026, 6, 1), Some(Challenge::from_bytes([0xff; 16])));
        (card.len(), live, answer)
    };
    let (card, live, answer) = measure("Lưu Thị Mẫu Thử");
    assert_eq!((card, live.encode().len(), answer.encode().len()), (237, 317, 334));
    let (_, live, answer) = measure(&"x".repeat(40));
    assert!(live.encode_text().len() <= V12_L_CHARS);
    // The answer to a challenge is one character over; a name of two bytes less is not.
    assert!((V12_L_CHARS + 1..=V13_L_CHARS).contains(&answer.encode_text().len()));
    let (_, _, answer) = measure(&"x".repeat(38));
    assert!(answer.encode_text().len() <= V12_L_CHARS);
    let (_, live, _) = measure(&"x".repeat(110));
    assert!(live.encode_text().len() <= V13_L_CHARS);
}

#[test]
fn the_largest_card_there_is_has_room() {
    let (phone, claims) = full_card_of(Phone::of_kind(KeyKind::P256, 8), &"x".repeat(120));
    let claims = CardClaims {
        number: CardNumber::parse("TE199KT0000000A").unwrap(),
        social_number: SocialNumber::parse("9900000017").unwrap(),
        ..claims
    };
    let card = Authority::new(7).sign_card(claims);
    let answer = phone.present(&card, UnixSeconds(u64::MAX), Some(Challenge::from_bytes([1; 16])));
    assert!(card.len() + 100 < CARD_BYTES_MAX && answer.encode().len() < PRESENTATION_BYTES_MAX);
    assert!(answer.encode_text().len() < QR_TEXT_CHARS_MAX);
}

/// A desk, and what a phone shows there: live, and in answer to a challenge that the desk shows.
fn shown() -> (Desk, [Presentation; 2]) {
    let (authority, challenge) = (Authority::new(7), Challenge::from_bytes([9; 16]));
    let (phone, claims) = full_card("Nguyễn Thị Thử");
    let (card, mut desk) = (authority.sign_card(claims), Desk::of(&authority, at(2026, 6, 1)));
    desk.show(challenge);
    let presentations = [None, Some(challenge)].map(|challenge| phone.present(&card, desk.clock, challenge));
    for presentation in &presentations {
        assert!(matches!(desk.verify(presentation).outcome(), Outcome::Accept(_)));
    }
    (desk, presentations)
}

fn accepts(desk: &Desk, presentation: &Presentation) -> bool {
    matches!(desk.verify(presentation).outcome(), Outcome::Accept(_))
}

fn accepts_text(desk: &Desk, text: &str) -> bool {
    let verdict = verify_text(text, &desk.trust, desk.status.as_ref(), &desk.replay, desk.now());
    matches!(verdict.outcome(), Outcome::Accept(_))
}

#[test]
fn no_changed_bit_and_no_cut_is_accepted() {
    let (desk, presentations) = shown();
    for presentation in presentations {
        let bytes = presentation.encode();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let accepted = Presentation::decode(&bytes).is_ok_and(|read| accepts(&desk, &read));
            assert!(!accepted, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(Presentation::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Presentation::decode(&[&bytes[..], &[0]].concat()).is_err());
        let card = presentation.card_bytes();
        for cut in 0..card.len() {
            let short = Presentation::new(card[..cut].to_vec(), presentation.proof().cloned());
            assert_eq!(desk.answer(&short), "reject malformed 051", "cut at {cut}");
        }
    }
}

#[test]
fn no_changed_character_is_accepted() {
    let (desk, [live, _]) = shown();
    let text = live.encode_text();
    assert!(accepts_text(&desk, &text) && accepts_text(&desk, &format!("\n {text}\t")));
    for place in 0..text.len() {
        for other in [b'0', b'A', b':', b' ', b'~', 0xc3] {
            let mut changed = text.clone().into_bytes();
            if changed[place] != other {
                changed[place] = other;
                let changed = String::from_utf8_lossy(&changed);
                assert!(!accepts_text(&desk, &changed), "character {place}");
            }
        }
        assert!(!accepts_text(&desk, text.get(..place).unwrap()), "cut at {place}");
    }
    assert!(!accepts_text(&desk, &text.to_lowercase()));
    assert!(!accepts_text(&desk, &format!("{text}0")));
    assert!(!accepts_text(&desk, &text.replace("BHYT1:", "BHYT1:0")));
}

/// One card inside another's proof, and the like: every part is good, and they do not belong together.
#[test]
fn parts_of_two_presentations_do_not_join() {
    let (desk, [live, answer]) = shown();
    let (phone, claims) = full_card("Trần Văn Thử");
    let other = phone.present(&Authority::new(7).sign_card(claims), desk.clock, None);
    for (card, proof) in [(&live, &other), (&other, &live), (&other, &answer)] {
        let joined = Presentation::new(card.card_bytes().to_vec(), proof.proof().cloned());
        assert_eq!(line(&desk.verify(&joined)), "reject bad_proof 050");
    }
}

/// Characters of the alphanumeric set that a code at level L holds (ISO/IEC 18004, table 7).
const V12_L_CHARS: usize = 535;
const V13_L_CHARS: usize = 619;
const ALPHANUMERIC: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
