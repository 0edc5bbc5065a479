//! What the fuzz targets reach inside of: the rows of operators. No part of the server's API.

use bhyt_core::sync::admin::{AdminCommand, RowFault};

use super::rows::{Alias, CardFields, MemberFields};

/// Parses the rows of an import as the service does: what is wrong with each, if anything.
pub fn parse_rows(command: &AdminCommand) -> Vec<Option<RowFault>> {
    match command {
        AdminCommand::ImportMembers(rows) => rows.iter().map(|row| MemberFields::parse(row).err()).collect(),
        AdminCommand::ImportCards(rows) => {
            let parse = |row| CardFields::parse(row).err();
            rows.iter().map(|row| Alias::parse(&row.member).and_then(|_| parse(row))).collect()
        }
        _ => Vec::new(),
    }
}
