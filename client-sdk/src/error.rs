//! The one error of the SDK: a variant for each thing an application can do about it. What went wrong below is kept in
//! `source()`, for the log; nothing here holds a name, a number, card bytes or a key.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bhyt_core::cbor::DecodeError;
use bhyt_core::codec::CodecError;
use bhyt_core::held_status::StatusFault;
use bhyt_core::operation::Rejection;
use bhyt_core::sync::messages::Refusal;
use bhyt_core::sync::terminal::TerminalFault;
use bhyt_core::sync::wallet::SyncFault;
use bhyt_core::trust::TrustError;
use bhyt_platform::files::FileError;
use bhyt_platform::key_file::KeyFileError;
use bhyt_platform::kv::StoreError;
use bhyt_platform::quic::{CloseCode, CloseReason, TransportError};
use bhyt_platform::store_key::StoreKeyError;

/// Why the SDK did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SdkError {
    /// The server cannot be reached, or is busy. Go on showing what is there, and try again later.
    #[error("the server cannot be reached")]
    Offline {
        /// The server asked for this pause; `None` when nobody said.
        retry_after: Option<Duration>,
        /// What failed.
        source: Cause,
    },
    /// The server answered no. The user needs a new code, or help from the agency.
    #[error("the server refused: {why}")]
    Refused {
        /// What it said.
        why: Refused,
    },
    /// This device holds no such member, the member has no card to show, or this terminal is not enrolled. Activate.
    #[error("not activated, or no card")]
    NotActivated,
    /// Something here was written by a newer version. Update the application.
    #[error("made by a newer version of this program")]
    UpdateApp {
        /// What was found.
        source: Cause,
    },
    /// Another process has this data folder open. Close it.
    #[error("the data is in use by another program")]
    StoreInUse {
        /// Which store.
        source: Cause,
    },
    /// The system failed us: no space, no permission, a damaged disk. Free space, or restart.
    #[error("the system failed")]
    System {
        /// What failed.
        source: Cause,
    },
    /// The key is not available now, usually because the device is locked. Unlock and try again.
    #[error("a key is not available")]
    Locked {
        /// Which, and why.
        source: Cause,
    },
    /// What was given does not verify: a wrong trust file, or a server that is not the one we know. Do not go on; report.
    #[error("not trusted")]
    Untrusted {
        /// What does not verify.
        source: Cause,
    },
}

impl SdkError {
    /// The kind alone, for a status line.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Offline { .. } => Problem::Offline,
            Self::Refused { why: Refused::Retired | Refused::Forgotten } => Problem::Retired,
            Self::Refused { .. } => Problem::Refused,
            Self::NotActivated => Problem::NotActivated,
            Self::UpdateApp { .. } => Problem::UpdateApp,
            Self::StoreInUse { .. } | Self::System { .. } => Problem::System,
            Self::Locked { .. } => Problem::Locked,
            Self::Untrusted { .. } => Problem::Untrusted,
        }
    }

    pub(crate) fn system(source: impl Into<Cause>) -> Self {
        Self::System { source: source.into() }
    }

    pub(crate) fn untrusted(source: impl Into<Cause>) -> Self {
        Self::Untrusted { source: source.into() }
    }

    pub(crate) fn offline(source: impl Into<Cause>) -> Self {
        Self::Offline { retry_after: None, source: source.into() }
    }
}

/// What went wrong below.
pub type Cause = Box<dyn Error + Send + Sync>;

/// What a server says when it says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The code or token is wrong, used or over.
    Code,
    /// This device or terminal may not speak here, or not any more. Activate again.
    Retired,
    /// The server was restored from a backup that does not know this device, and what the device holds does not make it
    /// known again. Activate again.
    Forgotten,
    /// All sixteen bindings of the card are in use: retire another device first.
    NoFreeBinding,
    /// Something else; the reason is in the server's log.
    Denied,
    /// An edit of the personal document that the server would not take: the document or the outbox is full, or the edit is not
    /// permitted.
    Edit(Rejection),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code => "code not accepted",
            Self::Retired => "not authorised, or not any more",
            Self::Forgotten => "not known to the server any more",
            Self::NoFreeBinding => "too many devices hold this card",
            Self::Denied => "denied",
            Self::Edit(why) => return write!(f, "edit not possible: {why}"),
        })
    }
}

/// What keeps a device from being up to date; see [`SdkError`] for what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Problem {
    /// No connection, or a busy server.
    Offline,
    /// This device was retired, or is not known any more.
    Retired,
    /// The server refused for another reason.
    Refused,
    /// Nothing is activated here.
    NotActivated,
    /// A newer program is needed.
    UpdateApp,
    /// Disk or system.
    System,
    /// A key is locked.
    Locked,
    /// The server's answer does not verify.
    Untrusted,
}

