//! A disk that is really full, under server, phone and terminal: what they say, what they still do, and that nothing is
//! lost when there is space again.
//!
//! The disk is a small tmpfs that only this test's second process sees (`unshare`, without rights where the system lets
//! users have namespaces). Where that cannot be had, the tests say so loudly and show nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, outside #[test]")]

use std::env;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bhyt_core::sync::admin::{AdminCommand, AdminReply, MemberRow, RowOutcome};
use bhyt_sdk::{CardState, Config, Problem, SdkError, Terminal, Wallet};
use bhyt_tests::operator::{Operator, card_row};
use bhyt_tests::people::{Desk, Phone, Town};
use bhyt_tests::program::{Role, Running};
use bhyt_tests::server::block_on;

const INSIDE: &str = "BHYT_FULL_DISK_INSIDE";
const MEMBER: &str = "9900000017";
const CARD: &str = "DN4999900000017";

#[test]
fn a_phone_and_a_terminal_still_show_and_verify_and_lose_nothing() {
    on_a_small_disk("inside_phone_and_terminal", 40);
}

#[test]
fn a_server_says_so_ends_and_has_what_it_acknowledged_when_there_is_space() {
    on_a_small_disk("inside_server", 24);
}

/// Runs only as the second process.
#[test]
fn inside_phone_and_terminal() {
    let Some(disk) = inside() else { return };
    let town = Town::found();
    let server = town.open();
    let config = |name: &str| Config::new(&disk.join(name)).with_clock(town.clock.clone());
    let (member, old) = block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        let wallet = Wallet::open(config("phone")).unwrap();
        let (address, trust) = (server.address().to_string(), town.server.trust_bytes());
        let code = operator.device_code(MEMBER).await;
        let asked = bhyt_sdk::Activation {
            server: address.clone(),
            trust: trust.clone(),
            alias: MEMBER.into(),
            code,
        };
        let member = wallet.activate(asked).await.unwrap();
        let terminal = Terminal::open(config("desk")).unwrap();
        let token = operator.terminal_token("99024").await;
        terminal.enrol(bhyt_sdk::Enrolment { server: address, trust, token }).await.unwrap();
        terminal.sync().await.unwrap();
        let old = wallet.live_text(member).unwrap();
        assert!(Desk(terminal).accepts(&old));
        (member, old)
    });

    let filler = fill(&disk);
    for _ in 0..2 {
        let phone = Phone { wallet: Wallet::open(config("phone")).unwrap(), member };
        let terminal = Terminal::open(config("desk")).unwrap();
        assert_eq!(phone.numbers(), [CARD], "the card is shown");
        assert_eq!(phone.wallet.cards(member)[0].state, CardState::InForce);
        assert_eq!(phone.wallet.status().problem, Some(Problem::System), "and that something is wrong");
        assert_eq!(terminal.status().problem, Some(Problem::System));
        town.pass(1);
        let verdict = terminal.verify_text(&phone.live()).unwrap();
        assert_eq!(bhyt_tests::desk::line(&verdict), "accept fresh proven_by_clock 000");
        let verdict = terminal.verify_text(&old).unwrap();
        assert_eq!(
            bhyt_tests::desk::line(&verdict),
            "accept fresh proof_seen_before 000",
            "still remembered"
        );
        assert!(!terminal.flush(), "what cannot be kept is said");
        let synced = block_on(phone.wallet.sync());
        assert!(matches!(synced, Err(SdkError::System { .. })), "{synced:?}");
        assert_eq!(phone.numbers(), [CARD], "a sync that failed changes nothing");
    }
    // Whoever has no data yet cannot begin on such a disk, and is told why.
    let opened = Wallet::open(config("another"));
    assert!(matches!(opened, Err(SdkError::System { .. })), "{opened:?}");

    fs::remove_file(filler).unwrap();
    let phone = Phone { wallet: Wallet::open(config("phone")).unwrap(), member };
    assert_eq!(phone.numbers(), [CARD], "before any sync");
    let desk = Desk(Terminal::open(config("desk")).unwrap());
    block_on(async {
        phone.wallet.sync().await.unwrap();
        desk.0.sync().await.unwrap();
    });
    town.pass(1);
    assert!(desk.accepts(&phone.live()));
    assert_eq!(phone.wallet.status().problem, None);
    assert_eq!(set_aside(&disk), Vec::<PathBuf>::new());
}

