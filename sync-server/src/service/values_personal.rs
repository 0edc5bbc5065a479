//! What the server stores of personal documents, byte for byte: one frozen struct a schema number.
//!
//! A document's bytes are sealed as one and cut into parts, because a stored value is short. Beside them stands a stamp that
//! is drawn with each write, so that whoever has seen a version knows it again without opening it.

use bhyt_core::keys::KeyId;
use bhyt_core::limits::PERSONAL_STORED_BYTES_MAX;
use bhyt_core::operation::OperationHash;
use bhyt_core::receipt::ReceiptSeal;
use bhyt_core::schemas;
use bhyt_core::seal::SEAL_BYTES;
use bhyt_core::time::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::store::BYTES_MAX;

/// A personal document: its version, and the first part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalV1 {
    /// Drawn with each write.
    pub stamp: Stamp,
    /// Parts that follow this one.
    pub parts: u8,
    /// The first [`PART_BYTES`] of the sealed document.
    pub first: Vec<u8>,
}

/// Names a version of a document.
pub type Stamp = [u8; 16];

/// A further part of a personal document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalPartV1 {
    /// The next bytes.
    pub bytes: Vec<u8>,
}

/// An operation on a personal document that was merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalOperationV1 {
    /// [`PersonalOperationDetailsV1`], sealed under the member's key.
    pub sealed: Vec<u8>,
}

/// What is known of the operation: enough to tell it from another, and to give the receipt again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalOperationDetailsV1 {
    /// Of its bytes.
    pub change: OperationHash,
    /// Of its receipt.
    pub seal: ReceiptSeal,
    /// Whose transport key handed it in.
    pub by: KeyId,
}

/// A petition that waits for an officer. Its key names member and petition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingPetitionV1 {
    /// When the server took it in.
    pub since: UnixSeconds,
}

schemas! {
    PersonalV1 150 BYTES_MAX;
    PersonalPartV1 151 BYTES_MAX;
    PersonalOperationV1 152 512;
    PersonalOperationDetailsV1 153 256;
    WaitingPetitionV1 154 16;
}

/// Bytes of a sealed document in one stored value.
pub const PART_BYTES: usize = BYTES_MAX - 128;
/// Parts behind the first at most.
pub const PARTS_MAX: u8 = 10;

const _: () = assert!(PERSONAL_STORED_BYTES_MAX + SEAL_BYTES <= PART_BYTES * (1 + PARTS_MAX as usize));
