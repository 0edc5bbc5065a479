//! What everybody in a campaign shares: where things are, who may still be killed, what was acknowledged, what failed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bhyt_core::ids::OperationId;
use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_core::sync::messages::Refusal;
use bhyt_platform::clock::{Clock as _, SystemClock};
use bhyt_platform::entropy::OsEntropy;
use bhyt_server::init::{InitReport, init};
use tokio::runtime::Handle;

use super::{CLERKS, Campaign, Outcome};
use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::line::Line;
use crate::program::{Role, Running};
use crate::relay::Relay;
use crate::server::{any_port, block_on};
use crate::weather::Weather;

/// Everything that is shared.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    executable: PathBuf,
    folder: PathBuf,
    pub(super) report: InitReport,
    /// Keeps the server's address while servers come and go.
    pub(super) relay: Relay,
    pub(super) line: Line,
    runtime: Handle,
    pub(super) ledgers: Vec<Mutex<Ledger>>,
    /// Which card has an index.
    indexes: Mutex<BTreeMap<u32, String>>,
    /// Bindings that must be listed as retired.
    pub(super) retired: Mutex<BTreeSet<(u32, u8)>>,
    /// Codes that phones showed, newest last.
    pub(super) shown: Mutex<VecDeque<Shown>>,
    /// Cards that a terminal rejected, and for what.
    pub(super) rejected: Mutex<BTreeSet<(String, String)>>,
    /// The newest trust bundle that was acknowledged.
    pub(super) trust_version: AtomicU64,
    left: [AtomicU32; 3],
    done: [AtomicU32; 3],
    pub(super) kills_of_renewals: AtomicU32,
    pub(super) answered: AtomicU64,
    pub(super) checks: AtomicU64,
    pub(super) held: Mutex<[u64; 3]>,
    pub(super) ended: AtomicBool,
    failures: Mutex<Vec<String>>,
}

/// A live code on a phone's screen.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) number: String,
}

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Server = 0,
    Phone = 1,
    Terminal = 2,
}

impl World {
    /// A server that was never started, and nobody yet.
    pub(super) fn found(campaign: &Campaign, runtime: Handle) -> Self {
        let (data, roots) = (campaign.folder.join("server"), campaign.folder.join("roots"));
        let (entropy, now) = (OsEntropy::open().expect("entropy"), SystemClock.now());
        let report = block_on(async { init(&data, &roots, now, &entropy).await.expect("init") });
        std::fs::write(data.join("server.toml"), SETTINGS).expect("settings");
        let relay = Relay::start(any_port(), Weather::FAIR, campaign.seed);
        let line = {
            let _inside = runtime.enter();
            Line::new(relay.address(), &report.trust, &report.operator_key)
        };
        let first_day = now.day().plus_days(-300).iso();
        let ledgers = (0..CLERKS).map(|at| Ledger::new(u8::try_from(at + 1).expect("few"), &first_day));
        let [servers, phones] = [campaign.kills * 2 / 5, campaign.kills * 7 / 20];
        let quotas = [servers, phones, campaign.kills - servers - phones];
        Self {
            seed: campaign.seed,
            executable: campaign.executable.clone(),
            folder: campaign.folder.clone(),
            report,
            relay,
            line,
            runtime,
            ledgers: ledgers.map(Mutex::new).collect(),
            indexes: Mutex::default(),
            retired: Mutex::default(),
            shown: Mutex::default(),
            rejected: Mutex::default(),
            trust_version: AtomicU64::new(1),
            left: quotas.map(AtomicU32::new),
            done: Default::default(),
            kills_of_renewals: AtomicU32::new(0),
            answered: AtomicU64::new(0),
            checks: AtomicU64::new(0),
            held: Mutex::default(),
            ended: AtomicBool::new(false),
            failures: Mutex::default(),
        }
    }

