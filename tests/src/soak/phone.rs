//! A phone of a soak: in somebody's hand for a while, in a pocket for a while, switched off now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bhyt_core::sync::admin::{AdminCommand, AdminReply};
use bhyt_sdk::{Activation, Config, NoListener, SdkError, Wallet, WalletStatus};

use super::town::Town;
use crate::agree::cards_differ;
use crate::dice::Dice;

/// Lives until the run is over, and then holds what its member has.
pub(super) async fn live(town: Arc<Town>, at: usize) {
    let mut phone = Phone { dice: town.dice(1_000 + at as u64), floor: [0; 3], town, at };
    let Some(mut wallet) = phone.open().await else { return };
    if phone.activate(&wallet).await.is_none() {
        return;
    }
    while !phone.town.is_over() {
        wallet = match phone.dice.below(10) {
            0 => {
                wallet.close().await;
                drop(wallet);
                phone.wait(100, 400).await;
                let Some(wallet) = phone.open().await else { return };
                wallet
            }
            1..4 => {
                phone.sync(&wallet).await;
                phone.wait(100, 400).await;
                wallet
            }
            _ => {
                wallet.watch(Arc::new(NoListener));
                phone.wait(20, 100).await;
                if phone.dice.once_in(4) {
                    // It has changed from one network to the other.
                    let _ = wallet.network_changed().await;
                }
                phone.show(&wallet);
                phone.wait(40, 200).await;
                wallet.unwatch().await;
                wallet
            }
        };
        phone.look(&wallet.status());
    }
    phone.compare(&wallet).await;
    wallet.close().await;
}

struct Phone {
    town: Arc<Town>,
    at: usize,
    dice: Dice,
    /// Records, cards, bundle.
    floor: [u64; 3],
}

impl Phone {
    async fn open(&self) -> Option<Wallet> {
        let folder = self.town.path(&format!("phone-{}", self.at));
        let opened = tokio::task::spawn_blocking(move || Wallet::open(Config::new(&folder))).await;
        match opened {
            Ok(Ok(wallet)) => Some(wallet),
            Ok(Err(error)) => {
                self.town.fail(format!("phone {} does not open: {error}", self.at));
                None
            }
            Err(_) => None,
        }
    }

    async fn activate(&mut self, wallet: &Wallet) -> Option<()> {
        let alias = {
            let (ledger, place) = self.town.member_of(self.at)?;
            ledger.members.get(place)?.number.clone()
        };
        let answer = self.town.ask(&mut self.dice, &AdminCommand::MakeDeviceCode(alias.clone())).await?;
        let Ok(AdminReply::OneTimeCode { code, .. }) = answer else {
            self.town.fail(format!("no code: {answer:?}"));
            return None;
        };
        loop {
            let server = self.town.relay.address().to_string();
            let asked =
                Activation { server, trust: self.town.trust(), alias: alias.clone(), code: code.clone() };
            match wallet.activate(asked).await {
                Ok(_) => return Some(()),
                Err(SdkError::Offline { .. }) if !self.town.is_over() => self.wait(300, 1_000).await,
                // A phone that never got through in a short run is none that lost something.
                Err(SdkError::Offline { .. }) => return None,
                Err(error) => {
                    self.town.fail(format!("phone {} is not activated: {error:?}", self.at));
                    return None;
                }
            }
        }
    }

    async fn sync(&self, wallet: &Wallet) -> bool {
        match wallet.sync().await {
            Ok(_) => {
                self.town.count("syncs", 1);
                true
            }
            Err(SdkError::Offline { .. }) => {
                self.town.count("syncs_offline", 1);
                false
            }
            Err(error) => {
                self.town.fail(format!("a sync of phone {}: {error:?}", self.at));
                false
            }
        }
    }

    fn show(&self, wallet: &Wallet) {
        for member in wallet.members() {
            // Before its first card there is none to show.
            if let Ok(text) = wallet.live_text(member) {
                self.town.show(text);
            }
        }
    }

    /// Nothing that it held is gone.
    fn look(&mut self, status: &WalletStatus) {
        let Some(member) = status.members.first() else {
            self.town.fail(format!("phone {} has lost its member", self.at));
            return;
        };
        let now = [member.records, member.cards as u64, status.trust_version.unwrap_or_default()];
        let back = now.iter().zip(&self.floor).any(|(now, before)| now < before);
        self.town.demand(!back, || format!("phone {} went back: {:?}, then {now:?}", self.at, self.floor));
        self.town.demand(member.forked_at.is_none(), || format!("phone {} saw two feeds", self.at));
        self.floor = now;
    }

    /// All changes are made; whoever syncs now holds them all.
    async fn compare(&mut self, wallet: &Wallet) {
        let until = Instant::now() + PATIENCE;
        // The operators' last answers may be a moment away.
        let differs = loop {
            let synced = self.sync(wallet).await;
            let differs = self.differs(wallet);
            if synced && differs.is_none() || Instant::now() > until {
                break differs.or_else(|| (!synced).then(|| "it does not come up to date".into()));
            }
            tokio::time::sleep(PAUSE).await;
        };
        self.town.check(differs.map(|differs| format!("phone {}: {differs}", self.at)));
        self.look(&wallet.status());
    }

    fn differs(&self, wallet: &Wallet) -> Option<String> {
        let status = wallet.status();
        let member = status.members.first()?;
        let shown = wallet.cards(member.member).into_iter();
        let shown = shown
            .map(|card| (card.claims.number.as_str().to_owned(), card.state.name().to_owned()))
            .collect();
        let (ledger, place) = self.town.member_of(self.at)?;
        let entry = ledger.members.get(place)?;
        let records = (member.records != entry.records)
            .then(|| format!("{} records, the feed has {}", member.records, entry.records));
        records.or_else(|| cards_differ(entry, shown))
    }

    async fn wait(&mut self, least_part: u32, most_part: u32) {
        let wait = self.town.drawn(&mut self.dice, least_part, most_part);
        tokio::time::sleep(wait).await;
    }
}

const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(300);
