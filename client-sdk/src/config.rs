//! What an application decides when it opens a wallet or a terminal, and the opening of the two stores that both have.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bhyt_core::presentation_key::KeyKind;
use bhyt_platform::cache_kv::{CacheOpening, open_or_set_aside};
use bhyt_platform::clock::{Clock, SystemClock};
use bhyt_platform::entropy::{Entropy, OsEntropy};
use bhyt_platform::files::create_private_folder;
use bhyt_platform::frozen_kv::FrozenKv;
use bhyt_platform::kv::{Kv, StoreError};
use bhyt_platform::own_kv::OwnKv;
use bhyt_platform::sled_kv::{SledKv, SledOptions};

use crate::error::SdkError;
use crate::keys::{DeviceKeys, KeyFiles, Missing, store_key};
use crate::vault::Vault;

/// Where a device keeps its data, and what it takes from the application.
#[derive(Clone, Debug)]
pub struct Config {
    data: PathBuf,
    keys: Option<DeviceKeys>,
    presentation_kind: KeyKind,
    clock: Arc<dyn Clock>,
    entropy: Option<Arc<dyn Entropy>>,
}

impl Config {
    /// Everything in the folder `data`, made when it is not there; key files in `data/keys`, the system's clock and
    /// random source.
    pub fn new(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            keys: None,
            presentation_kind: KeyKind::Ed25519,
            clock: Arc::new(SystemClock),
            entropy: None,
        }
    }

    /// Keys of the application's own, instead of key files.
    #[must_use]
    pub fn with_keys(mut self, keys: DeviceKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The kind of the presentation key that a new phone draws when it has key files; Ed25519 without this. A phone that
    /// has a key keeps it.
    #[must_use]
    pub fn with_new_presentation_key(mut self, kind: KeyKind) -> Self {
        self.presentation_kind = kind;
        self
    }

    /// The clock that the wallet or terminal will go by.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// Another clock, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another random source, for tests. Keys are drawn from it.
    #[must_use]
    pub fn with_entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = Some(entropy);
        self
    }
}

/// Which of the two facades opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Phone,
    Terminal,
}

/// What both facades stand on.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) data: PathBuf,
    pub(crate) keys: DeviceKeys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) vault: Vault,
    pub(crate) own: Arc<dyn Kv>,
    pub(crate) cache: Arc<dyn Kv>,
    /// The disk is full: both stores can be read and take nothing.
    pub(crate) full: bool,
}

impl Ground {
    /// Opens stores and keys. A damaged cache is set aside; a damaged own store mends itself from its journal or is an
    /// error, and nothing is removed.
    pub(crate) fn open(config: Config, kind: Kind) -> Result<Self, SdkError> {
        let entropy = match config.entropy {
            Some(entropy) => entropy,
            None => Arc::new(OsEntropy::open().map_err(SdkError::system)?),
        };
        let data = config.data;
        create_private_folder(&data)?;
        let own_folder = data.join(OWN_FOLDER);
        // Data without its key is a lost key, not a new device.
        let missing = if own_folder.exists() { Missing::Refuse } else { Missing::Make };
        let keys_folder = data.join(KEYS_FOLDER);
        let keys = match (config.keys, kind) {
            (Some(keys), _) => keys,
            (None, Kind::Phone) => {
                KeyFiles::of_phone(&keys_folder, config.presentation_kind, missing, entropy.as_ref())?
            }
            (None, Kind::Terminal) => KeyFiles::of_terminal(&keys_folder, missing, entropy.as_ref())?,
        };
        let vault = Vault::new(&store_key(&keys)?, entropy.clone());
        let (own, cache, full) = open_stores(&own_folder, &data.join(CACHE_FOLDER))?;
        Ok(Self { data, keys, clock: config.clock, entropy, vault, own, cache, full })
    }
}

/// Both stores, and whether the disk is full. On a full disk, where no engine opens, they are there to be read: a phone still shows its cards and a
/// terminal still answers, and neither keeps anything until there is space and it is opened again.
fn open_stores(own_folder: &Path, cache_folder: &Path) -> Result<Stores, SdkError> {
    // Side by side: each reads its files and waits for its disk.
    let (own, cache) = std::thread::scope(|scope| {
        let cache = scope.spawn(|| open_cache(cache_folder));
        let own = OwnKv::open(own_folder, SledOptions::default());
        (own, cache.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let full = match (own, cache) {
        (Ok((own, recovery)), Ok(cache)) => {
            tracing::debug!(?recovery, "own store open");
            return Ok((Arc::new(own), Arc::new(cache), false));
        }
        (Err(full @ StoreError::Full { .. }), _) | (Ok(_), Err(full @ StoreError::Full { .. })) => full,
        (Err(error), _) | (_, Err(error)) => return Err(error.into()),
    };
    // Whatever keeps it from being read, the full disk is what the user can do something about.
    let Ok(own) = FrozenKv::of_own(own_folder) else { return Err(full.into()) };
    let error: &dyn std::error::Error = &full;
    tracing::warn!(error, "the disk is full: opened to be read, nothing is kept");
    Ok((Arc::new(own), Arc::new(FrozenKv::nothing(cache_folder)), true))
}

type Stores = (Arc<dyn Kv>, Arc<dyn Kv>, bool);

/// Opens the cache. Every value is looked at once: damage shows here and not at the counter.
fn open_cache(folder: &Path) -> Result<SledKv, StoreError> {
    let (cache, opening) = open_or_set_aside(folder, SledOptions::default())?;
    if let CacheOpening::SetAside { moved_to, why } = opening {
        let why: &dyn std::error::Error = &why;
        tracing::warn!(moved_to = %moved_to.display(), why, "damaged cache set aside; it is fetched again");
    }
    Ok(cache)
}

const KEYS_FOLDER: &str = "keys";
const OWN_FOLDER: &str = "own";
const CACHE_FOLDER: &str = "cache";