/// Runs only as the second process.
#[test]
fn inside_server() {
    let Some(disk) = inside() else { return };
    let report = {
        let (now, entropy) =
            (bhyt_platform::clock::SystemClock, bhyt_platform::entropy::OsEntropy::open().unwrap());
        let (data, roots) = (disk.join("server"), disk.join("roots"));
        block_on(bhyt_server::init::init(&data, &roots, bhyt_platform::clock::Clock::now(&now), &entropy))
            .unwrap()
    };
    // Everything comes from one operator without a pause.
    let settings = "[limits]\nexchanges_per_second = 100000\nexchanges_burst = 100000\n";
    fs::write(disk.join("server/server.toml"), settings).unwrap();
    let (mut server, address) = serve(&disk).unwrap();
    let mut acknowledged = 0;
    block_on(async {
        let operator = Operator::connect(address, &report.trust, &report.operator_key).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, CARD, "2026-01-01", "")).await;
        fill(&disk);
        // The engine has a little room of its own in the file that it has made already.
        while acknowledged < 1_000 {
            let answer = operator.try_send(AdminCommand::ImportMembers(members(acknowledged))).await;
            match answer {
                Some(Ok(AdminReply::Rows(rows))) if rows.iter().all(|row| *row == RowOutcome::Stored) => {
                    acknowledged += 1;
                }
                _ => break,
            }
        }
    });
    assert!(acknowledged < 1_000, "the disk was never full");
    assert!(server.listen(Instant::now() + Duration::from_secs(20)), "the server ends by itself");
    assert_eq!(server.wait(Duration::from_secs(20)).code, Some(FULL), "and says that the disk is full");
    assert_eq!(serve(&disk).unwrap_err(), Some(FULL), "a start says so too");
    assert_eq!(serve(&disk).unwrap_err(), Some(FULL), "each time");

    fs::remove_file(disk.join(FILLER)).unwrap();
    let (mut server, address) = serve(&disk).unwrap();
    block_on(async {
        let operator = Operator::connect(address, &report.trust, &report.operator_key).await;
        let shown = operator.send(AdminCommand::ShowCard(CARD.into())).await;
        assert!(matches!(shown, Ok(AdminReply::Card(_))), "{shown:?}");
        for at in 0..acknowledged {
            let again = operator.send(AdminCommand::ImportMembers(members(at))).await;
            let Ok(AdminReply::Rows(rows)) = again else { panic!("{again:?}") };
            assert!(rows.iter().all(|row| *row == RowOutcome::Unchanged), "frame {at} of {acknowledged}");
        }
        let Ok(AdminReply::Status(status)) = operator.send(AdminCommand::ShowStatus).await else { panic!() };
        let known = 1 + 64 * u64::from(acknowledged);
        // The frame that was under way may be there in part.
        assert!((known..=known + 64).contains(&status.members), "{} members of {known}", status.members);
        operator.issue(card_row(MEMBER, "HT2999900000017", "2026-01-01", "")).await;
    });
    server.end_input();
    assert_eq!(server.wait(Duration::from_secs(20)).code, Some(0));
    assert_eq!(set_aside(&disk), Vec::<PathBuf>::new());
}

/// A frame of members that nobody else has.
fn members(frame: u32) -> Vec<MemberRow> {
    let row = |at: u32| MemberRow {
        member_id: format!("99{:08}", 100_000 + frame * 64 + at),
        full_name: "Nguyễn Thị Thử".into(),
        birth_date: "1994-03-05".into(),
        address: "thôn Thử ".repeat(20),
        ..MemberRow::default()
    };
    (0..64).map(row).collect()
}

/// A server in a process of its own, or how it ended.
fn serve(disk: &Path) -> Result<(Running, SocketAddr), Option<i32>> {
    let elsewhere = tempfile::tempdir().unwrap();
    let ready = elsewhere.path().join("ready");
    let (data, ready_word) = (disk.join("server").display().to_string(), ready.display().to_string());
    let words = ["serve", "--data", &data, "--listen", "127.0.0.1:0", "--ready-file", &ready_word];
    let program = Path::new(env!("CARGO_BIN_EXE_bhyt-kill"));
    let mut server = Running::start(program, Role::Server, &words, &elsewhere.path().join("log")).unwrap();
    for _ in 0..2_000 {
        if let Ok(address) = fs::read_to_string(&ready).unwrap_or_default().trim().parse() {
            return Ok((server, address));
        }
        if server.listen(Instant::now() + Duration::from_millis(10)) {
            break;
        }
    }
    Err(server.wait(Duration::from_secs(5)).code)
}

/// Writes until nothing more fits.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join(FILLER);
    let mut file = fs::File::create(&path).unwrap();
    for block in [1 << 20, 1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![7; block]).is_ok() {}
    }
    path
}

fn set_aside(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(".corrupt-") {
            found.push(path.clone());
        }
        if path.is_dir() {
            found.extend(set_aside(&path));
        }
    }
    found
}

/// Runs a test of this file again, in a process that has a disk of so many megabytes to itself.
fn on_a_small_disk(test: &str, megabytes: u32) {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=\"$1\"m none \"$2\" || exit 99; shift 2; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(megabytes.to_string()).arg(folder.path()).arg(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(INSIDE, folder.path());
    match command.output() {
        Err(error) => could_not(test, &error.to_string()),
        Ok(Output { status, stderr, .. }) if matches!(status.code(), Some(1 | 99 | 126 | 127)) => {
            could_not(test, String::from_utf8_lossy(&stderr).trim());
        }
        Ok(Output { status, stdout, stderr }) => assert!(
            status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        ),
    }
}

fn could_not(test: &str, why: &str) {
    // Not by `println!`, which a test that passes keeps to itself.
    let said =
        writeln!(io::stderr(), "\n!!! COULD NOT RUN {test}: no disk of its own for a test here: {why}\n");
    said.unwrap();
}

fn inside() -> Option<PathBuf> {
    env::var_os(INSIDE).map(PathBuf::from)
}

const FILLER: &str = "filler";
const FULL: i32 = 74;
