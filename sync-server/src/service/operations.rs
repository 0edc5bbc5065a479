//! Operations are done once: the document that remembers one is in the same commit as its effect. Beside it goes a line
//! of the audit trail.

use bhyt_core::codec;
use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::keys::KeyId;
use bhyt_core::sync::admin::AdminRequest;
use bhyt_core::sync::messages::{Refusal, Request};
use bhyt_core::time::UnixSeconds;
use bhyt_platform::entropy::make_bytes;

use super::Service;
use super::docs::{Found, write};
use super::fault::{ServiceFault, Stop};
use super::values::{AuditAction, AuditV1, OperationAnswerV1, OperationV1};
use super::vault::Vault;
use crate::store::{DocKey, DocKind, DocWrite, Expected, Store};

/// One operator's operation: whose, which, and what it asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) operator: KeyId,
    pub(crate) id: OperationId,
    pub(crate) now: UnixSeconds,
    command_hash: [u8; 32],
}

impl Operation {
    /// The operation of this request.
    pub(crate) fn new(
        vault: &Vault,
        operator: KeyId,
        request: &AdminRequest,
        now: UnixSeconds,
    ) -> Result<Self, Stop> {
        // The id is part of what is hashed, which does no harm: it is compared under the same id only.
        let bytes = codec::encode(&Request::Admin(request.clone()));
        let bytes = bytes.map_err(|_| Stop::Refused(Refusal::Malformed))?;
        Ok(Self { operator, id: request.operation, now, command_hash: vault.hash_command(&bytes) })
    }

    /// Operator and id, the scope in which an operation is one.
    pub(crate) fn origin(&self) -> Vec<u8> {
        [self.operator.0.as_slice(), &self.id.0].concat()
    }

    /// The write that remembers the operation; the commit is lost when it was done meanwhile.
    pub(crate) fn remember(&self, answer: OperationAnswerV1) -> Result<DocWrite, ServiceFault> {
        let value = OperationV1 { command_hash: self.command_hash, answer };
        write("operation", self.key(), Expected::Absent, &value)
    }

    fn key(&self) -> DocKey {
        DocKey::new(DocKind::Operation, self.origin())
    }
}

impl<S: Store> Service<S> {
    /// What was answered when the operation was done before; `None` when it was not.
    pub(crate) async fn done_before(&self, operation: &Operation) -> Result<Option<OperationAnswerV1>, Stop> {
        let found: Option<Found<OperationV1>> = self.doc("operation", &operation.key()).await?;
        match found {
            None => Ok(None),
            Some(found) if found.value.command_hash == operation.command_hash => Ok(Some(found.value.answer)),
            Some(_) => Err(Refusal::OperationReused.into()),
        }
    }

    /// The audit line of this operation.
    pub(crate) fn audit(
        &self,
        operation: &Operation,
        action: AuditAction,
        member: Option<MemberId>,
        rows: u32,
    ) -> Result<DocWrite, ServiceFault> {
        let short = |member: MemberId| {
            let [a, b, c, d, ..] = member.0;
            [a, b, c, d]
        };
        let value = AuditV1 {
            operator: operation.operator,
            action,
            time: operation.now,
            operation: operation.id,
            member: member.map(short),
            rows,
        };
        let random = make_bytes::<8>(&*self.entropy);
        let id = [operation.now.0.to_be_bytes(), random].concat();
        write("audit line", DocKey::new(DocKind::Audit, id), Expected::Absent, &value)
    }
}
