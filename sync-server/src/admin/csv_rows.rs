//! Rows of an import file, a frame's worth at a time. Columns go by their names, in any order. A line that is no row of
//! the table is a fault of its own and stops nothing.

use std::path::Path;

use bhyt_core::limits::IMPORT_ROWS_MAX;
use bhyt_core::sync::admin::{AdminCommand, CardRow, MemberRow};
use csv::ByteRecord;

use super::chunk::{Chunk, ChunkSource, Fault};
use super::csv_file::{Columns, CsvFile};
use super::error::AdminError;

/// Which import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Members,
    Cards,
}

impl Table {
    fn columns(self) -> Columns {
        match self {
            Self::Members => Columns {
                names: &["member_id", "full_name", "birth_date", "sex", "personal_id", "phone", "address"],
                required: 3,
            },
            Self::Cards => Columns {
                names: &["member", "number", "level", "facility", "from", "to", "five_years", "area"],
                required: 5,
            },
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

/// Reads chunks.
pub(super) struct ChunkReader {
    file: CsvFile,
    table: Table,
    next: u64,
}

impl ChunkReader {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path, table: Table) -> Result<Self, AdminError> {
        Ok(Self { file: CsvFile::open(path, table.columns(), FIELD_BYTES_MAX)?, table, next: 0 })
    }
}

impl ChunkSource for ChunkReader {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, AdminError> {
        let mut rows = Rows::new(self.table);
        let mut chunk = Chunk::default();
        let mut record = ByteRecord::new();
        while chunk.lines.len() < self.table.rows_max() && chunk.faults.len() < IMPORT_ROWS_MAX {
            let Some(row) = self.file.next_row(&mut record)? else { break };
            match &row.fields {
                Some(fields) => {
                    rows.push(&|at| self.file.field(fields, at).to_owned());
                    chunk.lines.push(row.line);
                }
                None => chunk.faults.push(Fault::of_line(row.line)),
            }
        }
        chunk.number = self.next;
        chunk.bytes_read = self.file.bytes_read();
        chunk.command = (!chunk.lines.is_empty()).then(|| rows.into_command());
        self.next += 1;
        Ok((!chunk.is_empty()).then_some(chunk))
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

    fn bad_lines(chunk: &Chunk) -> Vec<u64> {
        chunk.faults.iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn columns_go_by_name_and_bad_lines_stop_nothing() {
        let text = "\u{feff}sex,Member_ID,full_name,birth_date\nF,1,\"A,\nB\",1990\nF,2\n";
        let bytes = [text.as_bytes(), b"\xff,3,C,1991\nM,4,D,1992\n"].concat();
        let chunks = read(Table::Members, &bytes).unwrap();
        assert_eq!(chunks.len(), 1);
        assert_eq!((chunks[0].lines.as_slice(), bad_lines(&chunks[0])), (&[2, 6][..], vec![4, 5]));
        let Some(AdminCommand::ImportMembers(rows)) = &chunks[0].command else { panic!() };
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
            Ok(chunks) => chunks.iter().map(|chunk| chunk.lines.len() + chunk.faults.len()).sum::<usize>(),
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
        assert_eq!((chunks[0].lines.as_slice(), bad_lines(&chunks[0])), (&[3][..], vec![2]));
    }
}
