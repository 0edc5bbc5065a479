//! What everybody in a soak shares, its operators, and its weather.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bhyt_core::card_record::CardStanding;
use bhyt_core::ids::OperationId;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, RowOutcome};
use bhyt_core::sync::messages::Refusal;
use bhyt_platform::clock::{Clock as _, SystemClock};
use bhyt_platform::entropy::OsEntropy;
use bhyt_server::init::{InitReport, init};
use tokio::runtime::Handle;

use super::Soak;
use super::gauge::{Gauge, NAMES};
use super::server::between;
use crate::dice::Dice;
use crate::ledger::{Deed, Ledger};
use crate::line::Line;
use crate::program::{Role, Running};
use crate::relay::Relay;
use crate::server::any_port;
use crate::weather::Weather;

/// Everything that is shared.
#[derive(Debug)]
pub(super) struct Town {
    soak: Soak,
    until: Instant,
    pub(super) report: InitReport,
    /// The lines of phones and terminals.
    pub(super) relay: Relay,
    /// The operators' line is a good one.
    office: Relay,
    line: Line,
    ledgers: Vec<Mutex<Ledger>>,
    /// Live codes of phones, newest last.
    shown: Mutex<VecDeque<String>>,
    server: Mutex<Option<(u32, Instant)>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    failed: AtomicU32,
    failures: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Town {
    pub(super) fn found(soak: &Soak, runtime: Handle, until: Instant) -> Self {
        let (data, roots) = (soak.folder.join("server"), soak.folder.join("roots"));
        let (entropy, now) = (OsEntropy::open().expect("entropy"), SystemClock.now());
        let report = runtime.block_on(async { init(&data, &roots, now, &entropy).await.expect("init") });
        std::fs::write(data.join("server.toml"), SETTINGS).expect("settings");
        let relay = Relay::start(any_port(), Weather::ROUGH, soak.seed);
        let office = Relay::start(any_port(), Weather::FAIR, soak.seed);
        let line = {
            let _inside = runtime.enter();
            Line::new(office.address(), &report.trust, &report.operator_key)
        };
        let first_day = now.day().plus_days(-300).iso();
        let ledgers = (0..CLERKS).map(|at| Ledger::new(u8::try_from(at + 1).expect("few"), &first_day));
        Self {
            soak: soak.clone(),
            until,
            report,
            relay,
            office,
            line,
            ledgers: ledgers.map(Mutex::new).collect(),
            shown: Mutex::default(),
            server: Mutex::default(),
            counts: Mutex::default(),
            failed: AtomicU32::new(0),
            failures: Mutex::default(),
            ended: AtomicBool::new(false),
        }
    }

    /// Dice of somebody's own.
    pub(super) fn dice(&self, whose: u64) -> Dice {
        Dice::new(Dice::new(self.soak.seed).throw() ^ whose.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A time between the run's length divided by `most_part` and by `least_part`.
    pub(super) fn drawn(&self, dice: &mut Dice, least_part: u32, most_part: u32) -> Duration {
        between(dice, self.soak.life / most_part, self.soak.life / least_part)
    }

    /// Whether everybody has lived long enough, or something failed.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.failed.load(Ordering::SeqCst) > 0
    }

    /// Everything is compared; the server may go.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.soak.folder.join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("server")
    }

    pub(super) fn trust(&self) -> Vec<u8> {
        std::fs::read(self.data().join("trust.cose")).expect("the bundle in force")
    }

    pub(super) fn start(&self, role: Role, name: &str, words: &[&str]) -> Running {
        let log = self.path(&format!("{name}.log"));
        Running::start(&self.soak.executable, role, words, &log).expect("a process")
    }

    pub(super) fn server_is_there(&self, id: u32, address: SocketAddr) {
        *lock(&self.server) = Some((id, Instant::now()));
        self.relay.lead_to(address);
        self.office.lead_to(address);
        self.line.server_is_up();
    }

    pub(super) fn server_is_gone(&self) {
        *lock(&self.server) = None;
        self.line.server_is_down();
    }

    pub(super) fn server_id(&self) -> Option<u32> {
        lock(&self.server).map(|(id, _)| id)
    }

    pub(super) fn server_age(&self) -> Duration {
        lock(&self.server).map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    /// When a server that has begun has everybody back.
    pub(super) fn settles_after(&self) -> Duration {
        self.soak.life / 60
    }

    pub(super) fn count(&self, what: &'static str, by: u64) {
        *lock(&self.counts).entry(what).or_default() += by;
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let relayed = self.relay.counts();
        let mut counts = lock(&self.counts).clone();
        counts.extend([
            ("datagrams", relayed.arrived),
            ("datagrams_lost", relayed.lost),
            ("datagrams_doubled", relayed.doubled),
            ("addresses_changed", relayed.rebound),
        ]);
        counts
    }

    pub(super) fn progress(&self) -> String {
        let counts = self.counts();
        let count = |name: &str| counts.get(name).copied().unwrap_or_default();
        format!(
            "{} operations, {} syncs, {} verdicts, {} stops, {} kills, {} datagrams",
            count("operations"),
            count("syncs"),
            count("verdicts"),
            count("stops"),
            count("kills"),
            count("datagrams")
        )
    }

    pub(super) fn fail(&self, what: impl Into<String>) {
        self.failed.fetch_add(1, Ordering::SeqCst);
        let mut failures = lock(&self.failures);
        if failures.len() < FAILURES_MAX {
            failures.push(what.into());
        }
    }

    pub(super) fn failures(&self) -> Vec<String> {
        lock(&self.failures).clone()
    }

    pub(super) fn check(&self, differs: Option<String>) {
        self.count("comparisons", 1);
        if let Some(differs) = differs {
            self.fail(differs);
        }
    }

    pub(super) fn demand(&self, holds: bool, what: impl FnOnce() -> String) {
        self.check((!holds).then(what));
    }

    pub(super) fn show(&self, text: String) {
        let mut shown = lock(&self.shown);
        shown.push_back(text);
        let surplus = shown.len().saturating_sub(SHOWN_MAX);
        shown.drain(..surplus);
    }

    pub(super) fn look_at_shown(&self, dice: &mut Dice) -> Option<String> {
        let shown = lock(&self.shown);
        let at = dice.below(shown.len().max(1) as u64);
        shown.get(usize::try_from(at).ok()?).cloned()
    }

    pub(super) async fn ask(
        &self,
        dice: &mut Dice,
        command: &AdminCommand,
    ) -> Option<Result<AdminReply, Refusal>> {
        let mut id = [0; 16];
        id.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&dice.throw().to_le_bytes()));
        match self.line.ask(OperationId(id), command).await {
            Ok(answer) => Some(answer),
            Err(unanswered) => {
                self.fail(unanswered.to_string());
                None
            }
        }
    }

