//! Frames about the erasure of a member, between operator and server.
//!
//! Enum variants are only ever appended.

use serde::{Deserialize, Serialize};

use crate::keys::KeyId;
use crate::sync::audit::ShortMember;
use crate::time::UnixSeconds;

/// Why a member is erased. A word and no text, so that nothing about the person stays behind in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErasureReason {
    /// The member asked for it (yêu cầu của người tham gia).
    Request,
    /// Registered by mistake, or twice (đăng ký nhầm, trùng).
    Mistake,
    /// An authority or a court ordered it (theo quyết định).
    Order,
}

impl ErasureReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Request, Self::Mistake, Self::Order];

    /// The word, on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Mistake => "mistake",
            Self::Order => "order",
        }
    }
}

/// An erasure as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureView {
    /// Who; the id in short form finds nobody once it is done.
    pub member: ShortMember,
    /// Why.
    pub reason: ErasureReason,
    /// Who asked for it.
    pub asked_by: KeyId,
    /// When.
    pub asked: UnixSeconds,
    /// When it is carried out.
    pub due: UnixSeconds,
    /// When it was done; `None` as long as it is not.
    pub done: Option<UnixSeconds>,
}
