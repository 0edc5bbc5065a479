//! Whatever happened after a backup comes right: random histories of a town, a restore in the middle, and what must be so
//! afterwards. The seed is printed; run it again with BHYT_SEED.

#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "helpers of tests, outside #[test]")]

use std::collections::{BTreeMap, BTreeSet};

use bhyt_core::card_record::CardStanding;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, CardChange, CardRow, CardView};
use bhyt_sdk::{Refused, SdkError};
use bhyt_tests::dice::Dice;
use bhyt_tests::operator::{Operator, card_row};
use bhyt_tests::people::{Phone, Town};
use bhyt_tests::server::block_on;

const MEMBERS: [&str; 2] = ["9900000017", "9900000025"];
const PREFIXES: [&str; 9] = ["DN499", "GD499", "HT299", "CH499", "XN499", "HN499", "TE199", "CK299", "HC499"];

/// A town with two members and two phones each, phones that came after the backup, and the cards that were ever issued.
struct History {
    town: Town,
    server: std::net::SocketAddr,
    after_backup: bool,
    dice: Dice,
    phones: Vec<(usize, Phone)>,
    issued: [usize; 2],
}

impl History {
    async fn begin(seed: u64, town: Town, operator: &Operator, server: std::net::SocketAddr) -> Self {
        let mut phones = Vec::new();
        for (number, member) in MEMBERS.iter().enumerate() {
            operator.register(member, "Nguyễn Thị Thử").await;
            for name in ["a", "b"] {
                let phone = town.phone_named(&format!("{member}{name}"), server, operator, member).await;
                phones.push((number, phone));
            }
        }
        Self { town, server, after_backup: false, dice: Dice::new(seed), phones, issued: [0, 0] }
    }

    /// One thing that happens. What the server refuses, does not.
    async fn step(&mut self, operator: &Operator) {
        self.town.pass(1 + self.dice.below(90));
        let member = self.dice.below(2) as usize;
        let next = PREFIXES.get(self.issued[member]).map(|prefix| number(prefix, member));
        let known = number(PREFIXES[self.dice.below(1 + self.issued[member] as u64) as usize % 9], member);
        match (self.dice.below(8), next) {
            (0..=1, Some(next)) => {
                operator.issue(card_row(MEMBERS[member], &next, "2026-01-01", "")).await;
                self.issued[member] += 1;
            }
            (2, Some(next)) => {
                let row = CardRow { number: next, level: "2".into(), ..CardRow::default() };
                let replaced = operator.send(AdminCommand::ReplaceCard { number: known, row }).await;
                self.issued[member] += usize::from(matches!(replaced, Ok(AdminReply::Applied(_))));
            }
            (3..=5, _) => {
                let changes = [CardChange::Hold, CardChange::Release, CardChange::Withdraw, CardChange::Hold];
                let change = *self.dice.pick(&changes);
                let _ = operator.send(AdminCommand::ChangeCard { number: known, change }).await;
            }
            (6, _) if self.after_backup && self.phones.len() < 8 => {
                let name = format!("{}-{}", MEMBERS[member], self.phones.len());
                let phone = self.town.phone_named(&name, self.server, operator, MEMBERS[member]).await;
                // One without any credential has nothing to show: it would have to be activated anew.
                let bound = phone.wallet.cards(phone.member).iter().any(|card| !card.bindings.is_empty());
                if bound {
                    self.phones.push((member, phone));
                }
            }
            _ => {
                let at = self.dice.below(self.phones.len() as u64) as usize;
                self.phones[at].1.wallet.sync().await.expect("synced");
            }
        }
    }

    /// Every card as the server knows it.
    async fn cards(&self, operator: &Operator) -> BTreeMap<String, CardView> {
        let mut cards = BTreeMap::new();
        for (member, issued) in self.issued.iter().enumerate() {
            for prefix in &PREFIXES[..*issued] {
                let number = number(prefix, member);
                if let Ok(AdminReply::Card(card)) =
                    operator.send(AdminCommand::ShowCard(number.clone())).await
                {
                    cards.insert(number, card);
                }
            }
        }
        cards
    }

    /// Sets apart the phones that came after the backup and hold no card any more that stands: they have nothing to show to
    /// a server that has forgotten them.
    fn without_lost(&mut self, truth: &BTreeMap<String, CardView>) -> Vec<Phone> {
        let stands = |card: &bhyt_sdk::CardView| {
            let standing = truth.get(card.claims.number.as_str()).map(|card| card.standing);
            !card.bindings.is_empty() && standing != Some(CardStanding::Withdrawn)
        };
        let new = self.phones.split_off(4);
        let (known, lost): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|(_, phone)| phone.wallet.cards(phone.member).iter().any(stands));
        self.phones.extend(known);
        lost.into_iter().map(|(_, phone)| phone).collect()
    }

    /// Numbers that phones show.
    fn shown(&self) -> BTreeSet<String> {
        self.phones.iter().flat_map(|(_, phone)| phone.numbers()).collect()
    }
}

