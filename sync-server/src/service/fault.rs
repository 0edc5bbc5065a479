//! How the service fails: by refusing with a code for the peer, or by a fault of its own that only the log explains.

use bhyt_core::codec::CodecError;
use bhyt_core::feed::PageFault;
use bhyt_core::key_tree::KeyTreeFault;
use bhyt_core::keys::KeyId;
use bhyt_core::merkle::FrontierFault;
use bhyt_core::personal::document::ApplyError;
use bhyt_core::seal::OpenError;
use bhyt_core::status::list::StatusError;
use bhyt_core::sync::messages::Refusal;
use bhyt_core::trust::KeyUse;
use bhyt_platform::files::FileError;

use crate::store::StoreFault;

/// Why a request was not answered with what it asked for. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The peer asked for what it may not have or what cannot be; it is told this code.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// Our own fault; the peer is told [`Refusal::Internal`].
    #[error("the service failed")]
    Fault(#[from] ServiceFault),
    /// Whoever asked has gone.
    #[error("the peer has gone")]
    PeerGone,
}

impl Stop {
    /// What the peer is told; `None` when there is nobody to tell.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            Self::Fault(_) => Some(Refusal::Internal),
            Self::PeerGone => None,
        }
    }
}

impl From<StoreFault> for Stop {
    fn from(fault: StoreFault) -> Self {
        Self::Fault(fault.into())
    }
}

/// A fault of the server's own: store, keys or a broken invariant.
#[derive(Debug, thiserror::Error)]
pub enum ServiceFault {
    /// The store failed.
    #[error("store failed")]
    Store(#[from] StoreFault),
    /// A stored value does not decode, or one to be stored is over its bound.
    #[error("a stored {what} does not decode")]
    Value {
        /// Which value.
        what: &'static str,
        /// Why.
        source: CodecError,
    },
    /// A sealed value does not open: another store key, or damage.
    #[error("a sealed {what} does not open")]
    Sealed {
        /// Which value.
        what: &'static str,
        /// Why.
        source: OpenError,
    },
    /// The store was made under another store key.
    #[error("store.key is not the key of this store")]
    WrongStoreKey,
    /// The members' keys are not those of this store, or older than it.
    #[error("members.tree is not the one of this store, or an older copy of it")]
    WrongMemberKeys,
    /// A member's wrapping key could not be taken away.
    #[error("a member's key was not erased")]
    Erase(#[from] EraseFault),
    /// A stored value contradicts another.
    #[error("a stored {what} is missing or contradicts another")]
    Inconsistent {
        /// Which value.
        what: &'static str,
    },
    /// A feed could not take another record.
    #[error("feed page did not take a record")]
    Page(#[from] PageFault),
    /// A feed's tree could not take another leaf.
    #[error("feed tree did not take a leaf")]
    Frontier(#[from] FrontierFault),
    /// The trust bundle names no key of ours for this use now.
    #[error("no key may sign as {usage:?} now")]
    NoKey {
        /// The use that was wanted.
        usage: KeyUse,
    },
    /// The key ring did not sign.
    #[error("key {key} did not sign")]
    Sign {
        /// Which key.
        key: KeyId,
        /// What the key's holder said.
        #[source]
        source: SignFault,
    },
    /// The status list could not be made.
    #[error("status list could not be made")]
    StatusList {
        /// Why.
        source: StatusError,
    },
    /// A status list is adopted by a server that was restored, once.
    #[error("this server does not await a status list")]
    NotRestored,
    /// The status list has sets that this program does not know.
    #[error("the status list needs a newer program")]
    NewerList,
    /// A stored personal document does not open.
    #[error("a stored personal document does not open")]
    Personal {
        /// Why.
        source: ApplyError,
    },
    /// Other writers were faster each time.
    #[error("lost {attempts} races for one commit")]
    LostRaces {
        /// Tries made.
        attempts: u32,
    },
}

/// The holder of members' keys could not take one away.
#[derive(Debug, thiserror::Error)]
pub enum EraseFault {
    /// There is no room for what an erased member leaves behind.
    #[error(transparent)]
    Tree(#[from] KeyTreeFault),
    /// The disk failed.
    #[error("members' keys not written")]
    File(#[from] FileError),
}

/// A key's holder (file, HSM) could not sign.
#[derive(Debug, thiserror::Error)]
pub enum SignFault {
    /// The holder has no such key.
    #[error("no such key")]
    NoSuchKey,
    /// The device that holds the key failed.
    #[error("key device failed")]
    Device(#[source] Box<dyn std::error::Error + Send + Sync>),
}
