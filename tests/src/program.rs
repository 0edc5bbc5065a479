//! Our programs as processes of their own, to be killed: this very executable, told by its first word to be the server,
//! the wallet or the terminal. It runs what the real program runs, with the same words, and ends when its input ends.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use bhyt_platform::clock::{Clock as _, SystemClock};
use bhyt_platform::entropy::OsEntropy;
use bhyt_sdk::Config;
use bhyt_server::cli::{Command as ServerCommand, TrustCommand};
use bhyt_server::exit::Ending;
use bhyt_server::folder::DataFolder;
use bhyt_server::host::Parts;
use bhyt_server::{serve, trust_command};
use clap::Parser as _;
use tokio::sync::oneshot;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `bhyt-server`: `serve`, `trust renew` and `admin`.
    Server,
    /// `bhyt-wallet`.
    Wallet,
    /// `bhyt-terminal`.
    Terminal,
}

impl Role {
    const ALL: [Self; 3] = [Self::Server, Self::Wallet, Self::Terminal];

    fn word(self) -> &'static str {
        match self {
            Self::Server => "as-server",
            Self::Wallet => "as-wallet",
            Self::Terminal => "as-terminal",
        }
    }
}

/// Plays a program, if the command line asks for one.
pub fn play_if_asked() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let first = words.next()?;
    let role = Role::ALL.into_iter().find(|role| first == role.word())?;
    let words: Vec<String> = words.filter_map(|word: OsString| word.into_string().ok()).collect();
    tracing_subscriber::fmt()
        .json()
        .with_writer(io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new("warn"))
        .init();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    Some(runtime.block_on(async {
        match role {
            Role::Server => play_server(&words).await,
            Role::Wallet => play_wallet(&words).await,
            Role::Terminal => play_terminal(&words).await,
        }
    }))
}

async fn play_server(words: &[&str]) -> ExitCode {
    let cli = bhyt_server::cli::Cli::try_parse_from(["bhyt-server"].iter().chain(words));
    let done: Result<(), Ending> = match cli.expect("words of ours").command {
        ServerCommand::Serve(args) => {
            let entropy = Arc::new(OsEntropy::open().expect("entropy"));
            match Parts::open(&DataFolder::new(&args.data), Arc::new(SystemClock), entropy) {
                Ok(mut parts) => {
                    parts.config.listen = args.listen.unwrap_or(parts.config.listen);
                    parts.ready_file = args.ready_file;
                    serve::run(parts, input_ended()).await.map_err(Ending::from)
                }
                Err(error) => Err(error.into()),
            }
        }
        ServerCommand::Trust(TrustCommand::Renew(args)) => {
            let (folder, entropy) = (DataFolder::new(&args.data), OsEntropy::open().expect("entropy"));
            match trust_command::renew(&folder, &args.into(), SystemClock.now(), &entropy) {
                Ok(report) => {
                    say(&serde_json::to_string(&report).expect("JSON"));
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        }
        ServerCommand::Admin(args) => bhyt_server::admin::run(args).await.map_err(Ending::from),
        _ => panic!("not a part that is played"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(ending) => {
            complain(&ending.chain());
            ending.exit().into()
        }
    }
}

async fn play_wallet(words: &[&str]) -> ExitCode {
    let cli = bhyt_wallet::Cli::of_words(words).expect("words of ours");
    let (config, out) = (Config::new(&cli.data), bhyt_wallet::Output::new(io::stdout()));
    match bhyt_wallet::run(bhyt_wallet::Parts { cli, config, out }, input_ended()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.chain());
            error.exit().into()
        }
    }
}

async fn play_terminal(words: &[&str]) -> ExitCode {
    let cli = bhyt_terminal::Cli::of_words(words).expect("words of ours");
    // Its input is what it verifies, or says when to end.
    let verifies = words.contains(&"-");
    let (config, out) = (Config::new(&cli.data), bhyt_terminal::Output::new(io::stdout()));
    let input: Box<dyn BufRead + Send> = match verifies {
        true => Box::new(BufReader::new(io::stdin())),
        false => Box::new(BufReader::new(io::empty())),
    };
    let colours = bhyt_terminal::Colours::None;
    let parts = bhyt_terminal::Parts { cli, config, input, out, colours };
    let shutdown = async {
        match verifies {
            true => std::future::pending().await,
            false => input_ended().await,
        }
    };
    match bhyt_terminal::run(parts, shutdown).await {
        Ok(ended) => ended.into(),
        Err(error) => {
            complain(&error.chain());
            error.exit().into()
        }
    }
}

/// A parent that closes the pipe, or dies, ends the program: there is nobody left to kill it.
async fn input_ended() {
    let (ended, wait) = oneshot::channel();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let _ = wait.await;
}

fn say(line: &str) {
    // A parent that has gone reads nothing.
    let _ = writeln!(io::stdout(), "{line}");
}

fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "ended: {line}");
}

/// A process under way.
#[derive(Debug)]
pub struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    lines: Vec<String>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None` when it was killed.
    pub code: Option<i32>,
    /// What it printed.
    pub lines: Vec<String>,
}

/// What came of waiting for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A line.
    Line(String),
    /// Nothing in time.
    Nothing,
    /// The process has closed its output.
    Ended,
}

impl Running {
    /// Starts `executable` in a role; what it complains about goes to the end of the file `log`.
    pub fn start(executable: &Path, role: Role, words: &[&str], log: &Path) -> io::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = Command::new(executable)
            .arg(role.word())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (sender, receiver) = channel();
        let output = output.expect("a pipe");
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, output: receiver, lines: Vec::new() })
    }

    /// Gives it a line to read. One that has ended reads nothing.
    pub fn tell(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{line}").and_then(|()| input.flush());
        }
    }

    /// Its next line, until `deadline`.
    pub fn hear(&mut self, deadline: Instant) -> Heard {
        match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.lines.push(line.clone());
                Heard::Line(line)
            }
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::Ended,
        }
    }

    /// Takes in what it prints until `deadline`; whether it has ended before.
    pub fn listen(&mut self, deadline: Instant) -> bool {
        loop {
            match self.hear(deadline) {
                Heard::Line(_) => {}
                Heard::Nothing => return false,
                Heard::Ended => return true,
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends its input, and so the program.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// kill -9. What it had printed before counts.
    pub fn kill(mut self) -> Ended {
        // It may have ended by itself a moment ago.
        let _ = self.child.kill();
        self.finish()
    }

    /// Waits until it ends by itself; one that takes longer than `patience` is killed.
    pub fn wait(mut self, patience: Duration) -> Ended {
        self.listen(Instant::now() + patience);
        self.kill_if_running();
        self.finish()
    }

    fn kill_if_running(&mut self) {
        // Its output is closed a moment before it has ended.
        for _ in 0..ENDING_LOOKS {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            thread::sleep(ENDING_PAUSE);
        }
        let _ = self.child.kill();
    }

    fn finish(mut self) -> Ended {
        let status = self.child.wait();
        self.lines.extend(self.output.iter());
        Ended { code: status.ok().and_then(|status| status.code()), lines: std::mem::take(&mut self.lines) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ENDING_LOOKS: u32 = 200;
const ENDING_PAUSE: Duration = Duration::from_millis(5);
