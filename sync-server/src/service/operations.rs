//! Operations are done once: the document that remembers one is in the same commit as its effect.

use bhyt_core::codec;
use bhyt_core::ids::OperationId;
use bhyt_core::keys::KeyId;
use bhyt_core::sync::admin::AdminRequest;
use bhyt_core::sync::messages::{Refusal, Request};
use bhyt_core::time::UnixSeconds;

use super::Service;
use super::docs::{Found, write};
use super::fault::{ServiceFault, Stop};
use super::values::{OperationAnswerV1, OperationV1};
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
}
