//! Erasure of a member: asked for, taken back while there is time, and carried out so that a crash anywhere is gone on from.
//!
//! Promises: once an erasure is done, no key is left that reads the member, in the store or in any backup; nobody finds the
//! member by a number, the cards are on the status list, phones that held the member are told to wipe, and nothing of the
//! member is in the store but the note that somebody was erased. What the law says to keep is for whoever asks to know.
//!
//! Order: nobody opens the member any more; numbers, phones and cards let go; the key is taken away, for good; what is left
//! of the member, which nobody can read, is removed; the note says that it is done.

use std::sync::PoisonError;

use bhyt_core::card_record::CardStanding;
use bhyt_core::ids::{MemberId, StatusIndex};
use bhyt_core::keys::KeyId;
use bhyt_core::sync::admin::{AdminReply, Applied};
use bhyt_core::sync::audit::{AuditAction, AuditLine, AuditOutcome, AuditSubject, ShortMember};
use bhyt_core::sync::erasure::{ErasureReason, ErasureView};
use bhyt_core::sync::messages::{Refusal, Reply};

use super::answer::ReplySink;
use super::cards::lost_races;
use super::docs::{Found, OpenMember, card_key, decode, holder_key, write};
use super::fault::{ServiceFault, Stop};
use super::grants::GrantsV1;
use super::operations::Operation;
use super::status_changes::set_of;
use super::values::{AliasV1, CardV1, DeviceV2, OperationAnswerV1};
use super::values_members::ErasureV1;
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::exit::chain;
use crate::store::{Commit, Doc, DocKey, DocKind, DocWrite, Expected, Outcome, Store};

impl<S: Store> Service<S> {
    /// Notes that a member is to be erased. Where nothing is to be waited for it is done when this returns.
    pub(crate) async fn ask_erasure(
        &self,
        operation: &Operation,
        alias: &str,
        reason: ErasureReason,
    ) -> Result<Applied, Stop> {
        if self.done_before(operation).await?.is_some() {
            return Ok(Applied::Duplicate);
        }
        let member = self.demand_member(alias).await?;
        self.refuse_shared_place(member.id).await?;
        let key = erasure_key(member.id);
        if self.store.doc_get(&key).await?.is_some() {
            return Ok(Applied::Duplicate);
        }
        let erasure = ErasureV1 {
            reason,
            asked_by: operation.operator,
            operation: operation.id,
            asked: operation.now,
            due: operation.now.plus(self.settings.erasure_waits.as_secs()),
            begun: false,
            done: None,
        };
        let docs = vec![
            write("erasure", key, Expected::Absent, &erasure)?,
            operation.remember(OperationAnswerV1::Applied)?,
            self.audit(operation, AuditAction::EraseMember, member.subject(), 0)?,
        ];
        let draft = Draft { commit: Commit { docs, ..Commit::default() }, ..Draft::default() };
        if self.commit(draft).await? == Outcome::Lost {
            // Somebody else has just asked for the same.
            return Ok(Applied::Duplicate);
        }
        self.erase_due().await?;
        Ok(Applied::Accepted)
    }

    /// Takes an erasure back that has not begun.
    pub(crate) async fn keep_member(&self, operation: &Operation, alias: &str) -> Result<Applied, Stop> {
        if self.done_before(operation).await?.is_some() {
            return Ok(Applied::Duplicate);
        }
        let member = self.demand_member(alias).await?;
        let key = erasure_key(member.id);
        let found: Option<Found<ErasureV1>> = self.doc("erasure", &key).await?;
        let Some(found) = found else { return Ok(Applied::Duplicate) };
        if found.value.begun {
            return Err(Refusal::Conflict.into());
        }
        let docs = vec![
            DocWrite { key, expected: Expected::Revision(found.revision), bytes: None },
            operation.remember(OperationAnswerV1::Applied)?,
            self.audit(operation, AuditAction::KeepMember, member.subject(), 0)?,
        ];
        let draft = Draft { commit: Commit { docs, ..Commit::default() }, ..Draft::default() };
        match self.commit(draft).await? {
            Outcome::Applied => Ok(Applied::Accepted),
            Outcome::Lost => Err(Refusal::Conflict.into()),
        }
    }

    /// Sends all erasures, some in a reply.
    pub(crate) async fn list_erasures(
        &self,
        operation: &Operation,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        self.note_done(operation, AuditAction::ListErasures, AuditSubject::Nothing).await?;
        let mut after = None;
        loop {
            let docs = self.store.doc_scan(DocKind::Erasure, after, SCAN_DOCS).await?;
            let Some((last, _)) = docs.last() else { return Ok(()) };
            after = Some(last.id.clone());
            let views: Result<Vec<_>, ServiceFault> = docs.iter().map(view).collect();
            sink.send(Reply::Admin(AdminReply::Erasures(views?))).await?;
        }
    }

