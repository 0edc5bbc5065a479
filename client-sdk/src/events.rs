//! What happens while a wallet or terminal is connected, told to the application as it happens.

use std::time::Duration;

use bhyt_core::ids::MemberId;
use bhyt_core::status::StatusVersion;

use crate::error::Problem;

/// Called by the SDK from a thread of its own: return soon, and call no method that waits.
pub trait EventListener: Send + Sync + std::fmt::Debug + 'static {
    /// Something happened. Everything it speaks of is durable and can be read when this is called.
    fn on_event(&self, event: Event);
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Connected, and up to date.
    UpToDate,
    /// Records of a member have arrived; its cards may have changed.
    RecordsChanged {
        /// Whose.
        member: MemberId,
    },
    /// This device's hold on the cards of a member was given or renewed.
    CredentialsChanged {
        /// Whose.
        member: MemberId,
    },
    /// A member's personal document shows something else than before.
    PersonalChanged {
        /// Whose.
        member: MemberId,
    },
    /// The server has taken or refused edits that waited; see [`crate::Wallet::outbox`].
    OutboxChanged {
        /// Whose.
        member: MemberId,
    },
    /// This device no longer holds this member; its data is gone.
    MemberRemoved {
        /// Who.
        member: MemberId,
    },
    /// A carer on this phone was given a grant, or another one: the dependant's card comes with it.
    MemberGranted {
        /// The dependant.
        member: MemberId,
    },
    /// A new trust bundle is in force.
    TrustChanged {
        /// Its version.
        version: u64,
    },
    /// A new status list is in force (terminals).
    StatusChanged {
        /// Its version.
        version: StatusVersion,
    },
    /// Received so far in this sync.
    Progress {
        /// Records, or bytes of a status snapshot.
        received: u64,
        /// All that will come, when that is known.
        total: Option<u64>,
    },
    /// Not connected. The SDK tries again by itself when `retry_in` is there; else the application has to act.
    Disconnected {
        /// What is wrong.
        problem: Problem,
        /// The pause before the next try.
        retry_in: Option<Duration>,
    },
}

impl Event {
    /// The name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::RecordsChanged { .. } => "records_changed",
            Self::CredentialsChanged { .. } => "credentials_changed",
            Self::PersonalChanged { .. } => "personal_changed",
            Self::OutboxChanged { .. } => "outbox_changed",
            Self::MemberRemoved { .. } => "member_removed",
            Self::MemberGranted { .. } => "member_granted",
            Self::TrustChanged { .. } => "trust_changed",
            Self::StatusChanged { .. } => "status_changed",
            Self::Progress { .. } => "progress",
            Self::Disconnected { .. } => "disconnected",
        }
    }
}

/// For whoever wants no events.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoListener;

impl EventListener for NoListener {
    fn on_event(&self, _event: Event) {}
}
