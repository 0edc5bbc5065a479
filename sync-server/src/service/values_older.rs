//! Stored values as they were, for reading what an older server wrote: each becomes the struct that took its place, and
//! is written as that. Nothing here is ever written again.

use bhyt_core::card_record::CardStanding;
use bhyt_core::codec::{self, CodecError, Schema};
use bhyt_core::ids::{BindingNumber, CardNumber, MemberId};
use bhyt_core::keys::{KeyId, PublicKey};
use bhyt_core::record::Seq;
use bhyt_core::time::{Day, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::values::{BindingV2, CardDetailsV2, CardFactsV1, DeviceV2, HeldMemberV2};

/// A card's details while every presentation key was Ed25519.
#[derive(Serialize, Deserialize)]
struct CardDetailsV1 {
    facts: CardFactsV1,
    standing: CardStanding,
    credential: Vec<u8>,
    first_seq: Seq,
    revision: u32,
    bindings: Vec<BindingV1>,
    retired: Vec<(BindingNumber, Day)>,
    successor: Option<CardNumber>,
}

#[derive(Serialize, Deserialize)]
struct BindingV1 {
    number: BindingNumber,
    device: KeyId,
    key: PublicKey,
    end: Day,
    credential: Vec<u8>,
    signed_by: KeyId,
}

/// A phone while every presentation key was Ed25519.
#[derive(Serialize, Deserialize)]
struct DeviceV1 {
    transport_key: PublicKey,
    members: Vec<HeldMemberV1>,
    activated: UnixSeconds,
    retired: Option<UnixSeconds>,
}

#[derive(Serialize, Deserialize)]
struct HeldMemberV1 {
    member: MemberId,
    presentation_key: PublicKey,
    activated: UnixSeconds,
}

impl Schema for CardDetailsV1 {
    const SCHEMA: u16 = 105;
    const BYTES_MAX: usize = CardDetailsV2::BYTES_MAX;
}

impl Schema for DeviceV1 {
    const SCHEMA: u16 = 106;
    const BYTES_MAX: usize = DeviceV2::BYTES_MAX;
}

/// Reads the one schema that `New` replaced; of any other, `New` says that it is not known.
fn decode<Old: Schema, New: Schema>(found: u16, bytes: &[u8]) -> Result<Old, CodecError> {
    match found == Old::SCHEMA {
        true => codec::decode(bytes),
        false => Err(CodecError::UnknownSchema { found, known: New::SCHEMA }),
    }
}

/// Card details from bytes of the schema before.
pub(super) fn card_details(found: u16, bytes: &[u8]) -> Result<CardDetailsV2, CodecError> {
    let older: CardDetailsV1 = decode::<_, CardDetailsV2>(found, bytes)?;
    let bindings = older.bindings.into_iter().map(|binding| BindingV2 {
        number: binding.number,
        device: binding.device,
        key: binding.key.into(),
        end: binding.end,
        credential: binding.credential,
        signed_by: binding.signed_by,
    });
    Ok(CardDetailsV2 {
        facts: older.facts,
        standing: older.standing,
        credential: older.credential,
        first_seq: older.first_seq,
        revision: older.revision,
        bindings: bindings.collect(),
        retired: older.retired,
        successor: older.successor,
    })
}

/// A phone from bytes of the schema before.
pub(super) fn device(found: u16, bytes: &[u8]) -> Result<DeviceV2, CodecError> {
    let older: DeviceV1 = decode::<_, DeviceV2>(found, bytes)?;
    let members = older.members.into_iter().map(|held| HeldMemberV2 {
        member: held.member,
        presentation_key: held.presentation_key.into(),
        activated: held.activated,
    });
    Ok(DeviceV2 {
        transport_key: older.transport_key,
        members: members.collect(),
        activated: older.activated,
        retired: older.retired,
    })
}
