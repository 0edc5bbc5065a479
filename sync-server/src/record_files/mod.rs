//! Files of official records, read as records: the ministry of health's XML (QĐ 130, 4750 and 3176/QĐ-BYT), and rows of
//! CSV. Pure functions over streams and texts.
//!
//! Promise: whatever a file holds, each record is read whole or refused with the field and the reason, and memory does not
//! grow with the file. What a name or an amount was is never in a fault.

pub mod columns;
pub mod dossier;
pub mod envelope;
pub mod fields;
pub mod tables;
pub mod visit_rows;
pub mod xml;

use bhyt_core::record::Body;
use bhyt_core::records::{Fact, Visit};
use bhyt_core::sync::records::{NewRecord, RecordChange, RecordRow};

use fields::FieldFault;

/// A record that was read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    /// A number of the member.
    pub member: String,
    /// Another one; may be empty.
    pub also: String,
    /// The record.
    pub record: NewRecord,
    /// Whether it says less than what may be stored already.
    pub only_if_new: bool,
}

impl FoundRecord {
    /// The row that stores it, or retracts it.
    pub fn into_row(self, verb: RecordVerb) -> RecordRow {
        let Self { member, also, record, only_if_new } = self;
        let change = match verb {
            RecordVerb::Put if only_if_new => RecordChange::PutIfNew(record),
            RecordVerb::Put => RecordChange::Put(record),
            RecordVerb::Retract => RecordChange::Retract(record),
        };
        RecordRow { member, also, change }
    }
}

/// What is done with the records of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordVerb {
    /// They are stored, or corrected.
    Put,
    /// They are retracted.
    Retract,
}

/// A fact of one record.
fn new_record(fact: &Fact) -> Result<NewRecord, FieldFault> {
    let body = fact.encode().map_err(|_| FieldFault { field: "record", reason: "too_long" })?;
    Ok(NewRecord { kind: fact.kind(), body, parts: Vec::new() })
}

/// A visit, with its lines in as many records as they need. `field` is what is named when there are too many.
fn new_visit(visit: Visit, field: &'static str) -> Result<NewRecord, FieldFault> {
    let too_many = FieldFault { field, reason: "too_many" };
    let (visit, parts) = visit.split().map_err(|_| too_many)?;
    let parts: Result<Vec<Body>, _> =
        parts.into_iter().map(|part| Fact::VisitLines(part).encode().map_err(|_| too_many)).collect();
    let record = NewRecord { parts: parts?, ..new_record(&Fact::Visit(Box::new(visit)))? };
    if record.fits() { Ok(record) } else { Err(too_many) }
}
