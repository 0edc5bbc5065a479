//! A lock that is a file: one process at a time holds it. The system takes it back when the process ends, however it ends,
//! so that nobody has to remove a file that a crash left behind. The file itself stays, and says nothing.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::files::FileAccess;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Makes the file at `path` when it is not there, and takes its lock; `None` when somebody else holds it for all of
    /// `wait_max`.
    pub fn take(path: &Path, wait_max: Duration) -> io::Result<Option<Self>> {
        let mut options = FileAccess::OwnerOnly.options();
        options.read(true).write(true).create(true);
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
        let file = match options.open(path) {
            Ok(file) => file,
            #[cfg(windows)]
            Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(await_lock(&file, wait_max)?.then_some(Self { _file: file }))
    }
}

/// Takes the system's advisory lock of an open file, which is dropped with the file; false when somebody else has it for
/// all of `wait_max`.
///
/// Waits, because a lock outlives its owner for a moment: a process that another thread forks holds a copy until it
/// executes its program, and engines close their files on threads of their own.
pub(crate) fn await_lock(file: &File, wait_max: Duration) -> io::Result<bool> {
    let start = Instant::now();
    while !try_lock(file)? {
        if start.elapsed() > wait_max {
            return Ok(false);
        }
        thread::sleep(LOCK_PAUSE);
    }
    Ok(true)
}

fn try_lock(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use rustix::fs::{FlockOperation, flock};
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(unix))]
    {
        // The file was opened without sharing, which is the lock there.
        let _ = file;
        Ok(true)
    }
}

const LOCK_PAUSE: Duration = Duration::from_millis(2);
#[cfg(windows)]
const ERROR_SHARING_VIOLATION: i32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time_and_a_file_that_lies_there_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, b"").unwrap();
        let held = FileLock::take(&path, Duration::ZERO).unwrap();
        assert!(held.is_some());
        assert!(FileLock::take(&path, Duration::from_millis(5)).unwrap().is_none());
        drop(held);
        assert!(FileLock::take(&path, Duration::ZERO).unwrap().is_some());
    }
}
