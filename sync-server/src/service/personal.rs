//! The personal document: operations of phones are merged, answered with receipts, and what a phone lacks goes back in the
//! same exchange.
//!
//! Promises: document, table of operations and list of petitions change in one commit, and no receipt leaves before it is
//! durable; an operation that comes again is answered as it was the first time; the author of a change is the key that
//! handed it in. Nothing is kept in memory between two exchanges but counts.

use bhyt_core::cose::Unsigned;
use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::keys::KeyId;
use bhyt_core::limits::{OPERATIONS_BYTES_MAX, OPERATIONS_MAX, PERSONAL_HEADS_MAX};
use bhyt_core::operation::{Generation, Operation, OperationAnswer};
use bhyt_core::personal::ids::{ActorId, EntryId, Writer};
use bhyt_core::receipt::{Receipt, ReceiptSeal};
use bhyt_core::seal::SealKey;
use bhyt_core::sync::messages::{Refusal, Reply};
use bhyt_core::sync::personal::{PersonalContent, PersonalCursor, PersonalReply, SyncPersonal};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::KeyUse;
use bhyt_platform::entropy::make_bytes;

use super::answer::ReplySink;
use super::cards::lost_races;
use super::docs::{Found, OpenMember, decode, encode, open, write};
use super::fault::{ServiceFault, Stop};
use super::hub::Seat;
use super::personal_doc::FoundPersonal;
use super::personal_merge::{HandedIn, Judged, Known, Merged, merge};
use super::values::DeviceV2;
use super::values_personal::{PersonalOperationDetailsV1, PersonalOperationV1, WaitingPetitionV1};
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::store::{Commit, DocKey, DocKind, DocWrite, Expected, Outcome, Store};

/// Who hands operations in, and in what name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    pub(crate) key: KeyId,
    pub(crate) install: [u8; 8],
    pub(crate) writer: Writer,
}

impl<S: Store> Service<S> {
    /// Answers a phone that syncs a personal document.
    pub(crate) async fn sync_personal(
        &self,
        seat: &Seat,
        id: KeyId,
        device: &DeviceV2,
        sync: &SyncPersonal,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        check_bounds(sync)?;
        if self.is_gone(sync.member) || !device.members.iter().any(|held| held.member == sync.member) {
            return sink.send(Reply::Retired(sync.member)).await;
        }
        let author = Author { key: id, install: sync.install, writer: Writer::Device };
        let reply = self.take_operations(Some(seat), author, sync).await?;
        sink.send(Reply::Personal(reply)).await
    }

    /// Sends a phone that stays what others have changed in a member's document.
    pub(crate) async fn send_personal_news(
        &self,
        seat: &Seat,
        member: MemberId,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        match seat.personal(member) {
            Some(cursor) => self.tell_personal(seat, member, cursor, sink).await,
            None => Ok(()),
        }
    }

    /// Sends a phone that is so far in a member's document what it lacks, if anything.
    pub(crate) async fn tell_personal(
        &self,
        seat: &Seat,
        member: MemberId,
        cursor: PersonalCursor,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        // Before anything is read: what changes from here on is news.
        seat.note_personal(member, Some(cursor.clone()));
        if self.is_personal_at(member, &cursor).await? {
            return Ok(());
        }
        let author = Author { key: seat.peer().key.key_id(), install: [0; 8], writer: Writer::Device };
        let sync = SyncPersonal { member, cursor, install: author.install, operations: Vec::new() };
        let reply = self.take_operations(Some(seat), author, &sync).await?;
        match &reply.content {
            PersonalContent::Changes(changes) if changes.is_empty() => Ok(()),
            _ => sink.send(Reply::Personal(reply)).await,
        }
    }