    /// Carries out the erasures that are due and those that a crash interrupted, and forgets notes that have been kept for as
    /// long as the audit trail. Says how many members were erased.
    ///
    /// # Errors
    /// The first [`ServiceFault`]; one erasure that fails keeps no other from being done, and is tried again next time.
    pub async fn erase_due(&self) -> Result<u64, ServiceFault> {
        let _one = self.erasing_one.lock().await;
        let (mut after, mut erased, mut failed) = (None, 0, None);
        loop {
            let docs = self.store.doc_scan(DocKind::Erasure, after, SCAN_DOCS).await?;
            let Some((last, _)) = docs.last() else { return failed.map_or(Ok(erased), Err) };
            after = Some(last.id.clone());
            for (key, doc) in docs {
                let member = member_of(&key)?;
                match self.erase_if_due(member, key, &doc).await {
                    Ok(done) => erased += u64::from(done),
                    Err(fault) => {
                        tracing::error!(%member, error = chain(&fault), "member not erased");
                        failed.get_or_insert(fault);
                    }
                }
            }
        }
    }

    async fn erase_if_due(&self, member: MemberId, key: DocKey, doc: &Doc) -> Result<bool, ServiceFault> {
        let now = self.clock.now();
        let found: Found<ErasureV1> = decode("erasure", doc)?;
        match found.value.done {
            None if found.value.begun || found.value.due <= now => {
                self.erase_member(member, found).await?;
                return Ok(true);
            }
            Some(done) if done.plus(self.settings.audit_kept.as_secs()) < now => {
                let expected = Expected::Revision(found.revision);
                self.commit_docs(vec![DocWrite { key, expected, bytes: None }]).await?;
            }
            _ => {}
        }
        Ok(false)
    }

    /// Reads which erasures have begun, before anybody is answered.
    pub(crate) async fn load_erasures(&self) -> Result<(), ServiceFault> {
        let mut after = None;
        loop {
            let docs = self.store.doc_scan(DocKind::Erasure, after, SCAN_DOCS).await?;
            let Some((last, _)) = docs.last() else { return Ok(()) };
            after = Some(last.id.clone());
            for (key, doc) in &docs {
                let found: Found<ErasureV1> = decode("erasure", doc)?;
                if found.value.begun && found.value.done.is_none() {
                    self.begin_erasing(member_of(key)?);
                }
            }
        }
    }

    /// Whether the member is not to be opened any more.
    pub(crate) fn is_being_erased(&self, member: MemberId) -> bool {
        self.erasing.read().unwrap_or_else(PoisonError::into_inner).contains(&member)
    }

    /// Whether there is nobody behind an id that something still names.
    pub(crate) fn is_gone(&self, member: MemberId) -> bool {
        self.is_being_erased(member) || self.vault.is_erased(member)
    }

    async fn erase_member(&self, id: MemberId, found: Found<ErasureV1>) -> Result<(), ServiceFault> {
        let Found { mut revision, value: mut erasure } = found;
        if !erasure.begun {
            erasure.begun = true;
            self.commit_docs(vec![write(
                "erasure",
                erasure_key(id),
                Expected::Revision(revision),
                &erasure,
            )?])
            .await?;
            revision += 1;
        }
        self.begin_erasing(id);
        self.let_go(id).await?;
        self.vault.erase(id).await?;
        self.check_member_keys().await?;
        self.store.erase(id).await?;
        self.forget_petitions(id).await?;
        let now = self.clock.now();
        erasure.done = Some(now);
        let line = AuditLine {
            time: now,
            operator: None,
            action: AuditAction::EraseMember,
            subject: AuditSubject::Member(ShortMember::from(id)),
            outcome: AuditOutcome::Done,
            rows: 0,
            operation: erasure.operation,
        };
        let docs = vec![
            write("erasure", erasure_key(id), Expected::Revision(revision), &erasure)?,
            self.line_write(&line)?,
        ];
        self.commit_docs(docs).await?;
        self.erasing.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.publish_soon();
        Ok(())
    }

