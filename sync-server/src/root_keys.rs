//! `bhyt-server root-keys`: root keys and nothing else, made on a machine without network, for a change of the root set.
//! They count for nothing until a renewal that the present roots sign names them.

use std::path::{Path, PathBuf};

use bhyt_core::ids::hex;
use bhyt_core::keys::SecretKey;
use bhyt_core::trust::RootSet;
use bhyt_platform::entropy::Entropy;
use bhyt_platform::files;
use serde::Serialize;

use crate::init::{InitError, majority, make_root_keys, refuse_filled};

/// Root keys that were made: what its JSON says.
#[derive(Clone, Debug, Serialize)]
pub struct RootKeysReport {
    /// The keys.
    pub root_keys: Vec<RootKeyReport>,
    /// How many of them would have to sign, if they were all the roots: more than half.
    pub threshold: usize,
    /// The fingerprint that a bundle with exactly these roots would have.
    pub root_fingerprint: String,
}

/// A root key that was made.
#[derive(Clone, Debug, Serialize)]
pub struct RootKeyReport {
    /// Its id, 16 hexadecimal digits.
    pub id: String,
    /// The file that holds it.
    pub file: PathBuf,
}

/// Makes `count` root keys in `folder`, which is new or empty.
///
/// # Errors
/// [`InitError`].
pub fn make(folder: &Path, count: usize, entropy: &dyn Entropy) -> Result<RootKeysReport, InitError> {
    refuse_filled(folder)?;
    files::create_private_folder(folder)?;
    let (secrets, paths) = make_root_keys(folder, count, entropy)?;
    let public: Vec<_> = secrets.iter().map(SecretKey::public_key).collect();
    let report = |(key, file): (&bhyt_core::keys::PublicKey, PathBuf)| RootKeyReport {
        id: key.key_id().to_string(),
        file,
    };
    let root_keys = public.iter().zip(paths).map(report).collect();
    let set = RootSet::new(public, majority(count)).ok_or(InitError::RootSet)?;
    Ok(RootKeysReport { root_keys, threshold: set.threshold(), root_fingerprint: hex(&set.fingerprint()) })
}

/// What making root keys says to a person.
pub fn describe(report: &RootKeysReport) -> String {
    let keys = report.root_keys.iter().map(|key| format!("  {}  {}\n", key.id, key.file.display()));
    format!(
        "\
{count} root keys, {threshold} of which sign if they become all the roots:

{keys}
  root fingerprint  {fingerprint}

They count for nothing until `bhyt-server trust renew … --new-root FILE…` names them, signed by the present roots too.
Move each to a place of its own.
",
        count = report.root_keys.len(),
        threshold = report.threshold,
        keys = keys.collect::<String>(),
        fingerprint = report.root_fingerprint,
    )
}
