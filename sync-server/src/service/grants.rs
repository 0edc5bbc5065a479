//! Grants: a carer's phones hold a dependant's card by what an operator entered, with bindings of their own. Nothing is
//! written on a phone's entry for it: who holds what is asked of the grants at each exchange, so a grant that has ended
//! gives nothing from that moment on.
//!
//! Promises: a carer's binding ends with the grant at the latest, and revoking a grant lists it, as erasing the carer does;
//! of an erased member no grant is left on either side. Refuses: passing a grant on. Only who holds the carer in their own
//! right holds the dependant.

use std::collections::{BTreeMap, BTreeSet};

use bhyt_core::codec::Schema;
use bhyt_core::cose::Unsigned;
use bhyt_core::grant::{Grant, GrantScope};
use bhyt_core::ids::MemberId;
use bhyt_core::keys::KeyId;
use bhyt_core::limits::{GRANT_BINDING_DAYS, GRANT_BINDING_RENEW_DAYS, GRANT_DAYS_MAX, GRANTS_MAX};
use bhyt_core::presentation_key::PresentationKey;
use bhyt_core::sync::admin::{Applied, NewGrant};
use bhyt_core::sync::audit::AuditAction;
use bhyt_core::sync::messages::Refusal;
use bhyt_core::time::Day;
use bhyt_core::trust::KeyUse;
use serde::{Deserialize, Serialize};

use super::bindings::Holder;
use super::cards::lost_races;
use super::docs::{Found, OpenMember, holder_key, write};
use super::fault::{ServiceFault, Stop};
use super::operations::Operation;
use super::values::{DeviceV2, OperationAnswerV1};
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::store::{BYTES_MAX, COMMIT_KEYS_MAX, Commit, DocKey, DocKind, DocWrite, Expected, Outcome, Store};

/// A member's grants. Those that are over leave on both sides when another is entered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GrantsV1 {
    /// As a carer, with the signed bytes; at most [`GRANTS_MAX`], one a dependant.
    pub(crate) held: Vec<SignedGrantV1>,
    /// As a dependant; at most [`GRANTS_MAX`], one a carer.
    pub(crate) given: Vec<Grant>,
}

/// A grant as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignedGrantV1 {
    /// What it says.
    pub(crate) grant: Grant,
    /// The signed bytes.
    pub(crate) signed: Vec<u8>,
}

impl GrantsV1 {
    /// All of them, held and given.
    fn all(&self) -> impl Iterator<Item = Grant> {
        self.held.iter().map(|held| held.grant).chain(self.given.iter().copied())
    }

    /// Takes out what `ended` names; says whether there was any.
    pub(crate) fn end(&mut self, ended: impl Fn(&Grant) -> bool) -> bool {
        let before = self.held.len() + self.given.len();
        self.held.retain(|held| !ended(&held.grant));
        self.given.retain(|grant| !ended(grant));
        self.held.len() + self.given.len() < before
    }
}

impl Schema for GrantsV1 {
    const SCHEMA: u16 = 180;
    const BYTES_MAX: usize = BYTES_MAX;
}

/// How a device holds a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) key: PresentationKey,
    /// By this grant; `None` in its own right.
    pub(crate) grant: Option<SignedGrantV1>,
}

impl Hold {
    /// Whether the member's records are held too.
    pub(crate) fn with_records(&self) -> bool {
        self.grant.as_ref().is_none_or(|held| held.grant.scope == GrantScope::CardAndRecords)
    }
}

impl<S: Store> Service<S> {
    /// Every member that a device holds now, in its own right or by a grant.
    pub(crate) async fn holds_of(&self, device: &DeviceV2) -> Result<BTreeMap<MemberId, Hold>, ServiceFault> {
        let today = self.clock.now().day();
        let mut holds = BTreeMap::new();
        // Of somebody who is being erased, or was, there is nothing to hold.
        let members = || device.members.iter().filter(|own| !self.is_gone(own.member));
        for own in members() {
            let key = own.presentation_key;
            for held in self.grants(own.member).await?.value.held {
                if held.grant.covers(today) && !self.is_gone(held.grant.dependant) {
                    holds.entry(held.grant.dependant).or_insert(Hold { key, grant: Some(held) });
                }
            }
        }
        for own in members() {
            holds.insert(own.member, Hold { key: own.presentation_key, grant: None });
        }
        Ok(holds)
    }

