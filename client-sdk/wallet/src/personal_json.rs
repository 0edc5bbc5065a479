//! A member's own words with `--json`. A field is its value and, in `others`, the values that were written apart from it.

use bhyt_core::ids::{OperationId, hex};
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::values::{Address, Answer, ContactPerson, Petition};
use bhyt_core::personal::view::{Field, PersonalView};
use bhyt_sdk::{OutboxEntry, OutboxState, ReceiptView};
use serde_json::{Value, json};

use crate::personal_text::{kind_name, state_name};

/// The whole document.
pub(crate) fn personal(view: &PersonalView) -> Value {
    let notes = view.notes.iter().map(
        |(record, note)| json!({ "record": record.0, "text": field(note, |text| text.as_str().into()) }),
    );
    let reminders = view.reminders.iter().map(|(id, reminder)| {
        json!({
            "id": id.to_hex(),
            "text": field(&reminder.text, |text| text.as_str().into()),
            "due": reminder.due.as_ref().map(|due| field(due, |due| due.0.into())),
            "done": reminder.done,
        })
    });
    let petitions = view.petitions.iter().map(|(id, one)| {
        json!({
            "id": id.to_hex(),
            "state": one.state().map(state_name),
            "draft": one.draft.as_ref().map(|draft| field(draft, petition)),
            "handed_in": one.handed_in.as_ref().map(|handed_in| json!({
                "at": handed_in.at.0,
                "petition": petition(&handed_in.petition),
            })),
            "answers": one.answers.iter().map(answer).collect::<Vec<_>>(),
        })
    });
    json!({
        "phone": view.phone.as_ref().map(|phone| field(phone, |phone| phone.as_str().into())),
        "email": view.email.as_ref().map(|email| field(email, |email| email.as_str().into())),
        "address": view.address.as_ref().map(|one| field(one, address)),
        "contact_person": view.contact_person.as_ref().map(|one| field(one, person)),
        "notes": notes.collect::<Vec<_>>(),
        "reminders": reminders.collect::<Vec<_>>(),
        "petitions": petitions.collect::<Vec<_>>(),
    })
}

/// What was written: the operations that wait now, none where everything was so already.
pub(crate) fn written(operations: &[OperationId]) -> Value {
    json!({ "operations": operations.iter().map(|id| id.to_hex()).collect::<Vec<_>>() })
}

/// The outbox.
pub(crate) fn outbox(entries: &[OutboxEntry]) -> Value {
    let entries = entries.iter().map(|entry| {
        let (state, why, refused_at) = match entry.state {
            OutboxState::Waiting => ("waiting", None, None),
            OutboxState::Rejected { why, at } => ("refused", Some(why.name()), Some(at.0)),
        };
        json!({
            "id": entry.id.to_hex(),
            "edit": edit(&entry.edit),
            "made_at": entry.made_at.0,
            "state": state,
            "why": why,
            "refused_at": refused_at,
        })
    });
    Value::Array(entries.collect())
}

/// The receipts, with all that somebody needs to verify them: bytes in hexadecimal digits.
pub(crate) fn receipts(receipts: &[ReceiptView]) -> Value {
    let receipts = receipts.iter().map(|receipt| {
        json!({
            "operation": receipt.operation.to_hex(),
            "edit": edit(&receipt.edit),
            "taken_at": receipt.taken_at.0,
            "change": hex(&receipt.change),
            "signed": hex(&receipt.signed),
        })
    });
    Value::Array(receipts.collect())
}

fn edit(edit: &Edit) -> Value {
    match edit {
        Edit::Phone(phone) => json!({ "what": "phone", "value": phone.as_ref().map(|one| one.as_str()) }),
        Edit::Email(email) => json!({ "what": "email", "value": email.as_ref().map(|one| one.as_str()) }),
        Edit::Address(one) => json!({ "what": "address", "value": one.as_ref().map(address) }),
        Edit::ContactPerson(one) => json!({ "what": "contact_person", "value": one.as_ref().map(person) }),
        Edit::Note(record, text) => {
            json!({ "what": "note", "record": record.0, "value": text.as_ref().map(|one| one.as_str()) })
        }
        Edit::AddReminder { id, text, due } => {
            json!({ "what": "reminder", "id": id.to_hex(), "value": text.as_str(), "due": due.0 })
        }
        Edit::ReminderText(id, text) => {
            json!({ "what": "reminder_text", "id": id.to_hex(), "value": text.as_str() })
        }
        Edit::ReminderDue(id, due) => json!({ "what": "reminder_due", "id": id.to_hex(), "value": due.0 }),
        Edit::ReminderDone(id, done) => json!({ "what": "reminder_done", "id": id.to_hex(), "value": done }),
        Edit::RemoveReminder(id) => json!({ "what": "reminder_removed", "id": id.to_hex() }),
        Edit::Draft(id, one) => {
            json!({ "what": "draft", "id": id.to_hex(), "value": one.as_ref().map(petition) })
        }
        Edit::HandIn { id, at, petition: one } => {
            json!({ "what": "petition", "id": id.to_hex(), "at": at.0, "value": petition(one) })
        }
        Edit::Answer { petition, id, answer: one } => {
            let (petition, id) = (petition.to_hex(), id.to_hex());
            json!({ "what": "answer", "petition": petition, "id": id, "value": answer(one) })
        }
    }
}

fn field<T>(field: &Field<T>, show: impl Fn(&T) -> Value) -> Value {
    let others: Vec<Value> = field.others.iter().map(&show).collect();
    json!({ "value": show(&field.value), "others": others })
}

fn address(address: &Address) -> Value {
    json!({
        "province": address.province.as_str(),
        "ward": address.ward.as_str(),
        "street": address.street.as_ref().map(|street| street.as_str()),
    })
}

fn person(person: &ContactPerson) -> Value {
    json!({ "name": person.name.as_str(), "phone": person.phone.as_str() })
}

fn petition(petition: &Petition) -> Value {
    json!({
        "kind": kind_name(petition.kind),
        "record": petition.kind.record().map(|record| record.0),
        "title": petition.subject.as_str(),
        "text": petition.text.as_str(),
    })
}

fn answer(answer: &Answer) -> Value {
    json!({
        "state": state_name(answer.state),
        "at": answer.at.0,
        "desk": answer.desk.as_str(),
        "text": answer.text.as_ref().map(|text| text.as_str()),
    })
}
