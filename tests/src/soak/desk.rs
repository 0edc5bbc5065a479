//! A terminal of a soak: verifies what phones show, follows, and is switched off now and then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_core::verdict::{Holder, Outcome};
use bhyt_sdk::{Config, Enrolment, NoListener, SdkError, Terminal};

use super::town::Town;
use crate::agree::list_differs;
use crate::dice::Dice;

/// Is open until the run is over, and then has the list that was made of everything.
pub(super) async fn open(town: Arc<Town>, at: usize) {
    let dice = town.dice(2_000 + at as u64);
    let mut desk = Desk { dice, floor: (0, None), taken: BTreeSet::new(), town, at };
    let Some(mut terminal) = desk.open().await else { return };
    if desk.enrol(&terminal).await.is_none() {
        return;
    }
    while !desk.town.is_over() {
        if desk.dice.once_in(10) {
            terminal.close().await;
            drop(terminal);
            desk.wait(100, 400).await;
            let Some(opened) = desk.open().await else { return };
            terminal = opened;
        }
        if desk.dice.once_in(3) {
            desk.sync(&terminal).await;
        } else {
            terminal.watch(Arc::new(NoListener));
        }
        for _ in 0..5 {
            desk.wait(150, 600).await;
            desk.verify(&terminal);
        }
        terminal.unwatch().await;
        desk.look(&terminal);
    }
    desk.compare(&terminal).await;
    terminal.close().await;
}

struct Desk {
    town: Arc<Town>,
    at: usize,
    dice: Dice,
    /// Bundle and list.
    floor: (u64, Option<(u32, u64)>),
    /// Codes that proved their holder here.
    taken: BTreeSet<String>,
}

impl Desk {
    fn folder(&self) -> std::path::PathBuf {
        self.town.path(&format!("desk-{}", self.at))
    }

    async fn open(&self) -> Option<Terminal> {
        let folder = self.folder();
        let opened = tokio::task::spawn_blocking(move || Terminal::open(Config::new(&folder))).await;
        match opened {
            Ok(Ok(terminal)) => Some(terminal),
            Ok(Err(error)) => {
                self.town.fail(format!("desk {} does not open: {error}", self.at));
                None
            }
            Err(_) => None,
        }
    }

    async fn enrol(&mut self, terminal: &Terminal) -> Option<()> {
        let answer = self.town.ask(&mut self.dice, &AdminCommand::MakeTerminalToken("99024".into())).await?;
        let Ok(AdminReply::OneTimeCode { code: token, .. }) = answer else {
            self.town.fail(format!("no token: {answer:?}"));
            return None;
        };
        loop {
            let server = self.town.relay.address().to_string();
            let asked = Enrolment { server, trust: self.town.trust(), token: token.clone() };
            match terminal.enrol(asked).await {
                Ok(_) => return Some(()),
                Err(SdkError::Offline { .. }) if !self.town.is_over() => self.wait(300, 1_000).await,
                Err(SdkError::Offline { .. }) => return None,
                Err(error) => {
                    self.town.fail(format!("desk {} is not enrolled: {error:?}", self.at));
                    return None;
                }
            }
        }
    }

    async fn sync(&self, terminal: &Terminal) -> bool {
        match terminal.sync().await {
            Ok(_) => {
                self.town.count("syncs", 1);
                true
            }
            Err(SdkError::Offline { .. }) => {
                self.town.count("syncs_offline", 1);
                false
            }
            Err(error) => {
                self.town.fail(format!("a sync of desk {}: {error:?}", self.at));
                false
            }
        }
    }

    fn verify(&mut self, terminal: &Terminal) {
        let Some(text) = self.town.look_at_shown(&mut self.dice) else { return };
        let Ok(verdict) = terminal.verify_text(&text) else {
            self.town.fail(format!("desk {} answers nothing", self.at));
            return;
        };
        self.town.count("verdicts", 1);
        if let Outcome::Accept(accept) = verdict.outcome()
            && matches!(accept.holder, Holder::Proven(_))
        {
            let first = self.taken.insert(text);
            self.town.demand(first, || format!("desk {} took one proof twice", self.at));
        }
        if self.taken.len() > TAKEN_MAX {
            // Older than any proof that is taken.
            self.taken.clear();
        }
    }

    fn look(&mut self, terminal: &Terminal) {
        let status = terminal.status();
        let list = status.status_version.map(|version| (version.epoch, version.number));
        let now = (status.trust_version.unwrap_or_default(), list);
        let back = now.0 < self.floor.0 || now.1 < self.floor.1;
        self.town.demand(!back, || format!("desk {} went back: {:?}, then {now:?}", self.at, self.floor));
        self.floor = now;
    }

    async fn compare(&mut self, terminal: &Terminal) {
        let until = Instant::now() + PATIENCE;
        // Indexes are learnt, and the last list made, in a moment.
        let differs = loop {
            let synced = self.sync(terminal).await;
            let (path, trust) =
                (self.folder().join("status").join("status"), self.town.data().join("trust.cose"));
            let differs = list_differs(&path, &trust, &self.town.listed(), &BTreeSet::new());
            if synced && differs.is_none() || Instant::now() > until {
                break differs;
            }
            tokio::time::sleep(PAUSE).await;
        };
        self.town.check(differs.map(|differs| format!("desk {}: {differs}", self.at)));
        self.look(terminal);
    }

    async fn wait(&mut self, least_part: u32, most_part: u32) {
        let wait = self.town.drawn(&mut self.dice, least_part, most_part);
        tokio::time::sleep(wait).await;
    }
}

const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(500);
const TAKEN_MAX: usize = 5_000;
