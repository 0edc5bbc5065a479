//! `bhyt-server init`: a new data folder, and beside it the keys that do not belong in it.
//!
//! Outside come three root keys, any two of which sign trust bundles, and the first operator's key. Inside come the
//! server's own keys, the settings, the store with the operator in its table, and trust bundle 1. `trust.cose` is written
//! last: a folder without it is one that `init` did not finish, and nothing runs on it.

use std::path::{Path, PathBuf};

use bhyt_core::ids::hex;
use bhyt_core::keys::{PublicKey, SecretKey};
use bhyt_core::sync::operators::{NewOperator, OperatorChange, OperatorLabel, OperatorRole};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, Policy, RootSet, TrustBundle, TrustedKey};
use bhyt_platform::entropy::Entropy;
use bhyt_platform::files::{self, FileAccess, FileError, FileOperation};
use serde::Serialize;

use crate::config::CONFIG_TEMPLATE;
use crate::exit::{Exit, Failure};
use crate::folder::{DataFolder, io_at, is_filled};
use crate::keys::{self, FIRST_USES, KeysError};
use crate::member_keys::{self, MemberKeysError};
use crate::operator_command::{self, OperatorError};
use crate::store::StoreFault;
use crate::store::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::trust_keeper::{TrustKeeper, TrustKeeperError};

/// What `init` made: what its JSON says.
#[derive(Clone, Debug, Serialize)]
pub struct InitReport {
    /// The key that signs cards, 64 hexadecimal digits.
    pub issuer_key: String,
    /// SHA-256 over threshold and root keys, to compare by eye.
    pub root_fingerprint: String,
    /// The trust bundle, for phones and terminals.
    pub trust: PathBuf,
    /// The operator's key, for `bhyt-server admin`.
    pub operator_key: PathBuf,
    /// The root keys, to be moved away.
    pub root_keys: Vec<PathBuf>,
}

/// Makes the data folder `data` and the root keys in `root_keys`, neither of which may hold anything of the kind yet.
pub async fn init(
    data: &Path,
    root_keys: &Path,
    now: UnixSeconds,
    entropy: &dyn Entropy,
) -> Result<InitReport, InitError> {
    refuse_nested(data, root_keys)?;
    refuse_filled(data)?;
    refuse_filled(root_keys)?;
    let folder = DataFolder::new(data);
    for path in [data, root_keys, &folder.keys()] {
        files::create_private_folder(path)?;
    }
    let (roots, root_paths) = make_root_keys(root_keys, ROOT_KEYS, entropy)?;
    let operator_key = root_keys.join("operator.key");
    let operator = keys::make_operator_key(&operator_key, entropy)?;

    keys::make_store_key(&folder.keys(), entropy)?;
    member_keys::make(&folder.keys(), entropy)?;
    let mut trusted = Vec::new();
    for usage in FIRST_USES {
        let secret = keys::make_signing_key(entropy);
        keys::keep_signing_key(&folder.keys(), usage, &secret)?;
        trusted.push(trusted_key(secret.public_key(), usage, now));
    }
    let template = CONFIG_TEMPLATE.as_bytes();
    files::write_atomic(&folder.config_file(), template, FileAccess::OwnerOnly)?;
    enter_operator(&folder, operator, now, entropy).await?;

    let issuer_key = trusted.iter().find(|key| key.usage == KeyUse::Card);
    let issuer_key = issuer_key.map(|key| hex(key.key.as_bytes())).unwrap_or_default();
    let bundle = first_bundle(&roots, trusted, now)?;
    let root_fingerprint = hex(&bundle.roots.fingerprint());
    TrustKeeper::begin(&folder, &bundle.sign(&roots.iter().collect::<Vec<_>>()))?;
    Ok(InitReport {
        issuer_key,
        root_fingerprint,
        trust: folder.trust_file(),
        operator_key,
        root_keys: root_paths,
    })
}

/// What `init` says to a person.
pub fn describe(report: &InitReport, data: &Path) -> String {
    let (trust, operator) = (report.trust.display(), report.operator_key.display());
    let roots = report.root_keys.iter().map(|path| format!("  {}\n", path.display()));
    format!(
        "\
The server's data folder {data} is ready.

  issuer key        {issuer}
  root fingerprint  {fingerprint}
  trust bundle      {trust}
  operator's key    {operator}

Next:
1. Move the root keys to safe places, each to another; two of the three sign the next trust bundle.
   `serve` refuses to start when one of them is inside the data folder.
{roots}2. Give {operator} to the operator's machine.
3. Start the server:  bhyt-server serve --data {data}
4. Give {trust} to phones and terminals, by a hand that they trust.
5. Before {days} days are over:  bhyt-server trust renew --data {data} --root-key FILE --root-key FILE
",
        data = data.display(),
        issuer = report.issuer_key,
        fingerprint = report.root_fingerprint,
        roots = roots.collect::<String>(),
        days = BUNDLE_LIFE_SECONDS / 86_400,
    )
}

/// A key that may sign from `signs_from` on, for good, and for every card index.
pub(crate) fn trusted_key(key: PublicKey, usage: KeyUse, signs_from: UnixSeconds) -> TrustedKey {
    TrustedKey { key, usage, signs_from, signs_until: None, verify_until: None, ranges: Vec::new() }
}

