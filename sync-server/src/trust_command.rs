//! `bhyt-server trust renew`: the next trust bundle, signed by root keys that are brought along for the moment.
//!
//! It works beside a running server: it reads no store, writes key files before the bundle that names them, and puts the
//! bundle in force by replacing `trust.cose`, which the server looks at each second. Root keys are read and forgotten.
//!
//! Refuses: too few root keys, root keys that lie in the data folder, and a bundle after which the server could not work.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bhyt_core::ids::hex;
use bhyt_core::keys::{KeyId, SecretKey};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, RootSet, Roots, TrustBundle, TrustedKey};
use bhyt_platform::entropy::Entropy;
use bhyt_platform::file_lock::FileLock;
use bhyt_platform::files::{FileError, FileOperation};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::folder::{DataFolder, io_at};
use crate::init::{BUNDLE_LIFE_SECONDS, majority, real_path, trusted_key};
use crate::keys::{self, KeysError, SERVER_USES, usage_word};
use crate::policy_change::{PolicyChange, PolicyReport};
use crate::stored::{StoredError, read_current_status};
use crate::trust_keeper::{TrustKeeper, TrustKeeperError};

/// What the next bundle shall be.
#[derive(Clone, Debug, Default)]
pub struct Renewal {
    /// Files of root keys that sign.
    pub root_keys: Vec<PathBuf>,
    /// Files of all root keys from now on; none leaves them as they are. They sign too.
    pub new_roots: Vec<PathBuf>,
    /// Uses to make a new key for.
    pub add: Vec<KeyUse>,
    /// When the new keys begin to sign: days from now.
    pub start_in_days: u32,
    /// Keys that shall sign no more, and whose signatures are still taken: the newest other key takes over at once, their
    /// windows end [`CLOSING_SECONDS`] later.
    pub close: Vec<KeyId>,
    /// Keys whose signatures are not taken any more.
    pub retire: Vec<KeyId>,
    /// What changes of the policy.
    pub policy: PolicyChange,
}

/// What a renewal made: what its JSON says.
#[derive(Clone, Debug, Serialize)]
pub struct RenewReport {
    /// Version of the new bundle.
    pub version: u64,
    /// When it expires, in seconds since 1970.
    pub expires: u64,
    /// The bundle.
    pub trust: PathBuf,
    /// SHA-256 over threshold and root keys, to compare by eye.
    pub root_fingerprint: String,
    /// The policy from now on.
    pub policy: PolicyReport,
    /// Keys that were made.
    pub added: Vec<AddedKey>,
}

/// A key that was made.
#[derive(Clone, Debug, Serialize)]
pub struct AddedKey {
    /// What for.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// Its id, 16 hexadecimal digits.
    pub key_id: String,
    /// The key, 64 hexadecimal digits.
    pub public_key: String,
}

/// Makes the bundle after the one in force, and puts it in force.
pub fn renew(
    folder: &DataFolder,
    renewal: &Renewal,
    now: UnixSeconds,
    entropy: &dyn Entropy,
) -> Result<RenewReport, RenewError> {
    let keeper = TrustKeeper::open(folder)?;
    let _lock = take_lock(folder)?;
    // Whoever held the lock before may have put another in force.
    let _ = keeper.reload_if_changed()?;
    let held = keeper.current();
    let held = held.claims();
    if now < held.issued {
        return Err(RenewError::ClockBehind { now, issued: held.issued });
    }
    let (signers, roots) = read_roots(folder, renewal, &held.roots)?;
    let status = read_current_status(folder)?.map(|current| current.version());
    let made: Vec<(KeyUse, SecretKey)> =
        renewal.add.iter().map(|usage| (*usage, keys::make_signing_key(entropy))).collect();
    let bundle = TrustBundle {
        version: held.version + 1,
        issued: now,
        expires: now.plus(BUNDLE_LIFE_SECONDS),
        roots,
        keys: next_keys(&held.keys, renewal, &made, now)?,
        policy: renewal.policy.apply(held.policy).ok_or(RenewError::FreshAndTooOld)?,
        status: status.max(held.status),
    };
    let bytes = bundle.sign(&signers.values().collect::<Vec<_>>());
    for (usage, secret) in &made {
        keys::keep_signing_key(&folder.keys(), *usage, secret)?;
    }
    keeper.put_in_force(&bytes)?;
    Ok(report(folder, &bundle, &made))
}

