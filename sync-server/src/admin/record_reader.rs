//! Official records of a file as chunks: CSV tables and the ministry's XML. A chunk ends with a member where it can, so that
//! one member's records are one commit of the server's.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use bhyt_core::limits::{IMPORT_RECORDS_BYTES_MAX, IMPORT_ROWS_MAX};
use bhyt_core::sync::admin::AdminCommand;
use bhyt_core::sync::records::RecordRow;
use csv::ByteRecord;

use super::args_records::RecordTable;
use super::chunk::{Chunk, ChunkSource, Fault};
use super::csv_file::{Columns, CsvFile};
use super::error::AdminError;
use crate::record_files::columns::PlainTable;
use crate::record_files::dossier::{PlacedFault, read_visits};
use crate::record_files::envelope::EnvelopeReader;
use crate::record_files::fields::FieldFault;
use crate::record_files::visit_rows::{self, ReadVisit, VisitRows};
use crate::record_files::{FoundRecord, RecordVerb};

/// Reads records of a file.
pub(super) struct RecordReader {
    source: Source,
    verb: RecordVerb,
    next: u64,
    /// What was read and had no room in the chunks before.
    left: VecDeque<(u64, RecordRow)>,
    notes: FileNotes,
    /// Why nothing more can be read.
    failed: Option<AdminError>,
}

/// What a file had besides records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FileNotes {
    /// Fields that no version of the tables knows.
    pub(super) unknown_fields: u64,
    /// Files of other tables.
    pub(super) passed_over: u64,
}

enum Source {
    Plain(Box<CsvFile>, PlainTable),
    Visits(Box<(CsvFile, VisitRows)>),
    Ministry(Box<Ministry>),
}

struct Ministry {
    path: PathBuf,
    envelope: EnvelopeReader<BufReader<File>>,
    ended: bool,
}

/// A record with its line, or why it is none.
type Read = Result<(u64, FoundRecord), Fault>;

impl RecordReader {
    /// Opens a file and reads the header of a CSV table.
    pub(super) fn open(path: &Path, table: RecordTable, verb: RecordVerb) -> Result<Self, AdminError> {
        let csv = |columns| CsvFile::open(path, columns, FIELD_BYTES_MAX);
        let plain = |table: PlainTable| {
            let columns = Columns { names: table.columns(), required: table.required() };
            csv(columns).map(|file| Source::Plain(Box::new(file), table))
        };
        let source = match table {
            RecordTable::Contributions => plain(PlainTable::Contributions)?,
            RecordTable::Benefits => plain(PlainTable::Benefits)?,
            RecordTable::Notices => plain(PlainTable::Notices)?,
            RecordTable::Visits => {
                let columns = Columns { names: visit_rows::COLUMNS, required: visit_rows::REQUIRED };
                Source::Visits(Box::new((csv(columns)?, VisitRows::default())))
            }
            RecordTable::Xml => {
                let read_error = |source| AdminError::Read { path: path.to_owned(), source };
                let stream = BufReader::with_capacity(READ_BYTES, File::open(path).map_err(read_error)?);
                let envelope = EnvelopeReader::new(stream);
                Source::Ministry(Box::new(Ministry { path: path.to_owned(), envelope, ended: false }))
            }
        };
        Ok(Self { source, verb, next: 0, left: VecDeque::new(), notes: FileNotes::default(), failed: None })
    }

    /// What was met so far.
    pub(super) fn notes(&self) -> FileNotes {
        self.notes
    }
}

impl ChunkSource for RecordReader {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, AdminError> {
        let mut gathering = Gathering::default();
        let mut reads = Vec::new();
        loop {
            while self.left.front().is_some_and(|(_, row)| gathering.has_room(row)) {
                let Some((line, row)) = self.left.pop_front() else { break };
                gathering.push(line, row);
            }
            let full = !self.left.is_empty() || gathering.chunk.faults.len() >= IMPORT_ROWS_MAX;
            if full || self.failed.is_some() {
                break;
            }
            match self.source.read(&mut reads, &mut self.notes) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.failed = Some(error),
            }
            for read in reads.drain(..) {
                match read {
                    Ok((line, found)) => self.left.push_back((line, found.into_row(self.verb))),
                    Err(fault) => gathering.chunk.faults.push(fault),
                }
            }
        }
        let Gathering { mut chunk, rows, .. } = gathering;
        // What stood before it in the file is sent first.
        if chunk.is_empty()
            && rows.is_empty()
            && let Some(error) = self.failed.take()
        {
            return Err(error);
        }
        chunk.number = self.next;
        chunk.bytes_read = self.source.bytes_read();
        chunk.command = (!rows.is_empty()).then_some(AdminCommand::ImportRecords(rows));
        self.next += 1;
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

/// A chunk that is being filled.
#[derive(Default)]
struct Gathering {
    chunk: Chunk,
    rows: Vec<RecordRow>,
    bytes: usize,
}

impl Gathering {
    fn push(&mut self, line: u64, row: RecordRow) {
        self.bytes += row.change.record().bytes();
        if self.chunk.members.last() != Some(&row.member) {
            self.chunk.members.push(row.member.clone());
        }
        self.chunk.lines.push(line);
        self.rows.push(row);
    }

