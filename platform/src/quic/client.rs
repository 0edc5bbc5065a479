//! The client's end: one UDP socket for all connections, over all changes of network. A connection counts as
//! made only when the server's Hello has arrived, because in TLS 1.3 a refusal shows only on the first read. Whoever
//! knows what to ask may ask before that: the server's key is proven by then, and a round trip is saved.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bhyt_core::limits::HELLO_BYTES_MAX;
use tokio::time::{Instant, timeout, timeout_at};

use super::codes::{CloseCode, CloseReason};
use super::error::{TransportError, close_reason};
use super::exchange::Exchange;
use super::frames::FrameReader;
use super::key::{PeerKey, TransportKey};
use super::settings::{ClientSettings, client_transport};
use super::{socket, tls};

/// Dials servers from one UDP socket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: quinn::Endpoint,
    local: Option<IpAddr>,
}

/// A connection whose handshake is done: the server has proven its key, and has not said yet whether it takes ours.
#[derive(Debug)]
pub struct Opened {
    connection: ClientConnection,
    until: Instant,
    within: Duration,
}

/// What a successful [`Client::connect`] gives.
#[derive(Debug)]
pub struct Connected {
    /// For exchanges.
    pub connection: ClientConnection,
    /// For what the server sends unasked.
    pub news: News,
    /// The server's Hello.
    pub hello: Vec<u8>,
}

impl Client {
    /// Opens a socket at `local`, or at any address when that is `None`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `Bind`.
    pub fn bind(local: Option<IpAddr>) -> Result<Self, TransportError> {
        let udp = socket::dial_from(local)?;
        let address = SocketAddr::new(local.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)), 0);
        let endpoint =
            socket::client_endpoint(udp).map_err(|source| TransportError::Bind { address, source })?;
        Ok(Self { endpoint, local })
    }

    /// Connects to the server at `server`, which must hold `server_key`, as the holder of `key`, and waits for
    /// its Hello.
    ///
    /// # Errors
    /// `WrongServerKey` and `NoCommonProtocol` will not go away by trying again; `Refused` says by its code what
    /// to do; `TimedOut`, `Handshake` and `Closed` are worth another try later. `Unreachable` for an address that
    /// was good before means that the system took the socket away (as it does from sleeping apps): bind a new client.
    pub async fn connect(
        &self,
        server: SocketAddr,
        server_key: PeerKey,
        key: &TransportKey,
        settings: &ClientSettings,
    ) -> Result<Connected, TransportError> {
        self.open(server, server_key, key, settings).await?.welcomed().await
    }

    /// The first half of [`Self::connect`], for who has a request at hand: it can be sent on
    /// [`Opened::connection`] while the Hello is under way.
    ///
    /// # Errors
    /// Those of [`Self::connect`]. A refusal shows in [`Opened::welcomed`].
    pub async fn open(
        &self,
        server: SocketAddr,
        server_key: PeerKey,
        key: &TransportKey,
        settings: &ClientSettings,
    ) -> Result<Opened, TransportError> {
        let within = settings.connect_within;
        let until = Instant::now() + within;
        let opened = timeout_at(until, self.shake_hands(server, server_key, key, settings)).await;
        let connection = opened.unwrap_or(Err(TransportError::TimedOut { within }))?;
        let connection = ClientConnection { connection, frame_within: settings.frame_within };
        Ok(Opened { connection, until, within })
    }

    /// Moves all connections to a fresh socket, for when the network has changed. They stay open.
    ///
    /// # Errors
    /// `Bind`; the old socket stays in use then.
    pub fn rebind(&self) -> Result<(), TransportError> {
        let udp = socket::dial_from(self.local)?;
        let address = udp.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
        self.endpoint.rebind(udp).map_err(|source| TransportError::Bind { address, source })
    }

    /// Closes all connections and waits until the servers have been told, for `within` at most.
    pub async fn shutdown(&self, within: Duration) {
        self.endpoint.close(CloseCode::Done.wire_code().into(), &[]);
        let _ = timeout(within, self.endpoint.wait_idle()).await;
    }

    async fn shake_hands(
        &self,
        server: SocketAddr,
        server_key: PeerKey,
        key: &TransportKey,
        settings: &ClientSettings,
    ) -> Result<quinn::Connection, TransportError> {
        let (crypto, mismatch) = tls::client_crypto(key, server_key)
            .map_err(|error| TransportError::Handshake { source: error.into() })?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(client_transport(settings)));
        let connecting = self
            .endpoint
            .connect_with(config, server, tls::SERVER_NAME)
            .map_err(|error| TransportError::Unreachable { server, source: error.into() })?;
        connecting.await.map_err(|error| {
            if mismatch.load(Ordering::Acquire) {
                TransportError::WrongServerKey
            } else {
                handshake_error(error)
            }
        })
    }
}

