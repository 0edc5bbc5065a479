//! Rows of an import file, a frame's worth at a time. Columns go by their names, in any order. A line that is no row of
//! the table is a fault of its own and stops nothing.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bhyt_core::limits::IMPORT_ROWS_MAX;
use bhyt_core::sync::admin::{AdminCommand, CardRow, MemberRow};
use csv::{ByteRecord, StringRecord};

use super::error::AdminError;

/// Which import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Members,
    Cards,
}

impl Table {
    /// Names of the columns; the first ones have to be there.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Members => {
                &["member_id", "full_name", "birth_date", "sex", "personal_id", "phone", "address"]
            }
            Self::Cards => &["member", "number", "level", "facility", "from", "to", "five_years", "area"],
        }
    }

    /// How many of the columns have to be there.
    fn required(self) -> usize {
        match self {
            Self::Members => 3,
            Self::Cards => 5,
        }
    }

    /// Rows of a frame: cards of as many rows are one commit of the server's.
    fn rows_max(self) -> usize {
        match self {
            Self::Members => IMPORT_ROWS_MAX,
            Self::Cards => 50,
        }
    }

    /// The first column's name, which stands for the member.
    pub(super) fn member_column(self) -> &'static str {
        match self {
            Self::Members => "member_id",
            Self::Cards => "member",
        }
    }
}

/// A frame's worth of rows.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// In the order of the file.
    pub(super) number: u64,
    /// What to send.
    pub(super) command: AdminCommand,
    /// The line of each row.
    pub(super) lines: Vec<u64>,
    /// Lines that are no rows.
    pub(super) bad_lines: Vec<u64>,
    /// Bytes of the file read so far.
    pub(super) bytes_read: u64,
}

impl Chunk {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.bad_lines.is_empty()
    }
}

/// Reads chunks.
pub(super) struct ChunkReader {
    reader: csv::Reader<Rationed>,
    path: PathBuf,
    table: Table,
    /// Where each column of the table stands in the file.
    places: Vec<Option<usize>>,
    next: u64,
}

