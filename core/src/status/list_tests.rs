//! Answers of a list: each standing, bindings, coverage, sets of newer versions; and the server's sets behind it.

use super::build::StatusSets;
use super::list::{Covers, StatusError, StatusHead};
use super::reason::{Coverage, SetNumber, Standing};
use super::testing::{Lcg, head, random_sets};
use crate::card_record::{CardStanding, ReducedCode};
use crate::ids::{BindingNumber, StatusIndex};
use crate::limits::{STATUS_INDEX_MAX, STATUS_RESERVED_MAX, STATUS_SKIP_BYTES_MAX};
use crate::time::UnixSeconds;
use crate::trust::IndexRange;

fn reduced(code: u64) -> ReducedCode {
    ReducedCode::new(code).unwrap()
}

#[test]
fn a_card_is_found_by_its_standing_and_leaves_again() {
    let mut sets = StatusSets::default();
    let card = StatusIndex(41);
    let answer = |sets: &StatusSets| sets.to_list(head(1, 100)).unwrap().lookup(card);
    let in_force = Standing::default();
    for (standing, expected) in [
        (CardStanding::Held, Standing { held: true, ..in_force }),
        (CardStanding::Reduced(reduced(123)), Standing { reduced: Some(reduced(123)), ..in_force }),
        (CardStanding::Reduced(reduced(120)), Standing { reduced: Some(reduced(120)), ..in_force }),
        (CardStanding::Superseded, Standing { superseded: true, ..in_force }),
        (CardStanding::Withdrawn, Standing { withdrawn: true, ..in_force }),
        (CardStanding::InForce, in_force),
    ] {
        sets.set_standing(card, standing);
        assert_eq!(answer(&sets), expected);
        assert_eq!(sets.standing(card), standing);
        assert_eq!(sets.to_list(head(1, 100)).unwrap().lookup(StatusIndex(42)), in_force);
    }
    assert_eq!(sets.to_list(head(1, 100)).unwrap().sets().count(), 0, "empty sets do not stand in a list");
}

#[test]
fn a_card_may_stand_in_several_sets() {
    let mut sets = StatusSets::default();
    [1, 2, 3, 14, 12].into_iter().for_each(|number| sets.insert(SetNumber::new(number).unwrap(), 5));
    let standing = sets.to_list(head(1, 6)).unwrap().lookup(StatusIndex(5));
    let reduced = Some(reduced(122));
    let expected = Standing { withdrawn: true, reduced, superseded: true, held: true, unknown_reason: false };
    assert_eq!(standing, expected);
}

#[test]
fn a_retired_binding_is_one_device_and_not_the_card() {
    let mut sets = StatusSets::default();
    let (card, number) = (StatusIndex(u32::MAX), |number| BindingNumber::new(number).unwrap());
    sets.retire_binding(card, number(15));
    let list = sets.to_list(head(1, STATUS_INDEX_MAX + 1)).unwrap();
    assert!(list.binding_retired(card, number(15)));
    assert!(!list.binding_retired(card, number(14)));
    assert!(!list.binding_retired(StatusIndex(0), number(0)));
    assert_eq!(list.lookup(card), Standing::default());
    sets.free_binding(card, number(15));
    assert!(!sets.to_list(head(1, 1 << 32)).unwrap().binding_retired(card, number(15)));
}

#[test]
fn only_the_cards_of_an_unknown_set_need_an_update() {
    let mut sets = StatusSets::default();
    sets.insert(SetNumber::new(4).unwrap(), 10);
    sets.insert(SetNumber::new(23).unwrap(), 20 * 16 + 15);
    sets.set_standing(StatusIndex(10), CardStanding::Held);
    let list = sets.to_list(head(1, 100)).unwrap();
    let unknown = Standing { unknown_reason: true, ..Standing::default() };
    assert_eq!(list.lookup(StatusIndex(10)), Standing { held: true, ..unknown });
    assert_eq!(list.lookup(StatusIndex(20)), unknown);
    for others in [9, 11, 19, 21] {
        assert_eq!(list.lookup(StatusIndex(others)), Standing::default());
    }
    assert_eq!(StatusSets::from_list(&list), sets);
}

#[test]
fn coverage_tells_a_newer_card_from_one_the_list_should_know() {
    let reserved = [(10, 5), (20, 1)].map(|(first, count)| IndexRange { first, count });
    let covers = Covers::new(100, UnixSeconds(500), reserved.to_vec()).unwrap();
    let check = |index, issued_at, expected| {
        let got = covers.coverage(StatusIndex(index), UnixSeconds(issued_at));
        assert_eq!(got, expected, "{index} {issued_at}");
    };
    for index in [0, 9, 15, 19, 21, 99] {
        check(index, 400, Coverage::Covered);
        // Signed again for a device: the index is as old as the card.
        check(index, 600, Coverage::Covered);
    }
    for index in [10, 14, 20, 100, u32::MAX] {
        check(index, 500, Coverage::NotCovered);
        check(index, 501, Coverage::IssuedAfter);
    }
}

#[test]
fn covers_that_are_not_well_formed_are_refused() {
    let check = |below, ranges: &[(u32, u32)], good: bool| {
        let ranges = ranges.iter().map(|&(first, count)| IndexRange { first, count }).collect();
        assert_eq!(Covers::new(below, UnixSeconds(0), ranges).is_ok(), good);
    };
    check(0, &[], true);
    check(1 << 32, &[(0, u32::MAX)], true);
    check(1 << 32, &[(0, 1), (u32::MAX, 1)], true);
    check((1 << 32) + 1, &[], false);
    check(9, &[(0, 0)], false);
    check(9, &[(0, 2), (2, 1)], false);
    check(9, &[(4, 1), (2, 1)], false);
    check(9, &[(8, 2)], false);
    let many: Vec<(u32, u32)> = (0..=STATUS_RESERVED_MAX as u32).map(|at| (at * 2, 1)).collect();
    check(1 << 20, &many, false);
    check(1 << 20, &many[1..], true);
}

#[test]
fn what_cannot_be_is_not_made_into_a_list() {
    let mut sets = StatusSets::default();
    sets.set_standing(StatusIndex(50), CardStanding::Held);
    sets.retire_binding(StatusIndex(60), BindingNumber::new(3).unwrap());
    assert!(matches!(sets.to_list(head(1, 60)), Err(StatusError::Set { .. })));
    for (first, number) in [(50, SetNumber::HELD), (60, SetNumber::RETIRED_BINDINGS)] {
        let covers = Covers::new(99, UnixSeconds(1), vec![IndexRange { first, count: 1 }]).unwrap();
        let head = StatusHead { covers, ..head(1, 0) };
        assert_eq!(sets.to_list(head), Err(StatusError::Reserved { number }));
    }
    let late = Covers::new(99, UnixSeconds(1_001), Vec::new()).unwrap();
    assert_eq!(sets.to_list(StatusHead { covers: late, ..head(1, 0) }), Err(StatusError::Covers));
}

#[test]
fn skip_tables_stay_within_their_memory() {
    let shares = [(1, 60_000), (2, 10_000), (3, 5_000), (10, 25_000), (11, 1), (16, 4_000), (4, 9)];
    let list = random_sets(&mut Lcg::new(20), 1 << 24, &shares).to_list(head(1, 1 << 24)).unwrap();
    assert!((STATUS_SKIP_BYTES_MAX / 2..=STATUS_SKIP_BYTES_MAX).contains(&list.skip_bytes()));
}
