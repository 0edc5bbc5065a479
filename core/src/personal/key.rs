//! The fields of a personal document: their keys, their values in CBOR, who may write which, and how often.
//!
//! Promises: a key and a value have one spelling each; reading refuses every other. What a newer version adds is left
//! alone where it is stored, is not shown, and is refused from a writer.

use minicbor::Decoder;

use super::ids::{EntryId, Writer};
use super::values::{
    Address, Answer, ContactPerson, DeskLabel, Email, Line, Petition, PetitionKind, PetitionState, Phone,
    ProvinceCode, Text, WardCode,
};
use crate::cbor::{self, DecodeError, EncodeResult};
use crate::ids::{FullName, MemberId};
use crate::operation::Generation;
use crate::record::Seq;
use crate::time::UnixSeconds;

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// Whose document, and which: written once, by nobody's device.
    Identity,
    Phone,
    Email,
    Address,
    ContactPerson,
    Note(Seq),
    ReminderText(EntryId),
    ReminderDue(EntryId),
    ReminderDone(EntryId),
    Draft(EntryId),
    HandedIn(EntryId),
    /// The petition, and the answer.
    Answer(EntryId, EntryId),
}

/// What stands in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Identity(MemberId, Generation),
    Phone(Phone),
    Email(Email),
    Address(Address),
    ContactPerson(ContactPerson),
    Text(Text),
    Line(Line),
    Time(UnixSeconds),
    Flag(bool),
    Petition(Petition),
    HandedIn(UnixSeconds, Petition),
    Answer(Answer),
}

/// How often a field may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// As often as wanted, and taken away.
    Many,
    /// Once, and never taken away.
    Once,
}

impl Key {
    /// The text in the document.
    pub(crate) fn to_text(self) -> String {
        match self {
            Self::Identity => "id".to_owned(),
            Self::Phone => "contact/phone".to_owned(),
            Self::Email => "contact/email".to_owned(),
            Self::Address => "contact/address".to_owned(),
            Self::ContactPerson => "contact/person".to_owned(),
            Self::Note(record) => format!("note/{}", record.0),
            Self::ReminderText(id) => format!("reminder/{}/text", id.to_hex()),
            Self::ReminderDue(id) => format!("reminder/{}/due", id.to_hex()),
            Self::ReminderDone(id) => format!("reminder/{}/done", id.to_hex()),
            Self::Draft(id) => format!("petition/{}/draft", id.to_hex()),
            Self::HandedIn(id) => format!("petition/{}/handed-in", id.to_hex()),
            Self::Answer(petition, id) => format!("petition/{}/answer/{}", petition.to_hex(), id.to_hex()),
        }
    }

    /// Reads exactly what [`Self::to_text`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let mut part = || parts.next().unwrap_or_default();
        let key = match part() {
            "id" => Self::Identity,
            "contact" => match part() {
                "phone" => Self::Phone,
                "email" => Self::Email,
                "address" => Self::Address,
                "person" => Self::ContactPerson,
                _ => return None,
            },
            "note" => Self::Note(Seq(part().parse().ok()?)),
            "reminder" => {
                let id = EntryId::from_hex(part())?;
                match part() {
                    "text" => Self::ReminderText(id),
                    "due" => Self::ReminderDue(id),
                    "done" => Self::ReminderDone(id),
                    _ => return None,
                }
            }
            "petition" => {
                let id = EntryId::from_hex(part())?;
                match part() {
                    "draft" => Self::Draft(id),
                    "handed-in" => Self::HandedIn(id),
                    "answer" => Self::Answer(id, EntryId::from_hex(part())?),
                    _ => return None,
                }
            }
            _ => return None,
        };
        (key.to_text() == text).then_some(key)
    }

    /// Whether `writer` may write it. Contact details are the member's and, on the member's word, the desk's; what is
    /// private is the member's alone; what an agency says is the agency's alone.
    pub(crate) fn is_writable_by(self, writer: Writer) -> bool {
        match self {
            Self::Identity => false,
            Self::Phone | Self::Email | Self::Address | Self::ContactPerson => true,
            Self::Answer(..) => writer == Writer::Desk,
            Self::Note(_)
            | Self::ReminderText(_)
            | Self::ReminderDue(_)
            | Self::ReminderDone(_)
            | Self::Draft(_)
            | Self::HandedIn(_) => writer == Writer::Device,
        }
    }

    /// What was handed in or answered stands as it was.
    pub(crate) fn times(self) -> Times {
        match self {
            Self::Identity | Self::HandedIn(_) | Self::Answer(..) => Times::Once,
            _ => Times::Many,
        }
    }

    /// Reads the value that belongs to this key.
    pub(crate) fn decode_value(self, bytes: &[u8]) -> Result<Value, DecodeError> {
        let mut d = cbor::decoder(bytes)?;
        Ok(match self {
            Self::Identity => {
                cbor::read_array(&mut d, 2, "identity")?;
                Value::Identity(MemberId(cbor::read_bytes(&mut d, "member")?), Generation(d.u32()?))
            }
            Self::Phone => Value::Phone(read(&mut d, Phone::parse, "phone")?),
            Self::Email => Value::Email(read(&mut d, Email::parse, "email")?),
            Self::Address => Value::Address(decode_address(&mut d)?),
            Self::ContactPerson => {
                cbor::read_array(&mut d, 2, "contact person")?;
                let name = read(&mut d, FullName::parse, "name")?;
                Value::ContactPerson(ContactPerson { name, phone: read(&mut d, Phone::parse, "phone")? })
            }
            Self::Note(_) => Value::Text(read(&mut d, Text::parse, "note")?),
            Self::ReminderText(_) => Value::Line(read(&mut d, Line::parse, "reminder")?),
            Self::ReminderDue(_) => Value::Time(UnixSeconds(d.u64()?)),
            Self::ReminderDone(_) => Value::Flag(d.bool()?),
            Self::Draft(_) => {
                cbor::read_array(&mut d, 4, "draft")?;
                Value::Petition(decode_petition(&mut d)?)
            }
            Self::HandedIn(_) => {
                cbor::read_array(&mut d, 5, "handed in")?;
                let at = UnixSeconds(d.u64()?);
                Value::HandedIn(at, decode_petition(&mut d)?)
            }
            Self::Answer(..) => Value::Answer(decode_answer(&mut d)?),
        })
    }
}

