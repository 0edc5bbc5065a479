//! A server of the real program in a folder of its own, and its operator: what figures of whole programs are measured on.
//! Synthetic members only, numbered from 9900000000.

use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bhyt_core::codec;
use bhyt_core::ids::OperationId;
use bhyt_core::limits::{FRAME_BYTES_MAX, IMPORT_ROWS_MAX};
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest, CardRow, MemberRow, RowOutcome};
use bhyt_core::sync::messages::{Reply, Request};
use bhyt_core::trust::{KeyUse, anchor};
use bhyt_platform::entropy::{OsEntropy, make_bytes};
use bhyt_platform::key_file::{KeyUsage, read_key_file};
use bhyt_platform::quic::{Client, ClientConnection, ClientSettings, Exchange, News, PeerKey, TransportKey};

use crate::child::{Running, program};

/// A server that runs, its folder, and room for phones. Killed and removed when dropped.
#[derive(Debug)]
pub(crate) struct Town {
    /// Before the folder: it is removed when nobody writes into it.
    server: Running,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Town {
    /// A new server with these `settings` (the text of server.toml) that answers on loopback.
    pub(crate) fn found(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (data, roots) = (folder.path().join("data"), folder.path().join("roots"));
        let mut init = program("bhyt-server");
        init.arg("init").arg("--data").arg(&data).arg("--root-keys").arg(&roots).stdout(Stdio::null());
        assert!(init.status().expect("bhyt-server runs").success(), "bhyt-server init");
        fs::write(data.join("server.toml"), settings).expect("settings are written");
        let (server, address) = serve(folder.path());
        Self { server, address, folder }
    }

    /// Kills the server, and starts it again on another port.
    pub(crate) fn restart(&mut self) {
        self.server.kill();
        (self.server, self.address) = serve(self.folder.path());
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's process.
    pub(crate) fn server(&self) -> u32 {
        self.server.id()
    }

    /// A place of this name, for a phone.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the trust bundle lies.
    pub(crate) fn trust_file(&self) -> PathBuf {
        self.folder.path().join("data/trust.cose")
    }

    /// The bytes of the trust bundle.
    pub(crate) fn trust(&self) -> Vec<u8> {
        fs::read(self.trust_file()).expect("a trust bundle")
    }

    /// The key that the server proves.
    pub(crate) fn server_key(&self) -> PeerKey {
        let trust = anchor(&self.trust()).expect("our own bundle");
        (&trust.claims().keys_for(KeyUse::Transport).next().expect("a transport key").key).into()
    }

    /// The first operator, connected.
    pub(crate) async fn operator(&self) -> Operator {
        let usage = KeyUsage::new("operator").expect("a usage");
        let secret = read_key_file(&self.folder.path().join("roots/operator.key"), usage);
        let key = TransportKey::from_seed(secret.expect("an operator key").as_bytes());
        let client = Client::bind(None).expect("a socket");
        let settings = ClientSettings::terminal();
        let connected = client.connect(self.address, self.server_key(), &key, &settings).await;
        let connected = connected.expect("the server answers");
        let exchange = connected.connection.open_exchange().await.expect("an exchange");
        let line =
            Arc::new(Line { connection: connected.connection, _news: connected.news, _client: client });
        Operator { exchange, entropy: entropy(), line }
    }
}

/// An operator: an exchange, in which one request follows the other.
#[derive(Debug)]
pub(crate) struct Operator {
    exchange: Exchange,
    entropy: OsEntropy,
    line: Arc<Line>,
}

/// The connection; open while somebody has it.
#[derive(Debug)]
struct Line {
    connection: ClientConnection,
    _news: News,
    _client: Client,
}

impl Operator {
    /// Another exchange of the same operator, for what goes on beside.
    pub(crate) async fn another_hand(&self) -> Self {
        let exchange = self.line.connection.open_exchange().await.expect("an exchange");
        Self { exchange, entropy: entropy(), line: self.line.clone() }
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn send(&mut self, command: AdminCommand) -> AdminReply {
        self.begin(command).await;
        self.end().await
    }

    /// Sends a command. [`Self::end`] has to follow.
    pub(crate) async fn begin(&mut self, command: AdminCommand) {
        let operation = OperationId(make_bytes(&self.entropy));
        let request = Request::Admin(AdminRequest { operation, command });
        let frame = codec::encode(&request).expect("a frame");
        self.exchange.send(&frame).await.expect("the server takes it");
    }

    /// Waits for the answer.
    pub(crate) async fn end(&mut self) -> AdminReply {
        let Reply::Admin(reply) = self.receive().await else { panic!("not an answer to an operator") };
        assert_eq!(self.receive().await, Reply::Done);
        reply
    }

    /// Registers members.
    pub(crate) async fn register(&mut self, members: Range<u64>) {
        let rows: Vec<_> = members.map(member_row).collect();
        for rows in rows.chunks(IMPORT_ROWS_MAX) {
            self.import(AdminCommand::ImportMembers(rows.to_vec())).await;
        }
    }

    /// Issues the first card of members.
    pub(crate) async fn issue_first(&mut self, members: Range<u64>) {
        let rows: Vec<_> = members.map(|member| card_row(member, 0)).collect();
        for rows in rows.chunks(IMPORT_ROWS_MAX) {
            self.import(AdminCommand::ImportCards(rows.to_vec())).await;
        }
    }

    /// A one-time code for a phone of a member.
    pub(crate) async fn device_code(&mut self, member: u64) -> String {
        match self.send(AdminCommand::MakeDeviceCode(alias(member))).await {
            AdminReply::OneTimeCode { code, .. } => code,
            other => panic!("no code: {other:?}"),
        }
    }

    /// Connections that the server has now, ours among them.
    pub(crate) async fn connections(&mut self) -> u64 {
        match self.send(AdminCommand::ShowStatus).await {
            AdminReply::Status(status) => status.connections,
            other => panic!("no status: {other:?}"),
        }
    }

    async fn import(&mut self, command: AdminCommand) {
        let reply = self.send(command).await;
        let stored = |outcome: &RowOutcome| *outcome == RowOutcome::Stored;
        assert!(matches!(&reply, AdminReply::Rows(rows) if rows.iter().all(stored)), "{reply:?}");
    }

    async fn receive(&mut self) -> Reply {
        let frame = self.exchange.receive(FRAME_BYTES_MAX, Duration::from_secs(60)).await;
        codec::decode(&frame.expect("the server answers").expect("an answer")).expect("a reply")
    }
}

/// Settings of a server on which one machine plays many: nothing else is changed.
pub(crate) const OPEN_DOORS: &str = "
log = 'error'
[limits]
connections_per_address = 1000000
arrivals_per_second = 1000000
arrivals_burst = 1000000
exchanges_per_second = 1000000
exchanges_burst = 1000000
";

/// The mã số BHXH of a member.
pub(crate) fn alias(member: u64) -> String {
    format!("99{member:08}")
}

/// The n-th card of a member; n is below 676.
pub(crate) fn card_row(member: u64, n: u8) -> CardRow {
    let letter = |n: u8| char::from(b'A' + n % 26);
    CardRow {
        member: alias(member),
        number: format!("{}{}499{}", letter(n / 26), letter(n), alias(member)),
        level: "4".into(),
        facility: "99024".into(),
        from: "2026-01-01".into(),
        to: String::new(),
        five_years: "2025-06-01".into(),
        area: "K1".into(),
    }
}

pub(crate) fn member_row(member: u64) -> MemberRow {
    MemberRow {
        member_id: alias(member),
        full_name: "Nguyễn Văn Mẫu An".into(),
        birth_date: "05/03/1994".into(),
        sex: "M".into(),
        ..MemberRow::default()
    }
}

fn serve(folder: &Path) -> (Running, SocketAddr) {
    let (data, ready) = (folder.join("data"), folder.join("ready"));
    // There is one after a restart.
    let _ = fs::remove_file(&ready);
    let mut serve = program("bhyt-server");
    serve.arg("serve").arg("--data").arg(&data).arg("--ready-file").arg(&ready);
    serve.args(["--listen", "127.0.0.1:0"]).env("BHYT_LOG", "error");
    let server = Running::start(&mut serve);
    (server, wait_for_address(&ready))
}

fn entropy() -> OsEntropy {
    OsEntropy::open().expect("randomness")
}

fn wait_for_address(ready: &Path) -> SocketAddr {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Some(address) = fs::read_to_string(ready).ok().and_then(|text| text.trim().parse().ok()) {
            return address;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the server was not ready in 20 s")
}
