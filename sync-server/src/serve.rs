//! `bhyt-server serve`: the service behind a socket, and what goes on beside the exchanges: status lists, and the look at
//! the trust bundle on disk. Ends with a goodbye to every client.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bhyt_core::trust::KeyUse;
use bhyt_platform::files::{self, FileAccess, FileError};
use bhyt_platform::quic::{CloseCode, Listener, ServerConfig, TransportError};
use tokio::sync::Semaphore;

use crate::exit::{Exit, Failure, chain};
use crate::host::{Host, Parts};
use crate::serve_connection::{Shared, serve_connection};
use crate::service::{Service, ServiceFault};
use crate::store::{Store, StoreFault};
use crate::trust_keeper::Reload;

/// Serves until `shutdown` completes, then says goodbye and returns. Once clients can come, the bound address stands in
/// the ready file, if one was asked for; it is removed at the end.
///
/// # Errors
/// [`ServeError`] when the server cannot begin to serve, or its store closes after a failed commit: only a restart opens
/// it again, and clients get a goodbye meanwhile.
pub async fn run<S: Store>(parts: Parts<S>, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let Parts { config, service, host, ready_file } = parts;
    let usage = KeyUse::Transport;
    let key = host.transport_key(service.clock.now()).ok_or(ServeError::NoKey { usage })?;
    let service = Arc::new(Service::open(service).await?);
    let listener = Listener::bind(&ServerConfig {
        listen: config.listen,
        families: config.families(),
        key,
        limits: config.limits,
    })?;
    let address = listener.local_address();
    if let Some(path) = &ready_file {
        files::write_atomic(path, format!("{address}\n").as_bytes(), FileAccess::AllMayRead)?;
    }
    tracing::info!(%address, "serving");
    let ending = tokio::select! {
        () = shutdown => Ok(()),
        fault = service.store_closed() => Err(ServeError::StoreClosed(fault)),
        () = accept(&listener, &service) => Ok(()),
        () = keep_status(&service, config.status_publish) => Ok(()),
        () = watch_trust(&service, &host) => Ok(()),
        () = keep_audit(&service) => Ok(()),
        () = keep_erasures(&service) => Ok(()),
    };
    tracing::info!("stopping");
    listener.shutdown(CloseCode::Goodbye { retry_after: RETRY_AFTER }, GRACE).await;
    // A leftover would name a port that nobody listens on; that is all it can do.
    let _ = ready_file.map(std::fs::remove_file);
    ending
}

async fn accept<S: Store>(listener: &Listener, service: &Arc<Service<S>>) {
    let shared = Arc::new(Shared { service: Arc::clone(service), exchanges: Semaphore::new(EXCHANGES_MAX) });
    while let Some(arrival) = listener.accept().await {
        tokio::spawn(serve_connection(arrival, Arc::clone(&shared)));
    }
}

/// Makes status lists: soon after a change, and when the one in force grows old.
async fn keep_status<S: Store>(service: &Service<S>, longest: Duration) {
    loop {
        tokio::select! {
            () = service.publish_wanted() => {
                // More changes often come right after the first.
                let gather = if service.list_is_large() { longest } else { GATHER.min(longest) };
                tokio::time::sleep(gather).await;
            }
            () = tokio::time::sleep(STATUS_LOOK) => {}
        }
        if let Err(fault) = service.publish_due().await {
            tracing::error!(error = chain(&fault), "no status list made");
        }
    }
}

/// Removes lines of the audit trail that have been kept for long enough.
async fn keep_audit<S: Store>(service: &Service<S>) {
    loop {
        if let Err(fault) = service.trim_audit().await {
            tracing::error!(error = chain(&fault), "old audit lines not removed");
        }
        tokio::time::sleep(AUDIT_LOOK).await;
    }
}

/// Carries out the erasures that are due, and those that were cut short.
async fn keep_erasures<S: Store>(service: &Service<S>) {
    loop {
        match service.erase_due().await {
            Ok(0) => {}
            Ok(erased) => tracing::info!(erased, "members erased"),
            Err(fault) => tracing::error!(error = chain(&fault), "erasure not done"),
        }
        tokio::time::sleep(ERASURE_LOOK).await;
    }
}

/// Takes a new trust bundle in force when one is put in place.
async fn watch_trust<S: Store>(service: &Service<S>, host: &Arc<Host>) {
    // One line for each failure, not one for each look.
    let mut failing = false;
    loop {
        tokio::time::sleep(TRUST_LOOK).await;
        let reading = Arc::clone(host);
        let looked = tokio::task::spawn_blocking(move || reading.reload_if_changed()).await;
        let failed_before = std::mem::replace(&mut failing, !matches!(looked, Ok(Ok(_))));
        match looked {
            Ok(Ok(Reload::Newer)) => {
                tracing::info!("new trust bundle in force");
                if let Err(fault) = service.trust_changed().await {
                    tracing::error!(error = chain(&fault), "no status list made");
                }
            }
            Ok(Err(error)) if !failed_before => {
                tracing::error!(error = chain(&error), "trust bundle not taken");
            }
            Ok(Ok(Reload::Unchanged) | Err(_)) | Err(_) => {}
        }
    }
}

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The trust bundle names no key of ours for this use now.
    #[error("the trust bundle names no {usage:?} key that is here and may be used now")]
    NoKey {
        /// The use.
        usage: KeyUse,
    },
    /// The file that says that clients can come.
    #[error("the ready file cannot be written")]
    ReadyFile(#[from] FileError),
    /// The address cannot be listened on.
    #[error("cannot listen")]
    Listen(#[from] TransportError),
    /// The service did not open.
    #[error("the service did not open")]
    Service(#[from] ServiceFault),
    /// A commit failed while the server ran.
    #[error("the store closed after a failed commit")]
    StoreClosed(#[source] StoreFault),
}

impl Failure for ServeError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoKey { .. } => Exit::Data,
            Self::ReadyFile(_) | Self::Listen(_) => Exit::Io,
            Self::Service(ServiceFault::Store(fault)) => fault.exit(),
            Self::Service(_) => Exit::Data,
            Self::StoreClosed(fault) if fault.is_full() => Exit::Io,
            // Not the cause's own code: a start may mend it, and says what is wrong if it does not.
            Self::StoreClosed(_) => Exit::Internal,
        }
    }
}

/// Exchanges under way at a time, all connections together: each may hold a frame or two in memory.
const EXCHANGES_MAX: usize = 1_024;
/// Changes are gathered this long before a small list is made of them.
const GATHER: Duration = Duration::from_millis(500);
const STATUS_LOOK: Duration = Duration::from_secs(30);
const AUDIT_LOOK: Duration = Duration::from_secs(3_600);
const ERASURE_LOOK: Duration = Duration::from_secs(60);
const TRUST_LOOK: Duration = Duration::from_secs(1);
/// A restart takes seconds; clients add randomness of their own.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Running exchanges have this long to end, and goodbyes as long to leave.
const GRACE: Duration = Duration::from_secs(5);
