//! What an import sends at a time: a command of some rows, with the lines that they stand on.

use std::borrow::Cow;

use bhyt_core::sync::admin::AdminCommand;

use super::error::AdminError;

/// A frame's worth of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// In the order of the file.
    pub(super) number: u64,
    /// What to send; nothing when no row is to be.
    pub(super) command: Option<AdminCommand>,
    /// The line of each row of the command.
    pub(super) lines: Vec<u64>,
    /// Rows that are not to be sent, and why.
    pub(super) faults: Vec<Fault>,
    /// Names of the members that the rows speak of, where their order matters to the server.
    pub(super) members: Vec<String>,
    /// Bytes of the file read so far.
    pub(super) bytes_read: u64,
}

impl Chunk {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.faults.is_empty()
    }
}

/// Why a row was not taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    pub(super) line: u64,
    pub(super) field: Cow<'static, str>,
    pub(super) reason: &'static str,
}

impl Fault {
    /// A line that is no row of its table.
    pub(super) fn of_line(line: u64) -> Self {
        Self { line, field: "line".into(), reason: "malformed" }
    }
}

/// Where chunks come from.
pub(super) trait ChunkSource: Send + 'static {
    /// The next chunk; `None` at the end of the file.
    fn next_chunk(&mut self) -> Result<Option<Chunk>, AdminError>;
}
