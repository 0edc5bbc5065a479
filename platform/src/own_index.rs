//! The index of an own store beside what its journal says: where they differ, and how to make either from the other.

use std::collections::BTreeMap;

use bhyt_core::limits::BATCH_KEYS_MAX;

use crate::kv::{Batch, Kv, StoreError};
use crate::sled_kv::SledKv;

/// What a journal says that the store holds.
#[derive(Debug, Default)]
pub(crate) struct Image {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Image {
    /// Applies the next batch of the journal.
    pub(crate) fn apply(&mut self, batch: Batch) {
        for (key, value) in batch {
            match value {
                Some(value) => self.pairs.insert(key, value),
                None => self.pairs.remove(&key),
            };
        }
    }

    /// The batches that make `index` hold what this image holds; none when it does. Reads and checks the whole index.
    pub(crate) fn changes_to(&self, index: &SledKv) -> Result<Vec<Batch>, StoreError> {
        let mut missing: BTreeMap<&[u8], &[u8]> =
            self.pairs.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
        let mut surplus = Vec::new();
        index.for_each(|key, value| match missing.remove(key) {
            Some(wanted) if wanted == value => {}
            Some(wanted) => surplus.push((key.to_vec(), Some(wanted))),
            None => surplus.push((key.to_vec(), None)),
        })?;
        let mut batches = Batches::default();
        for (key, wanted) in surplus {
            batches.add(&key, wanted)?;
        }
        for (key, wanted) in missing {
            batches.add(key, Some(wanted))?;
        }
        Ok(batches.0)
    }
}

/// Makes `index` durable as the state after commit `mark`. The mark comes with the last batch, so that an index made in
/// part has none, or still its old one.
pub(crate) fn bring_up(index: &SledKv, mut batches: Vec<Batch>, mark: u64) -> Result<(), StoreError> {
    let last = batches.pop().unwrap_or_default();
    for batch in batches {
        index.commit(batch)?;
    }
    index.commit_marked(&last, mark)
}

/// Everything in `index`, in batches for a journal.
pub(crate) fn snapshot(index: &SledKv) -> impl Iterator<Item = Result<Batch, StoreError>> {
    let mut after: Option<Vec<u8>> = None;
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let page = page_after(index, after.as_deref());
        ended = match &page {
            Ok((page, last)) => {
                after.clone_from(last);
                page.len() < SNAPSHOT_PAGE_KEYS
            }
            Err(_) => true,
        };
        page.map(|(page, _)| (!page.is_empty()).then_some(page)).transpose()
    })
}

/// Bytes of keys and values in `index`.
pub(crate) fn live_bytes(index: &SledKv) -> Result<u64, StoreError> {
    let mut bytes = 0;
    index.for_each(|key, value| bytes += (key.len() + value.len()) as u64)?;
    Ok(bytes)
}

fn page_after(index: &SledKv, after: Option<&[u8]>) -> Result<(Batch, Option<Vec<u8>>), StoreError> {
    let mut page = Batch::new();
    let mut last = None;
    for (key, value) in index.scan(b"", after, SNAPSHOT_PAGE_KEYS)? {
        page.put(&key, &value)?;
        last = Some(key);
    }
    Ok((page, last))
}

#[derive(Default)]
struct Batches(Vec<Batch>);

impl Batches {
    fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        if self.0.last().is_none_or(|batch| batch.len() == BATCH_KEYS_MAX) {
            self.0.push(Batch::new());
        }
        let Some(batch) = self.0.last_mut() else {
            return Ok(());
        };
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        }
    }
}

/// At most 1 MiB of values at a time.
const SNAPSHOT_PAGE_KEYS: usize = 64;
const _: () = assert!(SNAPSHOT_PAGE_KEYS <= BATCH_KEYS_MAX);
