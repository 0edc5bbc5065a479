//! An import: a thread reads the file, a few workers send frames side by side, and what comes back is put in the order
//! of the file again. Memory does not grow with the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use bhyt_core::sync::admin::{AdminReply, RowField, RowOutcome};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::{Mutex, Notify, mpsc};

use super::chunk::{Chunk, ChunkSource, Fault};
use super::client::AdminClient;
use super::csv_rows::{ChunkReader, Table};
use super::error::AdminError;
use super::outcome::{field_name, reason_name};
use super::print::Output;

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ImportReport {
    /// Rows read.
    pub(super) rows: u64,
    /// Rows stored now.
    pub(super) stored: u64,
    /// Rows that corrected something.
    pub(super) corrected: u64,
    /// Rows that retracted something.
    pub(super) retracted: u64,
    /// Rows stored before.
    pub(super) unchanged: u64,
    /// Rows not taken.
    pub(super) failed: u64,
    /// Where they are listed.
    pub(super) errors_file: Option<PathBuf>,
}

impl ImportReport {
    /// The failure that ends the program when rows were not taken.
    pub(super) fn failure(self) -> Result<(), AdminError> {
        let Self { rows, failed, errors_file, .. } = self;
        match errors_file {
            Some(errors_file) => Err(AdminError::RowsFailed { rows, failed, errors_file }),
            None => Ok(()),
        }
    }
}

/// A chunk that the server has answered.
struct Answered {
    chunk: Chunk,
    outcomes: Vec<RowOutcome>,
}

/// Imports a file and says what became of it.
pub(super) async fn run(
    client: &AdminClient,
    output: &Output,
    table: Table,
    file: &Path,
) -> Result<(), AdminError> {
    let reader = ChunkReader::open(file, table)?;
    let (report, _) = send_all(client, reader, file, table.member_column()).await?;
    output.import(&report)?;
    report.failure()
}

/// Sends all chunks of a file; gives back what became of them, and the source. Chunks that speak of one member are sent one
/// after the other, all others side by side.
pub(super) async fn send_all<C: ChunkSource>(
    client: &AdminClient,
    source: C,
    file: &Path,
    member_field: &'static str,
) -> Result<(ImportReport, C), AdminError> {
    let mut collector = Collector::new(member_field, file);
    let (to_send, waiting) = mpsc::channel(CHUNKS_WAITING);
    let reading = tokio::task::spawn_blocking(move || read_chunks(source, &to_send));
    let waiting = Arc::new(Mutex::new(waiting));
    let gate = Gate::default();
    let (to_collect, mut answered) = mpsc::channel(CHUNKS_WAITING);
    let workers = async {
        let worker = || send_chunks(client, Arc::clone(&waiting), &gate, to_collect.clone());
        // As many as the server takes side by side: it joins what they send into few waits for the disk.
        let four = async || tokio::try_join!(worker(), worker(), worker(), worker());
        let sent = tokio::try_join!(four(), four());
        drop(to_collect);
        sent.map(|_| ())
    };
    let collecting = async {
        while let Some(answer) = answered.recv().await {
            collector.take(answer)?;
        }
        Ok(())
    };
    let worked = tokio::try_join!(workers, collecting);
    // Lets go of the reader, which may wait with a chunk.
    waiting.lock().await.close();
    let (source, read) = reading.await.map_err(|_| AdminError::Unexpected)?;
    worked?;
    let report = collector.finish()?;
    read?;
    Ok((report, source))
}

