//! The server's end: a listener that admits clients, and the table of their connections.
//!
//! A client goes through three gates: [`Admission`] by address before the handshake, the proof of its key in the
//! handshake, and the application, which sees the [`Arrival`] with its key and says welcome or no. An idle
//! connection costs what QUIC needs and an entry in the table; no task, no buffer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bhyt_core::limits::ARRIVALS_WAITING_MAX;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::admission::{AddressProof, Admission, ConnectionId, TransportCounts, Verdict};
use super::codes::CloseCode;
use super::connection::{Arrival, Link};
use super::error::TransportError;
use super::key::PeerKey;
use super::settings::{ServerConfig, ServerLimits};
use super::{socket, tls};

/// Listens for clients. Dropping it closes every connection with a goodbye; [`Listener::shutdown`] does so gently.
#[derive(Debug)]
pub struct Listener {
    endpoint: quinn::Endpoint,
    local: SocketAddr,
    shared: Arc<Shared>,
    arrivals: tokio::sync::Mutex<mpsc::Receiver<Arrival>>,
    acceptor: JoinHandle<()>,
}

impl Listener {
    /// Binds the address and begins to answer. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `Bind` when there is no socket at the address, or `Handshake` when the key does not suit TLS.
    pub fn bind(config: &ServerConfig) -> Result<Self, TransportError> {
        let bind_error = |source| TransportError::Bind { address: config.listen, source };
        let udp = socket::listen(config.listen, config.families).map_err(bind_error)?;
        let endpoint = socket::server_endpoint(udp, config)?;
        let local = endpoint.local_addr().map_err(bind_error)?;
        let shared = Arc::new(Shared::new(config.limits));
        let (waiting, arrivals) = mpsc::channel(ARRIVALS_WAITING_MAX);
        let acceptor = tokio::spawn(greet_all(endpoint.clone(), Arc::clone(&shared), waiting));
        Ok(Self { endpoint, local, shared, arrivals: tokio::sync::Mutex::new(arrivals), acceptor })
    }

    /// Where the listener is bound, with the port that was taken.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The next client whose handshake is done; it waits for its Hello. `None` after a shutdown. Cancel-safe. Give
    /// each arrival a task of its own: a welcome may wait for a slow client, and while arrivals wait here new
    /// clients are refused.
    pub async fn accept(&self) -> Option<Arrival> {
        self.arrivals.lock().await.recv().await
    }

    /// Closes every connection of `key`, say because it was retired. Gives their number.
    pub fn close_key(&self, key: &PeerKey, code: CloseCode) -> usize {
        let links: Vec<Arc<Link>> = {
            let books = self.shared.books();
            let ids = books.admission.connections_of(key).iter();
            ids.filter_map(|id| books.links.get(id)?.upgrade()).collect()
        };
        links.iter().for_each(|link| link.close(code));
        links.len()
    }

    /// What was seen since the start.
    #[must_use]
    pub fn counts(&self) -> TransportCounts {
        self.shared.books().admission.counts()
    }

    /// Refuses new clients and new exchanges, waits for the running exchanges, says `goodbye` to all and waits
    /// until the goodbyes are out. Takes twice `grace` at most. Answers that must arrive are to be awaited with
    /// [`Exchange::delivered`](super::Exchange::delivered).
    pub async fn shutdown(&self, goodbye: CloseCode, grace: Duration) {
        self.shared.books().admission.stop();
        let mut running = self.shared.exchanges.subscribe();
        // Out of time, or nobody there to count: either way the goodbye is due.
        let _ = timeout(grace, running.wait_for(|running| *running == 0)).await;
        self.endpoint.close(goodbye.wire_code().into(), &goodbye.wire_reason());
        let _ = timeout(grace, self.endpoint.wait_idle()).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.acceptor.abort();
        let goodbye = CloseCode::Goodbye { retry_after: Duration::ZERO };
        self.endpoint.close(goodbye.wire_code().into(), &goodbye.wire_reason());
    }
}

/// What the listener and its connections share.
#[derive(Debug)]
pub(super) struct Shared {
    books: Mutex<Books>,
    pub(super) exchanges: watch::Sender<usize>,
    pub(super) limits: ServerLimits,
}

#[derive(Debug)]
pub(super) struct Books {
    pub(super) admission: Admission,
    links: HashMap<ConnectionId, Weak<Link>>,
    id_next: u64,
}

impl Shared {
    fn new(limits: ServerLimits) -> Self {
        let books = Books { admission: Admission::new(limits), links: HashMap::new(), id_next: 1 };
        Self { books: Mutex::new(books), exchanges: watch::Sender::new(0), limits }
    }

    /// Never held across an await. A panic elsewhere leaves the counts usable.
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a connection. Twice is once.
    pub(super) fn leave(&self, id: ConnectionId) {
        let mut books = self.books();
        books.admission.leave(id);
        books.links.remove(&id);
    }

    fn join(self: &Arc<Self>, connection: quinn::Connection, key: PeerKey, address: IpAddr) -> Arc<Link> {
        let mut books = self.books();
        let id = ConnectionId(books.id_next);
        books.id_next += 1;
        let replaced = books.admission.join(id, key, address);
        let oldest = replaced.and_then(|oldest| books.links.get(&oldest)?.upgrade());
        let link = Arc::new(Link::new(connection, id, key, Arc::clone(self)));
        books.links.insert(id, Arc::downgrade(&link));
        drop(books);
        if let Some(oldest) = oldest {
            oldest.close(CloseCode::Replaced);
        }
        link
    }
}

/// A handshake that counts until it is dropped.
struct Handshake {
    shared: Arc<Shared>,
    address: IpAddr,
    joined: bool,
}

impl Handshake {
    fn join(mut self, connection: quinn::Connection, key: PeerKey) -> Arc<Link> {
        self.joined = true;
        self.shared.join(connection, key, self.address)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        if !self.joined {
            self.shared.books().admission.fail(self.address);
        }
    }
}

async fn greet_all(endpoint: quinn::Endpoint, shared: Arc<Shared>, waiting: mpsc::Sender<Arrival>) {
    while let Some(incoming) = endpoint.accept().await {
        let address = incoming.remote_address().ip();
        let proof = match incoming.remote_address_validated() {
            true => AddressProof::Proven,
            false => AddressProof::Claimed,
        };
        let verdict = shared.books().admission.arrive(address, proof, Instant::now());
        match verdict {
            Verdict::Admit => {
                let handshake = Handshake { shared: Arc::clone(&shared), address, joined: false };
                tokio::spawn(shake_hands(incoming, handshake, waiting.clone()));
            }
            Verdict::Validate => {
                if let Err(proven_already) = incoming.retry() {
                    proven_already.into_incoming().refuse();
                }
            }
            Verdict::Refuse => incoming.refuse(),
            Verdict::Ignore => incoming.ignore(),
        }
    }
}

/// Ends with the connection in the table, or with nothing. The place in the queue is taken before the handshake
/// stops counting, so that a slow application is felt at the door.
async fn shake_hands(incoming: quinn::Incoming, handshake: Handshake, waiting: mpsc::Sender<Arrival>) {
    let Ok(connecting) = incoming.accept() else {
        return;
    };
    let connection = match timeout(handshake.shared.limits.handshake_within, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%error, "handshake failed"),
        Err(_) => return tracing::debug!("handshake timed out"),
    };
    let Some(key) = tls::peer_key(&connection) else {
        return connection.close(CloseCode::BadFrame.wire_code().into(), &[]);
    };
    let Ok(place) = waiting.reserve().await else {
        return;
    };
    place.send(Arrival::new(handshake.join(connection, key)));
}
