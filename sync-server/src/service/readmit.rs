//! Phones that a restored server has forgotten: activated after the backup, each comes back with what we signed for it
//! and no code. It shows a card bound to its presentation key, that key's proof over the transport key that speaks here,
//! and a head of the member's feed.
//!
//! Promises: whoever is readmitted was a device of that member after the backup, and its binding has neither ended nor
//! been retired in the list that was adopted. A number that two devices have is retired, and both get another. Who shows
//! what we signed of a member who was erased is told to wipe.
//! Refuses: everybody on a server that was not restored; a card key alone, since no head goes to anybody but the
//! member's devices; a presentation key that is another device's.

use bhyt_core::card::{Binding, CardClaims};
use bhyt_core::card_record::CardStanding;
use bhyt_core::cose::{Payload, Signed, Verified};
use bhyt_core::feed::{EpochStatement, FeedHead};
use bhyt_core::ids::{MemberId, OperationId};
use bhyt_core::keys::KeyId;
use bhyt_core::limits::BINDING_DAYS;
use bhyt_core::presentation::Proof;
use bhyt_core::presentation_key::PresentationKey;
use bhyt_core::sync::audit::{AuditAction, AuditLine, AuditOutcome, AuditSubject};
use bhyt_core::sync::messages::{HandBack, Readmit, Refusal, Reply, Request};
use bhyt_core::time::{Day, UnixSeconds};
use bhyt_core::trust::KeyUse;

use super::activation::hold;
use super::answer::{Peer, ReplySink};
use super::cards::lost_races;
use super::docs::{Found, OpenCard, OpenMember, holder_key, write};
use super::fault::{ServiceFault, Stop};
use super::principal::Principal;
use super::restored::RestoredV1;
use super::values::{BindingV2, DeviceV2};
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::store::{DocKind, Outcome, Store};

/// What a phone has shown, verified.
struct Shown {
    claims: CardClaims,
    binding: Binding,
    credential: Vec<u8>,
    signed_by: KeyId,
}

impl<S: Store> Service<S> {
    /// Tells a phone that is in no table that this server may have forgotten it.
    ///
    /// # Errors
    /// [`Refusal::Forgotten`], or [`Refusal::Busy`] while the server awaits a status list.
    pub(crate) fn check_forgotten(&self, principal: &Principal, request: &Request) -> Result<(), Refusal> {
        let phone = matches!(
            (principal, request),
            (Principal::Stranger, Request::SyncWallet(_) | Request::SyncFeeds(_))
        );
        if phone && self.restored.is_some() {
            self.check_issuing()?;
        }
        match phone && self.may_have_forgotten() {
            true => Err(Refusal::Forgotten),
            false => Ok(()),
        }
    }

    /// Whether there may be phones that a restore has forgotten: their bindings end some time.
    pub(crate) fn may_have_forgotten(&self) -> bool {
        let adopted = self.restored.filter(|restored| restored.list.is_some());
        adopted.is_some_and(|restored| self.clock.now().day() <= longest_binding(&restored))
    }

    /// Takes a phone back for one credential of one member; done twice it is the same as once.
    pub(crate) async fn readmit(
        &self,
        peer: &Peer,
        request: &Readmit,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let now = self.clock.now();
        self.attempts.check(peer, now)?;
        match self.try_readmit(peer, request, now).await {
            Ok(Readmitted::Known) => Ok(()),
            Ok(Readmitted::Retired) => {
                self.attempts.fail(peer, now);
                sink.send(Reply::Retired(request.member)).await
            }
            Err(stop) => {
                if matches!(stop, Stop::Refused(_)) {
                    self.attempts.fail(peer, now);
                }
                Err(stop)
            }
        }
    }

    async fn try_readmit(
        &self,
        peer: &Peer,
        request: &Readmit,
        now: UnixSeconds,
    ) -> Result<Readmitted, Stop> {
        let shown = self.verify_shown(peer, request, now)?;
        if self.is_gone(request.member) {
            return Ok(Readmitted::Retired);
        }
        let index = shown.claims.status_index;
        let listed = self.publisher.with_sets(|sets| sets.binding_retired(index, shown.binding.number));
        if listed && !self.holds(peer, request.member, &shown).await? {
            return Ok(Readmitted::Retired);
        }
        // A carer's binding is shorter (ADR 0014): it makes nobody a holder in their own right.
        if shown.binding.end != longest_of(&shown.claims) {
            return Err(Refusal::NotAuthorised.into());
        }
        let member = self.open_member(request.member).await?.ok_or(Refusal::NotFound)?;
        if !member.details.cards.contains(&index) {
            self.enter_shown(request, &shown).await?;
        }
        for _ in 0..ATTEMPTS_MAX {
            if let Some(done) = self.try_enter_device(peer, request.member, &shown, now).await? {
                return Ok(done);
            }
        }
        Err(lost_races().into())
    }

