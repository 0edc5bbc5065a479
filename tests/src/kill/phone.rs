//! A phone whose program is started again and again, and killed in most of these: it activates, syncs, follows, shows its
//! card, and is retired now and then, when another phone takes its place.

use std::time::{Duration, Instant};

use bhyt_core::card::CardClaims;
use bhyt_core::cose::Signed;
use bhyt_core::presentation::Presentation;
use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_core::trust::{KeyUse, anchor};
use serde_json::Value;

use super::CLERKS;
use super::world::{Shown, Victim, World, lock};
use crate::dice::Dice;
use crate::program::{Ended, Role, Running};

/// Lives until the campaign is over. What is returned is as it was left.
pub(super) fn live(world: &World, at: usize) -> Phone<'_> {
    let mut phone = Phone::new(world, at);
    while !world.is_over() {
        phone.step();
    }
    phone
}

/// One phone, and those that were before it.
#[derive(Debug)]
pub(super) struct Phone<'a> {
    world: &'a World,
    at: usize,
    /// How many were retired in its place.
    retired: usize,
    dice: Dice,
    member: Option<String>,
    code: Option<String>,
    activated: bool,
    floor: Floor,
}

/// What the phone has said that it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Floor {
    records: u64,
    cards: u64,
    trust: u64,
}

impl<'a> Phone<'a> {
    fn new(world: &'a World, at: usize) -> Self {
        Self {
            world,
            at,
            retired: 0,
            dice: world.dice(200 + at as u64),
            member: None,
            code: None,
            activated: false,
            floor: Floor::default(),
        }
    }

    fn step(&mut self) {
        if !self.world.may_kill(Victim::Phone) {
            // Others still have something to do.
            std::thread::sleep(Duration::from_millis(20));
        }
        if !self.activated {
            self.activate(true);
            return;
        }
        match self.dice.below(100) {
            0..45 => {
                let ended = self.run(&["sync"], SYNC_MS);
                self.expect(&ended, &[0, UNAVAILABLE], "sync");
            }
            45..70 => self.follow(),
            70..90 => self.show(),
            90..97 => {
                self.look();
            }
            _ => self.retire(),
        }
    }

    /// Takes its member on, with a code that is used until it is certain that it was.
    pub(super) fn activate(&mut self, may_die: bool) {
        let (Some(member), Some(code)) = (self.choose_member(), self.ask_for_code()) else {
            std::thread::sleep(Duration::from_millis(5));
            return;
        };
        let server = self.world.relay.address().to_string();
        let trust = self.world.report.trust.display().to_string();
        let words =
            ["activate", "--server", &server, "--trust", &trust, "--member", &member, "--code", &code];
        let ended = if may_die { self.run(&words, ACTIVATE_MS) } else { self.run_to_end(&words) };
        self.expect(&ended, &[0, UNAVAILABLE], "activate");
        match ended.code {
            Some(0) => self.activated = true,
            // The member may be on the phone all the same.
            _ => self.activated = self.status().is_some_and(|status| !members(&status).is_empty()),
        }
    }

    /// Whether a member is on it.
    pub(super) fn is_activated(&self) -> bool {
        self.activated
    }

    /// The member, and whose they are.
    pub(super) fn member(&self) -> Option<(usize, &str)> {
        Some((self.at % CLERKS, self.member.as_deref()?))
    }

    /// A sync that nobody disturbs; whether it went through.
    pub(super) fn sync(&self) -> bool {
        self.run_to_end(&["sync"]).code == Some(0)
    }

    /// The cards that it shows.
    pub(super) fn cards(&self) -> Vec<Value> {
        let ended = self.run_to_end(&["card"]);
        self.expect(&ended, &[0, DATA], "card");
        let cards = ended.lines.first().and_then(|line| serde_json::from_str(line).ok());
        cards.unwrap_or_default()
    }

    /// A live code.
    pub(super) fn live_code(&self) -> Option<Shown> {
        let ended = self.run_to_end(&["qr", "--out", "-"]);
        self.expect(&ended, &[0, DATA], "qr");
        let text = ended.lines.into_iter().next().filter(|_| ended.code == Some(0))?;
        let number = number_of(self.world, &text);
        self.world.demand(number.is_some(), || format!("phone {} shows what no card key signed", self.at));
        Some(Shown { text, number: number? })
    }

    /// Compares what it holds with what it held.
    pub(super) fn look(&mut self) -> u64 {
        let Some(status) = self.status() else { return 0 };
        let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
        let trust = number(&status, "trust_version");
        let Some(member) = members(&status).into_iter().next() else {
            self.world.fail(format!("phone {} has lost its member", self.at));
            return 0;
        };
        let forked = member.get("forked_at").is_some_and(|at| !at.is_null());
        self.world.demand(!forked, || format!("phone {} saw two feeds", self.at));
        let now = Floor { records: number(&member, "records"), cards: number(&member, "cards"), trust };
        let before = self.floor;
        let holds = now.records >= before.records && now.cards >= before.cards && now.trust >= before.trust;
        self.world.demand(holds, || format!("phone {} went back: {before:?}, then {now:?}", self.at));
        self.floor = now;
        now.records
    }

    /// Follows for a while. What it tells of is durable then.
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

    fn show(&self) {
        if let Some(shown) = self.live_code() {
            let mut all = lock(&self.world.shown);
            all.push_back(shown);
            let surplus = all.len().saturating_sub(SHOWN_MAX);
            all.drain(..surplus);
        }
    }

