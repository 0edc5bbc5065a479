//! An operator: commands over QUIC with the operator key, as `bhyt-server admin` sends them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bhyt_core::codec;
use bhyt_core::ids::OperationId;
use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest, CardRow, MemberRow, RowOutcome};
use bhyt_core::sync::messages::{Refusal, Reply, Request};
use bhyt_core::trust::{KeyUse, anchor};
use bhyt_platform::entropy::{OsEntropy, make_bytes};
use bhyt_platform::key_file::{KeyUsage, read_key_file};
use bhyt_platform::quic::{Client, ClientConnection, ClientSettings, TransportKey};

/// An operator with a connection.
#[derive(Debug)]
pub struct Operator {
    connection: ClientConnection,
    _client: Client,
}

impl Operator {
    /// Connects with the key in a file, pinning the server's key from a trust file.
    pub async fn connect(server: SocketAddr, trust: &Path, key: &Path) -> Self {
        let trust = anchor(&std::fs::read(trust).expect("a trust file")).expect("a trust bundle");
        let pin = trust.claims().keys_for(KeyUse::Transport).next().expect("a transport key").key;
        let usage = KeyUsage::new("operator").expect("a usage");
        let secret = read_key_file(key, usage).expect("an operator key");
        let key = TransportKey::from_seed(secret.as_bytes());
        let client = Client::bind(None).expect("a socket");
        let connected = client.connect(server, (&pin).into(), &key, &ClientSettings::terminal()).await;
        Self { connection: connected.expect("the server answers").connection, _client: client }
    }

    /// Sends a command as an operation of its own.
    pub async fn send(&self, command: AdminCommand) -> Result<AdminReply, Refusal> {
        let operation = OperationId(make_bytes(&OsEntropy::open().expect("entropy")));
        self.send_as(operation, command).await
    }

    /// Sends a command; `None` when the line breaks.
    pub async fn try_send(&self, command: AdminCommand) -> Option<Result<AdminReply, Refusal>> {
        let operation = OperationId(make_bytes(&OsEntropy::open().expect("entropy")));
        let request = Request::Admin(AdminRequest { operation, command });
        let mut exchange = self.connection.open_exchange().await.ok()?;
        exchange.send(&codec::encode(&request).expect("a frame")).await.ok()?;
        exchange.finish().ok()?;
        let frame = exchange.receive(FRAME_BYTES_MAX, Duration::from_secs(20)).await.ok()??;
        match codec::decode::<Reply>(&frame).expect("a reply") {
            Reply::Admin(reply) => Some(Ok(reply)),
            Reply::Refused(refusal) => Some(Err(refusal)),
            other => panic!("not an answer to an operator: {other:?}"),
        }
    }

    /// Sends a command as this operation.
    pub async fn send_as(
        &self,
        operation: OperationId,
        command: AdminCommand,
    ) -> Result<AdminReply, Refusal> {
        let request = Request::Admin(AdminRequest { operation, command });
        let mut exchange = self.connection.open_exchange().await.expect("an exchange");
        exchange.send(&codec::encode(&request).expect("a frame")).await.expect("sent");
        exchange.finish().expect("finished");
        let frame = exchange.receive(FRAME_BYTES_MAX, Duration::from_secs(20)).await.expect("an answer");
        match codec::decode::<Reply>(&frame.expect("an answer")).expect("a reply") {
            Reply::Admin(reply) => Ok(reply),
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("not an answer to an operator: {other:?}"),
        }
    }

    /// Takes a backup into a file.
    pub async fn back_up(&self, path: &Path) {
        let bytes = self.try_back_up().await.expect("a backup");
        std::fs::write(path, bytes).expect("the backup is kept");
    }

    /// Takes a backup.
    pub async fn try_back_up(&self) -> Result<Vec<u8>, Refusal> {
        let operation = OperationId(make_bytes(&OsEntropy::open().expect("entropy")));
        let request = Request::Admin(AdminRequest { operation, command: AdminCommand::Backup });
        let mut exchange = self.connection.open_exchange().await.expect("an exchange");
        exchange.send(&codec::encode(&request).expect("a frame")).await.expect("sent");
        exchange.finish().expect("finished");
        let mut bytes = Vec::new();
        loop {
            let frame = exchange.receive(FRAME_BYTES_MAX, Duration::from_secs(20)).await.expect("an answer");
            match codec::decode::<Reply>(&frame.expect("an answer")).expect("a reply") {
                Reply::Admin(AdminReply::Backup(piece)) => bytes.extend(piece),
                Reply::Done => return Ok(bytes),
                Reply::Refused(refusal) => return Err(refusal),
                other => panic!("not a backup: {other:?}"),
            }
        }
    }

    /// Registers a synthetic member.
    pub async fn register(&self, number: &str, name: &str) {
        let row = MemberRow {
            member_id: number.into(),
            full_name: name.into(),
            birth_date: "05/03/1994".into(),
            sex: "F".into(),
            ..MemberRow::default()
        };
        let reply = self.send(AdminCommand::ImportMembers(vec![row])).await;
        assert!(
            matches!(&reply, Ok(AdminReply::Rows(rows)) if rows[..] == [RowOutcome::Stored]),
            "{reply:?}"
        );
    }

    /// Issues a card that must be taken.
    pub async fn issue(&self, row: CardRow) {
        let reply = self.send(AdminCommand::IssueCard(row)).await;
        assert!(matches!(reply, Ok(AdminReply::Applied(_))), "{reply:?}");
    }

    /// A one-time code for a member's phone.
    pub async fn device_code(&self, member: &str) -> String {
        self.code(AdminCommand::MakeDeviceCode(member.into())).await
    }

    /// A one-time token for a terminal at a facility.
    pub async fn terminal_token(&self, facility: &str) -> String {
        self.code(AdminCommand::MakeTerminalToken(facility.into())).await
    }

    async fn code(&self, command: AdminCommand) -> String {
        match self.send(command).await {
            Ok(AdminReply::OneTimeCode { code, .. }) => code,
            other => panic!("no code: {other:?}"),
        }
    }
}

/// A card of level 4 at facility 99024, valid from `from`.
pub fn card_row(member: &str, number: &str, from: &str, to: &str) -> CardRow {
    CardRow {
        member: member.into(),
        number: number.into(),
        level: "4".into(),
        facility: "99024".into(),
        from: from.into(),
        to: to.into(),
        five_years: "2025-06-01".into(),
        area: "K1".into(),
    }
}
