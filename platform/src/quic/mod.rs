//! Transport: QUIC with raw public keys, and the only place that knows quinn and rustls.
//!
//! It promises: both sides have proven an Ed25519 key, the server's is the pinned one, everything is TLS 1.3,
//! every frame, stream, rate and wait has a bound, and no stream cut short looks complete. It knows nothing of
//! what the frames mean, nor of which keys may do what: the application asks its own table at every exchange.
//!
//! One bidirectional stream, begun by the client, is one [`Exchange`]. Streams from the server carry news; the
//! first is its Hello, and a client is connected only when that has arrived. There is no early data and no
//! resumption: a full handshake takes the same round trips and proves the key each time.
//!
//! ```
//! use std::time::Duration;
//! use bhyt_platform::quic::{
//!     Client, ClientSettings, CloseCode, Families, Listener, ServerConfig, ServerLimits, TransportKey,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let second = Duration::from_secs(1);
//! let (server_key, phone_key) = (TransportKey::from_seed(&[1; 32]), TransportKey::from_seed(&[2; 32]));
//! let pin = server_key.public_key();
//! let listener = Listener::bind(&ServerConfig {
//!     listen: "127.0.0.1:0".parse()?,
//!     families: Families::OfAddress,
//!     key: server_key,
//!     limits: ServerLimits::default(),
//! })?;
//! let address = listener.local_address();
//!
//! let server = tokio::spawn(async move {
//!     let arrival = listener.accept().await.expect("a client comes");
//!     let connection = arrival.welcome(b"hello").await?;
//!     let mut exchange = connection.accept_exchange().await?;
//!     let question = exchange.receive(1_024, second).await?.expect("a question");
//!     exchange.send(&question).await?;
//!     exchange.delivered(second).await?;
//!     listener.shutdown(CloseCode::Goodbye { retry_after: second }, second).await;
//!     Ok::<_, bhyt_platform::quic::TransportError>(())
//! });
//!
//! let client = Client::bind(None)?;
//! let connected = client.connect(address, pin, &phone_key, &ClientSettings::phone()).await?;
//! assert_eq!(connected.hello, b"hello");
//! let mut exchange = connected.connection.open_exchange().await?;
//! exchange.send(b"anything new?").await?;
//! exchange.finish()?;
//! assert_eq!(exchange.receive(1_024, second).await?.as_deref(), Some(&b"anything new?"[..]));
//! # server.await??;
//! # Ok(()) })
//! # }
//! ```

mod admission;
mod buckets;
mod client;
mod codes;
mod connection;
mod error;
mod exchange;
mod frames;
#[cfg(test)]
mod hostile;
mod key;
mod server;
mod settings;
mod socket;
mod tls;

pub use admission::{AddressProof, Admission, ConnectionId, TransportCounts, Verdict};
pub use client::{Client, ClientConnection, Connected, News, Opened};
pub use codes::{CloseCode, CloseReason, RefuseCode};
pub use connection::{Arrival, ServerConnection};
pub use error::{Cause, TransportError};
pub use exchange::Exchange;
pub use key::{PeerKey, TransportKey};
pub use server::Listener;
pub use settings::{ClientSettings, Families, ServerConfig, ServerLimits};
