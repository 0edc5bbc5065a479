//! A phone without stores: what a server sees of one. For figures of many phones, which the SDK with its two stores each
//! would be too much for.

use std::net::SocketAddr;
use std::time::Duration;

use bhyt_core::codec;
use bhyt_core::ids::MemberId;
use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_core::presentation::UnsignedProof;
use bhyt_core::presentation_key::{KeyKind, PresentationSecret};
use bhyt_core::sync::messages::{Activate, ProofBytes, Reply, Request};
use bhyt_platform::clock::{Clock as _, SystemClock};
use bhyt_platform::quic::{
    Client, ClientConnection, ClientSettings, CloseCode, Connected, PeerKey, TransportKey,
};

use crate::chance::Chance;
use crate::town::{Town, alias};

/// How phones reach a server: all from one socket. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    client: Client,
    server: SocketAddr,
    pin: PeerKey,
    settings: ClientSettings,
}

/// A phone that holds a member.
#[derive(Clone, Debug)]
pub(crate) struct Phone {
    pub(crate) key: TransportKey,
    pub(crate) member: MemberId,
}

impl Way {
    /// To the server of this town. Must be called inside a tokio runtime.
    pub(crate) fn new(town: &Town, settings: ClientSettings) -> Self {
        let client = Client::bind(None).expect("a socket");
        Self { client, server: town.address(), pin: town.server_key(), settings }
    }

    /// A connection of the holder of `key`, with its Hello.
    pub(crate) async fn connect(&self, key: &TransportKey) -> Connected {
        let connected = self.client.connect(self.server, self.pin, key, &self.settings).await;
        connected.expect("the server answers")
    }

    /// Makes a phone of this member, whose keys are the same in every run.
    pub(crate) async fn activate(&self, member: u64, code: String) -> Phone {
        let mut chance = Chance::new(member);
        let key = TransportKey::from_seed(&chance.bytes());
        let secret = PresentationSecret::from_bytes(KeyKind::Ed25519, &chance.bytes()).expect("a key");
        let proof = UnsignedProof { time: SystemClock.now(), nonce: chance.bytes(), challenge: None };
        let signature = secret.sign(&proof.to_be_signed(key.public_key().as_bytes()));
        let request = Request::from(Activate {
            alias: alias(member),
            code,
            presentation_key: secret.public_key(),
            possession: ProofBytes::from(&proof.seal(signature)),
        });
        let connection = self.connect(&key).await.connection;
        let replies = ask(&connection, &request).await;
        connection.close(CloseCode::Done);
        let [Reply::Activated(member), Reply::Done] = replies[..] else {
            panic!("not activated: {replies:?}")
        };
        Phone { key, member }
    }
}

/// One exchange: the whole answer.
pub(crate) async fn ask(connection: &ClientConnection, request: &Request) -> Vec<Reply> {
    let mut exchange = connection.open_exchange().await.expect("an exchange");
    exchange.send(&codec::encode(request).expect("a frame")).await.expect("the server takes it");
    exchange.finish().expect("not finished yet");
    let mut replies = Vec::new();
    while !matches!(replies.last(), Some(Reply::Done | Reply::Refused(_))) {
        let frame = exchange.receive(FRAME_BYTES_MAX, PATIENCE).await.expect("the server answers");
        replies.push(codec::decode(&frame.expect("an answer")).expect("a reply"));
    }
    replies
}

const PATIENCE: Duration = Duration::from_secs(60);
