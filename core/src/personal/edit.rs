//! What somebody does to a personal document, in the words of an application.
//!
//! An edit is kept beside the change that it made until the server has taken the change: when the document has begun anew
//! meanwhile, or an earlier change was refused, the edit is made again on the document as it is then. So an edit says what is
//! wanted and never what was there before.

use serde::{Deserialize, Serialize};

use super::ids::EntryId;
use super::key::{Key, Value};
use super::values::{Address, Answer, ContactPerson, Email, Line, Petition, Phone, Text};
use crate::record::Seq;
use crate::time::UnixSeconds;

/// One edit; `None` takes the value away. Variants are only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    /// The member's telephone number.
    Phone(Option<Phone>),
    /// The member's e-mail.
    Email(Option<Email>),
    /// Where the member lives.
    Address(Option<Address>),
    /// Whom to call.
    ContactPerson(Option<ContactPerson>),
    /// The private note on a record, named by the place of its first revision.
    Note(Seq, Option<Text>),
    /// A new reminder.
    AddReminder {
        /// Drawn by the caller.
        id: EntryId,
        /// What of.
        text: Line,
        /// When.
        due: UnixSeconds,
    },
    /// What a reminder says.
    ReminderText(EntryId, Line),
    /// When a reminder is due.
    ReminderDue(EntryId, UnixSeconds),
    /// Whether a reminder is done with.
    ReminderDone(EntryId, bool),
    /// Takes a reminder away.
    RemoveReminder(EntryId),
    /// A petition that is being written; `None` throws the draft away.
    Draft(EntryId, Option<Petition>),
    /// Hands a petition in, once and for all. Its draft goes.
    HandIn {
        /// Of its draft, or new.
        id: EntryId,
        /// When, by the member's clock; the receipt tells the server's.
        at: UnixSeconds,
        /// The text as it stays.
        petition: Petition,
    },
    /// A desk's answer to a petition that was handed in.
    Answer {
        /// Which.
        petition: EntryId,
        /// Of the answer, drawn by the caller.
        id: EntryId,
        /// What it says.
        answer: Answer,
    },
}

impl Edit {
    /// What is written, field by field.
    pub(crate) fn writes(&self) -> Vec<(Key, Option<Value>)> {
        let one = |key, value| vec![(key, value)];
        match self.clone() {
            Self::Phone(phone) => one(Key::Phone, phone.map(Value::Phone)),
            Self::Email(email) => one(Key::Email, email.map(Value::Email)),
            Self::Address(address) => one(Key::Address, address.map(Value::Address)),
            Self::ContactPerson(person) => one(Key::ContactPerson, person.map(Value::ContactPerson)),
            Self::Note(record, text) => one(Key::Note(record), text.map(Value::Text)),
            Self::AddReminder { id, text, due } => vec![
                (Key::ReminderText(id), Some(Value::Line(text))),
                (Key::ReminderDue(id), Some(Value::Time(due))),
            ],
            Self::ReminderText(id, text) => one(Key::ReminderText(id), Some(Value::Line(text))),
            Self::ReminderDue(id, due) => one(Key::ReminderDue(id), Some(Value::Time(due))),
            Self::ReminderDone(id, done) => one(Key::ReminderDone(id), Some(Value::Flag(done))),
            Self::RemoveReminder(id) => {
                vec![
                    (Key::ReminderText(id), None),
                    (Key::ReminderDue(id), None),
                    (Key::ReminderDone(id), None),
                ]
            }
            Self::Draft(id, petition) => one(Key::Draft(id), petition.map(Value::Petition)),
            Self::HandIn { id, at, petition } => {
                vec![(Key::Draft(id), None), (Key::HandedIn(id), Some(Value::HandedIn(at, petition)))]
            }
            Self::Answer { petition, id, answer } => {
                one(Key::Answer(petition, id), Some(Value::Answer(answer)))
            }
        }
    }
}
