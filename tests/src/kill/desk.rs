//! A clinic's terminal whose program is started again and again, and killed in most of these: it enrols, syncs, follows,
//! and verifies what phones show, old codes among them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use serde_json::Value;

use super::world::{Shown, Victim, World, lock};
use crate::dice::Dice;
use crate::program::{Ended, Heard, Role, Running};

/// Is open until the campaign is over. What is returned is as it was left.
pub(super) fn open(world: &World, at: usize) -> Desk<'_> {
    let mut desk = Desk::new(world, at);
    while !world.is_over() {
        desk.step();
    }
    desk
}

/// One terminal, and those that were before it.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    world: &'a World,
    at: usize,
    retired: usize,
    dice: Dice,
    token: Option<String>,
    enrolled: bool,
    floor: Floor,
    /// Codes that proved their holder to a process that ended well: they must not a second time.
    taken: BTreeSet<String>,
}

/// What the terminal has said that it stands on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Floor {
    trust: u64,
    list: Option<(u64, u64)>,
    list_time: u64,
}

impl<'a> Desk<'a> {
    fn new(world: &'a World, at: usize) -> Self {
        Self {
            world,
            at,
            retired: 0,
            dice: world.dice(300 + at as u64),
            token: None,
            enrolled: false,
            floor: Floor::default(),
            taken: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        if !self.world.may_kill(Victim::Terminal) {
            // Others still have something to do.
            std::thread::sleep(Duration::from_millis(20));
        }
        if !self.enrolled {
            self.enrol(true);
            return;
        }
        match self.dice.below(100) {
            0..35 => {
                let ended = self.run(&["sync"], SYNC_MS);
                self.expect(&ended, &[0, UNAVAILABLE], "sync");
            }
            35..55 => self.follow(),
            55..92 => self.verify_shown(),
            92..98 => self.look(),
            _ => self.retire(),
        }
    }

    /// Enrols with a token that is used until it is certain that it was.
    pub(super) fn enrol(&mut self, may_die: bool) {
        let Some(token) = self.ask_for_token() else { return };
        let server = self.world.relay.address().to_string();
        let trust = self.world.report.trust.display().to_string();
        let words = ["enrol", "--server", &server, "--trust", &trust, "--token", &token];
        let ended = if may_die { self.run(&words, ENROL_MS) } else { self.start(&words).wait(PATIENCE) };
        self.expect(&ended, &[0, UNAVAILABLE], "enrol");
        let facility = |status: Value| status.get("facility").is_some_and(|facility| !facility.is_null());
        self.enrolled = ended.code == Some(0) || self.status().is_some_and(facility);
    }

    /// Whether it is enrolled.
    pub(super) fn is_enrolled(&self) -> bool {
        self.enrolled
    }

    /// A sync that nobody disturbs; whether it went through.
    pub(super) fn sync(&self) -> bool {
        self.start(&["sync"]).wait(PATIENCE).code == Some(0)
    }

    /// Its folder.
    pub(super) fn name(&self) -> String {
        format!("desk-{}-{}", self.at, self.retired)
    }

    /// Answers to these codes, from a process that ends well.
    pub(super) fn verify(&mut self, shown: &[Shown]) -> Vec<Value> {
        self.verify_until(shown, None)
    }

    /// Compares what it stands on with what it stood on.
    pub(super) fn look(&mut self) {
        let Some(status) = self.status() else { return };
        let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64);
        let list = status
            .get("list_version")
            .and_then(|list| Some((number(list, "epoch")?, number(list, "number")?)));
        let now = Floor {
            trust: number(&status, "trust_version").unwrap_or_default(),
            list,
            list_time: number(&status, "list_time").unwrap_or_default(),
        };
        let before = self.floor;
        // Without a list it is only between a bundle that retires the list's key and the next sync.
        let listed = now.list >= before.list && now.list_time >= before.list_time;
        let between = now.list.is_none() && now.trust > before.trust;
        let holds = now.trust >= before.trust && (listed || between);
        let name = self.name();
        self.world.demand(holds, || format!("{name} went back: {before:?}, then {now:?}"));
        if now.list.is_some() {
            self.floor = now;
        }
    }

    fn follow(&mut self) {
        let mut running = self.start(&["sync", "--watch"]);
        running.listen(Instant::now() + Duration::from_millis(self.dice.below(FOLLOW_MS)));
        let ended = if self.dies() {
            let ended = running.kill();
            self.note(&ended);
            ended
        } else {
            running.end_input();
            running.wait(PATIENCE)
        };
        self.expect(&ended, &[0], "sync --watch");
        self.look();
    }

    fn verify_shown(&mut self) {
        let shown: Vec<Shown> = {
            let all = lock(&self.world.shown);
            (0..CODES)
                .filter_map(|_| all.get(usize::try_from(self.dice.below(all.len().max(1) as u64)).ok()?))
                .cloned()
                .collect()
        };
        if shown.is_empty() {
            return;
        }
        let after = self.dies().then(|| Duration::from_micros(self.dice.below(VERIFY_MS * 1_000)));
        self.verify_until(&shown, after);
    }

