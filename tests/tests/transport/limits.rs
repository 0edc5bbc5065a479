//! Limits: whoever takes too much is refused, and nobody else notices.

use super::*;

#[tokio::test]
async fn a_peer_that_takes_nothing_is_given_up() {
    let world = World::with_limits(ServerLimits {
        send_within: Duration::from_millis(200),
        ..ServerLimits::default()
    });
    let (connected, server) = world.pair(1).await;
    let mut asked = connected.connection.open_exchange().await.unwrap();
    asked.send(b"everything, please").await.unwrap();
    let mut seen = server.accept_exchange().await.unwrap();
    seen.receive(100, PATIENCE).await.unwrap();
    let sent = loop {
        match seen.send(&vec![0; FRAME_BYTES_MAX]).await {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(sent, TransportError::SlowPeer { .. }), "{sent:?}");
    check_echo(&connected.connection, &server, b"still here").await;
}

#[tokio::test]
async fn a_client_that_reads_no_news_costs_the_server_a_bounded_wait() {
    let world = World::with_limits(ServerLimits {
        send_within: Duration::from_millis(100),
        ..ServerLimits::default()
    });
    let (connected, server) = world.pair(1).await;
    let pushed = loop {
        match server.push(&[0; 1_000]).await {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(pushed, TransportError::SlowPeer { .. }), "{pushed:?}");
    check_echo(&connected.connection, &server, b"still here").await;
}

#[tokio::test]
async fn a_third_connection_of_a_key_replaces_the_first() {
    let world = World::new();
    let (first, first_seen) = world.pair(1).await;
    let (second, second_seen) = world.pair(1).await;
    let (third, third_seen) = world.pair(1).await;
    assert_eq!(first.connection.closed().await, CloseReason::Peer(CloseCode::Replaced));
    assert!(first_seen.accept_exchange().await.is_err());
    check_echo(&second.connection, &second_seen, b"still here").await;
    check_echo(&third.connection, &third_seen, b"here now").await;
    let counts = world.listener.counts();
    assert_eq!((counts.replaced_total, counts.connections_open), (1, 2));
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_refused_and_others_are_not() {
    let limits = ServerLimits { connections_per_address_max: 2, ..ServerLimits::default() };
    let world = World::with_limits(limits);
    let (_first, first_seen) = world.pair(1).await;
    let (_second, _second_seen) = world.pair(2).await;
    let third = world.dial(3).await;
    assert!(matches!(third, Err(TransportError::Refused { code: CloseCode::Busy { .. } })), "{third:?}");
    let neighbour = Client::bind(Some(IpAddr::from([127, 0, 0, 2]))).unwrap();
    let welcoming = async { world.arrival().await.welcome(b"hello").await };
    let (fourth, _seen) = tokio::join!(world.dial_by(&neighbour, 4), welcoming);
    assert!(fourth.is_ok(), "{fourth:?}");
    drop(first_seen);
    let welcoming = async { world.arrival().await.welcome(b"hello").await };
    let (fifth, _seen) = tokio::join!(world.dial(5), welcoming);
    assert!(fifth.is_ok(), "{fifth:?}");
}

#[tokio::test]
async fn an_address_over_its_rate_is_asked_for_proof_and_then_refused() {
    let limits = ServerLimits { arrivals_per_second: 1, arrivals_burst: 4, ..ServerLimits::default() };
    let world = World::with_limits(limits);
    let mut open = Vec::new();
    let refused = loop {
        let number = open.len() as u8;
        let dialling = world.dial(number);
        tokio::pin!(dialling);
        let arrival = tokio::select! {
            arrival = world.arrival() => arrival,
            refused = &mut dialling => break refused,
        };
        let (connected, seen) = tokio::join!(dialling, arrival.welcome(b"hello"));
        open.push((connected.unwrap(), seen.unwrap()));
    };
    assert!(matches!(refused, Err(TransportError::Refused { code: CloseCode::Busy { .. } })));
    assert!((4..=6).contains(&open.len()), "{}", open.len());
    assert!(world.listener.counts().validated_total >= 2);
}

#[tokio::test]
async fn a_key_over_its_rate_of_exchanges_is_refused_one_by_one() {
    let limits = ServerLimits { exchanges_per_second: 1, exchanges_burst: 3, ..ServerLimits::default() };
    let world = World::with_limits(limits);
    let (connected, server) = world.pair(1).await;
    for _ in 0..3 {
        check_echo(&connected.connection, &server, b"within").await;
    }
    let mut fourth = connected.connection.open_exchange().await.unwrap();
    fourth.send(b"too much").await.unwrap();
    let accepting = timeout(Duration::from_millis(300), server.accept_exchange());
    let (refused, _) = tokio::join!(fourth.receive(100, PATIENCE), accepting);
    assert_refused(refused, RefuseCode::Busy);
    let (other, other_seen) = world.pair(2).await;
    check_echo(&other.connection, &other_seen, b"another key").await;
}

#[tokio::test]
async fn garbage_disturbs_nobody() {
    let world = World::new();
    let (connected, server) = world.pair(1).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for n in 0..4_000_usize {
        let datagram = garbage(&mut seed, n);
        socket.send_to(&datagram, world.listener.local_address()).unwrap();
        if n % 500 == 0 {
            check_echo(&connected.connection, &server, b"still here").await;
        }
    }
    check_echo(&connected.connection, &server, b"still here").await;
    let (other, other_seen) = world.pair(2).await;
    check_echo(&other.connection, &other_seen, b"newly come").await;
    assert!(world.listener.counts().failed_total > 0, "no garbage came as far as a handshake");
}

/// Random bytes; every other one begins like a first packet of QUIC version 1.
fn garbage(seed: &mut u64, n: usize) -> Vec<u8> {
    let mut random = || {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    };
    let size = if n.is_multiple_of(2) { 1_200 } else { 1 + (random() % 1_400) as usize };
    let mut bytes: Vec<u8> = (0..size).map(|_| random() as u8).collect();
    if n.is_multiple_of(2) {
        // RFC 9000 §17.2.2: long header, Initial; version; connection ids of 8 bytes; no token; length.
        bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
        bytes[14] = 8;
        bytes[23] = 0;
        bytes[24..26].copy_from_slice(&[0x44, 0x96]);
    }
    bytes
}
