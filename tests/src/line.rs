//! An operator's line to a server that is killed at any moment: a command goes out again with the same id, over a new
//! connection, until it is answered.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bhyt_core::codec;
use bhyt_core::ids::OperationId;
use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest};
use bhyt_core::sync::messages::{Refusal, Reply, Request};
use bhyt_core::trust::{KeyUse, anchor};
use bhyt_platform::key_file::{KeyUsage, read_key_file};
use bhyt_platform::quic::{Client, ClientConnection, ClientSettings, News, PeerKey, TransportKey};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

/// A line that many may use at once.
#[derive(Debug)]
pub struct Line {
    server: SocketAddr,
    pin: PeerKey,
    key: TransportKey,
    client: Client,
    connected: Mutex<Option<Connected>>,
    /// Odd while the server is there.
    tide: watch::Sender<u64>,
}

#[derive(Debug)]
struct Connected {
    connection: ClientConnection,
    /// The connection ends with them.
    _news: News,
}

/// Nobody answered for [`PATIENCE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an operator's command was not answered in {} s, the last refusal was {last:?}", PATIENCE.as_secs())]
pub struct Unanswered {
    last: Option<Refusal>,
}

impl Line {
    /// A line to `server`, which need not be there yet. Call it inside a runtime.
    pub fn new(server: SocketAddr, trust: &Path, key: &Path) -> Self {
        let trust = anchor(&std::fs::read(trust).expect("a trust file")).expect("a trust bundle");
        let pin = trust.claims().keys_for(KeyUse::Transport).next().expect("a transport key").key;
        let usage = KeyUsage::new("operator").expect("a usage");
        let secret = read_key_file(key, usage).expect("an operator key");
        let key = TransportKey::from_seed(secret.as_bytes());
        let client = Client::bind(None).expect("a socket");
        let (tide, _) = watch::channel(0);
        Self { server, pin: (&pin).into(), key, client, connected: Mutex::new(None), tide }
    }

    /// The server is there, and answers.
    pub fn server_is_up(&self) {
        self.tide.send_modify(|tide| *tide |= 1);
    }

    /// The server is gone: nobody waits for its answers any more.
    pub fn server_is_down(&self) {
        self.tide.send_modify(|tide| *tide = (*tide | 1) + 1);
    }

    /// How often the server was gone.
    pub fn downs(&self) -> u64 {
        *self.tide.borrow() / 2
    }

    /// Sends a command until it is answered. A server that says that it is busy, or that it failed, is asked again.
    pub async fn ask(
        &self,
        operation: OperationId,
        command: &AdminCommand,
    ) -> Result<Result<AdminReply, Refusal>, Unanswered> {
        let request = Request::Admin(AdminRequest { operation, command: command.clone() });
        let mut last = None;
        let asking = async {
            loop {
                let mut tide = self.tide.subscribe();
                if tide.wait_for(|tide| tide % 2 == 1).await.is_err() {
                    continue;
                }
                let answer = tokio::select! {
                    answer = self.ask_once(&request) => answer,
                    _ = tide.changed() => None,
                };
                match answer {
                    Some(Err(refusal @ (Refusal::Busy { .. } | Refusal::Internal))) => last = Some(refusal),
                    Some(answer) => return answer,
                    None => *self.connected.lock().await = None,
                }
                sleep(PAUSE).await;
            }
        };
        let answered = timeout(PATIENCE, asking).await;
        answered.map_err(|_| Unanswered { last })
    }

    /// `None` when the line broke.
    async fn ask_once(&self, request: &Request) -> Option<Result<AdminReply, Refusal>> {
        let connection = self.connection().await?;
        let mut exchange = connection.open_exchange().await.ok()?;
        exchange.send(&codec::encode(request).expect("a frame")).await.ok()?;
        exchange.finish().ok()?;
        let frame = exchange.receive(FRAME_BYTES_MAX, ANSWER_WITHIN).await.ok()??;
        match codec::decode::<Reply>(&frame).expect("a reply") {
            Reply::Admin(reply) => Some(Ok(reply)),
            Reply::Refused(refusal) => Some(Err(refusal)),
            // A list with nothing in it.
            _ => Some(Err(Refusal::NotFound)),
        }
    }

    async fn connection(&self) -> Option<ClientConnection> {
        let mut connected = self.connected.lock().await;
        if let Some(connected) = &*connected {
            return Some(connected.connection.clone());
        }
        let made = self.client.connect(self.server, self.pin, &self.key, &SETTINGS).await.ok()?;
        let connection = made.connection.clone();
        *connected = Some(Connected { connection: made.connection, _news: made.news });
        Some(connection)
    }
}

/// Whoever kills servers wants to know soon.
const SETTINGS: ClientSettings = ClientSettings {
    keep_alive: Some(Duration::from_secs(1)),
    idle: Duration::from_secs(5),
    connect_within: Duration::from_secs(2),
    ..ClientSettings::terminal()
};
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
/// Longer than any number of restarts in a row takes.
pub const PATIENCE: Duration = Duration::from_secs(60);
