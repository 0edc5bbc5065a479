//! Whether a phone notices how many members there are: the same syncs against a server with many and one with few.

use std::time::{Duration, Instant};

use bhyt_core::feed::{Epoch, Extent};
use bhyt_core::sync::admin::{AdminCommand, AdminReply, Applied, CardChange};
use bhyt_core::sync::messages::{Follow, MemberCursor, Reply, Request, SyncWallet};
use bhyt_platform::quic::ClientSettings;

use crate::figure::{Figure, Goal, Promise};
use crate::phone::{Phone, Way, ask};
use crate::plot::Panel;
use crate::run::{Run, Scale};
use crate::sample::percentile;
use crate::town::{Town, card_row};

/// Activates phones of members that are spread over the first `members`, who have a card each, and gives each a record
/// that its phone has not seen.
pub(crate) fn activate(town: &Town, members: u64, scale: Scale) -> Vec<Phone> {
    let count = scale.of(PHONES).max(20);
    crate::block_on(async {
        let mut operator = town.operator().await;
        let way = Way::new(town, ClientSettings::phone());
        let mut phones = Vec::new();
        for number in 0..count {
            let member = number * members / count;
            let code = operator.device_code(member).await;
            phones.push(way.activate(member, code).await);
            let number = card_row(member, 0).number;
            let hold = AdminCommand::ChangeCard { number, change: CardChange::Hold };
            assert_eq!(operator.send(hold).await, AdminReply::Applied(Applied::Accepted));
        }
        phones
    })
}

/// A server, the members that it stores, and phones of some.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stock<'a> {
    pub(crate) town: &'a Town,
    pub(crate) members: u64,
    pub(crate) phones: &'a [Phone],
}

/// Measures both in turn, each phone once.
pub(crate) fn growth(run: &mut Run, many: Stock<'_>, few: Stock<'_>) {
    run.say(&format!("growth: {} phones at each server", many.phones.len()));
    let (of_many, of_few) = crate::block_on(async {
        let [to_many, to_few] = [many, few].map(|stock| Way::new(stock.town, ClientSettings::phone()));
        let (mut of_many, mut of_few) = (Vec::new(), Vec::new());
        for (phone_of_many, phone_of_few) in many.phones.iter().zip(few.phones) {
            of_many.push(sync(&to_many, phone_of_many).await.as_secs_f64() * 1_000.0);
            of_few.push(sync(&to_few, phone_of_few).await.as_secs_f64() * 1_000.0);
        }
        (of_many, of_few)
    });
    for (series, percent) in [("99 of 100 phones wait no longer", 99.0), ("50 of 100", 50.0)] {
        run.point(Panel::Growth, series, few.members as f64, percentile(&of_few, percent));
        run.point(Panel::Growth, series, many.members as f64, percentile(&of_many, percent));
    }
    let (slow, limit) = (percentile(&of_many, 99.0), percentile(&of_few, 99.0));
    run.found(Figure::ratio(&GROWTH_RATIO, slow / limit, limit * 1e3));
}

/// From the request on a new connection to the last of the answer.
async fn sync(way: &Way, phone: &Phone) -> Duration {
    let connected = way.connect(&phone.key).await;
    // As if it had the card and nothing after it.
    let extent = Extent { epoch: Epoch(1), size: 1 };
    let cursor = MemberCursor { member: phone.member, extent, state: [0; 16] };
    let request = SyncWallet { trust: 1, members: vec![cursor], follow: Follow::Once };
    let started = Instant::now();
    let replies = ask(&connected.connection, &Request::SyncWallet(request)).await;
    let took = started.elapsed();
    let [Reply::Feed(feed), Reply::Credentials { .. }, Reply::Done] = &replies[..] else {
        panic!("not one new record: {replies:?}")
    };
    assert_eq!(feed.pages.len(), 1);
    took
}

/// Enough that the slowest in a hundred is one of several.
const PHONES: u64 = 1_000;

pub(crate) const GROWTH_RATIO: Promise = Promise {
    id: "server.growth_ratio",
    unit: "ratio",
    limit_unit: "µs",
    goal: Goal::AtMost(1.5),
    how: "p99 of the time from the request to the end of the answer, one new record, on a new connection, of 1,000 phones \
          against a server with 1,000,000 members ÷ as many against one with 10,000, in turn, each phone once. Between \
          its record and its sync the first server imports 100,000 cards, so that nothing of its member is at hand.",
    cause: "Not yet proven. In the same run half of the phones waited 0.29 ms with a million members and 0.23 ms with 10,000, \
            and the slowest in a hundred 0.76 ms and 0.48 ms. The member's row and the walk down to it are read from the file, \
            which the small store has in its cache; how much of the difference that is has not been measured.",
};
