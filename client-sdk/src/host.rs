//! The runtime that the SDK owns. Applications await our futures on whatever executor they have, or on none: the work
//! runs here, and only the answer crosses.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::SdkError;

/// Two threads of our own: one may wait for the disk while the other serves the connection.
#[derive(Debug)]
pub(crate) struct Host {
    /// `None` only while dropping.
    runtime: Option<Runtime>,
}

impl Host {
    pub(crate) fn start() -> Result<Self, SdkError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("bhyt-sdk")
            .enable_all()
            .build()
            .map_err(SdkError::system)?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs `work` here. Dropping the answer gives the work up at its next wait; what was committed stays.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, SdkError>> + Send + 'static,
    ) -> Work<T> {
        Work(self.runtime.as_ref().map(|runtime| runtime.spawn(work)))
    }
}

impl Drop for Host {
    /// Waits for nothing, so that it may happen inside another runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Work under way on the host; given up when dropped.
#[derive(Debug)]
pub(crate) struct Work<T>(Option<JoinHandle<Result<T, SdkError>>>);

impl<T> Work<T> {
    /// Gives the work up without waiting for it; awaiting it says when it has ended.
    pub(crate) fn abort(&self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

impl<T> Future for Work<T> {
    type Output = Result<T, SdkError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(handle) = &mut self.0 else {
            return Poll::Ready(Err(SdkError::system(Stopped)));
        };
        Pin::new(handle).poll(context).map(|ended| match ended {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => Err(SdkError::system(Stopped)),
        })
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Runs something that waits for the disk, from inside a task of the host.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// The work was stopped before it ended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stopped before it ended")]
struct Stopped;
