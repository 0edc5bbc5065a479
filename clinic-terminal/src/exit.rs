//! How the program ends: verdicts and failures, and the exit code of each, after sysexits(3).

use std::error::Error;
use std::io;
use std::process::ExitCode;

use bhyt_core::verdict::{Outcome, Verdict};
use bhyt_platform::files::FileError;
use bhyt_sdk::SdkError;

use crate::picture::PictureError;

/// How the program ends when nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ended {
    /// Done, or every card accepted.
    Well = 0,
    /// A card was rejected.
    Rejected = 1,
    /// A card could not be decided, and none was rejected.
    Undecided = 2,
}

impl Ended {
    /// How one verdict ends.
    pub fn of(verdict: &Verdict) -> Self {
        match verdict.outcome() {
            Outcome::Accept(_) => Self::Well,
            Outcome::Reject(_) => Self::Rejected,
            Outcome::Undecided(_) => Self::Undecided,
        }
    }

    /// How several end together: a rejection is told before a doubt.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Rejected, _) | (_, Self::Rejected) => Self::Rejected,
            (Self::Undecided, _) | (_, Self::Undecided) => Self::Undecided,
            _ => Self::Well,
        }
    }
}

/// Exit codes of failures. The numbers are part of the command line.
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
pub enum TerminalError {
    /// The SDK could not.
    #[error(transparent)]
    Sdk(#[from] SdkError),
    /// A file given on the command line cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No code was found in the picture.
    #[error("the picture")]
    Picture(#[from] PictureError),
    /// The input ended before a line of it was a code.
    #[error("the input holds no code")]
    NoCode,
    /// Input cannot be read, or output not written.
    #[error("cannot read the input or write the output")]
    Stream(#[from] io::Error),
    /// A signal came before it was done.
    #[error("interrupted")]
    Interrupted,
}

impl TerminalError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Sdk(error) => exit_of(error),
            Self::Picture(_) | Self::NoCode => Exit::Data,
            Self::File(_) | Self::Stream(_) => Exit::Io,
            Self::Interrupted => Exit::Interrupted,
        }
    }

    /// The kind of problem, as JSON names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sdk(error) => error.problem().name(),
            Self::Picture(_) => "picture",
            Self::NoCode => "no_code",
            Self::File(_) | Self::Stream(_) => "io",
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

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        Self::from(ended as u8)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
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
