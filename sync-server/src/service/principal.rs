//! Who asks: the holder of a transport key, looked up in the key table at each exchange.

use bhyt_core::keys::{KeyId, PublicKey};

use super::Service;
use super::docs::{Found, holder_key};
use super::fault::ServiceFault;
use super::operators;
use super::values::{DeviceV2, TerminalV1};
use super::values_operators::OperatorV2;
use crate::store::{DocKind, Store};

/// The holder of a transport key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// In no table: may activate or enrol with a one-time code.
    Stranger,
    /// A phone.
    Device(KeyId, DeviceV2),
    /// A clinic's machine.
    Terminal(KeyId, TerminalV1),
    /// An operator.
    Operator(KeyId, OperatorV2),
    /// A key that was one of these and is retired.
    Retired,
}

impl<S: Store> Service<S> {
    /// Looks up who holds `key` now.
    ///
    /// # Errors
    /// [`ServiceFault`] when the store fails.
    pub async fn principal(&self, key: &PublicKey) -> Result<Principal, ServiceFault> {
        let id = key.key_id();
        let device_key = holder_key(DocKind::Device, id);
        let device: Option<Found<DeviceV2>> = self.doc("device", &device_key).await?;
        if let Some(Found { value, .. }) = device.filter(|it| it.value.transport_key == *key) {
            return Ok(match value.retired {
                None => Principal::Device(id, value),
                Some(_) => Principal::Retired,
            });
        }
        let terminal_key = holder_key(DocKind::Terminal, id);
        let terminal: Option<Found<TerminalV1>> = self.doc("terminal", &terminal_key).await?;
        if let Some(Found { value, .. }) = terminal.filter(|it| it.value.transport_key == *key) {
            return Ok(match value.retired {
                None => Principal::Terminal(id, value),
                Some(_) => Principal::Retired,
            });
        }
        let operator = operators::find(&self.store, id).await?;
        if let Some(Found { value, .. }) = operator.filter(|it| it.value.transport_key == *key) {
            return Ok(match value.retired {
                None => Principal::Operator(id, value),
                Some(_) => Principal::Retired,
            });
        }
        Ok(Principal::Stranger)
    }
}
