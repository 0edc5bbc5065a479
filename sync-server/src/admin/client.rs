//! The operator's end of the line: one connection, made again when it breaks, and exchanges on it in which one request
//! follows the other.

use std::net::SocketAddr;
use std::time::Duration;

use bhyt_core::codec;
use bhyt_core::ids::OperationId;
use bhyt_core::limits::{FRAME_BYTES_MAX, TRUST_BYTES_MAX};
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest};
use bhyt_core::sync::messages::{Refusal, Reply, Request};
use bhyt_core::trust::{self, KeyUse, TrustedKey};
use bhyt_platform::entropy::{OsEntropy, make_bytes};
use bhyt_platform::files;
use bhyt_platform::quic::{
    Client, ClientConnection, ClientSettings, Connected, Exchange, News, PeerKey, TransportKey,
};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::args::AdminArgs;
use super::error::AdminError;
use crate::keys;

/// A connected operator.
#[derive(Debug)]
pub(super) struct AdminClient {
    client: Client,
    server: SocketAddr,
    pin: PeerKey,
    key: TransportKey,
    entropy: OsEntropy,
    line: Mutex<Line>,
}

/// The connection in use. The news are kept because the connection ends with them.
#[derive(Debug)]
struct Line {
    connection: ClientConnection,
    _news: News,
}

impl From<Connected> for Line {
    fn from(connected: Connected) -> Self {
        Self { connection: connected.connection, _news: connected.news }
    }
}

impl AdminClient {
    /// Connects to the server, whose key is in the trust bundle.
    pub(super) async fn connect(args: &AdminArgs) -> Result<Self, AdminError> {
        let pins = read_pins(args)?;
        let secret = keys::read_operator_key(&args.key).map_err(AdminError::Key)?;
        let key = TransportKey::from_seed(&secret.seed());
        let entropy = OsEntropy::open().map_err(AdminError::Entropy)?;
        let client = Client::bind(None).map_err(AdminError::Unreachable)?;
        let mut error = AdminError::NoServerKey;
        for server in addresses(&args.server).await? {
            for pin in &pins {
                match client.connect(server, *pin, &key, &SETTINGS).await {
                    Ok(connected) => {
                        let line = Mutex::new(connected.into());
                        return Ok(Self { client, server, pin: *pin, key, entropy, line });
                    }
                    Err(source) => error = AdminError::of_line(source),
                }
            }
        }
        Err(error)
    }

    /// Says that nothing more comes.
    pub(super) async fn close(&self) {
        self.client.shutdown(Duration::from_secs(1)).await;
    }

    /// A request with an operation id of its own.
    pub(super) fn request(&self, command: AdminCommand) -> AdminRequest {
        let operation = OperationId(make_bytes(&self.entropy));
        AdminRequest { operation, command }
    }

    /// Sends one command and waits for its answer, on a new connection if the old one breaks.
    pub(super) async fn command(&self, command: AdminCommand) -> Result<Vec<AdminReply>, AdminError> {
        let request = self.request(command);
        let mut asking = None;
        let replies = self.ask(&mut asking, &request).await;
        if let Some(mut exchange) = asking.take() {
            // The answer is here; whether the server hears that nothing follows changes nothing.
            let _ = exchange.finish();
        }
        replies
    }

    /// Sends one command, once, and hands over the pieces of its answer as they come.
    pub(super) async fn stream(
        &self,
        command: AdminCommand,
        mut take: impl FnMut(AdminReply) -> Result<(), AdminError>,
    ) -> Result<(), AdminError> {
        let request = self.request(command);
        let mut exchange = self.open_exchange().await?;
        converse(&mut exchange, &request, &mut take).await?;
        let _ = exchange.finish();
        Ok(())
    }