    /// Numbers, phones and cards let go of the member. Done again from the start when it was interrupted; nothing to do once
    /// the key is away.
    async fn let_go(&self, id: MemberId) -> Result<(), ServiceFault> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(member) = self.open_any_member(id).await? else { return Ok(()) };
            // The member is written as it is: whoever has it open loses its commit to this one.
            let mut docs = vec![member.write(&*self.entropy)?];
            docs.extend(self.names_of(&member).await?);
            let commit = Commit { docs, ..Commit::default() };
            if self.commit(Draft { commit, ..Draft::default() }).await? == Outcome::Lost {
                continue;
            }
            self.leave_grants(&member).await?;
            for device in &member.details.devices {
                self.leave_device(*device, id).await?;
            }
            for index in &member.details.cards {
                self.list_card(&member, *index).await?;
            }
            return Ok(());
        }
        Err(lost_races())
    }

    /// The writes that remove the numbers under which the member is found.
    async fn names_of(&self, member: &OpenMember) -> Result<Vec<DocWrite>, ServiceFault> {
        let details = &member.details;
        let personal = details.personal_number.as_ref().map(|number| self.vault.personal_alias(number));
        let mut writes = Vec::new();
        for key in std::iter::once(self.vault.social_alias(&details.social_number)).chain(personal) {
            let found: Option<Found<AliasV1>> = self.doc("alias", &key).await?;
            if let Some(found) = found.filter(|found| found.value == AliasV1::Member(member.id)) {
                writes.push(DocWrite { key, expected: Expected::Revision(found.revision), bytes: None });
            }
        }
        Ok(writes)
    }

    /// The phone holds the member no more, and is told when it comes or at once.
    async fn leave_device(&self, device: KeyId, member: MemberId) -> Result<(), ServiceFault> {
        for _ in 0..ATTEMPTS_MAX {
            let key = holder_key(DocKind::Device, device);
            let found: Option<Found<DeviceV2>> = self.doc("device", &key).await?;
            let Some(Found { revision, value: mut device }) = found else { return Ok(()) };
            let held = device.members.len();
            device.members.retain(|held| held.member != member);
            if device.members.len() == held {
                return Ok(());
            }
            let docs = vec![write("device", key, Expected::Revision(revision), &device)?];
            let commit = Commit { docs, announce: vec![member], ..Commit::default() };
            if self.commit(Draft { commit, ..Draft::default() }).await? == Outcome::Applied {
                return Ok(());
            }
        }
        Err(lost_races())
    }

    /// The card is on the status list until its dates are over, and nobody finds it by its number.
    async fn list_card(&self, member: &OpenMember, index: StatusIndex) -> Result<(), ServiceFault> {
        for _ in 0..ATTEMPTS_MAX {
            let key = card_key(member.id, index);
            let found: Option<Found<CardV1>> = self.doc("card", &key).await?;
            if found.is_none() {
                return Ok(());
            }
            let mut card = self.open_card(member, index).await?;
            let mut draft = Draft::default();
            let (value, until) = (u64::from(index.0), card.details.facts.valid_to);
            let standing = CardStanding::Withdrawn;
            if card.details.standing != standing {
                if let Some(set) = set_of(card.details.standing) {
                    self.unlist(&mut draft.status, set, value).await?;
                }
                let over = until.is_some_and(|last| last < self.clock.now().day());
                if let Some(set) = set_of(standing).filter(|_| !over) {
                    draft.status.add(set, value, until)?;
                }
                card.details.standing = standing;
            }
            let alias = self.vault.card_alias(&card.details.facts.number);
            let found: Option<Found<AliasV1>> = self.doc("alias", &alias).await?;
            let ours = AliasV1::Card { member: member.id, index };
            if let Some(found) = found.filter(|found| found.value == ours) {
                let expected = Expected::Revision(found.revision);
                draft.commit.docs.push(DocWrite { key: alias, expected, bytes: None });
            }
            draft.commit.docs.push(card.write(&member.key, &*self.entropy)?);
            if self.commit(draft).await? == Outcome::Applied {
                return Ok(());
            }
        }
        Err(lost_races())
    }

    /// No petition of the member waits for an officer.
    async fn forget_petitions(&self, member: MemberId) -> Result<(), ServiceFault> {
        loop {
            let after = Some(member.0.to_vec());
            let found = self.store.doc_scan(DocKind::WaitingPetition, after, SCAN_DOCS / 2).await?;
            let own = found.into_iter().map(|(key, _)| key).filter(|key| key.id.starts_with(&member.0));
            let docs: Vec<_> =
                own.map(|key| DocWrite { key, expected: Expected::Any, bytes: None }).collect();
            if docs.is_empty() {
                return Ok(());
            }
            self.commit_docs(docs).await?;
        }
    }

    /// Two members whose ids begin with the same 64 bits have one leaf: erasing one would erase the other.
    async fn refuse_shared_place(&self, member: MemberId) -> Result<(), Stop> {
        let (place, _) = member.0.split_at(PLACE_BYTES);
        let found = self.store.doc_scan(DocKind::Member, Some(place.to_vec()), 2).await?;
        let sharing = found.iter().filter(|(key, _)| key.id.starts_with(place)).count();
        if sharing > 1 { Err(Refusal::Conflict.into()) } else { Ok(()) }
    }

    fn begin_erasing(&self, member: MemberId) {
        self.erasing.write().unwrap_or_else(PoisonError::into_inner).insert(member);
    }

    /// Commits what nobody else writes.
    async fn commit_docs(&self, docs: Vec<DocWrite>) -> Result<(), ServiceFault> {
        match self.store.commit(Commit { docs, ..Commit::default() }).await? {
            Outcome::Applied => Ok(()),
            Outcome::Lost => Err(ServiceFault::LostRaces { attempts: 1 }),
        }
    }
}

