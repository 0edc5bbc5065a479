//! Processes of a measurement: this program again in another part, or one of the project's programs beside it. A child
//! is killed when its measurement lets go of it.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};

/// A part that this program plays when started as `bhyt-bench --child NAME ARG…`.
pub(crate) type Part = (&'static str, fn(&[String]));

/// Every part.
pub(crate) const PARTS: &[Part] = &[("bare-server", crate::bare::serve)];

/// Plays a part; `None` when there is none of this name.
pub(crate) fn play(name: &str, arguments: &[String]) -> Option<()> {
    let (_, part) = PARTS.iter().find(|(known, _)| *known == name)?;
    part(arguments);
    Some(())
}

/// This program again, in a part.
pub(crate) fn part(name: &str) -> Command {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["--child", name]);
    command
}

/// One of the project's programs, which `cargo build --release --bins` puts beside this one.
pub(crate) fn program(name: &str) -> Command {
    let beside = std::env::current_exe().expect("this program has a path");
    let program = beside.with_file_name(name);
    assert!(program.exists(), "{} is missing: cargo build --release --bins", program.display());
    Command::new(program)
}

/// A child that is killed, as by `kill -9`, when it is let go.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the child starts"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Running {
    /// As by `kill -9`; the process is gone when this returns.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Memory of a process now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) bytes: u64,
    /// Resident at most, since its start.
    pub(crate) peak_bytes: u64,
}

impl Memory {
    /// Of a process that runs.
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let status = std::fs::read_to_string(PathBuf::from(format!("/proc/{process}/status")))?;
        Self::parse(&status).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kilobytes * 1_024)
        };
        Some(Self { bytes: field("VmRSS:")?, peak_bytes: field("VmHWM:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let memory = Memory::parse("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n").unwrap();
        assert_eq!(memory, Memory { bytes: 1 << 20, peak_bytes: 2 << 20 });
        assert_eq!(Memory::parse("Name:\tx\nState:\tZ (zombie)\n"), None);
    }
}