    /// Dice of somebody's own.
    pub(super) fn dice(&self, whose: u64) -> Dice {
        Dice::new(Dice::new(self.seed).throw() ^ whose.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Somebody's path.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder of everything.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's folder.
    pub(super) fn data(&self) -> PathBuf {
        self.path("server")
    }

    /// Starts a program; `name` is whose log it writes.
    pub(super) fn start(&self, role: Role, name: &str, words: &[&str]) -> Running {
        let log = self.path(&format!("{name}.log"));
        Running::start(&self.executable, role, words, &log).expect("a process")
    }

    /// Whether this kind may still be killed.
    pub(super) fn may_kill(&self, victim: Victim) -> bool {
        self.left.get(victim as usize).is_some_and(|left| left.load(Ordering::SeqCst) > 0)
    }

    /// One of this kind was killed.
    pub(super) fn note_kill(&self, victim: Victim) {
        let (left, done) = (self.left.get(victim as usize), self.done.get(victim as usize));
        if let (Some(left), Some(done)) = (left, done) {
            let _ = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            done.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether all kills are done, or something failed: everybody stops.
    pub(super) fn is_over(&self) -> bool {
        let done = self.left.iter().all(|left| left.load(Ordering::SeqCst) == 0);
        done || self.has_failed()
    }

    /// Whether something failed.
    pub(super) fn has_failed(&self) -> bool {
        !lock(&self.failures).is_empty()
    }

    /// Something does not hold.
    pub(super) fn fail(&self, what: impl Into<String>) {
        let mut failures = lock(&self.failures);
        if failures.len() < FAILURES_MAX {
            failures.push(what.into());
        }
    }

    /// Something was compared; what differs fails.
    pub(super) fn check(&self, differs: Option<String>) {
        self.checks.fetch_add(1, Ordering::SeqCst);
        if let Some(differs) = differs {
            self.fail(differs);
        }
    }

    /// [`Self::check`] for what simply holds or not.
    pub(super) fn demand(&self, holds: bool, what: impl FnOnce() -> String) {
        self.check((!holds).then(what));
    }

    /// Asks as an operator, until there is an answer.
    pub(super) fn ask(
        &self,
        operation: OperationId,
        command: &AdminCommand,
    ) -> Option<Result<AdminReply, Refusal>> {
        match self.runtime.block_on(self.line.ask(operation, command)) {
            Ok(answer) => Some(answer),
            Err(unanswered) => {
                self.fail(unanswered.to_string());
                None
            }
        }
    }

    /// Asks something that changes nothing, or whose answer is all that counts.
    pub(super) fn ask_new(&self, dice: &mut Dice, command: &AdminCommand) -> Option<AdminReply> {
        match self.ask(operation(dice), command)? {
            Ok(reply) => Some(reply),
            Err(refusal) => {
                self.fail(format!("{refusal:?} to {}", name_of(command)));
                None
            }
        }
    }

    /// No index belongs to two cards.
    pub(super) fn note_index(&self, index: u32, number: &str) {
        let mut indexes = lock(&self.indexes);
        let held = indexes.entry(index).or_insert_with(|| number.to_owned());
        let same = held == number;
        drop(indexes);
        self.demand(same, || format!("index {index} was given to two cards"));
    }

    /// How far it is.
    pub(super) fn progress(&self, elapsed: Duration) -> String {
        let done: u32 = self.done.iter().map(|done| done.load(Ordering::SeqCst)).sum();
        let left: u32 = self.left.iter().map(|left| left.load(Ordering::SeqCst)).sum();
        let answered = self.answered.load(Ordering::SeqCst);
        let checks = self.checks.load(Ordering::SeqCst);
        format!(
            "{:>5.0} s  {done} kills, {left} to come, {answered} operations answered, {checks} comparisons",
            elapsed.as_secs_f64()
        )
    }

    /// What came of it all.
    pub(super) fn outcome(&self, elapsed: Duration) -> Outcome {
        let count = |at: usize| self.done.get(at).map_or(0, |done| done.load(Ordering::SeqCst));
        Outcome {
            seed: self.seed,
            kills: [count(0), count(1), count(2)],
            kills_of_renewals: self.kills_of_renewals.load(Ordering::SeqCst),
            answered: self.answered.load(Ordering::SeqCst),
            checks: self.checks.load(Ordering::SeqCst),
            held: *lock(&self.held),
            failures: lock(&self.failures).clone(),
            seconds: elapsed.as_secs_f64(),
        }
    }
}

/// An operation's id, from the dice.
pub(super) fn operation(dice: &mut Dice) -> OperationId {
    let mut id = [0; 16];
    let (front, back) = id.split_at_mut(8);
    front.copy_from_slice(&dice.throw().to_le_bytes());
    back.copy_from_slice(&dice.throw().to_le_bytes());
    OperationId(id)
}

/// What is behind a lock; a panic of another thread is told by itself.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kind of command, without what it says.
fn name_of(command: &AdminCommand) -> String {
    format!("{command:?}").split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}

/// Everybody comes from one address and asks without a pause; rates are not what is tried here.
const SETTINGS: &str = "\
[limits]
arrivals_per_second = 100000
arrivals_burst = 100000
exchanges_per_second = 100000
exchanges_burst = 100000

[status]
publish_seconds = 1
";
/// One broken promise often breaks a hundred others.
const FAILURES_MAX: usize = 20;