/// How many of `count` root keys must sign: more than half.
pub(crate) fn majority(count: usize) -> usize {
    count / 2 + 1
}

/// Life of a trust bundle, 400 days: a yearly renewal with a month to spare.
pub(crate) const BUNDLE_LIFE_SECONDS: u64 = 400 * 86_400;

/// Why `init` did not make a server.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is something in a folder that is to be made new.
    #[error("{} is not empty; what is made needs a new folder", .path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// One of the two folders would lie inside the other.
    #[error("root keys ({}) and data ({}) must not lie inside each other", .root_keys.display(), .data.display())]
    Nested {
        /// The data folder.
        data: PathBuf,
        /// The folder for root keys.
        root_keys: PathBuf,
    },
    /// A file or folder cannot be made.
    #[error("a file cannot be made")]
    File(#[from] FileError),
    /// A key cannot be kept.
    #[error("a key cannot be kept")]
    Keys(#[from] KeysError),
    /// The members' keys cannot be kept.
    #[error("the members' keys cannot be kept")]
    MemberKeys(#[from] MemberKeysError),
    /// The store cannot be made.
    #[error("the store cannot be made")]
    Store(#[from] StoreFault),
    /// The trust bundle cannot be kept.
    #[error("the trust bundle cannot be kept")]
    Trust(#[from] TrustKeeperError),
    /// The first operator is not taken.
    #[error("the operator cannot be entered")]
    Operator(#[from] OperatorError),
    /// Root keys that make no set: our own bug, or an entropy source that repeats.
    #[error("the root keys are not different")]
    RootSet,
}

impl Failure for InitError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotEmpty { .. } | Self::Nested { .. } => Exit::Refused,
            Self::File(_) => Exit::Io,
            Self::Keys(error) => error.exit(),
            Self::MemberKeys(error) => error.exit(),
            Self::Store(fault) => fault.exit(),
            Self::Trust(error) => error.exit(),
            Self::Operator(error) => error.exit(),
            Self::RootSet => Exit::Internal,
        }
    }
}

pub(crate) fn make_root_keys(
    folder: &Path,
    count: usize,
    entropy: &dyn Entropy,
) -> Result<(Vec<SecretKey>, Vec<PathBuf>), KeysError> {
    let (mut secrets, mut paths) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let (secret, path) = (keys::make_signing_key(entropy), folder.join(format!("root-{number}.key")));
        keys::keep_root_key(&path, &secret)?;
        secrets.push(secret);
        paths.push(path);
    }
    Ok((secrets, paths))
}

fn first_bundle(
    roots: &[SecretKey],
    keys: Vec<TrustedKey>,
    now: UnixSeconds,
) -> Result<TrustBundle, InitError> {
    let public = roots.iter().map(SecretKey::public_key).collect();
    Ok(TrustBundle {
        version: 1,
        issued: now,
        expires: now.plus(BUNDLE_LIFE_SECONDS),
        roots: RootSet::new(public, majority(roots.len())).ok_or(InitError::RootSet)?,
        keys,
        policy: Policy::default(),
        status: None,
    })
}

async fn enter_operator(
    folder: &DataFolder,
    key: PublicKey,
    now: UnixSeconds,
    entropy: &dyn Entropy,
) -> Result<(), InitError> {
    let label = OperatorLabel::parse("first").expect("a plain word");
    let first = NewOperator { key, roles: OperatorRole::ALL.to_vec(), label };
    let store = EmbeddedStore::open(&folder.store(), EmbeddedOptions::default())?;
    operator_command::enter(&store, &OperatorChange::Add(Box::new(first)), now, entropy).await?;
    Ok(())
}

pub(crate) fn refuse_filled(path: &Path) -> Result<(), InitError> {
    match is_filled(path)? {
        true => Err(InitError::NotEmpty { path: path.to_owned() }),
        false => Ok(()),
    }
}

fn refuse_nested(data: &Path, root_keys: &Path) -> Result<(), InitError> {
    let (real_data, real_roots) = (real_path(data)?, real_path(root_keys)?);
    if real_data.starts_with(&real_roots) || real_roots.starts_with(&real_data) {
        return Err(InitError::Nested { data: data.to_owned(), root_keys: root_keys.to_owned() });
    }
    Ok(())
}

/// Where a path leads, links followed, even when its last parts are not there yet.
pub(crate) fn real_path(path: &Path) -> Result<PathBuf, FileError> {
    let absolute = std::path::absolute(path).map_err(io_at(FileOperation::Open, path))?;
    let mut missing = Vec::new();
    let mut there = absolute.as_path();
    loop {
        match there.canonicalize() {
            Ok(real) => return Ok(missing.iter().rev().fold(real, |path, name| path.join(name))),
            Err(error) => match (error.kind(), there.parent(), there.file_name()) {
                (std::io::ErrorKind::NotFound, Some(parent), Some(name)) => {
                    missing.push(name.to_owned());
                    there = parent;
                }
                _ => return Err(io_at(FileOperation::Open, path)(error)),
            },
        }
    }
}

/// Root keys of a new server: any two of three sign, so that one may be lost and one may be stolen.
const ROOT_KEYS: usize = 3;
