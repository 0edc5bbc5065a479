//! What is kept of a member, for the member: what the law lets people ask for (NĐ 356/2025), with the signed bytes that
//! prove it. That it was read out stands in the audit trail before the first byte leaves. Not in it yet: the personal
//! document with its petitions, and the grants that the member gave or holds.
//!
//! Promises: the pages are those that the head covers. Refuses to send a feed that grew so fast that head and pages never
//! met.

use bhyt_core::keys::KeyId;
use bhyt_core::record::Seq;
use bhyt_core::sync::admin::{AdminReply, DeviceView};
use bhyt_core::sync::audit::AuditAction;
use bhyt_core::sync::export::ExportPiece;
use bhyt_core::sync::messages::Reply;

use super::Service;
use super::answer::ReplySink;
use super::cards::view_of;
use super::docs::{Found, OpenMember, holder_key};
use super::fault::{ServiceFault, Stop};
use super::operations::Operation;
use super::values::DeviceV2;
use crate::store::{DocKind, Store};

impl<S: Store> Service<S> {
    /// Sends the member, cards, devices and the whole feed.
    pub(crate) async fn export_member(
        &self,
        operation: &Operation,
        alias: &str,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let member = self.demand_member(alias).await?;
        self.note_done(operation, AuditAction::ExportMember, member.subject()).await?;
        sink.send(piece(ExportPiece::Member(self.member_view(&member).await?))).await?;
        for card in self.open_cards(&member).await? {
            let view = Box::new(view_of(&member, &card.details, card.index));
            let credential = card.details.credential;
            sink.send(piece(ExportPiece::Card { view, credential })).await?;
        }
        let devices = self.device_views(&member).await?;
        sink.send(piece(ExportPiece::Devices(devices))).await?;
        self.export_feed(&member, sink).await
    }

    /// The head first, and of the pages what it covers: a record that comes meanwhile is of the next export.
    async fn export_feed(&self, member: &OpenMember, sink: &mut impl ReplySink) -> Result<(), Stop> {
        let Some(head) = self.served_head(member.id).await? else { return Ok(()) };
        sink.send(piece(ExportPiece::Head(head.signed().to_vec()))).await?;
        let (mut next, end) = (Seq(0), Seq(head.extent.size));
        while next < end {
            let pages = self.feed_pages(member.id, &member.key, next, PAGES_AT_A_TIME).await?;
            let before = next;
            for page in pages.iter().filter_map(|page| page.until(end)) {
                next = page.next_seq();
                sink.send(piece(ExportPiece::Page(page))).await?;
            }
            if next == before {
                return Err(ServiceFault::Inconsistent { what: "feed page" }.into());
            }
        }
        Ok(())
    }

    /// The devices of a member, oldest first.
    pub(crate) async fn device_views(&self, member: &OpenMember) -> Result<Vec<DeviceView>, ServiceFault> {
        let mut views = Vec::with_capacity(member.details.devices.len());
        for id in &member.details.devices {
            views.push(self.device_view(*id).await?);
        }
        Ok(views)
    }

    async fn device_view(&self, id: KeyId) -> Result<DeviceView, ServiceFault> {
        let key = holder_key(DocKind::Device, id);
        let missing = ServiceFault::Inconsistent { what: "device" };
        let device: Found<DeviceV2> = self.doc("device", &key).await?.ok_or(missing)?;
        Ok(DeviceView {
            id: id.to_string(),
            activated: device.value.activated,
            retired: device.value.retired,
        })
    }
}

fn piece(piece: ExportPiece) -> Reply {
    Reply::Admin(AdminReply::Export(Box::new(piece)))
}

const PAGES_AT_A_TIME: usize = 8;
