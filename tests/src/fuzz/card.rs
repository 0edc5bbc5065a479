//! Cards as they are shown: text, presentation, envelope, claims, and the record beside them in the feed.
//!
//! Nothing is read as verified that our key has not signed; what is accepted re-encodes to itself; a payload that our key
//! does sign is answered by `verify` as its decoder says, and accepted in its dates only, unlisted, and proven only by
//! the phone that it names.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bhyt_core::card::{CardClaims, Validity};
use bhyt_core::card_record::{CardRecord, CardStanding};
use bhyt_core::cbor::{DecodeError, check_deterministic};
use bhyt_core::cose::{Object, Payload, Signed};
use bhyt_core::ids::{FullName, StatusIndex};
use bhyt_core::limits::CARD_BYTES_MAX;
use bhyt_core::p256_keys::{P256PublicKey, signature_from_der};
use bhyt_core::presentation::{Challenge, Presentation, UnsignedProof};
use bhyt_core::presentation_key::{KeyKind, PresentationKey, PresentationSecret};
use bhyt_core::time::BirthDate;
use bhyt_core::verdict::{Holder, Outcome, RejectReason, UndecidedReason, Verdict};
use bhyt_core::verify::verify_text;

use super::input::{Input, Script};
use crate::authority::{Authority, ListDraft, Phone, at, day, example_card};
use crate::desk::Desk;
use crate::forge::Forge;

/// The kind of an input is its first byte.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 6 {
        0 => text(data),
        1 => presentation(data),
        2 => claims(data),
        3 => record(data),
        4 => envelope(data),
        _ => key_store(data),
    }
}

/// A terminal that lists card 5 as withdrawn, and a phone.
struct World {
    authority: Authority,
    phones: [Phone; 2],
    desk: Desk,
    /// Every card that our key has ever signed, as far as an input can know.
    signed: BTreeSet<Vec<u8>>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (authority, clock) = (Authority::new(7), at(2026, 6, 1));
    let phones = KINDS.map(|kind| Phone::of_kind(kind, 8));
    let mut list = ListDraft::new(1, clock);
    list.sets.set_standing(WITHDRAWN, CardStanding::Withdrawn);
    list.sets.set_standing(StatusIndex(6), CardStanding::Held);
    let desk = Desk::with_list(&authority, &list, clock);
    let signed = cards().into_iter().map(|card| authority.sign_card(card)).collect();
    World { authority, phones, desk, signed }
});

fn text(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let desk = &WORLD.desk;
    let verdict = verify_text(text, &desk.trust, desk.status.as_ref(), &desk.replay, desk.now());
    match Presentation::decode_text(text) {
        Ok(read) => {
            assert_eq!(read.encode_text(), text.trim(), "a text has one form");
            presentation(&read.encode());
        }
        Err(error) => assert_eq!(verdict.outcome(), unreadable(error)),
    }
}

fn presentation(data: &[u8]) {
    let Ok(read) = Presentation::decode(data) else {
        return;
    };
    assert_eq!(read.encode(), data, "a presentation has one form");
    let card = read.card_bytes();
    if let Ok(signed) = Signed::<CardClaims>::decode(card) {
        assert_eq!((signed.bytes(), check_deterministic(card)), (card, Ok(())));
    }
    let verdict = WORLD.desk.verify(&read);
    let ours = WORLD.signed.contains(card);
    assert_eq!(verdict.card().is_some(), ours, "a card is read when our key signed it, and only then");
}