    /// A write that changes nothing and is lost when the grant has ended meanwhile: for the commit of a carer's binding.
    pub(crate) async fn guard_grant(&self, grant: &Grant) -> Result<DocWrite, Stop> {
        let found = self.grants(grant.carer).await?;
        let mut held = found.value.held.iter();
        if !held.any(|held| held.grant == *grant) {
            return Err(Refusal::Conflict.into());
        }
        Ok(write_grants(grant.carer, &found)?)
    }

    /// Enters a grant.
    pub(crate) async fn add_grant(&self, operation: &Operation, new: &NewGrant) -> Result<Applied, Stop> {
        for _ in 0..ATTEMPTS_MAX {
            if self.done_before(operation).await?.is_some() {
                return Ok(Applied::Duplicate);
            }
            let dependant = self.demand_member(&new.dependant).await?;
            let carer = self.demand_member(&new.carer).await?;
            let grant = checked(new, dependant.id, carer.id, operation)?;
            let today = operation.now.day();
            if !(self.drop_over(dependant.id, today).await? && self.drop_over(carer.id, today).await?) {
                continue;
            }
            let (mut given, mut held) = (self.grants(dependant.id).await?, self.grants(carer.id).await?);
            if let Some(there) = given.value.given.iter().find(|there| there.carer == carer.id) {
                return match (Grant { time: there.time, ..grant }) == *there {
                    true => Ok(Applied::Duplicate),
                    // Ended first, so that no binding lasts beyond what it was given for.
                    false => Err(Refusal::Conflict.into()),
                };
            }
            if given.value.given.len() >= GRANTS_MAX || held.value.held.len() >= GRANTS_MAX {
                return Err(Refusal::Conflict.into());
            }
            let signed = self.sign(KeyUse::Head, operation.now, |key| Unsigned::new(grant, key))?;
            given.value.given.push(grant);
            held.value.held.push(SignedGrantV1 { grant, signed: signed.bytes().to_vec() });
            let mut draft = Draft::default();
            let docs = &mut draft.commit.docs;
            docs.push(write_grants(dependant.id, &given)?);
            docs.push(write_grants(carer.id, &held)?);
            // As they are: to a member that is being erased meanwhile nothing is given.
            docs.push(dependant.write(&*self.entropy)?);
            docs.push(carer.write(&*self.entropy)?);
            docs.push(operation.remember(OperationAnswerV1::Applied)?);
            docs.push(self.audit(operation, AuditAction::AddGrant, dependant.subject(), 0)?);
            draft.commit.announce.push(carer.id);
            if self.commit(draft).await? == Outcome::Applied {
                return Ok(Applied::Accepted);
            }
        }
        Err(lost_races().into())
    }

    /// Ends a grant now: the bindings of the carer's phones are retired with it.
    pub(crate) async fn revoke_grant(
        &self,
        operation: &Operation,
        dependant: &str,
        carer: &str,
    ) -> Result<Applied, Stop> {
        for _ in 0..ATTEMPTS_MAX {
            if self.done_before(operation).await?.is_some() {
                return Ok(Applied::Duplicate);
            }
            let dependant = self.demand_member(dependant).await?;
            let carer = self.demand_member(carer).await?;
            let parted = self.part(dependant.id, carer.id).await?;
            if parted.is_empty() {
                return Err(Refusal::NotFound.into());
            }
            let mut draft = Draft::default();
            let today = operation.now.day();
            let whole = self.retire_granted(&dependant, &carer, today, &mut draft).await?;
            if whole {
                let docs = &mut draft.commit.docs;
                docs.extend(parted);
                docs.push(operation.remember(OperationAnswerV1::Applied)?);
                docs.push(self.audit(operation, AuditAction::RevokeGrant, dependant.subject(), 0)?);
                draft.commit.announce.push(dependant.id);
            }
            if self.commit(draft).await? == Outcome::Applied && whole {
                self.publish_soon();
                return Ok(Applied::Accepted);
            }
        }
        Err(lost_races().into())
    }

    /// The grants that a member has given and holds, over or not.
    pub(crate) async fn list_grants(&self, operation: &Operation, alias: &str) -> Result<Vec<Grant>, Stop> {
        let member = self.demand_member(alias).await?;
        self.note_done(operation, AuditAction::ListGrants, member.subject()).await?;
        let grants = self.grants(member.id).await?.value;
        Ok(grants.given.into_iter().chain(grants.held.into_iter().map(|held| held.grant)).collect())
    }

