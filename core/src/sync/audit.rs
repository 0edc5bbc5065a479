//! The audit trail, as it is stored and shown: who asked what, about whom, when, and what became of it. Ids in short form,
//! never a name, a number or any other value.
//!
//! Enum variants are only ever appended.

use serde::{Deserialize, Serialize};

use crate::ids::{MemberId, OperationId, StatusIndex};
use crate::keys::KeyId;
use crate::sync::admin::RowFault;
use crate::sync::messages::Refusal;
use crate::time::UnixSeconds;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// When.
    pub time: UnixSeconds,
    /// The operator's key; `None` for what was done on the server's own machine, or came from a phone.
    pub operator: Option<KeyId>,
    /// What was asked for.
    pub action: AuditAction,
    /// About whom or what.
    pub subject: AuditSubject,
    /// What became of it.
    pub outcome: AuditOutcome,
    /// Rows that the line speaks of, for an import.
    pub rows: u32,
    /// The operation.
    pub operation: OperationId,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditAction {
    /// Store or amend members.
    ImportMembers,
    /// Read a member.
    ShowMember,
    /// Read a card.
    ShowCard,
    /// Issue a card.
    IssueCard,
    /// Withdraw a card.
    WithdrawCard,
    /// Reduce a card.
    ReduceCard,
    /// Hold a card.
    HoldCard,
    /// Release a card.
    ReleaseCard,
    /// Replace a card.
    ReplaceCard,
    /// Make a one-time code for a phone.
    MakeDeviceCode,
    /// Read a member's devices.
    ListDevices,
    /// Retire a device.
    RetireDevice,
    /// Make a one-time token for a terminal.
    MakeTerminalToken,
    /// Retire a terminal.
    RetireTerminal,
    /// Take a backup of everything.
    Backup,
    /// Issue the cards of a file; each card issued has a line of its own.
    ImportCards,
    /// Read the terminals.
    ListTerminals,
    /// Read counts and ages.
    ShowStatus,
    /// Enter an operator.
    AddOperator,
    /// Read the operators.
    ListOperators,
    /// Give an operator other roles.
    ChangeOperator,
    /// Retire an operator.
    RetireOperator,
    /// Read the audit trail.
    ShowAudit,
    /// A message that no operator may send: one of a phone or a terminal.
    ForeignMessage,
    /// A phone that a restored server had forgotten is known again. No operator asked for it.
    ReadmitDevice,
    /// Ask for a member's erasure; by nobody, that it was done.
    EraseMember,
    /// Take an erasure back.
    KeepMember,
    /// Read the erasures.
    ListErasures,
    /// Read everything that is kept of a member.
    ExportMember,
    /// Enter a grant.
    AddGrant,
    /// End a grant.
    RevokeGrant,
    /// Read a member's grants.
    ListGrants,
    /// Store, correct or retract official records; each member has a line of its own.
    ImportRecords,
}

impl AuditAction {
    /// The word, in lists and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImportMembers => "import_members",
            Self::ShowMember => "show_member",
            Self::ShowCard => "show_card",
            Self::IssueCard => "issue_card",
            Self::WithdrawCard => "withdraw_card",
            Self::ReduceCard => "reduce_card",
            Self::HoldCard => "hold_card",
            Self::ReleaseCard => "release_card",
            Self::ReplaceCard => "replace_card",
            Self::MakeDeviceCode => "make_device_code",
            Self::ListDevices => "list_devices",
            Self::RetireDevice => "retire_device",
            Self::MakeTerminalToken => "make_terminal_token",
            Self::RetireTerminal => "retire_terminal",
            Self::Backup => "backup",
            Self::ImportCards => "import_cards",
            Self::ListTerminals => "list_terminals",
            Self::ShowStatus => "show_status",
            Self::AddOperator => "add_operator",
            Self::ListOperators => "list_operators",
            Self::ChangeOperator => "change_operator",
            Self::RetireOperator => "retire_operator",
            Self::ShowAudit => "show_audit",
            Self::ForeignMessage => "foreign_message",
            Self::ReadmitDevice => "readmit_device",
            Self::EraseMember => "erase_member",
            Self::KeepMember => "keep_member",
            Self::ListErasures => "list_erasures",
            Self::ExportMember => "export_member",
            Self::AddGrant => "add_grant",
            Self::RevokeGrant => "revoke_grant",
            Self::ListGrants => "list_grants",
            Self::ImportRecords => "import_records",
        }
    }
}

/// About whom or what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditSubject {
    /// Nobody in particular, or nobody who was found.
    Nothing,
    /// A member.
    Member(ShortMember),
    /// A member's card, by its place in the status list.
    Card {
        /// Whose.
        member: ShortMember,
        /// Which.
        index: StatusIndex,
    },
    /// A phone.
    Device {
        /// Its transport key.
        device: KeyId,
        /// The first member that it held, where that is known.
        member: Option<ShortMember>,
    },
    /// A clinic's machine, by its transport key.
    Terminal(KeyId),
    /// An operator, by its key.
    Operator(KeyId),
}

impl AuditSubject {
    /// The member that it is about.
    pub fn member(&self) -> Option<ShortMember> {
        match self {
            Self::Member(member) | Self::Card { member, .. } => Some(*member),
            Self::Device { member, .. } => *member,
            Self::Nothing | Self::Terminal(_) | Self::Operator(_) => None,
        }
    }
}

/// The first four bytes of a member's id: enough to find the member by, for whoever may read members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortMember(pub [u8; 4]);

impl ShortMember {
    /// Reads eight hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        crate::ids::from_hex(text)?.try_into().ok().map(Self)
    }
}

impl From<MemberId> for ShortMember {
    fn from(member: MemberId) -> Self {
        let [a, b, c, d, ..] = member.0;
        Self([a, b, c, d])
    }
}

impl std::fmt::Display for ShortMember {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::ids::hex(&self.0))
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditOutcome {
    /// Done, or answered.
    Done,
    /// It was so already, or was done before by the same operation.
    Unchanged,
    /// Not done.
    Refused(Refusal),
    /// Not done: a field was not taken.
    Field(RowFault),
    /// Rows of an import that changed nothing; those that did have lines of their own.
    Rows {
        /// It was so already.
        unchanged: u32,
        /// Not taken.
        failed: u32,
    },
}

/// Which lines to show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditQuery {
    /// From this moment on.
    pub from: Option<UnixSeconds>,
    /// Up to this moment, which is not among them.
    pub until: Option<UnixSeconds>,
    /// Of this operator.
    pub operator: Option<KeyId>,
    /// About this member, by any alias; at most 1,024 bytes. Empty is any.
    pub member: String,
    /// About this card, by its number; at most 1,024 bytes. Empty is any.
    pub card: String,
    /// Only what was not done.
    pub refused: bool,
    /// Only lines after this one: for who lost the line and goes on.
    pub after: Option<AuditPlace>,
}

/// The place of a line in the trail: its time, and what makes it one of its kind.
pub type AuditPlace = [u8; 16];

/// Lines of an answer, oldest first. It may be empty: a sign of life while the server looks on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The place of the last line looked at, shown or not.
    pub last: AuditPlace,
    /// Those that were asked for.
    pub lines: Vec<AuditLine>,
}
