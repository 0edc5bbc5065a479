//! A copy of a whole store while it is written to: a walk over all pairs, and between its steps everything that commits
//! have changed meanwhile. Whoever applies the writes in the order in which they come has, at the end, the store as it
//! was at that moment.
//!
//! Promises: commits wait for no reader. Refuses: a second copy beside the first, and to keep more than
//! [`COPY_WAITING_BYTES_MAX`] for a reader that falls behind; its copy then fails.
//!
//! Why the order is enough: a commit is seen by reads and enters the recording in one step. One that a step of the walk
//! did not see comes after that step, and one that it did see may come again, which changes nothing.

use std::collections::VecDeque;
use std::fmt;

use bhyt_core::limits::COPY_WAITING_BYTES_MAX;

use super::StoreFault;

/// A key of the embedded store's layout with its new value, or none where it was removed.
pub type CopiedWrite = (Vec<u8>, Option<Vec<u8>>);

/// A copy under way. Dropped, it ends.
pub struct StoreCopy(Box<dyn CopySource>);

/// Where a copy comes from. May wait for the disk.
pub(super) trait CopySource: Send + 'static {
    /// The next writes; none at the end, when all that came before is the store as it is.
    fn next(&mut self) -> Result<Option<Vec<CopiedWrite>>, StoreFault>;
}

impl StoreCopy {
    pub(super) fn new(source: impl CopySource) -> Self {
        Self(Box::new(source))
    }

    /// The next writes, in order; `None` when the copy is complete. After an error it is worth nothing.
    ///
    /// # Errors
    /// [`StoreFault`]; [`StoreFault::CopyFellBehind`] when too much was committed since the last call.
    pub async fn next(mut self) -> Result<Option<(Vec<CopiedWrite>, Self)>, StoreFault> {
        let step = tokio::task::spawn_blocking(move || {
            let writes = self.0.next()?;
            Ok(writes.map(|writes| (writes, self)))
        });
        // The runtime is going down and runs no more tasks.
        step.await.unwrap_or(Err(StoreFault::Closed))
    }
}

impl fmt::Debug for StoreCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreCopy(…)")
    }
}

/// What commits have changed since a copy began and it has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Recording {
    commits: VecDeque<Vec<CopiedWrite>>,
    bytes: usize,
    failed: Option<StoreFault>,
}

impl Recording {
    /// Takes note of what a commit left; or that this could not be read.
    pub(super) fn push(&mut self, commit: Result<Vec<CopiedWrite>, StoreFault>) {
        if self.failed.is_some() {
            return;
        }
        match commit {
            Ok(commit) => {
                self.bytes += bytes_of(&commit);
                self.commits.push_back(commit);
                if self.bytes > COPY_WAITING_BYTES_MAX {
                    self.fail(StoreFault::CopyFellBehind { limit: COPY_WAITING_BYTES_MAX });
                }
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// The oldest commit not taken yet.
    pub(super) fn pop(&mut self) -> Result<Option<Vec<CopiedWrite>>, StoreFault> {
        if let Some(fault) = &self.failed {
            return Err(fault.clone());
        }
        let commit = self.commits.pop_front();
        self.bytes -= commit.as_deref().map_or(0, bytes_of);
        Ok(commit)
    }

    /// Nothing more is kept for a copy that has failed.
    fn fail(&mut self, fault: StoreFault) {
        *self = Self { failed: Some(fault), ..Self::default() };
    }
}

fn bytes_of(commit: &[CopiedWrite]) -> usize {
    let writes = commit.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
    writes.sum::<usize>() + commit.len() * WRITE_BYTES
}

/// What a write takes in memory besides its bytes.
const WRITE_BYTES: usize = 64;
