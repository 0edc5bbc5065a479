//! The commands about a member's own words. All work offline; what they write goes out with the next sync.

use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::values::{Email, Line, Petition, PetitionKind, Phone, Text};
use bhyt_core::record::Seq;

use crate::cli::Whose;
use crate::exit::WalletError;
use crate::personal_cli::{ContactSet, OutboxCommand, PetitionSend};
use crate::run::Program;
use crate::{personal_json, personal_text};

impl Program {
    pub(crate) fn show_personal(&self, whose: &Whose) -> Result<(), WalletError> {
        let view = self.wallet.personal(self.whose(whose)?)?;
        Ok(self.print(|| personal_text::personal(&view), || personal_json::personal(&view))?)
    }

    pub(crate) fn set_contact(&self, set: &ContactSet) -> Result<(), WalletError> {
        // All of it is read before any of it is written.
        let phone = set.phone.as_deref().map(|text| wanted(text, Phone::normalise, "a telephone number"));
        let email = set.email.as_deref().map(|text| wanted(text, Email::normalise, "an e-mail address"));
        let edits = [phone.transpose()?.map(Edit::Phone), email.transpose()?.map(Edit::Email)];
        self.write(self.whose(&set.whose)?, edits.into_iter().flatten())
    }

    pub(crate) fn set_note(&self, record: u64, text: &str, whose: &Whose) -> Result<(), WalletError> {
        let (member, record) = (self.whose(whose)?, Seq(record));
        let text = wanted(text, Text::normalise, "a text that fits")?;
        if text.is_some() && self.wallet.history(member, record)?.is_empty() {
            return Err(WalletError::UnknownRecord);
        }
        self.write(member, [Edit::Note(record, text)])
    }

    pub(crate) fn send_petition(&self, send: &PetitionSend) -> Result<(), WalletError> {
        let kind = match (send.question, send.feedback, send.dispute, send.correction) {
            (true, ..) => PetitionKind::Question,
            (_, true, ..) => PetitionKind::Feedback,
            (.., Some(record), _) => PetitionKind::Dispute(Seq(record)),
            (.., Some(record)) => PetitionKind::Correction(Seq(record)),
            _ => PetitionKind::Request,
        };
        let subject =
            Line::normalise(&send.title).ok_or(WalletError::NotA("a title of one line that fits"))?;
        let text = Text::normalise(&send.text).ok_or(WalletError::NotA("a text that fits"))?;
        let member = self.whose(&send.whose)?;
        if let Some(record) = kind.record()
            && self.wallet.history(member, record)?.is_empty()
        {
            return Err(WalletError::UnknownRecord);
        }
        let (id, at) = (self.wallet.make_entry_id(), self.clock.now());
        self.write(member, [Edit::HandIn { id, at, petition: Petition { kind, subject, text } }])
    }

    pub(crate) fn outbox(&self, command: Option<OutboxCommand>, whose: &Whose) -> Result<(), WalletError> {
        let (member, found) = match command {
            None => (self.whose(whose)?, true),
            Some(OutboxCommand::Retry(edit)) => {
                let member = self.whose(&edit.whose)?;
                (member, self.wallet.retry(member, operation(&edit.id)?)?)
            }
            Some(OutboxCommand::Discard(edit)) => {
                let member = self.whose(&edit.whose)?;
                (member, self.wallet.discard(member, operation(&edit.id)?)?)
            }
        };
        if !found {
            return Err(WalletError::UnknownEdit);
        }
        let entries = self.wallet.outbox(member)?;
        Ok(self.print(|| personal_text::outbox(&entries), || personal_json::outbox(&entries))?)
    }

    pub(crate) fn show_receipts(&self, whose: &Whose) -> Result<(), WalletError> {
        let receipts = self.wallet.receipts(self.whose(whose)?)?;
        Ok(self.print(|| personal_text::receipts(&receipts), || personal_json::receipts(&receipts))?)
    }

    fn write(&self, member: MemberId, edits: impl IntoIterator<Item = Edit>) -> Result<(), WalletError> {
        let mut written = Vec::new();
        for edit in edits {
            written.extend(self.wallet.edit(member, edit)?);
        }
        Ok(self.print(|| personal_text::written(&written), || personal_json::written(&written))?)
    }
}

/// What is to stand in a field: nothing where the text is empty.
fn wanted<T>(
    text: &str,
    read: impl Fn(&str) -> Option<T>,
    form: &'static str,
) -> Result<Option<T>, WalletError> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some).ok_or(WalletError::NotA(form)) }
}

fn operation(id: &str) -> Result<OperationId, WalletError> {
    OperationId::from_hex(id).ok_or(WalletError::UnknownEdit)
}
