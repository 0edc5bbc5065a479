//! What the fuzz targets reach inside of: import files. No part of the server's API.

use std::path::Path;

use bhyt_core::sync::admin::AdminCommand;

use super::args_records::RecordTable;
use super::chunk::ChunkSource;
use super::csv_rows::{ChunkReader, Table};
use super::record_reader::RecordReader;
use crate::record_files::RecordVerb;

/// Reads a file as `member import` does; what was read before an error is there.
pub fn read_members(path: &Path) -> Vec<AdminCommand> {
    read(path, Table::Members)
}

/// Reads a file as `card import` does.
pub fn read_cards(path: &Path) -> Vec<AdminCommand> {
    read(path, Table::Cards)
}

/// Reads a file as `record import` does.
pub fn read_records(path: &Path, table: RecordTable) -> Vec<AdminCommand> {
    RecordReader::open(path, table, RecordVerb::Put).map_or_else(|_| Vec::new(), commands)
}

fn read(path: &Path, table: Table) -> Vec<AdminCommand> {
    ChunkReader::open(path, table).map_or_else(|_| Vec::new(), commands)
}

fn commands(mut source: impl ChunkSource) -> Vec<AdminCommand> {
    let chunks = std::iter::from_fn(|| source.next_chunk().ok().flatten());
    chunks.filter_map(|chunk| chunk.command).collect()
}