    /// The ledger and the place in it of the member who has a phone.
    pub(super) fn member_of(&self, phone: usize) -> Option<(MutexGuard<'_, Ledger>, usize)> {
        Some((lock(self.ledgers.get(phone % CLERKS)?), phone / CLERKS))
    }

    pub(super) async fn register_everybody(&self) {
        let mut dice = self.dice(2);
        for phone in 0..self.soak.phones {
            let Some(ledger) = self.ledgers.get(phone % CLERKS) else { continue };
            let command = lock(ledger).command(&Deed::Register);
            if let Some(Ok(AdminReply::Rows(_))) = self.ask(&mut dice, &command).await {
                lock(ledger).note(Deed::Register);
            }
        }
    }

    /// Compares every member and card that operators know with the server, and learns their indexes.
    pub(super) async fn look_at_all_cards(&self) {
        let mut dice = self.dice(3);
        let mut indexes = BTreeSet::new();
        for ledger in &self.ledgers {
            let members = lock(ledger).members.clone();
            for (member, entry) in members.iter().enumerate() {
                let command = AdminCommand::ShowMember(entry.number.clone());
                if let Some(Ok(AdminReply::Member(view))) = self.ask(&mut dice, &command).await {
                    let differs = lock(ledger).member_differs(member, &view);
                    self.check(differs);
                }
                for (card, known) in entry.cards.iter().enumerate() {
                    let command = AdminCommand::ShowCard(known.row.number.clone());
                    let Some(Ok(AdminReply::Card(view))) = self.ask(&mut dice, &command).await else {
                        self.fail("a card is gone");
                        continue;
                    };
                    let differs = lock(ledger).card_differs(member, card, &view);
                    self.check(differs);
                    self.demand(indexes.insert(view.status_index), || "an index of two cards".into());
                }
            }
        }
    }

    /// What the status list must name.
    pub(super) fn listed(&self) -> BTreeMap<u32, CardStanding> {
        self.ledgers.iter().flat_map(|ledger| lock(ledger).listed()).collect()
    }

    /// Whether anything has grown.
    pub(super) fn judge(&self, gauge: &Gauge, memory_too: bool) {
        for ((name, course), least) in NAMES.iter().zip(gauge.courses()).zip(GROWTH_MAX) {
            let Some(course) = course else {
                self.fail(format!("{name} could not be measured here: there is no /proc"));
                continue;
            };
            let most = (course.median / 10.0).max(least);
            if memory_too {
                self.demand(course.growth <= most, || {
                    format!("{name} grew by {:.1} over the run, at most {most:.1} is flat", course.growth)
                });
            }
        }
    }
}

/// An operator who works all the time, not in a hurry.
pub(super) async fn work(town: Arc<Town>, at: usize) {
    let mut dice = town.dice(100 + at as u64);
    let Some(ledger) = town.ledgers.get(at) else { return };
    while !town.is_over() {
        let deed = lock(ledger).think(&mut dice);
        let command = lock(ledger).command(&deed);
        let Some(answer) = town.ask(&mut dice, &command).await else { return };
        let taken = match &answer {
            Ok(AdminReply::Applied(_)) => true,
            Ok(AdminReply::Rows(rows)) => rows.iter().all(|row| !matches!(row, RowOutcome::Failed(_))),
            _ => false,
        };
        town.demand(taken, || format!("an operation was answered {answer:?}"));
        lock(ledger).note(deed);
        town.count("operations", 1);
        tokio::time::sleep(Duration::from_millis(200 + dice.below(1_200))).await;
    }
}

/// Cuts all lines for a while now and then, and changes everybody's address.
pub(super) async fn make_weather(town: Arc<Town>) {
    let mut dice = town.dice(5);
    while !town.is_over() {
        tokio::time::sleep(town.drawn(&mut dice, 20, 60)).await;
        if dice.once_in(2) {
            town.relay.rebind_all();
        } else {
            town.relay.cut();
            tokio::time::sleep(town.drawn(&mut dice, 300, 1_200)).await;
            town.count("partitions", 1);
        }
        town.relay.mend();
    }
    town.relay.mend();
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Operators.
pub(super) const CLERKS: usize = 2;
/// A small cache is full soon, and shows soon what grows beside it.
const SETTINGS: &str = "\
[limits]
exchanges_per_second = 1000
exchanges_burst = 1000
arrivals_per_second = 1000
arrivals_burst = 1000

[store]
cache_megabytes = 8
";
const SHOWN_MAX: usize = 100;
const FAILURES_MAX: usize = 30;
/// Growth over a run that is called flat, if it is less than a tenth anyway: MB, descriptors, MB, descriptors.
const GROWTH_MAX: [f64; 4] = [16.0, 16.0, 64.0, 64.0];
