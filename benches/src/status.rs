//! The status list of a nation: 95 million cards, reasons mixed 60/25/10/5, exact.

use std::hint::black_box;
use std::time::Instant;

use bhyt_core::card_record::{CardStanding, ReducedCode};
use bhyt_core::cose::Unsigned;
use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::keys::SecretKey;
use bhyt_core::status::build::StatusSets;
use bhyt_core::status::delta::Delta;
use bhyt_core::status::list::{Covers, StatusHead};
use bhyt_core::status::{StatusList, StatusVersion};

use crate::Scale;
use crate::card::now;
use crate::chance::{Chance, lg_multinomial};
use crate::figure::{Figure, median};

/// Cards in circulation.
pub(crate) const CARDS: u64 = 95_000_000;

/// All figures of the list.
pub(crate) fn status(scale: Scale) -> Vec<Figure> {
    let mut figures = vec![snapshot_ratio(scale)];
    let drawn = Drawn::new(0.01, scale);
    let started = Instant::now();
    let list = drawn.sets().to_list(head(1, scale)).expect("a list");
    let snapshot = sign(list.clone());
    figures.push(Figure::at_most("status.build_s", started.elapsed().as_secs_f64(), "s", 5.0));
    black_box(snapshot);
    figures.extend(delta_figures(&drawn, &list, scale));
    figures.extend(lookup_figures(&drawn, &list, scale));
    figures
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

/// `status.snapshot_ratio`: the worst of four shares; all bytes, signature included.
fn snapshot_ratio(scale: Scale) -> Figure {
    let ratio = |share: f64| {
        let drawn = Drawn::new(share, scale);
        let bytes = sign(drawn.sets().to_list(head(1, scale)).expect("a list")).len() as f64;
        (bytes, lg_multinomial(scale.of(CARDS), &drawn.counts) / 8.0)
    };
    let measured = [0.001, 0.01, 0.015, 0.02].map(ratio);
    let worst = measured.into_iter().max_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (bytes, floor) = worst.expect("four of them");
    Figure::ratio("status.snapshot_ratio", bytes, floor, 1.01)
}

/// `status.delta_ratio`, `status.apply_ms`: 20,000 cards more, in the same mix.
fn delta_figures(drawn: &Drawn, list: &StatusList, scale: Scale) -> Vec<Figure> {
    let (cards, mut chance) = (scale.of(CARDS), Chance::new(20_000));
    let (mut sets, mut counts, mut added) = (drawn.sets(), [0; 4], 0);
    while added < scale.of(20_000) {
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
    let next = sets.to_list(head(2, scale)).expect("a list");
    let delta = Delta::between(list, &next).expect("a delta");
    let key = SecretKey::from_seed(&[5; 32]);
    let bytes = Unsigned::new(delta.clone(), key.public_key().key_id()).sign(&key).bytes().len() as f64;
    let floor = lg_multinomial(cards, &counts) / 8.0;
    let times = (0..9).map(|_| {
        let started = Instant::now();
        let applied = list.apply(std::slice::from_ref(black_box(&delta))).expect("it applies");
        let took = started.elapsed().as_secs_f64() * 1_000.0;
        assert_eq!(applied.digest(), next.digest(), "the same list");
        took
    });
    let apply = median(times.collect());
    vec![
        Figure::ratio("status.delta_ratio", bytes, floor, 1.02),
        Figure::at_most("status.apply_ms", apply, "ms", 20.0),
    ]
}

/// `status.lookup_us`, `status.lookup_extra_bytes`: every set and one binding asked, half of the cards not listed.
fn lookup_figures(drawn: &Drawn, list: &StatusList, scale: Scale) -> Vec<Figure> {
    let mut chance = Chance::new(3);
    let mut asked = Vec::new();
    for _ in 0..scale.of(200_000) {
        let listed = drawn.listed.get(chance.below(drawn.listed.len() as u64) as usize);
        let listed = listed.map(|(index, _)| *index).unwrap_or(StatusIndex(0));
        let any = StatusIndex(chance.below(scale.of(CARDS)) as u32);
        asked.extend([listed, any]);
    }
    let binding = BindingNumber::new(3).expect("a number");
    let turns = asked.chunks(1_000).map(|asked| {
        let started = Instant::now();
        for index in asked {
            black_box((list.lookup(*index), list.binding_retired(*index, binding)));
        }
        started.elapsed().as_secs_f64() * 1e6 / asked.len() as f64
    });
    let lookup = median(turns.collect());
    vec![
        Figure::at_most("status.lookup_us", lookup, "µs", 5.0),
        Figure::at_most("status.lookup_extra_bytes", list.skip_bytes() as f64, "bytes", 24_576.0),
    ]
}

fn head(number: u64, scale: Scale) -> StatusHead {
    let time = now().minus(3_600).plus(number);
    let covers = Covers::new(scale.of(CARDS), time, Vec::new()).expect("covers");
    StatusHead { version: StatusVersion { epoch: 1, number }, time, covers }
}

fn sign(list: StatusList) -> Vec<u8> {
    let key = SecretKey::from_seed(&[5; 32]);
    Unsigned::new(list, key.public_key().key_id()).sign(&key).bytes().to_vec()
}