impl ChunkReader {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path, table: Table) -> Result<Self, AdminError> {
        let file = File::open(path).map_err(read_error(path))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(Rationed::new(file));
        let header = reader.byte_headers().map_err(csv_error(path))?.clone();
        let places = find_columns(path, table, &header)?;
        Ok(Self { reader, path: path.to_owned(), table, places, next: 0 })
    }

    /// The next chunk; `None` at the end of the file.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>, AdminError> {
        let mut rows = Rows::new(self.table);
        let (mut lines, mut bad_lines) = (Vec::new(), Vec::new());
        let mut record = ByteRecord::new();
        while lines.len() < self.table.rows_max() && bad_lines.len() < IMPORT_ROWS_MAX {
            self.reader.get_mut().refill();
            if !self.reader.read_byte_record(&mut record).map_err(csv_error(&self.path))? {
                break;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let width = self.reader.byte_headers().map_err(csv_error(&self.path))?.len();
            let fits = record.len() == width && record.iter().all(|field| field.len() <= FIELD_BYTES_MAX);
            match StringRecord::from_byte_record(record.clone()).ok().filter(|_| fits) {
                Some(row) => {
                    let field = |at: usize| {
                        let place = self.places.get(at).copied().flatten();
                        place.and_then(|place| row.get(place)).unwrap_or_default().to_owned()
                    };
                    rows.push(&field);
                    lines.push(line);
                }
                None => bad_lines.push(line),
            }
        }
        let chunk = Chunk {
            number: self.next,
            command: rows.into_command(),
            lines,
            bad_lines,
            bytes_read: self.reader.position().byte(),
        };
        self.next += 1;
        Ok((!chunk.is_empty()).then_some(chunk))
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

enum Rows {
    Members(Vec<MemberRow>),
    Cards(Vec<CardRow>),
}

impl Rows {
    fn new(table: Table) -> Self {
        match table {
            Table::Members => Self::Members(Vec::with_capacity(IMPORT_ROWS_MAX)),
            Table::Cards => Self::Cards(Vec::with_capacity(IMPORT_ROWS_MAX)),
        }
    }

    fn push(&mut self, field: &dyn Fn(usize) -> String) {
        match self {
            Self::Members(rows) => rows.push(MemberRow {
                member_id: field(0),
                full_name: field(1),
                birth_date: field(2),
                sex: field(3),
                personal_id: field(4),
                phone: field(5),
                address: field(6),
            }),
            Self::Cards(rows) => rows.push(CardRow {
                member: field(0),
                number: field(1),
                level: field(2),
                facility: field(3),
                from: field(4),
                to: field(5),
                five_years: field(6),
                area: field(7),
            }),
        }
    }

    fn into_command(self) -> AdminCommand {
        match self {
            Self::Members(rows) => AdminCommand::ImportMembers(rows),
            Self::Cards(rows) => AdminCommand::ImportCards(rows),
        }
    }
}

/// A misspelt column would lose its values in silence, so an unknown one is refused.
fn find_columns(path: &Path, table: Table, header: &ByteRecord) -> Result<Vec<Option<usize>>, AdminError> {
    let wrong =
        |column: &str, wrong| AdminError::Columns { path: path.to_owned(), column: column.to_owned(), wrong };
    let mut places = vec![None; table.columns().len()];
    for (place, name) in header.iter().enumerate() {
        let name = String::from_utf8_lossy(name);
        // Spreadsheets put a byte order mark before the first name.
        let name = name.trim_start_matches('\u{feff}').trim().to_lowercase();
        let at = table.columns().iter().position(|column| *column == name);
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
    let missing = table.columns().iter().zip(&places).take(table.required());
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

/// Bytes read for one row, with what the reader takes ahead: the longest row has eight fields.
const ROW_BYTES_MAX: usize = 64 * 1024;
const ROW_TOO_LONG: &str = "a row of more than 64 KiB; is a quotation mark not closed?";
/// Longer than any name of a column.
const COLUMN_BYTES_MAX: usize = 24;
/// Longer fields are no field of a row; the server takes less.
const FIELD_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(table: Table, content: &[u8]) -> Result<Vec<Chunk>, AdminError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, content).unwrap();
        let mut reader = ChunkReader::open(&path, table)?;
        let mut chunks = Vec::new();
        while let Some(chunk) = reader.next_chunk()? {
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    #[test]
    fn columns_go_by_name_and_bad_lines_stop_nothing() {
        let text = "\u{feff}sex,Member_ID,full_name,birth_date\nF,1,\"A,\nB\",1990\nF,2\n";
        let bytes = [text.as_bytes(), b"\xff,3,C,1991\nM,4,D,1992\n"].concat();
        let chunks = read(Table::Members, &bytes).unwrap();
        assert_eq!(chunks.len(), 1);
        assert_eq!((chunks[0].lines.as_slice(), chunks[0].bad_lines.as_slice()), (&[2, 6][..], &[4, 5][..]));
        let AdminCommand::ImportMembers(rows) = &chunks[0].command else { panic!() };
        assert_eq!((rows[0].full_name.as_str(), rows[0].sex.as_str()), ("A,\nB", "F"));
        assert_eq!((rows[1].member_id.as_str(), rows[1].phone.as_str()), ("4", ""));
    }

    #[test]
    fn a_file_with_other_columns_is_refused() {
        let wrong = |header: &[u8]| match read(Table::Cards, header) {
            Err(AdminError::Columns { column, wrong, .. }) => (column, wrong),
            other => panic!("{other:?}"),
        };
        assert_eq!(wrong(b"member,number,level,facility\n"), ("from".into(), "missing"));
        assert_eq!(wrong(b"member,number,level,facility,from,till\n"), ("till".into(), "unknown"));
        assert_eq!(wrong(b"member,member\n"), ("member".into(), "there twice"));
        // Whatever is no name of a column may be somebody's, and is not shown.
        let no_name = "no name; is the header missing?";
        assert_eq!(wrong(b"9900000017,DN4999900000017,4\n"), ("number 1".into(), no_name));
        assert_eq!(wrong("member,Thử,4\n".as_bytes()), ("number 2".into(), no_name));
        assert_eq!(wrong(b"member;number;level\n"), ("number 1".into(), no_name));
    }

    #[test]
    fn chunks_are_what_a_frame_takes() {
        let mut text = String::from("member,number,level,facility,from\n");
        (0..150).for_each(|n| text.push_str(&format!("{n},N,4,79024,2026-01-01\n")));
        let chunks = read(Table::Cards, text.as_bytes()).unwrap();
        assert_eq!(chunks.iter().map(|chunk| chunk.lines.len()).collect::<Vec<_>>(), [50, 50, 50]);
        assert_eq!(chunks[2].lines[49], 151);
    }

    /// Cut at each byte and with each bit changed, a file is refused or read row by row: never a row that is not there.
    #[test]
    fn a_file_that_was_touched_is_refused_or_read_row_by_row() {
        let text = b"member,number,level,facility,from\n1,N,4,79024,2026-01-01\n2,\"N\nM\",4,79024,2026-01-01\n3,N,4,79024,1\n";
        let rows = |bytes: &[u8]| match read(Table::Cards, bytes) {
            Ok(chunks) => chunks.iter().map(|chunk| chunk.lines.len() + chunk.bad_lines.len()).sum::<usize>(),
            Err(AdminError::Columns { .. }) => 0,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(rows(text), 3);
        for cut in 0..text.len() {
            assert!(rows(&text[..cut]) <= 3, "cut at {cut}");
        }
        for bit in 0..text.len() * 8 {
            let mut changed = text.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            // A byte that becomes the end of a line, or a quotation mark that goes, makes a row of its own.
            assert!(rows(&changed) <= 4, "bit {bit}");
        }
    }

    /// Behind a quotation mark that is never closed all of a file is one field: it is not read to its end for that.
    #[test]
    fn a_quotation_mark_that_is_not_closed_ends_the_import_and_fills_no_memory() {
        let header = "member,number,level,facility,from\n";
        let row = "1,N,4,79024,2026-01-01\n";
        let good: String = [header, &row.repeat(10_000)].concat();
        assert_eq!(
            read(Table::Cards, good.as_bytes()).unwrap().iter().map(|chunk| chunk.lines.len()).sum::<usize>(),
            10_000
        );
        for bad in [
            [header, row, "2,\"N,4,79024,2026-01-01\n", &row.repeat(10_000)].concat(),
            [header, &"x".repeat(1 << 20), ",N,4,79024,1\n"].concat(),
            ["\"", header, &row.repeat(10_000)].concat(),
        ] {
            let error = read(Table::Cards, bad.as_bytes()).unwrap_err();
            let AdminError::Read { source, .. } = error else { panic!("{error:?}") };
            assert!(source.to_string().contains("quotation mark"), "{source}");
        }
        // Of a field that is only too long for us, nothing but its row is lost.
        let long = [header, &"x".repeat(2_000), ",N,4,79024,1\n", row].concat();
        let chunks = read(Table::Cards, long.as_bytes()).unwrap();
        assert_eq!((chunks[0].lines.as_slice(), chunks[0].bad_lines.as_slice()), (&[3][..], &[2][..]));
    }
}
