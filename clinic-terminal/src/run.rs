//! The program: one command, done or given up at a signal.

use std::future::Future;
use std::io::{self, BufRead, Read as _, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bhyt_core::limits::{QR_TEXT_CHARS_MAX, TRUST_BYTES_MAX};
use bhyt_platform::files::read_bounded;
use bhyt_sdk::{Config, Enrolment, Event, EventListener, SdkError, Terminal};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::cli::{Cli, Command, Source};
use crate::exit::{Ended, TerminalError};
use crate::picture::{PICTURE_BYTES_MAX, read_code};
use crate::{json, text};

/// What the program runs with.
pub struct Parts {
    /// What to do.
    pub cli: Cli,
    /// How the terminal is opened.
    pub config: Config,
    /// Where a scanner's lines come from.
    pub input: Box<dyn BufRead + Send>,
    /// Where output goes.
    pub out: Output,
    /// Whether verdicts are coloured.
    pub colours: Colours,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Whether verdicts are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// A pipe or file.
    None,
    /// A terminal that shows them.
    Ansi,
}

/// A place for output that events may reach from another thread.
#[derive(Clone)]
pub struct Output(Arc<Mutex<dyn Write + Send>>);

impl Output {
    /// Writes to `out`.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(out)))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(bytes)?;
        out.flush()
    }

    fn line(&self, value: &Value) -> io::Result<()> {
        self.write(format!("{value}\n").as_bytes())
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output(…)")
    }
}

/// Does what the command line asks. A signal (`shutdown`) ends what takes long, cleanly.
///
/// # Errors
/// [`TerminalError`], which names its exit code. It has been printed as JSON when that was asked for.
pub async fn run(parts: Parts, shutdown: impl Future<Output = ()>) -> Result<Ended, TerminalError> {
    let Parts { cli, config, input, out, colours } = parts;
    let done = match Terminal::open(config) {
        Ok(terminal) => {
            let program = Program { terminal, out: out.clone(), json: cli.json, colours };
            let done = program.command(cli.command, input, shutdown).await;
            program.terminal.close().await;
            done
        }
        Err(error) => Err(error.into()),
    };
    if let (Err(error), true) = (&done, cli.json) {
        out.line(&json::error(error))?;
    }
    done
}

struct Program {
    terminal: Terminal,
    out: Output,
    json: bool,
    colours: Colours,
}

impl Program {
    async fn command(
        &self,
        command: Command,
        input: Box<dyn BufRead + Send>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Ended, TerminalError> {
        match command {
            Command::Enrol { server, trust, token } => {
                let trust = read_bounded(&trust, TRUST_BYTES_MAX)?;
                let asked = Enrolment { server, trust, token };
                or_interrupted(self.terminal.enrol(asked), shutdown).await?;
                self.show_status()
            }
            Command::Sync { watch: false } => {
                let report = or_interrupted(self.terminal.sync(), shutdown).await?;
                self.print(|| text::report(report), || json::report(report))?;
                Ok(Ended::Well)
            }
            Command::Sync { watch: true } => {
                let printer = Printer { out: self.out.clone(), json: self.json };
                self.terminal.watch(Arc::new(printer));
                tokio::select! {
                    () = shutdown => Ok(Ended::Well),
                    error = self.terminal.watch_ended() => Err(error.into()),
                }
            }
            Command::Status => self.show_status(),
            Command::Verify(Source { text: Some(text), .. }) => self.verify(&text),
            Command::Verify(Source { image: Some(path), .. }) => {
                self.verify(&read_code(&read_bounded(&path, PICTURE_BYTES_MAX)?)?)
            }
            Command::Verify(_) => self.verify_lines(input, shutdown).await,
        }
    }

    fn verify(&self, text: &str) -> Result<Ended, TerminalError> {
        let verdict = self.terminal.verify_text(text)?;
        self.print(|| text::verdict(&verdict, self.colours), || json::verdict_json(&verdict))?;
        Ok(Ended::of(&verdict))
    }

    /// One verdict a line, until the input or somebody ends it.
    async fn verify_lines(
        &self,
        input: Box<dyn BufRead + Send>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Ended, TerminalError> {
        let (sender, mut lines) = mpsc::channel(1);
        // Reading a terminal cannot be called off: this thread ends with the program.
        thread::spawn(move || read_lines(input, &sender));
        tokio::pin!(shutdown);
        let mut ended: Option<Ended> = None;
        loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(line) => {
                        let verdict = self.verify(&line?)?;
                        ended = Some(ended.map_or(verdict, |ended| ended.and(verdict)));
                    }
                    // Nobody was judged, and exit code 0 would say that somebody was accepted.
                    None => return ended.ok_or(TerminalError::NoCode),
                },
                () = &mut shutdown => return Ok(ended.unwrap_or(Ended::Well)),
            }
        }
    }

    fn show_status(&self) -> Result<Ended, TerminalError> {
        let status = self.terminal.status();
        self.print(|| text::status(&status), || json::status(&status))?;
        Ok(Ended::Well)
    }

    fn print(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> io::Result<()> {
        if self.json { self.out.line(&json()) } else { self.out.write(text().as_bytes()) }
    }
}

/// Prints events as they come.
#[derive(Debug)]
struct Printer {
    out: Output,
    json: bool,
}

impl EventListener for Printer {
    fn on_event(&self, event: Event) {
        let written = if self.json {
            self.out.line(&json::event(event))
        } else {
            text::event(event).map_or(Ok(()), |line| self.out.write(line.as_bytes()))
        };
        if let Err(error) = written {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "event not printed");
        }
    }
}

/// Hands on the lines of `input`, empty ones left out. A line longer than any code is cut, and is then no code.
fn read_lines(mut input: Box<dyn BufRead + Send>, lines: &mpsc::Sender<io::Result<String>>) {
    loop {
        let mut bytes = Vec::new();
        let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
        let line = match read {
            Ok(0) => return,
            // Some systems begin what goes through a pipe with a byte order mark.
            Ok(_) => Ok(String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').trim().to_owned()),
            Err(error) => Err(error),
        };
        let (last, empty) = (line.is_err(), line.as_ref().is_ok_and(String::is_empty));
        if !empty && lines.blocking_send(line).is_err() || last {
            return;
        }
    }
}

async fn or_interrupted<T>(
    work: impl Future<Output = Result<T, SdkError>>,
    shutdown: impl Future<Output = ()>,
) -> Result<T, TerminalError> {
    tokio::select! {
        done = work => Ok(done?),
        () = shutdown => Err(TerminalError::Interrupted),
    }
}

/// Bytes of one line: any code, and whatever a scanner puts around it.
const LINE_BYTES_MAX: u64 = 4 * QR_TEXT_CHARS_MAX as u64;
