//! The people of a journey: a member's phone and a clinic's desk, each with the real SDK on a folder of its own, and a
//! clock that the test holds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bhyt_core::ids::MemberId;
use bhyt_core::time::UnixSeconds;
use bhyt_core::verdict::{Outcome, Verdict};
use bhyt_platform::clock::{Clock, ManualClock, SystemClock};
use bhyt_sdk::{Activation, Config, Enrolment, Event, EventListener, Terminal, Wallet};

use crate::desk::line;
use crate::operator::Operator;
use crate::server::{RunningServer, ServerFolder, any_port};

/// A server, its operator's way in, and the folder that everybody's data lies in.
#[derive(Debug)]
pub struct Town {
    /// The server's data.
    pub server: ServerFolder,
    /// The one clock of everybody.
    pub clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

impl Town {
    /// An empty town, now.
    pub fn found() -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let server = ServerFolder::make_with(clock.clone());
        Self { server, clock, folder: tempfile::tempdir().expect("a folder") }
    }

    /// Starts the server on a free port.
    pub fn open(&self) -> RunningServer {
        self.server.start(any_port())
    }

    /// An operator with all roles.
    pub async fn operator(&self, server: SocketAddr) -> Operator {
        Operator::connect(server, self.server.trust(), &self.server.report().operator_key).await
    }

    /// A phone that has just been activated for a member.
    pub async fn phone(&self, server: SocketAddr, operator: &Operator, member: &str) -> Phone {
        self.phone_named(member, server, operator, member).await
    }

    /// A phone of this name that has just been activated for a member.
    pub async fn phone_named(
        &self,
        name: &str,
        server: SocketAddr,
        operator: &Operator,
        member: &str,
    ) -> Phone {
        self.phone_with(self.config(name), server, operator, member).await
    }

    /// A phone with settings of its own that has just been activated for a member.
    pub async fn phone_with(
        &self,
        config: Config,
        server: SocketAddr,
        operator: &Operator,
        member: &str,
    ) -> Phone {
        let wallet = Wallet::open(config).expect("a wallet");
        let code = operator.device_code(member).await;
        let (server, trust, alias) = (server.to_string(), self.server.trust_bytes(), member.to_owned());
        let member = wallet.activate(Activation { server, trust, alias, code }).await;
        Phone { wallet, member: member.expect("activated") }
    }

    /// A terminal at facility 99024 that has just been enrolled and has synced.
    pub async fn desk(&self, server: SocketAddr, operator: &Operator) -> Desk {
        self.desk_named("desk", server, operator).await
    }

    /// [`Self::desk`] of this name.
    pub async fn desk_named(&self, name: &str, server: SocketAddr, operator: &Operator) -> Desk {
        let terminal = Terminal::open(self.config(name)).expect("a terminal");
        let token = operator.terminal_token("99024").await;
        let (server, trust) = (server.to_string(), self.server.trust_bytes());
        terminal.enrol(Enrolment { server, trust, token }).await.expect("enrolled");
        terminal.sync().await.expect("synced");
        Desk(terminal)
    }

    /// Where a device of this name keeps its data, and the town's clock.
    pub fn config(&self, name: &str) -> Config {
        Config::new(&self.path(name)).with_clock(self.clock.clone())
    }

    /// A path in the town's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lets time go by.
    pub fn pass(&self, seconds: u64) {
        self.clock.set(self.clock.now().plus(seconds));
    }

    /// The time.
    pub fn now(&self) -> UnixSeconds {
        self.clock.now()
    }
}

/// A phone and the member on it.
#[derive(Debug)]
pub struct Phone {
    /// The wallet.
    pub wallet: Wallet,
    /// The member.
    pub member: MemberId,
}

impl Phone {
    /// Takes one member more onto this phone.
    pub async fn take(&self, town: &Town, server: SocketAddr, operator: &Operator, member: &str) -> MemberId {
        let code = operator.device_code(member).await;
        let (server, trust, alias) = (server.to_string(), town.server.trust_bytes(), member.to_owned());
        let taken = self.wallet.activate(Activation { server, trust, alias, code }).await;
        taken.expect("activated")
    }

    /// Numbers of the cards it shows, in their order.
    pub fn numbers(&self) -> Vec<String> {
        self.wallet.cards(self.member).iter().map(|card| card.claims.number.as_str().to_owned()).collect()
    }

    /// A live code of now.
    pub fn live(&self) -> String {
        self.wallet.live_text(self.member).expect("a live code")
    }

    /// Stays connected; events come through what is returned.
    pub fn watch(&self) -> Events {
        let (sender, receiver) = mpsc::channel();
        self.wallet.watch(Arc::new(Listener(Mutex::new(sender))));
        Events(receiver)
    }
}

/// A clinic's terminal.
#[derive(Debug)]
pub struct Desk(pub Terminal);

impl Desk {
    /// The answer to a code, as one line of the verdict tests.
    pub fn judge(&self, text: &str) -> String {
        line(&self.verdict(text))
    }

    /// The answer to a code.
    pub fn verdict(&self, text: &str) -> Verdict {
        let verdict = self.0.verify_text(text).expect("a verdict");
        assert!(self.0.flush(), "what is to be remembered is durable");
        verdict
    }

    /// Whether a code is accepted.
    pub fn accepts(&self, text: &str) -> bool {
        matches!(self.verdict(text).outcome(), Outcome::Accept(_))
    }
}

/// What a phone or terminal told.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// Waits for an event that `wanted` takes; others before it pass by.
    pub fn wait(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.0.recv_timeout(PATIENCE).expect("the event comes");
            if wanted(&event) {
                return event;
            }
        }
    }
}

#[derive(Debug)]
struct Listener(Mutex<mpsc::Sender<Event>>);

impl EventListener for Listener {
    fn on_event(&self, event: Event) {
        let sender = self.0.lock().expect("nobody panics here");
        // The test may have stopped listening.
        let _ = sender.send(event);
    }
}

/// How long a test waits for what must come; far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(30);