impl Problem {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Retired => "retired",
            Self::Refused => "refused",
            Self::NotActivated => "not_activated",
            Self::UpdateApp => "update_app",
            Self::System => "system",
            Self::Locked => "locked",
            Self::Untrusted => "untrusted",
        }
    }
}

impl From<StoreError> for SdkError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InUse { .. } => Self::StoreInUse { source: error.into() },
            StoreError::NewerVersion { .. } => Self::UpdateApp { source: error.into() },
            _ => Self::system(error),
        }
    }
}

impl From<FileError> for SdkError {
    fn from(error: FileError) -> Self {
        Self::system(error)
    }
}

impl From<StoreKeyError> for SdkError {
    fn from(error: StoreKeyError) -> Self {
        Self::Locked { source: error.into() }
    }
}

impl From<KeyFileError> for SdkError {
    fn from(error: KeyFileError) -> Self {
        match error {
            KeyFileError::File(file) if file.is_full() => Self::system(file),
            other => Self::Locked { source: other.into() },
        }
    }
}

impl From<CodecError> for SdkError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::UnknownSchema { .. } => Self::UpdateApp { source: error.into() },
            _ => Self::untrusted(error),
        }
    }
}

impl From<TrustError> for SdkError {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::Unreadable(DecodeError::NeedsUpdate) => Self::UpdateApp { source: error.into() },
            _ => Self::untrusted(error),
        }
    }
}

impl From<SyncFault> for SdkError {
    fn from(fault: SyncFault) -> Self {
        match fault {
            SyncFault::Trust(error) => error.into(),
            _ => Self::untrusted(fault),
        }
    }
}

impl From<TerminalFault> for SdkError {
    fn from(fault: TerminalFault) -> Self {
        match fault {
            TerminalFault::Trust(error) => error.into(),
            TerminalFault::Status(StatusFault::Unreadable(DecodeError::NeedsUpdate)) => {
                Self::UpdateApp { source: fault.into() }
            }
            _ => Self::untrusted(fault),
        }
    }
}

impl From<Refusal> for SdkError {
    fn from(refusal: Refusal) -> Self {
        let why = match refusal {
            Refusal::Busy { retry_after_seconds } => {
                let retry_after = Some(Duration::from_secs(retry_after_seconds.into()));
                return Self::Offline { retry_after, source: refusal.into() };
            }
            Refusal::Internal => return Self::offline(refusal),
            Refusal::Malformed => return Self::UpdateApp { source: refusal.into() },
            Refusal::BadCode => Refused::Code,
            Refusal::NotAuthorised => Refused::Retired,
            Refusal::NoFreeBinding => Refused::NoFreeBinding,
            Refusal::NotFound
            | Refusal::Conflict
            | Refusal::OperationReused
            | Refusal::AwaitsStatus
            | Refusal::LastAdministrator => Refused::Denied,
            Refusal::Forgotten => Refused::Forgotten,
        };
        Self::Refused { why }
    }
}

impl From<TransportError> for SdkError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::WrongServerKey => return Self::untrusted(error),
            TransportError::NoCommonProtocol => return Self::UpdateApp { source: error.into() },
            _ => {}
        }
        let Some(CloseReason::Peer(code)) = error.close_reason() else {
            return Self::offline(error);
        };
        match code {
            CloseCode::Retired | CloseCode::Stranger => Self::Refused { why: Refused::Retired },
            CloseCode::Busy { retry_after } | CloseCode::Goodbye { retry_after } => {
                Self::Offline { retry_after: Some(retry_after), source: error.into() }
            }
            _ => Self::offline(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_leads_to_what_the_app_can_do() {
        let check = |error: SdkError, problem: Problem| assert_eq!(error.problem(), problem);
        check(TransportError::WrongServerKey.into(), Problem::Untrusted);
        check(TransportError::NoCommonProtocol.into(), Problem::UpdateApp);
        let within = Duration::from_secs(1);
        check(TransportError::TimedOut { within }.into(), Problem::Offline);
        check(TransportError::Refused { code: CloseCode::Retired }.into(), Problem::Retired);
        check(Refusal::BadCode.into(), Problem::Refused);
        check(Refusal::Malformed.into(), Problem::UpdateApp);
        check(StoreKeyError::Locked.into(), Problem::Locked);
        check(TrustError::DuplicateSigner.into(), Problem::Untrusted);
        let busy = CloseCode::Busy { retry_after: within };
        let asked = SdkError::from(TransportError::Refused { code: busy });
        assert!(matches!(asked, SdkError::Offline { retry_after: Some(wait), .. } if wait == within));
        assert!(asked.source().is_some());
    }
}
