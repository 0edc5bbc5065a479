//! The phone against a server of a few lines: activation, showing offline, news, and everything that can go wrong
//! between them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step is a failed test")]

mod sdk_support;

use std::fs;
use std::sync::{Arc, Mutex};

use bhyt_core::card_record::CardStanding;
use bhyt_core::cose::Signed;
use bhyt_core::feed::{Extent, FeedFault, FeedHead};
use bhyt_core::keys::SecretKey;
use bhyt_core::presentation::{Challenge, Presentation};
use bhyt_core::sync::messages::{Reply, Request};
use bhyt_core::sync::wallet::SyncFault;
use bhyt_core::verdict::{Basis, Holder, Outcome, UnprovenReason};
use bhyt_platform::clock::ManualClock;
use bhyt_sdk::{Activation, CardState, Event, EventListener, Problem, QrMatrix, Refused, SdkError, Wallet};
use bhyt_tests::authority::{Authority, DAY};
use bhyt_tests::desk::Desk;

use sdk_support::{CODE, MEMBER, Server, config, eventually, stays, today};

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Event>>);

impl EventListener for Heard {
    fn on_event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    fn count(&self, wanted: &Event) -> usize {
        self.0.lock().unwrap().iter().filter(|event| *event == wanted).count()
    }
}

fn activation(server: &Server) -> Activation {
    Activation {
        server: server.address.clone(),
        trust: server.trust(),
        alias: "9900000017".to_owned(),
        code: CODE.to_owned(),
    }
}

