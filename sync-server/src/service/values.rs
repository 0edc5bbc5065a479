//! What the server stores, byte for byte: one frozen struct a schema number. A changed struct is a new one.
//!
//! Whatever tells of a person is in a `…Details` struct, stored only sealed. Every value is within [`BYTES_MAX`].

use std::fmt;

use bhyt_core::card::CardClaims;
use bhyt_core::card_record::CardStanding;
use bhyt_core::codec::{CodecError, Schema};
use bhyt_core::feed::FeedPage;
use bhyt_core::ids::{
    BenefitLevel, BindingNumber, CardNumber, FacilityCode, FullName, LivingArea, MemberId, PersonalNumber,
    Sex, SocialNumber, StatusIndex,
};
use bhyt_core::keys::{KeyId, PublicKey};
use bhyt_core::presentation_key::PresentationKey;
use bhyt_core::record::Seq;
use bhyt_core::schemas;
use bhyt_core::time::{BirthDate, Day, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::values_older;
use crate::store::BYTES_MAX;

/// What is known of a member.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberDetailsV1 {
    /// Mã số BHXH.
    pub social_number: SocialNumber,
    /// Số định danh cá nhân.
    pub personal_number: Option<PersonalNumber>,
    /// Full name.
    pub full_name: FullName,
    /// Birth date.
    pub birth_date: BirthDate,
    /// Sex.
    pub sex: Sex,
    /// Phone; may be empty.
    pub phone: String,
    /// Address; may be empty.
    pub address: String,
    /// Cards by status index, oldest first.
    pub cards: Vec<StatusIndex>,
    /// Devices by transport key id, oldest first, retired ones included.
    pub devices: Vec<KeyId>,
}

/// What an alias stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AliasV1 {
    /// A number of a member.
    Member(MemberId),
    /// A card number: the newest card that bears it.
    Card {
        /// Whose.
        member: MemberId,
        /// The card.
        index: StatusIndex,
    },
}

/// A card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardV1 {
    /// Whose.
    pub member: MemberId,
    /// [`CardDetailsV2`], sealed under the member's key.
    pub sealed: Vec<u8>,
}

/// What is known of a card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardDetailsV2 {
    /// What it says.
    pub facts: CardFactsV1,
    /// What became of it.
    pub standing: CardStanding,
    /// The credential as issued, without binding.
    pub credential: Vec<u8>,
    /// Where its record begins in the member's feed.
    pub first_seq: Seq,
    /// The record's latest revision.
    pub revision: u32,
    /// Devices that hold it; at most [`bhyt_core::limits::BINDINGS_MAX`].
    pub bindings: Vec<BindingV2>,
    /// Numbers in the retired set, and the last day they are there.
    pub retired: Vec<(BindingNumber, Day)>,
    /// The number of the card that followed.
    pub successor: Option<CardNumber>,
}

/// What a card says, apart from any one signing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardFactsV1 {
    /// Card number.
    pub number: CardNumber,
    /// First day.
    pub valid_from: Day,
    /// Last day.
    pub valid_to: Option<Day>,
    /// When the card was issued.
    pub issued_at: UnixSeconds,
    /// Mã số BHXH.
    pub social_number: SocialNumber,
    /// Full name on the card.
    pub full_name: FullName,
    /// Birth date on the card.
    pub birth_date: BirthDate,
    /// Sex on the card.
    pub sex: Sex,
    /// Initial facility.
    pub facility: FacilityCode,
    /// Five continuous years.
    pub five_years: Option<Day>,
    /// Living area.
    pub area: Option<LivingArea>,
    /// Benefit level.
    pub level: BenefitLevel,
    /// Place in the status list.
    pub status_index: StatusIndex,
}

impl CardFactsV1 {
    /// The claims of a signing at `at`, without binding.
    pub fn claims(&self, at: UnixSeconds) -> CardClaims {
        CardClaims {
            number: self.number.clone(),
            valid_from: self.valid_from,
            valid_to: self.valid_to,
            issued_at: at,
            binding: None,
            social_number: self.social_number.clone(),
            full_name: self.full_name.clone(),
            birth_date: self.birth_date,
            sex: self.sex,
            facility: self.facility.clone(),
            five_years: self.five_years,
            area: self.area.clone(),
            level: self.level,
            status_index: self.status_index,
        }
    }

    /// Whether another issue would say the same of the same card.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let stripped = |facts: &Self| Self {
            issued_at: UnixSeconds(0),
            status_index: StatusIndex(0),
            // Corrections of the person's details reach a card when it is replaced.
            full_name: self.full_name.clone(),
            birth_date: self.birth_date,
            sex: self.sex,
            social_number: self.social_number.clone(),
            ..facts.clone()
        };
        stripped(self) == stripped(other)
    }
}

/// One device's hold on a card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingV2 {
    /// Its number on the card.
    pub number: BindingNumber,
    /// The device, by transport key id.
    pub device: KeyId,
    /// The device's presentation key.
    pub key: PresentationKey,
    /// Last day.
    pub end: Day,
    /// The card signed for this device.
    pub credential: Vec<u8>,
    /// The key that signed it.
    pub signed_by: KeyId,
}

/// A phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceV2 {
    /// Proven in every handshake.
    pub transport_key: PublicKey,
    /// Whose records it holds; at most [`bhyt_core::limits::WALLET_MEMBERS_MAX`].
    pub members: Vec<HeldMemberV2>,
    /// When it was first activated.
    pub activated: UnixSeconds,
    /// When it was retired.
    pub retired: Option<UnixSeconds>,
}