impl Value {
    /// Deterministic CBOR.
    pub(crate) fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            match self {
                Self::Identity(member, generation) => e.array(2)?.bytes(&member.0)?.u32(generation.0)?,
                Self::Phone(phone) => e.str(phone.as_str())?,
                Self::Email(email) => e.str(email.as_str())?,
                Self::Address(address) => {
                    e.array(3)?.str(address.province.as_str())?.str(address.ward.as_str())?;
                    return optional(e, address.street.as_ref().map(Line::as_str));
                }
                Self::ContactPerson(person) => {
                    e.array(2)?.str(person.name.as_str())?.str(person.phone.as_str())?
                }
                Self::Text(text) => e.str(text.as_str())?,
                Self::Line(line) => e.str(line.as_str())?,
                Self::Time(time) => e.u64(time.0)?,
                Self::Flag(flag) => e.bool(*flag)?,
                Self::Petition(petition) => return encode_petition(e.array(4)?, petition),
                Self::HandedIn(at, petition) => return encode_petition(e.array(5)?.u64(at.0)?, petition),
                Self::Answer(answer) => {
                    e.array(4)?.u8(state_code(answer.state))?.u64(answer.at.0)?.str(answer.desk.as_str())?;
                    return optional(e, answer.text.as_ref().map(Text::as_str));
                }
            };
            Ok(())
        })
    }
}

type Encoder<'a> = minicbor::Encoder<&'a mut Vec<u8>>;

fn optional(e: &mut Encoder<'_>, text: Option<&str>) -> EncodeResult {
    match text {
        Some(text) => e.str(text)?,
        None => e.null()?,
    };
    Ok(())
}

fn encode_petition(e: &mut Encoder<'_>, petition: &Petition) -> EncodeResult {
    let (code, record) = match petition.kind {
        PetitionKind::Request => (1, None),
        PetitionKind::Question => (2, None),
        PetitionKind::Feedback => (3, None),
        PetitionKind::Dispute(record) => (4, Some(record)),
        PetitionKind::Correction(record) => (5, Some(record)),
    };
    e.u8(code)?;
    match record {
        Some(record) => e.u64(record.0)?,
        None => e.null()?,
    };
    e.str(petition.subject.as_str())?.str(petition.text.as_str())?;
    Ok(())
}

fn decode_petition(d: &mut Decoder<'_>) -> Result<Petition, DecodeError> {
    let code = d.u8()?;
    let kind = match (code, read_optional(d, |d| Ok(Seq(d.u64()?)))?) {
        (1, None) => PetitionKind::Request,
        (2, None) => PetitionKind::Question,
        (3, None) => PetitionKind::Feedback,
        (4, Some(record)) => PetitionKind::Dispute(record),
        (5, Some(record)) => PetitionKind::Correction(record),
        _ => return Err(DecodeError::Malformed("petition kind")),
    };
    let subject = read(d, Line::parse, "subject")?;
    Ok(Petition { kind, subject, text: read(d, Text::parse, "text")? })
}

fn decode_address(d: &mut Decoder<'_>) -> Result<Address, DecodeError> {
    cbor::read_array(d, 3, "address")?;
    let province = read(d, ProvinceCode::parse, "province")?;
    let ward = read(d, WardCode::parse, "ward")?;
    Ok(Address { province, ward, street: read_optional(d, |d| read(d, Line::parse, "street"))? })
}

fn decode_answer(d: &mut Decoder<'_>) -> Result<Answer, DecodeError> {
    cbor::read_array(d, 4, "answer")?;
    let code = d.u8()?;
    let known = STATES.into_iter().find(|&state| state_code(state) == code);
    let state = known.ok_or(DecodeError::Malformed("petition state"))?;
    let at = UnixSeconds(d.u64()?);
    let desk = read(d, DeskLabel::parse, "desk")?;
    Ok(Answer { state, at, desk, text: read_optional(d, |d| read(d, Text::parse, "answer"))? })
}

fn state_code(state: PetitionState) -> u8 {
    match state {
        PetitionState::Received => 1,
        PetitionState::InProgress => 2,
        PetitionState::NeedsMore => 3,
        PetitionState::Answered => 4,
        PetitionState::Declined => 5,
    }
}

fn read<T>(
    d: &mut Decoder<'_>,
    parse: impl FnOnce(&str) -> Option<T>,
    what: &'static str,
) -> Result<T, DecodeError> {
    parse(d.str()?).ok_or(DecodeError::Malformed(what))
}

fn read_optional<'b, T>(
    d: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if d.datatype()? == minicbor::data::Type::Null {
        d.null()?;
        return Ok(None);
    }
    read(d).map(Some)
}

const STATES: [PetitionState; 5] = [
    PetitionState::Received,
    PetitionState::InProgress,
    PetitionState::NeedsMore,
    PetitionState::Answered,
    PetitionState::Declined,
];
