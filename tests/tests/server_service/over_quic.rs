//! The running server over real sockets: one import in one exchange, news pushed, a retired phone shown the door, and a
//! goodbye at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bhyt_core::codec;
use bhyt_core::ids::OperationId;
use bhyt_core::keys::SecretKey;
use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest, CardChange};
use bhyt_core::sync::messages::{Follow, Hello, Reply, Request};
use bhyt_core::sync::operators::OperatorRole;
use bhyt_core::trust::{self, KeyUse};
use bhyt_platform::clock::ManualClock;
use bhyt_platform::entropy::SeededEntropy;
use bhyt_platform::kv::{Batch, Kv, Pair, StoreError};
use bhyt_platform::memory_kv::MemoryKv;
use bhyt_platform::quic::{
    Client, ClientConnection, ClientSettings, CloseCode, CloseReason, Connected, Exchange, PeerKey,
    TransportError, TransportKey,
};
use bhyt_server::exit::{Exit, Failure};
use bhyt_server::folder::DataFolder;
use bhyt_server::host::Parts;
use bhyt_server::service::ServiceParts;
use bhyt_server::store::embedded::{EmbeddedOptions, EmbeddedStore};
use bhyt_server::store::{Store, StoreFault};
use bhyt_server::{init, keys, serve};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::world::{
    OPERATOR, START, activate, card_row, enter_operator, key, member_row, number, public, social,
};

pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// A server on a port of its own.
pub(crate) struct Running {
    pub(crate) folder: tempfile::TempDir,
    /// Of a server that was started with [`Self::start`].
    pub(crate) clock: Arc<ManualClock>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), serve::ServeError>>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, roots) = (folder.path().join("data"), folder.path().join("roots"));
        let entropy = Arc::new(SeededEntropy::danger_from_seed(7));
        init::init(&data, &roots, START, &*entropy).await.unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let parts = Parts::open(&DataFolder::new(&data), clock.clone(), entropy).unwrap();
        Self { clock, ..Self::serve(folder, parts).await }
    }

    async fn serve(folder: tempfile::TempDir, mut parts: Parts<impl Store>) -> Self {
        let ready = folder.path().join("ready");
        parts.config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        parts.ready_file = Some(ready.clone());
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(serve::run(parts, async { stopped.await.unwrap_or_default() }));
        let line = loop {
            match std::fs::read_to_string(&ready) {
                Ok(line) => break line,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let clock = Arc::new(ManualClock::new(START));
        Self { folder, clock, address: line.trim().parse().unwrap(), stop, ended }
    }

    fn pin(&self) -> PeerKey {
        let bytes = std::fs::read(self.folder.path().join("data/trust.cose")).unwrap();
        let bundle = trust::anchor(&bytes).unwrap();
        let key = bundle.claims().keys_for(KeyUse::Transport).next().unwrap();
        PeerKey::new(*key.key.as_bytes())
    }

    pub(crate) fn operator(&self) -> SecretKey {
        keys::read_operator_key(&self.folder.path().join("roots/operator.key")).unwrap()
    }

    /// Ends the server, which has nothing to complain of.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap().unwrap();
    }

    pub(crate) async fn connect(&self, key: &SecretKey) -> Result<Connected, TransportError> {
        let client = Client::bind(None).unwrap();
        let key = TransportKey::from_seed(&key.seed());
        client.connect(self.address, self.pin(), &key, &ClientSettings::terminal()).await
    }
}

/// A disk that is full when it is told to be.
#[derive(Clone, Debug, Default)]
struct FillingDisk {
    inner: Arc<MemoryKv>,
    full: Arc<AtomicBool>,
}

impl Kv for FillingDisk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Pair>, StoreError> {
        self.inner.scan(prefix, after, max)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(StoreError::Full { path: "disk".into(), source });
        }
        self.inner.commit(batch)
    }
}

pub(crate) async fn ask(exchange: &mut Exchange, request: &Request) -> Vec<Reply> {
    exchange.send(&codec::encode(request).unwrap()).await.unwrap();
    let mut replies = Vec::new();
    while !matches!(replies.last(), Some(Reply::Done | Reply::Refused(_))) {
        let frame = exchange.receive(FRAME_BYTES_MAX, WAIT).await.unwrap().unwrap();
        replies.push(codec::decode(&frame).unwrap());
    }
    replies
}

