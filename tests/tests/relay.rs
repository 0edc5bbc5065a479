//! The bad network itself: what it does to datagrams is what its weather says, and our programs come through it.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use bhyt_sdk::Event;
use bhyt_tests::operator::card_row;
use bhyt_tests::people::Town;
use bhyt_tests::relay::Relay;
use bhyt_tests::server::{any_port, block_on};
use bhyt_tests::weather::Weather;

const MEMBER: &str = "9900000017";
const CARD: &str = "DN4999900000017";
const SEED: u64 = 20_261_124;

#[test]
fn datagrams_go_there_and_back_unchanged() {
    let (server, relay) = (socket(), |server: &UdpSocket| Relay::start(address(server), Weather::FAIR, SEED));
    let relay = relay(&server);
    let (first, second) = (socket(), socket());
    first.send_to(b"from the first", relay.address()).unwrap();
    let (there, of_first) = received(&server).unwrap();
    assert_eq!(there, b"from the first");
    second.send_to(b"from the second", relay.address()).unwrap();
    let (_, of_second) = received(&server).unwrap();
    assert_ne!(of_first, of_second, "each client has an address of its own");
    server.send_to(b"to the second", of_second).unwrap();
    server.send_to(b"to the first", of_first).unwrap();
    assert_eq!(received(&first).unwrap().0, b"to the first");
    assert_eq!(received(&second).unwrap().0, b"to the second");
    assert_eq!(relay.counts().lost, 0);
    assert_eq!(relay.counts().clients, 2);
}

#[test]
fn a_cut_line_hands_nothing_on_and_a_mended_one_does() {
    let server = socket();
    let relay = Relay::start(address(&server), Weather::FAIR, SEED);
    let client = socket();
    relay.cut();
    client.send_to(b"lost", relay.address()).unwrap();
    while relay.counts().lost < 1 {
        std::thread::yield_now();
    }
    relay.mend();
    client.send_to(b"arrives", relay.address()).unwrap();
    assert_eq!(received(&server).unwrap().0, b"arrives");
}

#[test]
fn a_client_gets_another_address_and_the_server_may_move() {
    let (server, moved) = (socket(), socket());
    let relay = Relay::start(address(&server), Weather::FAIR, SEED);
    let client = socket();
    let seen = || {
        client.send_to(b"who am I", relay.address()).unwrap();
        received(&server).unwrap().1
    };
    let (before, same) = (seen(), seen());
    assert_eq!(before, same);
    relay.rebind_all();
    let after = seen();
    assert_ne!(before, after);
    assert_eq!(after, seen());
    server.send_to(b"to the new address", after).unwrap();
    assert_eq!(received(&client).unwrap().0, b"to the new address");
    relay.lead_to(address(&moved));
    client.send_to(b"to the new server", relay.address()).unwrap();
    assert_eq!(received(&moved).unwrap().0, b"to the new server");
}

#[test]
fn rough_weather_loses_doubles_and_reorders() {
    let server = socket();
    let weather = Weather { lost: 200, doubled: 200, overtaken: 300, ..Weather::ROUGH };
    let relay = Relay::start(address(&server), weather, SEED);
    let client = socket();
    let mut numbers: Vec<u32> = Vec::new();
    for number in 0..200_u32 {
        client.send_to(&number.to_be_bytes(), relay.address()).unwrap();
    }
    server.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    while let Some((bytes, _)) = received(&server) {
        numbers.push(u32::from_be_bytes(bytes.try_into().unwrap()));
    }
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_ne!(numbers, sorted, "some were overtaken");
    let with_doubles = sorted.len();
    sorted.dedup();
    assert!(sorted.len() < with_doubles, "some came twice");
    assert!((100..200).contains(&sorted.len()), "some were lost: {}", sorted.len());
}

#[test]
fn a_sync_completes_over_a_tenth_lost_and_a_tenth_of_a_second() {
    let town = Town::found();
    let server = town.open();
    let relay = Relay::start(server.address(), Weather::EDGE_OF_COVERAGE, SEED);
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let phone = town.phone(relay.address(), &operator, MEMBER).await;
        phone.wallet.sync().await.expect("a sync goes through");
        assert_eq!(phone.numbers(), [CARD]);
        let desk = town.desk(relay.address(), &operator).await;
        assert!(desk.accepts(&phone.live()));
    });
    let counts = relay.counts();
    assert!(counts.lost > 0, "the line was bad: {counts:?}");
}

#[test]
fn a_connected_phone_gets_its_news_through_rough_weather_and_new_addresses() {
    let town = Town::found();
    let server = town.open();
    let relay = Relay::start(server.address(), Weather::ROUGH, SEED);
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        let phone = town.phone(relay.address(), &operator, MEMBER).await;
        let events = phone.watch();
        events.wait(|event| *event == Event::UpToDate);
        for round in 0..5 {
            // Found by its next sign of life otherwise: the phone sends something from its new address.
            relay.rebind_all();
            phone.wallet.sync().await.expect("over the connection that stays");
            let number = format!("DN49{round}9900000017");
            operator.issue(card_row(MEMBER, &number, "2026-01-01", "")).await;
            events.wait(|event| matches!(event, Event::RecordsChanged { .. }));
        }
        assert_eq!(phone.numbers().len(), 5);
    });
    assert!(relay.counts().rebound >= 5, "{:?}", relay.counts());
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(any_port()).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    socket
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("an address")
}

fn received(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 2_048];
    let (length, from) = socket.recv_from(&mut buffer).ok()?;
    Some((buffer.get(..length)?.to_vec(), from))
}