    /// Judges everything that was signed, before anything is read.
    fn verify_shown(&self, peer: &Peer, request: &Readmit, now: UnixSeconds) -> Result<Shown, Refusal> {
        let trust = self.trust.current();
        let signed = Signed::<CardClaims>::decode(&request.credential).map_err(|_| Refusal::Malformed)?;
        let signed_by = signed.key_id();
        let key = trust.claims().key(signed_by, KeyUse::Card).ok_or(Refusal::NotAuthorised)?;
        let claims = signed.verify(&key.key).map_err(|_| Refusal::Malformed)?.into_claims();
        let binding = claims.binding.ok_or(Refusal::Malformed)?;
        // Old as it may be: it says that the two keys are of one device, which does not change.
        let possession = Proof::from(&request.possession);
        possession.verify(peer.key.as_bytes(), &binding.key).map_err(|_| Refusal::Malformed)?;
        if self.member_of_head(&request.head)? != request.member {
            return Err(Refusal::Malformed);
        }
        let permitted =
            key.may_sign_at(claims.issued_at) && key.verifies_at(now) && key.covers(claims.status_index);
        let restored = self.restored.filter(|_| self.may_have_forgotten()).ok_or(Refusal::NotAuthorised)?;
        // What was signed after the restore is not forgotten.
        let before = claims.issued_at <= restored.at;
        match permitted && before && !is_over(&claims, &binding, now.day()) {
            true => Ok(Shown { claims, binding, credential: request.credential.clone(), signed_by }),
            false => Err(Refusal::NotAuthorised),
        }
    }

    /// Whose feed a head is of, or the statement of an epoch.
    fn member_of_head(&self, bytes: &[u8]) -> Result<MemberId, Refusal> {
        if let Ok(head) = Signed::<FeedHead>::decode(bytes)
            && let Ok(head) = self.verify_of_feed(head, |head| head.time)
        {
            return Ok(head.claims().member);
        }
        let statement = Signed::<EpochStatement>::decode(bytes).map_err(|_| Refusal::Malformed)?;
        let statement = self.verify_of_feed(statement, |statement| statement.time)?;
        Ok(statement.claims().member)
    }

    fn verify_of_feed<T: Payload>(
        &self,
        signed: Signed<T>,
        time: impl Fn(&T) -> UnixSeconds,
    ) -> Result<Verified<T>, Refusal> {
        let trust = self.trust.current();
        let key = trust.claims().key(signed.key_id(), KeyUse::Head).ok_or(Refusal::NotAuthorised)?;
        let verified = signed.verify(&key.key).map_err(|_| Refusal::Malformed)?;
        let permitted = key.may_sign_at(time(verified.claims()));
        permitted.then_some(verified).ok_or(Refusal::NotAuthorised)
    }

    /// Enters a card that was issued after the backup, by its record.
    async fn enter_shown(&self, request: &Readmit, shown: &Shown) -> Result<(), Stop> {
        let record = request.record.clone().ok_or(Refusal::NotFound)?;
        let handed = HandBack { member: request.member, head: request.head.clone(), record };
        let of_card = self.handed_index(&handed) == Some(shown.claims.status_index);
        if !of_card {
            return Err(Refusal::Malformed.into());
        }
        self.take_back_of(&handed).await
    }

    /// `None` when the commit was lost.
    async fn try_enter_device(
        &self,
        peer: &Peer,
        member: MemberId,
        shown: &Shown,
        now: UnixSeconds,
    ) -> Result<Option<Readmitted>, Stop> {
        let mut member = self.open_member(member).await?.ok_or(Refusal::NotFound)?;
        if !member.details.cards.contains(&shown.claims.status_index) {
            // Its number is somebody else's by now.
            return Err(Refusal::Conflict.into());
        }
        let mut card = self.open_card(&member, shown.claims.status_index).await?;
        if let CardStanding::Withdrawn | CardStanding::Reduced(_) = card.details.standing {
            return Err(Refusal::NotAuthorised.into());
        }
        let (number, today, id) = (shown.binding.number, now.day(), peer.key.key_id());
        let taken = taken_number(&card, id, shown, today);
        let retired = card.details.retired.iter().any(|(it, until)| *it == number && *until >= today);
        match self.holds(peer, member.id, shown).await? {
            true if retired || matches!(taken, Taken::Ours) => return Ok(Some(Readmitted::Known)),
            false if retired => return Ok(Some(Readmitted::Retired)),
            _ => {}
        }
        if self.is_anothers(&member, id, &shown.binding.key).await? {
            return Err(Refusal::Conflict.into());
        }
        let device_key = holder_key(DocKind::Device, id);
        let device: Option<Found<DeviceV2>> = self.doc("device", &device_key).await?;
        let mut draft = Draft::default();
        match taken {
            Taken::Ours => {}
            Taken::Free => enter_binding(&mut card, id, shown, today),
            Taken::Anothers(end) => {
                let bindings = card.details.bindings.iter_mut();
                bindings.filter(|it| it.number == number).for_each(|it| it.end = it.end.max(end));
                self.retire(&mut card, number, today, &mut draft.status)?;
                draft.commit.announce.push(member.id);
            }
        }
        let (expected, device) = hold(device, peer.key, shown.binding.key, member.id, now)?;
        self.list_device(&mut member, id).await?;
        draft.commit.docs.push(write("device", device_key, expected, &device)?);
        draft.commit.docs.push(member.write(&*self.entropy)?);
        draft.commit.docs.push(card.write(&member.key, &*self.entropy)?);
        draft.commit.docs.push(self.readmission(id, member.id, now)?);
        let outcome = self.commit(draft).await?;
        self.publish_soon();
        Ok((outcome == Outcome::Applied).then_some(Readmitted::Known))
    }

