//! The status list of a nation: 95 million cards, reasons mixed 60/25/10/5, exact.

use std::hint::black_box;
use std::time::Instant;

use bhyt_core::card_record::{CardStanding, ReducedCode};
use bhyt_core::cose::Unsigned;
use bhyt_core::held_status::HeldStatus;
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::keys::SecretKey;
use bhyt_core::limits::BINDINGS_MAX;
use bhyt_core::marks::Marks;
use bhyt_core::status::build::StatusSets;
use bhyt_core::status::delta::Delta;
use bhyt_core::status::list::{Covers, StatusHead};
use bhyt_core::status::reason::SetNumber;
use bhyt_core::status::{Standing, StatusList, StatusVersion};

use crate::card::now;
use crate::chance::{Chance, lg_multinomial};
use crate::figure::{Figure, Goal, Promise};
use crate::plot::Panel;
use crate::run::{Group, Run, Scale};
use crate::sample::median;
use crate::verify::trust;

/// Cards in circulation.
pub(crate) const CARDS: u64 = 95_000_000;

/// All figures of the list.
pub(crate) const STATUS: &Group = &Group {
    promises: &[SNAPSHOT_RATIO, BUILD_S, DELTA_RATIO, APPLY_MS, LOOKUP_US, LOOKUP_EXTRA_BYTES],
    measure: status,
};

fn status(run: &mut Run) {
    snapshot_ratio(run);
    let drawn = Drawn::new(0.01, run.scale);
    let started = Instant::now();
    let list = drawn.sets().to_list(head(1, run.scale)).expect("a list");
    let snapshot = sign(list.clone());
    run.found(Figure::value(&BUILD_S, started.elapsed().as_secs_f64()));
    black_box(snapshot);
    delta_figures(run, &drawn, &list);
    lookup_figures(run, &drawn);
}

/// A list with this share of the cards in it.
pub(crate) fn national_list(share: f64, scale: Scale) -> StatusList {
    Drawn::new(share, scale).sets().to_list(head(1, scale)).expect("a list")
}

/// Listed cards by standing.
struct Drawn {
    listed: Vec<(StatusIndex, CardStanding)>,
    counts: [u64; 4],
}

impl Drawn {
    fn new(share: f64, scale: Scale) -> Self {
        let cards = scale.of(CARDS);
        let mut chance = Chance::new(share.to_bits());
        let mut counts = [0; 4];
        let indexes = chance.distinct((cards as f64 * share) as u64, cards);
        let listed = indexes.into_iter().map(|index| {
            let (at, standing) = mix(chance.below(100));
            if let Some(count) = counts.get_mut(at) {
                *count += 1;
            }
            (StatusIndex(index as u32), standing)
        });
        let listed = listed.collect();
        Self { listed, counts }
    }

    fn sets(&self) -> StatusSets {
        let mut sets = StatusSets::default();
        for (index, standing) in &self.listed {
            sets.set_standing(*index, *standing);
        }
        sets
    }
}

fn mix(percent: u64) -> (usize, CardStanding) {
    match percent {
        0..60 => (0, CardStanding::Withdrawn),
        60..85 => (1, CardStanding::Reduced(ReducedCode::new(120).expect("a code"))),
        85..95 => (2, CardStanding::Superseded),
        _ => (3, CardStanding::Held),
    }
}

/// All bytes, signature included; the worst of four shares.
fn snapshot_ratio(run: &mut Run) {
    let mut worst = (0.0, 0.0);
    for share in [0.001, 0.01, 0.015, 0.02] {
        run.say(&format!("status: a list with {} % listed", share * 100.0));
        let drawn = Drawn::new(share, run.scale);
        let list = drawn.sets().to_list(head(1, run.scale)).expect("a list");
        let bytes = sign(list.clone()).len() as f64;
        let floor = lg_multinomial(run.scale.of(CARDS), &drawn.counts) / 8.0;
        run.point(Panel::List, "signed list", share * 100.0, bytes / 1e6);
        run.point(Panel::List, "entropy floor", share * 100.0, floor / 1e6);
        run.point(
            Panel::Lookup,
            "lookup",
            drawn.listed.len() as f64 / 1e6,
            lookup_us(&list, &drawn.listed, run.scale),
        );
        if bytes / floor > worst.0 {
            worst = (bytes / floor, floor);
        }
    }
    run.found(Figure::ratio(&SNAPSHOT_RATIO, worst.0, worst.1));
}

/// 20,000 cards more, in the same mix: the delta, and a terminal that takes it.
fn delta_figures(run: &mut Run, drawn: &Drawn, list: &StatusList) {
    let (cards, mut chance) = (run.scale.of(CARDS), Chance::new(20_000));
    let (mut sets, mut counts, mut added) = (drawn.sets(), [0; 4], 0);
    while added < run.scale.of(20_000) {
        let index = StatusIndex(chance.below(cards) as u32);
        if sets.standing(index) != CardStanding::InForce {
            continue;
        }
        let (at, standing) = mix(chance.below(100));
        sets.set_standing(index, standing);
        if let Some(count) = counts.get_mut(at) {
            *count += 1;
        }
        added += 1;
    }
    let next = sets.to_list(head(2, run.scale)).expect("a list");
    let key = status_key();
    let delta = Unsigned::new(Delta::between(list, &next).expect("a delta"), key.public_key().key_id());
    let delta = delta.sign(&key).bytes().to_vec();
    // A card that is listed already is none of those that the delta may name.
    let floor = lg_multinomial(cards - drawn.listed.len() as u64, &counts) / 8.0;
    run.found(Figure::ratio(&DELTA_RATIO, delta.len() as f64 / floor, floor));

    let trust = trust(&SecretKey::from_seed(&[1; 32]), &key);
    let (held, marks) = HeldStatus::accept(None, &sign(list.clone()), trust.claims(), &Marks::default())
        .expect("our own list");
    let times = (0..9).map(|_| {
        let started = Instant::now();
        let taken = HeldStatus::accept(Some(&held), black_box(&delta), trust.claims(), &marks);
        let took = started.elapsed().as_secs_f64() * 1_000.0;
        assert_eq!(taken.expect("it applies").0.list().digest(), next.digest(), "the same list");
        took
    });
    run.found(Figure::value(&APPLY_MS, median(&times.collect::<Vec<_>>())));
}