fn claims(data: &[u8]) {
    let World { authority, phones, desk, .. } = &*WORLD;
    let card = Forge::card(&authority.card_key, data).sign();
    let proof = UnsignedProof { time: desk.clock, nonce: [1; 4], challenge: None };
    let decoded = CardClaims::decode(data);
    let bound = decoded.as_ref().ok().and_then(|claims| claims.binding);
    let named = phones.iter().find(|phone| bound.is_some_and(|binding| binding.key == phone.key()));
    let [phone, _] = phones;
    let verdict = desk.verify(&named.unwrap_or(phone).prove(&card, proof));
    match decoded {
        _ if card.len() > CARD_BYTES_MAX => {
            assert_eq!(verdict.outcome(), Outcome::Reject(RejectReason::Malformed));
        }
        Err(error) => assert_eq!(verdict.outcome(), unreadable(error)),
        Ok(claims) => {
            let again = claims.encode();
            assert_eq!(CardClaims::decode(&again).as_ref(), Ok(&claims), "claims are read back");
            // Only what a newer issuer adds may be lost on the way.
            assert!(again.len() < data.len() || again == data, "claims have one form");
            assert_eq!(verdict.card(), Some(&claims));
            judge(&verdict, &claims, named.is_some());
        }
    }
}

/// What must be so of a card whose signature holds, shown with a live proof by the phone that it names, or by another.
fn judge(verdict: &Verdict, claims: &CardClaims, bound: bool) {
    let desk = &WORLD.desk;
    let end = claims.binding.map(|binding| binding.end);
    let listed = claims.status_index == WITHDRAWN;
    let valid = claims.validity_at(desk.clock) == Validity::Valid;
    match verdict.outcome() {
        Outcome::Accept(accept) => {
            assert!(valid && !listed && bound);
            let lasts = end.is_some_and(|end| desk.clock.day() <= end);
            assert_eq!(matches!(accept.holder, Holder::Proven(_)), lasts);
        }
        Outcome::Reject(RejectReason::Withdrawn) => assert!(listed),
        Outcome::Reject(RejectReason::BadProof) => assert!(!bound && valid && !listed),
        Outcome::Reject(RejectReason::Expired | RejectReason::NotYetValid) => assert!(!valid),
        Outcome::Undecided(
            UndecidedReason::NotCovered | UndecidedReason::ClockUntrusted | UndecidedReason::Held,
        ) => {}
        other => panic!("{other:?} of a card whose claims were read"),
    }
}

fn record(data: &[u8]) {
    if let Ok(record) = CardRecord::decode(data) {
        let again = record.encode();
        assert_eq!(CardRecord::decode(&again), Ok(record));
        assert!(again.len() < data.len() || again == data, "a card record has one form");
    }
}

/// Envelope and payload apart, signed for real as they are: only our own envelope is read.
fn envelope(data: &[u8]) {
    let mut input = Input::new(data);
    let authority = &WORLD.authority;
    let objects = [Object::Card, Object::Present, Object::Status, Object::Trust, Object::Head];
    let forged = Forge {
        object: *input.pick(&objects),
        tag: input.bytes().to_vec(),
        protected: input.bytes().to_vec(),
        unprotected: input.bytes().to_vec(),
        ..Forge::card(&authority.card_key, input.bytes())
    };
    let right = Forge::card(&authority.card_key, &forged.payload);
    let ours = forged.sign() == right.sign();
    let readable = CardClaims::decode(&forged.payload).is_ok() && right.sign().len() <= CARD_BYTES_MAX;
    let verdict = WORLD.desk.verify(&Presentation::new(forged.sign(), None));
    assert_eq!(verdict.card().is_some(), ours && readable, "the envelope is exactly ours");
}

/// What a phone's key store hands over: a point in SEC 1, a signature in DER.
fn key_store(data: &[u8]) {
    if let Some(key) = P256PublicKey::from_sec1(data) {
        assert_eq!(P256PublicKey::from_x(&key.x(), key.y_is_odd()), Some(key));
        assert!(data.windows(32).any(|part| part == key.x()), "the point that was handed over");
    }
    if let Some(signature) = signature_from_der(data) {
        let (r, s) = signature.0.split_at(32);
        let body = [integer(r), integer(s)].concat();
        assert_eq!([&[0x30, body.len() as u8], &body[..]].concat(), data, "a signature has one form");
    }
}

