//! One client as the server sees it: first an [`Arrival`], then, once it has its Hello, a [`ServerConnection`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::admission::ConnectionId;
use super::codes::{CloseCode, CloseReason, RefuseCode};
use super::error::{TransportError, close_reason};
use super::exchange::{Exchange, Running};
use super::frames::FrameWriter;
use super::key::PeerKey;
use super::server::Shared;

/// A client whose handshake is done and who has not got its Hello. Dropping it closes the connection.
#[derive(Debug)]
pub struct Arrival {
    link: Arc<Link>,
}

impl Arrival {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Sends the Hello; from now on the client counts itself as connected.
    ///
    /// # Errors
    /// `FrameTooLarge`, `SlowPeer`, `Closed`.
    pub async fn welcome(self, hello: &[u8]) -> Result<ServerConnection, TransportError> {
        let connection = ServerConnection { link: self.link };
        connection.push(hello).await?;
        Ok(connection)
    }

    /// Closes the connection instead; the client's `connect` fails with `Refused` and this code.
    pub fn refuse(self, code: CloseCode) {
        self.link.close(code);
    }

    /// The key that the client has proven to hold. Whether it may do anything is yet to be looked up.
    #[must_use]
    pub fn peer_key(&self) -> PeerKey {
        self.link.key
    }

    /// Number of the connection, for the log.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.link.id
    }

    /// Where the client is now.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.link.remote_address()
    }
}

/// A connected client. Cheap to clone; the connection closes when the last clone and its last exchange are gone,
/// and leaves the server's books with its last clone.
#[derive(Debug, Clone)]
pub struct ServerConnection {
    link: Arc<Link>,
}

impl ServerConnection {
    /// The next exchange that the client begins. Exchanges over the rate of the client's key, or begun during a
    /// shutdown, are refused on the way. Cancel-safe.
    ///
    /// # Errors
    /// `Closed` when the connection has ended.
    pub async fn accept_exchange(&self) -> Result<Exchange, TransportError> {
        let shared = &self.link.shared;
        loop {
            let streams = match self.link.connection.accept_bi().await {
                Ok(streams) => streams,
                Err(error) => {
                    shared.leave(self.link.id);
                    return Err(TransportError::from_connection(error));
                }
            };
            let mut books = shared.books();
            let refused = if books.admission.is_stopping() {
                Some(RefuseCode::Stopping)
            } else {
                (!books.admission.begin_exchange(self.link.key, Instant::now())).then_some(RefuseCode::Busy)
            };
            // Counted under the lock: a shutdown sees either the exchange or a refusal.
            let running = refused.is_none().then(|| Running::begin(&shared.exchanges));
            drop(books);
            let exchange = Exchange::new(streams, shared.limits.send_within, running);
            match refused {
                None => return Ok(exchange),
                Some(code) => exchange.refuse(code),
            }
        }
    }

    /// Sends news on a stream of its own. Returns when the bytes are with QUIC, not with the client; waits while
    /// the client has too many unread, for the send time of the limits at most. A dropped push is taken back.
    ///
    /// # Errors
    /// `FrameTooLarge`, `SlowPeer`, `Closed`.
    pub async fn push(&self, payload: &[u8]) -> Result<(), TransportError> {
        let within = self.link.shared.limits.send_within;
        let stream = timeout(within, self.link.connection.open_uni())
            .await
            .map_err(|_| TransportError::SlowPeer { within })?
            .map_err(TransportError::from_connection)?;
        let mut writer = FrameWriter::new(stream);
        writer.send(payload, within).await?;
        writer.finish()
    }

    /// Closes the connection at once and tells the client why; what is on its way is lost.
    pub fn close(&self, code: CloseCode) {
        self.link.close(code);
    }

    /// Waits for the end of the connection. Cancel-safe.
    pub async fn closed(&self) -> CloseReason {
        close_reason(&self.link.connection.closed().await)
    }

    /// The key that the client has proven to hold; the same for the whole connection.
    #[must_use]
    pub fn peer_key(&self) -> PeerKey {
        self.link.key
    }

    /// Number of the connection, for the log.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.link.id
    }

    /// Where the client is now; phones change it.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.link.remote_address()
    }

    /// The time a packet takes there and back, as estimated now.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.link.connection.rtt()
    }
}

/// What all handles of one connection share.
#[derive(Debug)]
pub(super) struct Link {
    connection: quinn::Connection,
    id: ConnectionId,
    key: PeerKey,
    shared: Arc<Shared>,
}

impl Link {
    pub(super) fn new(
        connection: quinn::Connection,
        id: ConnectionId,
        key: PeerKey,
        shared: Arc<Shared>,
    ) -> Self {
        Self { connection, id, key, shared }
    }

    pub(super) fn close(&self, code: CloseCode) {
        self.connection.close(code.wire_code().into(), &code.wire_reason());
    }

    fn remote_address(&self) -> SocketAddr {
        let address = self.connection.remote_address();
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.leave(self.id);
    }
}
