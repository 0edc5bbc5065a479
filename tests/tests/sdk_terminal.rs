//! The terminal against a server of a few lines: enrolment, lists that come in pieces, verdicts that are remembered, and
//! a terminal that dies between any two steps of taking a list.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step is a failed test")]

mod sdk_support;

use std::fs;
use std::sync::{Arc, Mutex};

use bhyt_core::card_record::CardStanding;
use bhyt_core::ids::StatusIndex;
use bhyt_core::limits::STATUS_DELTAS_MAX;
use bhyt_core::presentation::Presentation;
use bhyt_core::status::StatusList;
use bhyt_core::sync::messages::{Reply, Request};
use bhyt_core::verdict::{AcceptNote, Basis, Holder, Outcome, Successor, UnprovenReason, Verdict};
use bhyt_platform::clock::ManualClock;
use bhyt_sdk::{Enrolment, Event, EventListener, NoListener, Refused, SdkError, Terminal};
use bhyt_tests::authority::{Authority, ListDraft, Phone, day, example_card};

use sdk_support::{CODE, Server, config, eventually, today};

fn enrolment(server: &Server) -> Enrolment {
    Enrolment { server: server.address.clone(), trust: server.trust(), token: CODE.to_owned() }
}

/// The names of what happened.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<&'static str>>);

impl EventListener for Heard {
    fn on_event(&self, event: Event) {
        self.0.lock().unwrap().push(event.name());
    }
}

impl Heard {
    fn count(&self, wanted: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|name| **name == wanted).count()
    }
}

fn list(number: u64) -> StatusList {
    ListDraft::new(number, today()).list()
}

/// A terminal with list 1, and its server.
async fn enrolled(folder: &tempfile::TempDir, clock: &ManualClock) -> (Terminal, Server) {
    let server = Server::start(clock);
    server.state().list = Some(list(1));
    let terminal = Terminal::open(config(folder, clock, 1)).unwrap();
    assert_eq!(terminal.enrol(enrolment(&server)).await.unwrap().as_str(), "99024");
    (terminal, server)
}

/// A live code of the example card, or of another.
fn live(index: u32, issued_days_later: u64) -> String {
    let phone = Phone::new(4);
    let mut claims = example_card();
    claims.binding = Some(phone.binding(day(2027, 4, 1)));
    claims.status_index = StatusIndex(index);
    claims.issued_at = claims.issued_at.plus(issued_days_later * 86_400);
    let card = Authority::new(1).sign_card(claims);
    phone.present(&card, today(), None).encode_text()
}

