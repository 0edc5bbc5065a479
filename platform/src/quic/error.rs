//! What can go wrong between two peers, one variant for each thing the caller can do about it. The cause of the
//! network's or TLS library's own is kept in `source()` and never shown by `Display`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::codes::{CloseCode, CloseReason, RefuseCode};

/// The library's own error, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An operation of the transport that failed.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No UDP socket at this address: taken, not ours, or not permitted.
    #[error("cannot bind a UDP socket at {address}")]
    Bind {
        /// Where the socket was to be.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address cannot be dialled from this socket (other address family, port 0), or the endpoint is closed.
    #[error("no way to reach {server}")]
    Unreachable {
        /// Who was dialled.
        server: SocketAddr,
        /// What the library said.
        #[source]
        source: Cause,
    },
    /// No connection, or no Hello, within the time given. No network, no server, or a firewall between.
    #[error("no connection within {} ms", within.as_millis())]
    TimedOut {
        /// The time that was allowed.
        within: Duration,
    },
    /// Whoever answered does not hold the pinned key. Never retry with another pin.
    #[error("the server does not hold the pinned key")]
    WrongServerKey,
    /// The server speaks none of our protocol versions: the program needs an update.
    #[error("the server speaks no protocol version of ours")]
    NoCommonProtocol,
    /// The server closed the connection before its Hello.
    #[error("the server refused the connection: {code}")]
    Refused {
        /// Why, and how long to wait.
        code: CloseCode,
    },
    /// QUIC or TLS could not agree.
    #[error("the handshake failed")]
    Handshake {
        /// What the library said.
        #[source]
        source: Cause,
    },
    /// The connection has ended; nothing on it works any more.
    #[error("the connection ended: {reason}")]
    Closed {
        /// Who ended it and why.
        reason: CloseReason,
        /// What the library said.
        #[source]
        source: Cause,
    },
    /// A frame announces, or a payload has, more bytes than allowed. Nothing was allocated for it.
    #[error("a frame of {got} bytes, {limit} allowed")]
    FrameTooLarge {
        /// The bytes allowed.
        limit: usize,
        /// The bytes announced.
        got: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    FrameCutShort,
    /// The peer neither sent nor took the bytes of a frame in the time allowed.
    #[error("the peer took longer than {} ms", within.as_millis())]
    SlowPeer {
        /// The time that was allowed.
        within: Duration,
    },
    /// The peer gave up this exchange; the connection goes on.
    #[error("the exchange was refused: {code}")]
    ExchangeRefused {
        /// Why.
        code: RefuseCode,
    },
    /// This side has already finished or given up this direction of the exchange.
    #[error("the exchange is already finished on this side")]
    Finished,
}

impl TransportError {
    /// How the connection ended, when this error says that it did.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        match self {
            Self::Closed { reason, .. } => Some(*reason),
            Self::Refused { code } => Some(CloseReason::Peer(*code)),
            _ => None,
        }
    }

    pub(super) fn from_connection(error: quinn::ConnectionError) -> Self {
        Self::Closed { reason: close_reason(&error), source: error.into() }
    }

    pub(super) fn from_read(error: quinn::ReadError) -> Self {
        match error {
            quinn::ReadError::Reset(code) => {
                Self::ExchangeRefused { code: RefuseCode::from_wire(code.into_inner()) }
            }
            quinn::ReadError::ConnectionLost(error) => Self::from_connection(error),
            quinn::ReadError::ClosedStream
            | quinn::ReadError::IllegalOrderedRead
            | quinn::ReadError::ZeroRttRejected => Self::Finished,
        }
    }

    pub(super) fn from_write(error: quinn::WriteError) -> Self {
        match error {
            quinn::WriteError::Stopped(code) => {
                Self::ExchangeRefused { code: RefuseCode::from_wire(code.into_inner()) }
            }
            quinn::WriteError::ConnectionLost(error) => Self::from_connection(error),
            quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => Self::Finished,
        }
    }
}

/// The library's reason in our words.
pub(super) fn close_reason(error: &quinn::ConnectionError) -> CloseReason {
    use quinn::ConnectionError as E;
    match error {
        E::ApplicationClosed(close) => {
            CloseReason::Peer(CloseCode::from_wire(close.error_code.into_inner(), &close.reason))
        }
        // RFC 9000 §10.2.3: an application's close inside the handshake is replaced by APPLICATION_ERROR.
        E::ConnectionClosed(close)
            if close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED
                || close.error_code == quinn::TransportErrorCode::APPLICATION_ERROR =>
        {
            CloseReason::Peer(CloseCode::busy_default())
        }
        E::LocallyClosed => CloseReason::Local,
        E::TimedOut => CloseReason::Silent,
        E::Reset => CloseReason::Forgotten,
        E::ConnectionClosed(_) | E::TransportError(_) | E::VersionMismatch | E::CidsExhausted => {
            CloseReason::Protocol
        }
    }
}
