//! Exit codes of the program, after sysexits(3), and the trait by which every failure names its own.

use std::error::Error;

/// How the program ends when it does not end well. The numbers are part of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command line is not understood.
    Usage = 64,
    /// A file or stored value is not what it should be.
    Data = 65,
    /// The other side cannot be reached.
    Unavailable = 69,
    /// Our own fault.
    Internal = 70,
    /// The system refused to read or write.
    Io = 74,
    /// Another program has the store open.
    InUse = 75,
    /// Understood, and refused: a rule of ours, or the server, says no.
    Refused = 77,
}

/// A failure that ends the program.
pub trait Failure: Error {
    /// The exit code.
    fn exit(&self) -> Exit;
}

/// What `--help` says of exit codes.
pub const EXIT_CODES_HELP: &str = "\
Exit codes:
  0   done
  64  the command line is not understood
  65  a file or stored value is not what it should be
  69  the server cannot be reached
  70  internal fault
  74  reading or writing failed
  75  the data folder is in use by another process
  77  refused: the message says by which rule";
