//! A store under test, and small tools to build and compare.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bhyt_platform::entropy::{Entropy, SeededEntropy, make_bytes};
use bhyt_platform::kv::{Batch, Kv, Pair, StoreError};
use bhyt_platform::memory_kv::MemoryKv;
use bhyt_platform::own_kv::OwnKv;
use bhyt_platform::sled_kv::{SledKv, SledOptions};
use bhyt_platform::store_folder::StoreKind;
use tempfile::TempDir;

/// The engines that must all behave alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Memory,
    Sled,
    Own,
}

impl Engine {
    /// Opens the store in `folder`; the memory engine starts empty.
    pub(crate) fn open(self, folder: &Path) -> Result<Box<dyn Kv>, StoreError> {
        Ok(match self {
            Self::Memory => Box::new(MemoryKv::new()),
            Self::Sled => Box::new(SledKv::open(folder, StoreKind::Cache, OPTIONS)?),
            Self::Own => Box::new(OwnKv::open(folder, OPTIONS)?.0),
        })
    }

    /// Whether closing keeps what was committed.
    pub(crate) fn keeps(self) -> bool {
        self != Self::Memory
    }
}

/// A store in a folder that goes away with it.
pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    kv: Option<Box<dyn Kv>>,
    folder: TempDir,
}

impl Fixture {
    pub(crate) fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kv = Some(engine.open(&folder.path().join("store")).unwrap());
        Self { engine, kv, folder }
    }

    pub(crate) fn kv(&self) -> &dyn Kv {
        self.kv.as_deref().unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Closes and opens the store; leaves the memory engine alone.
    pub(crate) fn reopen(&mut self) {
        if self.engine.keeps() {
            self.kv = None;
            self.kv = Some(self.engine.open(&self.path()).unwrap());
        }
    }
}

/// A batch of puts.
pub(crate) fn puts(pairs: &[(&[u8], &[u8])]) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in pairs {
        batch.put(key, value).unwrap();
    }
    batch
}

/// A batch of removals.
pub(crate) fn deletes(keys: &[&[u8]]) -> Batch {
    let mut batch = Batch::new();
    for key in keys {
        batch.delete(key).unwrap();
    }
    batch
}

/// Every pair of a store, read in small pages.
pub(crate) fn everything(kv: &dyn Kv) -> Vec<Pair> {
    let mut all: Vec<Pair> = Vec::new();
    loop {
        let after = all.last().map(|(key, _)| key.clone());
        let page = kv.scan(b"", after.as_deref(), 50).unwrap();
        let ended = page.len() < 50;
        all.extend(page);
        if ended {
            return all;
        }
    }
}

/// Names and bytes of every file below `folder`.
pub(crate) fn files_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// Changes one bit of a file.
pub(crate) fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Repeatable choices.
pub(crate) struct Draw(SeededEntropy);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededEntropy::danger_from_seed(seed))
    }

    pub(crate) fn below(&self, limit: usize) -> usize {
        usize::try_from(u64::from_le_bytes(make_bytes(&self.0)) % limit as u64).unwrap()
    }

    pub(crate) fn bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill(&mut bytes);
        bytes
    }
}

pub(crate) const OPTIONS: SledOptions = SledOptions { cache_bytes: 4 * 1024 * 1024 };