/// A member on a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldMemberV2 {
    /// Whose records.
    pub member: MemberId,
    /// Makes the proofs for this member's cards.
    pub presentation_key: PresentationKey,
    /// Since when.
    pub activated: UnixSeconds,
}

/// A clinic's machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TerminalV1 {
    /// Proven in every handshake.
    pub transport_key: PublicKey,
    /// Signs the terminal's documents.
    pub terminal_key: PublicKey,
    /// Where.
    pub facility: FacilityCode,
    /// When it was enrolled.
    pub enrolled: UnixSeconds,
    /// When it was retired.
    pub retired: Option<UnixSeconds>,
}

/// An operation that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationV1 {
    /// Keyed hash of the command.
    pub command_hash: [u8; 32],
    /// What was answered.
    pub answer: OperationAnswerV1,
}

/// An answer that can be given again. A one-time code is not kept: it is derived from the operation once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationAnswerV1 {
    /// Done.
    Applied,
    /// A one-time code that ends then.
    Code {
        /// When.
        expires: UnixSeconds,
    },
}

/// One of a few counters that commits take in turn: what was stored through it, and the places that it hands out next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotV1 {
    /// Members stored.
    pub members: u64,
    /// Cards issued.
    pub cards: u64,
    /// Next card counter to hand out.
    pub next: u64,
    /// End of the counters it may hand out (exclusive).
    pub end: u64,
}

/// How far card counters have been given to slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardCounterV1 {
    /// Counters below this are given out.
    pub next: u64,
}

/// An entry of the status list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusEntryV1 {
    /// The last day it is there; `None` for good.
    pub until: Option<Day>,
}

/// Changes of the status list made in one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChangeV1 {
    /// What came and went.
    pub changes: Vec<EntryChangeV1>,
}

/// An entry that came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryChangeV1 {
    /// Number of the set.
    pub set: u8,
    /// Card index, or index × 16 + binding number.
    pub value: u64,
    /// Which of the two.
    pub change: EntryChange,
}

/// Whether an entry came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryChange {
    /// It came, and leaves after this day.
    Added {
        /// The last day; `None` for good.
        until: Option<Day>,
    },
    /// It went.
    Removed,
}

/// A published status version, named by epoch and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusVersionV1 {
    /// When it was made.
    pub time: UnixSeconds,
    /// The key that signs it.
    pub key: KeyId,
    /// It has every change up to this number.
    pub changes: u64,
    /// Card indexes below this are spoken of.
    pub covered: u64,
}

/// What stands beside a feed's epoch and size in its stored head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedHeadV1 {
    /// The signed head.
    pub signed: Vec<u8>,
    /// The key that signed it.
    pub signed_by: KeyId,
    /// When it was signed.
    pub time: UnixSeconds,
    /// The tree's frontier.
    pub frontier: Vec<u8>,
    /// The number of the last page, which is the place of its first record.
    pub last_page: u32,
}

/// A piece of the index of a member's records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordIndexV1 {
    /// [`RecordIndexDetailsV1`], sealed under the member's key.
    pub sealed: Vec<u8>,
}

/// What a piece of the index says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordIndexDetailsV1 {
    /// In the last piece: records before this place are in the index.
    pub covered: Seq,
    /// In the order in which they came; at most [`bhyt_core::limits::INDEX_PIECE_RECORDS`].
    pub records: Vec<IndexedRecordV1>,
}

/// Where one record stands, and what it says.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedRecordV1 {
    /// What its source calls it.
    pub source: [u8; 16],
    /// Where its first revision stands.
    pub first_seq: Seq,
    /// Its latest revision.
    pub revision: u32,
    /// The first half of SHA-256 of that one's body; zeros for a tombstone.
    pub digest: [u8; 16],
}

/// A page of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageV1(pub FeedPage);

/// What tells of a person prints its type alone.
macro_rules! unprinted {
    ($($name:ident)*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        })*
    };
}
unprinted! { MemberDetailsV1 CardDetailsV2 CardFactsV1 BindingV2 RecordIndexDetailsV1 IndexedRecordV1 }

schemas! {
    MemberDetailsV1 102 BYTES_MAX - ENVELOPE_BYTES;
    AliasV1 103 64;
    CardV1 104 BYTES_MAX;
    TerminalV1 107 1_024;
    OperationV1 110 1_024;
    SlotV1 111 64;
    CardCounterV1 112 64;
    StatusEntryV1 113 64;
    StatusChangeV1 114 BYTES_MAX;
    StatusVersionV1 115 128;
    FeedHeadV1 117 4_000;
    PageV1 118 BYTES_MAX - ENVELOPE_BYTES;
    RecordIndexV1 160 BYTES_MAX;
    RecordIndexDetailsV1 161 BYTES_MAX - ENVELOPE_BYTES;
}

impl Schema for CardDetailsV2 {
    const SCHEMA: u16 = 119;
    const BYTES_MAX: usize = BYTES_MAX - ENVELOPE_BYTES;

    fn decode_older(found: u16, bytes: &[u8]) -> Result<Self, CodecError> {
        values_older::card_details(found, bytes)
    }
}

impl Schema for DeviceV2 {
    const SCHEMA: u16 = 120;
    const BYTES_MAX: usize = BYTES_MAX;

    fn decode_older(found: u16, bytes: &[u8]) -> Result<Self, CodecError> {
        values_older::device(found, bytes)
    }
}

/// What sealing, a wrapped key and the struct around them add at most.
const ENVELOPE_BYTES: usize = 256;

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