    /// Whether the row goes into this chunk: within the bounds of a frame, and another member begins the next when this one
    /// has enough.
    fn has_room(&self, row: &RecordRow) -> bool {
        let bytes = self.bytes + row.change.record().bytes();
        let another = self.chunk.members.last().is_some_and(|member| *member != row.member);
        let enough = self.rows.len() >= ROWS_ENOUGH || self.bytes >= IMPORT_RECORDS_BYTES_MAX / 2;
        self.rows.is_empty()
            || self.rows.len() < IMPORT_ROWS_MAX && bytes <= IMPORT_RECORDS_BYTES_MAX && !(enough && another)
    }
}

impl Source {
    /// Reads on: whether there was more, of which nothing may be a record yet.
    fn read(&mut self, reads: &mut Vec<Read>, notes: &mut FileNotes) -> Result<bool, AdminError> {
        match self {
            Self::Plain(file, table) => read_plain(file, *table, reads),
            Self::Visits(visits) => read_visit_row(&mut visits.0, &mut visits.1, reads),
            Self::Ministry(ministry) => ministry.read(reads, notes),
        }
    }

    fn bytes_read(&self) -> u64 {
        match self {
            Self::Plain(file, _) => file.bytes_read(),
            Self::Visits(visits) => visits.0.bytes_read(),
            Self::Ministry(ministry) => ministry.envelope.bytes_read(),
        }
    }
}

fn read_plain(file: &mut CsvFile, table: PlainTable, reads: &mut Vec<Read>) -> Result<bool, AdminError> {
    let Some(row) = file.next_row(&mut ByteRecord::new())? else { return Ok(false) };
    let line = row.line;
    reads.push(match &row.fields {
        None => Err(Fault::of_line(line)),
        Some(fields) => match table.read(&|name| file.named(fields, name)) {
            Ok(found) => Ok((line, found)),
            Err(fault) => Err(of_field(line, fault)),
        },
    });
    Ok(true)
}

fn read_visit_row(
    file: &mut CsvFile,
    visits: &mut VisitRows,
    reads: &mut Vec<Read>,
) -> Result<bool, AdminError> {
    let whole = |visit: ReadVisit| visit.map_err(|(line, fault)| of_field(line, fault));
    let Some(row) = file.next_row(&mut ByteRecord::new())? else {
        let last = visits.finish().map(whole);
        let more = last.is_some();
        reads.extend(last);
        return Ok(more);
    };
    match &row.fields {
        None => {
            visits.spoil(row.line);
            reads.push(Err(Fault::of_line(row.line)));
        }
        Some(fields) => reads.extend(visits.push(row.line, &|name| file.named(fields, name)).map(whole)),
    }
    Ok(true)
}

impl Ministry {
    fn read(&mut self, reads: &mut Vec<Read>, notes: &mut FileNotes) -> Result<bool, AdminError> {
        if self.ended {
            return Ok(false);
        }
        let next = self.envelope.next_dossier();
        let line = self.envelope.line();
        let unreadable = |source| AdminError::Xml { path: self.path.clone(), line, source };
        let Some(dossier) = next.map_err(unreadable)? else {
            self.ended = true;
            let fault = self.envelope.envelope().count_fault();
            reads.extend(fault.map(|fault| Err(placed(fault.into()))));
            return Ok(true);
        };
        let visits = read_visits(&dossier, &self.envelope.envelope().facility);
        notes.unknown_fields += visits.unknown_fields;
        notes.passed_over += visits.passed_over;
        let found = visits.found.into_iter();
        reads.extend(found.map(|found| found.map(|found| (dossier.line, found)).map_err(placed)));
        Ok(true)
    }
}

fn of_field(line: u64, fault: FieldFault) -> Fault {
    Fault { line, field: fault.field.into(), reason: fault.reason }
}

fn placed(fault: PlacedFault) -> Fault {
    Fault { line: fault.line, field: fault.field.into(), reason: fault.reason }
}

/// Rows after which a chunk ends with its member.
const ROWS_ENOUGH: usize = 32;
/// Longer than any field of a record: a notice has a page.
const FIELD_BYTES_MAX: usize = 4 * 1024;
const READ_BYTES: usize = 64 * 1024;
