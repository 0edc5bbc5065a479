//! Clients and servers that break the rules, made with the bare libraries because ours cannot break them. Each is
//! an attack or a mistake that must be refused with the exact error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use rustls::NamedGroup;
use rustls::client::{
    AlwaysResolvesClientRawPublicKeys, ClientSessionStore, ResolvesClientCert, Resumption,
    Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A listener that welcomes one client and receives one frame from it.
struct Server {
    address: SocketAddr,
    key: TransportKey,
    outcome: tokio::task::JoinHandle<(Alive, Received)>,
}

/// What a test keeps until it has seen the client's side too.
type Alive = (Listener, ServerConnection);
type Received = Result<Option<Vec<u8>>, TransportError>;

fn serve(within: Duration) -> Server {
    let key = TransportKey::from_seed(&[1; 32]);
    let listener = Listener::bind(&config(&key)).unwrap();
    let address = listener.local_address();
    let outcome = tokio::spawn(async move {
        let connection = listener.accept().await.unwrap().welcome(b"hello").await.unwrap();
        let mut exchange = connection.accept_exchange().await.unwrap();
        let received = exchange.receive(1_000, within).await;
        ((listener, connection), received)
    });
    Server { address, key, outcome }
}

fn config(key: &TransportKey) -> ServerConfig {
    ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        families: Families::OfAddress,
        key: key.clone(),
        limits: ServerLimits::default(),
    }
}

/// A client of bare rustls; what it can get wrong is an argument.
fn bare_client(
    pin: PeerKey,
    alpn: &[u8],
    resolver: Option<Arc<dyn ResolvesClientCert>>,
) -> quinn::ClientConfig {
    let crypto = bare_tls(pin, alpn, resolver);
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto).unwrap()))
}

fn bare_tls(
    pin: PeerKey,
    alpn: &[u8],
    resolver: Option<Arc<dyn ResolvesClientCert>>,
) -> rustls::ClientConfig {
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(tls::pinned_key(pin));
    let mut crypto = match resolver {
        Some(resolver) => builder.with_client_cert_resolver(resolver),
        None => builder.with_no_client_auth(),
    };
    crypto.alpn_protocols = vec![alpn.to_vec()];
    crypto
}

/// A key that shows the public half of `shown` and signs with `held`.
fn impostor(shown: &TransportKey, held: &TransportKey) -> Arc<CertifiedKey> {
    Arc::new(CertifiedKey::new(shown.certified.cert.clone(), Arc::clone(&held.certified.key)))
}

/// Connects and reads to the end of the handshake: in TLS 1.3 a refusal shows only on the first read.
async fn refusal(address: SocketAddr, config: quinn::ClientConfig) -> quinn::ConnectionError {
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    match endpoint.connect_with(config, address, "sync.invalid").unwrap().await {
        Ok(connection) => connection.accept_uni().await.unwrap_err(),
        Err(error) => error,
    }
}

#[track_caller]
fn assert_alert(error: &quinn::ConnectionError, alert: u8) {
    match error {
        quinn::ConnectionError::ConnectionClosed(close) => {
            assert_eq!(close.error_code, quinn::TransportErrorCode::crypto(alert), "{error}");
        }
        other => panic!("not refused by the peer: {other:?}"),
    }
}

#[tokio::test]
async fn a_client_that_offers_no_key_is_refused() {
    let server = serve(SECOND);
    let error = refusal(server.address, bare_client(server.key.public_key(), tls::ALPN, None)).await;
    // rustls answers a missing client_certificate_type with 40, handshake_failure.
    assert_alert(&error, 40);
}

#[tokio::test]
async fn a_client_that_shows_another_clients_key_is_refused() {
    let server = serve(SECOND);
    let (victim, thief) = (TransportKey::from_seed(&[2; 32]), TransportKey::from_seed(&[3; 32]));
    let resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(impostor(&victim, &thief)));
    let client = bare_client(server.key.public_key(), tls::ALPN, Some(resolver));
    // RFC 8446 §4.4.3: a signature that does not verify is decrypt_error, 51.
    assert_alert(&refusal(server.address, client).await, 51);
}

#[tokio::test]
async fn a_server_that_shows_the_pinned_key_without_holding_it_is_refused() {
    let (pinned, held) = (TransportKey::from_seed(&[1; 32]), TransportKey::from_seed(&[9; 32]));
    let mut impostor_key = pinned.clone();
    impostor_key.certified = impostor(&pinned, &held);
    let listener = Listener::bind(&config(&impostor_key)).unwrap();
    let client = Client::bind(None).unwrap();
    let phone = TransportKey::from_seed(&[2; 32]);
    let connected =
        client.connect(listener.local_address(), pinned.public_key(), &phone, &ClientSettings::phone()).await;
    assert!(matches!(connected, Err(TransportError::Handshake { .. })), "{connected:?}");
}