    /// Ends the grants by which a device held `dependant`, after a restore: the newest list has retired its binding.
    pub(crate) async fn end_grants_to(
        &self,
        dependant: MemberId,
        device: &DeviceV2,
    ) -> Result<(), ServiceFault> {
        for own in &device.members {
            let docs = self.part(dependant, own.member).await?;
            if docs.is_empty() {
                continue;
            }
            // Nobody else writes to this store now.
            let _ = self.store.commit(Commit { docs, ..Commit::default() }).await?;
        }
        Ok(())
    }

    /// Takes a member who is erased out of all grants, on both sides, and retires what the member's phones have of others,
    /// one grant after the other: an interrupted one goes on with those that are left.
    pub(crate) async fn leave_grants(&self, member: &OpenMember) -> Result<(), ServiceFault> {
        let mut lost = 0;
        while lost < ATTEMPTS_MAX {
            let own = self.grants(member.id).await?;
            if own.expected == Expected::Absent {
                return Ok(());
            }
            let mut draft = Draft::default();
            match own.value.all().next() {
                Some(grant) => self.leave_grant(member, &grant, &mut draft).await?,
                None => {
                    let gone = DocWrite { key: grants_key(member.id), expected: own.expected, bytes: None };
                    draft.commit.docs.push(gone);
                }
            }
            if self.commit(draft).await? == Outcome::Lost {
                lost += 1;
            }
        }
        Err(lost_races())
    }

    /// Ends one grant of a member who is erased, or a part of its bindings when they are too many for a commit.
    async fn leave_grant(
        &self,
        member: &OpenMember,
        grant: &Grant,
        draft: &mut Draft<'_, '_>,
    ) -> Result<(), ServiceFault> {
        let parted = self.part(grant.dependant, grant.carer).await?;
        let dependant = match grant.carer == member.id {
            true => self.open_any_member(grant.dependant).await?,
            // Of the member's own cards none is good any more.
            false => None,
        };
        let whole = match dependant {
            Some(dependant) => self.retire_granted(&dependant, member, self.clock.now().day(), draft).await?,
            None => true,
        };
        if whole {
            draft.commit.docs.extend(parted);
            draft.commit.announce.push(grant.dependant);
        }
        Ok(())
    }

