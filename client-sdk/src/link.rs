//! A connection to the server in the words of the sync protocol: requests out, replies in, each frame bounded.

use std::net::SocketAddr;
use std::time::Duration;

use bhyt_core::codec;
use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_core::sync::messages::{Hello, Reply, Request};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, TrustBundle};
use bhyt_platform::quic::{
    Client, ClientConnection, ClientSettings, CloseCode, CloseReason, Exchange, News, Opened, PeerKey,
    TransportError, TransportKey,
};
use tokio::sync::OnceCell;

use crate::error::SdkError;

/// Dials the server from one socket, opened at the first use.
#[derive(Debug)]
pub(crate) struct Dialer {
    client: OnceCell<Client>,
    settings: ClientSettings,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: ClientConnection,
    pub(crate) news: News,
    pub(crate) hello: Hello,
}

impl Dialer {
    pub(crate) fn new(settings: ClientSettings) -> Self {
        Self { client: OnceCell::new(), settings }
    }

    /// Connects to `server` (host and port) as the holder of `key`. The server must hold a transport key of `trust`; that
    /// it has proven. What it thinks of `key` shows in [`welcomed`].
    pub(crate) async fn dial(
        &self,
        server: &str,
        trust: &TrustBundle,
        key: &TransportKey,
    ) -> Result<Opened, SdkError> {
        let client = self.client.get_or_try_init(|| async { Client::bind(None) }).await?;
        let address = resolve(server).await?;
        let mut last = SdkError::untrusted(NoServerKey);
        // While a server changes its key the bundle names the old one and the new one.
        for trusted in trust.keys_for(KeyUse::Transport) {
            let pin = PeerKey::new(*trusted.key.as_bytes());
            match client.open(address, pin, key, &self.settings).await {
                Ok(opened) => return Ok(opened),
                Err(error @ TransportError::WrongServerKey) => last = error.into(),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last)
    }

    /// Moves to a fresh socket, after a change of network. Connections stay open.
    pub(crate) fn rebind(&self) -> Result<(), SdkError> {
        match self.client.get() {
            Some(client) => Ok(client.rebind()?),
            None => Ok(()),
        }
    }

    /// Closes all connections and tells the server.
    pub(crate) async fn shutdown(&self) {
        if let Some(client) = self.client.get() {
            client.shutdown(GOODBYE_WITHIN).await;
        }
    }
}

/// Waits for the server's first words; a connection that it does not welcome is closed.
pub(crate) async fn welcomed(opened: Opened) -> Result<Link, SdkError> {
    let connection = opened.connection().clone();
    let welcomed = async {
        let connected = opened.welcomed().await?;
        let hello = codec::decode(&connected.hello)?;
        Ok(Link { connection: connected.connection, news: connected.news, hello })
    };
    welcomed.await.inspect_err(|_| close(&connection))
}

/// One request and its replies.
#[derive(Debug)]
pub(crate) struct Conversation {
    exchange: Exchange,
}

impl Conversation {
    /// Sends the request; nothing more is said on our side.
    pub(crate) async fn begin(connection: &ClientConnection, request: &Request) -> Result<Self, SdkError> {
        let mut exchange = connection.open_exchange().await?;
        let frame = codec::encode(request).map_err(SdkError::system)?;
        exchange.send(&frame).await?;
        exchange.finish()?;
        Ok(Self { exchange })
    }

    /// The next reply. The server says itself when it is done, so an end before that is a broken answer.
    pub(crate) async fn next(&mut self) -> Result<Reply, SdkError> {
        match self.exchange.receive(FRAME_BYTES_MAX, REPLY_WITHIN).await? {
            Some(frame) => Ok(codec::decode(&frame)?),
            None => Err(SdkError::offline(TransportError::FrameCutShort)),
        }
    }
}

/// The next reply that nobody asked for; waits as long as it takes.
pub(crate) async fn next_news(news: &mut News) -> Result<Reply, SdkError> {
    Ok(codec::decode(&news.next(FRAME_BYTES_MAX).await?)?)
}

/// How far the server's clock is ahead of `now`, in seconds.
pub(crate) fn ahead_seconds(hello: &Hello, now: UnixSeconds) -> i64 {
    let ahead = i128::from(hello.time.0) - i128::from(now.0);
    i64::try_from(ahead).unwrap_or(if ahead > 0 { i64::MAX } else { i64::MIN })
}

/// How a connection ended: as an error to act on.
pub(crate) async fn ended(connection: &ClientConnection) -> SdkError {
    let reason = connection.closed().await;
    match reason {
        CloseReason::Peer(code) => TransportError::Refused { code }.into(),
        other => SdkError::offline(ConnectionEnded(other)),
    }
}

/// Says goodbye on one connection.
pub(crate) fn close(connection: &ClientConnection) {
    connection.close(CloseCode::Done);
}

async fn resolve(server: &str) -> Result<SocketAddr, SdkError> {
    let mut found = tokio::net::lookup_host(server).await.map_err(SdkError::offline)?;
    found.next().ok_or_else(|| SdkError::offline(NoAddress))
}

/// The connection is over.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the connection ended: {0}")]
struct ConnectionEnded(CloseReason);

/// The bundle names no server key.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the trust bundle names no key of a server")]
struct NoServerKey;

/// The name of the server leads nowhere.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server's name has no address")]
struct NoAddress;

/// Time for one reply frame: 256 kB at 100 kbit/s.
const REPLY_WITHIN: Duration = Duration::from_secs(30);
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);
