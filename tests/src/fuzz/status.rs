//! Status lists: payloads of snapshots and deltas, coded sets, and lists made, changed and asked.
//!
//! What is read is written back the same; a compressed set answers as a plain one; a delta applied is the list built
//! anew; the skip tables stay within their memory.

use std::collections::{BTreeMap, BTreeSet};

use bhyt_core::card_record::{CardStanding, ReducedCode};
use bhyt_core::cose::Payload;
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::limits::STATUS_SKIP_BYTES_MAX;
use bhyt_core::status::build::StatusSets;
use bhyt_core::status::delta::Delta;
use bhyt_core::status::golomb::{GapReader, GapWriter, GolombError, UNIVERSE_MAX};
use bhyt_core::status::list::{Covers, StatusHead};
use bhyt_core::status::payload::StatusMessage;
use bhyt_core::status::reason::{SetMeaning, SetNumber};
use bhyt_core::status::set::CompressedSet;
use bhyt_core::status::{Standing, StatusList, StatusVersion};
use bhyt_core::trust::IndexRange;

use super::input::{Input, Script};
use crate::authority::{ListDraft, at};

/// The kind of an input is its first byte.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 3 {
        0 => payload(data),
        1 => coded_set(data),
        _ => changes(data),
    }
}

fn payload(data: &[u8]) {
    let Ok(message) = StatusMessage::decode(data) else {
        return;
    };
    let again = message.encode();
    assert!(again.len() < data.len() || again == data, "a payload has one form");
    assert!(StatusMessage::decode(&again).as_ref() == Ok(&message), "a payload is read back");
    if let StatusMessage::Snapshot(list) = message {
        check_answers(&list);
        // A server goes on from it, unless it lists what was given to no card.
        if let Ok(built) = StatusSets::from_list(&list).to_list(list.head().clone()) {
            assert!(built == list, "a list is what its sets make");
        }
    }
}

fn coded_set(data: &[u8]) {
    let mut input = Input::new(data);
    let universe = input.number() % (UNIVERSE_MAX + 2);
    let (count, skips_max) = (u64::from(input.short()), input.below(9));
    let bytes = input.rest();
    match read_all(universe, count, bytes) {
        Ok(values) => {
            let mut writer = GapWriter::new(universe, count).expect("a code that was read");
            assert!(values.iter().all(|value| *value < universe), "inside the universe");
            values.iter().for_each(|value| writer.push(*value).expect("ascending values"));
            assert_eq!(writer.finish().as_deref(), Ok(bytes), "values have one code");
            let set = CompressedSet::decode(universe, count, bytes.to_vec(), skips_max);
            check_set(&set.expect("a set that was read through"), &values.into_iter().collect());
        }
        Err(_) => assert!(CompressedSet::decode(universe, count, bytes.to_vec(), skips_max).is_err()),
    }
}

fn read_all(universe: u64, count: u64, bytes: &[u8]) -> Result<Vec<u64>, GolombError> {
    let mut reader = GapReader::new(universe, count, bytes)?;
    let mut values = Vec::new();
    while let Some(value) = reader.next_value()? {
        values.push(value);
    }
    reader.finish()?;
    Ok(values)
}

/// Lists that follow each other, each with some changes, and what leads from one to the next.
fn changes(data: &[u8]) {
    let mut input = Input::new(data);
    let (mut sets, mut below) = (StatusSets::default(), 1 + u64::from(input.short()));
    let first = sets.to_list(head(1, below)).expect("an empty list");
    let mut lists = vec![first];
    while !input.is_empty() && lists.len() <= LISTS_MAX {
        for _ in 0..input.below(64) {
            change(&mut input, &mut sets, below);
        }
        below += u64::from(input.byte());
        let number = lists.len() as u64 + 1;
        let list = sets.to_list(head(number, below)).expect("values below the universe");
        check_answers(&list);
        let before = lists.last().expect("the first at least");
        let delta = Delta::between(before, &list).expect("lists that follow each other");
        let read = Delta::decode(&delta.encode()).expect("our own delta");
        assert!(read == delta, "a delta is read back");
        assert!(before.apply(&[read]).as_ref() == Ok(&list), "a delta applied is the list built anew");
        assert!(list.apply(&[delta]).is_err(), "and applies to no other");
        lists.push(list);
    }
    check_chain(&lists);
}

fn change(input: &mut Input<'_>, sets: &mut StatusSets, below: u64) {
    let index = u32::try_from(u64::from(input.short()) % below).map(StatusIndex).expect("a short index");
    match input.byte() % 12 {
        0..=7 => {
            let code = ReducedCode::new(120 + u64::from(input.byte() % 5)).expect("a code");
            let standings = [
                CardStanding::InForce,
                CardStanding::Withdrawn,
                CardStanding::Superseded,
                CardStanding::Held,
                CardStanding::Reduced(code),
            ];
            let standing = *input.pick(&standings);
            sets.set_standing(index, standing);
            assert_eq!(sets.standing(index), standing);
        }
        8 | 9 => sets.retire_binding(index, binding(input)),
        10 => sets.free_binding(index, binding(input)),
        _ => {
            let number = SetNumber::new(i64::from(1 + input.byte() % 23)).expect("a set's number");
            sets.insert(number, u64::from(index.0) * number.universe(1));
        }
    }
}

fn binding(input: &mut Input<'_>) -> BindingNumber {
    BindingNumber::new(u64::from(input.byte() % 16)).expect("a binding's number")
}

