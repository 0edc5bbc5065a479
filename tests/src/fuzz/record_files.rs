//! Files of official records: CSV tables and the ministry's XML. Whatever stands in one, a row that is read is one that
//! the server takes, within its bounds.

use bhyt_core::limits::IMPORT_ROWS_MAX;
use bhyt_core::records::Fact;
use bhyt_core::sync::admin::AdminCommand;
use bhyt_server::admin::RecordTable;
use bhyt_server::admin::fuzzing::read_records;

use super::scratch::scratch;

/// The table of an input is its first byte; the rest is the file.
pub fn run(data: &[u8]) {
    let Some((table, data)) = data.split_first() else { return };
    let Some(table) = TABLES.get(usize::from(*table) % TABLES.len()) else { return };
    let path = scratch("records");
    std::fs::write(&path, data).expect("a scratch file");
    read_records(&path, *table).iter().for_each(check);
}

fn check(command: &AdminCommand) {
    let AdminCommand::ImportRecords(rows) = command else { panic!("records, and nothing else") };
    assert!(rows.len() <= IMPORT_ROWS_MAX);
    for row in rows {
        let record = row.change.record();
        assert!(!row.member.is_empty() && record.fits());
        let fact = Fact::decode(record.kind, &record.body).expect("a body that can be read");
        assert_eq!(fact.encode().as_ref(), Ok(&record.body), "a body has one form");
        assert!(fact.source_key().is_some());
    }
}

/// Golden files.
pub fn seeds() -> Vec<Vec<u8>> {
    let files: [&[u8]; 5] = [
        include_bytes!("../../vectors/records/contributions.csv"),
        include_bytes!("../../vectors/records/benefits.csv"),
        include_bytes!("../../vectors/records/visits.csv"),
        include_bytes!("../../vectors/records/notices.csv"),
        include_bytes!("../../vectors/records/hoso.xml"),
    ];
    (0..).zip(files).map(|(table, file)| [&[table], file].concat()).collect()
}

const TABLES: [RecordTable; 5] = [
    RecordTable::Contributions,
    RecordTable::Benefits,
    RecordTable::Visits,
    RecordTable::Notices,
    RecordTable::Xml,
];
