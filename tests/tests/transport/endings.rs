//! How connections begin, move and end, and what each side learns of it.

use super::*;

#[tokio::test]
async fn a_client_is_connected_with_the_hello_and_its_key_is_known() {
    let world = World::new();
    let dialling = world.dial(1);
    tokio::pin!(dialling);
    let arrival = tokio::select! {
        biased;
        arrival = world.arrival() => arrival,
        connected = &mut dialling => panic!("connected without a Hello: {connected:?}"),
    };
    assert_eq!(arrival.peer_key(), key(1).public_key());
    assert!(timeout(Duration::from_millis(50), &mut dialling).await.is_err());
    let server = arrival.welcome(b"hello").await.unwrap();
    let connected = timeout(PATIENCE, dialling).await.unwrap().unwrap();
    assert_eq!(connected.hello, b"hello");
    assert_eq!(world.listener.counts().connections_open, 1);
    check_echo(&connected.connection, &server, b"question").await;
}

#[tokio::test]
async fn a_server_with_another_key_is_not_spoken_to() {
    let world = World::new();
    let address = world.listener.local_address();
    let connected =
        world.client.connect(address, key(99).public_key(), &key(1), &ClientSettings::phone()).await;
    assert!(matches!(connected, Err(TransportError::WrongServerKey)), "{connected:?}");
}

#[tokio::test]
async fn nobody_there_is_a_time_out() {
    let world = World::new();
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let settings = ClientSettings { connect_within: Duration::from_millis(200), ..ClientSettings::phone() };
    let connected =
        world.client.connect(silent.local_addr().unwrap(), world.server_key, &key(1), &settings).await;
    assert!(matches!(connected, Err(TransportError::TimedOut { .. })), "{connected:?}");
}