    /// Whether this phone is known already, by this key: what it shows then changes nothing for the worse.
    async fn holds(&self, peer: &Peer, member: MemberId, shown: &Shown) -> Result<bool, ServiceFault> {
        let device: Option<Found<DeviceV2>> =
            self.doc("device", &holder_key(DocKind::Device, peer.key.key_id())).await?;
        let mut held = device.into_iter().flat_map(|device| device.value.members);
        Ok(held.any(|held| held.member == member && held.presentation_key == shown.binding.key))
    }

    /// Whether the presentation key is that of another device of the member, active or not: one key is one phone.
    async fn is_anothers(
        &self,
        member: &OpenMember,
        id: KeyId,
        key: &PresentationKey,
    ) -> Result<bool, ServiceFault> {
        for other in member.details.devices.iter().filter(|other| **other != id) {
            let device: Option<Found<DeviceV2>> =
                self.doc("device", &holder_key(DocKind::Device, *other)).await?;
            let held = device.into_iter().flat_map(|device| device.value.members);
            if held.into_iter().any(|held| held.member == member.id && held.presentation_key == *key) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn readmission(
        &self,
        device: KeyId,
        member: MemberId,
        time: UnixSeconds,
    ) -> Result<crate::store::DocWrite, ServiceFault> {
        self.line_write(&AuditLine {
            time,
            operator: None,
            action: AuditAction::ReadmitDevice,
            subject: AuditSubject::Device { device, member: Some(member.into()) },
            outcome: AuditOutcome::Done,
            rows: 0,
            operation: OperationId([0; 16]),
        })
    }
}

/// What became of a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readmitted {
    /// It is a device of the member, now or already.
    Known,
    /// Its binding was retired, or the member erased: it is to wipe the member.
    Retired,
}

/// Who has a binding's number.
enum Taken {
    Ours,
    Free,
    /// Another device or key; the number may be shown until this day.
    Anothers(Day),
}

fn taken_number(card: &OpenCard, id: KeyId, shown: &Shown, today: Day) -> Taken {
    let mut bindings = card.details.bindings.iter();
    let number = shown.binding.number;
    match bindings.find(|binding| binding.number == number && binding.end >= today) {
        Some(held) if held.device != id || held.key != shown.binding.key => {
            Taken::Anothers(shown.binding.end)
        }
        Some(held) if held.end >= shown.binding.end => Taken::Ours,
        _ => Taken::Free,
    }
}

fn enter_binding(card: &mut OpenCard, device: KeyId, shown: &Shown, today: Day) {
    let Binding { key, number, end } = shown.binding;
    let (credential, signed_by) = (shown.credential.clone(), shown.signed_by);
    let bindings = &mut card.details.bindings;
    bindings.retain(|binding| binding.end >= today && binding.number != number);
    bindings.push(BindingV2 { number, device, key, end, credential, signed_by });
}

/// A retired binding leaves the list with the card's last day or its own: after either nothing tells whether it was. None
/// that we signed lasts longer than [`BINDING_DAYS`].
fn is_over(claims: &CardClaims, binding: &Binding, today: Day) -> bool {
    let card_over = claims.valid_to.is_some_and(|last| last < today);
    card_over || binding.end < today || binding.end > longest_of(claims)
}

/// The end that a binding of the member's own device has.
fn longest_of(claims: &CardClaims) -> Day {
    claims.issued_at.day().plus_days(BINDING_DAYS)
}

/// The last day of any binding that was made before the restore.
pub(crate) fn longest_binding(restored: &RestoredV1) -> Day {
    restored.at.day().plus_days(BINDING_DAYS)
}
