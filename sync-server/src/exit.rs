//! Exit codes of the program, after sysexits(3), and the trait by which every failure names its own.

use std::error::Error;
use std::process::ExitCode;

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

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Any failure, for whoever calls several things that fail in their own ways and passes it on.
#[derive(Debug)]
pub struct Ending(Box<dyn Failure>);

impl Ending {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.0.exit()
    }

    /// The failure and its causes, in one line.
    pub fn chain(&self) -> String {
        chain(&*self.0)
    }
}

/// A failure and its causes, in one line. In the log an error stands in this form: given as a value it would be its first
/// line only.
pub fn chain(failure: &dyn Error) -> String {
    let mut line = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(error.to_string().trim_end());
        cause = error.source();
    }
    line
}

impl<F: Failure + 'static> From<F> for Ending {
    fn from(failure: F) -> Self {
        Self(Box::new(failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{ServiceFault, Stop};
    use crate::store::StoreFault;

    #[test]
    fn a_chain_names_every_cause() {
        let stop = Stop::Fault(ServiceFault::Store(StoreFault::Closed));
        assert_eq!(chain(&stop), "the service failed: store failed: the store is closed");
        assert_eq!(chain(&StoreFault::Closed), "the store is closed");
    }
}
