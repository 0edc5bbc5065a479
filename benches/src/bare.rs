//! Bare QUIC: what ours is held against. The only file outside of the transport that names quinn and rustls, because a
//! limit that is measured through our own wrapper would hide what the wrapper costs. The same raw Ed25519 keys on both
//! sides, the same TLS, the same transport settings as `platform/src/quic`; above that nothing but the exchange.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bhyt_core::limits::{
    CONNECTION_WINDOW_BYTES, CRYPTO_BUFFER_BYTES, EXCHANGES_PARALLEL_MAX, PUSHES_PARALLEL_MAX,
    STREAM_WINDOW_BYTES,
};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, Endpoint, IdleTimeout, RecvStream, SendStream, ServerConfig, TransportConfig,
    VarInt,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::child::{Running, part};

/// A client's endpoint, on any address of both families as ours is.
pub(crate) fn client() -> Endpoint {
    Endpoint::client(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).expect("a socket")
}

/// How the holder of `seed` connects.
pub(crate) fn client_config(seed: &[u8; 32], idle: Duration) -> ClientConfig {
    let provider = provider();
    let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(provider)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(seed))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).expect("a cipher suite")));
    let mut transport = transport(idle);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(PUSHES_PARALLEL_MAX));
    config.transport_config(Arc::new(transport));
    config
}

/// A server's endpoint on loopback, of the holder of `seed`.
pub(crate) fn server(seed: &[u8; 32]) -> Endpoint {
    let provider = provider();
    let mut config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(Arc::new(AnyKey(provider)))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(seed))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let mut config =
        ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).expect("a cipher suite")));
    // The client asks for less where that matters.
    let mut transport = transport(Duration::from_secs(3_600));
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(EXCHANGES_PARALLEL_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0));
    config.transport_config(Arc::new(transport));
    Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a socket")
}

/// Echoes what each stream brings, on every connection, until the process ends.
pub(crate) async fn echo(server: Endpoint) {
    while let Some(incoming) = server.accept().await {
        tokio::spawn(async move {
            let Ok(connection) = incoming.await else { return };
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                let asked = receive.read_to_end(ECHO_BYTES).await.expect("a short question");
                send.write_all(&asked).await.expect("the client listens");
                send.finish().expect("not finished yet");
            }
        });
    }
}

/// Connects, has 64 bytes echoed, and gives the connection.
pub(crate) async fn connect_and_echo(
    client: &Endpoint,
    config: &ClientConfig,
    server: SocketAddr,
) -> Connection {
    let connecting = client.connect_with(config.clone(), server, "sync.invalid").expect("a good address");
    let connection = connecting.await.expect("the server answers");
    let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
    send.write_all(&[7; ECHO_BYTES]).await.expect("sent");
    send.finish().expect("not finished yet");
    let echoed = receive.read_to_end(ECHO_BYTES).await.expect("an echo");
    assert_eq!(echoed.len(), ECHO_BYTES);
    connection
}

/// Stands between a client and `upstream` and passes every stream on, as the client's `seed` and with the server's own key
/// on the `listener`. Counts the bytes of all streams, both ways.
pub(crate) async fn pass_on(
    listener: Endpoint,
    upstream: SocketAddr,
    seed: [u8; 32],
    counted: Arc<AtomicU64>,
) {
    let endpoint = client();
    let config = client_config(&seed, Duration::from_secs(90));
    while let Some(incoming) = listener.accept().await {
        let Ok(near) = incoming.await else { continue };
        let far = endpoint.connect_with(config.clone(), upstream, "sync.invalid").expect("a good address");
        let far = far.await.expect("the server answers");
        tokio::spawn(pass_exchanges(near.clone(), far.clone(), counted.clone()));
        tokio::spawn(pass_news(near, far, counted.clone()));
    }
}

async fn pass_exchanges(near: Connection, far: Connection, counted: Arc<AtomicU64>) {
    while let Ok((answer, question)) = near.accept_bi().await {
        let Ok((ask, answered)) = far.open_bi().await else { return };
        tokio::spawn(pass_stream(question, ask, counted.clone()));
        tokio::spawn(pass_stream(answered, answer, counted.clone()));
    }
    far.close(VarInt::from_u32(0), b"");
}

async fn pass_news(near: Connection, far: Connection, counted: Arc<AtomicU64>) {
    while let Ok(news) = far.accept_uni().await {
        let Ok(on) = near.open_uni().await else { return };
        pass_stream(news, on, counted.clone()).await;
    }
}

async fn pass_stream(mut from: RecvStream, mut to: SendStream, counted: Arc<AtomicU64>) {
    while let Ok(Some(chunk)) = from.read_chunk(usize::MAX, true).await {
        counted.fetch_add(chunk.bytes.len() as u64, Ordering::SeqCst);
        if to.write_chunk(chunk.bytes).await.is_err() {
            return;
        }
    }
    // Closed meanwhile: nobody is there to be told.
    let _ = to.finish();
}

/// As in `platform/src/quic/settings.rs`.
fn transport(idle: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(CONNECTION_WINDOW_BYTES.into())
        .crypto_buffer_size(CRYPTO_BUFFER_BYTES)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .allow_spin(false)
        .max_idle_timeout(Some(IdleTimeout::try_from(idle).expect("a time that fits")));
    transport
}

/// Ed25519 as RFC 8410 writes it, and RFC 7250's raw key where a certificate would be.
fn certified(seed: &[u8; 32]) -> Arc<CertifiedKey> {
    let der = [&PKCS8_PREFIX[..], seed].concat();
    let key = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der)).expect("a seed");
    let spki = key.public_key().expect("its public half").to_vec();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A server that echoes, in a process of its own, which prints where it listens.
pub(crate) fn serve(_: &[String]) {
    crate::block_on(async {
        let server = server(&[8; 32]);
        let _ = writeln!(std::io::stdout(), "{}", server.local_addr().expect("an address"));
        echo(server).await;
    });
}

/// Such a process, and where it listens.
pub(crate) fn start_server() -> (Running, SocketAddr) {
    let mut process = Running::start(part("bare-server").stdout(Stdio::piped()));
    let mut line = String::new();
    let out = process.0.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("a line");
    (process, line.trim().parse().expect("an address"))
}

/// Takes every raw key whose possession is proven: comparing it costs nothing that could be measured.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl AnyKey {
    fn verify(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.0.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The protocol's name, so that a proxy may stand between our own programs.
const ALPN: &[u8] = b"bhyt/1";
/// Bytes of the echo.
const ECHO_BYTES: usize = 64;
/// RFC 8410 §7: OneAsymmetricKey version 1 of Ed25519 up to the 32 seed bytes.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