    /// The device is retired; its bindings must be listed from now on, and another phone takes its place.
    fn retire(&mut self) {
        if !self.sync() {
            return;
        }
        let Some(id) = self.status().and_then(|status| Some(status.get("id")?.as_str()?.to_owned())) else {
            return;
        };
        let Some((clerk, member)) = self.member() else { return };
        let Some(ledger) = self.world.ledgers.get(clerk) else { return };
        let numbers: Vec<String> = {
            let ledger = lock(ledger);
            let entry = ledger.place_of(member).and_then(|at| ledger.members.get(at));
            entry
                .map(|entry| entry.cards.iter().map(|card| card.row.number.clone()).collect())
                .unwrap_or_default()
        };
        let mut bindings = Vec::new();
        for number in numbers {
            let Some(AdminReply::Card(card)) =
                self.world.ask_new(&mut self.dice, &AdminCommand::ShowCard(number))
            else {
                return;
            };
            let ours = card.bindings.iter().filter(|(_, device, _)| *device == id);
            bindings.extend(ours.map(|(number, ..)| (card.status_index, *number)));
        }
        if self.world.ask_new(&mut self.dice, &AdminCommand::RetireDevice(id)).is_none() {
            return;
        }
        lock(&self.world.retired).extend(bindings);
        let ended = self.run_to_end(&["sync"]);
        self.expect(&ended, &[REFUSED, UNAVAILABLE], "sync of a retired phone");
        self.retired += 1;
        (self.member, self.code, self.activated) = (None, None, false);
        self.floor = Floor::default();
    }

    /// The next member of its clerk that no phone had.
    fn choose_member(&mut self) -> Option<String> {
        if self.member.is_none() {
            let ledger = lock(self.world.ledgers.get(self.at % CLERKS)?);
            let place = self.at / CLERKS + 2 * self.retired;
            self.member = Some(ledger.members.get(place % MEMBERS)?.number.clone());
        }
        self.member.clone()
    }

    fn ask_for_code(&mut self) -> Option<String> {
        if self.code.is_none() {
            let command = AdminCommand::MakeDeviceCode(self.member.clone()?);
            let Some(AdminReply::OneTimeCode { code, .. }) = self.world.ask_new(&mut self.dice, &command)
            else {
                return None;
            };
            self.code = Some(code);
        }
        self.code.clone()
    }

    fn status(&self) -> Option<Value> {
        let ended = self.run_to_end(&["status"]);
        self.expect(&ended, &[0], "status");
        serde_json::from_str(ended.lines.first()?).ok()
    }

    /// Runs it, and kills it at a random moment of the first `typical_ms` as often as not.
    fn run(&mut self, words: &[&str], typical_ms: u64) -> Ended {
        let mut running = self.start(words);
        if !self.dies() {
            // A server that is killed now is noticed in 30 s; nobody waits that long here.
            return running.wait(PATIENCE);
        }
        running.listen(Instant::now() + Duration::from_micros(self.dice.below(typical_ms * 1_000)));
        let ended = running.kill();
        self.note(&ended);
        if self.activated {
            self.look();
        }
        ended
    }

    fn run_to_end(&self, words: &[&str]) -> Ended {
        self.start(words).wait(PATIENCE)
    }

    fn dies(&mut self) -> bool {
        self.world.may_kill(Victim::Phone) && !self.dice.once_in(4)
    }

    fn note(&self, ended: &Ended) {
        if ended.code.is_none() {
            self.world.note_kill(Victim::Phone);
        }
    }

    /// One that was killed has no exit code.
    fn expect(&self, ended: &Ended, codes: &[i32], what: &str) {
        let name = self.name();
        self.world.demand(ended.code.is_none_or(|code| codes.contains(&code)), || {
            format!("{what} of {name} ended with {:?}: {name}.log", ended.code)
        });
    }

    fn name(&self) -> String {
        format!("phone-{}-{}", self.at, self.retired)
    }

    fn start(&self, words: &[&str]) -> Running {
        let name = self.name();
        let data = self.world.path(&name).display().to_string();
        let mut all = vec!["--data", &data];
        // A code is printed as its text.
        all.extend((!words.contains(&"qr")).then_some("--json"));
        all.extend(words);
        self.world.start(Role::Wallet, &name, &all)
    }
}

fn members(status: &Value) -> Vec<Value> {
    status.get("members").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The number on a card that is shown, when a card key of the newest bundle signed it.
fn number_of(world: &World, text: &str) -> Option<String> {
    let bundle = anchor(&std::fs::read(world.data().join("trust.cose")).ok()?).ok()?;
    let presentation = Presentation::decode_text(text).ok()?;
    let signed = Signed::<CardClaims>::decode(presentation.card_bytes()).ok()?;
    let key = bundle.claims().key(signed.key_id(), KeyUse::Card)?;
    Some(signed.verify(&key.key).ok()?.claims().number.as_str().to_owned())
}

const UNAVAILABLE: i32 = 69;
const DATA: i32 = 65;
const REFUSED: i32 = 77;
/// About as long as these take.
const SYNC_MS: u64 = 90;
const ACTIVATE_MS: u64 = 150;
const FOLLOW_MS: u64 = 700;
const PATIENCE: Duration = Duration::from_secs(4);
const SHOWN_MAX: usize = 40;
/// Of each clerk, that get phones: a card has sixteen bindings, and one that was retired keeps its number for long.
const MEMBERS: usize = 24;
