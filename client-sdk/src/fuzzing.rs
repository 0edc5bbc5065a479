//! What the fuzz targets reach inside of: the values that phone and terminal keep. No part of the SDK's API.

use bhyt_core::codec::{self, Schema};
use bhyt_core::feed::{Epoch, Extent, FeedHead};
use bhyt_core::ids::MemberId;
use bhyt_core::merkle::TreeHash;
use bhyt_core::status::StatusVersion;
use bhyt_core::sync::messages::SnapshotPiece;
use bhyt_core::sync::terminal::PartialSnapshot;
use bhyt_core::time::UnixSeconds;

use crate::stored::{
    StoredCredentials, StoredCursor, StoredEnrolment, StoredForgotten, StoredFork, StoredGrant, StoredHead,
    StoredMark, StoredMarks, StoredMember, StoredPage, StoredPossession, StoredProgress, StoredProof,
    StoredSeenCard, StoredSeenKey, StoredServer,
};
use crate::terminal_files::{decode_part, encode_part};

/// Reads bytes as every stored value, and as the part of a snapshot.
///
/// # Panics
/// When something that was read is not written back as it was.
pub fn read_stored(bytes: &[u8]) {
    macro_rules! any_of {
        ($($schema:ident)*) => {
            $(read::<$schema>(bytes, Form::One);)*
        };
    }
    any_of! {
        StoredServer StoredMember StoredMark StoredCursor StoredPage StoredCredentials StoredProgress StoredEnrolment
        StoredProof StoredForgotten StoredSeenCard StoredSeenKey StoredHead StoredFork
        StoredPossession StoredGrant
    }
    // A map's entries may come in any order.
    read::<StoredMarks>(bytes, Form::Several);
    if let Some(PartialSnapshot { version, total, bytes: part }) = decode_part(bytes) {
        let piece = SnapshotPiece { version, offset: 0, total, bytes: part };
        assert_eq!(encode_part(&piece), bytes, "a part has one form");
    }
}

/// Some of these values.
pub fn stored_seeds() -> Vec<Vec<u8>> {
    let extent = Extent { epoch: Epoch(2), size: 3 };
    let head = FeedHead { member: MemberId([1; 16]), extent, root: TreeHash([4; 32]), time: UnixSeconds(5) };
    let version = StatusVersion { epoch: 1, number: 7 };
    let part = SnapshotPiece { version, offset: 0, total: 1_000, bytes: vec![9; 20] };
    let encoded = [
        codec::encode(&StoredCursor { generation: 1, head, signed_head: vec![7; 9] }),
        codec::encode(&StoredCredentials { credentials: vec![vec![8; 9]; 2] }),
        codec::encode(&StoredProgress { last_success: Some(UnixSeconds(1)), ..StoredProgress::default() }),
        codec::encode(&StoredFork { time: UnixSeconds(3), disputed: vec![8], held: Some(vec![9]) }),
        codec::encode(&StoredMarks::default()),
    ];
    encoded.into_iter().flatten().chain([encode_part(&part)]).collect()
}

#[derive(PartialEq, Eq)]
enum Form {
    One,
    Several,
}

fn read<T: Schema + PartialEq + std::fmt::Debug>(bytes: &[u8], form: Form) {
    if let Ok(value) = codec::decode::<T>(bytes) {
        let again = codec::encode(&value).expect("a value that was read fits");
        // An older schema is written as the one of today.
        let today = bytes.starts_with(&T::SCHEMA.to_le_bytes());
        assert!(form == Form::Several || !today || again == bytes, "a stored value has one form");
        assert_eq!(codec::decode::<T>(&again).as_ref(), Ok(&value), "a stored value is read back");
    }
}
