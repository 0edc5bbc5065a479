//! Random work on a store on disk and on the memory store, with closing and opening in between: they must never differ.
//!
//! A failure prints its seed; add it to [`SEEDS`], so that it stays found.

use bhyt_core::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use bhyt_platform::kv::{Batch, Kv};
use bhyt_platform::memory_kv::MemoryKv;

use crate::fixture::{Draw, Engine, Fixture, everything};

const SEEDS: [u64; 6] = [1, 2, 3, 20_260_115, 77, 4_096];
const STEPS: usize = 150;

#[test]
fn sled_never_differs_from_memory() {
    SEEDS.into_iter().for_each(|seed| check(Engine::Sled, seed));
}

#[test]
fn own_never_differs_from_memory() {
    SEEDS.into_iter().for_each(|seed| check(Engine::Own, seed));
}

fn check(engine: Engine, seed: u64) {
    let draw = Draw::new(seed);
    let oracle = MemoryKv::new();
    let mut store = Fixture::new(engine);
    for step in 0..STEPS {
        match draw.below(20) {
            0 => store.reopen(),
            1 => assert_eq!(everything(store.kv()), everything(&oracle), "seed {seed} step {step}"),
            2..8 => {
                let (prefix, after) = (key(&draw), (draw.below(2) == 0).then(|| key(&draw)));
                let prefix = &prefix[..draw.below(prefix.len() + 1)];
                let max = draw.below(30);
                let scan = |kv: &dyn Kv| kv.scan(prefix, after.as_deref(), max).unwrap();
                assert_eq!(scan(store.kv()), scan(&oracle), "seed {seed} step {step}");
            }
            8..12 => {
                let key = key(&draw);
                let found = store.kv().get(&key).unwrap();
                assert_eq!(found, oracle.get(&key).unwrap(), "seed {seed} step {step}");
            }
            _ => {
                let batch = batch(&draw);
                oracle.commit(batch.clone()).unwrap();
                store.kv().commit(batch).unwrap();
            }
        }
    }
    store.reopen();
    assert_eq!(everything(store.kv()), everything(&oracle), "seed {seed} at the end");
}

/// Few different keys, so that work meets; now and then a long one.
fn key(draw: &Draw) -> Vec<u8> {
    let alphabet = [0, 1, b'a', b'b', 0xfe, 0xff];
    let length = if draw.below(40) == 0 { KEY_BYTES_MAX } else { draw.below(4) };
    (0..length).map(|_| alphabet[draw.below(alphabet.len())]).collect()
}

fn batch(draw: &Draw) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..draw.below(if draw.below(10) == 0 { 250 } else { 8 }) {
        if draw.below(3) == 0 {
            batch.delete(&key(draw)).unwrap();
        } else {
            let largest = if draw.below(10) == 0 { VALUE_BYTES_MAX } else { 60 };
            batch.put(&key(draw), &draw.bytes(draw.below(largest + 1))).unwrap();
        }
    }
    batch
}