#[tokio::test]
async fn another_protocol_is_refused_on_both_sides() {
    let server = serve(SECOND);
    for alpn in [&b"bhyt/0"[..], b"h3", b"bhyt/1 "] {
        let client = bare_client(server.key.public_key(), alpn, Some(phone_key()));
        let error = refusal(server.address, client).await;
        assert_alert(&error, 120);
        assert!(matches!(client::handshake_error(error), TransportError::NoCommonProtocol));
    }
}

fn phone_key() -> Arc<dyn ResolvesClientCert> {
    let phone = TransportKey::from_seed(&[2; 32]);
    Arc::new(AlwaysResolvesClientRawPublicKeys::new(phone.certified))
}

/// Counts what a server gives a client to resume with.
#[derive(Debug, Default)]
struct Tickets(AtomicUsize);

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}

/// A resumed session would skip the proof of the key, so that a key retired meanwhile came in by it: there is none.
#[tokio::test]
async fn a_client_that_would_resume_is_given_nothing_to_resume_with() {
    let server = serve(SECOND);
    let tickets = Arc::new(Tickets::default());
    let mut crypto = bare_tls(server.key.public_key(), tls::ALPN, Some(phone_key()));
    crypto.resumption = Resumption::store(Arc::clone(&tickets) as Arc<dyn ClientSessionStore>);
    crypto.enable_early_data = true;
    let client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto).unwrap()));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(client, server.address, "sync.invalid").unwrap();
    let connecting = connecting.into_0rtt().map(drop).expect_err("early data with nothing to send it under");
    let connection = connecting.await.unwrap();
    // The Hello comes behind everything that belongs to the handshake; and a whole exchange after it.
    let mut hello = connection.accept_uni().await.unwrap();
    hello.read_to_end(100).await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(&[1, 0, 0, 0, 7]).await.unwrap();
    let (_alive, outcome) = server.outcome.await.unwrap();
    assert_eq!(outcome.unwrap().as_deref(), Some(&[7][..]));
    assert_eq!(tickets.0.load(Ordering::SeqCst), 0);
}

/// Opens an exchange whose bytes the test writes itself.
async fn open_bare(server: &Server) -> (quinn::Connection, quinn::SendStream, quinn::RecvStream) {
    let phone = TransportKey::from_seed(&[2; 32]);
    let resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&phone.certified)));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = bare_client(server.key.public_key(), tls::ALPN, Some(resolver));
    let connection = endpoint.connect_with(client, server.address, "sync.invalid").unwrap().await.unwrap();
    let (send, receive) = connection.open_bi().await.unwrap();
    (connection, send, receive)
}

#[tokio::test]
async fn a_frame_that_drips_is_given_up() {
    let server = serve(Duration::from_millis(100));
    let (_connection, mut send, mut receive) = open_bare(&server).await;
    send.write_all(&500_u32.to_le_bytes()).await.unwrap();
    // One byte at a time, for as long as the server lets us.
    let stopped = loop {
        match send.write_all(b"x").await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => break error,
        }
    };
    assert_eq!(stopped, quinn::WriteError::Stopped(RefuseCode::Slow.wire_code().into()));
    assert!(matches!(receive.read_chunk(1, true).await, Err(quinn::ReadError::Reset(_))));
    let (_alive, outcome) = server.outcome.await.unwrap();
    assert!(matches!(outcome, Err(TransportError::SlowPeer { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_frame_that_ends_early_is_no_frame() {
    let server = serve(SECOND);
    let (_connection, mut send, _receive) = open_bare(&server).await;
    send.write_all(&[10, 0, 0, 0, 1, 2, 3]).await.unwrap();
    send.finish().unwrap();
    let (_alive, outcome) = server.outcome.await.unwrap();
    assert!(matches!(outcome, Err(TransportError::FrameCutShort)), "{outcome:?}");
}

#[tokio::test]
async fn a_length_of_four_gigabytes_is_refused_by_its_number() {
    let server = serve(SECOND);
    let (_connection, mut send, _receive) = open_bare(&server).await;
    send.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
    let (_alive, outcome) = server.outcome.await.unwrap();
    let Err(TransportError::FrameTooLarge { limit: 1_000, got: 0xffff_ffff }) = outcome else {
        panic!("{outcome:?}");
    };
}

#[tokio::test]
async fn a_client_cannot_push_and_cannot_open_a_ninth_exchange() {
    let server = serve(SECOND);
    let (connection, _send, _receive) = open_bare(&server).await;
    let seven = async {
        for _ in 0..7 {
            std::mem::forget(connection.open_bi().await.unwrap());
        }
    };
    tokio::time::timeout(SECOND, seven).await.unwrap();
    let short = Duration::from_millis(50);
    assert!(tokio::time::timeout(short, connection.open_bi()).await.is_err());
    assert!(tokio::time::timeout(short, connection.open_uni()).await.is_err());
}
