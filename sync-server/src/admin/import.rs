//! An import: a thread reads the file, a few workers send frames side by side, and what comes back is put in the order
//! of the file again. Memory does not grow with the file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bhyt_core::sync::admin::{AdminReply, RowField, RowOutcome};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::sync::{Mutex, mpsc};

use super::client::AdminClient;
use super::csv_rows::{Chunk, ChunkReader, Table};
use super::error::AdminError;
use super::outcome::{field_name, reason_name};
use super::print::Output;

/// What became of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ImportReport {
    /// Rows read.
    pub(super) rows: u64,
    /// Rows stored, or stored before.
    pub(super) ok: u64,
    /// Rows not taken.
    pub(super) failed: u64,
    /// Where they are listed.
    pub(super) errors_file: Option<PathBuf>,
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
    let mut collector = Collector::new(table, file);
    let (to_send, waiting) = mpsc::channel(CHUNKS_WAITING);
    let reading = tokio::task::spawn_blocking(move || read_chunks(reader, &to_send));
    let waiting = Arc::new(Mutex::new(waiting));
    let (to_collect, mut answered) = mpsc::channel(CHUNKS_WAITING);
    let workers = async {
        let worker = || send_chunks(client, Arc::clone(&waiting), to_collect.clone());
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
    let read = reading.await.map_err(|_| AdminError::Unexpected)?;
    worked?;
    read?;
    let report = collector.finish()?;
    output.import(&report)?;
    match report.errors_file {
        Some(errors_file) => {
            Err(AdminError::RowsFailed { rows: report.rows, failed: report.failed, errors_file })
        }
        None => Ok(()),
    }
}

fn read_chunks(mut reader: ChunkReader, to_send: &mpsc::Sender<Chunk>) -> Result<(), AdminError> {
    while let Some(chunk) = reader.next_chunk()? {
        if to_send.blocking_send(chunk).is_err() {
            break;
        }
    }
    Ok(())
}

async fn send_chunks(
    client: &AdminClient,
    waiting: Arc<Mutex<mpsc::Receiver<Chunk>>>,
    to_collect: mpsc::Sender<Answered>,
) -> Result<(), AdminError> {
    let mut asking = None;
    loop {
        let next = waiting.lock().await.recv().await;
        let Some(chunk) = next else { break };
        let mut outcomes = Vec::new();
        if !chunk.lines.is_empty() {
            let request = client.request(chunk.command.clone());
            let replies = client.ask(&mut asking, &request).await?;
            outcomes = match replies.into_iter().next() {
                Some(AdminReply::Rows(outcomes)) if outcomes.len() == chunk.lines.len() => outcomes,
                _ => return Err(AdminError::Unexpected),
            };
        }
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

/// Puts answers in order, counts, and lists the faults.
struct Collector {
    table: Table,
    report: ImportReport,
    next: u64,
    early: BTreeMap<u64, Answered>,
    errors_path: PathBuf,
    errors: Option<BufWriter<File>>,
    bar: ProgressBar,
}

impl Collector {
    fn new(table: Table, file: &Path) -> Self {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".errors.csv");
        let bytes = fs::metadata(file).map_or(0, |metadata| metadata.len());
        Self {
            table,
            report: ImportReport { rows: 0, ok: 0, failed: 0, errors_file: None },
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
        let mut faults: Vec<(u64, &str, &str)> =
            chunk.bad_lines.iter().map(|line| (*line, "line", "malformed")).collect();
        for (line, outcome) in chunk.lines.iter().zip(outcomes) {
            match outcome {
                RowOutcome::Stored | RowOutcome::Unchanged => self.report.ok += 1,
                RowOutcome::Failed(fault) => {
                    let field = match fault.field {
                        RowField::Member => self.table.member_column(),
                        field => field_name(field),
                    };
                    faults.push((*line, field, reason_name(fault.reason)));
                }
            }
        }
        faults.sort_unstable_by_key(|(line, ..)| *line);
        self.report.rows += (chunk.lines.len() + chunk.bad_lines.len()) as u64;
        self.report.failed += faults.len() as u64;
        for (line, field, reason) in faults {
            self.list(line, field, reason)?;
        }
        self.bar.set_position(chunk.bytes_read);
        Ok(())
    }

    fn list(&mut self, line: u64, field: &str, reason: &str) -> Result<(), AdminError> {
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