/// Reads all chunks of a file and sends nothing.
pub(super) fn check_all<C: ChunkSource>(
    mut source: C,
    file: &Path,
    member_field: &'static str,
) -> Result<(ImportReport, C), AdminError> {
    let mut collector = Collector::new(member_field, file);
    let read = loop {
        match source.next_chunk() {
            Ok(Some(chunk)) => {
                let outcomes = vec![RowOutcome::Stored; chunk.lines.len()];
                collector.take(Answered { chunk, outcomes })?;
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let report = collector.finish()?;
    read?;
    Ok((report, source))
}

fn read_chunks<C: ChunkSource>(mut source: C, to_send: &mpsc::Sender<Chunk>) -> (C, Result<(), AdminError>) {
    loop {
        match source.next_chunk() {
            Ok(Some(chunk)) => {
                if to_send.blocking_send(chunk).is_err() {
                    return (source, Ok(()));
                }
            }
            Ok(None) => return (source, Ok(())),
            Err(error) => return (source, Err(error)),
        }
    }
}

async fn send_chunks(
    client: &AdminClient,
    waiting: Arc<Mutex<mpsc::Receiver<Chunk>>>,
    gate: &Gate,
    to_collect: mpsc::Sender<Answered>,
) -> Result<(), AdminError> {
    let mut asking = None;
    loop {
        let mut chunk = {
            let mut waiting = waiting.lock().await;
            let Some(chunk) = waiting.recv().await else { break };
            // Nobody takes a later chunk meanwhile, so chunks of one member keep their order.
            gate.enter(&chunk.members).await;
            chunk
        };
        let mut outcomes = Vec::new();
        if let Some(command) = chunk.command.take() {
            let request = client.request(command);
            let replies = client.ask(&mut asking, &request).await?;
            outcomes = match replies.into_iter().next() {
                Some(AdminReply::Rows(outcomes)) if outcomes.len() == chunk.lines.len() => outcomes,
                _ => return Err(AdminError::Unexpected),
            };
        }
        gate.leave(&chunk.members);
        if to_collect.send(Answered { chunk, outcomes }).await.is_err() {
            break;
        }
    }
    if let Some(mut exchange) = asking {
        // Every answer is here.
        let _ = exchange.finish();
    }
    Ok(())
}

/// Members of whom records are under way.
#[derive(Debug, Default)]
struct Gate {
    inside: std::sync::Mutex<BTreeSet<String>>,
    left: Notify,
}

impl Gate {
    /// Waits until none of them is under way. One waits at a time.
    async fn enter(&self, members: &[String]) {
        while !self.try_enter(members) {
            self.left.notified().await;
        }
    }

    fn try_enter(&self, members: &[String]) -> bool {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let free = !members.iter().any(|member| inside.contains(member));
        if free {
            inside.extend(members.iter().cloned());
        }
        free
    }

    fn leave(&self, members: &[String]) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.retain(|member| !members.contains(member));
        // Kept for who comes to wait just now.
        self.left.notify_one();
    }
}

/// Puts answers in order, counts, and lists the faults.
struct Collector {
    member_field: &'static str,
    report: ImportReport,
    next: u64,
    early: BTreeMap<u64, Answered>,
    errors_path: PathBuf,
    errors: Option<BufWriter<File>>,
    bar: ProgressBar,
}

impl Collector {
    fn new(member_field: &'static str, file: &Path) -> Self {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".errors.csv");
        let bytes = fs::metadata(file).map_or(0, |metadata| metadata.len());
        Self {
            member_field,
            report: ImportReport::default(),
            next: 0,
            early: BTreeMap::new(),
            errors_path: file.with_file_name(name),
            errors: None,
            bar: progress_bar(bytes),
        }
    }

    fn take(&mut self, answered: Answered) -> Result<(), AdminError> {
        self.early.insert(answered.chunk.number, answered);
        while let Some(answered) = self.early.remove(&self.next) {
            self.next += 1;
            self.note(&answered)?;
        }
        Ok(())
    }

    fn note(&mut self, answered: &Answered) -> Result<(), AdminError> {
        let Answered { chunk, outcomes } = answered;
        let report = &mut self.report;
        report.rows += (chunk.lines.len() + chunk.faults.len()) as u64;
        let mut faults = chunk.faults.clone();
        for (line, outcome) in chunk.lines.iter().zip(outcomes) {
            match outcome {
                RowOutcome::Stored => report.stored += 1,
                RowOutcome::Corrected => report.corrected += 1,
                RowOutcome::Retracted => report.retracted += 1,
                RowOutcome::Unchanged => report.unchanged += 1,
                RowOutcome::Failed(fault) => {
                    let field = match fault.field {
                        RowField::Member => self.member_field,
                        field => field_name(field),
                    };
                    faults.push(Fault {
                        line: *line,
                        field: field.into(),
                        reason: reason_name(fault.reason),
                    });
                }
            }
        }
        report.failed += faults.len() as u64;
        faults.sort_unstable();
        faults.iter().try_for_each(|fault| self.list(fault))?;
        self.bar.set_position(chunk.bytes_read);
        Ok(())
    }

    fn list(&mut self, fault: &Fault) -> Result<(), AdminError> {
        let path = &self.errors_path;
        let write_error = |source| AdminError::Write { path: path.clone(), source };
        let errors = match &mut self.errors {
            Some(errors) => errors,
            None => {
                let mut errors = BufWriter::new(File::create(path).map_err(write_error)?);
                writeln!(errors, "line,field,reason").map_err(write_error)?;
                self.errors.insert(errors)
            }
        };
        let Fault { line, field, reason } = fault;
        writeln!(errors, "{line},{field},{reason}").map_err(write_error)
    }

    fn finish(mut self) -> Result<ImportReport, AdminError> {
        self.bar.finish_and_clear();
        let path = self.errors_path;
        match self.errors {
            Some(mut errors) => {
                errors.flush().map_err(|source| AdminError::Write { path: path.clone(), source })?;
                self.report.errors_file = Some(path);
            }
            // What an earlier run of this file listed has been mended.
            None => drop(fs::remove_file(&path)),
        }
        Ok(self.report)
    }
}

/// On a terminal only, and on stderr.
fn progress_bar(bytes: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {percent:>3} %  {elapsed} / {duration}";
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}

/// Chunks read and not sent, and chunks answered and not noted.
const CHUNKS_WAITING: usize = 12;
