//! What an operator or an application may set, with defaults and reasons, and how it becomes QUIC settings.
//! Bounds that are part of the protocol are in `bhyt_core::limits`.

use std::net::SocketAddr;
use std::time::Duration;

use bhyt_core::limits::{
    CONNECTION_WINDOW_BYTES, CRYPTO_BUFFER_BYTES, EXCHANGES_PARALLEL_MAX, INCOMING_BUFFER_BYTES,
    INCOMING_BUFFERS_BYTES, INCOMING_MAX, PUSHES_PARALLEL_MAX, STREAM_WINDOW_BYTES,
};
use quinn::{TransportConfig, VarInt};

use super::key::TransportKey;

/// What a [`Listener`](super::Listener) needs.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether an IPv6 address also takes IPv4.
    pub families: Families,
    /// The key that clients pin.
    pub key: TransportKey,
    /// Bounds on what strangers may take.
    pub limits: ServerLimits,
}

/// Which address families a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// That of the listen address only.
    OfAddress,
    /// IPv4 through an IPv6 socket too; only with an IPv6 address, usually `[::]`.
    Both,
}

/// Bounds on what clients may take from a server. An address counts by itself in IPv4, by its /64 in IPv6.
///
/// Carriers put thousands of phones behind one IPv4 address, so the bounds by address are wide; they stop a
/// single machine, and the bounds in total stop the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections in total, handshakes included; about 30 kB of memory each. Default 100,000.
    pub connections_max: usize,
    /// Connections of one address, handshakes included. Default 4,096.
    pub connections_per_address_max: usize,
    /// Connections of one key; a new one closes the oldest, which after a change of network is dead anyway.
    /// Default 2.
    pub connections_per_key_max: usize,
    /// Handshakes in flight; each costs two signatures and up to 10 seconds. Default 1,024.
    pub handshakes_max: usize,
    /// Handshakes in flight from which on every new client must first prove its address. Default 256.
    pub handshakes_unproven_max: usize,
    /// New connections of one address a second, in the long run. Default 64.
    pub arrivals_per_second: u32,
    /// New connections of one address at once; half of them without a proof of the address. Default 512.
    pub arrivals_burst: u32,
    /// Exchanges of one key a second, in the long run. Default 16.
    pub exchanges_per_second: u32,
    /// Exchanges of one key at once. Default 128.
    pub exchanges_burst: u32,
    /// Addresses, and keys, whose rate is remembered; the longest unseen are forgotten. Default 65,536.
    pub remembered_max: usize,
    /// Time for a handshake. Default 10 s: three retransmissions on a lossy mobile network.
    pub handshake_within: Duration,
    /// Time in which a client must take a frame. Default 10 s.
    pub send_within: Duration,
    /// Silence after which a connection is dropped, unless the client asks for less. Default 5 min, which suits
    /// terminals on a line; phones ask for 90 s.
    pub idle: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            connections_per_address_max: 4_096,
            connections_per_key_max: 2,
            handshakes_max: 1_024,
            handshakes_unproven_max: 256,
            arrivals_per_second: 64,
            arrivals_burst: 512,
            exchanges_per_second: 16,
            exchanges_burst: 128,
            remembered_max: 65_536,
            handshake_within: Duration::from_secs(10),
            send_within: Duration::from_secs(10),
            idle: Duration::from_secs(300),
        }
    }
}

/// How a client keeps its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSettings {
    /// A sign of life after this much silence; carriers forget an address after 30 to 120 s. `None` for a
    /// connection that is closed after its exchanges.
    pub keep_alive: Option<Duration>,
    /// Silence after which the connection is taken for dead.
    pub idle: Duration,
    /// Time for the handshake and the server's Hello together.
    pub connect_within: Duration,
    /// Time for one frame of a push, once it has begun, and for the server to take a frame or a new exchange.
    pub frame_within: Duration,
}

impl ClientSettings {
    /// A phone in the foreground: a sign of life every 25 s, dead after 90 s.
    #[must_use]
    pub const fn phone() -> Self {
        Self {
            keep_alive: Some(Duration::from_secs(25)),
            idle: Duration::from_secs(90),
            connect_within: Duration::from_secs(10),
            frame_within: Duration::from_secs(10),
        }
    }

    /// A terminal on a line: a sign of life every 25 s, dead after 5 min.
    #[must_use]
    pub const fn terminal() -> Self {
        Self { idle: Duration::from_secs(300), ..Self::phone() }
    }
}

pub(super) fn server_transport(limits: &ServerLimits) -> TransportConfig {
    let mut transport = shared_transport(limits.idle);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(EXCHANGES_PARALLEL_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        // The client keeps alive; a server that did so too would wake every phone twice.
        .keep_alive_interval(None);
    transport
}

pub(super) fn client_transport(settings: &ClientSettings) -> TransportConfig {
    let mut transport = shared_transport(settings.idle);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(PUSHES_PARALLEL_MAX))
        .keep_alive_interval(settings.keep_alive);
    transport
}

/// The settings of the endpoint that bound what is kept before a handshake is admitted.
pub(super) fn bound_incoming(config: &mut quinn::ServerConfig) {
    config
        .migration(true)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFERS_BYTES);
}

/// Worst case of memory a connection: the two windows and the crypto buffer. Nothing is allocated ahead.
fn shared_transport(idle: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(CONNECTION_WINDOW_BYTES.into())
        .crypto_buffer_size(CRYPTO_BUFFER_BYTES)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        // The spin bit tells whoever watches the network how far away a phone is.
        .allow_spin(false)
        .max_idle_timeout(Some(idle_timeout(idle)));
    transport
}

/// At least a second, and in milliseconds that fit.
fn idle_timeout(idle: Duration) -> quinn::IdleTimeout {
    let millis = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX);
    quinn::IdleTimeout::from(VarInt::from_u32(millis.max(1_000)))
}