/// A phone with one member, and its server.
async fn activated(folder: &tempfile::TempDir, clock: &ManualClock) -> (Wallet, Server) {
    let server = Server::start(clock);
    let wallet = Wallet::open(config(folder, clock, 1)).unwrap();
    assert_eq!(wallet.activate(activation(&server)).await.unwrap(), MEMBER);
    (wallet, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activated_phone_shows_its_card_offline_and_after_a_restart() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = activated(&folder, &clock).await;
    let cards = wallet.cards(MEMBER);
    assert_eq!(cards.len(), 1);
    assert_eq!((cards[0].state, cards[0].standing), (CardState::InForce, CardStanding::InForce));
    assert_eq!(cards[0].bindings[0].number.value(), 3);
    assert_eq!(wallet.sync().await.unwrap().changes, 0);
    server.stop().await;
    wallet.close().await;
    drop(wallet);

    clock.advance(20 * DAY);
    let wallet = Wallet::open(config(&folder, &clock, 2)).unwrap();
    assert_eq!(wallet.cards(MEMBER), cards);
    let status = wallet.status();
    assert_eq!((status.members[0].records, status.members[0].cards), (1, 1));
    assert_eq!(status.data_age_seconds, Some(20 * DAY));
    assert_eq!((status.problem, status.server_ahead_seconds), (None, Some(0)));
    check_presentations(&wallet, &clock);
}

/// Live: proven, in a code of version 12 at most. Printed: a good card with an unproven holder.
fn check_presentations(wallet: &Wallet, clock: &ManualClock) {
    use bhyt_platform::clock::Clock as _;
    let mut desk = Desk::of(&Authority::new(1), clock.now());
    let holder = |desk: &Desk, text: &str| {
        let verdict = desk.verify(&Presentation::decode_text(text).unwrap());
        match verdict.outcome() {
            Outcome::Accept(accept) => accept.holder,
            other => panic!("{other:?}"),
        }
    };
    let live = wallet.live_text(MEMBER).unwrap();
    assert_eq!(holder(&desk, &live), Holder::Proven(Basis::Clock));
    assert!(QrMatrix::for_screen(&live).unwrap().version() <= 12);
    let printed = wallet.printed_text(MEMBER).unwrap();
    assert_eq!(holder(&desk, &printed), Holder::Unproven(UnprovenReason::NoProof));

    let terminal = SecretKey::from_seed(&[5; 32]).public_key().key_id();
    let challenge = Challenge { terminal, random: [6; 8] };
    desk.replay.show_challenge(challenge, clock.now().plus(60), clock.now());
    let prepared = wallet.prepare_live(MEMBER, Some(challenge)).unwrap();
    assert_eq!(prepared.made_at(), clock.now());
    let foreign = SecretKey::from_seed(&[7; 32]).sign(&prepared.to_be_signed());
    let verdict = desk.verify(&Presentation::decode_text(&prepared.seal(foreign)).unwrap());
    assert!(matches!(verdict.outcome(), Outcome::Reject(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn news_reach_a_phone_that_stays_and_a_retired_one_forgets() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = activated(&folder, &clock).await;
    let heard = Arc::new(Heard::default());
    wallet.watch(heard.clone());
    eventually("connected", || heard.count(&Event::UpToDate) == 1).await;
    server.change_card(CardStanding::Held).await;
    eventually("held", || wallet.cards(MEMBER)[0].state == CardState::Held).await;
    assert_eq!(heard.count(&Event::RecordsChanged { member: MEMBER }), 1);

    // News that do not follow on are asked for instead, on the same connection.
    server.state().add_visits(40);
    server.push(&[Reply::Done]).await;
    let asked = server.state().asked.len();
    server.change_card(CardStanding::InForce).await;
    eventually("in force", || wallet.cards(MEMBER)[0].state == CardState::InForce).await;
    assert_eq!(wallet.status().members[0].records, 43);
    assert_eq!(server.state().asked[asked..].iter().filter(|request| stays(request)).count(), 1);

    server.retire().await;
    eventually("gone", || wallet.members().is_empty()).await;
    eventually("told", || heard.count(&Event::MemberRemoved { member: MEMBER }) == 1).await;
    wallet.close().await;
    drop(wallet);
    let wallet = Wallet::open(config(&folder, &clock, 2)).unwrap();
    assert!(wallet.members().is_empty() && wallet.cards(MEMBER).is_empty());
    assert!(matches!(wallet.sync().await, Err(SdkError::NotActivated)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_says_what_to_do() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let server = Server::start(&clock);
    let wallet = Wallet::open(config(&folder, &clock, 1)).unwrap();
    let second = Wallet::open(config(&folder, &clock, 1));
    assert!(matches!(second, Err(SdkError::StoreInUse { .. })));
    assert!(matches!(wallet.live_text(MEMBER), Err(SdkError::NotActivated)));

    let wrong = Activation { code: "WRONG".to_owned(), ..activation(&server) };
    let refused = wallet.activate(wrong).await.unwrap_err();
    assert!(matches!(refused, SdkError::Refused { why: Refused::Code }));
    let junk = Activation { trust: vec![1, 2, 3], ..activation(&server) };
    assert!(matches!(wallet.activate(junk).await, Err(SdkError::Untrusted { .. })));
    let mut other = server.state().bundle.clone();
    other.keys.retain(|key| key.usage != bhyt_core::trust::KeyUse::Transport);
    let stranger =
        bhyt_tests::authority::trusted(&SecretKey::from_seed(&[8; 32]), bhyt_core::trust::KeyUse::Transport);
    other.keys.push(stranger);
    let trust = server.state().authority.sign_bundle(&other);
    let not_ours = wallet.activate(Activation { trust, ..activation(&server) }).await;
    assert!(matches!(not_ours, Err(SdkError::Untrusted { .. })));

    wallet.activate(activation(&server)).await.unwrap();
    server.stop().await;
    let offline = wallet.sync().await.unwrap_err();
    assert_eq!(offline.problem(), Problem::Offline);
    assert_eq!(wallet.status().problem, Some(Problem::Offline));
    assert_eq!(wallet.cards(MEMBER).len(), 1);
    wallet.close().await;
    drop(wallet);

    // A lost key is said, and never replaced by a new one.
    fs::remove_file(folder.path().join("keys/store.key")).unwrap();
    for _ in 0..2 {
        let lost = Wallet::open(config(&folder, &clock, 2)).unwrap_err();
        assert!(matches!(lost, SdkError::Locked { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_cache_is_fetched_again_and_a_server_that_went_back_is_noticed() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = activated(&folder, &clock).await;
    server.state().add_visits(500);
    assert_eq!(wallet.sync().await.unwrap().received, 500);
    wallet.close().await;
    drop(wallet);

    fs::write(folder.path().join("cache/db"), b"no database").unwrap();
    let wallet = Wallet::open(config(&folder, &clock, 2)).unwrap();
    assert_eq!(wallet.members(), [MEMBER]);
    assert_eq!(wallet.sync().await.unwrap().received, 501);
    assert_eq!(wallet.cards(MEMBER).len(), 1);
    wallet.close().await;
    drop(wallet);

    // Without the cache only the mark in the own store knows how far the feed was.
    fs::remove_dir_all(folder.path().join("cache")).unwrap();
    server.state().records.truncate(400);
    let wallet = Wallet::open(config(&folder, &clock, 3)).unwrap();
    let error = wallet.sync().await.unwrap_err();
    assert_eq!(error.problem(), Problem::Untrusted);
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<SyncFault>();
    let Some(SyncFault::Feed { fault: FeedFault::Rollback { have, got }, .. }) = source else {
        panic!("{source:?}")
    };
    let size = |extent: &Extent| extent.size;
    assert_eq!((size(have), size(got)), (501, 400));
}

/// The sizes that the phone said it held, of every request since the one numbered `from`.
fn sizes_asked(server: &Server, from: usize) -> Vec<u64> {
    let size = |request: &Request| match request {
        Request::SyncFeeds(sync) => sync.members[0].cursor.extent.size,
        other => panic!("{other:?}"),
    };
    server.state().asked[from..].iter().map(size).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_do_not_lead_to_their_head_are_read_again_once() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = activated(&folder, &clock).await;
    let asked = server.state().asked.len();
    server.state().add_visits(40);
    server.state().feeds_forged = 1;
    wallet.sync().await.unwrap();
    assert_eq!(sizes_asked(&server, asked), [1, 0]);
    assert_eq!((wallet.status().members[0].records, wallet.cards(MEMBER).len()), (41, 1));

    // A server that goes on cutting is asked no third time, and nothing shown is lost by it.
    server.state().add_visits(1);
    server.state().feeds_forged = 3;
    for _ in 0..2 {
        assert_eq!(wallet.sync().await.unwrap_err().problem(), Problem::Untrusted);
        assert_eq!((wallet.status().members[0].records, wallet.cards(MEMBER).len()), (41, 1));
    }
    assert_eq!(sizes_asked(&server, asked), [1, 0, 41, 0, 0]);
    wallet.sync().await.unwrap();
    let status = wallet.status();
    assert_eq!((status.members[0].records, status.problem), (42, None));
    assert_eq!((status.members[0].forked_at, wallet.fork_evidence(MEMBER)), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_fork_both_heads_are_kept_and_the_card_stays_in_hand() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = activated(&folder, &clock).await;
    let (cards, honest) = (wallet.cards(MEMBER), server.state().records.clone());

    // Another past, and something new on top of it: only reading all of it again tells a fork from damage.
    server.state().records[0].time = today().minus(2 * DAY);
    server.state().add_visits(3);
    let error = wallet.sync().await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<SyncFault>();
    assert!(matches!(source, Some(SyncFault::Feed { fault: FeedFault::Fork { .. }, .. })), "{source:?}");
    let evidence = wallet.fork_evidence(MEMBER).unwrap();
    let size = |bytes: &[u8]| {
        let signed = Signed::<FeedHead>::decode(bytes).unwrap();
        let key = server.state().authority.head_key.public_key();
        signed.verify(&key).unwrap().claims().extent.size
    };
    assert_eq!((size(evidence.held.as_ref().unwrap()), size(&evidence.disputed)), (1, 4));
    let check = |wallet: &Wallet, problem: Option<Problem>| {
        assert_eq!(wallet.status().problem, problem);
        assert_eq!(wallet.status().members[0].forked_at, Some(today()));
        assert_eq!(wallet.fork_evidence(MEMBER).as_ref(), Some(&evidence));
        assert_eq!(wallet.cards(MEMBER), cards);
        assert!(wallet.live_text(MEMBER).is_ok());
    };
    check(&wallet, Some(Problem::Untrusted));

    // A second one, at the size held, does not push the first out; nor does a restart.
    server.state().records.truncate(1);
    assert_eq!(wallet.sync().await.unwrap_err().problem(), Problem::Untrusted);
    wallet.close().await;
    drop(wallet);
    let wallet = Wallet::open(config(&folder, &clock, 2)).unwrap();
    check(&wallet, Some(Problem::Untrusted));

    // The feed that was verified goes on being followed.
    server.state().records = honest;
    wallet.sync().await.unwrap();
    check(&wallet, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_bundle_is_taken_and_kept() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = activated(&folder, &clock).await;
    server.state().bundle.version = 5;
    assert_eq!(wallet.sync().await.unwrap().changes, 1);
    wallet.close().await;
    drop(wallet);
    let wallet = Wallet::open(config(&folder, &clock, 2)).unwrap();
    assert_eq!(wallet.status().trust_version, Some(5));
    // An older file at the next activation does not take it back.
    server.state().bundle.version = 2;
    server.state().code = Some(CODE);
    wallet.activate(activation(&server)).await.unwrap();
    assert_eq!(wallet.status().trust_version, Some(5));
    let last = server.state().asked.last().cloned();
    assert!(matches!(last, Some(Request::SyncFeeds(sync)) if sync.trust == 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_and_watch_share_a_connection_and_dropping_gives_up() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = activated(&folder, &clock).await;
    let heard = Arc::new(Heard::default());
    wallet.watch(heard.clone());
    eventually("connected", || heard.count(&Event::UpToDate) == 1).await;
    server.state().add_visits(3);
    assert_eq!(wallet.sync().await.unwrap().received, 3);
    wallet.network_changed().await.unwrap();
    eventually("asked again", || heard.count(&Event::UpToDate) == 2).await;
    wallet.unwatch().await;
    assert_eq!(wallet.sync().await.unwrap().changes, 0);
    drop(wallet.sync());
    assert_eq!(wallet.cards(MEMBER).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_stays_comes_back_when_told_of_the_network() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = activated(&folder, &clock).await;
    let heard = Arc::new(Heard::default());
    wallet.watch(heard.clone());
    eventually("connected", || heard.count(&Event::UpToDate) == 1).await;
    server.stop().await;
    let retry_in = || {
        let heard = heard.0.lock().unwrap();
        heard.iter().find_map(|event| match event {
            Event::Disconnected { problem: Problem::Offline, retry_in } => *retry_in,
            _ => None,
        })
    };
    eventually("disconnected", || retry_in().is_some()).await;
    // The server asked for seven seconds.
    assert!(retry_in().unwrap().as_secs() >= 7);
    let server = server.restart().await;
    server.change_card(CardStanding::Withdrawn).await;
    wallet.network_changed().await.unwrap();
    eventually("back", || heard.count(&Event::UpToDate) == 2).await;
    assert_eq!(wallet.cards(MEMBER)[0].state, CardState::Withdrawn);
    assert_eq!(wallet.status().problem, None);
    wallet.close().await;
}
