//! A server of its own in a temporary folder, over real sled and QUIC, on a thread with its own runtime, so that it can
//! be stopped and started again on the same address while a test goes on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bhyt_core::time::UnixSeconds;
use bhyt_platform::clock::{Clock, SystemClock};
use bhyt_platform::entropy::OsEntropy;
use bhyt_server::folder::DataFolder;
use bhyt_server::host::Parts;
use bhyt_server::init::{InitReport, init};
use bhyt_server::restore::{AdoptReport, Restore, RestoreError, adopt, restore};
use bhyt_server::serve;
use tokio::sync::oneshot;

/// A data folder that a server runs on.
#[derive(Debug)]
pub struct ServerFolder {
    folder: tempfile::TempDir,
    data: PathBuf,
    clock: Arc<dyn Clock>,
    report: InitReport,
}

impl ServerFolder {
    /// As `bhyt-server init` makes it, by the system's clock.
    pub fn make() -> Self {
        Self::make_with(Arc::new(SystemClock))
    }

    /// As `bhyt-server init` makes it, by this clock.
    pub fn make_with(clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, roots) = (folder.path().join("data"), folder.path().join("roots"));
        let entropy = OsEntropy::open().expect("entropy");
        let now: UnixSeconds = clock.now();
        let report = block_on(async { init(&data, &roots, now, &entropy).await.expect("init") });
        Self { folder, data, clock, report }
    }

    /// The same server, come back from a backup on another disk. It awaits a status list.
    pub fn restored(&self, backup: &Path) -> Result<Self, RestoreError> {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let (backup, keys) = (backup.to_owned(), self.data.join("keys"));
        let asked = Restore { backup, data: data.clone(), keys, trust: Vec::new() };
        block_on(restore(&asked, self.clock.now()))?;
        Ok(Self { folder, data, clock: self.clock.clone(), report: self.report.clone() })
    }

    /// Gives the restored server a status file.
    pub fn adopt(&self, status: &Path) -> Result<AdoptReport, RestoreError> {
        let entropy = Arc::new(OsEntropy::open().expect("entropy"));
        block_on(adopt(&self.data, status, self.clock.clone(), entropy))
    }

    /// Starts the server; returns when it answers.
    pub fn start(&self, listen: SocketAddr) -> RunningServer {
        let (stop, stopped) = oneshot::channel::<()>();
        let ready_file = self.folder.path().join("ready");
        // Not there after the first start: that is what is wanted.
        let _ = std::fs::remove_file(&ready_file);
        let folder = DataFolder::new(&self.data());
        let (clock, ready) = (self.clock.clone(), ready_file.clone());
        let thread = std::thread::spawn(move || {
            let entropy = Arc::new(OsEntropy::open().expect("entropy"));
            let mut parts = Parts::open(&folder, clock, entropy).expect("the data folder opens");
            parts.config.listen = listen;
            parts.ready_file = Some(ready);
            block_on(async {
                let shutdown = async {
                    // Dropped or told: both mean stop.
                    let _ = stopped.await;
                };
                serve::run(parts, shutdown).await.expect("the server ends well");
            });
        });
        let address = wait_for_address(&ready_file, &thread);
        RunningServer { address, stop: Some(stop), thread: Some(thread) }
    }

    /// The server's data folder.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// What `init` reported.
    pub fn report(&self) -> &InitReport {
        &self.report
    }

    /// The trust file to hand out.
    pub fn trust(&self) -> &Path {
        &self.report.trust
    }

    /// The bytes of the trust file.
    pub fn trust_bytes(&self) -> Vec<u8> {
        std::fs::read(self.trust()).expect("the trust file")
    }
}

/// A server that answers; stops when told or dropped.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RunningServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says goodbye to everybody and ends; the socket is gone when this returns.
    pub fn stop(mut self) {
        self.stop_now();
    }

    /// [`Self::stop`] for who keeps the server in a place of its own; without effect the second time.
    pub fn stop_now(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been printed; the test fails by what it misses.
            let _ = thread.join();
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.stop_now();
    }
}

/// A free address on loopback.
pub fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Runs a future to its end on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn wait_for_address(ready_file: &Path, server: &JoinHandle<()>) -> SocketAddr {
    for _ in 0..2_000 {
        let address = std::fs::read_to_string(ready_file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(address) = address {
            return address;
        }
        assert!(!server.is_finished(), "the server has ended before it was ready");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("the server was not ready in 10 s");
}
