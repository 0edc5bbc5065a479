//! What takes a second process: another opener, a kill in the middle of commits, and a disk that is full.
//!
//! The second process is this test binary again, told by an environment variable to run [`child`] with a role.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use bhyt_platform::kv::{Batch, Kv, StoreError};

use crate::fixture::{Engine, Fixture, puts};

const ROLE: &str = "BHYT_STORE_CHILD_ROLE";
const FOLDER: &str = "BHYT_STORE_CHILD_FOLDER";

#[test]
fn another_process_cannot_open_an_open_store() {
    for engine in [Engine::Sled, Engine::Own] {
        let mut store = Fixture::new(engine);
        store.kv().commit(puts(&[(b"k", b"v")])).unwrap();
        assert_eq!(answers(child_with("open", engine, &store.path())), ["InUse"]);
        // The other way round: a child holds it until it is killed, and death frees it.
        let path = store.path();
        store = Fixture::new(engine);
        let (mut child, mut output) = start(child_with("hold", engine, &path));
        assert_eq!(next_answer(&mut output).as_deref(), Some("holding"));
        assert!(matches!(engine.open(&path), Err(StoreError::InUse { .. })));
        child.kill().unwrap();
        child.wait().unwrap();
        drop(store);
    }
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    for engine in [Engine::Sled, Engine::Own] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut next = 0_u64;
        for round in 0..4 {
            let (mut child, mut output) = start(child_with("commit", engine, &path));
            let mut acknowledged = next;
            for _ in 0..20 + 17 * round {
                acknowledged = next_answer(&mut output).unwrap().parse().unwrap();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            // What was written to the pipe before the kill was acknowledged, too.
            while let Some(Ok(number)) = next_answer(&mut output).map(|answer| answer.parse()) {
                acknowledged = number;
            }
            assert!(acknowledged > next);
            next = check_numbered(&*engine.open(&path).unwrap(), acknowledged);
        }
    }
}

/// The limit of a file's size stands in for a full disk: it needs no rights and fails at the same call.
#[cfg(unix)]
#[test]
fn a_full_disk_is_said_closes_the_store_and_loses_nothing() {
    for engine in [Engine::Sled, Engine::Own] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut limited = Command::new("sh");
        // 24,576 blocks of 512 bytes. The signal that comes with the limit is ignored, so that the write fails instead.
        limited.args(["-c", "trap '' XFSZ; ulimit -f 24576; exec \"$0\" \"$@\""]);
        limited.arg(env::current_exe().unwrap());
        let answers = answers(as_child(limited, "fill", engine, &path));
        let (last, numbers) = answers.split_last().unwrap();
        assert_eq!(last, "Full then Closed", "{engine:?}");
        let acknowledged = numbers.last().unwrap().parse().unwrap();
        let store = engine.open(&path).unwrap();
        check_numbered(&*store, acknowledged);
        store.commit(puts(&[(b"after", b"all")])).unwrap();
    }
}

/// Runs only as the second process.
#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let (role, engine) = role.split_once('/').unwrap();
    let engine = if engine == "Own" { Engine::Own } else { Engine::Sled };
    let folder = env::var_os(FOLDER).unwrap();
    let opened = engine.open(Path::new(&folder));
    match role {
        "open" => answer(match opened {
            Err(StoreError::InUse { .. }) => "InUse",
            _ => "something else",
        }),
        "hold" => {
            let _store = opened.unwrap();
            answer("holding");
            // Until the parent kills this process, or closes the pipe by dying.
            std::io::stdin().read_line(&mut String::new()).unwrap();
        }
        "commit" => {
            let store = opened.unwrap();
            let mut number = check_numbered(&*store, 0);
            loop {
                store.commit(numbered(number, 200)).unwrap();
                answer(&number.to_string());
                number += 1;
            }
        }
        "fill" => fill(&*opened.unwrap()),
        other => panic!("{other}"),
    }
}

fn fill(store: &dyn Kv) {
    let mut number = 0;
    let error = loop {
        match store.commit(numbered(number, 16_000)) {
            Ok(()) => answer(&number.to_string()),
            Err(error) => break error,
        }
        number += 1;
    };
    let later = [
        store.commit(numbered(number, 1)).unwrap_err(),
        store.commit(Batch::new()).unwrap_err(),
        store.get(b"0").unwrap_err(),
        store.scan(b"", None, 1).unwrap_err(),
    ];
    let all_closed = later.iter().all(|error| matches!(error, StoreError::Closed { .. }));
    match error {
        StoreError::Full { .. } if all_closed => answer("Full then Closed"),
        other => answer(&format!("{other:?} then {later:?}")),
    }
}

/// Three keys that must be there all or none.
fn numbered(number: u64, value_bytes: usize) -> Batch {
    let mut batch = Batch::new();
    for part in [b'a', b'b', b'c'] {
        let key = [&[part][..], &number.to_be_bytes()].concat();
        batch.put(&key, &vec![part; value_bytes]).unwrap();
    }
    batch
}

/// Every batch up to `acknowledged` is there, and what is behind it is whole; the next number.
fn check_numbered(store: &dyn Kv, acknowledged: u64) -> u64 {
    let numbers = |part: u8| -> Vec<u64> {
        let found = store.scan(&[part], None, usize::MAX).unwrap();
        let number = |key: &[u8]| u64::from_be_bytes(key[1..].try_into().unwrap());
        found.iter().filter(|(key, _)| key.len() == 9).map(|(key, _)| number(key)).collect()
    };
    let found = numbers(b'a');
    assert_eq!(found, numbers(b'b'));
    assert_eq!(found, numbers(b'c'));
    assert!(found.iter().copied().eq(0..found.len() as u64));
    let next = found.len() as u64;
    assert!(acknowledged == 0 || next > acknowledged, "{next} after {acknowledged}");
    // One commit may have been under way.
    assert!(acknowledged == 0 || next <= acknowledged + 2, "{next} after {acknowledged}");
    next
}

fn child_with(role: &str, engine: Engine, folder: &Path) -> Command {
    as_child(Command::new(env::current_exe().unwrap()), role, engine, folder)
}

fn as_child(mut command: Command, role: &str, engine: Engine, folder: &Path) -> Command {
    command
        .args(["--exact", "process::child", "--nocapture", "--test-threads=1"])
        .env(ROLE, format!("{role}/{engine:?}"))
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

fn start(mut command: Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn answers(command: Command) -> Vec<String> {
    let (mut child, mut output) = start(command);
    let answers = std::iter::from_fn(|| next_answer(&mut output)).collect();
    child.wait().unwrap();
    answers
}

/// The child's next answer; what the test harness prints is passed over.
fn next_answer(output: &mut BufReader<ChildStdout>) -> Option<String> {
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        if let Some((_, answer)) = line.trim_end().split_once(MARK) {
            return Some(answer.to_owned());
        }
    }
}

fn answer(text: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{MARK}{text}").unwrap();
    output.flush().unwrap();
}

const MARK: &str = "answer: ";
