//! A store to be read and not written, for when the disk is full and no engine opens: an own store as its journal says it,
//! or nothing at all in place of a cache. It writes no byte, and answers every commit with [`StoreError::Full`].
//!
//! A journal that lost its end is taken without it, as an opening would. One that is older than its index is not noticed
//! here: the index is what cannot be opened.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use crate::journal::Journal;
use crate::kv::{Batch, Kv, Pair, StoreError};
use crate::own_kv::JOURNAL_FILE;
use crate::store_folder::{StoreKind, StoreLock, enter_unchanged};

/// What a store held, in memory.
pub struct FrozenKv {
    folder: PathBuf,
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    _lock: Option<StoreLock>,
}

impl FrozenKv {
    /// What the own store in `folder` holds by its journal. Takes its lock.
    ///
    /// # Errors
    /// What opening it says before it writes; a journal that is missing or damaged is told, not mended.
    pub fn of_own(folder: &Path) -> Result<Self, StoreError> {
        let lock = enter_unchanged(folder, StoreKind::Own)?;
        let mut pairs = BTreeMap::new();
        Journal::read(&folder.join(JOURNAL_FILE), |batch| {
            for (key, value) in batch {
                match value {
                    Some(value) => pairs.insert(key, value),
                    None => pairs.remove(&key),
                };
            }
        })?;
        Ok(Self { folder: folder.to_owned(), pairs, _lock: Some(lock) })
    }

    /// Nothing, in place of the store in `folder`, which is not touched.
    pub fn nothing(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), pairs: BTreeMap::new(), _lock: None }
    }
}

impl Kv for FrozenKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.pairs.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Pair>, StoreError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let found = self.pairs.range::<[u8], _>((start, Bound::Unbounded));
        let found = found.take_while(|(key, _)| key.starts_with(prefix)).take(max);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// Unlike other stores, this one goes on being read after it has refused.
    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        Err(StoreError::Full { path: self.folder.clone(), source: io::ErrorKind::StorageFull.into() })
    }
}

impl fmt::Debug for FrozenKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenKv").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_kv::OwnKv;
    use crate::sled_kv::SledOptions;

    fn put(key: &[u8], value: &[u8]) -> Batch {
        let mut batch = Batch::new();
        batch.put(key, value).unwrap();
        batch
    }

    #[test]
    fn an_own_store_is_read_as_it_was_and_not_a_byte_is_written() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("own");
        assert!(FrozenKv::of_own(&folder).is_err(), "there is none yet");
        assert!(!folder.exists());
        let (own, _) = OwnKv::open(&folder, SledOptions::default()).unwrap();
        own.commit(put(b"mark", b"1")).unwrap();
        own.commit(put(b"mark", b"2")).unwrap();
        assert!(matches!(FrozenKv::of_own(&folder), Err(StoreError::InUse { .. })));
        drop(own);
        // A commit that a full disk cut short.
        let journal = folder.join(JOURNAL_FILE);
        let torn = [std::fs::read(&journal).unwrap(), b"half a fr".to_vec()].concat();
        std::fs::write(&journal, &torn).unwrap();

        let frozen = FrozenKv::of_own(&folder).unwrap();
        assert_eq!(frozen.get(b"mark").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(frozen.scan(b"m", None, 9).unwrap().len(), 1);
        assert!(matches!(frozen.commit(put(b"mark", b"3")), Err(StoreError::Full { .. })));
        assert_eq!(frozen.get(b"mark").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(std::fs::read(&journal).unwrap(), torn);
        drop(frozen);
        let (own, _) = OwnKv::open(&folder, SledOptions::default()).unwrap();
        assert_eq!(own.get(b"mark").unwrap().as_deref(), Some(&b"2"[..]));
    }
}
