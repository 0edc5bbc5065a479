//! Bytes that were harmed by chance, many at a time: whatever a scanner, a stick or a disk hands over is refused or is
//! what it was, and never a panic. Each finding prints its seed and throw.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside #[test]")]

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::CardStanding;
use bhyt_core::held_status::HeldStatus;
use bhyt_core::ids::StatusIndex;
use bhyt_core::presentation::Presentation;
use bhyt_core::trust;
use bhyt_core::verdict::Outcome;
use bhyt_core::verify::verify_text;
use bhyt_tests::authority::{Authority, ListDraft, Phone, at, day, example_card};
use bhyt_tests::desk::Desk;
use bhyt_tests::dice::Dice;

/// Cuts, doubles, swaps and overwrites stretches of up to eight bytes, one to four times.
fn harm(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(4) {
        let from = usize::try_from(dice.below(bytes.len() as u64 + 1)).unwrap();
        let to = (from + usize::try_from(dice.below(8)).unwrap()).min(bytes.len());
        let stretch = bytes.get(from..to).unwrap().to_vec();
        let instead = match dice.below(4) {
            0 => Vec::new(),
            1 => [stretch.clone(), stretch].concat(),
            2 => stretch.into_iter().rev().collect(),
            _ => stretch.iter().map(|_| dice.below(256) as u8).collect(),
        };
        bytes.splice(from..to, instead);
    }
    bytes
}

fn check(seed: u64, good: &[u8], same: impl Fn(&[u8]) -> bool) {
    let mut dice = Dice::new(seed);
    assert!(same(good), "seed {seed}, unharmed");
    for throw in 0..5_000 {
        let harmed = harm(good, &mut dice);
        assert!(harmed == good || !same(&harmed), "seed {seed}, throw {throw}");
    }
}

fn desk_and_presentation() -> (Desk, Presentation) {
    let (authority, phone) = (Authority::new(7), Phone::new(8));
    let card = CardClaims { binding: Some(phone.binding(day(2026, 11, 1))), ..example_card() };
    let desk = Desk::of(&authority, at(2026, 6, 1));
    let presentation = phone.present(&authority.sign_card(card), desk.clock, None);
    (desk, presentation)
}

#[test]
fn a_harmed_presentation_is_not_accepted() {
    let (desk, presentation) = desk_and_presentation();
    check(1, &presentation.encode(), |bytes| {
        let read = Presentation::decode(bytes);
        read.is_ok_and(|read| matches!(desk.verify(&read).outcome(), Outcome::Accept(_)))
    });
}

#[test]
fn a_harmed_card_is_not_accepted() {
    let (desk, presentation) = desk_and_presentation();
    check(2, presentation.card_bytes(), |card| {
        let printed = Presentation::new(card.to_vec(), None);
        matches!(desk.verify(&printed).outcome(), Outcome::Accept(_))
    });
}

#[test]
fn a_harmed_text_is_not_accepted() {
    let (desk, presentation) = desk_and_presentation();
    check(3, presentation.encode_text().as_bytes(), |text| {
        let text = String::from_utf8_lossy(text);
        // White space at the ends is a scanner's.
        let whole = text == text.trim() || text.trim() != presentation.encode_text();
        let verdict = verify_text(&text, &desk.trust, desk.status.as_ref(), &desk.replay, desk.now());
        whole && matches!(verdict.outcome(), Outcome::Accept(_))
    });
}

#[test]
fn a_harmed_bundle_is_not_taken() {
    let authority = Authority::new(7);
    let bundle = authority.sign_bundle(&authority.bundle(1, at(2026, 5, 1)));
    check(4, &bundle, |bytes| trust::anchor(bytes).is_ok());
}

#[test]
fn a_harmed_status_file_is_not_taken() {
    let authority = Authority::new(7);
    let trust = authority.trust(&authority.bundle(1, at(2026, 5, 1)));
    let mut draft = ListDraft::new(1, at(2026, 6, 1));
    let mut desk = Desk::new(trust, &authority.sign_list(&draft.list()), at(2026, 6, 1));
    let first = draft.list();
    draft.version.number = 2;
    (0..50).for_each(|index| draft.sets.set_standing(StatusIndex(index * 999), CardStanding::Withdrawn));
    desk.take_list(&authority.sign_delta(&first, &draft.list())).unwrap();
    let file = desk.status.as_ref().unwrap().encode();
    check(5, &file, |bytes| HeldStatus::decode(bytes, desk.trust.claims(), &desk.marks).is_ok());
}
