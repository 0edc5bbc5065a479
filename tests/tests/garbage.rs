//! A hundred thousand datagrams of garbage at a real server, while a phone syncs: noise, cut and altered packets, unknown
//! versions, connection ids of others, and every packet of the phone's own, sent again. Nobody is kept waiting, and
//! memory and descriptors are what they were.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, outside #[test]")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bhyt_core::sync::admin::AdminCommand;
use bhyt_tests::dice::Dice;
use bhyt_tests::operator::card_row;
use bhyt_tests::people::Town;
use bhyt_tests::server::block_on;

const DATAGRAMS: usize = 100_000;
/// Datagrams between two syncs of the phone.
const BETWEEN: usize = 4_000;
/// A sync takes milliseconds; this is a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the allocator and the books of addresses may keep; a leak of 200 bytes a datagram would be more.
const GROWTH_BYTES: u64 = 16 * 1024 * 1024;

#[test]
fn a_hundred_thousand_datagrams_of_garbage_disturb_nobody() {
    let seed = 20_261_124;
    println!("seed {seed}");
    let town = Town::found();
    let server = town.open();
    let line = Line::to(server.address());
    let phone = block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register("9900000017", "Nguyễn Thị Thử").await;
        operator.issue(card_row("9900000017", "DN4999900000017", "2026-01-01", "")).await;
        town.phone(line.address, &operator, "9900000017").await
    });
    let attacker = Attacker::new(seed, server.address());
    let mut dice = Dice::new(seed);
    // What a server takes once for the first garbage that it sees.
    attacker.send(&mut dice, &line, BETWEEN);
    sync(&phone.wallet);
    let (memory, descriptors) = (resident_bytes(), descriptors());
    for _ in 0..DATAGRAMS / BETWEEN {
        attacker.send(&mut dice, &line, BETWEEN);
        sync(&phone.wallet);
    }
    assert_eq!(self::descriptors(), descriptors, "descriptors stay what they were");
    let grown = resident_bytes().saturating_sub(memory);
    assert!(grown <= GROWTH_BYTES, "memory grew by {grown} bytes");
    attacker.check_answers();
    let dropped: usize = socket_field(server.address().port(), DROPS).parse().unwrap();
    assert!(dropped * 100 <= DATAGRAMS, "the system kept {dropped} datagrams from the server");
    // Somebody new is served too, and what was garbage is not remembered against anybody.
    block_on(async {
        let operator = town.operator(server.address()).await;
        assert!(operator.send(AdminCommand::ShowStatus).await.is_ok());
        let other = town.phone_named("another", server.address(), &operator, "9900000017").await;
        other.wallet.sync().await.expect("a sync after garbage");
    });
    assert_eq!(phone.numbers(), ["DN4999900000017"]);
}

fn sync(wallet: &bhyt_sdk::Wallet) {
    let began = Instant::now();
    block_on(wallet.sync()).expect("a sync beside garbage");
    assert!(began.elapsed() < PATIENCE, "a sync took {:?}", began.elapsed());
}

/// The phone's line to the server, on which somebody listens.
struct Line {
    address: SocketAddr,
    /// The newest packets of the phone.
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Where they come from, as the server sees it.
    far_end: UdpSocket,
}

impl Line {
    fn to(server: SocketAddr) -> Self {
        let near_end = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let far_end = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        far_end.connect(server).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let line = Self {
            address: near_end.local_addr().unwrap(),
            heard: Arc::clone(&heard),
            far_end: far_end.try_clone().unwrap(),
        };
        let phone = Arc::new(Mutex::new(None));
        let (back, to_phone) =
            ((far_end.try_clone().unwrap(), near_end.try_clone().unwrap()), Arc::clone(&phone));
        // The threads end with the test's process.
        std::thread::spawn(move || {
            let mut bytes = [0; 2_048];
            while let Ok((length, from)) = near_end.recv_from(&mut bytes) {
                *phone.lock().unwrap() = Some(from);
                let _ = far_end.send(&bytes[..length]);
                let mut heard = heard.lock().unwrap();
                heard.push(bytes[..length].to_vec());
                let surplus = heard.len().saturating_sub(HEARD_MAX);
                heard.drain(..surplus);
            }
        });
        std::thread::spawn(move || {
            let (far_end, near_end) = back;
            let mut bytes = [0; 2_048];
            loop {
                let Ok(length) = far_end.recv(&mut bytes) else { continue };
                if let Some(phone) = *to_phone.lock().unwrap() {
                    let _ = near_end.send_to(&bytes[..length], phone);
                }
            }
        });
        line
    }
}

