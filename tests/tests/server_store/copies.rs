//! A copy of the embedded store while it is written to: complete, consistent, and never in the way of a commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bhyt_core::limits::COPY_WAITING_BYTES_MAX;
use bhyt_server::store::{
    BYTES_MAX, Commit, DocKey, DocKind, DocWrite, Expected, Store, StoreCopy, StoreFault,
};
use bhyt_tests::dice::Dice;

use super::apply;

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Every other document is one of a member, and shares a row with others.
fn write(id: &[u8], bytes: Option<&[u8]>) -> DocWrite {
    let key = match id {
        [first, rest @ ..] if first % 2 == 0 => {
            DocKey::new(DocKind::Card, [[*first; 16].as_slice(), rest].concat())
        }
        _ => DocKey::new(DocKind::Operation, id),
    };
    DocWrite { key, expected: Expected::Any, bytes: bytes.map(<[u8]>::to_vec) }
}

/// Takes a copy to its end, calling `between` after each step.
async fn copied(copy: StoreCopy, mut between: impl AsyncFnMut(u64)) -> Result<Pairs, StoreFault> {
    let (mut pairs, mut steps) = (Pairs::new(), 0);
    let mut next = copy.next().await?;
    while let Some((writes, copy)) = next {
        for (key, value) in writes {
            match value {
                Some(value) => pairs.insert(key, value),
                None => pairs.remove(&key),
            };
        }
        steps += 1;
        between(steps).await;
        next = copy.next().await?;
    }
    Ok(pairs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_the_store_as_it_is_at_its_end_whatever_was_committed_meanwhile() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let store = super::embedded::over_memory();
        let commit = async |dice: &mut Dice| {
            let docs = (0..1 + dice.below(4)).map(|_| {
                let id = [dice.below(40) as u8, dice.below(20) as u8];
                let bytes = dice.below(4) > 0;
                (id, bytes.then(|| dice.below(1 << 30).to_be_bytes()))
            });
            let docs: BTreeMap<_, _> = docs.collect();
            let docs = docs.iter().map(|(id, bytes)| write(id, bytes.as_ref().map(<[u8; 8]>::as_slice)));
            apply(&store, Commit { docs: docs.collect(), ..Commit::default() }).await;
        };
        for _ in 0..300 {
            commit(&mut dice).await;
        }
        let copy = store.copy().await.unwrap();
        let pairs = copied(copy, async |step| {
            // As many as the walk needs to be overtaken, and then none, or it would go on for ever.
            for _ in 0..dice.below(8).saturating_sub(step / 20) {
                commit(&mut dice).await;
            }
        });
        let pairs = pairs.await.unwrap();
        let live = copied(store.copy().await.unwrap(), async |_| {}).await.unwrap();
        assert!(pairs == live && pairs.len() > 64, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_taken_beside_a_busy_writer_holds_each_commit_whole() {
    let store = Arc::new(super::embedded::over_memory());
    // Enough between them that a walk takes many steps.
    for first in 0..=250 {
        let docs = (0..4).map(|second| write(&[first, second], Some(b"between")));
        apply(&*store, Commit { docs: docs.collect(), ..Commit::default() }).await;
    }
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = {
        let (store, stop, done) = (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&done));
        tokio::spawn(async move {
            // Ids far apart, so that a walk sees them long after each other.
            for round in 1_u64.. {
                let docs = (0..=250).step_by(50).map(|id| write(&[id as u8], Some(&round.to_be_bytes())));
                apply(&*store, Commit { docs: docs.collect(), ..Commit::default() }).await;
                done.store(round, Ordering::SeqCst);
                if stop.load(Ordering::SeqCst) {
                    break;
                }
            }
        })
    };
    for _ in 0..20 {
        let acknowledged = done.load(Ordering::SeqCst);
        let pairs = copied(store.copy().await.unwrap(), async |_| {}).await.unwrap();
        let rounds = pairs.values().filter(|stored| !stored.ends_with(b"between"));
        let rounds: Vec<&[u8]> = rounds.map(|stored| &stored[stored.len() - 8..]).collect();
        assert!(rounds.windows(2).all(|pair| pair[0] == pair[1]), "a commit in part: {rounds:?}");
        let round = rounds.first().map_or(0, |round| u64::from_be_bytes((*round).try_into().unwrap()));
        assert!(round >= acknowledged, "{round} of {acknowledged}");
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_falls_behind_loses_its_copy_and_holds_nobody_up() {
    let store = super::embedded::over_memory();
    let copy = store.copy().await.unwrap();
    assert!(matches!(store.copy().await, Err(StoreFault::CopyUnderWay)));
    let bytes = vec![7; BYTES_MAX];
    for number in 0..=COPY_WAITING_BYTES_MAX / BYTES_MAX {
        let id = (number as u32 % 10).to_be_bytes();
        apply(&store, Commit { docs: vec![write(&id, Some(&bytes))], ..Commit::default() }).await;
    }
    let fault = copied(copy, async |_| {}).await.err();
    assert!(matches!(fault, Some(StoreFault::CopyFellBehind { .. })), "{fault:?}");
    // A copy that was given up makes room for the next one.
    drop(store.copy().await.unwrap());
    assert_eq!(copied(store.copy().await.unwrap(), async |_| {}).await.unwrap().len(), 10);
}