/// The same list with retired bindings beside the cards, so that every set that there is has something in it.
fn lookup_figures(run: &mut Run, drawn: &Drawn) {
    let mut sets = drawn.sets();
    let mut chance = Chance::new(180);
    for value in chance.distinct(run.scale.of(RETIRED_BINDINGS), run.scale.of(CARDS) * BINDINGS_MAX as u64) {
        sets.insert(SetNumber::RETIRED_BINDINGS, value);
    }
    let list = sets.to_list(head(1, run.scale)).expect("a list");
    run.found(Figure::value(&LOOKUP_US, lookup_us(&list, &drawn.listed, run.scale)));
    run.found(Figure::value(&LOOKUP_EXTRA_BYTES, list.skip_bytes() as f64));
}

/// Microseconds of asking all sets about a card, and one binding of it; half of the cards are listed.
fn lookup_us(list: &StatusList, listed: &[(StatusIndex, CardStanding)], scale: Scale) -> f64 {
    let mut chance = Chance::new(3);
    let mut asked = Vec::new();
    for _ in 0..scale.of(200_000) {
        let hit = listed.get(chance.below(listed.len() as u64) as usize).map(|(index, _)| *index);
        let miss = std::iter::repeat_with(|| StatusIndex(chance.below(scale.of(CARDS)) as u32))
            .find(|index| list.lookup(*index) == Standing::default());
        asked.extend(hit.into_iter().chain(miss));
    }
    let binding = BindingNumber::new(3).expect("a number");
    let turns = asked.chunks(1_000).map(|asked| {
        let started = Instant::now();
        for index in asked {
            black_box((list.lookup(*index), list.binding_retired(*index, binding)));
        }
        started.elapsed().as_secs_f64() * 1e6 / asked.len() as f64
    });
    median(&turns.collect::<Vec<_>>())
}

fn head(number: u64, scale: Scale) -> StatusHead {
    let time = now().minus(3_600).plus(number);
    let covers = Covers::new(scale.of(CARDS), time, Vec::new()).expect("covers");
    StatusHead { version: StatusVersion { epoch: 1, number }, time, covers }
}

fn sign(list: StatusList) -> Vec<u8> {
    let key = status_key();
    Unsigned::new(list, key.public_key().key_id()).sign(&key).bytes().to_vec()
}

fn status_key() -> SecretKey {
    SecretKey::from_seed(&[5; 32])
}

/// Devices given up before their binding's end: a binding lasts 180 days, so few are listed at a time.
const RETIRED_BINDINGS: u64 = 100_000;

const SNAPSHOT_RATIO: Promise = Promise {
    id: "status.snapshot_ratio",
    unit: "ratio",
    limit_unit: "bytes",
    goal: Goal::AtMost(1.01),
    how: "95 million cards, reasons mixed 60/25/10/5, exact; the worst of 0.1, 1, 1.5 and 2 % listed; all signed bytes ÷ lg \
          of the multinomial: the number of ways to give so many cards these standings.",
    cause: "",
};
const BUILD_S: Promise = Promise {
    id: "status.build_s",
    unit: "s",
    limit_unit: "",
    goal: Goal::AtMost(5.0),
    how: "From the server's sets in memory to the signed bytes, at 1 % listed.",
    cause: "",
};
const DELTA_RATIO: Promise = Promise {
    id: "status.delta_ratio",
    unit: "ratio",
    limit_unit: "bytes",
    goal: Goal::AtMost(1.02),
    how: "20,000 cards more in the same mix on top of 1 %; all signed bytes ÷ lg of the multinomial over the cards that are \
          not listed yet.",
    cause: "",
};
const APPLY_MS: Promise = Promise {
    id: "status.apply_ms",
    unit: "ms",
    limit_unit: "",
    goal: Goal::AtMost(20.0),
    how: "What a terminal does with that delta: decode, verify the signature, apply, hold counts and hash against what is \
          announced. The result is compared with the list that the server made.",
    cause: "",
};
const LOOKUP_US: Promise = Promise {
    id: "status.lookup_us",
    unit: "µs",
    limit_unit: "",
    goal: Goal::AtMost(5.0),
    how: "On the compressed bytes at 1 % listed and 100,000 retired bindings: every set of cards and one binding asked, for \
          400,000 cards of which every second one is in no set; the median of means over 1,000.",
    cause: "",
};
const LOOKUP_EXTRA_BYTES: Promise = Promise {
    id: "status.lookup_extra_bytes",
    unit: "bytes",
    limit_unit: "",
    goal: Goal::AtMost(24_576.0),
    how: "Memory of the same list beyond its compressed bytes: the skip tables.",
    cause: "",
};
