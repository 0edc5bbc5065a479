//! The wallet's part for a member's own words: contact details, notes, reminders and petitions, edited offline.

use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::ids::EntryId;
use bhyt_core::personal::view::PersonalView;
use bhyt_platform::entropy::make_bytes;

use crate::error::SdkError;
use crate::outbox::{OutboxEntry, ReceiptView};
use crate::wallet::Wallet;

impl Wallet {
    /// Edits a member's personal document. The edit is durable and shown when this returns, with or without a network; it
    /// waits for the disk. While connected it is sent at once, else at the next sync. `None` when everything was so already.
    ///
    /// Fails with [`SdkError::Refused`] where the server would refuse it: a document that is full, or an outbox that is.
    pub fn edit(&self, member: MemberId, edit: Edit) -> Result<Option<OperationId>, SdkError> {
        let engine = self.engine();
        let owner = engine.side.owner(member, &engine.keys)?;
        let id = engine.side.personal().edit(&owner, edit, engine.clock.now())?;
        engine.nudge_outgoing();
        Ok(id)
    }

    /// A member's personal document, the edits that wait among it.
    pub fn personal(&self, member: MemberId) -> Result<PersonalView, SdkError> {
        let owner = self.engine().side.owner(member, &self.engine().keys)?;
        self.engine().side.personal().look(&owner, |state| state.shown.view())
    }

    /// The edits that the server has not taken, oldest first.
    pub fn outbox(&self, member: MemberId) -> Result<Vec<OutboxEntry>, SdkError> {
        let owner = self.engine().side.owner(member, &self.engine().keys)?;
        let entries = |entries: &crate::personal_state::PersonalState| {
            entries.entries.values().map(OutboxEntry::from).collect()
        };
        self.engine().side.personal().look(&owner, entries)
    }

    /// Proofs of what the server has taken, oldest first: those of petitions all, of other edits the last ones.
    pub fn receipts(&self, member: MemberId) -> Result<Vec<ReceiptView>, SdkError> {
        let owner = self.engine().side.owner(member, &self.engine().keys)?;
        let receipts = self.engine().side.personal().receipts(&owner)?;
        Ok(receipts.into_iter().map(|(_, receipt)| ReceiptView::from(receipt)).collect())
    }

    /// Lets an edit that was refused wait again, under a new id. False when there is none of this id.
    pub fn retry(&self, member: MemberId, operation: OperationId) -> Result<bool, SdkError> {
        let engine = self.engine();
        let owner = engine.side.owner(member, &engine.keys)?;
        let found = engine.side.personal().retry(&owner, operation, engine.clock.now())?;
        engine.nudge_outgoing();
        Ok(found)
    }

    /// Throws an edit away that the server has not taken. One that is under way may be taken all the same; it then comes
    /// back with the next answer. False when there is none of this id.
    pub fn discard(&self, member: MemberId, operation: OperationId) -> Result<bool, SdkError> {
        let engine = self.engine();
        let owner = engine.side.owner(member, &engine.keys)?;
        engine.side.personal().discard(&owner, operation, engine.clock.now())
    }

    /// Draws the name of a new reminder or petition.
    pub fn make_entry_id(&self) -> EntryId {
        EntryId(make_bytes(self.engine().entropy.as_ref()))
    }
}