/// Removes from a store that was just filled from a backup whoever was erased since, by the keys at hand. Nobody else has
/// the store.
///
/// # Errors
/// [`ServiceFault`] when the store fails; it is done again from the start.
pub async fn sweep_erased<S: Store>(
    store: &S,
    is_erased: impl Fn(MemberId) -> bool,
) -> Result<u64, ServiceFault> {
    let mut swept = 0;
    for kind in SWEPT {
        let mut after = None;
        loop {
            let docs = store.doc_scan(kind, after, SCAN_DOCS).await?;
            let Some((last, _)) = docs.last() else { break };
            after = Some(last.id.clone());
            for (key, doc) in docs {
                match kind {
                    DocKind::Member => {
                        let member = member_of(&key)?;
                        if is_erased(member) {
                            store.erase(member).await?;
                            swept += 1;
                        }
                    }
                    _ => sweep_doc(store, key, &doc, &is_erased).await?,
                }
            }
        }
    }
    Ok(swept)
}

async fn sweep_doc<S: Store>(
    store: &S,
    key: DocKey,
    doc: &Doc,
    is_erased: &impl Fn(MemberId) -> bool,
) -> Result<(), ServiceFault> {
    let expected = Expected::Revision(doc.revision);
    let swept = match key.kind {
        DocKind::Alias => {
            let found: Found<AliasV1> = decode("alias", doc)?;
            let (AliasV1::Member(member) | AliasV1::Card { member, .. }) = found.value;
            is_erased(member).then_some(DocWrite { key, expected, bytes: None })
        }
        DocKind::WaitingPetition => {
            let (member, _) =
                key.id.split_first_chunk().ok_or(ServiceFault::Inconsistent { what: "petition" })?;
            is_erased(MemberId(*member)).then_some(DocWrite { key, expected, bytes: None })
        }
        DocKind::Grants if is_erased(member_of(&key)?) => Some(DocWrite { key, expected, bytes: None }),
        DocKind::Grants => {
            let mut grants = decode::<GrantsV1>("grants", doc)?.value;
            let ended = grants.end(|grant| is_erased(grant.dependant) || is_erased(grant.carer));
            ended.then(|| write("grants", key, expected, &grants)).transpose()?
        }
        _ => {
            let mut device = decode::<DeviceV2>("device", doc)?.value;
            let held = device.members.len();
            device.members.retain(|held| !is_erased(held.member));
            (device.members.len() < held).then(|| write("device", key, expected, &device)).transpose()?
        }
    };
    let Some(swept) = swept else { return Ok(()) };
    match store.commit(Commit { docs: vec![swept], ..Commit::default() }).await? {
        Outcome::Applied => Ok(()),
        Outcome::Lost => Err(ServiceFault::LostRaces { attempts: 1 }),
    }
}

fn view((key, doc): &(DocKey, Doc)) -> Result<ErasureView, ServiceFault> {
    let ErasureV1 { reason, asked_by, asked, due, done, .. } = decode::<ErasureV1>("erasure", doc)?.value;
    Ok(ErasureView { member: member_of(key)?.into(), reason, asked_by, asked, due, done })
}

fn erasure_key(member: MemberId) -> DocKey {
    DocKey::new(DocKind::Erasure, member.0)
}

/// Whose the document is, where a member's id alone is its own.
fn member_of(key: &DocKey) -> Result<MemberId, ServiceFault> {
    let id = key.id.as_slice().try_into();
    id.map(MemberId).map_err(|_| ServiceFault::Inconsistent { what: "member" })
}

/// Kinds that name a member.
const SWEPT: [DocKind; 5] =
    [DocKind::Member, DocKind::Alias, DocKind::Device, DocKind::WaitingPetition, DocKind::Grants];
/// What two members have in common that have one leaf.
const PLACE_BYTES: usize = 8;
/// Read at a time, and in one frame at most: 256 of under 64 bytes.
const SCAN_DOCS: usize = 256;
