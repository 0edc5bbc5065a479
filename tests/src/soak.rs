//! A long run of a small town over bad lines: phones and terminals that come and go, operators who issue and withdraw, a
//! server that is stopped, killed and started again, a bundle that is renewed. In the end everybody agrees, and neither
//! memory nor descriptors have grown.
//!
//! Promises: the phones and terminals are the real SDK, each with a folder of its own; the server is a process of its
//! own. What is drawn comes from the seed; when it happens, from the machine. Memory is judged only in runs of
//! [`JUDGED_MINUTES`] or more: before that caches still fill.

mod desk;
mod gauge;
mod phone;
mod server;
mod town;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::gauge::Gauge;
use self::town::Town;

/// How long and how large.
#[derive(Clone, Debug)]
pub struct Soak {
    /// How long everybody lives; bringing everybody up to date comes after it.
    pub life: Duration,
    /// Members' phones.
    pub phones: usize,
    /// Clinics' terminals.
    pub terminals: usize,
    /// What everything that is drawn is drawn from.
    pub seed: u64,
    /// The program that plays the server.
    pub executable: PathBuf,
    /// An empty folder for everybody's data; it stays.
    pub folder: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// All counts, for a person and for JSON.
    pub report: Value,
    /// What does not hold; empty when all is well.
    pub failures: Vec<String>,
}

impl Soak {
    /// Lives, and compares. `progress` is told every now and then.
    pub fn run(&self, mut progress: impl FnMut(&str)) -> Outcome {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let started = Instant::now();
        let until = started + self.life;
        let town = Arc::new(Town::found(self, runtime.handle().clone(), until));
        let mut gauge = Gauge::default();
        runtime.block_on(async {
            let keeper = std::thread::spawn({
                let town = town.clone();
                move || server::keep(&town)
            });
            town.register_everybody().await;
            let clerks: Vec<_> =
                (0..town::CLERKS).map(|at| tokio::spawn(town::work(town.clone(), at))).collect();
            let phones: Vec<_> =
                (0..self.phones).map(|at| tokio::spawn(phone::live(town.clone(), at))).collect();
            let desks: Vec<_> =
                (0..self.terminals).map(|at| tokio::spawn(desk::open(town.clone(), at))).collect();
            let weather = tokio::spawn(town::make_weather(town.clone()));
            let look = (self.life / 240).clamp(Duration::from_millis(200), Duration::from_secs(10));
            let mut told = Instant::now();
            while !town.is_over() {
                tokio::time::sleep(look).await;
                gauge.look(&town, started.elapsed());
                if told.elapsed() >= look * 3 {
                    told = Instant::now();
                    progress(&format!(
                        "{:>6.0} s  {}  {gauge}",
                        started.elapsed().as_secs_f64(),
                        town.progress()
                    ));
                }
            }
            progress("bringing everybody up to date");
            for task in clerks.into_iter().chain([weather]) {
                town.demand(task.await.is_ok(), || "somebody panicked".into());
            }
            town.look_at_all_cards().await;
            for phone in phones {
                town.demand(phone.await.is_ok(), || "a phone panicked".into());
            }
            for desk in desks {
                town.demand(desk.await.is_ok(), || "a terminal panicked".into());
            }
            town.end();
            town.demand(keeper.join().is_ok(), || "whoever keeps the server panicked".into());
        });
        town.judge(&gauge, self.life >= Duration::from_secs(60 * JUDGED_MINUTES));
        self.outcome(&town, &gauge, started.elapsed())
    }

    fn outcome(&self, town: &Town, gauge: &Gauge, elapsed: Duration) -> Outcome {
        let failures = town.failures();
        let report = json!({
            "seed": self.seed,
            "minutes": self.life.as_secs_f64() / 60.0,
            "seconds": elapsed.as_secs_f64(),
            "phones": self.phones,
            "terminals": self.terminals,
            "counts": town.counts(),
            "gauges": gauge.to_json(),
            "failures": failures,
        });
        Outcome { report, failures }
    }
}

/// Minutes from which on memory is judged.
pub const JUDGED_MINUTES: u64 = 10;
