//! TLS 1.3 with raw Ed25519 public keys on both sides (RFC 7250) and nothing else: no X.509, no resumption, no
//! early data, one cipher provider named here. The client pins the server's key. The server accepts every key
//! whose possession is proven: what a key may do is decided for each exchange from the table of that moment.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::key::{PeerKey, TransportKey};

/// The protocol spoken inside; a change that old peers cannot follow gets a new one.
pub(super) const ALPN: &[u8] = b"bhyt/1";
/// With a pinned key the name says nothing, but TLS wants one that parses.
pub(super) const SERVER_NAME: &str = "sync.invalid";

pub(super) fn server_crypto(key: &TransportKey) -> Result<QuicServerConfig, Error> {
    let provider = provider();
    let verifier = AnyProvenKey { provider: Arc::clone(&provider) };
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&key.certified))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session skips the verifier, and without early data it saves no round trip.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(config).map_err(|_| Error::General("no initial cipher suite".into()))
}

/// The client side, and a flag that is raised when the server shows another key than `pin`.
pub(super) fn client_crypto(
    key: &TransportKey,
    pin: PeerKey,
) -> Result<(QuicClientConfig, Arc<AtomicBool>), Error> {
    let provider = provider();
    let mismatch = Arc::new(AtomicBool::new(false));
    let verifier = PinnedKey { pin, mismatch: Arc::clone(&mismatch), provider: Arc::clone(&provider) };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(
            &key.certified,
        ))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    let crypto =
        QuicClientConfig::try_from(config).map_err(|_| Error::General("no initial cipher suite".into()))?;
    Ok((crypto, mismatch))
}

/// The key the peer of an established connection has proven.
pub(super) fn peer_key(connection: &quinn::Connection) -> Option<PeerKey> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    PeerKey::from_spki(chain.first()?)
}

/// The client's verifier, for clients that break other rules.
#[cfg(test)]
pub(super) fn pinned_key(pin: PeerKey) -> Arc<dyn ServerCertVerifier> {
    Arc::new(PinnedKey { pin, mismatch: Arc::default(), provider: provider() })
}

/// Accepts exactly one server key.
struct PinnedKey {
    pin: PeerKey,
    mismatch: Arc<AtomicBool>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if PeerKey::from_spki(end_entity) == Some(self.pin) {
            return Ok(ServerCertVerified::assertion());
        }
        self.mismatch.store(true, Ordering::Release);
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature(&self.provider, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl fmt::Debug for PinnedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinnedKey({})", self.pin)
    }
}

/// Accepts every Ed25519 key; the signature in the handshake proves that the client holds it.
struct AnyProvenKey {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyProvenKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match PeerKey::from_spki(end_entity) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature(&self.provider, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl fmt::Debug for AnyProvenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyProvenKey")
    }
}

fn verify_signature(
    provider: &CryptoProvider,
    message: &[u8],
    spki: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
    verify_tls13_signature_with_raw_key(message, &spki, dss, &provider.signature_verification_algorithms)
}

/// Given explicitly, so that no other crate's choice of a process-wide default matters.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