fn holder(verdict: &Verdict) -> Holder {
    match verdict.outcome() {
        Outcome::Accept(accept) => accept.holder,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_counts_once_even_across_a_restart() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (terminal, server) = enrolled(&folder, &clock).await;
    server.stop().await;
    let code = live(70_000, 0);
    let proven = Holder::Proven(Basis::Clock);
    let seen = Holder::Unproven(UnprovenReason::ProofSeenBefore);
    assert_eq!(holder(&terminal.verify_text(&code).unwrap()), proven);
    assert_eq!(holder(&terminal.verify_text(&code).unwrap()), seen);
    // No goodbye: being dropped is enough.
    drop(terminal);
    let terminal = Terminal::open(config(&folder, &clock, 2)).unwrap();
    assert_eq!(holder(&terminal.verify_text(&code).unwrap()), seen);

    let challenge = terminal.challenge().unwrap();
    let mut claims = example_card();
    claims.binding = Some(Phone::new(4).binding(day(2027, 4, 1)));
    let card = Authority::new(1).sign_card(claims);
    let hour_off = today().minus(3_600);
    let answer = Phone::new(4).present(&card, hour_off, Some(challenge)).encode_text();
    let first = terminal.verify_text(&answer).unwrap();
    assert_eq!(holder(&first), Holder::Proven(Basis::Challenge));
    assert_eq!(holder(&terminal.verify_text(&answer).unwrap()), seen);
    assert!(terminal.flush());
}

/// A code filmed at one desk is sent to another, which shows a challenge: only the answer to it proves anything there.
#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_asks_for_an_answer_takes_no_forwarded_code() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (terminal, server) = enrolled(&folder, &clock).await;
    server.stop().await;
    let (filmed, asked) = (live(70_000, 0), terminal.challenge().unwrap());
    let unanswered = Holder::Unproven(UnprovenReason::ChallengeUnanswered);
    assert_eq!(holder(&terminal.verify_answer(&filmed, &asked).unwrap()), unanswered);
    let other = terminal.challenge().unwrap();
    let answer = |challenge| {
        let presentation = Presentation::decode_text(&live(70_000, 0)).unwrap();
        Phone::new(4).present(presentation.card_bytes(), today(), Some(challenge)).encode_text()
    };
    assert_eq!(holder(&terminal.verify_answer(&answer(other), &asked).unwrap()), unanswered);
    let proven = Holder::Proven(Basis::Challenge);
    assert_eq!(holder(&terminal.verify_answer(&answer(asked), &asked).unwrap()), proven);
    // What proved nothing was not remembered: elsewhere, where nothing is asked, it still counts, once.
    assert_eq!(holder(&terminal.verify_text(&filmed).unwrap()), Holder::Proven(Basis::Clock));
    assert_eq!(holder(&terminal.verify_answer(&answer(other), &other).unwrap()), proven);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_card_is_related_to_the_one_that_was_here() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let server = Server::start(&clock);
    let mut draft = ListDraft::new(1, today());
    draft.sets.set_standing(StatusIndex(70_000), CardStanding::Superseded);
    server.state().list = Some(draft.list());
    let terminal = Terminal::open(config(&folder, &clock, 1)).unwrap();
    terminal.enrol(enrolment(&server)).await.unwrap();
    let check = |terminal: &Terminal, successor: Successor, code: u16| {
        let verdict = terminal.verify_text(&live(70_000, 0)).unwrap();
        let Outcome::Accept(accept) = verdict.outcome() else { panic!("{verdict:?}") };
        assert_eq!(accept.note, Some(AcceptNote::Superseded(successor)));
        assert_eq!(verdict.portal_code(), code);
    };
    check(&terminal, Successor::NotSeen, 0);
    terminal.verify_text(&live(70_001, 30)).unwrap();
    // Whether or not the disk has it yet.
    check(&terminal, Successor::InHand, 4);
    terminal.close().await;
    drop(terminal);
    check(&Terminal::open(config(&folder, &clock, 2)).unwrap(), Successor::InHand, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_line_goes_on_where_it_was() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (terminal, server) = enrolled(&folder, &clock).await;
    let mut draft = ListDraft::new(2, today().plus(60));
    (0..600).for_each(|n| draft.sets.set_standing(StatusIndex(n * 97), CardStanding::Withdrawn));
    {
        let mut state = server.state();
        (state.list, state.piece_bytes, state.pieces_left) = (Some(draft.list()), 100, 3);
    }
    assert!(matches!(terminal.sync().await, Err(SdkError::Offline { .. })));
    assert_eq!(terminal.status().status_version.unwrap().number, 1);
    terminal.close().await;
    drop(terminal);

    server.state().pieces_left = usize::MAX;
    let terminal = Terminal::open(config(&folder, &clock, 2)).unwrap();
    terminal.sync().await.unwrap();
    let asked = server.state().asked.last().cloned();
    let Some(Request::SyncTerminal(asked)) = asked else { panic!("{asked:?}") };
    assert_eq!(asked.partial, Some((draft.version, 300)));
    assert_eq!(terminal.status().status_entries, Some(600));
    assert!(!folder.path().join("status/status.part").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_dies_while_taking_a_list_has_the_one_its_marks_speak_of() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (terminal, server) = enrolled(&folder, &clock).await;
    terminal.close().await;
    drop(terminal);
    let files = folder.path().join("status");
    let (current, new) = (files.join("status"), files.join("status.new"));
    let old = fs::read(&current).unwrap();
    let version = |seed: u64| {
        let terminal = Terminal::open(config(&folder, &clock, seed)).unwrap();
        terminal.status().status_version.map(|version| version.number)
    };

    // Died before the marks were durable: the new file is nobody's, the old list answers.
    let later = Authority::new(1).sign_list(&list(2));
    fs::write(&new, status_file(&later)).unwrap();
    assert_eq!((version(2), new.exists()), (Some(1), false));

    // Died before the rename: the marks speak of the new file.
    let terminal = Terminal::open(config(&folder, &clock, 3)).unwrap();
    server.state().list = Some(list(2));
    terminal.sync().await.unwrap();
    terminal.close().await;
    drop(terminal);
    fs::rename(&current, &new).unwrap();
    fs::write(&current, &old).unwrap();
    assert_eq!((version(4), new.exists()), (Some(2), false));

    // An old file put back is no list, and neither is a spoilt one; the next sync brings one.
    for bytes in [&old[..], b"spoilt"] {
        fs::write(&current, bytes).unwrap();
        assert_eq!(version(5), None);
    }
    let terminal = Terminal::open(config(&folder, &clock, 6)).unwrap();
    let verdict = terminal.verify_text(&live(70_000, 0)).unwrap();
    assert!(matches!(verdict.outcome(), Outcome::Undecided(_)));
    terminal.sync().await.unwrap();
    assert_eq!(terminal.status().status_version.unwrap().number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_stays_takes_deltas_and_asks_when_they_do_not_fit() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (terminal, server) = enrolled(&folder, &clock).await;
    terminal.watch(Arc::new(NoListener));
    let number = || terminal.status().status_version.unwrap().number;
    eventually("connected", || server.state().asked.len() >= 3).await;
    let mut draft = ListDraft::new(2, today().plus(60));
    draft.sets.set_standing(StatusIndex(70_000), CardStanding::Withdrawn);
    server.publish(&draft.list()).await;
    eventually("version 2", || number() == 2).await;
    let verdict = terminal.verify_text(&live(70_000, 0)).unwrap();
    assert_eq!(verdict.portal_code(), 110);

    // From a list that this terminal never had.
    let (three, four) = (list(3), ListDraft::new(4, today().plus(120)).list());
    let delta = server.state().authority.sign_delta(&three, &four);
    server.state().list = Some(four);
    server.push(&[Reply::StatusDelta(delta), Reply::Done]).await;
    eventually("version 4", || number() == 4).await;
    terminal.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_chain_of_deltas_gives_way_to_one_delta_and_no_one_is_troubled() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (terminal, server) = enrolled(&folder, &clock).await;
    let heard = Arc::new(Heard::default());
    terminal.watch(heard.clone());
    eventually("connected", || heard.count("up_to_date") == 1).await;
    // No snapshot gets through any more.
    server.state().pieces_left = 0;
    server.state().asked.clear();
    let last = 2 + STATUS_DELTAS_MAX as u64;
    for number in 2..=last {
        server.publish(&ListDraft::new(number, today().plus(number)).list()).await;
        let in_force = || terminal.status().status_version.unwrap().number == number;
        eventually("in force", in_force).await;
    }
    assert_eq!(status_asked(&server), [1]);
    assert_eq!((terminal.status().problem, heard.count("disconnected")), (None, 0));
    terminal.close().await;
    drop(terminal);

    // The same in one answer: its first deltas fill the chain, and its last is one too many.
    let terminal = Terminal::open(config(&folder, &clock, 2)).unwrap();
    assert_eq!(terminal.status().status_version.unwrap().number, last);
    let later = last + STATUS_DELTAS_MAX as u64;
    for number in last + 1..=later {
        server.publish(&ListDraft::new(number, today().plus(number)).list()).await;
    }
    terminal.sync().await.unwrap();
    assert_eq!(status_asked(&server), [last, 1]);
    assert_eq!(terminal.status().status_version.unwrap().number, later);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_enrolment_there_is_no_answer_and_a_used_token_is_refused() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (terminal, server) = enrolled(&folder, &clock).await;
    let again = terminal.enrol(enrolment(&server)).await.unwrap_err();
    assert!(matches!(again, SdkError::Refused { why: Refused::Code }));
    let other = tempfile::tempdir().unwrap();
    let stranger = Terminal::open(config(&other, &clock, 1)).unwrap();
    assert!(matches!(stranger.verify_text("BHYT1:"), Err(SdkError::NotActivated)));
    assert!(matches!(stranger.challenge(), Err(SdkError::NotActivated)));
    assert!(matches!(stranger.sync().await, Err(SdkError::NotActivated)));
    let junk = terminal.verify_text("https://example.org").unwrap();
    assert_eq!(junk.portal_code(), 51);
}

/// The lists from which the terminal asked to go on, since it was last looked.
fn status_asked(server: &Server) -> Vec<u64> {
    let number = |request| match request {
        Request::SyncTerminal(sync) => sync.status.unwrap().0.number,
        other => panic!("{other:?}"),
    };
    std::mem::take(&mut server.state().asked).into_iter().map(number).collect()
}

/// A status file of one snapshot: CBOR [snapshot, []].
fn status_file(snapshot: &[u8]) -> Vec<u8> {
    bhyt_core::cbor::encode(|e| {
        e.array(2)?.bytes(snapshot)?.array(0)?;
        Ok(())
    })
}