fn number(prefix: &str, member: usize) -> String {
    format!("{prefix}{}", MEMBERS[member])
}

#[test]
fn whatever_happened_after_a_backup_comes_right() {
    let seeds: Vec<u64> = match std::env::var("BHYT_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        // 31: a held card that was replaced after the backup was taken for one that was released.
        None => vec![0, 1, 2, 31],
    };
    for seed in seeds {
        println!("BHYT_SEED={seed}");
        live_through(seed);
    }
}

fn live_through(seed: u64) {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    let backup = town.path("backup");
    let (mut history, desk, kept, truth) = block_on(async {
        let operator = town.operator(address).await;
        let desk = town.desk(address, &operator).await;
        let mut history = History::begin(seed, town, &operator, address).await;
        for _ in 0..history.dice.below(25) {
            history.step(&operator).await;
        }
        operator.back_up(&backup).await;
        let kept: BTreeSet<String> = history.cards(&operator).await.into_keys().collect();
        history.after_backup = true;
        for _ in 0..history.dice.below(40) {
            history.step(&operator).await;
        }
        desk.0.sync().await.expect("synced");
        let truth = history.cards(&operator).await;
        (history, desk, kept, truth)
    });
    let lost = history.without_lost(&truth);
    let (seen, list) = (history.shown(), desk.0.status().status_version.expect("a list"));
    server.stop();

    history.town.pass(60);
    let restored = history.town.server.restored(&backup).expect("restored");
    restored.adopt(&history.town.path("desk").join("status/status")).expect("adopted");
    let _server = restored.start(address);
    block_on(async {
        let operator = history.town.operator(address).await;
        let count = history.phones.len();
        let mut order: Vec<usize> = (0..2 * count).map(|at| at % count).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, history.dice.below(at as u64 + 1) as usize);
        }
        for at in order.into_iter().chain(0..count) {
            history.phones[at].1.wallet.sync().await.expect("comes right");
        }
        for member in 0..MEMBERS.len() {
            let mut phones = history.phones.iter().filter(|(of, _)| *of == member);
            let first = cards_of(&phones.next().expect("a phone").1);
            phones.for_each(|(_, phone)| {
                assert_eq!(cards_of(phone), first, "all phones of a member show the same")
            });
        }
        for phone in &lost {
            let error = phone.wallet.sync().await.expect_err("nothing to show");
            assert!(matches!(error, SdkError::Refused { why: Refused::Forgotten }), "{error:?}");
        }
        for (_, phone) in &history.phones {
            assert_eq!(phone.wallet.sync().await.expect("synced").changes, 0, "nothing more to say");
        }
        assert!(history.shown().is_superset(&seen), "{:?} of {seen:?}", history.shown());
        let now = history.cards(&operator).await;
        for number in kept.union(&seen) {
            let (was, is) = (&truth[number], now.get(number).map(|card| (card.standing, card.status_index)));
            assert_eq!(is, Some((was.standing, was.status_index)), "{number}");
        }
        desk.0.sync().await.expect("synced");
        assert!(desk.0.status().status_version.expect("a list").epoch > list.epoch);
        assert_new_places(&operator, &truth).await;
    });
}

/// Number, state and place of every card that a phone shows.
fn cards_of(phone: &Phone) -> Vec<(String, &'static str, u32)> {
    let cards = phone.wallet.cards(phone.member);
    let line = |card: &bhyt_sdk::CardView| {
        (card.claims.number.as_str().to_owned(), card.state.name(), card.claims.status_index.0)
    };
    let mut cards: Vec<_> = cards.iter().map(line).collect();
    cards.sort_unstable();
    cards
}

async fn assert_new_places(operator: &Operator, truth: &BTreeMap<String, CardView>) {
    let taken: BTreeSet<u32> = truth.values().map(|card| card.status_index).collect();
    for member in MEMBERS {
        let number = format!("QN599{member}");
        operator.issue(card_row(member, &number, "2026-01-01", "")).await;
        let Ok(AdminReply::Card(card)) = operator.send(AdminCommand::ShowCard(number)).await else {
            panic!("the new card is there");
        };
        assert!(!taken.contains(&card.status_index), "{} is given out twice", card.status_index);
        assert_eq!(card.standing, CardStanding::InForce);
    }
}
