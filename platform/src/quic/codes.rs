//! What one side tells the other when it ends a connection or an exchange. On the wire these are QUIC application
//! error codes and, for two of them, a number of seconds; the reason behind them stays in the log of the sender.
//! Numbers are part of the protocol: never re-used, only added. An unknown one is kept as [`CloseCode::Other`].

use std::fmt;
use std::time::Duration;

use bhyt_core::limits::{RETRY_AFTER_SECONDS_DEFAULT, RETRY_AFTER_SECONDS_MAX};

/// Why a side closes the whole connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// Nothing left to say. Also what the peer sees when the last handle was dropped.
    Done,
    /// The server stops; come back later.
    Goodbye {
        /// Wait at least this long, and add some randomness of your own. Whole seconds travel.
        retry_after: Duration,
    },
    /// The key was valid once and is retired: stop, the holder has to activate the device again.
    Retired,
    /// The key is in no table of the server: stop, this device was never activated there.
    Stranger,
    /// Over a limit of the server; come back later.
    Busy {
        /// Wait at least this long, and add some randomness of your own. Whole seconds travel.
        retry_after: Duration,
    },
    /// A newer connection with the same key took the place of this one. Do not reconnect because of it.
    Replaced,
    /// The peer's bytes made no sense.
    BadFrame,
    /// Open without use for too long.
    Idle,
    /// A code of a newer peer.
    Other(u32),
}

impl CloseCode {
    pub(super) fn from_wire(code: u64, reason: &[u8]) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Goodbye { retry_after: decode_retry_after(reason) },
            2 => Self::Retired,
            3 => Self::Stranger,
            4 => Self::Busy { retry_after: decode_retry_after(reason) },
            5 => Self::Replaced,
            6 => Self::BadFrame,
            7 => Self::Idle,
            newer => Self::Other(u32::try_from(newer).unwrap_or(u32::MAX)),
        }
    }

    /// Busy as said by a refusal in the handshake, which carries no seconds.
    pub(super) fn busy_default() -> Self {
        Self::Busy { retry_after: Duration::from_secs(RETRY_AFTER_SECONDS_DEFAULT.into()) }
    }

    pub(super) fn wire_code(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Goodbye { .. } => 1,
            Self::Retired => 2,
            Self::Stranger => 3,
            Self::Busy { .. } => 4,
            Self::Replaced => 5,
            Self::BadFrame => 6,
            Self::Idle => 7,
            Self::Other(code) => code,
        }
    }

    /// The bytes of the reason phrase: `u32` LE seconds, or nothing.
    pub(super) fn wire_reason(self) -> Vec<u8> {
        match self {
            Self::Goodbye { retry_after } | Self::Busy { retry_after } => {
                u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX).to_le_bytes().to_vec()
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Goodbye { retry_after } => {
                write!(f, "goodbye, retry after {} s", retry_after.as_secs())
            }
            Self::Retired => f.write_str("key retired"),
            Self::Stranger => f.write_str("key unknown"),
            Self::Busy { retry_after } => {
                write!(f, "busy, retry after {} s", retry_after.as_secs())
            }
            Self::Replaced => f.write_str("replaced by a newer connection"),
            Self::BadFrame => f.write_str("bad frame"),
            Self::Idle => f.write_str("idle"),
            Self::Other(code) => write!(f, "code {code}"),
        }
    }
}

/// How a connection ended, as seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed it and said why.
    Peer(CloseCode),
    /// This side closed it.
    Local,
    /// Nothing was heard for the idle time: the network or the peer is gone.
    Silent,
    /// The peer lost its memory of the connection, most likely by a restart: reconnect.
    Forgotten,
    /// One side broke the rules of QUIC or TLS.
    Protocol,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(code) => write!(f, "closed by the peer: {code}"),
            Self::Local => f.write_str("closed here"),
            Self::Silent => f.write_str("peer fell silent"),
            Self::Forgotten => f.write_str("peer lost the connection"),
            Self::Protocol => f.write_str("protocol broken"),
        }
    }
}

/// Why a side gives up one exchange while the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefuseCode {
    /// Nothing more is needed: the answer is complete without the rest of the question.
    Done,
    /// Too many exchanges for this key; wait a little.
    Busy,
    /// A frame was over its limit or made no sense.
    BadFrame,
    /// A frame took longer than allowed.
    Slow,
    /// The key may not do this.
    Denied,
    /// The server is stopping and begins nothing new.
    Stopping,
    /// The side that was asked or that asked lost interest.
    Cancelled,
    /// A code of a newer peer.
    Other(u32),
}

impl RefuseCode {
    pub(super) fn from_wire(code: u64) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Busy,
            2 => Self::BadFrame,
            3 => Self::Slow,
            4 => Self::Denied,
            5 => Self::Stopping,
            6 => Self::Cancelled,
            newer => Self::Other(u32::try_from(newer).unwrap_or(u32::MAX)),
        }
    }

    pub(super) fn wire_code(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Busy => 1,
            Self::BadFrame => 2,
            Self::Slow => 3,
            Self::Denied => 4,
            Self::Stopping => 5,
            Self::Cancelled => 6,
            Self::Other(code) => code,
        }
    }
}

impl fmt::Display for RefuseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Busy => f.write_str("busy"),
            Self::BadFrame => f.write_str("bad frame"),
            Self::Slow => f.write_str("too slow"),
            Self::Denied => f.write_str("denied"),
            Self::Stopping => f.write_str("stopping"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Other(code) => write!(f, "code {code}"),
        }
    }
}

/// A missing or odd reason gives the default; a huge number is cut, so that no server parks a phone for a year.
fn decode_retry_after(reason: &[u8]) -> Duration {
    let seconds = <[u8; 4]>::try_from(reason).map_or(RETRY_AFTER_SECONDS_DEFAULT, u32::from_le_bytes);
    Duration::from_secs(seconds.min(RETRY_AFTER_SECONDS_MAX).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_survive_the_wire() {
        let retry_after = Duration::from_secs(77);
        let codes = [
            CloseCode::Done,
            CloseCode::Goodbye { retry_after },
            CloseCode::Retired,
            CloseCode::Stranger,
            CloseCode::Busy { retry_after },
            CloseCode::Replaced,
            CloseCode::BadFrame,
            CloseCode::Idle,
            CloseCode::Other(4_711),
        ];
        for code in codes {
            assert_eq!(CloseCode::from_wire(code.wire_code().into(), &code.wire_reason()), code);
        }
    }

    #[test]
    fn refuse_codes_survive_the_wire() {
        for number in 0..=7 {
            assert_eq!(RefuseCode::from_wire(number.into()).wire_code(), number);
        }
    }

    #[test]
    fn odd_reasons_give_a_bounded_wait() {
        let cases: [(&[u8], u32); 4] = [
            (b"", RETRY_AFTER_SECONDS_DEFAULT),
            (b"bye", RETRY_AFTER_SECONDS_DEFAULT),
            (b"see you", RETRY_AFTER_SECONDS_DEFAULT),
            (&[0xff; 4], RETRY_AFTER_SECONDS_MAX),
        ];
        for (reason, seconds) in cases {
            let retry_after = Duration::from_secs(seconds.into());
            assert_eq!(CloseCode::from_wire(1, reason), CloseCode::Goodbye { retry_after });
        }
    }
}
