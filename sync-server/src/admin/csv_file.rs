//! A CSV file, row by row. Columns go by their names, in any order. A line that is no row is told as such and stops
//! nothing; of one row only so much is read, whatever quotation marks say.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, StringRecord};

use super::error::AdminError;

/// A table: the names of its columns, of which the first ones have to be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub(super) names: &'static [&'static str],
    pub(super) required: usize,
}

/// Reads rows.
pub(super) struct CsvFile {
    reader: csv::Reader<Rationed>,
    path: PathBuf,
    columns: Columns,
    /// Where each column of the table stands in the file.
    places: Vec<Option<usize>>,
    width: usize,
    field_bytes_max: usize,
}

/// A row and its line; without fields when the line is none.
pub(super) struct CsvRow {
    pub(super) line: u64,
    pub(super) fields: Option<StringRecord>,
}

impl CsvFile {
    /// Opens a file and reads its header. Longer fields than `field_bytes_max` are no fields of a row.
    pub(super) fn open(path: &Path, columns: Columns, field_bytes_max: usize) -> Result<Self, AdminError> {
        let file = File::open(path).map_err(read_error(path))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(Rationed::new(file));
        let header = reader.byte_headers().map_err(csv_error(path))?.clone();
        let places = find_columns(path, columns, &header)?;
        Ok(Self { reader, path: path.to_owned(), columns, places, width: header.len(), field_bytes_max })
    }

    /// The next row; `None` at the end of the file.
    pub(super) fn next_row(&mut self, record: &mut ByteRecord) -> Result<Option<CsvRow>, AdminError> {
        self.reader.get_mut().refill();
        if !self.reader.read_byte_record(record).map_err(csv_error(&self.path))? {
            return Ok(None);
        }
        let line = record.position().map_or(0, csv::Position::line);
        let fits =
            record.len() == self.width && record.iter().all(|field| field.len() <= self.field_bytes_max);
        let fields = StringRecord::from_byte_record(record.clone()).ok().filter(|_| fits);
        Ok(Some(CsvRow { line, fields }))
    }

    /// The text of a column by its place in the table; empty when the file has no such column.
    pub(super) fn field<'r>(&self, row: &'r StringRecord, at: usize) -> &'r str {
        let place = self.places.get(at).copied().flatten();
        place.and_then(|place| row.get(place)).unwrap_or_default()
    }

    /// The text of a column by its name.
    pub(super) fn named<'r>(&self, row: &'r StringRecord, name: &str) -> &'r str {
        let at = self.columns.names.iter().position(|column| *column == name);
        at.map_or("", |at| self.field(row, at))
    }

    /// Bytes of the file read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.reader.position().byte()
    }
}

/// A file of which only so much is read for one row: behind a quotation mark that is never closed, all of the file is one
/// field.
struct Rationed {
    file: File,
    left: usize,
}

impl Rationed {
    fn new(file: File) -> Self {
        Self { file, left: ROW_BYTES_MAX }
    }

    fn refill(&mut self) {
        self.left = ROW_BYTES_MAX;
    }
}

impl io::Read for Rationed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(self.left);
        if wanted == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, ROW_TOO_LONG));
        }
        let count = self.file.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        self.left -= count;
        Ok(count)
    }
}

/// A misspelt column would lose its values in silence, so an unknown one is refused.
fn find_columns(
    path: &Path,
    columns: Columns,
    header: &ByteRecord,
) -> Result<Vec<Option<usize>>, AdminError> {
    let wrong =
        |column: &str, wrong| AdminError::Columns { path: path.to_owned(), column: column.to_owned(), wrong };
    let mut places = vec![None; columns.names.len()];
    for (place, name) in header.iter().enumerate() {
        let name = String::from_utf8_lossy(name);
        // Spreadsheets put a byte order mark before the first name.
        let name = name.trim_start_matches('\u{feff}').trim().to_lowercase();
        let at = columns.names.iter().position(|column| *column == name);
        match at.and_then(|at| places.get_mut(at)) {
            // A file without a header has people where names of columns should be.
            None if !is_column_name(&name) => {
                return Err(wrong(&format!("number {}", place + 1), "no name; is the header missing?"));
            }
            None => return Err(wrong(&name, "unknown")),
            Some(Some(_)) => return Err(wrong(&name, "there twice")),
            Some(free) => *free = Some(place),
        }
    }
    let missing = columns.names.iter().zip(&places).take(columns.required);
    for (column, place) in missing {
        if place.is_none() {
            return Err(wrong(column, "missing"));
        }
    }
    Ok(places)
}

fn is_column_name(name: &str) -> bool {
    name.len() <= COLUMN_BYTES_MAX && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn read_error(path: &Path) -> impl Fn(io::Error) -> AdminError {
    let path = path.to_owned();
    move |source| AdminError::Read { path: path.clone(), source }
}

fn csv_error(path: &Path) -> impl Fn(csv::Error) -> AdminError {
    let read_error = read_error(path);
    move |error| read_error(error.into())
}

/// Bytes read for one row, with what the reader takes ahead: the longest row has forty fields, few of them long.
const ROW_BYTES_MAX: usize = 64 * 1024;
const ROW_TOO_LONG: &str = "a row of more than 64 KiB; is a quotation mark not closed?";
/// Longer than any name of a column.
const COLUMN_BYTES_MAX: usize = 24;
