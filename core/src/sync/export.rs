//! What is kept of a member, piece by piece: what an operator's program makes an archive of.
//!
//! Enum variants are only ever appended.

use serde::{Deserialize, Serialize};

use crate::feed::FeedPage;
use crate::sync::admin::{CardView, DeviceView, MemberView};

/// A piece of an export. They come in the order of the variants; pages join on to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExportPiece {
    /// The member, first.
    Member(MemberView),
    /// A card and its credential as it was issued, without any phone's key.
    Card {
        /// As operators see it.
        view: Box<CardView>,
        /// Signed.
        credential: Vec<u8>,
    },
    /// Phones that hold or held the member.
    Devices(Vec<DeviceView>),
    /// The signed head over all pages that follow; absent where there is no record.
    Head(Vec<u8>),
    /// Records with their salts.
    Page(FeedPage),
}
