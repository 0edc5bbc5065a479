//! The table of operators: entered, listed, given other roles, retired. Whoever changes it reads what must stay true in the
//! same commit: an administrator is left. A retired key stays retired, and a key has one use: a phone's or terminal's
//! never becomes an operator's.

use bhyt_core::keys::{KeyId, PublicKey};
use bhyt_core::sync::admin::{AdminReply, Applied};
use bhyt_core::sync::audit::{AuditAction, AuditSubject};
use bhyt_core::sync::messages::{Refusal, Reply};
use bhyt_core::sync::operators::{NewOperator, OperatorChange, OperatorRole, OperatorView};
use bhyt_core::time::UnixSeconds;

use super::answer::ReplySink;
use super::cards::lost_races;
use super::docs::{Found, decode, holder_key, write};
use super::fault::{ServiceFault, Stop};
use super::operations::Operation;
use super::values::OperationAnswerV1;
use super::values_operators::OperatorV2;
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::store::{Commit, Doc, DocKey, DocKind, DocWrite, Expected, Outcome, Store};

/// What a change writes, and the key that it is about.
#[derive(Debug)]
pub(crate) struct OperatorWrites {
    pub(crate) docs: Vec<DocWrite>,
    pub(crate) key: PublicKey,
}

/// What a change writes now; `None` when it is so already.
///
/// # Errors
/// [`Refusal::LastAdministrator`], and what else keeps it from being done.
pub(crate) async fn stage(
    store: &impl Store,
    wanted: &OperatorChange,
    now: UnixSeconds,
) -> Result<Option<OperatorWrites>, Stop> {
    match wanted {
        OperatorChange::Add(new) => add(store, new, now).await,
        OperatorChange::SetRoles { operator, roles } => {
            let found = find(store, *operator).await?.ok_or(Refusal::NotFound)?;
            let roles = sound(roles)?;
            if found.value.retired.is_some() {
                return Err(Refusal::Conflict.into());
            }
            change(store, found, |operator| operator.roles = roles).await
        }
        OperatorChange::Retire(operator) => {
            let found = find(store, *operator).await?.ok_or(Refusal::NotFound)?;
            change(store, found, |operator| operator.retired = operator.retired.or(Some(now))).await
        }
    }
}

/// What the trail calls a change.
pub(crate) fn action_of(change: &OperatorChange) -> AuditAction {
    match change {
        OperatorChange::Add(_) => AuditAction::AddOperator,
        OperatorChange::SetRoles { .. } => AuditAction::ChangeOperator,
        OperatorChange::Retire(_) => AuditAction::RetireOperator,
    }
}

async fn add(
    store: &impl Store,
    new: &NewOperator,
    now: UnixSeconds,
) -> Result<Option<OperatorWrites>, Stop> {
    let roles = sound(&new.roles)?;
    let id = new.key.key_id();
    for kind in [DocKind::Device, DocKind::Terminal] {
        if store.doc_get(&holder_key(kind, id)).await?.is_some() {
            return Err(Refusal::Conflict.into());
        }
    }
    let value = OperatorV2 {
        transport_key: new.key,
        roles,
        added: now,
        retired: None,
        label: Some(new.label.clone()),
    };
    if let Some(Found { value: there, .. }) = find(store, id).await? {
        let same = OperatorV2 { added: there.added, ..value } == there;
        return if same { Ok(None) } else { Err(Refusal::Conflict.into()) };
    }
    let doc = write("operator", operator_key(id), Expected::Absent, &value)?;
    Ok(Some(OperatorWrites { docs: vec![doc], key: new.key }))
}

/// Writes the operator as `make` makes it. Where it is an administrator no more, another one is written as it is: so the
/// commit is lost when that one, too, stops being one meanwhile.
async fn change(
    store: &impl Store,
    found: Found<OperatorV2>,
    make: impl FnOnce(&mut OperatorV2),
) -> Result<Option<OperatorWrites>, Stop> {
    let mut next = found.value.clone();
    make(&mut next);
    if next == found.value {
        return Ok(None);
    }
    let id = next.transport_key.key_id();
    let mut docs = vec![write("operator", operator_key(id), Expected::Revision(found.revision), &next)?];
    let role = OperatorRole::Administrator;
    if found.value.may(role) && !next.may(role) {
        docs.push(another_administrator(store, id).await?.ok_or(Refusal::LastAdministrator)?);
    }
    Ok(Some(OperatorWrites { docs, key: next.transport_key }))
}

