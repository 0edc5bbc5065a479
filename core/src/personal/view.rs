//! A personal document as it is shown: plain, owned values.
//!
//! A field that two machines changed while apart has several values. One is shown as the value: the one written on more
//! operations before it (Automerge's counter), and at a tie the one of the greater actor id, so every machine shows the
//! same. The others stand beside it, until the field is next written. What cannot be read, because a newer version wrote
//! it, is left out.

use std::collections::BTreeMap;

use super::ids::EntryId;
use super::key::{Key, Value};
use super::values::{Address, Answer, ContactPerson, Email, Line, Petition, PetitionState, Phone, Text};
use crate::record::Seq;
use crate::time::UnixSeconds;

/// The inside of a variant.
macro_rules! take {
    ($value:expr, $variant:path) => {
        match $value {
            $variant(inner) => Some(inner),
            _ => None,
        }
    };
}

/// A value, and the values that were written beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<T> {
    /// The one that wins.
    pub value: T,
    /// The others, the next best first; empty where nobody disagreed.
    pub others: Vec<T>,
}

/// Everything in the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonalView {
    /// Telephone number.
    pub phone: Option<Field<Phone>>,
    /// E-mail.
    pub email: Option<Field<Email>>,
    /// Where the member lives.
    pub address: Option<Field<Address>>,
    /// Whom to call.
    pub contact_person: Option<Field<ContactPerson>>,
    /// Private notes by record.
    pub notes: BTreeMap<Seq, Field<Text>>,
    /// Reminders.
    pub reminders: BTreeMap<EntryId, ReminderView>,
    /// Petitions, disputes and requests for correction.
    pub petitions: BTreeMap<EntryId, PetitionView>,
}

/// One reminder. It is there as long as its text is: whoever changes the text while another takes the reminder away keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReminderView {
    /// What of.
    pub text: Field<Line>,
    /// When; `None` when another machine took the reminder away while its text was changed.
    pub due: Option<Field<UnixSeconds>>,
    /// Whether it is done with; not done where nobody said so.
    pub done: bool,
}

/// One petition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PetitionView {
    /// Being written. Beside [`Self::handed_in`]: somebody went on writing on another machine, and it was not handed in.
    pub draft: Option<Field<Petition>>,
    /// As it was handed in.
    pub handed_in: Option<HandedIn>,
    /// What the agency said, in order of time.
    pub answers: Vec<Answer>,
}

/// A petition as it was handed in. Never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedIn {
    /// When, by the member's clock.
    pub at: UnixSeconds,
    /// What.
    pub petition: Petition,
}

impl PetitionView {
    /// What the agency said last; `None` before it said anything.
    pub fn state(&self) -> Option<PetitionState> {
        self.answers.last().map(|answer| answer.state)
    }
}

impl PersonalView {
    /// Of the fields of a document: each key with its values, the winner first.
    pub(crate) fn of(fields: impl Iterator<Item = (String, Vec<Vec<u8>>)>) -> Self {
        let mut view = Self::default();
        let mut reminders: BTreeMap<EntryId, Reminder> = BTreeMap::new();
        let mut answers: BTreeMap<EntryId, BTreeMap<(UnixSeconds, EntryId), Answer>> = BTreeMap::new();
        for (key, values) in fields {
            let Some(key) = Key::parse(&key) else { continue };
            let values = values.iter().filter_map(|bytes| key.decode_value(bytes).ok());
            match key {
                Key::Identity => {}
                Key::Phone => view.phone = field(values, |v| take!(v, Value::Phone)),
                Key::Email => view.email = field(values, |v| take!(v, Value::Email)),
                Key::Address => view.address = field(values, |v| take!(v, Value::Address)),
                Key::ContactPerson => view.contact_person = field(values, |v| take!(v, Value::ContactPerson)),
                Key::Note(record) => {
                    view.notes.extend(field(values, |v| take!(v, Value::Text)).map(|note| (record, note)));
                }
                Key::ReminderText(id) => {
                    reminders.entry(id).or_default().text = field(values, |v| take!(v, Value::Line));
                }
                Key::ReminderDue(id) => {
                    reminders.entry(id).or_default().due = field(values, |v| take!(v, Value::Time));
                }
                Key::ReminderDone(id) => {
                    reminders.entry(id).or_default().done = field(values, |v| take!(v, Value::Flag));
                }
                Key::Draft(id) => {
                    view.petitions.entry(id).or_default().draft =
                        field(values, |v| take!(v, Value::Petition));
                }
                Key::HandedIn(id) => {
                    let handed_in = field(values, |v| match v {
                        Value::HandedIn(at, petition) => Some(HandedIn { at, petition }),
                        _ => None,
                    });
                    view.petitions.entry(id).or_default().handed_in = handed_in.map(|field| field.value);
                }
                Key::Answer(petition, id) => {
                    let answer = field(values, |v| take!(v, Value::Answer)).map(|field| field.value);
                    let of_petition = answers.entry(petition).or_default();
                    of_petition.extend(answer.map(|answer| ((answer.at, id), answer)));
                }
            }
        }
        view.reminders = reminders.into_iter().filter_map(|(id, parts)| Some((id, parts.whole()?))).collect();
        for (petition, answers) in answers {
            view.petitions.entry(petition).or_default().answers = answers.into_values().collect();
        }
        view
    }
}

#[derive(Default)]
struct Reminder {
    text: Option<Field<Line>>,
    due: Option<Field<UnixSeconds>>,
    done: Option<Field<bool>>,
}

impl Reminder {
    fn whole(self) -> Option<ReminderView> {
        let done = self.done.is_some_and(|done| done.value);
        Some(ReminderView { text: self.text?, due: self.due, done })
    }
}

fn field<T>(values: impl Iterator<Item = Value>, take: impl Fn(Value) -> Option<T>) -> Option<Field<T>> {
    let mut values = values.filter_map(take);
    Some(Field { value: values.next()?, others: values.collect() })
}
