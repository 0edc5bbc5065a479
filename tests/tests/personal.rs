//! One personal document on many machines: any edits, any order of delivery, machines away across rebuilds. A failure
//! names its seed.

use bhyt_core::personal::document::PersonalDocument;
use bhyt_tests::dice::Dice;
use bhyt_tests::family::Family;

const SEEDS: u64 = 1_000;

#[test]
fn whatever_is_edited_wherever_all_machines_end_the_same() {
    for seed in 0..SEEDS {
        let told = std::panic::catch_unwind(|| live(seed));
        assert!(told.is_ok(), "seed {seed}");
    }
}

/// Machines edit, meet the server now and then, and the document begins anew now and then; then all changes of the last
/// generation go to somebody new in an order of chance.
fn live(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut family = Family::new();
    for _ in 0..18 {
        let which = dice.below(family.size() as u64) as usize;
        let edit = family.chance_edit(which, &mut dice);
        family.edit(which, edit);
        if dice.once_in(3) {
            family.meet(dice.below(family.size() as u64) as usize);
        }
        if dice.once_in(12) {
            family.server = family.server.rebuild();
        }
    }
    family.check();
    let mut changes = family.server.changes_since(&[]).expect("all of them");
    for at in (1..changes.len()).rev() {
        changes.swap(at, dice.below(at as u64 + 1) as usize);
    }
    let mut late = PersonalDocument::begin_generation(family.server.member(), family.server.generation());
    late.apply(changes.into_iter()).expect("the changes in another order");
    assert_eq!(late.view(), family.server.view());
    assert_eq!(late.heads(), family.server.heads());
}

#[test]
fn a_phone_that_was_away_across_rebuilds_loses_nothing_that_it_wrote() {
    let mut dice = Dice::new(7);
    let mut family = Family::new();
    // The second phone is away while the others write so much that the document begins anew.
    for _ in 0..40 {
        let edit = family.chance_edit(1, &mut dice);
        family.edit(1, edit);
    }
    for _ in 0..4_000 {
        if family.rebuilds() > 0 {
            break;
        }
        let which = 2 * dice.below(2) as usize;
        let edit = family.chance_edit(which, &mut dice);
        family.edit(which, edit);
        family.meet(which);
    }
    assert!(family.rebuilds() > 0, "away across a rebuild");
    family.check();
    assert!(family.document(1).view().notes.keys().any(|record| record.0 >= 10 && (record.0 - 10) % 3 == 1));
}
