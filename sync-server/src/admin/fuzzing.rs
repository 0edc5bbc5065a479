//! What the fuzz targets reach inside of: import files. No part of the server's API.

use std::path::Path;

use bhyt_core::sync::admin::AdminCommand;

use super::csv_rows::{ChunkReader, Table};

/// Reads a file as `member import` does; what was read before an error is there.
pub fn read_members(path: &Path) -> Vec<AdminCommand> {
    read(path, Table::Members)
}

/// Reads a file as `card import` does.
pub fn read_cards(path: &Path) -> Vec<AdminCommand> {
    read(path, Table::Cards)
}

fn read(path: &Path, table: Table) -> Vec<AdminCommand> {
    let Ok(mut reader) = ChunkReader::open(path, table) else {
        return Vec::new();
    };
    let chunks = std::iter::from_fn(|| reader.next_chunk().ok().flatten());
    chunks.map(|chunk| chunk.command).collect()
}