impl Opened {
    /// For exchanges. One that is begun now may find that the server does not take our key; [`Self::welcomed`] says why.
    #[must_use]
    pub fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    /// Waits for the server's Hello, for what is left of the time of the settings.
    ///
    /// # Errors
    /// `Refused`, `TimedOut`, `Closed`, and those of a frame.
    pub async fn welcomed(self) -> Result<Connected, TransportError> {
        let Self { connection: ours, until, within } = self;
        let connection = ours.connection.clone();
        let hello = async {
            let stream = connection.accept_uni().await.map_err(handshake_error)?;
            let mut reader = FrameReader::new(stream);
            match reader.next(HELLO_BYTES_MAX, within).await {
                Ok(Some(hello)) => Ok((reader, hello)),
                Ok(None) => Err(TransportError::FrameCutShort),
                Err(TransportError::Closed { reason: CloseReason::Peer(code), .. }) => {
                    Err(TransportError::Refused { code })
                }
                Err(error) => Err(error),
            }
        };
        let welcomed = timeout_at(until, hello).await;
        let (reader, hello) = welcomed.unwrap_or(Err(TransportError::TimedOut { within }))?;
        let news = News { connection, current: Some(reader), frame_within: ours.frame_within };
        Ok(Connected { connection: ours, news, hello })
    }
}

/// An open connection to the server. Cheap to clone; the connection closes when all clones, the [`News`] and all
/// exchanges are gone.
#[derive(Debug, Clone)]
pub struct ClientConnection {
    connection: quinn::Connection,
    frame_within: Duration,
}

impl ClientConnection {
    /// Begins an exchange. Waits while the server has as many as it takes of this client, for the frame time of
    /// the settings at most. The server learns of it with the first frame. Cancel-safe.
    ///
    /// # Errors
    /// `SlowPeer`, `Closed`.
    pub async fn open_exchange(&self) -> Result<Exchange, TransportError> {
        let within = self.frame_within;
        let streams = timeout(within, self.connection.open_bi())
            .await
            .map_err(|_| TransportError::SlowPeer { within })?
            .map_err(TransportError::from_connection)?;
        Ok(Exchange::new(streams, within, None))
    }

    /// Closes the connection at once; what is on its way is lost.
    pub fn close(&self, code: CloseCode) {
        self.connection.close(code.wire_code().into(), &code.wire_reason());
    }

    /// Waits for the end of the connection. Cancel-safe.
    pub async fn closed(&self) -> CloseReason {
        close_reason(&self.connection.closed().await)
    }

    /// Where the server is.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        let address = self.connection.remote_address();
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }

    /// The time a packet takes there and back, as estimated now.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.connection.rtt()
    }
}

/// What the server sends unasked, in the order in which it was begun.
#[derive(Debug)]
pub struct News {
    connection: quinn::Connection,
    current: Option<FrameReader>,
    frame_within: Duration,
}

impl News {
    /// Waits for the next news of at most `limit` bytes. Cancel-safe. A bad or slow one is given up and reported;
    /// the next call goes on with the one after it.
    ///
    /// # Errors
    /// `Closed` ends the news; `FrameTooLarge`, `SlowPeer`, `FrameCutShort` and `ExchangeRefused` concern one.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<u8>, TransportError> {
        loop {
            let reader = match &mut self.current {
                Some(reader) => reader,
                empty @ None => {
                    let stream =
                        self.connection.accept_uni().await.map_err(TransportError::from_connection)?;
                    empty.insert(FrameReader::new(stream))
                }
            };
            match reader.next(limit, self.frame_within).await {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => self.current = None,
                Err(error) => {
                    self.current = None;
                    return Err(error);
                }
            }
        }
    }
}

/// Before the Hello a close is a refusal.
pub(super) fn handshake_error(error: quinn::ConnectionError) -> TransportError {
    // RFC 7301 §3.2: alert 120, no_application_protocol.
    let no_protocol = quinn::TransportErrorCode::crypto(120);
    match (&error, close_reason(&error)) {
        (quinn::ConnectionError::ConnectionClosed(close), _) if close.error_code == no_protocol => {
            TransportError::NoCommonProtocol
        }
        (_, CloseReason::Peer(code)) => TransportError::Refused { code },
        (_, CloseReason::Protocol) => TransportError::Handshake { source: error.into() },
        _ => TransportError::from_connection(error),
    }
}
