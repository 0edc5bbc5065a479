//! A member's own words for people: a page in Vietnamese, and the same in English below it.

use bhyt_core::ids::OperationId;
use bhyt_core::operation::Rejection;
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::ids::EntryId;
use bhyt_core::personal::values::{Address, ContactPerson, Petition, PetitionKind, PetitionState};
use bhyt_core::personal::view::{Field, PersonalView, PetitionView};
use bhyt_core::words::Words;
use bhyt_sdk::{OutboxEntry, OutboxState, ReceiptView};

use crate::page::{Page, join};
use crate::text::{same, words};

/// The whole document.
pub(crate) fn personal(view: &PersonalView) -> String {
    let mut page = Page::titled("THÔNG TIN CÁ NHÂN", "PERSONAL DETAILS");
    if *view == PersonalView::default() {
        page.line(1, &words("chưa có", "none"));
    }
    field(&mut page, &phone_label(), view.phone.as_ref(), |phone| phone.as_str().to_owned());
    field(&mut page, &words("Email", "E-mail"), view.email.as_ref(), |email| email.as_str().to_owned());
    field(&mut page, &words("Địa chỉ", "Address"), view.address.as_ref(), address);
    field(&mut page, &words("Người liên hệ", "Contact person"), view.contact_person.as_ref(), person);
    for (record, note) in &view.notes {
        let label = words(&format!("Ghi chú cho hồ sơ {record}"), &format!("Note on record {record}"));
        field(&mut page, &label, Some(note), |text| text.as_str().to_owned());
    }
    for reminder in view.reminders.values() {
        let label = match reminder.done {
            true => words("Nhắc việc (đã xong)", "Reminder (done)"),
            false => words("Nhắc việc", "Reminder"),
        };
        field(&mut page, &label, Some(&reminder.text), |text| text.as_str().to_owned());
        if let Some(due) = &reminder.due {
            page.field(2, &words("Vào lúc", "Due"), Some(due.value.display_local()));
            others(&mut page, due, |due| due.display_local());
        }
    }
    view.petitions.iter().for_each(|(id, one)| petition(&mut page, *id, one));
    page.done()
}

/// What was written.
pub(crate) fn written(operations: &[OperationId]) -> String {
    match operations.is_empty() {
        true => "Không có gì thay đổi.\nNothing to change.\n".to_owned(),
        false => "Đã ghi trên điện thoại này; lần đồng bộ tới sẽ gửi đi.\n\
                  Written on this phone; the next sync sends it.\n"
            .to_owned(),
    }
}

/// The outbox.
pub(crate) fn outbox(entries: &[OutboxEntry]) -> String {
    let mut page = Page::titled("HỘP THƯ ĐI", "OUTBOX");
    if entries.is_empty() {
        page.line(1, &words("trống: máy chủ đã nhận hết", "empty: the server has taken everything"));
    }
    for entry in entries {
        let made_at = same(&entry.made_at.display_local());
        page.line(1, &join(&made_at, "  ", &edit(&entry.edit)));
        match entry.state {
            OutboxState::Waiting => page.line(2, &words("Đang chờ gửi", "Waiting to be sent")),
            OutboxState::Rejected { why, .. } => {
                page.line(2, &join(&words("Bị từ chối", "Refused"), ": ", &rejection(why)));
            }
        }
        page.line(2, &same(&format!("[{}]", entry.id.to_hex())));
    }
    page.done()
}

/// The receipts.
pub(crate) fn receipts(receipts: &[ReceiptView]) -> String {
    let mut page = Page::titled("BIÊN NHẬN", "RECEIPTS");
    if receipts.is_empty() {
        page.line(1, &words("chưa có", "none"));
    }
    for receipt in receipts {
        let at = receipt.taken_at.display_local();
        page.line(1, &join(&same(&at), "  ", &edit(&receipt.edit)));
        page.line(2, &same(&format!("[{}]", receipt.operation.to_hex())));
    }
    page.done()
}

/// The word of a kind in JSON.
pub(crate) fn kind_name(kind: PetitionKind) -> &'static str {
    match kind {
        PetitionKind::Request => "request",
        PetitionKind::Question => "question",
        PetitionKind::Feedback => "feedback",
        PetitionKind::Dispute(_) => "dispute",
        PetitionKind::Correction(_) => "correction",
    }
}

/// The word of a state in JSON.
pub(crate) fn state_name(state: PetitionState) -> &'static str {
    match state {
        PetitionState::Received => "received",
        PetitionState::InProgress => "in_progress",
        PetitionState::NeedsMore => "needs_more",
        PetitionState::Answered => "answered",
        PetitionState::Declined => "declined",
    }
}

fn petition(page: &mut Page, id: EntryId, petition: &PetitionView) {
    if let Some(handed_in) = &petition.handed_in {
        page.line(1, &titled(&handed_in.petition));
        page.line(2, &same(handed_in.petition.text.as_str()));
        page.field(2, &words("Nộp lúc", "Handed in"), Some(handed_in.at.display_local()));
    }
    if let Some(draft) = &petition.draft {
        page.line(1, &join(&words("Bản nháp", "Draft"), ": ", &titled(&draft.value)));
        page.line(2, &same(draft.value.text.as_str()));
        for other in &draft.others {
            page.line(2, &join(&apart(), ": ", &titled(other)));
            page.line(3, &same(other.text.as_str()));
        }
    }
    for answer in &petition.answers {
        let by = same(&format!("{}, {}", answer.at.display_local(), answer.desk.as_str()));
        page.line(2, &join(&state(answer.state), ", ", &by));
        if let Some(text) = &answer.text {
            page.line(3, &same(text.as_str()));
        }
    }
    page.line(2, &same(&format!("[{}]", id.to_hex())));
}