/// What `trust renew` says to a person.
pub fn describe(report: &RenewReport) -> String {
    let added = report.added.iter().map(|key| {
        format!("  new {:<14} {}  {}\n", format!("{} key", key.usage), key.key_id, key.public_key)
    });
    format!(
        "\
Trust bundle {version} is in force in {trust}.

  root fingerprint  {fingerprint}
  expires           {expires}
  policy            {policy}
{added}
A running server takes it within a second, phones and terminals with their next sync. Take the root keys away again.
",
        version = report.version,
        trust = report.trust.display(),
        fingerprint = report.root_fingerprint,
        expires = UnixSeconds(report.expires).day(),
        policy = report.policy.describe(),
        added = added.collect::<String>(),
    )
}

/// Why there is no next bundle. The one in force stays.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The bundles so far are not in order, or the new one is not accepted after them.
    #[error("trust bundles")]
    Trust(#[from] TrustKeeperError),
    /// A key file cannot be read or kept.
    #[error("a key")]
    Keys(#[from] KeysError),
    /// The status version in force cannot be read.
    #[error("the status version in force")]
    Stored(#[from] StoredError),
    /// A file cannot be looked at.
    #[error("a file")]
    File(#[from] FileError),
    /// Fewer root keys were given than must sign.
    #[error("{given} of {} root keys given, {needed} must sign", roots_word(.of))]
    TooFewRootKeys {
        /// Which set.
        of: Roots,
        /// Given, each counted once.
        given: usize,
        /// The threshold.
        needed: usize,
    },
    /// A root key that is in neither set.
    #[error("{} is none of the root keys", .path.display())]
    UnknownRootKey {
        /// The file.
        path: PathBuf,
    },
    /// A root key in the data folder, where whoever breaks into the server finds it.
    #[error("root key {} lies inside the data folder", .path.display())]
    RootKeyInside {
        /// The file.
        path: PathBuf,
    },
    /// New root keys that are too many, or one given twice.
    #[error("the new root keys are no set")]
    BadRootSet,
    /// No such key in the bundle in force.
    #[error("the bundle in force has no key {key_id}")]
    UnknownKey {
        /// The id given.
        key_id: KeyId,
    },
    /// The server would have no key left that signs for a use it needs.
    #[error("no key would be left that signs for {usage:?} now; add one")]
    NothingSigns {
        /// The use.
        usage: KeyUse,
    },
    /// A policy by which a list is too old while it is still fresh.
    #[error("a status list would be too old before it stops being fresh")]
    FreshAndTooOld,
    /// The clock stands before the bundle in force was made.
    #[error("the clock says {}, before the bundle in force was made ({})", .now.display_local(), .issued.display_local())]
    ClockBehind {
        /// By the clock.
        now: UnixSeconds,
        /// By the bundle.
        issued: UnixSeconds,
    },
    /// Another renewal is under way.
    #[error("another renewal is under way")]
    UnderWay,
}

impl Failure for RenewError {
    fn exit(&self) -> Exit {
        match self {
            Self::Trust(error) => error.exit(),
            Self::Keys(error) => error.exit(),
            Self::Stored(error) => error.exit(),
            Self::File(_) => Exit::Io,
            Self::UnderWay => Exit::InUse,
            Self::UnknownKey { .. } | Self::BadRootSet | Self::UnknownRootKey { .. } => Exit::Data,
            Self::TooFewRootKeys { .. }
            | Self::RootKeyInside { .. }
            | Self::NothingSigns { .. }
            | Self::FreshAndTooOld
            | Self::ClockBehind { .. } => Exit::Refused,
        }
    }
}

fn roots_word(of: &Roots) -> &'static str {
    match of {
        Roots::Held => "the present",
        Roots::Own => "the new",
    }
}

/// Root keys to sign with, each once.
type Signers = BTreeMap<KeyId, SecretKey>;

/// The signers, and the root set of the next bundle. Enough of both sets are among the signers.
fn read_roots(
    folder: &DataFolder,
    renewal: &Renewal,
    held: &RootSet,
) -> Result<(Signers, RootSet), RenewError> {
    let data = real_path(folder.path())?;
    let mut signers = Signers::new();
    let mut read = |path: &PathBuf| {
        if real_path(path)?.starts_with(&data) {
            return Err(RenewError::RootKeyInside { path: path.clone() });
        }
        let secret = keys::read_root_key(path)?;
        let public = secret.public_key();
        signers.insert(public.key_id(), secret);
        Ok(public)
    };
    let new: Vec<_> = renewal.new_roots.iter().map(&mut read).collect::<Result<_, _>>()?;
    let next = match new.len() {
        0 => held.clone(),
        count => RootSet::new(new, majority(count)).ok_or(RenewError::BadRootSet)?,
    };
    for path in &renewal.root_keys {
        let public = read(path)?;
        if !held.keys().contains(&public) && !next.keys().contains(&public) {
            return Err(RenewError::UnknownRootKey { path: path.clone() });
        }
    }
    for (of, roots) in [(Roots::Held, held), (Roots::Own, &next)] {
        let given = roots.keys().iter().filter(|key| signers.contains_key(&key.key_id())).count();
        let needed = roots.threshold();
        if given < needed {
            return Err(RenewError::TooFewRootKeys { of, given, needed });
        }
    }
    Ok((signers, next))
}

fn next_keys(
    held: &[TrustedKey],
    renewal: &Renewal,
    made: &[(KeyUse, SecretKey)],
    now: UnixSeconds,
) -> Result<Vec<TrustedKey>, RenewError> {
    let mut keys = held.to_vec();
    for key_id in &renewal.close {
        let key = keys.iter_mut().find(|key| key.key.key_id() == *key_id);
        let key = key.ok_or(RenewError::UnknownKey { key_id: *key_id })?;
        let end = now.plus(CLOSING_SECONDS);
        key.signs_until = Some(key.signs_until.map_or(end, |until| until.min(end)));
    }
    for key_id in &renewal.retire {
        let at = keys.iter().position(|key| key.key.key_id() == *key_id);
        keys.remove(at.ok_or(RenewError::UnknownKey { key_id: *key_id })?);
    }
    let start = now.plus(u64::from(renewal.start_in_days) * 86_400);
    keys.extend(made.iter().map(|(usage, key)| trusted_key(key.public_key(), *usage, start)));
    // A key that is closing signs for a while yet, and is none that would be left.
    let stays = |key: &TrustedKey| key.may_sign_at(now) && key.may_sign_at(now.plus(CLOSING_SECONDS));
    for usage in SERVER_USES {
        if !keys.iter().any(|key| key.usage == usage && stays(key)) {
            return Err(RenewError::NothingSigns { usage });
        }
    }
    Ok(keys)
}

fn report(folder: &DataFolder, bundle: &TrustBundle, made: &[(KeyUse, SecretKey)]) -> RenewReport {
    let added = made.iter().map(|(usage, secret)| AddedKey {
        usage: usage_word(*usage).map_or("", |word| word.name()),
        key_id: secret.public_key().key_id().to_string(),
        public_key: hex(secret.public_key().as_bytes()),
    });
    RenewReport {
        version: bundle.version,
        expires: bundle.expires.0,
        trust: folder.trust_file(),
        root_fingerprint: hex(&bundle.roots.fingerprint()),
        policy: bundle.policy.into(),
        added: added.collect(),
    }
}

/// The window of a key that is closed ends this long after the renewal. A running server takes the bundle within a second
/// and signs with the old key until then; a card signed after the window's end would be refused everywhere for good. The
/// rest is for a server that is held up, a look at the bundle that fails, and a clock that is set meanwhile.
pub const CLOSING_SECONDS: u64 = 300;

/// Keeps two renewals at a time from signing two bundles of one version. The lock of one that was cut off is gone with it.
fn take_lock(folder: &DataFolder) -> Result<FileLock, RenewError> {
    let path = folder.trust_history().join("renewing");
    let taken = FileLock::take(&path, Duration::ZERO);
    taken.map_err(io_at(FileOperation::Lock, &path))?.ok_or(RenewError::UnderWay)
}
