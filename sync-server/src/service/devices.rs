//! Devices: listed, and retired. Retiring a device ends its key at once, its bindings through the status list, and its
//! connections.

use bhyt_core::keys::KeyId;
use bhyt_core::sync::admin::{Applied, DeviceView};
use bhyt_core::sync::audit::{AuditAction, AuditSubject};
use bhyt_core::sync::messages::Refusal;

use super::cards::lost_races;
use super::docs::{Found, holder_key, write};
use super::fault::{ServiceFault, Stop};
use super::operations::Operation;
use super::values::{DeviceV2, OperationAnswerV1};
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::store::{COMMIT_KEYS_MAX, DocKind, Expected, Outcome, Store};

impl<S: Store> Service<S> {
    /// The devices of a member, oldest first.
    pub(crate) async fn list_devices(
        &self,
        operation: &Operation,
        alias: &str,
    ) -> Result<Vec<DeviceView>, Stop> {
        let member = self.demand_member(alias).await?;
        self.note_done(operation, AuditAction::ListDevices, member.subject()).await?;
        Ok(self.device_views(&member).await?)
    }

    /// Retires a device for good.
    pub(crate) async fn retire_device(&self, operation: &Operation, id: &str) -> Result<Applied, Stop> {
        let id = KeyId::from_hex(id.trim()).ok_or(Refusal::Malformed)?;
        for _ in 0..ATTEMPTS_MAX {
            if self.done_before(operation).await?.is_some() {
                return Ok(Applied::Duplicate);
            }
            let key = holder_key(DocKind::Device, id);
            let found: Option<Found<DeviceV2>> = self.doc("device", &key).await?;
            let found = found.ok_or(Refusal::NotFound)?;
            if found.value.retired.is_some() {
                return Ok(Applied::Duplicate);
            }
            let mut draft = Draft::default();
            let whole = self.retire_bindings(id, &found.value, operation, &mut draft).await?;
            let mut device = found.value;
            if whole {
                device.retired = Some(operation.now);
                let expected = Expected::Revision(found.revision);
                let docs = &mut draft.commit.docs;
                docs.push(write("device", key, expected, &device)?);
                docs.push(operation.remember(OperationAnswerV1::Applied)?);
                let member = device.members.first().map(|held| held.member.into());
                let subject = AuditSubject::Device { device: id, member };
                docs.push(self.audit(operation, AuditAction::RetireDevice, subject, 0)?);
            }
            let applied = self.commit(draft).await? == Outcome::Applied;
            if applied && whole {
                self.hub.retire(&device.transport_key);
                self.publish_soon();
                return Ok(Applied::Accepted);
            }
        }
        Err(lost_races().into())
    }

    /// Ends the device's bindings, as many as one commit takes; says whether that is all of them.
    async fn retire_bindings(
        &self,
        id: KeyId,
        device: &DeviceV2,
        operation: &Operation,
        draft: &mut Draft<'_, '_>,
    ) -> Result<bool, ServiceFault> {
        let today = operation.now.day();
        for member in self.holds_of(device).await?.into_keys() {
            let missing = ServiceFault::Inconsistent { what: "member" };
            let member = self.open_member(member).await?.ok_or(missing)?;
            for mut card in self.open_cards(&member).await? {
                let bindings = card.details.bindings.iter();
                let of_device = bindings.filter(|binding| binding.device == id);
                let numbers: Vec<_> = of_device.map(|binding| binding.number).collect();
                if numbers.is_empty() {
                    continue;
                }
                if draft.commit.docs.len() + draft.status.keys() + KEYS_KEPT > COMMIT_KEYS_MAX {
                    return Ok(false);
                }
                for number in numbers {
                    self.retire(&mut card, number, today, &mut draft.status)?;
                }
                draft.commit.docs.push(card.write(&member.key, &*self.entropy)?);
            }
        }
        Ok(true)
    }
}

/// A card and its bindings, the device, operation and audit line, and the status change.
const KEYS_KEPT: usize = 1 + 16 + 4;
