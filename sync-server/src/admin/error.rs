//! Why a command was not done, with the exit code for each.

use std::io;
use std::path::PathBuf;

use bhyt_core::codec::CodecError;
use bhyt_core::sync::admin::RowFault;
use bhyt_core::sync::messages::Refusal;
use bhyt_core::trust::TrustError;
use bhyt_platform::entropy::EntropyError;
use bhyt_platform::files::FileError;
use bhyt_platform::quic::{CloseCode, CloseReason, TransportError};

use super::outcome;
use crate::backup_file::BackupFault;
use crate::exit::{Exit, Failure as _};
use crate::keys::KeysError;
use crate::record_files::xml::XmlFault;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The trust bundle cannot be read.
    #[error("trust bundle cannot be read")]
    TrustFile(#[source] FileError),
    /// The file is no trust bundle.
    #[error("{} is no trust bundle", .path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TrustError,
    },
    /// The trust bundle names no server key.
    #[error("the trust bundle names no server key")]
    NoServerKey,
    /// The operator's key cannot be read.
    #[error("operator's key")]
    Key(#[source] KeysError),
    /// The system gives no random bytes.
    #[error("no randomness")]
    Entropy(#[source] EntropyError),
    /// The server's name has no address.
    #[error("{server} has no address")]
    NoAddress {
        /// As given.
        server: String,
        /// What the system said; nothing when it found none.
        source: Option<io::Error>,
    },
    /// The server cannot be reached, or the line broke and stayed broken.
    #[error("the server cannot be reached")]
    Unreachable(#[source] TransportError),
    /// The server does not know this key any more.
    #[error("this operator's key is retired")]
    Retired,
    /// The server answered something else than it was asked.
    #[error("the server's answer is not understood")]
    Unexpected,
    /// A frame of ours or the server's is not of its form.
    #[error("a frame is not of its form")]
    Frame(#[source] CodecError),
    /// The server refuses.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// A field is not taken.
    #[error("{}: {}", outcome::field_name(.0.field), outcome::reason_name(.0.reason))]
    Field(RowFault),
    /// The import file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The import file is no CSV with the columns that it should have.
    #[error("{}: column {column:?} is {wrong}", .path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Missing or unknown.
        wrong: &'static str,
    },
    /// The import file is no XML that is taken, from this line on; what stood before is stored.
    #[error("{}, line {line}", .path.display())]
    Xml {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// What is wrong.
        source: XmlFault,
    },
    /// A field of a row on the command line.
    #[error("{field}: {reason}")]
    Row {
        /// The column.
        field: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// The list of faults cannot be written.
    #[error("{} cannot be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The backup cannot be written.
    #[error("the backup is not written")]
    BackupFile(#[source] FileError),
    /// What came is not the backup that it should be; nothing was kept of it.
    #[error("the backup did not come whole")]
    Backup(#[source] BackupFault),
    /// What was typed is not what was asked for; nothing was done.
    #[error("not confirmed; nothing was done")]
    NotConfirmed,
    /// There is a file where the archive would be.
    #[error("{} is there already; nothing was exported", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Standard output is gone.
    #[error("standard output")]
    Output(#[source] io::Error),
    /// Some rows were not taken; the others were.
    #[error("{failed} of {rows} rows were not taken, see {}", .errors_file.display())]
    RowsFailed {
        /// Rows read.
        rows: u64,
        /// Rows not taken.
        failed: u64,
        /// Where they are listed.
        errors_file: PathBuf,
    },
}

impl AdminError {
    /// The exit code.
    pub(super) fn exit_code(&self) -> Exit {
        match self {
            Self::Key(error) => error.exit(),
            Self::Xml { source: XmlFault::Unreadable(_), .. } => Exit::Io,
            Self::Xml { .. } => Exit::Data,
            Self::TrustFile(_)
            | Self::Entropy(_)
            | Self::BackupFile(_)
            | Self::Backup(BackupFault::Read(_))
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Output(_) => Exit::Io,
            Self::Trust { .. }
            | Self::NoServerKey
            | Self::Columns { .. }
            | Self::Row { .. }
            | Self::Field(_)
            | Self::RowsFailed { .. }
            | Self::Backup(_)
            | Self::Refused(Refusal::Malformed) => Exit::Data,
            Self::NoAddress { .. } | Self::Unreachable(_) | Self::Refused(Refusal::Busy { .. }) => {
                Exit::Unavailable
            }
            Self::Unexpected | Self::Frame(_) | Self::Refused(Refusal::Internal) => Exit::Internal,
            Self::Refused(_) | Self::Retired | Self::NotConfirmed | Self::Exists { .. } => Exit::Refused,
        }
    }

    /// What became of the line.
    pub(super) fn of_line(error: TransportError) -> Self {
        match error.close_reason() {
            Some(CloseReason::Peer(CloseCode::Retired)) => Self::Retired,
            _ => Self::Unreachable(error),
        }
    }

    /// Whether the same may go well when it is tried again.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Refused(Refusal::Busy { .. }))
    }
}
