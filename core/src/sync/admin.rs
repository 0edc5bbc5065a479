//! Frames of operators. Rows carry text as it stood in the file; the server parses it, so that one place judges and
//! every bad field is named. Answers carry codes and counts; names and numbers only where an operator asked for them.

use serde::{Deserialize, Serialize};

use crate::card_record::CardStanding;
use crate::grant::{Grant, GrantRelation, GrantScope};
use crate::ids::OperationId;
use crate::keys::KeyId;
use crate::sync::audit::{AuditPage, AuditQuery};
use crate::sync::erasure::{ErasureReason, ErasureView};
use crate::sync::export::ExportPiece;
use crate::sync::operators::{OperatorChange, OperatorView};
use crate::sync::records::RecordRow;
use crate::time::{Day, UnixSeconds};

/// A command with the id it was born with: sent twice, it is done once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminRequest {
    /// Random, drawn by the operator's program.
    pub operation: OperationId,
    /// What to do.
    pub command: AdminCommand,
}

/// What an operator can ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminCommand {
    /// Add or amend members; at most [`crate::limits::IMPORT_ROWS_MAX`] rows. Naturally idempotent.
    ImportMembers(Vec<MemberRow>),
    /// Issue cards; at most [`crate::limits::IMPORT_ROWS_MAX`] rows. A row that is there already is `Unchanged`.
    ImportCards(Vec<CardRow>),
    /// One member by any alias.
    ShowMember(String),
    /// One card by number.
    ShowCard(String),
    /// Issue one card.
    IssueCard(CardRow),
    /// Change the standing of a card.
    ChangeCard {
        /// Card number.
        number: String,
        /// What to.
        change: CardChange,
    },
    /// Issue a successor of the card: empty fields keep the old card's value.
    ReplaceCard {
        /// The card that is replaced.
        number: String,
        /// The fields that change; `row.member` stays empty, `row.number` may be a new number or empty to keep it.
        row: CardRow,
    },
    /// A one-time code with which a phone activates.
    MakeDeviceCode(String),
    /// Devices of a member, by any alias.
    ListDevices(String),
    /// Retire a device by its id (16 hexadecimal digits of its transport key id).
    RetireDevice(String),
    /// A one-time token with which a terminal enrols at a facility.
    MakeTerminalToken(String),
    /// All terminals, or one facility's.
    ListTerminals(Option<String>),
    /// Retire a terminal by its id.
    RetireTerminal(String),
    /// Counts and ages.
    ShowStatus,
    /// A backup of everything that is stored.
    Backup,
    /// Change who commands the server. What is so already is left alone.
    ChangeOperators(OperatorChange),
    /// All operators, retired ones too.
    ListOperators,
    /// Lines of the audit trail.
    ShowAudit(AuditQuery),
    /// Erase a member, once the time for taking it back is over.
    EraseMember {
        /// By any alias.
        member: String,
        /// Why.
        reason: ErasureReason,
    },
    /// Take an erasure back that has not begun.
    KeepMember(String),
    /// Erasures that are due and those that were done.
    ListErasures,
    /// What is kept of a member, by any alias.
    ExportMember(String),
    /// Let a carer's phones hold a dependant's card.
    AddGrant(Box<NewGrant>),
    /// End a grant now: the carer's phones wipe what they hold of the dependant at their next contact.
    RevokeGrant {
        /// Any alias of the dependant.
        dependant: String,
        /// Any alias of the carer.
        carer: String,
    },
    /// Grants that a member has given or holds, by any alias.
    ListGrants(String),
    /// Store, correct or retract official records; at most [`crate::limits::IMPORT_ROWS_MAX`] rows. Naturally idempotent.
    ImportRecords(Vec<RecordRow>),
}

/// A grant to enter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGrant {
    /// Any alias of the member whose card it is.
    pub dependant: String,
    /// Any alias of the member on whose phones it is to be.
    pub carer: String,
    /// How much.
    pub scope: GrantScope,
    /// What the carer is to the dependant.
    pub relation: GrantRelation,
    /// The first day; `None` is today.
    pub from: Option<Day>,
    /// The last day; at most [`crate::limits::GRANT_DAYS_MAX`] days after the first.
    pub until: Day,
}

/// A row of `member import`. Empty text is an absent field. Each field at most 1,024 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// Mã số BHXH: an alias.
    pub member_id: String,
    /// Full name.
    pub full_name: String,
    /// Birth date, whole or partial.
    pub birth_date: String,
    /// `M`/`F`/`U`, `1`/`2`/`0`, `Nam`/`Nữ`.
    pub sex: String,
    /// Số định danh cá nhân.
    pub personal_id: String,
    /// Phone.
    pub phone: String,
    /// Address.
    pub address: String,
}

/// A card to issue. Empty text is an absent field. Each field at most 1,024 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardRow {
    /// Any alias of the member.
    pub member: String,
    /// Card number.
    pub number: String,
    /// 1 to 5.
    pub level: String,
    /// Initial facility.
    pub facility: String,
    /// First day.
    pub from: String,
    /// Last day; empty is open-ended.
    pub to: String,
    /// Five continuous years.
    pub five_years: String,
    /// K1, K2 or K3.
    pub area: String,
}

