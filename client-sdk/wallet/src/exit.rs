//! How the program ends: failures, and the exit code of each, after sysexits(3).

use std::error::Error;
use std::io;

use bhyt_platform::files::FileError;
use bhyt_sdk::{QrError, SdkError};

/// Exit codes that are not success. The numbers are part of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command line is not understood.
    Usage = 64,
    /// A file, or what was found, is not what it should be.
    Data = 65,
    /// The server cannot be reached.
    Unavailable = 69,
    /// Our own fault, or made by a newer version.
    Internal = 70,
    /// The system refused to read or write.
    Io = 74,
    /// Another process has the data folder open.
    InUse = 75,
    /// Refused by the server, or a key is locked.
    Refused = 77,
    /// Interrupted by a signal.
    Interrupted = 130,
}

/// A failure that ends the program.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The SDK could not.
    #[error(transparent)]
    Sdk(#[from] SdkError),
    /// A file given on the command line cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Output cannot be written.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    /// No member of this id, and no card of this number, is on the phone.
    #[error("no member of this id, or mã số BHXH on a card, is on this phone; `status` lists them")]
    UnknownMember,
    /// The member has no record of this number.
    #[error("no such record on this phone; the other commands print their numbers")]
    UnknownRecord,
    /// No edit of this id waits or was refused.
    #[error("no such edit on this phone; `outbox` lists them")]
    UnknownEdit,
    /// A word on the command line is not of the form that its field takes. It is personal, so it is not repeated.
    #[error("this is not {0}")]
    NotA(&'static str),
    /// Several members are on the phone in their own right, or none, and none was named.
    #[error("this phone holds several members: name one with --member; `status` lists them")]
    WhichMember,
    /// A picture must end in .png or .svg.
    #[error("--out takes a file that ends in .png or .svg, or -")]
    PictureKind,
    /// The phone drew a presentation key of another kind when it was new.
    #[error("this phone has a presentation key of another kind already; a new --data folder draws a new one")]
    OtherKeyKind,
    /// The text does not fit a code.
    #[error("no code for this card")]
    Qr(#[from] QrError),
    /// A signal came before it was done.
    #[error("interrupted")]
    Interrupted,
}

impl WalletError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Sdk(error) => exit_of(error),
            Self::File(_) | Self::Output(_) => Exit::Io,
            Self::UnknownMember
            | Self::WhichMember
            | Self::PictureKind
            | Self::OtherKeyKind
            | Self::NotA(_) => Exit::Usage,
            Self::UnknownRecord | Self::UnknownEdit => Exit::Data,
            Self::Qr(_) => Exit::Internal,
            Self::Interrupted => Exit::Interrupted,
        }
    }

    /// The kind of problem, as JSON names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sdk(error) => error.problem().name(),
            Self::File(_) | Self::Output(_) => "io",
            Self::UnknownMember
            | Self::WhichMember
            | Self::PictureKind
            | Self::OtherKeyKind
            | Self::NotA(_) => "usage",
            Self::UnknownRecord => "no_record",
            Self::UnknownEdit => "no_edit",
            Self::Qr(_) => "internal",
            Self::Interrupted => "interrupted",
        }
    }

    /// This failure and its causes, in one line.
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}

fn exit_of(error: &SdkError) -> Exit {
    match error {
        SdkError::Offline { .. } => Exit::Unavailable,
        SdkError::Refused { .. } | SdkError::Locked { .. } => Exit::Refused,
        SdkError::NotActivated | SdkError::Untrusted { .. } => Exit::Data,
        SdkError::UpdateApp { .. } => Exit::Internal,
        SdkError::StoreInUse { .. } => Exit::InUse,
        SdkError::System { .. } => Exit::Io,
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