    /// Takes a member out of grants that are over, on both sides; `false` when somebody else was faster.
    async fn drop_over(&self, member: MemberId, today: Day) -> Result<bool, ServiceFault> {
        let own = self.grants(member).await?.value;
        for over in own.all().filter(|grant| grant.until < today) {
            let docs = self.part(over.dependant, over.carer).await?;
            if self.store.commit(Commit { docs, ..Commit::default() }).await? == Outcome::Lost {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The writes that end a grant on both sides; none where there is none. Read before the cards that go into the same
    /// commit: it is lost then when a binding was made by the grant meanwhile.
    async fn part(&self, dependant: MemberId, carer: MemberId) -> Result<Vec<DocWrite>, ServiceFault> {
        let mut writes = Vec::new();
        for member in [dependant, carer] {
            let mut found = self.grants(member).await?;
            if found.value.end(|grant| (grant.dependant, grant.carer) == (dependant, carer)) {
                writes.push(write_grants(member, &found)?);
            }
        }
        Ok(writes)
    }

    /// Retires what the carer's phones have of the dependant's cards, as much as one commit takes; says whether that is all.
    async fn retire_granted(
        &self,
        dependant: &OpenMember,
        carer: &OpenMember,
        today: Day,
        draft: &mut Draft<'_, '_>,
    ) -> Result<bool, ServiceFault> {
        let phones = self.phones_without(carer, dependant.id).await?;
        for mut card in self.open_cards(dependant).await? {
            let bindings = card.details.bindings.iter();
            let theirs = bindings.filter(|binding| phones.contains(&binding.device));
            let numbers: Vec<_> = theirs.map(|binding| binding.number).collect();
            if numbers.is_empty() {
                continue;
            }
            if draft.commit.docs.len() + draft.status.keys() + KEYS_KEPT > COMMIT_KEYS_MAX {
                return Ok(false);
            }
            for number in numbers {
                self.retire(&mut card, number, today, &mut draft.status)?;
            }
            draft.commit.docs.push(card.write(&dependant.key, &*self.entropy)?);
        }
        Ok(true)
    }

    /// The carer's phones that do not hold the dependant in their own right.
    async fn phones_without(
        &self,
        carer: &OpenMember,
        dependant: MemberId,
    ) -> Result<BTreeSet<KeyId>, ServiceFault> {
        let mut phones = BTreeSet::new();
        for id in &carer.details.devices {
            let device: Option<Found<DeviceV2>> =
                self.doc("device", &holder_key(DocKind::Device, *id)).await?;
            let own =
                |device: &Found<DeviceV2>| device.value.members.iter().any(|held| held.member == dependant);
            if device.is_some_and(|device| !own(&device)) {
                phones.insert(*id);
            }
        }
        Ok(phones)
    }

    async fn grants(&self, member: MemberId) -> Result<FoundGrants, ServiceFault> {
        let found: Option<Found<GrantsV1>> = self.doc("grants", &grants_key(member)).await?;
        Ok(match found {
            Some(found) => FoundGrants { expected: Expected::Revision(found.revision), value: found.value },
            None => FoundGrants { expected: Expected::Absent, value: GrantsV1::default() },
        })
    }
}

impl Holder {
    /// Of a member, as it is held by a device.
    pub(crate) fn new(device: KeyId, hold: &Hold) -> Self {
        Self { device, key: hold.key, grant: hold.grant.as_ref().map(|held| held.grant) }
    }

    /// The last day of a binding that is made today.
    pub(crate) fn binding_end(&self, today: Day, of_own: i64) -> Day {
        match &self.grant {
            None => today.plus_days(of_own),
            Some(grant) => today.plus_days(GRANT_BINDING_DAYS).min(grant.until),
        }
    }

    /// The end from which on a binding need not be renewed yet.
    pub(crate) fn lasting(&self, today: Day, of_own: i64) -> Day {
        match &self.grant {
            None => today.plus_days(of_own),
            Some(grant) => today.plus_days(GRANT_BINDING_RENEW_DAYS).min(grant.until),
        }
    }
}

struct FoundGrants {
    expected: Expected,
    value: GrantsV1,
}

fn checked(
    new: &NewGrant,
    dependant: MemberId,
    carer: MemberId,
    operation: &Operation,
) -> Result<Grant, Refusal> {
    let NewGrant { scope, relation, until, .. } = *new;
    let today = operation.now.day();
    let from = new.from.unwrap_or(today);
    let dates = from <= until && today <= until && until <= from.plus_days(GRANT_DAYS_MAX);
    match dependant != carer && dates {
        true => Ok(Grant { dependant, carer, scope, relation, from, until, time: operation.now }),
        false => Err(Refusal::Malformed),
    }
}

fn write_grants(member: MemberId, found: &FoundGrants) -> Result<DocWrite, ServiceFault> {
    write("grants", grants_key(member), found.expected, &found.value)
}

fn grants_key(member: MemberId) -> DocKey {
    DocKey::new(DocKind::Grants, member.0)
}

/// A card and its bindings, both sides' grants, the operation, the audit line, and the status change.
const KEYS_KEPT: usize = 1 + 16 + 5;

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_core::codec;
    use bhyt_core::grant::GrantRelation;
    use bhyt_core::ids::hex;
    use bhyt_core::time::UnixSeconds;

    #[test]
    fn stored_bytes_are_frozen() {
        let day = |days| Day::from_days(days).unwrap();
        let grant = Grant {
            dependant: MemberId([1; 16]),
            carer: MemberId([2; 16]),
            scope: GrantScope::CardAndRecords,
            relation: GrantRelation::Guardian,
            from: day(3),
            until: day(4),
            time: UnixSeconds(5),
        };
        let value = GrantsV1 { held: vec![SignedGrantV1 { grant, signed: vec![6] }], given: vec![grant] };
        let bytes = codec::encode(&value).unwrap();
        let (a, b) = ("01".repeat(16), "02".repeat(16));
        let one = format!("{a}{b}010000000100000003000000040000000500000000000000");
        assert_eq!(hex(&bytes), format!("b4000100000000000000{one}0100000000000000060100000000000000{one}"));
        assert_eq!(codec::decode::<GrantsV1>(&bytes).unwrap(), value);
        let full = GrantsV1 {
            held: vec![SignedGrantV1 { grant, signed: vec![6; 176] }; GRANTS_MAX],
            given: vec![grant; GRANTS_MAX],
        };
        assert!(codec::encode(&full).is_ok());
    }
}
