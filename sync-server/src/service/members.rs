//! Members: found by any of their names, and shown to operators.

use bhyt_core::ids::{MemberId, Sex};
use bhyt_core::sync::admin::{MemberRow, MemberView};
use bhyt_core::sync::audit::{AuditAction, ShortMember};
use bhyt_core::sync::messages::Refusal;

use super::Service;
use super::docs::{Found, OpenMember, decode, holder_key};
use super::fault::{ServiceFault, Stop};
use super::operations::Operation;
use super::rows::Alias;
use super::values::{AliasV1, DeviceV2, MemberDetailsV1};
use crate::store::{DocKey, DocKind, Store};

impl<S: Store> Service<S> {
    /// The member of this alias; `None` when nobody goes by it.
    pub(crate) async fn find_member(&self, alias: &Alias) -> Result<Option<OpenMember>, ServiceFault> {
        match self.alias_id(alias).await? {
            Some(id) => self.open_member(id).await,
            None => Ok(None),
        }
    }

    /// Whom an alias stands for; an id stands for itself, whether there is such a member or not.
    pub(crate) async fn alias_id(&self, alias: &Alias) -> Result<Option<MemberId>, ServiceFault> {
        match alias {
            Alias::Id(id) => Ok(Some(*id)),
            Alias::Social(number) => self.member_alias(&self.vault.social_alias(number)).await,
            Alias::Personal(number) => self.member_alias(&self.vault.personal_alias(number)).await,
        }
    }

    /// The member named by an operator's text: an alias, or the short id of the audit trail if it is one member's alone.
    pub(crate) async fn demand_member(&self, text: &str) -> Result<OpenMember, Stop> {
        if let Some(short) = ShortMember::from_hex(text.trim()) {
            return self.demand_short(short).await;
        }
        let alias = Alias::parse(text).ok_or(Refusal::Malformed)?;
        let member = self.find_member(&alias).await?;
        Ok(member.ok_or(Refusal::NotFound)?)
    }

    /// A member as an operator sees it. That it was looked at is audited.
    pub(crate) async fn show_member(&self, operation: &Operation, alias: &str) -> Result<MemberView, Stop> {
        let member = self.demand_member(alias).await?;
        self.note_done(operation, AuditAction::ShowMember, member.subject()).await?;
        Ok(self.member_view(&member).await?)
    }

    /// A member as an operator sees it.
    pub(crate) async fn member_view(&self, member: &OpenMember) -> Result<MemberView, ServiceFault> {
        let head = self.store.head(member.id).await?;
        let mut cards = Vec::with_capacity(member.details.cards.len());
        for card in self.open_cards(member).await?.iter().rev() {
            cards.push(card.details.facts.number.as_str().to_owned());
        }
        let mut devices = 0;
        for id in &member.details.devices {
            let key = holder_key(DocKind::Device, *id);
            let device: Option<Found<DeviceV2>> = self.doc("device", &key).await?;
            devices += u32::from(device.is_some_and(|device| device.value.retired.is_none()));
        }
        Ok(MemberView {
            id: member.id.to_hex(),
            row: to_row(&member.details),
            cards,
            devices,
            records: head.map_or(0, |head| head.size),
        })
    }

    async fn demand_short(&self, short: ShortMember) -> Result<OpenMember, Stop> {
        // Every id that begins so is greater than the four bytes alone.
        let found = self.store.doc_scan(DocKind::Member, Some(short.0.to_vec()), 2).await?;
        let mut ids = found.into_iter().map(|(key, _)| key.id).filter(|id| id.starts_with(&short.0));
        let id = ids.next().ok_or(Refusal::NotFound)?;
        if ids.next().is_some() {
            return Err(Refusal::Conflict.into());
        }
        let id = id.try_into().map_err(|_| ServiceFault::Inconsistent { what: "member" })?;
        Ok(self.open_member(MemberId(id)).await?.ok_or(Refusal::NotFound)?)
    }

    async fn member_alias(&self, key: &DocKey) -> Result<Option<MemberId>, ServiceFault> {
        let doc = self.store.doc_get(key).await?;
        let found = doc.map(|doc| decode("alias", &doc)).transpose()?;
        found.map(|found| alias_member(&found)).transpose()
    }
}

/// The member that an alias of a person's number stands for.
pub(crate) fn alias_member(alias: &Found<AliasV1>) -> Result<MemberId, ServiceFault> {
    match alias.value {
        AliasV1::Member(member) => Ok(member),
        AliasV1::Card { .. } => Err(ServiceFault::Inconsistent { what: "alias" }),
    }
}

fn to_row(details: &MemberDetailsV1) -> MemberRow {
    let sex = match details.sex {
        Sex::Unknown => "U",
        Sex::Male => "M",
        Sex::Female => "F",
    };
    MemberRow {
        member_id: details.social_number.as_str().to_owned(),
        full_name: details.full_name.as_str().to_owned(),
        birth_date: details.birth_date.iso(),
        sex: sex.to_owned(),
        personal_id: details
            .personal_number
            .as_ref()
            .map_or_else(String::new, |number| number.as_str().to_owned()),
        phone: details.phone.clone(),
        address: details.address.clone(),
    }
}
