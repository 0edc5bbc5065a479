//! A bad network between clients and one server: a UDP relay on loopback that loses, doubles, delays and reorders
//! datagrams, gives a client another address, and goes silent for a while; each of it by a seed.
//!
//! Promises: the fate of the n-th datagram of the n-th client, each way, depends on the seed and the weather alone. When
//! it comes to pass depends on the machine, and so does what the programs behind it make of it. Needs no rights. Looks
//! into no datagram, and changes none.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::weather::{Fates, Weather};

/// A relay that runs until it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What became of datagrams so far, both ways together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayCounts {
    /// That came in.
    pub arrived: u64,
    /// That were not handed on.
    pub lost: u64,
    /// That were handed on twice.
    pub doubled: u64,
    /// Clients that got another address on the server's side.
    pub rebound: u64,
    /// Clients that are known now.
    pub clients: u64,
}

#[derive(Debug)]
struct Shared {
    server: Mutex<SocketAddr>,
    cut: AtomicBool,
    rebind: AtomicU64,
    arrived: AtomicU64,
    lost: AtomicU64,
    doubled: AtomicU64,
    rebound: AtomicU64,
    clients: AtomicU64,
}

impl Relay {
    /// Begins to relay between whoever sends to [`Self::address`] and `server`.
    pub fn start(server: SocketAddr, weather: Weather, seed: u64) -> Self {
        let (shared, (stop, stopped)) = (Arc::new(Shared::new(server)), oneshot::channel());
        let (bound, address) = std::sync::mpsc::channel();
        let relayed = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let front = UdpSocket::bind(any_port()).await.expect("a socket");
                bound.send(front.local_addr().expect("an address")).expect("somebody waits");
                let front = Front { socket: Arc::new(front), shared: relayed, weather, seed };
                tokio::select! {
                    () = front.relay() => {}
                    // Dropped or told: both mean stop.
                    _ = stopped => {}
                }
            });
        });
        let address = address.recv().expect("the relay has begun");
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Where clients send to instead of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Relays to another address from now on: the server came back elsewhere.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.shared.server() = server;
    }

    /// Hands nothing on until [`Self::mend`].
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::SeqCst);
    }

    /// Hands on again what comes from now on.
    pub fn mend(&self) {
        self.shared.cut.store(false, Ordering::SeqCst);
    }

    /// Gives every client another address with its next datagram, as a phone gets that changes from Wi-Fi to its carrier.
    pub fn rebind_all(&self) {
        self.shared.rebind.fetch_add(1, Ordering::SeqCst);
    }

    /// What became of datagrams.
    pub fn counts(&self) -> RelayCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        RelayCounts {
            arrived: read(&self.shared.arrived),
            lost: read(&self.shared.lost),
            doubled: read(&self.shared.doubled),
            rebound: read(&self.shared.rebound),
            clients: read(&self.shared.clients),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the relay has been printed; the test fails by what it misses.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn new(server: SocketAddr) -> Self {
        Self {
            server: Mutex::new(server),
            cut: AtomicBool::new(false),
            rebind: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            doubled: AtomicU64::new(0),
            rebound: AtomicU64::new(0),
            clients: AtomicU64::new(0),
        }
    }

    fn server(&self) -> MutexGuard<'_, SocketAddr> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side of the clients.
struct Front {
    socket: Arc<UdpSocket>,
    shared: Arc<Shared>,
    weather: Weather,
    seed: u64,
}

impl Front {
    async fn relay(self) {
        let mut clients: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
        let mut seeds = Dice::new(self.seed);
        loop {
            let Ok((datagram, from)) = receive(&self.socket).await else { continue };
            let known = clients.get(&from).filter(|client| !client.is_closed());
            let client = match known {
                Some(client) => client.clone(),
                None => {
                    clients.retain(|_, client| !client.is_closed());
                    let client = self.admit(from, seeds.throw());
                    clients.insert(from, client.clone());
                    client
                }
            };
            // A client that sends faster than we relay loses what is too much, as behind any router.
            if client.try_send(datagram).is_err() {
                self.shared.lost.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn admit(&self, from: SocketAddr, seed: u64) -> mpsc::Sender<Vec<u8>> {
        let (sender, inbox) = mpsc::channel(QUEUE_MAX);
        let (shared, socket) = (self.shared.clone(), self.socket.clone());
        let mut dice = Dice::new(seed);
        let fates = [Fates::new(self.weather, dice.throw()), Fates::new(self.weather, dice.throw())];
        let path = Path { shared, front: socket, client: from, fates };
        tokio::spawn(async move {
            path.shared.clients.fetch_add(1, Ordering::SeqCst);
            let shared = path.shared.clone();
            // A path ends with its client's silence; that a socket could not be had ends it too, and is seen by the client.
            let _ = path.run(inbox).await;
            shared.clients.fetch_sub(1, Ordering::SeqCst);
        });
        sender
    }
}

/// One client's way to the server and back.
struct Path {
    shared: Arc<Shared>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
    /// There, and back.
    fates: [Fates; 2],
}

impl Path {
    async fn run(mut self, mut inbox: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        let mut back = Arc::new(UdpSocket::bind(any_port()).await?);
        let mut rebinds = self.shared.rebind.load(Ordering::SeqCst);
        loop {
            let event = timeout(FORGOTTEN_AFTER, async {
                tokio::select! {
                    datagram = inbox.recv() => Event::There(datagram),
                    received = receive(&back) => Event::Back(received.map(|(datagram, _)| datagram)),
                }
            });
            match event.await {
                Err(_) | Ok(Event::There(None)) => return Ok(()),
                // Nobody listens at the server's address just now.
                Ok(Event::Back(Err(_))) => {}
                Ok(Event::There(Some(datagram))) => {
                    let asked = self.shared.rebind.load(Ordering::SeqCst);
                    let [there, _] = &mut self.fates;
                    let fate = there.draw();
                    if fate.rebinds || asked != rebinds {
                        rebinds = asked;
                        self.shared.rebound.fetch_add(1, Ordering::SeqCst);
                        back = Arc::new(UdpSocket::bind(any_port()).await?);
                    }
                    let server = *self.shared.server();
                    self.hand_on(&back, server, datagram, &fate.copies).await;
                }
                Ok(Event::Back(Ok(datagram))) => {
                    let [_, back] = &mut self.fates;
                    let fate = back.draw();
                    self.hand_on(&self.front, self.client, datagram, &fate.copies).await;
                }
            }
        }
    }

    async fn hand_on(&self, socket: &Arc<UdpSocket>, to: SocketAddr, datagram: Vec<u8>, copies: &[Duration]) {
        self.shared.arrived.fetch_add(1, Ordering::SeqCst);
        if copies.is_empty() || self.shared.cut.load(Ordering::SeqCst) {
            self.shared.lost.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if copies.len() > 1 {
            self.shared.doubled.fetch_add(1, Ordering::SeqCst);
        }
        for wait in copies {
            let (socket, datagram, wait) = (socket.clone(), datagram.clone(), *wait);
            // What cannot be sent is lost, as anywhere.
            if wait.is_zero() {
                let _ = socket.send_to(&datagram, to).await;
                continue;
            }
            tokio::spawn(async move {
                sleep(wait).await;
                let _ = socket.send_to(&datagram, to).await;
            });
        }
    }
}

enum Event {
    There(Option<Vec<u8>>),
    Back(io::Result<Vec<u8>>),
}

/// The next datagram. Whoever waits holds no buffer: hundreds do, and theirs would be most of what a soak measures.
async fn receive(socket: &UdpSocket) -> io::Result<(Vec<u8>, SocketAddr)> {
    loop {
        socket.readable().await?;
        match take(socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return received,
        }
    }
}

fn take(socket: &UdpSocket) -> io::Result<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let (length, from) = socket.try_recv_from(&mut buffer)?;
    Ok((buffer.get(..length).unwrap_or_default().to_vec(), from))
}

fn any_port() -> SocketAddr {
    crate::server::any_port()
}

/// Any UDP datagram.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// Datagrams of one client that wait for their turn.
const QUEUE_MAX: usize = 1_024;
/// Silence after which a client is forgotten, longer than any sign of life is apart.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
