//! Deltas: that they lead exactly where a new build would, as one step or many, and nowhere else.

use super::build::StatusSets;
use super::delta::Delta;
use super::list::{Covers, StatusError, StatusHead, StatusList};
use super::reason::SetNumber;
use super::testing::{Lcg, head, random_sets};
use super::version::StatusVersion;
use crate::card_record::CardStanding;
use crate::cose::Payload as _;
use crate::ids::{BindingNumber, StatusIndex};
use crate::limits::STATUS_DELTAS_MAX;
use crate::time::UnixSeconds;

/// Versions 1 to `count` of a list that changes at random; each covers more than the one before.
fn history(seed: u64, count: u64) -> Vec<StatusList> {
    let mut random = Lcg::new(seed);
    let shares = [(1, 300), (3, 20), (10, 80), (4, 5), (16, 60)];
    let mut sets = random_sets(&mut random, 5_000, &shares);
    (1..=count)
        .map(|number| {
            let below = 5_000 + number * 100;
            let list = sets.to_list(head(number, below)).unwrap();
            for _ in 0..50 {
                let index = StatusIndex(random.below(below) as u32);
                sets.set_standing(
                    index,
                    match random.below(5) {
                        0 => CardStanding::Withdrawn,
                        1 => CardStanding::Superseded,
                        2 => CardStanding::Held,
                        _ => CardStanding::InForce,
                    },
                );
                sets.free_binding(index, BindingNumber::new(random.below(16)).unwrap());
                sets.retire_binding(index, BindingNumber::new(random.below(16)).unwrap());
            }
            list
        })
        .collect()
}

fn chain(lists: &[StatusList]) -> Vec<Delta> {
    lists.windows(2).map(|pair| Delta::between(&pair[0], &pair[1]).unwrap()).collect()
}

#[test]
fn a_chain_leads_where_a_new_build_does() {
    for seed in 30..40 {
        let lists = history(seed, 9);
        let deltas = chain(&lists);
        for (from, to) in [(0, 0), (0, 1), (0, 8), (3, 7), (8, 8)] {
            assert_eq!(lists[from].apply(&deltas[from..to]), Ok(lists[to].clone()), "seed {seed}");
        }
        let long_step = Delta::between(&lists[0], &lists[8]).unwrap();
        assert_eq!(lists[0].apply(&[long_step]), Ok(lists[8].clone()), "seed {seed}");
        let read: Vec<Delta> = deltas.iter().map(|delta| Delta::decode(&delta.encode()).unwrap()).collect();
        assert_eq!(read, deltas);
    }
}

#[test]
fn deltas_that_do_not_join_on_are_refused() {
    let lists = history(41, 5);
    let deltas = chain(&lists);
    let version = |at: usize| lists[at].version();
    let gap = StatusError::WrongBase { held: version(0), from: version(1) };
    assert_eq!(lists[0].apply(&deltas[1..2]), Err(gap));
    let gap = StatusError::WrongBase { held: version(1), from: version(2) };
    assert_eq!(lists[0].apply(&[deltas[0].clone(), deltas[2].clone()]), Err(gap));
    assert_eq!(lists[2].apply(&deltas[0..1]), Err(StatusError::NotForward));
    assert_eq!(lists[0].apply(&[&deltas[..1], &deltas[..1]].concat()), Err(StatusError::NotForward));
    let too_many = vec![deltas[0].clone(); STATUS_DELTAS_MAX + 1];
    let got = too_many.len();
    assert_eq!(lists[0].apply(&too_many), Err(StatusError::TooManyDeltas { got }));
}

#[test]
fn a_delta_leads_forward_within_an_epoch() {
    let list = &history(42, 1)[0];
    let check = |epoch, number, time, below, until, expected: Result<usize, StatusError>| {
        let covers = Covers::new(below, UnixSeconds(until), Vec::new()).unwrap();
        let head = StatusHead { version: StatusVersion { epoch, number }, time: UnixSeconds(time), covers };
        let to = StatusSets::from_list(list).to_list(head).unwrap();
        assert_eq!(Delta::between(list, &to).map(|delta| delta.entries()), expected);
    };
    check(1, 2, 1_000, 5_100, 1_000, Ok(0));
    check(1, 9, 9_999, 9_999, 9_999, Ok(0));
    check(2, 2, 1_000, 5_100, 1_000, Err(StatusError::OtherEpoch));
    check(1, 1, 1_000, 5_100, 1_000, Err(StatusError::NotForward));
    check(1, 2, 999, 5_100, 999, Err(StatusError::NotForward));
    check(1, 2, 1_000, 5_099, 1_000, Err(StatusError::NotForward));
    check(1, 2, 1_000, 5_100, 999, Err(StatusError::NotForward));
}

#[test]
fn a_delta_for_another_list_of_the_same_version_is_refused() {
    let (ours, theirs) = (history(43, 2), history(44, 2));
    let delta = Delta::between(&theirs[0], &theirs[1]).unwrap();
    assert!(matches!(ours[0].apply(&[delta]), Err(StatusError::Set { .. } | StatusError::Counts)));

    // Same counts, and edits that fit: the hash tells.
    let number = SetNumber::HELD;
    let list = |values: &[u64], version| {
        let mut sets = StatusSets::default();
        values.iter().for_each(|&value| sets.insert(number, value));
        sets.to_list(head(version, 100)).unwrap()
    };
    let delta = Delta::between(&list(&[1, 2], 1), &list(&[1, 3], 2)).unwrap();
    assert_eq!(list(&[2, 9], 1).apply(&[delta]), Err(StatusError::Digest));
}

#[test]
fn a_change_too_large_for_a_delta_is_left_to_a_snapshot() {
    let universe = 1 << 22;
    let from = random_sets(&mut Lcg::new(45), universe, &[(1, 9)]).to_list(head(1, universe));
    let to = random_sets(&mut Lcg::new(46), universe, &[(1, 400_000)]).to_list(head(2, universe));
    let delta = Delta::between(&from.unwrap(), &to.unwrap());
    assert!(matches!(delta, Err(StatusError::DeltaTooLarge { .. })));
}
