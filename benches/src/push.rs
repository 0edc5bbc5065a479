//! News on their way: from an operator's request to a card that is durable on the phone, and its application told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bhyt_core::ids::MemberId;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, Applied};
use bhyt_sdk::{Activation, Config, Event, EventListener, Wallet};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::figure::{Figure, Goal, Promise};
use crate::plot::Panel;
use crate::run::{Group, Run};
use crate::sample::percentile;
use crate::town::{OPEN_DOORS, Operator, Town, alias, card_row};

/// `push.p50_ms`, `push.p99_ms`.
pub(crate) const PUSH: &Group = &Group { promises: &[P50_MS, P99_MS], measure: push };

fn push(run: &mut Run) {
    let phones = run.scale.of(100).max(10);
    run.say(&format!("push: {phones} phones"));
    let town = Town::found(OPEN_DOORS);
    let took = crate::block_on(async {
        let mut operator = town.operator().await;
        operator.register(0..phones).await;
        operator.issue_first(0..phones).await;
        let (told, mut news) = unbounded_channel();
        let mut watching = Vec::new();
        for member in 0..phones {
            watching.push(watch(&town, &mut operator, member, &told).await);
            up_to_date(&mut news, member).await;
        }
        let issues = run.scale.of(1_000).max(20);
        run.say(&format!("push: {issues} cards"));
        let mut took = Vec::new();
        for n in 0..issues {
            let (card, member) = (n / phones + 1, n % phones);
            took.push(issue(&mut operator, &mut news, member, card).await.as_secs_f64() * 1_000.0);
            let (wallet, id) = watching.get(member as usize).expect("a phone for each member");
            assert_eq!(wallet.cards(*id).len() as u64, card + 1, "the card is shown");
        }
        for (wallet, _) in watching {
            wallet.close().await;
        }
        took
    });
    for percent in [1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0] {
        run.point(Panel::Push, "durable, and the application told", percent, percentile(&took, percent));
    }
    run.found(Figure::value(&P50_MS, percentile(&took, 50.0)));
    run.found(Figure::value(&P99_MS, percentile(&took, 99.0)));
}

/// A phone of a member that stays connected, and tells when it is up to date.
async fn watch(
    town: &Town,
    operator: &mut Operator,
    member: u64,
    told: &UnboundedSender<News>,
) -> (Wallet, MemberId) {
    let wallet = Wallet::open(Config::new(&town.path(&alias(member)))).expect("a wallet");
    let (server, code) = (town.address().to_string(), operator.device_code(member).await);
    let asked = Activation { server, trust: town.trust(), alias: alias(member), code };
    let id = wallet.activate(asked).await.expect("activated");
    wallet.watch(Arc::new(Listener { member, told: told.clone() }));
    (wallet, id)
}

/// From before the request to the phone's word that everything is durable.
async fn issue(
    operator: &mut Operator,
    news: &mut UnboundedReceiver<News>,
    member: u64,
    card: u64,
) -> Duration {
    let card = u8::try_from(card).expect("few cards a member");
    let started = Instant::now();
    operator.begin(AdminCommand::IssueCard(card_row(member, card))).await;
    let took = up_to_date(news, member).await - started;
    assert_eq!(operator.end().await, AdminReply::Applied(Applied::Accepted));
    took
}

async fn up_to_date(news: &mut UnboundedReceiver<News>, member: u64) -> Instant {
    let (of, at) = timeout(PATIENCE, news.recv()).await.expect("news come").expect("phones tell");
    assert_eq!(of, member, "nobody else has news");
    at
}

/// Whose phone is up to date, and when it said so.
type News = (u64, Instant);

#[derive(Debug)]
struct Listener {
    member: u64,
    told: UnboundedSender<News>,
}

impl EventListener for Listener {
    fn on_event(&self, event: Event) {
        if event == Event::UpToDate {
            // At the end nobody listens.
            let _ = self.told.send((self.member, Instant::now()));
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

const P50_MS: Promise = Promise {
    id: "push.p50_ms",
    unit: "ms",
    limit_unit: "",
    goal: Goal::AtMost(5.0),
    how: "100 phones (the SDK, each with stores of its own) stay connected to a real server process; an operator issues 1,000 \
          cards to them in turn. From before the request is sent to the phone's event that all is durable: record, then \
          credential.",
    cause: "",
};
const P99_MS: Promise = Promise {
    id: "push.p99_ms",
    unit: "ms",
    limit_unit: "",
    goal: Goal::AtMost(50.0),
    how: "The same, the 990th of 1,000.",
    cause: "",
};
