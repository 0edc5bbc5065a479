//! Words for what the server says of rows and cards, as they stand in files and JSON.

use bhyt_core::card_record::CardStanding;
use bhyt_core::sync::admin::{Applied, RowField, RowOutcome, RowReason};
use bhyt_core::sync::messages::Refusal;

/// The column's name.
pub(super) fn field_name(field: RowField) -> &'static str {
    match field {
        RowField::Member => "member",
        RowField::FullName => "full_name",
        RowField::BirthDate => "birth_date",
        RowField::Sex => "sex",
        RowField::PersonalId => "personal_id",
        RowField::Phone => "phone",
        RowField::Address => "address",
        RowField::Number => "number",
        RowField::Level => "level",
        RowField::Facility => "facility",
        RowField::From => "from",
        RowField::To => "to",
        RowField::FiveYears => "five_years",
        RowField::Area => "area",
        RowField::Record => "record",
    }
}

/// Why a field was not taken.
pub(super) fn reason_name(reason: RowReason) -> &'static str {
    match reason {
        RowReason::Missing => "missing",
        RowReason::Malformed => "malformed",
        RowReason::TooLong => "too_long",
        RowReason::NotFound => "not_found",
        RowReason::Conflict => "conflict",
        RowReason::Internal => "internal",
    }
}

/// Why nothing was done.
pub(super) fn refusal_name(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotAuthorised => "not_authorised",
        Refusal::BadCode => "bad_code",
        Refusal::Malformed => "malformed",
        Refusal::NotFound => "not_found",
        Refusal::Conflict => "conflict",
        Refusal::NoFreeBinding => "no_free_binding",
        Refusal::Busy { .. } => "busy",
        Refusal::Internal => "internal",
        Refusal::OperationReused => "operation_reused",
        Refusal::AwaitsStatus => "awaits_status",
        Refusal::LastAdministrator => "last_administrator",
        Refusal::Forgotten => "forgotten",
    }
}

/// What became of a row.
pub(super) fn outcome_name(outcome: RowOutcome) -> &'static str {
    match outcome {
        RowOutcome::Stored => "stored",
        RowOutcome::Unchanged => "unchanged",
        RowOutcome::Failed(_) => "failed",
        RowOutcome::Corrected => "corrected",
        RowOutcome::Retracted => "retracted",
    }
}

/// Whether it was done now or before.
pub(super) fn applied_name(applied: Applied) -> &'static str {
    match applied {
        Applied::Accepted => "accepted",
        Applied::Duplicate => "duplicate",
    }
}

/// Whether an erasure was taken back. Nothing waits also after a command that was sent again.
pub(super) fn kept_name(applied: Applied) -> &'static str {
    match applied {
        Applied::Accepted => "accepted",
        Applied::Duplicate => "nothing_waits",
    }
}

/// What became of a card.
pub(super) fn standing_name(standing: CardStanding) -> &'static str {
    match standing {
        CardStanding::InForce => "in_force",
        CardStanding::Withdrawn => "withdrawn",
        CardStanding::Reduced(_) => "reduced",
        CardStanding::Superseded => "superseded",
        CardStanding::Held => "held",
    }
}