pub(crate) async fn command(connection: &ClientConnection, id: u8, command: AdminCommand) -> AdminReply {
    let mut exchange = connection.open_exchange().await.unwrap();
    let request = AdminRequest { operation: OperationId([id; 16]), command };
    match ask(&mut exchange, &Request::Admin(request)).await.remove(0) {
        Reply::Admin(reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_store_has_closed_ends_with_the_cause() {
    let running = Running::start().await;
    running.stop.send(()).unwrap();
    running.ended.await.unwrap().unwrap();
    let (clock, entropy) = (ManualClock::new(START), SeededEntropy::danger_from_seed(8));
    let data = DataFolder::new(&running.folder.path().join("data"));
    let Parts { config, service, host, ready_file } =
        Parts::open(&data, Arc::new(clock), Arc::new(entropy)).unwrap();
    let disk = FillingDisk::default();
    let store = EmbeddedStore::over(disk.clone(), EmbeddedOptions::default()).unwrap();
    enter_operator(&store, OPERATOR, &OperatorRole::ALL).await;
    let ServiceParts { store: _, store_key, member_keys, keys, trust, clock, entropy, published, settings } =
        service;
    let service =
        ServiceParts { store, store_key, member_keys, keys, trust, clock, entropy, published, settings };
    let server = Running::serve(running.folder, Parts { config, service, host, ready_file }).await;

    let operator = server.connect(&key(OPERATOR)).await.unwrap();
    disk.full.store(true, Ordering::SeqCst);
    let mut exchange = operator.connection.open_exchange().await.unwrap();
    let command = AdminCommand::MakeTerminalToken("79024".into());
    let request = Request::Admin(AdminRequest { operation: OperationId([1; 16]), command });
    assert!(matches!(ask(&mut exchange, &request).await[..], [Reply::Refused(_)]));
    let error = tokio::time::timeout(WAIT, server.ended).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(&error, serve::ServeError::StoreClosed(fault) if fault.is_full()), "{error:?}");
    assert_eq!(error.exit(), Exit::Io);
    let other = serve::ServeError::StoreClosed(StoreFault::Closed);
    assert_eq!(other.exit(), Exit::Internal);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_serves_pushes_retires_and_says_goodbye() {
    let server = Running::start().await;
    let operator = server.connect(&server.operator()).await.unwrap();
    assert_eq!(codec::decode::<Hello>(&operator.hello).unwrap().time, START);
    // Two requests in one exchange, as an import sends them.
    let mut exchange = operator.connection.open_exchange().await.unwrap();
    for (id, command) in [
        (1, AdminCommand::ImportMembers(vec![member_row(1)])),
        (2, AdminCommand::ImportCards(vec![card_row(1)])),
    ] {
        let request = AdminRequest { operation: OperationId([id; 16]), command };
        let replies = ask(&mut exchange, &Request::Admin(request)).await;
        assert!(matches!(replies[..], [Reply::Admin(AdminReply::Rows(_)), Reply::Done]), "{replies:?}");
    }
    exchange.finish().unwrap();

    let code = AdminCommand::MakeDeviceCode(social(1));
    let AdminReply::OneTimeCode { code, .. } = command(&operator.connection, 3, code).await else { panic!() };
    let mut phone = server.connect(&key(1)).await.unwrap();
    let mut exchange = phone.connection.open_exchange().await.unwrap();
    let replies = ask(&mut exchange, &activate(1, &social(1), &code)).await;
    let [Reply::Activated(member), Reply::Done] = replies[..] else { panic!("{replies:?}") };
    let cursor = bhyt_core::sync::messages::MemberCursor {
        member,
        extent: bhyt_core::feed::Extent { epoch: bhyt_core::feed::Epoch(0), size: 0 },
        state: [0; 16],
    };
    let sync =
        bhyt_core::sync::messages::SyncWallet { trust: 1, members: vec![cursor], follow: Follow::Stay };
    let mut exchange = phone.connection.open_exchange().await.unwrap();
    let replies = ask(&mut exchange, &Request::SyncWallet(sync)).await;
    assert!(matches!(replies[..], [Reply::Feed(_), Reply::Credentials { .. }, Reply::Done]), "{replies:?}");

    let hold = AdminCommand::ChangeCard { number: number(1), change: CardChange::Hold };
    command(&operator.connection, 4, hold).await;
    for expected in ["Feed", "Credentials", "Done"] {
        let frame = phone.news.next(FRAME_BYTES_MAX).await.unwrap();
        let reply = format!("{:?}", codec::decode::<Reply>(&frame).unwrap());
        assert!(reply.starts_with(expected), "{reply}");
    }
    let retire = AdminCommand::RetireDevice(public(1).key_id().to_string());
    command(&operator.connection, 5, retire).await;
    let frame = phone.news.next(FRAME_BYTES_MAX).await.unwrap();
    assert_eq!(codec::decode::<Reply>(&frame), Ok(Reply::Retired(member)));
    assert_eq!(phone.connection.closed().await, CloseReason::Peer(CloseCode::Retired));
    let refused = server.connect(&key(1)).await.unwrap_err();
    assert_eq!(refused.close_reason(), Some(CloseReason::Peer(CloseCode::Retired)));

    server.stop.send(()).unwrap();
    let reason = operator.connection.closed().await;
    assert!(matches!(reason, CloseReason::Peer(CloseCode::Goodbye { .. })), "{reason}");
    server.ended.await.unwrap().unwrap();
    assert!(!server.folder.path().join("ready").exists());
}
