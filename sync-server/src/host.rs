//! What stands behind the service's interfaces on a real server: key files, bundle files and the embedded store of one
//! data folder, and the settings in it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use bhyt_core::cose::Verified;
use bhyt_core::keys::{KeyId, Signature};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, TrustBundle};
use bhyt_platform::clock::Clock;
use bhyt_platform::entropy::Entropy;
use bhyt_platform::files::FileError;
use bhyt_platform::quic::TransportKey;

use crate::config::{Config, ConfigError};
use crate::exit::{Exit, Failure, chain};
use crate::folder::DataFolder;
use crate::keys::{KeysError, ServerKeys};
use crate::member_keys::{MemberKeyFile, MemberKeysError};
use crate::service::{KeyRing, PublishHook, ServiceParts, ServiceSettings, SignFault, TrustSource};
use crate::store::StoreFault;
use crate::store::embedded::EmbeddedStore;
use crate::stored::{CurrentStatusV1, write_current_status};
use crate::trust_keeper::{Reload, TrustKeeper, TrustKeeperError};

/// What `serve::run` is built from.
#[derive(Debug)]
pub struct Parts<S> {
    /// Settings; `listen` is where to listen.
    pub config: Config,
    /// What the service is built from.
    pub service: ServiceParts<S>,
    /// Keys and bundles, to be looked at each second.
    pub host: Arc<Host>,
    /// Where to write the bound address, in one line, once clients can come. Default: nowhere.
    pub ready_file: Option<PathBuf>,
}

impl Parts<EmbeddedStore> {
    /// Opens the data folder of a server. Refuses to while a root key lies in it.
    pub fn open(
        folder: &DataFolder,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, OpenError> {
        let config = Config::load(&folder.config_file())?;
        let host = Arc::new(Host::open(folder)?);
        let store = EmbeddedStore::open(&folder.store(), config.store)?;
        // With the store open, nobody else writes the file.
        let member_keys = MemberKeyFile::open(&folder.keys())?;
        let service = ServiceParts {
            store,
            store_key: host.keys().store_key().clone(),
            member_keys: Arc::new(member_keys),
            keys: Arc::clone(&host) as Arc<dyn KeyRing>,
            trust: Arc::clone(&host) as Arc<dyn TrustSource>,
            clock,
            entropy,
            published: Arc::clone(&host) as Arc<dyn PublishHook>,
            settings: ServiceSettings {
                code_lifetime: config.code_lifetime,
                status_resign: config.status_resign,
                audit_kept: config.audit_kept,
                erasure_waits: config.erasure_waits,
            },
        };
        Ok(Self { config, service, host, ready_file: None })
    }
}

/// Keys and trust bundles of a data folder, as they are now: a renewal beside the running server is taken in by
/// [`Host::reload_if_changed`].
#[derive(Debug)]
pub struct Host {
    folder: DataFolder,
    trust: TrustKeeper,
    keys: RwLock<Arc<ServerKeys>>,
}

impl Host {
    /// Reads keys and bundles. Refuses to while a root key lies in the folder.
    pub fn open(folder: &DataFolder) -> Result<Self, OpenError> {
        let trust = TrustKeeper::open(folder)?;
        if let Some(path) = folder.find_root_key()? {
            return Err(OpenError::RootKeyInside { path });
        }
        let keys = RwLock::new(Arc::new(ServerKeys::load(&folder.keys())?));
        Ok(Self { folder: folder.clone(), trust, keys })
    }

    /// Takes in a newer trust bundle, and the keys that came with it. After an error what was in force stays so. Reads one
    /// small file when nothing changed.
    pub fn reload_if_changed(&self) -> Result<Reload, OpenError> {
        let reload = self.trust.reload_if_changed()?;
        if reload == Reload::Newer {
            let keys = Arc::new(ServerKeys::load(&self.folder.keys())?);
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        }
        Ok(reload)
    }

    /// The data folder.
    pub fn folder(&self) -> &DataFolder {
        &self.folder
    }

    /// The key that clients see in the handshake; `None` when no transport key of the bundle in force is here.
    pub fn transport_key(&self, at: UnixSeconds) -> Option<TransportKey> {
        self.keys().transport_key(self.trust.current().claims(), at)
    }

    fn keys(&self) -> Arc<ServerKeys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl KeyRing for Host {
    fn key_for(&self, usage: KeyUse, at: UnixSeconds) -> Option<KeyId> {
        let (bundle, keys) = (self.trust.current(), self.keys());
        let secret = keys.signing_key(bundle.claims(), usage, at)?;
        Some(secret.public_key().key_id())
    }

    fn sign(&self, key: KeyId, message: &[u8]) -> Result<Signature, SignFault> {
        let keys = self.keys();
        let secret = keys.any_secret(key).ok_or(SignFault::NoSuchKey)?;
        Ok(secret.sign(message))
    }
}

impl TrustSource for Host {
    fn current(&self) -> Arc<Verified<TrustBundle>> {
        self.trust.current()
    }

    fn since(&self, version: u64) -> Vec<Vec<u8>> {
        self.trust.since(version)
    }

    fn all(&self) -> Vec<Vec<u8>> {
        self.trust.all()
    }
}

impl PublishHook for Host {
    /// A file that cannot be written keeps no list from terminals; the next bundle then names an older one.
    fn published(&self, current: &CurrentStatusV1) {
        if let Err(error) = write_current_status(&self.folder, current) {
            tracing::error!(error = chain(&error), "status version not written");
        }
    }
}

/// Why a data folder cannot be served from.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings are not in order.
    #[error("settings")]
    Config(#[from] ConfigError),
    /// The trust bundles are not in order.
    #[error("trust bundles")]
    Trust(#[from] TrustKeeperError),
    /// The keys are not in order.
    #[error("server keys")]
    Keys(#[from] KeysError),
    /// The members' keys are not in order. A data folder of an earlier version has none: `bhyt-server member-keys make`.
    #[error("members' keys (a data folder of an earlier version: bhyt-server member-keys make)")]
    MemberKeys(#[from] MemberKeysError),
    /// The store cannot be opened.
    #[error("store")]
    Store(#[from] StoreFault),
    /// The folder cannot be searched.
    #[error("data folder")]
    Folder(#[from] FileError),
    /// A root key lies in the data folder, where whoever breaks into the server finds it.
    #[error("root key {} lies inside the data folder; move it to a safe place", .path.display())]
    RootKeyInside {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no signals or threads.
    #[error("the system refused")]
    System(#[from] io::Error),
}

impl Failure for OpenError {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(error) => error.exit(),
            Self::Trust(error) => error.exit(),
            Self::Keys(error) => error.exit(),
            Self::MemberKeys(error) => error.exit(),
            Self::Store(fault) => fault.exit(),
            Self::RootKeyInside { .. } => Exit::Refused,
            Self::Folder(_) | Self::System(_) => Exit::Io,
        }
    }
}
