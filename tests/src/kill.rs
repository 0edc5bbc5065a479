//! kill -9 at random moments, under load: a real server, phones, terminals and operators, of which one after the other is
//! killed and started again, until all kills are done; then everything has to agree.
//!
//! Promises, or the campaign fails and says where: what an operator was answered has its effect, once; no index is given
//! twice; feeds lead on without a gap; the status list is exactly what was done; phones and terminals never go back, and
//! in the end hold what the server holds; a proof that was taken by a terminal that ended well counts no second time; no
//! store is set aside, nothing lies in `blobs/`, no program says that a hand is needed.
//!
//! A seed fixes what everybody does and how long it is let live. The machine decides which instruction that is, so that a
//! seed finds again what it found often, not always.

mod clerk;
mod close;
mod desk;
mod phone;
mod server;
mod world;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::world::World;

/// How much to kill.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Kills, all programs together.
    pub kills: u32,
    /// What everything that is drawn is drawn from.
    pub seed: u64,
    /// The program that plays all programs: `bhyt-kill` itself.
    pub executable: PathBuf,
    /// An empty folder for everybody's data; it stays.
    pub folder: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    seed: u64,
    /// Of servers, phones and terminals.
    pub kills: [u32; 3],
    /// Kills while a trust bundle was made.
    pub kills_of_renewals: u32,
    /// Operations that were answered.
    pub answered: u64,
    /// Comparisons with what was known.
    pub checks: u64,
    /// Members, cards, entries of the status list in the end.
    pub held: [u64; 3],
    /// What does not hold; empty when all is well.
    pub failures: Vec<String>,
    seconds: f64,
}

impl Campaign {
    /// Kills until done, and checks. `progress` is told now and then.
    pub fn run(&self, mut progress: impl FnMut(&str)) -> Outcome {
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let world = World::found(self, runtime.handle().clone());
        std::thread::scope(|threads| {
            threads.spawn(|| server::keep(&world));
            let clerks: Vec<_> = (0..CLERKS)
                .map(|at| {
                    threads.spawn({
                        let world = &world;
                        move || clerk::work(world, at)
                    })
                })
                .collect();
            let phones: Vec<_> = (0..PHONES)
                .map(|at| {
                    threads.spawn({
                        let world = &world;
                        move || phone::live(world, at)
                    })
                })
                .collect();
            let desks: Vec<_> = (0..DESKS)
                .map(|at| {
                    threads.spawn({
                        let world = &world;
                        move || desk::open(world, at)
                    })
                })
                .collect();
            let mut told = Instant::now();
            while !world.is_over() {
                std::thread::sleep(LOOK);
                if told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    progress(&world.progress(started.elapsed()));
                }
            }
            // Whoever panicked has printed it, and is missed here.
            let gone = clerks.into_iter().filter_map(|clerk| clerk.join().err()).count();
            let mut phones: Vec<_> = phones.into_iter().filter_map(|phone| phone.join().ok()).collect();
            let mut desks: Vec<_> = desks.into_iter().filter_map(|desk| desk.join().ok()).collect();
            if gone > 0 || phones.len() < PHONES || desks.len() < DESKS {
                world.fail("somebody panicked");
            }
            close::compare(&world, &mut phones, &mut desks);
            world.ended.store(true, Ordering::SeqCst);
        });
        close::look_at_folders(&world);
        world.outcome(started.elapsed())
    }
}

impl Outcome {
    /// All in one object.
    pub fn to_json(&self) -> Value {
        let [servers, phones, terminals] = self.kills;
        let [members, cards, listed] = self.held;
        json!({
            "seed": self.seed,
            "kills": self.total(),
            "servers": servers,
            "phones": phones,
            "terminals": terminals,
            "renewals": self.kills_of_renewals,
            "answered": self.answered,
            "checks": self.checks,
            "members": members,
            "cards": cards,
            "listed": listed,
            "seconds": (self.seconds * 10.0).round() / 10.0,
            "failures": self.failures,
        })
    }

    /// Programs that were killed.
    pub fn total(&self) -> u32 {
        self.kills.iter().sum::<u32>() + self.kills_of_renewals
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [servers, phones, terminals] = self.kills;
        let [members, cards, listed] = self.held;
        writeln!(f, "seed {}: {} kills in {:.0} s", self.seed, self.total(), self.seconds)?;
        writeln!(
            f,
            "  servers {servers}, phones {phones}, terminals {terminals}, renewals {}",
            self.kills_of_renewals
        )?;
        writeln!(f, "  {} operations answered, {} comparisons", self.answered, self.checks)?;
        writeln!(f, "  in the end {members} members, {cards} cards, {listed} entries in the status list")?;
        match self.failures.as_slice() {
            [] => writeln!(f, "  everything acknowledged is there, once"),
            failures => failures.iter().try_for_each(|failure| writeln!(f, "  FAILED: {failure}")),
        }
    }
}

const CLERKS: usize = 3;
const PHONES: usize = 4;
const DESKS: usize = 2;
const LOOK: Duration = Duration::from_millis(20);
const TELL_EVERY: Duration = Duration::from_secs(10);