#[tokio::test]
async fn a_stranger_is_told_so_instead_of_a_hello() {
    let world = World::new();
    let refusing = async { world.arrival().await.refuse(CloseCode::Stranger) };
    let (connected, ()) = tokio::join!(world.dial(1), refusing);
    match connected {
        Err(TransportError::Refused { code }) => assert_eq!(code, CloseCode::Stranger),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_has_a_question_at_hand_asks_before_the_hello() {
    let world = World::new();
    let opened = world.open(1).await;
    let mut asked = opened.connection().open_exchange().await.unwrap();
    asked.send(b"anything new?").await.unwrap();
    asked.finish().unwrap();
    let arrival = world.arrival().await;
    let server = arrival.welcome(b"hello").await.unwrap();
    let mut seen = server.accept_exchange().await.unwrap();
    assert_eq!(seen.receive(100, PATIENCE).await.unwrap().as_deref(), Some(&b"anything new?"[..]));
    seen.send(b"no").await.unwrap();
    assert_eq!(asked.receive(100, PATIENCE).await.unwrap().as_deref(), Some(&b"no"[..]));
    assert_eq!(opened.welcomed().await.unwrap().hello, b"hello");
}

#[tokio::test]
async fn a_question_before_the_hello_of_a_server_that_refuses_is_not_answered_and_the_refusal_is_told() {
    let world = World::new();
    let opened = world.open(1).await;
    let mut asked = opened.connection().open_exchange().await.unwrap();
    asked.send(b"anything new?").await.unwrap();
    world.arrival().await.refuse(CloseCode::Retired);
    let answer = asked.receive(100, PATIENCE).await;
    assert!(matches!(answer, Err(TransportError::Closed { .. })), "{answer:?}");
    match opened.welcomed().await {
        Err(TransportError::Refused { code }) => assert_eq!(code, CloseCode::Retired),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_hello_that_does_not_come_is_a_time_out_of_the_whole() {
    let world = World::new();
    let settings = ClientSettings { connect_within: Duration::from_millis(300), ..ClientSettings::phone() };
    let address = world.listener.local_address();
    let opened = world.client.open(address, world.server_key, &key(1), &settings).await.unwrap();
    let _silent = world.arrival().await;
    let welcomed = opened.welcomed().await;
    assert!(matches!(welcomed, Err(TransportError::TimedOut { .. })), "{welcomed:?}");
}

#[tokio::test]
async fn a_shutdown_lets_a_running_exchange_finish_and_says_goodbye() {
    let world = World::new();
    let (mut connected, server) = world.pair(1).await;
    let mut asked = connected.connection.open_exchange().await.unwrap();
    asked.send(b"question").await.unwrap();
    let mut seen = server.accept_exchange().await.unwrap();
    seen.receive(100, PATIENCE).await.unwrap();
    let goodbye = CloseCode::Goodbye { retry_after: Duration::from_secs(42) };
    let answering = async {
        let mut late = connected.connection.open_exchange().await.unwrap();
        late.send(b"one more").await.unwrap();
        let refusing = timeout(SECOND, server.accept_exchange());
        let (refused, late) = tokio::join!(late.receive(100, PATIENCE), refusing);
        assert_refused(refused, RefuseCode::Stopping);
        assert!(late.is_err());
        let refused = world.dial(2).await;
        assert!(matches!(refused, Err(TransportError::Refused { code: CloseCode::Busy { .. } })));
        seen.send(b"answer").await.unwrap();
        let (delivered, answer) = tokio::join!(seen.delivered(PATIENCE), asked.receive(100, PATIENCE));
        delivered.unwrap();
        assert_eq!(answer.unwrap().as_deref(), Some(&b"answer"[..]));
        drop(seen);
    };
    tokio::join!(world.listener.shutdown(goodbye, PATIENCE), answering);
    let ended = connected.news.next(100).await.unwrap_err();
    assert_eq!(ended.close_reason(), Some(CloseReason::Peer(goodbye)));
    assert_eq!(connected.connection.closed().await, CloseReason::Peer(goodbye));
    assert!(world.listener.accept().await.is_none());
}

#[tokio::test]
async fn a_retired_key_is_closed_wherever_it_is_connected() {
    let world = World::new();
    let (first, _first_seen) = world.pair(1).await;
    let (second, _second_seen) = world.pair(1).await;
    let (other, other_seen) = world.pair(2).await;
    assert_eq!(world.listener.close_key(&key(1).public_key(), CloseCode::Retired), 2);
    for connected in [first, second] {
        assert_eq!(connected.connection.closed().await, CloseReason::Peer(CloseCode::Retired));
    }
    check_echo(&other.connection, &other_seen, b"still here").await;
}

#[tokio::test]
async fn a_change_of_network_keeps_the_connection() {
    let world = World::new();
    let (connected, server) = world.pair(1).await;
    let before = server.remote_address();
    world.client.rebind().unwrap();
    check_echo(&connected.connection, &server, b"from the new address").await;
    assert_ne!(server.remote_address(), before);
    check_echo(&connected.connection, &server, b"and again").await;
    assert_eq!(server.peer_key(), key(1).public_key());
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_to_leave() {
    let world = World::new();
    let (connected, server) = world.pair(1).await;
    connected.connection.close(CloseCode::Done);
    assert_eq!(server.closed().await, CloseReason::Peer(CloseCode::Done));
    let accepted = server.accept_exchange().await.unwrap_err();
    assert_eq!(accepted.close_reason(), Some(CloseReason::Peer(CloseCode::Done)));
    assert_eq!(world.listener.counts().connections_open, 0);
}

#[tokio::test]
async fn one_socket_serves_both_address_families() {
    let listen = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0));
    let limits = ServerLimits::default();
    let config = ServerConfig { listen, families: Families::Both, key: server_key(), limits };
    let listener = Listener::bind(&config).unwrap();
    let port = listener.local_address().port();
    let client = Client::bind(None).unwrap();
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)] {
        let (pin, phone, settings) = (server_key().public_key(), key(1), ClientSettings::phone());
        let dialling = client.connect(SocketAddr::new(ip, port), pin, &phone, &settings);
        let welcoming = async { listener.accept().await.unwrap().welcome(b"hello").await.unwrap() };
        let (connected, server) = tokio::join!(dialling, welcoming);
        assert_eq!(connected.unwrap().connection.remote_address().ip(), ip);
        assert_eq!(server.remote_address().ip(), ip);
    }
}

/// The server's process dies without a word and comes back at the same address with the same key.
#[test]
fn a_restarted_server_tells_its_former_clients_at_once() {
    let start = |listen: SocketAddr| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let limits = ServerLimits::default();
        let config = ServerConfig { listen, families: Families::OfAddress, key: server_key(), limits };
        let listener = runtime.block_on(async { Listener::bind(&config).unwrap() });
        let address = listener.local_address();
        runtime.spawn(async move {
            let mut open = Vec::new();
            while let Some(arrival) = listener.accept().await {
                open.push(arrival.welcome(b"hello").await);
            }
        });
        (runtime, address)
    };
    // An address of its own: no other test takes the port between the two lives.
    let (first_life, address) = start(SocketAddr::from(([127, 0, 0, 3], 0)));
    let phone = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings = ClientSettings { keep_alive: Some(Duration::from_millis(200)), ..ClientSettings::phone() };
    let connected = phone
        .block_on(async {
            let client = Client::bind(None)?;
            client.connect(address, server_key().public_key(), &key(1), &settings).await
        })
        .unwrap();
    drop(first_life);
    let (_second_life, _) = start(address);
    let reason = phone.block_on(async { timeout(PATIENCE, connected.connection.closed()).await });
    assert_eq!(reason.unwrap(), CloseReason::Forgotten);
}

#[tokio::test]
async fn silence_ends_a_connection_unless_signs_of_life_keep_it() {
    let world = World::new();
    let quiet = ClientSettings { keep_alive: None, idle: SECOND, ..ClientSettings::phone() };
    let lively = ClientSettings { keep_alive: Some(SECOND / 5), ..quiet };
    let mut open = Vec::new();
    for settings in [quiet, lively] {
        let (address, phone) = (world.listener.local_address(), key(1));
        let dialling = world.client.connect(address, world.server_key, &phone, &settings);
        let welcoming = async { world.arrival().await.welcome(b"hello").await.unwrap() };
        let (connected, server) = tokio::join!(dialling, welcoming);
        open.push((connected.unwrap(), server));
    }
    let [(quiet, quiet_seen), (lively, lively_seen)] = <[_; 2]>::try_from(open).unwrap();
    let both = async { tokio::join!(quiet.connection.closed(), quiet_seen.closed()) };
    let ended = timeout(PATIENCE, both).await.unwrap();
    assert_eq!(ended, (CloseReason::Silent, CloseReason::Silent));
    check_echo(&lively.connection, &lively_seen, b"still here").await;
}
