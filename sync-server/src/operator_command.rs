//! `bhyt-server operator`: operators without a server. A key is made where it stays, on the operator's own machine. And on
//! the server's machine, while the server is stopped, the table can be changed without any key: the way back when the only
//! administrator's key was lost or stolen. Whoever can do that has the server's files anyway.
//!
//! Promises: the change and its line in the audit trail are one commit. Refuses what a running server refuses too, above
//! all to take the last administrator away, and a store that is in use.

use std::path::{Path, PathBuf};

use bhyt_core::ids::{OperationId, hex};
use bhyt_core::sync::admin::Applied;
use bhyt_core::sync::audit::{AuditLine, AuditOutcome, AuditSubject};
use bhyt_core::sync::messages::Refusal;
use bhyt_core::sync::operators::{OperatorChange, OperatorView};
use bhyt_core::time::UnixSeconds;
use bhyt_platform::entropy::{Entropy, make_bytes};
use serde::Serialize;
use serde_json::{Value, json};

use crate::admin::print;
use crate::exit::{Exit, Failure};
use crate::folder::DataFolder;
use crate::keys::{self, KeysError};
use crate::service::operators::{OperatorWrites, action_of, list, stage};
use crate::service::{ServiceFault, Stop, audit_write};
use crate::store::embedded::{EmbeddedOptions, EmbeddedStore};
use crate::store::{Commit, Outcome, Store, StoreFault};
use crate::trust_keeper::{TrustKeeper, TrustKeeperError};

/// A key that was made: what its JSON says.
#[derive(Clone, Debug, Serialize)]
pub struct KeyReport {
    /// Its id, 16 hexadecimal digits: what lists and the audit trail call the operator.
    pub id: String,
    /// The public half, 64 hexadecimal digits: what an administrator enters.
    pub public_key: String,
    /// Where the secret half is.
    pub key: PathBuf,
}

/// Makes an operator's key in a file that is not there yet.
///
/// # Errors
/// [`KeysError`].
pub fn make_key(path: &Path, entropy: &dyn Entropy) -> Result<KeyReport, KeysError> {
    let public = keys::make_operator_key(path, entropy)?;
    let (id, public_key) = (public.key_id().to_string(), hex(public.as_bytes()));
    Ok(KeyReport { id, public_key, key: path.to_owned() })
}

/// What making a key says to a person.
pub fn describe_key(report: &KeyReport) -> String {
    format!(
        "\
The operator's key is in {key}; keep it on this machine.

  id          {id}
  public key  {public}

Give the public key to an administrator, who enters it with `bhyt-server admin … operator add`, and compare: what was
entered has the same id.
",
        key = report.key.display(),
        id = report.id,
        public = report.public_key,
    )
}

/// Changes the table of a server that does not run.
///
/// # Errors
/// [`OperatorError`]; nothing was changed.
pub async fn change(
    folder: &DataFolder,
    wanted: &OperatorChange,
    now: UnixSeconds,
    entropy: &dyn Entropy,
) -> Result<Applied, OperatorError> {
    enter(&open(folder)?, wanted, now, entropy).await
}

/// Every operator of a server that does not run.
///
/// # Errors
/// [`OperatorError`].
pub async fn read(folder: &DataFolder) -> Result<Vec<OperatorView>, OperatorError> {
    let store = open(folder)?;
    let (mut views, mut after) = (Vec::new(), None);
    while let Some((some, last)) = list(&store, after).await? {
        views.extend(some);
        after = Some(last);
    }
    Ok(views)
}

/// What a change says: to a person, or as JSON.
pub fn describe_change(applied: Applied, wanted: &OperatorChange, json: bool) -> String {
    show(&print::operator_change_value(applied, wanted.operator()), json)
}

/// What a list says: to a person, or as JSON.
pub fn describe_list(views: &[OperatorView], json: bool) -> String {
    let operators: Vec<_> = views.iter().map(print::operator_value).collect();
    show(&json!({ "operators": operators }), json)
}

fn show(value: &Value, json: bool) -> String {
    if json { format!("{value}\n") } else { print::to_text(value) }
}

/// Changes the table in a store, with its line in the audit trail.
pub(crate) async fn enter(
    store: &impl Store,
    wanted: &OperatorChange,
    now: UnixSeconds,
    entropy: &dyn Entropy,
) -> Result<Applied, OperatorError> {
    let Some(OperatorWrites { mut docs, .. }) = stage(store, wanted, now).await? else {
        return Ok(Applied::Duplicate);
    };
    let line = AuditLine {
        time: now,
        operator: None,
        action: action_of(wanted),
        subject: AuditSubject::Operator(wanted.operator()),
        outcome: AuditOutcome::Done,
        rows: 0,
        operation: OperationId(make_bytes(entropy)),
    };
    docs.push(audit_write(&line, 0, entropy)?);
    match store.commit(Commit { docs, ..Commit::default() }).await? {
        Outcome::Applied => Ok(Applied::Accepted),
        // The store is ours alone.
        Outcome::Lost => Err(ServiceFault::LostRaces { attempts: 1 }.into()),
    }
}

/// A folder that `init` finished: a store is made where none is, and this is not the place for it.
fn open(folder: &DataFolder) -> Result<EmbeddedStore, OperatorError> {
    let _ = TrustKeeper::open(folder)?;
    Ok(EmbeddedStore::open(&folder.store(), EmbeddedOptions::default())?)
}

/// Why the table of operators was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// It is no server's data folder, or its bundles are not in order.
    #[error("trust bundles")]
    Trust(#[from] TrustKeeperError),
    /// The store cannot be opened or written.
    #[error("store")]
    Store(#[from] StoreFault),
    /// What is stored is not in order.
    #[error("table of operators")]
    Table(#[from] ServiceFault),
    /// A rule says no.
    #[error("refused: {0}")]
    Refused(Refusal),
}

impl From<Stop> for OperatorError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(refusal) => Self::Refused(refusal),
            Stop::Fault(fault) => Self::Table(fault),
            // Nobody asks over a line here.
            Stop::PeerGone => Self::Refused(Refusal::Internal),
        }
    }
}

impl Failure for OperatorError {
    fn exit(&self) -> Exit {
        match self {
            Self::Trust(error) => error.exit(),
            Self::Store(fault) | Self::Table(ServiceFault::Store(fault)) => fault.exit(),
            Self::Table(_) => Exit::Data,
            Self::Refused(_) => Exit::Refused,
        }
    }
}
