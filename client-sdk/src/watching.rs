//! The work that stays connected, while there is one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::SdkError;
use crate::host::Work;

/// At most one watch at a time; given up when dropped.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    work: Mutex<Option<Work<()>>>,
}

impl Watching {
    /// Takes the place of the watch before, which is given up.
    pub(crate) fn begin(&self, work: Work<()>) {
        *self.slot() = Some(work);
    }

    /// Gives the watch up, and waits until it has ended.
    pub(crate) async fn stop(&self) {
        let work = self.slot().take();
        if let Some(work) = work {
            work.abort();
            // That it was stopped, or had ended before, is what was wanted.
            let _ = work.await;
        }
    }

    /// Waits for the watch to end by itself.
    pub(crate) async fn ended(&self) -> SdkError {
        let work = self.slot().take();
        match work {
            Some(work) => work.await.err().unwrap_or(SdkError::NotActivated),
            None => SdkError::NotActivated,
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Work<()>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
