//! Whether a phone notices how many members there are: the same syncs against a server with many and one with few.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bhyt_core::codec;
use bhyt_core::feed::{Epoch, Extent};
use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_core::presentation::UnsignedProof;
use bhyt_core::presentation_key::{KeyKind, PresentationSecret};
use bhyt_core::sync::admin::{AdminCommand, AdminReply, Applied, CardChange};
use bhyt_core::sync::messages::{Activate, Follow, MemberCursor, ProofBytes, Reply, Request, SyncWallet};
use bhyt_platform::clock::{Clock as _, SystemClock};
use bhyt_platform::quic::{Client, ClientConnection, ClientSettings, PeerKey, TransportKey};

use crate::chance::Chance;
use crate::figure::{Figure, Goal, Promise};
use crate::run::{Run, Scale};
use crate::sample::percentile;
use crate::town::{Town, alias, card_row};

/// Phones of members that are spread over all there are, each with its card and one record that it has not seen.
#[derive(Debug)]
pub(crate) struct Phones {
    server: SocketAddr,
    pin: PeerKey,
    phones: Vec<Phone>,
}

#[derive(Debug)]
struct Phone {
    key: TransportKey,
    cursor: MemberCursor,
}

impl Phones {
    /// Activates phones of the first `members` members, who have a card each, and gives each a record.
    pub(crate) fn activate(town: &Town, members: u64, scale: Scale) -> Self {
        let count = scale.of(PHONES).max(20);
        let (server, pin) = (town.address(), town.server_key());
        let phones = crate::block_on(async {
            let mut operator = town.operator().await;
            let client = Arc::new(Client::bind(None).expect("a socket"));
            let mut phones = Vec::new();
            for number in 0..count {
                let member = number * members / count;
                let code = operator.device_code(member).await;
                phones.push(activate(&client, server, pin, member, code).await);
                let number = card_row(member, 0).number;
                let hold = AdminCommand::ChangeCard { number, change: CardChange::Hold };
                assert_eq!(operator.send(hold).await, AdminReply::Applied(Applied::Accepted));
            }
            phones
        });
        Self { server, pin, phones }
    }
}

async fn activate(client: &Client, server: SocketAddr, pin: PeerKey, member: u64, code: String) -> Phone {
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
    let settings = ClientSettings::phone();
    let connected = client.connect(server, pin, &key, &settings).await.expect("the server answers");
    let replies = ask(&connected.connection, &request).await;
    let [Reply::Activated(id), Reply::Done] = replies[..] else { panic!("not activated: {replies:?}") };
    // As if it had the card and nothing after it.
    let cursor = MemberCursor { member: id, extent: Extent { epoch: Epoch(1), size: 1 }, state: [0; 16] };
    Phone { key, cursor }
}

/// Measures both in turn, each phone once.
pub(crate) fn growth(run: &mut Run, many: &Phones, few: &Phones) {
    run.say(&format!("growth: {} phones at each server", many.phones.len()));
    let (mut of_many, mut of_few) = (Vec::new(), Vec::new());
    crate::block_on(async {
        let client = Client::bind(None).expect("a socket");
        for (phone_of_many, phone_of_few) in many.phones.iter().zip(&few.phones) {
            of_many.push(sync(&client, many, phone_of_many).await.as_secs_f64());
            of_few.push(sync(&client, few, phone_of_few).await.as_secs_f64());
        }
    });
    let (slow, limit) = (percentile(&of_many, 99.0), percentile(&of_few, 99.0));
    run.found(Figure::ratio(&GROWTH_RATIO, slow / limit, limit * 1e6));
}

/// From the request on a new connection to the last of the answer.
async fn sync(client: &Client, phones: &Phones, phone: &Phone) -> Duration {
    let settings = ClientSettings::phone();
    let connected = client.connect(phones.server, phones.pin, &phone.key, &settings).await;
    let connected = connected.expect("the server answers");
    let request = SyncWallet { trust: 1, members: vec![phone.cursor], follow: Follow::Once };
    let started = Instant::now();
    let replies = ask(&connected.connection, &Request::SyncWallet(request)).await;
    let took = started.elapsed();
    let [Reply::Feed(feed), Reply::Credentials { .. }, Reply::Done] = &replies[..] else {
        panic!("not one new record: {replies:?}")
    };
    assert_eq!(feed.pages.len(), 1);
    took
}

async fn ask(connection: &ClientConnection, request: &Request) -> Vec<Reply> {
    let mut exchange = connection.open_exchange().await.expect("an exchange");
    exchange.send(&codec::encode(request).expect("a frame")).await.expect("sent");
    exchange.finish().expect("finished");
    let mut replies = Vec::new();
    while !matches!(replies.last(), Some(Reply::Done | Reply::Refused(_))) {
        let frame = exchange.receive(FRAME_BYTES_MAX, Duration::from_secs(20)).await.expect("an answer");
        replies.push(codec::decode(&frame.expect("an answer")).expect("a reply"));
    }
    replies
}

/// Enough that the slowest in a hundred is one of several.
const PHONES: u64 = 1_000;

pub(crate) const GROWTH_RATIO: Promise = Promise {
    id: "server.growth_ratio",
    unit: "ratio",
    limit_unit: "µs",
    goal: Goal::AtMost(1.5),
    how: "p99 of the time from the request to the end of the answer, one new record, on a new connection, of 1,000 phones \
          against a server with 1,000,000 members ÷ as many against one with 10,000, in turn, each phone once. Between \
          its record and its sync the first server imports 100,000 cards, so that nothing of its member is at hand.",
    cause: "",
};