/// Leaves an administrator other than `id` as it is; `None` when there is no other.
async fn another_administrator(store: &impl Store, id: KeyId) -> Result<Option<DocWrite>, ServiceFault> {
    let mut after = None;
    loop {
        let docs = store.doc_scan(DocKind::Operator, after, SCAN_DOCS).await?;
        let Some((last, _)) = docs.last() else { return Ok(None) };
        after = Some(last.id.clone());
        for (key, doc) in docs {
            let found = operator_of(&doc)?;
            if key.id != id.0 && found.value.may(OperatorRole::Administrator) {
                return Ok(Some(write("operator", key, Expected::Revision(found.revision), &found.value)?));
            }
        }
    }
}

/// At least one role, each once, in their order.
fn sound(roles: &[OperatorRole]) -> Result<Vec<OperatorRole>, Refusal> {
    let sound: Vec<_> = OperatorRole::ALL.into_iter().filter(|role| roles.contains(role)).collect();
    if sound.is_empty() || sound.len() != roles.len() { Err(Refusal::Malformed) } else { Ok(sound) }
}

/// The operator whose key has this id.
pub(crate) async fn find(store: &impl Store, id: KeyId) -> Result<Option<Found<OperatorV2>>, ServiceFault> {
    let doc = store.doc_get(&operator_key(id)).await?;
    doc.map(|doc| operator_of(&doc)).transpose()
}

/// All operators after this one, some at a time, with what to go on after; nothing at the end.
pub(crate) async fn list(
    store: &impl Store,
    after: Option<Vec<u8>>,
) -> Result<Option<(Vec<OperatorView>, Vec<u8>)>, ServiceFault> {
    let docs = store.doc_scan(DocKind::Operator, after, SCAN_DOCS).await?;
    let Some((last, _)) = docs.last() else { return Ok(None) };
    let last = last.id.clone();
    let view = |doc: &Doc| {
        let OperatorV2 { transport_key, roles, added, retired, label } = operator_of(doc)?.value;
        Ok(OperatorView { id: transport_key.key_id(), label, roles, added, retired })
    };
    let views: Result<_, ServiceFault> = docs.iter().map(|(_, doc)| view(doc)).collect();
    Ok(Some((views?, last)))
}

fn operator_of(doc: &Doc) -> Result<Found<OperatorV2>, ServiceFault> {
    decode("operator", doc)
}

fn operator_key(id: KeyId) -> DocKey {
    holder_key(DocKind::Operator, id)
}

impl<S: Store> Service<S> {
    /// Changes the table of operators. Who is retired is shown the door.
    pub(crate) async fn change_operators(
        &self,
        operation: &Operation,
        change: &OperatorChange,
    ) -> Result<Applied, Stop> {
        for _ in 0..ATTEMPTS_MAX {
            if self.done_before(operation).await?.is_some() {
                return Ok(Applied::Duplicate);
            }
            let Some(OperatorWrites { mut docs, key }) = stage(&self.store, change, operation.now).await?
            else {
                return Ok(Applied::Duplicate);
            };
            docs.push(operation.remember(OperationAnswerV1::Applied)?);
            let subject = AuditSubject::Operator(change.operator());
            docs.push(self.audit(operation, action_of(change), subject, 0)?);
            let draft = Draft { commit: Commit { docs, ..Commit::default() }, ..Draft::default() };
            if self.commit(draft).await? == Outcome::Applied {
                if matches!(change, OperatorChange::Retire(_)) {
                    self.hub.retire(&key);
                }
                return Ok(Applied::Accepted);
            }
        }
        Err(lost_races().into())
    }

    /// Sends every operator, some in a reply.
    pub(crate) async fn list_operators(
        &self,
        operation: &Operation,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        self.note_done(operation, AuditAction::ListOperators, AuditSubject::Nothing).await?;
        let mut after = None;
        while let Some((views, last)) = list(&self.store, after).await? {
            after = Some(last);
            sink.send(Reply::Admin(AdminReply::Operators(views))).await?;
        }
        Ok(())
    }
}

/// Operators read at a time, and in one frame at most: 256 of under 100 bytes.
const SCAN_DOCS: usize = 256;
