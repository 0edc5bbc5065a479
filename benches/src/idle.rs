//! What a phone costs a server while nothing happens: a connection that follows a member, beside one of bare quinn.

use std::net::SocketAddr;
use std::time::Duration;

use bhyt_core::codec;
use bhyt_core::feed::{Epoch, Extent};
use bhyt_core::ids::MemberId;
use bhyt_core::keys::SecretKey;
use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_core::merkle::TreeHash;
use bhyt_core::presentation::UnsignedProof;
use bhyt_core::sync::messages::{
    Activate, Follow, MemberCursor, ProofBytes, Reply, Request, SyncWallet, state_digest,
};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::anchor;
use bhyt_platform::clock::{Clock as _, SystemClock};
use bhyt_platform::quic::{
    Client, ClientConnection, ClientSettings, CloseCode, Connected, Exchange, News, PeerKey, TransportKey,
};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::bare;
use crate::child::Memory;
use crate::figure::{Figure, Goal, Promise};
use crate::plot::Panel;
use crate::run::{Group, Run};
use crate::town::{OPEN_DOORS, Operator, Town, alias};

/// `server.idle_connection_ratio`.
pub(crate) const IDLE: &Group = &Group { promises: &[CONNECTION_RATIO], measure: idle };

fn idle(run: &mut Run) {
    let phones = run.scale.of(5_000);
    run.say(&format!("idle: {phones} phones are activated"));
    let mut town = Town::found(&format!("{OPEN_DOORS}idle_seconds = 3600\n"));
    crate::block_on(async {
        let mut operator = town.operator().await;
        operator.register(0..phones).await;
        operator.issue_first(0..phones).await;
        let devices = activate_all(&town, &operator, phones).await;
        // A process that has done nothing else yet.
        town.restart();
        let ours = Server { process: town.server(), address: town.address() };
        let (process, address) = bare::start_server();
        let bare = Server { process: process.id(), address };
        compare(run, &town, &devices, ours, bare).await;
        drop(process);
    });
}

async fn compare(run: &mut Run, town: &Town, devices: &[Device], ours: Server, bare: Server) {
    let mut operator = town.operator().await;
    run.say("idle: each of them comes and goes once");
    let way = Way::new(town);
    let (client, config) = (bare::client(), |seed: u64| bare::client_config(&seed_of(seed), IDLE_FOR));
    for (n, device) in (0..).zip(devices) {
        way.subscribe(device, Follow::Once).await.close();
        bare::connect_and_echo(&client, &config(n), bare.address).await.close(0_u32.into(), b"");
    }
    settle().await;
    run.say("idle: all of them come and stay");
    let (ours_before, bare_before) = (ours.bytes(), bare.bytes());
    let (mut stay, mut bare_stay) = (Vec::new(), Vec::new());
    for (step, devices) in devices.chunks(devices.len().div_ceil(STEPS)).enumerate() {
        for (n, device) in (0..).zip(devices) {
            stay.push(way.subscribe(device, Follow::Stay).await);
            let seed = (step * STEPS + n) as u64;
            bare_stay.push(bare::connect_and_echo(&client, &config(seed), bare.address).await);
        }
        settle().await;
        let (ours, bare) = (ours.bytes() - ours_before, bare.bytes() - bare_before);
        run.point(Panel::Memory, "subscribed phones", stay.len() as f64, ours / 1e6);
        run.point(Panel::Memory, "bare quinn", stay.len() as f64, bare / 1e6);
        run.say(&format!("idle: {} connections, {ours} and {bare} bytes", stay.len()));
    }
    let (ours, limit) = (ours.bytes() - ours_before, bare.bytes() - bare_before);
    assert_eq!(operator.connections().await, stay.len() as u64 + 1, "all of them stay");
    run.found(Figure::ratio(&CONNECTION_RATIO, ours / limit, limit / stay.len() as f64));
}

/// A process that holds connections.
#[derive(Clone, Copy, Debug)]
struct Server {
    process: u32,
    address: SocketAddr,
}

impl Server {
    fn bytes(&self) -> f64 {
        Memory::of(self.process).expect("the server runs").bytes as f64
    }
}

/// A phone without stores: what the server sees of one.
#[derive(Clone, Debug)]
struct Device {
    key: TransportKey,
    member: MemberId,
}

/// How phones reach the server.
#[derive(Clone, Debug)]
struct Way {
    client: Client,
    server: SocketAddr,
    pin: PeerKey,
    trust: u64,
}