/// A DER INTEGER: no zeros in front, but one where the first bit would be a sign.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take(number.len() - 1).take_while(|byte| **byte == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    let sign = usize::from(digits.first().is_some_and(|first| *first >= 0x80));
    [vec![2, (digits.len() + sign) as u8], vec![0; sign], digits.to_vec()].concat()
}

fn unreadable(error: DecodeError) -> Outcome {
    match error {
        DecodeError::Malformed(_) => Outcome::Reject(RejectReason::Malformed),
        DecodeError::NeedsUpdate => Outcome::Undecided(UndecidedReason::NeedsUpdate),
    }
}

/// Cards of every shape: with and without binding, dates, area; partial birth dates; long names.
fn cards() -> Vec<CardClaims> {
    let [bound, p256] = KINDS.map(|kind| {
        let binding = Some(Phone::of_kind(kind, 8).binding(day(2026, 11, 1)));
        CardClaims { binding, ..example_card() }
    });
    let long = FullName::parse(&["Nguyễn"; 12].join(" "));
    vec![
        example_card(),
        CardClaims { valid_to: None, five_years: None, area: None, ..bound.clone() },
        CardClaims { birth_date: BirthDate::Year(1950), status_index: WITHDRAWN, ..bound.clone() },
        CardClaims { birth_date: BirthDate::Month { year: 1950, month: 2 }, ..example_card() },
        CardClaims { full_name: long.expect("a name"), ..bound.clone() },
        bound,
        p256,
    ]
}

/// Cards as signed, their payloads, presentations live and on paper, texts, records and envelopes.
pub fn seeds() -> Vec<Vec<u8>> {
    let World { authority, phones: [phone, p256], desk, .. } = &*WORLD;
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let mut seeds = vec![with(0, b"BHYT2:ANYTHING"), with(0, b" BHYT1:6BF \r\n")];
    let challenge = Challenge { terminal: authority.card_key.public_key().key_id(), random: [9; 8] };
    for (card, challenge) in cards().into_iter().zip([None, Some(challenge)].into_iter().cycle()) {
        let payload = card.encode();
        let by_p256 = card.binding.is_some_and(|binding| binding.key == p256.key());
        let phone = if by_p256 { p256 } else { phone };
        let signed = authority.sign_card(card);
        let live = phone.present(&signed, desk.clock, challenge);
        let paper = Presentation::new(signed.clone(), None);
        seeds.push(with(0, live.encode_text().as_bytes()));
        seeds.extend([live, paper].map(|shown| with(1, &shown.encode())));
        seeds.push(with(2, &payload));
        let forged = Forge::card(&authority.card_key, &payload);
        let envelope = Script::new().raw(&[4, 0]).bytes(&forged.tag).bytes(&forged.protected);
        seeds.push(envelope.bytes(&forged.unprotected).bytes(&payload).done());
        let record = CardRecord { credential: signed, standing: CardStanding::Superseded };
        seeds.push(with(3, &record.encode()));
    }
    let [_, p256] = KINDS.map(|kind| PresentationSecret::from_bytes(kind, &[8; 32]).expect("a key"));
    if let PresentationKey::P256(key) = p256.public_key() {
        seeds.push([&[5, 2 + u8::from(key.y_is_odd())], &key.x()[..]].concat());
    }
    // SEQUENCE of two INTEGERs of 32 bytes, the second with a zero before its high bit.
    let der = [&[5, 0x30, 69, 2, 32], &[1; 32][..], &[2, 33, 0], &[0x80; 32]].concat();
    seeds.push(der);
    seeds
}

const KINDS: [KeyKind; 2] = [KeyKind::Ed25519, KeyKind::P256];
/// The card that the terminal's list holds as withdrawn.
const WITHDRAWN: StatusIndex = StatusIndex(5);
