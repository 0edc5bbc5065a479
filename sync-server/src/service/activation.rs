//! Activation: a phone comes with a one-time code and leaves as a device of the member, its cards bound to its key.
//! Whatever is wrong with code or member has one answer, so that nothing can be probed.

use bhyt_core::ids::MemberId;
use bhyt_core::keys::{KeyId, PublicKey};
use bhyt_core::limits::{DEVICES_MAX, WALLET_MEMBERS_MAX};
use bhyt_core::presentation::Proof;
use bhyt_core::presentation_key::PresentationKey;
use bhyt_core::sync::messages::{Activate, Refusal};
use bhyt_core::time::UnixSeconds;

use super::answer::Peer;
use super::bindings::Holder;
use super::cards::lost_races;
use super::codes::use_code;
use super::docs::{Found, OpenMember, holder_key, write};
use super::fault::{ServiceFault, Stop};
use super::rows::Alias;
use super::values::{DeviceV2, HeldMemberV2};
use super::values_operators::CodePurposeV1;
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::store::{DocKey, DocKind, Expected, Outcome, Store};

impl<S: Store> Service<S> {
    /// Activates the peer's device for a member.
    pub(crate) async fn activate(&self, peer: &Peer, request: &Activate) -> Result<MemberId, Stop> {
        if request.alias.len() > ALIAS_BYTES_MAX || request.code.len() > CODE_BYTES_MAX {
            return Err(Refusal::Malformed.into());
        }
        let now = self.clock.now();
        self.attempts.check(peer, now)?;
        let proof = Proof::from(&request.possession);
        if proof.verify(peer.key.as_bytes(), &request.presentation_key).is_err() {
            return Err(Refusal::Malformed.into());
        }
        for _ in 0..ATTEMPTS_MAX {
            match self.try_activate(peer, request, now).await {
                Ok(Some(member)) => return Ok(member),
                Ok(None) => {}
                Err(stop) => {
                    if matches!(stop, Stop::Refused(Refusal::BadCode)) {
                        self.attempts.fail(peer, now);
                    }
                    return Err(stop);
                }
            }
        }
        Err(lost_races().into())
    }

    /// `None` when the commit was lost.
    async fn try_activate(
        &self,
        peer: &Peer,
        request: &Activate,
        now: UnixSeconds,
    ) -> Result<Option<MemberId>, Stop> {
        let code = self.find_code(&request.code, now).await?;
        let member = match Alias::parse(&request.alias) {
            Some(alias) => self.find_member(&alias).await?,
            None => None,
        };
        let (code_key, code) = code.ok_or(Refusal::BadCode)?;
        let good_for = |member: &OpenMember| code.value.purpose == CodePurposeV1::Device(member.id);
        let Some(mut member) = member.filter(good_for) else {
            self.count_misuse(code_key, code).await?;
            return Err(Refusal::BadCode.into());
        };
        let device_key = holder_key(DocKind::Device, peer.key.key_id());
        let device: Option<Found<DeviceV2>> = self.doc("device", &device_key).await?;
        if let Some(user) = code.value.used_by {
            return again(user, peer, request, member.id, device.as_ref());
        }
        let id = peer.key.key_id();
        let (expected, device) = hold(device, peer.key, request.presentation_key, member.id, now)?;
        self.list_device(&mut member, id).await?;
        let mut draft = Draft::default();
        let holder = Holder { device: id, key: request.presentation_key, grant: None };
        let (commit, status) = (&mut draft.commit, &mut draft.status);
        self.bind_all(&member, holder, now, commit, status).await?;
        commit.docs.push(write("device", device_key, expected, &device)?);
        commit.docs.push(member.write(&*self.entropy)?);
        commit.docs.push(use_code(code_key, &code, peer.key)?);
        let outcome = self.commit(draft).await?;
        Ok((outcome == Outcome::Applied).then_some(member.id))
    }

    /// Enters the device into the member's list, if the member may have one more.
    pub(crate) async fn list_device(&self, member: &mut OpenMember, id: KeyId) -> Result<(), Stop> {
        if member.details.devices.contains(&id) {
            return Ok(());
        }
        let mut active = 0;
        let mut oldest_retired = None;
        for (at, other) in member.details.devices.iter().enumerate() {
            let key: DocKey = holder_key(DocKind::Device, *other);
            let device: Option<Found<DeviceV2>> = self.doc("device", &key).await?;
            if device.is_some_and(|device| device.value.retired.is_none()) {
                active += 1;
            } else {
                oldest_retired = oldest_retired.or(Some(at));
            }
        }
        if active >= DEVICES_MAX {
            return Err(Refusal::NoFreeBinding.into());
        }
        if member.details.devices.len() >= DEVICES_LISTED_MAX
            && let Some(at) = oldest_retired
        {
            member.details.devices.remove(at);
        }
        member.details.devices.push(id);
        Ok(())
    }
}

/// The code was used. Its user, who lost the answer, gets it again; nobody else gets anything.
fn again(
    user: PublicKey,
    peer: &Peer,
    request: &Activate,
    member: MemberId,
    device: Option<&Found<DeviceV2>>,
) -> Result<Option<MemberId>, Stop> {
    let holds =
        |held: &HeldMemberV2| held.member == member && held.presentation_key == request.presentation_key;
    let same = user == peer.key && device.is_some_and(|device| device.value.members.iter().any(holds));
    match same {
        true => Ok(Some(member)),
        false => Err(Refusal::BadCode.into()),
    }
}

/// The device with one member more.
pub(crate) fn hold(
    device: Option<Found<DeviceV2>>,
    transport_key: PublicKey,
    presentation_key: PresentationKey,
    member: MemberId,
    now: UnixSeconds,
) -> Result<(Expected, DeviceV2), Stop> {
    let (expected, mut device) = match device {
        Some(found) => (Expected::Revision(found.revision), found.value),
        None => {
            let device = DeviceV2 { transport_key, members: Vec::new(), activated: now, retired: None };
            (Expected::Absent, device)
        }
    };
    if device.transport_key != transport_key {
        return Err(ServiceFault::Inconsistent { what: "device" }.into());
    }
    device.members.retain(|held| held.member != member);
    if device.members.len() >= WALLET_MEMBERS_MAX || device.retired.is_some() {
        return Err(Refusal::Conflict.into());
    }
    device.members.push(HeldMemberV2 { member, presentation_key, activated: now });
    Ok((expected, device))
}

const ALIAS_BYTES_MAX: usize = 32;
const CODE_BYTES_MAX: usize = 64;
/// Devices listed of one member, retired ones included; the oldest retired one makes room.
const DEVICES_LISTED_MAX: usize = 64;