impl Way {
    fn new(town: &Town) -> Self {
        let trust = anchor(&town.trust()).expect("our own bundle").claims().version;
        let client = Client::bind(None).expect("a socket");
        Self { client, server: town.address(), pin: town.server_key(), trust }
    }

    /// A phone that asks for everything of its member.
    async fn subscribe(&self, device: &Device, follow: Follow) -> Staying {
        let connected = self.connect(&device.key).await;
        let nothing = Extent { epoch: Epoch(0), size: 0 };
        let state = state_digest(&TreeHash::of_empty_tree().0, []);
        let cursor = MemberCursor { member: device.member, extent: nothing, state };
        let sync = SyncWallet { trust: self.trust, members: vec![cursor], follow };
        let replies = ask(&connected.connection, Request::SyncWallet(sync)).await;
        assert!(
            matches!(replies[..], [Reply::Feed(_), Reply::Credentials { .. }, Reply::Done]),
            "{replies:?}"
        );
        Staying { connection: connected.connection, _news: connected.news }
    }

    async fn activate(&self, number: u64, code: String) -> Device {
        let key = TransportKey::from_seed(&seed_of(number));
        let presentation = SecretKey::from_seed(&seed_of(number));
        let proof = UnsignedProof { time: now(), nonce: [0; 4], challenge: None };
        let signature = presentation.sign(&proof.to_be_signed(key.public_key().as_bytes()));
        let request = Request::from(Activate {
            alias: alias(number),
            code,
            presentation_key: presentation.public_key().into(),
            possession: ProofBytes::from(&proof.seal(signature)),
        });
        let connected = self.connect(&key).await;
        let replies = ask(&connected.connection, request).await;
        connected.connection.close(CloseCode::Done);
        let Some(Reply::Activated(member)) = replies.first() else { panic!("not activated: {replies:?}") };
        Device { key, member: *member }
    }

    async fn connect(&self, key: &TransportKey) -> Connected {
        let settings = ClientSettings { keep_alive: None, idle: IDLE_FOR, ..ClientSettings::phone() };
        self.client.connect(self.server, self.pin, key, &settings).await.expect("the server answers")
    }
}

/// A connection that is kept.
#[derive(Debug)]
struct Staying {
    connection: ClientConnection,
    _news: News,
}

impl Staying {
    fn close(self) {
        self.connection.close(CloseCode::Done);
    }
}

/// Activates a phone for each member, several at a time: the server joins what waits into one commit.
async fn activate_all(town: &Town, operator: &Operator, phones: u64) -> Vec<Device> {
    let way = Way::new(town);
    let mut hands = JoinSet::new();
    for hand in 0..HANDS {
        let (way, mut operator) = (way.clone(), operator.another_hand().await);
        hands.spawn(async move {
            let mut devices = Vec::new();
            for member in (hand..phones).step_by(HANDS as usize) {
                let code = operator.device_code(member).await;
                devices.push(way.activate(member, code).await);
            }
            devices
        });
    }
    hands.join_all().await.concat()
}

async fn ask(connection: &ClientConnection, request: Request) -> Vec<Reply> {
    let mut exchange: Exchange = connection.open_exchange().await.expect("an exchange");
    exchange.send(&codec::encode(&request).expect("a frame")).await.expect("the server takes it");
    exchange.finish().expect("not finished yet");
    let mut replies = Vec::new();
    while let Some(frame) = exchange.receive(FRAME_BYTES_MAX, PATIENCE).await.expect("an answer") {
        replies.push(codec::decode(&frame).expect("a reply"));
    }
    replies
}

fn seed_of(number: u64) -> [u8; 32] {
    let mut seed = [0x5e; 32];
    seed.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    seed
}

fn now() -> UnixSeconds {
    SystemClock.now()
}

/// Connections that were closed are forgotten after three times the longest wait for a packet.
async fn settle() {
    sleep(Duration::from_secs(2)).await;
}

const HANDS: u64 = 6;
const STEPS: usize = 5;
/// Longer than any measurement, and the most that a server may be set to.
const IDLE_FOR: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(60);

const CONNECTION_RATIO: Promise = Promise {
    id: "server.idle_connection_ratio",
    unit: "ratio",
    limit_unit: "bytes",
    goal: Goal::AtMost(1.3),
    how: "5,000 phones, each with a key and a member of its own, subscribe to a real server process that was just started; \
          5,000 clients of bare quinn, after 64 bytes echoed, stay with another process of the same transport settings, one \
          after the other in turn. Growth of the resident memory of one process ÷ growth of the other. Each phone came and \
          went once before, so that caches are warm on both sides.",
    cause: "",
};