/// All steps at once lead where each alone does, and one delta over all of them too.
fn check_chain(lists: &[StatusList]) {
    let (Some(first), Some(last)) = (lists.first(), lists.last()) else {
        return;
    };
    let pairs = lists.iter().zip(lists.iter().skip(1));
    let steps: Vec<Delta> = pairs.filter_map(|(before, after)| Delta::between(before, after).ok()).collect();
    assert!(first.apply(&steps).as_ref() == Ok(last), "a chain applied at once");
    if lists.len() > 1 {
        let whole = Delta::between(first, last).expect("lists that follow each other");
        assert!(first.apply(&[whole]).as_ref() == Ok(last), "one delta for the whole way");
    }
}

/// Every answer of a list against plain sets.
fn check_answers(list: &StatusList) {
    assert!(list.skip_bytes() <= STATUS_SKIP_BYTES_MAX, "skip tables stay within their memory");
    let plain: BTreeMap<SetNumber, BTreeSet<u64>> =
        list.sets().map(|(number, set)| (number, set.iter().collect())).collect();
    for (number, set) in list.sets() {
        assert_eq!(set.universe(), number.universe(list.head().covers.indexes_below()));
        check_set(set, plain.get(&number).expect("its own set"));
    }
    let near = plain.iter().flat_map(|(number, values)| {
        let scale = number.universe(1);
        values.iter().take(ASKED_MAX).flat_map(move |value| [value / scale, value / scale + 1])
    });
    for index in near.filter_map(|index| u32::try_from(index).ok()).take(ASKED_MAX) {
        assert_eq!(list.lookup(StatusIndex(index)), standing(&plain, index), "card {index}");
        for number in (0..16).filter_map(BindingNumber::new) {
            let value = u64::from(index) * 16 + u64::from(number.value());
            let retired = plain.get(&SetNumber::RETIRED_BINDINGS).is_some_and(|set| set.contains(&value));
            assert_eq!(list.binding_retired(StatusIndex(index), number), retired);
        }
    }
}

fn standing(plain: &BTreeMap<SetNumber, BTreeSet<u64>>, index: u32) -> Standing {
    let mut standing = Standing::default();
    let index = u64::from(index);
    for (number, values) in plain {
        let scale = number.universe(1);
        if values.range(index * scale..(index + 1) * scale).next().is_none() {
            continue;
        }
        match number.meaning() {
            SetMeaning::Cards(CardStanding::Withdrawn) => standing.withdrawn = true,
            SetMeaning::Cards(CardStanding::Superseded) => standing.superseded = true,
            SetMeaning::Cards(CardStanding::Held) => standing.held = true,
            // Sets come in order of their codes, and the lowest counts.
            SetMeaning::Cards(CardStanding::Reduced(code)) => {
                standing.reduced = standing.reduced.or(Some(code));
            }
            SetMeaning::UnknownOfCards | SetMeaning::UnknownOfBindings => standing.unknown_reason = true,
            SetMeaning::Cards(CardStanding::InForce) | SetMeaning::RetiredBindings => {}
        }
    }
    standing
}

fn check_set(set: &CompressedSet, plain: &BTreeSet<u64>) {
    assert_eq!(set.count(), plain.len() as u64);
    assert!(set.iter().eq(plain.iter().copied()), "values ascend and are all there");
    let step = plain.len() / ASKED_MAX + 1;
    let near = plain.iter().step_by(step).flat_map(|value| [value.saturating_sub(1), *value, value + 1]);
    for value in near.chain([0, set.universe(), u64::MAX]) {
        assert_eq!(set.contains(value), plain.contains(&value), "value {value}");
        assert_eq!(set.next_from(value), plain.range(value..).next().copied(), "from {value}");
    }
}

fn head(number: u64, below: u64) -> StatusHead {
    let time = at(2026, 6, 1).plus(number);
    let covers = Covers::new(below, time, Vec::new()).expect("nothing reserved");
    StatusHead { version: StatusVersion { epoch: 1, number }, time, covers }
}

/// Payloads of lists with and without entries, reserved ranges and newer sets; coded sets; scripts of changes.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut draft = ListDraft::new(1, at(2026, 6, 1));
    let empty = draft.list();
    let standings = [CardStanding::Withdrawn, CardStanding::Held, CardStanding::Superseded];
    for (index, standing) in (0..400).zip(standings.into_iter().cycle()) {
        draft.sets.set_standing(StatusIndex(index * 311), standing);
    }
    draft.sets.retire_binding(StatusIndex(77), BindingNumber::new(3).expect("a number"));
    draft.sets.insert(SetNumber::new(22).expect("a set's number"), 500);
    draft.version.number = 2;
    draft.time = draft.time.plus(9);
    let full = draft.list();
    draft.sets = StatusSets::default();
    draft.reserved = vec![IndexRange { first: 9, count: 100 }, IndexRange { first: 131_000, count: 72 }];
    draft.sets.set_standing(StatusIndex(4), CardStanding::Reduced(ReducedCode::new(121).expect("a code")));
    let reserved = draft.list();
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let mut seeds: Vec<_> = [&empty, &full, &reserved].map(|list| with(0, &list.encode())).into();
    seeds.push(with(0, &Delta::between(&empty, &full).expect("a delta").encode()));
    for (_, set) in full.sets() {
        let script = Script::new().raw(&[1]).number(set.universe()).raw(&(set.count() as u16).to_le_bytes());
        seeds.push(script.raw(&[2]).raw(set.bytes()).done());
    }
    let acts: Vec<u8> = (0..=255).map(|number: u8| number.wrapping_mul(37)).collect();
    seeds.push(Script::new().raw(&[2, 200, 1]).raw(&acts).done());
    seeds
}

/// Lists in one input.
const LISTS_MAX: usize = 6;
/// Questions to one list or set.
const ASKED_MAX: usize = 256;
const _: () = assert!(LISTS_MAX <= bhyt_core::limits::STATUS_DELTAS_MAX);