    /// Merges operations and says what the author lacks.
    pub(crate) async fn take_operations(
        &self,
        seat: Option<&Seat>,
        author: Author,
        sync: &SyncPersonal,
    ) -> Result<PersonalReply, Stop> {
        let now = self.clock.now();
        let room = self.quotas.left(author.key, now);
        for _ in 0..ATTEMPTS_MAX {
            let missing = ServiceFault::Inconsistent { what: "member" };
            let member = self.open_member(sync.member).await?.ok_or(missing)?;
            let found = self.find_personal(member.id, &member.key).await?;
            let handed = self.look_up(&member, author, sync, room).await?;
            let merged = merge_aside(member.id, &found, handed.clone()).await?;
            let (answers, mut docs) = self.answers(&member, author, &handed, &merged, now)?;
            if let Some(saved) = &merged.saved {
                docs.extend(self.write_personal(member.id, &member.key, &found, saved, &merged.cursor)?);
                docs.extend(petition_writes(member.id, &merged, now)?);
                // As it is: a member that is being erased meanwhile gets nothing more.
                docs.push(member.write(&*self.entropy)?);
            }
            // Before others can be told of it: to whom it came back as an answer it is no news.
            let before = seat.and_then(|seat| seat.note_personal(member.id, Some(merged.cursor.clone())));
            if docs.is_empty() || self.commit_personal(member.id, docs).await? == Outcome::Applied {
                self.quotas.take(author.key, merged.looked_at, now);
                if merged.cursor.generation > merged.generation {
                    self.forget_operations(&member, merged.generation).await?;
                }
                let content = merged.content;
                return Ok(PersonalReply { member: member.id, answers, content, cursor: merged.cursor });
            }
            if let Some(seat) = seat {
                seat.note_personal(member.id, before);
            }
        }
        Err(lost_races().into())
    }

    async fn commit_personal(&self, member: MemberId, docs: Vec<DocWrite>) -> Result<Outcome, ServiceFault> {
        let mut draft = Draft::default();
        draft.commit.docs = docs;
        draft.commit.announce = vec![member];
        self.commit(draft).await
    }

    /// Forgets operations that were merged before `generation`, when a new one has begun: whoever hands one of those in
    /// again has not heard from us for two generations, and makes it anew. What a crash leaves is forgotten the next time.
    async fn forget_operations(
        &self,
        member: &OpenMember,
        generation: Generation,
    ) -> Result<(), ServiceFault> {
        let mut after = member.id.0.to_vec();
        loop {
            let found =
                self.store.doc_scan(DocKind::PersonalOperation, Some(after), FORGOTTEN_AT_A_TIME).await?;
            let found: Vec<_> =
                found.into_iter().filter(|(key, _)| key.id.starts_with(&member.id.0)).collect();
            let Some((last, _)) = found.last() else { return Ok(()) };
            after = last.id.clone();
            let mut docs = Vec::new();
            for (key, doc) in found {
                let value: PersonalOperationV1 = decode(OPERATION, &doc)?.value;
                let id = key.id.get(member.id.0.len()..).unwrap_or_default();
                let place = [b"operation/".as_slice(), id].concat();
                let details: PersonalOperationDetailsV1 =
                    open(OPERATION, &member.key, &place, &value.sealed)?;
                if details.seal.generation < generation {
                    docs.push(DocWrite { key, expected: Expected::Any, bytes: None });
                }
            }
            if !docs.is_empty() {
                let _gone_either_way = self.store.commit(Commit { docs, ..Commit::default() }).await?;
            }
        }
    }

    /// What the table says of each operation.
    async fn look_up(
        &self,
        member: &OpenMember,
        author: Author,
        sync: &SyncPersonal,
        room: u32,
    ) -> Result<HandedIn, Stop> {
        let mut operations = Vec::with_capacity(sync.operations.len());
        for operation in &sync.operations {
            let found: Option<Found<PersonalOperationV1>> =
                self.doc(OPERATION, &operation_key(member.id, operation.id)).await?;
            let known = match found {
                None => Known::New,
                Some(found) => {
                    let place = operation_place(operation.id);
                    let details: PersonalOperationDetailsV1 =
                        open(OPERATION, &member.key, &place, &found.value.sealed)?;
                    match details.change == operation.hash() && details.by == author.key {
                        true => Known::Same(details.seal),
                        false => Known::Other,
                    }
                }
            };
            operations.push((operation.clone(), known));
        }
        let actor = ActorId::new(author.key, author.install);
        Ok(HandedIn { actor, writer: author.writer, cursor: sync.cursor.clone(), operations, room })
    }