/// Sends garbage from an address of its own.
struct Attacker {
    socket: UdpSocket,
    server: SocketAddr,
    sent_bytes: std::cell::Cell<usize>,
}

impl Attacker {
    fn new(seed: u64, server: SocketAddr) -> Self {
        let host = Ipv4Addr::new(127, 0, 66, 1 + (seed % 200) as u8);
        let socket = UdpSocket::bind((host, 0)).unwrap();
        Self { socket, server, sent_bytes: std::cell::Cell::new(0) }
    }

    fn send(&self, dice: &mut Dice, line: &Line, count: usize) {
        let heard = line.heard.lock().unwrap().clone();
        for number in 0..count {
            let datagram = garbage(dice, &heard);
            if dice.once_in(4) {
                // From where the phone's own packets come.
                line.far_end.send(&datagram).unwrap();
            } else {
                self.sent_bytes.set(self.sent_bytes.get() + datagram.len());
                self.socket.send_to(&datagram, self.server).unwrap();
            }
            if number % 64 == 0 {
                wait_until_taken(self.server.port());
            }
        }
    }

    /// RFC 9000 §8.1: a server that is shown no proof of an address sends it no more than three times what came.
    fn check_answers(&self) {
        self.socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 2_048];
        let answered: usize = std::iter::from_fn(|| self.socket.recv(&mut bytes).ok()).sum();
        assert!(answered <= 3 * self.sent_bytes.get(), "{answered} bytes");
    }
}

/// One of many kinds; `heard` are packets of a phone that is connected.
fn garbage(dice: &mut Dice, heard: &[Vec<u8>]) -> Vec<u8> {
    let noise =
        |dice: &mut Dice, length: usize| (0..length).map(|_| dice.below(256) as u8).collect::<Vec<u8>>();
    let length = 1 + dice.below(1_400) as usize;
    let mut packet = dice.pick(heard).clone();
    match dice.below(8) {
        0 => packet = noise(dice, length),
        // A first packet by its looks (RFC 9000 §17.2.2): version 1, ids of eight bytes, no token, and a length.
        1 => {
            packet = noise(dice, 1_200);
            packet[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
            packet[14] = 8;
            packet[23] = 0;
            packet[24..26].copy_from_slice(&[0x44, 0x96]);
        }
        2 => {
            packet = noise(dice, 1_200);
            packet[0] |= 0xc0;
            packet[5] = 8;
        }
        // The phone's own, as it was, cut, with a bit changed, with a tail.
        3 => {}
        4 => packet.truncate(length),
        5 => {
            let at = dice.below(packet.len() as u64) as usize;
            packet[at] ^= 1 << dice.below(8);
        }
        6 => packet.extend(noise(dice, 40)),
        // A short header with the phone's connection id, or one nearly like it.
        _ => {
            let mut spoofed = noise(dice, length.max(40));
            let id = packet.len().min(9);
            spoofed[..id].copy_from_slice(&packet[..id]);
            spoofed[0] = 0x40 | (spoofed[0] & 0x3f);
            if dice.once_in(2) {
                spoofed[1] ^= 1;
            }
            packet = spoofed;
        }
    }
    packet
}

/// Until the server's socket is empty: what the system drops would be no attack.
fn wait_until_taken(port: u16) {
    while socket_field(port, QUEUES).rsplit(':').next() != Some("00000000") {
        std::thread::yield_now();
    }
}

/// A field of the line that the system keeps of the socket on this port, as proc(5) has it.
fn socket_field(port: u16, field: usize) -> String {
    let here = format!(":{port:04X}");
    let sockets = fs::read_to_string("/proc/net/udp").unwrap();
    let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut of_port = fields.filter(|fields| fields[LOCAL].ends_with(&here));
    of_port.next().expect("the server's socket")[field].to_owned()
}

fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

const LOCAL: usize = 1;
const QUEUES: usize = 4;
const DROPS: usize = 12;
/// Packets of the phone that are remembered.
const HEARD_MAX: usize = 500;
