//! A phone that is opened at the counter: the real program, after its process before was killed, from the start to the
//! code on the screen.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bhyt_core::sync::admin::{AdminCommand, AdminReply, Applied, CardChange};

use crate::child::{Memory, Running, program};
use crate::figure::{Figure, Goal, Promise};
use crate::run::{Group, Run};
use crate::sample::median;
use crate::town::{Town, alias, card_row};

/// `wallet.cold_open_ms`, `wallet.rss_mb`.
pub(crate) const WALLET: &Group = &Group { promises: &[COLD_OPEN_MS, RSS_MB], measure: wallet };

fn wallet(run: &mut Run) {
    run.say("wallet: a feed of 500 records");
    let town = Town::found("log = 'error'");
    let phone = town.path("phone");
    crate::block_on(make_feed(&town, &phone, RECORDS));
    let times = run.scale.of(50).max(3);
    run.say(&format!("wallet: killed and opened {times} times"));
    let (mut opened, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..times {
        kill_while_connected(&phone);
        opened.push(open(&phone).as_secs_f64() * 1_000.0);
    }
    for _ in 0..5 {
        kill_while_connected(&phone);
        peaks.push(peak_bytes(&phone) as f64 / 1e6);
    }
    run.found(Figure::value(&COLD_OPEN_MS, median(&opened)));
    run.found(Figure::value(&RSS_MB, peaks.into_iter().fold(0.0, f64::max)));
}

/// A phone whose member has a card with `records` records: it was held and released again and again.
async fn make_feed(town: &Town, phone: &Path, records: u64) {
    let mut operator = town.operator().await;
    operator.register(0..1).await;
    operator.issue_first(0..1).await;
    let code = operator.device_code(0).await;
    let mut activate = program("bhyt-wallet");
    activate.arg("--data").arg(phone).args(["activate", "--server", &town.address().to_string(), "--trust"]);
    activate.arg(town.trust_file()).args(["--member", &alias(0), "--code", &code]).stdout(Stdio::null());
    assert!(activate.status().expect("bhyt-wallet runs").success(), "activated");
    for n in 1..records {
        let change = if n % 2 == 1 { CardChange::Hold } else { CardChange::Release };
        let reply = operator.send(AdminCommand::ChangeCard { number: card_row(0, 0).number, change }).await;
        assert_eq!(reply, AdminReply::Applied(Applied::Accepted));
    }
    let mut sync = wallet_program(phone, &["sync", "--json"]);
    let report = sync.output().expect("bhyt-wallet runs").stdout;
    let report: serde_json::Value = serde_json::from_slice(&report).expect("a report");
    assert_eq!(report.get("received").and_then(serde_json::Value::as_u64), Some(records - 1), "{report}");
}

/// Lets a wallet connect, sync and stay, and kills it where it stands.
fn kill_while_connected(phone: &Path) {
    let mut watch =
        Running::start(wallet_program(phone, &["sync", "--watch", "--json"]).stdout(Stdio::piped()));
    let mut lines = BufReader::new(watch.0.stdout.take().expect("its output")).lines();
    let up_to_date = lines.any(|line| line.expect("a line").contains("up_to_date"));
    assert!(up_to_date, "it is up to date before it is killed");
}

/// From before the fork to the first byte that is printed once the matrix is made.
fn open(phone: &Path) -> Duration {
    let mut show = wallet_program(phone, &["qr", "--json"]);
    show.stdout(Stdio::piped());
    let started = Instant::now();
    let mut child = show.spawn().expect("bhyt-wallet runs");
    let mut out = child.stdout.take().expect("its output");
    out.read_exact(&mut [0]).expect("a code");
    let took = started.elapsed();
    out.read_to_end(&mut Vec::new()).expect("the rest of it");
    assert!(child.wait().expect("it ends").success());
    took
}

/// The most memory that it took: it stands still at its last step, printing into a pipe that is full.
fn peak_bytes(phone: &Path) -> u64 {
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(&vec![b'.'; PIPE_BYTES]).expect("room in a new pipe");
    let mut child =
        wallet_program(phone, &["qr", "--json"]).stdout(writer).spawn().expect("bhyt-wallet runs");
    let still = || (Memory::of(child.id()).expect("it runs").peak_bytes, cpu_ticks(child.id()));
    let mut seen = still();
    loop {
        sleep(Duration::from_millis(200));
        let now = still();
        if now == seen {
            break;
        }
        seen = now;
    }
    let mut printed = Vec::new();
    reader.read_to_end(&mut printed).expect("what it prints");
    assert!(child.wait().expect("it ends").success());
    assert!(printed.len() > PIPE_BYTES, "it was printing");
    seen.0
}

/// Time on a processor so far, in ticks of the system.
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // The name in brackets may hold anything; user and system time are the 14th and 15th field, the state the third.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}

fn wallet_program(phone: &Path, words: &[&str]) -> std::process::Command {
    let mut command = program("bhyt-wallet");
    command.arg("--data").arg(phone).args(words);
    command
}

/// Records in the feed.
const RECORDS: u64 = 500;
/// What a pipe of Linux holds.
const PIPE_BYTES: usize = 64 * 1024;

const COLD_OPEN_MS: Promise = Promise {
    id: "wallet.cold_open_ms",
    unit: "ms",
    limit_unit: "",
    goal: Goal::AtMost(20.0),
    how: "`bhyt-wallet qr` as a new process, from before the fork to the first byte printed after the matrix is made; 500 \
          records in the feed; each time after a connected `bhyt-wallet sync --watch` was killed with SIGKILL; the median \
          of 50.",
    cause: "",
};
const RSS_MB: Promise = Promise {
    id: "wallet.rss_mb",
    unit: "MB",
    limit_unit: "",
    goal: Goal::AtMost(30.0),
    how: "VmHWM of that process while it stands still printing the matrix into a full pipe; the largest of 5.",
    cause: "",
};