    /// The answers, with the receipts of what is accepted, and the entries that remember them.
    fn answers(
        &self,
        member: &OpenMember,
        author: Author,
        handed: &HandedIn,
        merged: &Merged,
        now: UnixSeconds,
    ) -> Result<(Vec<OperationAnswer>, Vec<DocWrite>), ServiceFault> {
        let (mut answers, mut docs) = (Vec::new(), Vec::new());
        for (judged, (operation, _)) in merged.judged.iter().zip(&handed.operations) {
            answers.push(match judged {
                Judged::Duplicate(seal) => OperationAnswer::Duplicate(*seal),
                Judged::Rejected(rejection) => {
                    tracing::info!(member = %member.id, operation = %operation.id, %rejection, "not merged");
                    OperationAnswer::Rejected(*rejection)
                }
                Judged::Accepted => {
                    let receipt = Receipt {
                        member: member.id,
                        operation: operation.id,
                        change: operation.hash(),
                        generation: merged.generation,
                        time: now,
                    };
                    let seal = self.sign_receipt(receipt)?;
                    docs.push(self.remember(&member.key, operation, &receipt, seal, author.key)?);
                    OperationAnswer::Accepted(seal)
                }
            });
        }
        Ok((answers, docs))
    }

    fn sign_receipt(&self, receipt: Receipt) -> Result<ReceiptSeal, ServiceFault> {
        let usage = KeyUse::Receipt;
        let key = self.keys.key_for(usage, receipt.time).ok_or(ServiceFault::NoKey { usage })?;
        let to_be_signed = Unsigned::new(receipt, key).to_be_signed();
        let signature = self.keys.sign(key, &to_be_signed);
        let signature = signature.map_err(|source| ServiceFault::Sign { key, source })?;
        Ok(ReceiptSeal::new(&receipt, key, &signature))
    }

    fn remember(
        &self,
        key: &SealKey,
        operation: &Operation,
        receipt: &Receipt,
        seal: ReceiptSeal,
        by: KeyId,
    ) -> Result<DocWrite, ServiceFault> {
        let details = PersonalOperationDetailsV1 { change: receipt.change, seal, by };
        let body = encode(OPERATION, &details)?;
        let sealed = key.seal(&operation_place(operation.id), &body, &make_bytes::<24>(&*self.entropy));
        let key = operation_key(receipt.member, operation.id);
        write(OPERATION, key, Expected::Absent, &PersonalOperationV1 { sealed })
    }
}

/// Merges on a thread that may be kept busy.
async fn merge_aside(
    member: MemberId,
    found: &FoundPersonal,
    handed: HandedIn,
) -> Result<Merged, ServiceFault> {
    let saved = found.saved.clone();
    let merging = move || merge(member, saved.as_ref().map(|saved| saved.as_slice()), &handed);
    let merged = tokio::task::spawn_blocking(merging).await;
    let merged = merged.map_err(|_| ServiceFault::Inconsistent { what: "personal document" })?;
    merged.map_err(|source| ServiceFault::Personal { source })
}

fn check_bounds(sync: &SyncPersonal) -> Result<(), Refusal> {
    let operations = &sync.operations;
    let heads = sync.cursor.heads.len() <= PERSONAL_HEADS_MAX;
    let bytes: usize = operations.iter().map(|operation| operation.change.len()).sum();
    match heads && operations.len() <= OPERATIONS_MAX && bytes <= OPERATIONS_BYTES_MAX {
        true => Ok(()),
        false => Err(Refusal::Malformed),
    }
}

fn petition_writes(
    member: MemberId,
    merged: &Merged,
    since: UnixSeconds,
) -> Result<Vec<DocWrite>, ServiceFault> {
    let what = "waiting petition";
    let waiting = merged.now_waiting.iter().map(|petition| {
        write(what, petition_key(member, *petition), Expected::Any, &WaitingPetitionV1 { since })
    });
    let settled = merged.settled.iter().map(|petition| {
        Ok(DocWrite { key: petition_key(member, *petition), expected: Expected::Any, bytes: None })
    });
    waiting.chain(settled).collect()
}

/// Where the entry of a petition that waits stands.
pub(crate) fn petition_key(member: MemberId, petition: EntryId) -> DocKey {
    DocKey::new(DocKind::WaitingPetition, [member.0, petition.0].concat())
}

fn operation_key(member: MemberId, operation: OperationId) -> DocKey {
    DocKey::new(DocKind::PersonalOperation, [member.0, operation.0].concat())
}

fn operation_place(operation: OperationId) -> Vec<u8> {
    [b"operation/".as_slice(), &operation.0].concat()
}

const OPERATION: &str = "operation on a personal document";
/// Entries looked at in one step; no more than one commit takes.
const FORGOTTEN_AT_A_TIME: usize = 128;