    /// Asks in the exchange that is open, or in a new one; again, with the same operation, when the line breaks or the
    /// server is busy.
    pub(super) async fn ask(
        &self,
        asking: &mut Option<Exchange>,
        request: &AdminRequest,
    ) -> Result<Vec<AdminReply>, AdminError> {
        let mut attempt = 0;
        loop {
            let asked = self.ask_once(asking, request).await;
            let error = match asked {
                Ok(replies) => return Ok(replies),
                Err(error) => error,
            };
            *asking = None;
            attempt += 1;
            if !error.is_passing() || attempt >= ATTEMPTS_MAX {
                return Err(error);
            }
            let wait = match &error {
                AdminError::Refused(Refusal::Busy { retry_after_seconds }) => {
                    Duration::from_secs(u64::from(*retry_after_seconds)).min(WAIT_MAX)
                }
                _ => PAUSE * attempt,
            };
            sleep(wait).await;
        }
    }

    async fn ask_once(
        &self,
        asking: &mut Option<Exchange>,
        request: &AdminRequest,
    ) -> Result<Vec<AdminReply>, AdminError> {
        let exchange = match asking {
            Some(exchange) => exchange,
            None => asking.insert(self.open_exchange().await?),
        };
        let mut replies = Vec::new();
        let keep = &mut |reply| {
            replies.push(reply);
            Ok(())
        };
        converse(exchange, request, keep).await?;
        Ok(replies)
    }

    async fn open_exchange(&self) -> Result<Exchange, AdminError> {
        let mut line = self.line.lock().await;
        if let Ok(exchange) = line.connection.open_exchange().await {
            return Ok(exchange);
        }
        let connected = self.client.connect(self.server, self.pin, &self.key, &SETTINGS).await;
        *line = connected.map_err(AdminError::of_line)?.into();
        line.connection.open_exchange().await.map_err(AdminError::of_line)
    }
}

async fn converse(
    exchange: &mut Exchange,
    request: &AdminRequest,
    take: &mut impl FnMut(AdminReply) -> Result<(), AdminError>,
) -> Result<(), AdminError> {
    let frame = codec::encode(&Request::Admin(request.clone())).map_err(AdminError::Frame)?;
    exchange.send(&frame).await.map_err(AdminError::of_line)?;
    loop {
        let frame = exchange.receive(FRAME_BYTES_MAX, ANSWER_WITHIN).await;
        let frame = frame.map_err(AdminError::of_line)?.ok_or(AdminError::Unexpected)?;
        match codec::decode(&frame).map_err(AdminError::Frame)? {
            Reply::Admin(reply) => take(reply)?,
            Reply::Done => return Ok(()),
            Reply::Refused(refusal) => return Err(AdminError::Refused(refusal)),
            _ => return Err(AdminError::Unexpected),
        }
    }
}

/// The server's keys in the order in which it uses them.
fn read_pins(args: &AdminArgs) -> Result<Vec<PeerKey>, AdminError> {
    let bytes = files::read_bounded(&args.trust, TRUST_BYTES_MAX).map_err(AdminError::TrustFile)?;
    let bundle =
        trust::anchor(&bytes).map_err(|source| AdminError::Trust { path: args.trust.clone(), source })?;
    let mut keys: Vec<&TrustedKey> = bundle.claims().keys_for(KeyUse::Transport).collect();
    keys.sort_by_key(|key| key.signs_from);
    if keys.is_empty() {
        return Err(AdminError::NoServerKey);
    }
    Ok(keys.iter().map(|key| PeerKey::new(*key.key.as_bytes())).collect())
}

async fn addresses(server: &str) -> Result<Vec<SocketAddr>, AdminError> {
    let none = |source| AdminError::NoAddress { server: server.to_owned(), source };
    let found = tokio::net::lookup_host(server).await.map_err(|error| none(Some(error)))?;
    let mut found: Vec<SocketAddr> = found.collect();
    // Our socket is an IPv4 one unless told otherwise.
    found.sort_by_key(SocketAddr::is_ipv6);
    if found.is_empty() { Err(none(None)) } else { Ok(found) }
}

/// Somebody is waiting: a server that was restarted is noticed at the next sign of life, one that is gone soon after.
const SETTINGS: ClientSettings = ClientSettings {
    keep_alive: Some(Duration::from_secs(3)),
    idle: Duration::from_secs(15),
    ..ClientSettings::terminal()
};
/// A frame of cards takes well under a second; a busy server has its reasons.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const ATTEMPTS_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(60);
