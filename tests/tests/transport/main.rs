//! The transport through its public face, on loopback: connecting, exchanges, news, limits, and every way in which
//! a connection ends. Peers that only a broken program could be are tested beside the transport's code.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step is a failed test")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_platform::quic::{
    Arrival, Client, ClientConnection, ClientSettings, CloseCode, CloseReason, Connected, Families, Listener,
    Opened, PeerKey, RefuseCode, ServerConfig, ServerConnection, ServerLimits, TransportError, TransportKey,
};
use tokio::time::timeout;

mod endings;
mod exchanges;
mod floods;
mod limits;

const SECOND: Duration = Duration::from_secs(1);

/// No step of a test takes longer unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener and a client on loopback.
struct World {
    listener: Listener,
    client: Client,
    server_key: PeerKey,
}

impl World {
    fn new() -> Self {
        Self::with_limits(ServerLimits::default())
    }

    fn with_limits(limits: ServerLimits) -> Self {
        let key = server_key();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = ServerConfig { listen, families: Families::OfAddress, key, limits };
        Self {
            listener: Listener::bind(&config).unwrap(),
            client: Client::bind(Some(Ipv4Addr::LOCALHOST.into())).unwrap(),
            server_key: server_key().public_key(),
        }
    }

    async fn dial(&self, phone: u8) -> Result<Connected, TransportError> {
        self.dial_by(&self.client, phone).await
    }

    async fn dial_by(&self, client: &Client, phone: u8) -> Result<Connected, TransportError> {
        let address = self.listener.local_address();
        client.connect(address, self.server_key, &key(phone), &ClientSettings::phone()).await
    }

    /// A connection without its Hello.
    async fn open(&self, phone: u8) -> Opened {
        let address = self.listener.local_address();
        let opened = self.client.open(address, self.server_key, &key(phone), &ClientSettings::phone()).await;
        opened.unwrap()
    }

    async fn arrival(&self) -> Arrival {
        timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap()
    }

    /// Both ends of a new connection.
    async fn pair(&self, phone: u8) -> (Connected, ServerConnection) {
        let (connected, welcomed) =
            tokio::join!(self.dial(phone), async { self.arrival().await.welcome(b"hello").await });
        (connected.unwrap(), welcomed.unwrap())
    }
}

fn key(number: u8) -> TransportKey {
    TransportKey::from_seed(&[number; 32])
}

fn server_key() -> TransportKey {
    key(200)
}

/// Sends `payload` in one exchange and checks that it comes back.
async fn check_echo(client: &ClientConnection, server: &ServerConnection, payload: &[u8]) {
    let ask = async {
        let mut exchange = client.open_exchange().await?;
        exchange.send(payload).await?;
        exchange.finish()?;
        let answer = exchange.receive(FRAME_BYTES_MAX, PATIENCE).await?;
        assert_eq!(exchange.receive(FRAME_BYTES_MAX, PATIENCE).await?, None);
        Ok::<_, TransportError>(answer)
    };
    let answer = async {
        let mut exchange = server.accept_exchange().await?;
        let question = exchange.receive(FRAME_BYTES_MAX, PATIENCE).await?.unwrap_or_default();
        exchange.send(&question).await?;
        exchange.finish()
    };
    let (asked, answered) = tokio::join!(ask, answer);
    answered.unwrap();
    assert!(asked.unwrap().is_some_and(|answer| answer == payload));
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, TransportError>, expected: RefuseCode) {
    match outcome {
        Err(TransportError::ExchangeRefused { code }) => assert_eq!(code, expected),
        other => panic!("{other:?}"),
    }
}