/// A change of a card's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CardChange {
    /// Thu hồi.
    Withdraw,
    /// Báo giảm with a portal code.
    Reduce(crate::card_record::ReducedCode),
    /// Tạm giữ.
    Hold,
    /// The held card stands again.
    Release,
}

/// What an operator is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminReply {
    /// Done now (`Accepted`), or done before by the same operation (`Duplicate`).
    Applied(Applied),
    /// One outcome a row, in order.
    Rows(Vec<RowOutcome>),
    /// A member.
    Member(MemberView),
    /// A card.
    Card(CardView),
    /// A one-time code or token.
    OneTimeCode {
        /// What to type; shown once.
        code: String,
        /// When it ends.
        expires: UnixSeconds,
    },
    /// Devices.
    Devices(Vec<DeviceView>),
    /// Terminals, as servers listed them before they named the signing key.
    Terminals(Vec<TerminalView>),
    /// Counts and ages.
    Status(StatusView),
    /// The next bytes of a backup file; at most a frame of it, [`crate::limits::BACKUP_FRAME_BYTES_MAX`].
    Backup(Vec<u8>),
    /// Operators.
    Operators(Vec<OperatorView>),
    /// Lines of the audit trail; more may follow.
    Audit(AuditPage),
    /// Terminals, with the keys that sign their documents.
    SigningTerminals(Vec<SigningTerminal>),
    /// Erasures; more may follow.
    Erasures(Vec<ErasureView>),
    /// A piece of an export; more follow.
    Export(Box<ExportPiece>),
    /// Grants of a member, given or held.
    Grants(Vec<Grant>),
}

/// Whether an operation was done now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applied {
    /// Now.
    Accepted,
    /// Before, by the same operation id and content, or it is so already.
    Duplicate,
}

/// What became of an imported row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowOutcome {
    /// Stored.
    Stored,
    /// It was so already.
    Unchanged,
    /// Not stored.
    Failed(RowFault),
    /// Another revision of a record that was there.
    Corrected,
    /// The record no longer stands.
    Retracted,
}

/// What is wrong with a row: a field and a reason, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFault {
    /// Which field.
    pub field: RowField,
    /// Why.
    pub reason: RowReason,
}

/// A column of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowField {
    /// `member_id` or `member`.
    Member,
    /// `full_name`.
    FullName,
    /// `birth_date`.
    BirthDate,
    /// `sex`.
    Sex,
    /// `personal_id`.
    PersonalId,
    /// `phone`.
    Phone,
    /// `address`.
    Address,
    /// `number`.
    Number,
    /// `level`.
    Level,
    /// `facility`.
    Facility,
    /// `from`.
    From,
    /// `to`.
    To,
    /// `five_years`.
    FiveYears,
    /// `area`.
    Area,
    /// The record itself.
    Record,
}

/// Why a field was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowReason {
    /// Empty and required.
    Missing,
    /// Not of its form.
    Malformed,
    /// Longer than allowed.
    TooLong,
    /// No such member or card.
    NotFound,
    /// Belongs to somebody else, or contradicts what is stored.
    Conflict,
    /// The server failed on this row; send it again.
    Internal,
}

/// A member as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// The opaque id, 32 hexadecimal digits.
    pub id: String,
    /// The row as stored.
    pub row: MemberRow,
    /// Card numbers, newest first.
    pub cards: Vec<String>,
    /// Active devices.
    pub devices: u32,
    /// Records in the feed.
    pub records: u64,
}

/// A card as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardView {
    /// The row as issued (`member` is the opaque id).
    pub row: CardRow,
    /// What became of it.
    pub standing: CardStanding,
    /// Place in the status list.
    pub status_index: u32,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// Bindings in use: number, device id, last day as ISO date.
    pub bindings: Vec<(u8, String, String)>,
    /// Earlier cards of this number and the number that followed, if any.
    pub successor: Option<String>,
}

/// A device as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// 16 hexadecimal digits of its transport key id.
    pub id: String,
    /// When it was activated.
    pub activated: UnixSeconds,
    /// Whether it was retired, and when.
    pub retired: Option<UnixSeconds>,
}

/// A terminal as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalView {
    /// 16 hexadecimal digits of its transport key id.
    pub id: String,
    /// Where.
    pub facility: String,
    /// When it was enrolled.
    pub enrolled: UnixSeconds,
    /// Whether it was retired, and when.
    pub retired: Option<UnixSeconds>,
}

/// A terminal, with the key that signs its documents and that its challenges name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningTerminal {
    /// The terminal.
    pub terminal: TerminalView,
    /// The id of the key.
    pub terminal_key: KeyId,
}

/// Counts and ages of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// Members stored.
    pub members: u64,
    /// Cards issued.
    pub cards: u64,
    /// Connections open now.
    pub connections: u64,
    /// Trust bundle in force.
    pub trust_version: u64,
    /// When it expires.
    pub trust_expires: UnixSeconds,
    /// Status list: epoch and number.
    pub status_version: (u32, u64),
    /// When it was made.
    pub status_time: UnixSeconds,
    /// Entries in all sets.
    pub status_entries: u64,
    /// Seconds since the server started.
    pub uptime_seconds: u64,
}
