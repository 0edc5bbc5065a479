//! UDP sockets and QUIC endpoints. Buffer sizes are wishes: the system may cut them, and everything works with
//! what it gives.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bhyt_core::limits::UDP_BUFFER_BYTES;
use quinn_proto::HashedConnectionIdGenerator;
use socket2::{Domain, Protocol, Socket, Type};

use super::error::TransportError;
use super::key::TransportKey;
use super::settings::{Families, ServerConfig, bound_incoming, server_transport};
use super::tls;

/// A server's socket.
pub(super) fn listen(address: SocketAddr, families: Families) -> io::Result<UdpSocket> {
    let socket = open(address)?;
    match (families, address) {
        (Families::OfAddress, SocketAddr::V4(_)) => {}
        (Families::OfAddress, SocketAddr::V6(_)) => socket.set_only_v6(true)?,
        (Families::Both, SocketAddr::V6(_)) => socket.set_only_v6(false)?,
        (Families::Both, SocketAddr::V4(_)) => return Err(io::ErrorKind::InvalidInput.into()),
    }
    let _ = socket.set_recv_buffer_size(UDP_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(UDP_BUFFER_BYTES);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// A client's socket: at `local`, or at any address of both families (IPv4 only where there is no IPv6).
pub(super) fn dial_from(local: Option<IpAddr>) -> Result<UdpSocket, TransportError> {
    let bind = |ip: IpAddr| -> io::Result<UdpSocket> {
        let address = SocketAddr::new(ip, 0);
        let socket = open(address)?;
        if ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    let (ip, bound) = match local {
        Some(ip) => (ip, bind(ip)),
        None => (
            Ipv4Addr::UNSPECIFIED.into(),
            bind(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| bind(Ipv4Addr::UNSPECIFIED.into())),
        ),
    };
    bound.map_err(|source| TransportError::Bind { address: SocketAddr::new(ip, 0), source })
}

pub(super) fn client_endpoint(udp: UdpSocket) -> io::Result<quinn::Endpoint> {
    quinn::Endpoint::new(quinn::EndpointConfig::default(), None, udp, Arc::new(quinn::TokioRuntime))
}

pub(super) fn server_endpoint(
    udp: UdpSocket,
    config: &ServerConfig,
) -> Result<quinn::Endpoint, TransportError> {
    let crypto = tls::server_crypto(&config.key)
        .map_err(|error| TransportError::Handshake { source: error.into() })?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(Arc::new(server_transport(&config.limits)));
    bound_incoming(&mut server);
    quinn::Endpoint::new(endpoint_config(&config.key), Some(server), udp, Arc::new(quinn::TokioRuntime))
        .map_err(|source| TransportError::Bind { address: config.listen, source })
}

/// With secrets that outlive a restart the server recognises connections of its former life and says so
/// (RFC 9000 §10.3); clients then reconnect at their next sign of life instead of after the idle time.
fn endpoint_config(key: &TransportKey) -> quinn::EndpointConfig {
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key.derive_secret(b"bhyt/quic-reset/v1"));
    let [a, b, c, d, e, f, g, h, ..] = key.derive_secret(b"bhyt/quic-cid/v1");
    let cid = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let mut config = quinn::EndpointConfig::new(Arc::new(reset));
    config
        // RFC 9000 and nothing before it: drafts would be code that nobody of ours reaches.
        .supported_versions(vec![QUIC_V1])
        .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid)))
        .min_reset_interval(RESET_INTERVAL);
    config
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))
}

/// RFC 9000 §15.
const QUIC_V1: u32 = 1;
/// 1,000 resets a second: after a restart 100,000 clients with a sign of life every 25 s send 4,000 packets a
/// second, so all know within two rounds. A reset is shorter than the packet that asked for it.
const RESET_INTERVAL: Duration = Duration::from_millis(1);
