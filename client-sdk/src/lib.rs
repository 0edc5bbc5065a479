//! What an application embeds: [`Wallet`], the member's phone, and [`Terminal`], the clinic.
//!
//! Both work from local data when there is no network, say how old that data is, and keep everything in one folder: an
//! *own* store for what exists only here, a *cache* for what can be fetched again. Public types are owned and plain, so
//! that Kotlin and Swift can sit on them; the SDK runs its own threads, and keys stand behind traits.

mod card_copies;
mod config;
mod engine;
mod error;
mod events;
#[doc(hidden)]
pub mod fuzzing;
mod handing_in;
mod held;
mod host;
mod keeper;
mod keys;
mod link;
mod outbox;
mod personal_book;
mod personal_state;
mod personal_sync;
mod personal_values;
mod present;
mod qr;
mod record_book;
mod records;
mod seen_cards;
mod staged_pages;
mod stored;
mod terminal;
mod terminal_files;
mod terminal_side;
mod terminal_store;
mod vault;
mod view;
mod wallet;
mod wallet_cache;
mod wallet_epochs;
mod wallet_own;
mod wallet_personal;
mod wallet_readmit;
mod wallet_records;
mod wallet_side;
mod wallet_store;
mod watching;

pub use config::Config;
pub use engine::SyncReport;
pub use error::{Cause, Problem, Refused, SdkError};
pub use events::{Event, EventListener, NoListener};
pub use keys::{DeviceKeys, KeyError, KeyFiles, Missing, PresentationKeys, TransportKeys};
pub use outbox::{OutboxEntry, OutboxState, ReceiptView};
pub use present::{LIVE_CODE_LIFE, PreparedPresentation};
pub use qr::{QUIET_MODULES, QrError, QrLevel, QrMatrix};
pub use records::{
    BenefitTab, BenefitView, BenefitsView, ContributionView, ContributionsView, Freshness, FundView,
    NoticeView, NoticesView, RecordInfo, RevisionContent, RevisionView, VisitView, VisitYear, VisitsView,
};
pub use terminal::{Enrolment, Terminal, TerminalStatus};
pub use view::{BindingView, CardState, CardView, ForkEvidence, MemberStatus, WalletStatus};
pub use wallet::{Activation, Wallet};