fn field<T>(page: &mut Page, label: &Words, field: Option<&Field<T>>, show: impl Fn(&T) -> String) {
    if let Some(field) = field {
        page.field(1, label, Some(show(&field.value)));
        others(page, field, show);
    }
}

fn others<T>(page: &mut Page, field: &Field<T>, show: impl Fn(&T) -> String) {
    field.others.iter().for_each(|other| page.field(2, &apart(), Some(show(other))));
}

/// Marks a value that did not win.
fn apart() -> Words {
    words("Giá trị khác, ghi ở máy khác cùng lúc", "Another value, written apart")
}

fn edit(edit: &Edit) -> Words {
    let removed = || words("(xóa)", "(taken away)");
    let with = |label: Words, value: Option<String>| {
        join(&label, ": ", &value.map_or_else(removed, |value| same(&value)))
    };
    match edit {
        Edit::Phone(phone) => with(phone_label(), phone.as_ref().map(|one| one.as_str().to_owned())),
        Edit::Email(email) => {
            with(words("Email", "E-mail"), email.as_ref().map(|one| one.as_str().to_owned()))
        }
        Edit::Address(one) => with(words("Địa chỉ", "Address"), one.as_ref().map(address)),
        Edit::ContactPerson(one) => with(words("Người liên hệ", "Contact person"), one.as_ref().map(person)),
        Edit::Note(record, text) => {
            let label = words(&format!("Ghi chú cho hồ sơ {record}"), &format!("Note on record {record}"));
            with(label, text.as_ref().map(|one| one.as_str().to_owned()))
        }
        Edit::AddReminder { text, .. } | Edit::ReminderText(_, text) => {
            with(words("Nhắc việc", "Reminder"), Some(text.as_str().to_owned()))
        }
        Edit::ReminderDue(_, due) => {
            with(words("Nhắc việc vào lúc", "Reminder due"), Some(due.display_local()))
        }
        Edit::ReminderDone(_, true) => words("Nhắc việc đã xong", "Reminder done"),
        Edit::ReminderDone(_, false) => words("Nhắc việc chưa xong", "Reminder not done"),
        Edit::RemoveReminder(_) => words("Bỏ nhắc việc", "Reminder taken away"),
        Edit::Draft(_, None) => words("Bỏ bản nháp", "Draft thrown away"),
        Edit::Draft(_, Some(one)) => join(&words("Bản nháp", "Draft"), ": ", &titled(one)),
        Edit::HandIn { petition, .. } => titled(petition),
        Edit::Answer { answer, .. } => join(&words("Trả lời", "Answer"), ": ", &state(answer.state)),
    }
}

fn titled(petition: &Petition) -> Words {
    join(&kind(petition.kind), ": ", &same(petition.subject.as_str()))
}

fn kind(kind: PetitionKind) -> Words {
    match kind {
        PetitionKind::Request => words("Kiến nghị", "Petition"),
        PetitionKind::Question => words("Hỏi đáp", "Question"),
        PetitionKind::Feedback => words("Góp ý", "Feedback"),
        PetitionKind::Dispute(record) => {
            words(&format!("Khiếu nại hồ sơ {record}"), &format!("Dispute of record {record}"))
        }
        PetitionKind::Correction(record) => {
            words(&format!("Đề nghị điều chỉnh hồ sơ {record}"), &format!("Correction of record {record}"))
        }
    }
}

fn state(state: PetitionState) -> Words {
    match state {
        PetitionState::Received => words("Đã tiếp nhận", "Received"),
        PetitionState::InProgress => words("Đang xử lý", "In progress"),
        PetitionState::NeedsMore => words("Cần bổ sung", "Needs more"),
        PetitionState::Answered => words("Đã trả lời", "Answered"),
        PetitionState::Declined => words("Không thụ lý", "Declined"),
    }
}

fn rejection(why: Rejection) -> Words {
    let vi = match why {
        Rejection::Generation | Rejection::OutOfOrder => "thông tin trên máy chủ đã khác",
        Rejection::Reused | Rejection::Malformed | Rejection::Author => "bị hỏng trên đường gửi",
        Rejection::TooLarge => "quá dài",
        Rejection::NotPermitted => "không được phép, hoặc đã nộp từ trước",
        Rejection::Full => "thông tin cá nhân đã đầy",
        Rejection::Quota => "gửi quá nhiều, hãy thử lại sau",
        Rejection::Other(_) => "lý do mới; hãy cập nhật phần mềm",
    };
    words(vi, &why.to_string())
}

fn phone_label() -> Words {
    words("Điện thoại", "Phone")
}

fn address(address: &Address) -> String {
    let street = address.street.as_ref().map(|street| format!("{}, ", street.as_str())).unwrap_or_default();
    format!("{street}{} {}", address.ward.as_str(), address.province.as_str())
}

fn person(person: &ContactPerson) -> String {
    format!("{}, {}", person.name.as_str(), person.phone.as_str())
}