    /// Hands the codes over and takes the answers, until `dies_after`.
    fn verify_until(&mut self, shown: &[Shown], dies_after: Option<Duration>) -> Vec<Value> {
        let mut running = self.start(&["verify", "-"]);
        let deadline = Instant::now() + dies_after.unwrap_or(PATIENCE);
        let (mut verdicts, mut proven) = (Vec::new(), BTreeSet::new());
        for code in shown {
            running.tell(&code.text);
            let Heard::Line(line) = running.hear(deadline) else { break };
            let verdict: Value = serde_json::from_str(&line).unwrap_or_default();
            self.judge(code, &verdict, &mut proven);
            verdicts.push(verdict);
        }
        let ended = if dies_after.is_some() {
            let ended = running.kill();
            self.note(&ended);
            self.look();
            ended
        } else {
            running.end_input();
            running.wait(PATIENCE)
        };
        self.expect(&ended, &[0, 1, 2], "verify");
        if ended.code.is_some() {
            self.taken.extend(proven);
        }
        verdicts
    }

    /// What must hold of any answer, whatever list the terminal has.
    fn judge(&self, code: &Shown, verdict: &Value, proven: &mut BTreeSet<String>) {
        let word = |name: &str| verdict.get(name).and_then(Value::as_str).unwrap_or_default();
        match word("outcome") {
            "accept" | "undecided" => {}
            "reject" => {
                lock(&self.world.rejected).insert((code.number.clone(), word("reason").to_owned()));
            }
            other => self.world.fail(format!("{} answered {other:?}", self.name())),
        }
        if word("holder") == "proven" {
            let again = self.taken.contains(&code.text) || !proven.insert(code.text.clone());
            self.world.demand(!again, || format!("{} took one proof twice", self.name()));
        }
    }

    fn retire(&mut self) {
        if !self.sync() {
            return;
        }
        let Some(id) = self.status().and_then(|status| Some(status.get("id")?.as_str()?.to_owned())) else {
            return;
        };
        if self.world.ask_new(&mut self.dice, &AdminCommand::RetireTerminal(id)).is_none() {
            return;
        }
        let ended = self.start(&["sync"]).wait(PATIENCE);
        self.expect(&ended, &[REFUSED, UNAVAILABLE], "sync of a retired terminal");
        self.retired += 1;
        (self.token, self.enrolled, self.floor) = (None, false, Floor::default());
        self.taken.clear();
    }

    fn ask_for_token(&mut self) -> Option<String> {
        if self.token.is_none() {
            let command = AdminCommand::MakeTerminalToken("99024".into());
            let Some(AdminReply::OneTimeCode { code, .. }) = self.world.ask_new(&mut self.dice, &command)
            else {
                return None;
            };
            self.token = Some(code);
        }
        self.token.clone()
    }

    fn status(&self) -> Option<Value> {
        let ended = self.start(&["status"]).wait(PATIENCE);
        self.expect(&ended, &[0], "status");
        serde_json::from_str(ended.lines.first()?).ok()
    }

    fn run(&mut self, words: &[&str], typical_ms: u64) -> Ended {
        let mut running = self.start(words);
        if !self.dies() {
            return running.wait(PATIENCE);
        }
        running.listen(Instant::now() + Duration::from_micros(self.dice.below(typical_ms * 1_000)));
        let ended = running.kill();
        self.note(&ended);
        if self.enrolled {
            self.look();
        }
        ended
    }

    fn start(&self, words: &[&str]) -> Running {
        let name = self.name();
        let data = self.world.path(&name).display().to_string();
        let mut all = vec!["--data", &data, "--json"];
        all.extend(words);
        self.world.start(Role::Terminal, &name, &all)
    }

    fn dies(&mut self) -> bool {
        self.world.may_kill(Victim::Terminal) && !self.dice.once_in(4)
    }

    fn note(&self, ended: &Ended) {
        if ended.code.is_none() {
            self.world.note_kill(Victim::Terminal);
        }
    }

    /// One that was killed has no exit code.
    fn expect(&self, ended: &Ended, codes: &[i32], what: &str) {
        let name = self.name();
        self.world.demand(ended.code.is_none_or(|code| codes.contains(&code)), || {
            format!("{what} of {name} ended with {:?}: {name}.log", ended.code)
        });
    }
}

const UNAVAILABLE: i32 = 69;
const REFUSED: i32 = 77;
/// About as long as these take.
const SYNC_MS: u64 = 90;
const ENROL_MS: u64 = 150;
const VERIFY_MS: u64 = 120;
const FOLLOW_MS: u64 = 700;
const PATIENCE: Duration = Duration::from_secs(4);
/// Codes that are verified in one go.
const CODES: usize = 5;
