//! What a phone costs a server while nothing happens: a connection that follows a member, beside one of bare quinn.

use std::net::SocketAddr;
use std::time::Duration;

use bhyt_core::feed::{Epoch, Extent};
use bhyt_core::merkle::TreeHash;
use bhyt_core::sync::messages::{Follow, MemberCursor, Reply, Request, SyncWallet, state_digest};
use bhyt_core::trust::anchor;
use bhyt_platform::quic::{ClientConnection, ClientSettings, CloseCode, News};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::bare;
use crate::child::Memory;
use crate::figure::{Figure, Goal, Promise};
use crate::phone::{Phone, Way, ask};
use crate::plot::Panel;
use crate::run::{Group, Run};
use crate::town::{OPEN_DOORS, Operator, Town};

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
        let phones = activate_all(&town, &operator, phones).await;
        // A process that has done nothing else yet.
        town.restart();
        let ours = Server { process: town.server(), address: town.address() };
        let (process, address) = bare::start_server();
        let bare = Server { process: process.id(), address };
        compare(run, &town, &phones, ours, bare).await;
        drop(process);
    });
}

async fn compare(run: &mut Run, town: &Town, phones: &[Phone], ours: Server, bare: Server) {
    let mut operator = town.operator().await;
    run.say("idle: each of them comes and goes once");
    let (way, trust) =
        (Way::new(town, settings()), anchor(&town.trust()).expect("our own bundle").claims().version);
    let (client, config) = (bare::client(), |seed: u64| bare::client_config(&seed_of(seed), IDLE_FOR));
    for (n, phone) in (0..).zip(phones) {
        subscribe(&way, phone, trust, Follow::Once).await.close();
        bare::connect_and_echo(&client, &config(n), bare.address).await.close(0_u32.into(), b"");
    }
    settle().await;
    run.say("idle: all of them come and stay");
    let (ours_before, bare_before) = (ours.bytes(), bare.bytes());
    let (mut stay, mut bare_stay) = (Vec::new(), Vec::new());
    for phones in phones.chunks(phones.len().div_ceil(STEPS)) {
        for phone in phones {
            let seed = stay.len() as u64;
            stay.push(subscribe(&way, phone, trust, Follow::Stay).await);
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

/// A phone that asks for everything of its member.
async fn subscribe(way: &Way, phone: &Phone, trust: u64, follow: Follow) -> Staying {
    let connected = way.connect(&phone.key).await;
    let nothing = Extent { epoch: Epoch(0), size: 0 };
    let state = state_digest(&TreeHash::of_empty_tree().0, []);
    let cursor = MemberCursor { member: phone.member, extent: nothing, state };
    let sync = SyncWallet { trust, members: vec![cursor], follow };
    let replies = ask(&connected.connection, &Request::SyncWallet(sync)).await;
    assert!(matches!(replies[..], [Reply::Feed(_), Reply::Credentials { .. }, Reply::Done]), "{replies:?}");
    Staying { connection: connected.connection, _news: connected.news }
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
async fn activate_all(town: &Town, operator: &Operator, phones: u64) -> Vec<Phone> {
    let way = Way::new(town, settings());
    let mut hands = JoinSet::new();
    for hand in 0..HANDS {
        let (way, mut operator) = (way.clone(), operator.another_hand().await);
        hands.spawn(async move {
            let mut phones_of_hand = Vec::new();
            for member in (hand..phones).step_by(HANDS as usize) {
                let code = operator.device_code(member).await;
                phones_of_hand.push(way.activate(member, code).await);
            }
            phones_of_hand
        });
    }
    hands.join_all().await.concat()
}

fn settings() -> ClientSettings {
    ClientSettings { keep_alive: None, idle: IDLE_FOR, ..ClientSettings::phone() }
}

fn seed_of(number: u64) -> [u8; 32] {
    let mut seed = [0x5e; 32];
    seed.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    seed
}

/// Connections that were closed are forgotten after three times the longest wait for a packet.
async fn settle() {
    sleep(Duration::from_secs(2)).await;
}

const HANDS: u64 = 6;
const STEPS: usize = 5;
/// Longer than any measurement, and the most that a server may be set to.
const IDLE_FOR: Duration = Duration::from_secs(3_600);

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
