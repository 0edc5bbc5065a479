//! Handshakes that are begun by the thousand and never finished, from one machine and from many: they are held to their
//! share, an honest client comes in beside them, and nothing of them is left after their time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

/// First packets of this many clients, each of which would begin a handshake of its own.
fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let recorder = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    recorder.set_read_timeout(Some(SECOND)).unwrap();
    let address = recorder.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client =
        runtime.block_on(async { Arc::new(Client::bind(Some(Ipv4Addr::LOCALHOST.into())).unwrap()) });
    for number in 0..count {
        let client = Arc::clone(&client);
        runtime.spawn(async move {
            let settings = ClientSettings { connect_within: PATIENCE, ..ClientSettings::phone() };
            let _ = client.connect(address, server_key().public_key(), &key(number as u8), &settings).await;
        });
    }
    // By the connection id that the client made up (RFC 9000 §17.2: behind flags, version and a length): the same packet
    // comes again while nobody answers it.
    let mut packets = BTreeMap::new();
    let mut bytes = [0; 2_048];
    while packets.len() < count {
        let length = recorder.recv(&mut bytes).expect("packets of clients that wait");
        packets.insert(bytes[6..14].to_vec(), bytes[..length].to_vec());
    }
    runtime.shutdown_background();
    packets.into_values().collect()
}

fn limits() -> ServerLimits {
    ServerLimits {
        handshakes_unproven_max: 64,
        handshakes_max: 128,
        arrivals_burst: 1 << 20,
        arrivals_per_second: 1 << 20,
        handshake_within: 4 * SECOND,
        ..ServerLimits::default()
    }
}

/// Comes in while the flood goes on.
async fn an_honest_client_comes_in(world: &World) {
    let (connected, server) = timeout(PATIENCE, world.pair(1)).await.unwrap();
    check_echo(&connected.connection, &server, b"in spite of everything").await;
}

/// No handshake is held longer than its time.
async fn nothing_is_left(world: &World) {
    let gone = async {
        while world.listener.counts().handshakes_open > 0 {
            tokio::time::sleep(SECOND / 20).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    let counts = world.listener.counts();
    assert_eq!(counts.admitted_total, counts.failed_total + 1, "all but the honest one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_never_finish_are_held_to_their_share() {
    let packets = tokio::task::spawn_blocking(|| first_packets(1_500)).await.unwrap();
    let world = World::with_limits(limits());
    let sockets: Vec<UdpSocket> =
        (1..=50).map(|host| UdpSocket::bind((Ipv4Addr::new(127, 0, 9, host), 0)).unwrap()).collect();
    for (number, packet) in packets.iter().enumerate() {
        sockets[number % sockets.len()].send_to(packet, world.listener.local_address()).unwrap();
        if number % 20 == 0 {
            // The system's buffer is not what is tested.
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(world.listener.counts().handshakes_open <= limits().handshakes_max);
        }
    }
    an_honest_client_comes_in(&world).await;
    let counts = world.listener.counts();
    assert!(counts.admitted_total >= 64, "{counts:?}");
    assert!(counts.validated_total >= 1_000, "the others are asked to prove their address: {counts:?}");
    assert_eq!(counts.ignored_total, 0, "{counts:?}");
    nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_packet_sent_again_and_again_is_one_handshake() {
    let packets = tokio::task::spawn_blocking(|| first_packets(3)).await.unwrap();
    let world = World::with_limits(ServerLimits { handshake_within: SECOND, ..limits() });
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 9, 99), 0)).unwrap();
    let mut sent = 0;
    for number in 0..3_000 {
        let packet = &packets[number % packets.len()];
        sent += packet.len();
        socket.send_to(packet, world.listener.local_address()).unwrap();
        if number % 20 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(world.listener.counts().admitted_total, 3);
    an_honest_client_comes_in(&world).await;
    nothing_is_left(&world).await;
    // RFC 9000 §8.1: no more than three times what came from an address that is not proven.
    socket.set_nonblocking(true).unwrap();
    let mut bytes = [0; 2_048];
    let answered: usize = std::iter::from_fn(|| socket.recv(&mut bytes).ok()).sum();
    assert!(answered > 0 && answered <= 3 * sent, "{answered} bytes for {sent}");
}
