//! Bindings: a device's hold on a card. A card in force is signed again for each device that holds its member, with the
//! device's presentation key, a free number and an end; near the end it is signed anew at a sync.

use bhyt_core::card::{Binding, CardClaims};
use bhyt_core::card_record::CardStanding;
use bhyt_core::cose::{Signed, Unsigned};
use bhyt_core::grant::Grant;
use bhyt_core::ids::{BindingNumber, MemberId};
use bhyt_core::keys::KeyId;
use bhyt_core::limits::{BINDING_DAYS, BINDING_RENEW_DAYS, BINDINGS_MAX};
use bhyt_core::presentation_key::PresentationKey;
use bhyt_core::sync::messages::Refusal;
use bhyt_core::time::{DAY_SECONDS, Day, UnixSeconds};
use bhyt_core::trust::KeyUse;

use super::cards::lost_races;
use super::docs::{OpenCard, OpenMember};
use super::fault::{ServiceFault, Stop};
use super::readmit::longest_binding;
use super::status_changes::{RETIRED_BINDINGS, StatusDraft, binding_value};
use super::values::{BindingV2, CardDetailsV2};
use super::{ATTEMPTS_MAX, Draft, Service};
use crate::exit::chain;
use crate::store::{Commit, Outcome, Store};

/// The device that is to hold a member's cards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) device: KeyId,
    pub(crate) key: PresentationKey,
    /// The grant by which a carer's device holds them.
    pub(crate) grant: Option<Grant>,
}

/// What binding did to a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The card holds as it did, or is none to hold.
    Unchanged,
    /// It was signed for the device.
    Signed,
    /// All numbers are in use.
    NoFreeNumber,
}

impl<S: Store> Service<S> {
    /// The member, and this device's credentials of all its cards, made or renewed where that is due.
    pub(crate) async fn bound_cards(
        &self,
        member: MemberId,
        holder: Holder,
        now: UnixSeconds,
    ) -> Result<(OpenMember, Vec<Vec<u8>>), Stop> {
        for _ in 0..ATTEMPTS_MAX {
            let missing = ServiceFault::Inconsistent { what: "member" };
            let member = self.open_member(member).await?.ok_or(missing)?;
            let mut cards = self.open_cards(&member).await?;
            let mut draft = Draft::default();
            for card in &mut cards {
                match self.bind(card, holder, now, &mut draft.status) {
                    Ok(Bound::Signed) => draft.commit.docs.push(card.write(&member.key, &*self.entropy)?),
                    Ok(Bound::Unchanged | Bound::NoFreeNumber) => {}
                    // Records go out though nobody signs; what was signed before is still good.
                    Err(fault @ (ServiceFault::NoKey { .. } | ServiceFault::Sign { .. })) => {
                        tracing::error!(error = chain(&fault), "card not signed for a device");
                    }
                    Err(fault) => return Err(fault.into()),
                }
            }
            let credentials = self.credentials_of(&cards, holder.device, now);
            if let (false, Some(grant)) = (draft.commit.docs.is_empty(), &holder.grant) {
                draft.commit.docs.push(self.guard_grant(grant).await?);
            }
            if draft.commit.docs.is_empty() || self.commit(draft).await? == Outcome::Applied {
                return Ok((member, credentials));
            }
        }
        Err(lost_races().into())
    }

    /// Binds every card in force to a new device, in the commit that activates it.
    pub(crate) async fn bind_all(
        &self,
        member: &OpenMember,
        holder: Holder,
        now: UnixSeconds,
        commit: &mut Commit,
        status: &mut StatusDraft,
    ) -> Result<(), Stop> {
        for mut card in self.open_cards(member).await? {
            match self.bind(&mut card, holder, now, status)? {
                Bound::Unchanged => {}
                Bound::Signed => commit.docs.push(card.write(&member.key, &*self.entropy)?),
                Bound::NoFreeNumber => return Err(Refusal::NoFreeBinding.into()),
            }
        }
        Ok(())
    }

    /// Gives the device a binding of the card that lasts long enough, if the card is one to hold. The card is changed
    /// only when it was signed.
    fn bind(
        &self,
        card: &mut OpenCard,
        holder: Holder,
        now: UnixSeconds,
        status: &mut StatusDraft,
    ) -> Result<Bound, ServiceFault> {
        let today = now.day();
        let details = &card.details;
        let over = details.facts.valid_to.is_some_and(|last| last < today);
        if over || !matches!(details.standing, CardStanding::InForce | CardStanding::Held) {
            return Ok(Bound::Unchanged);
        }
        let held = held_by(details, holder.device, today);
        let (number, replaced) = match held {
            Some(held) if held.key == holder.key && self.lasts(held, &holder, now) => {
                return Ok(Bound::Unchanged);
            }
            Some(held) if held.key == holder.key => (Some(held.number), None),
            // The device has a new key: the old one's hold ends now.
            Some(held) => (self.free_number(details, today), Some(held.number)),
            None => (self.free_number(details, today), None),
        };
        let Some(number) = number else { return Ok(Bound::NoFreeNumber) };
        let end = holder.binding_end(today, BINDING_DAYS);
        let mut claims = details.facts.claims(now);
        claims.binding = Some(Binding { key: holder.key, number, end });
        let signed = self.sign(KeyUse::Card, now, |key| Unsigned::new(claims, key))?;
        if let Some(replaced) = replaced {
            self.retire(card, replaced, today, status)?;
        }
        let bindings = &mut card.details.bindings;
        bindings.retain(|binding| binding.end >= today && binding.number != number);
        bindings.push(BindingV2 {
            number,
            device: holder.device,
            key: holder.key,
            end,
            credential: signed.bytes().to_vec(),
            signed_by: signed.key_id(),
        });
        Ok(Bound::Signed)
    }

    /// Ends a binding before its time: it enters the retired set until its end, or the card's. A restored server does not
    /// know of renewals after the backup, so it takes a binding of before for one that lasts as long as any.
    pub(crate) fn retire(
        &self,
        card: &mut OpenCard,
        number: BindingNumber,
        today: Day,
        status: &mut StatusDraft,
    ) -> Result<(), ServiceFault> {
        let least = self.restored.map(|restored| longest_binding(&restored));
        let bindings = card.details.bindings.iter_mut();
        for (binding, least) in bindings.filter(|it| it.number == number).zip(least) {
            binding.end = binding.end.max(least);
        }
        retire(card, number, today, status)
    }

    /// A number that no binding has and that has left the retired set for certain: the lowest. Bindings that a restored
    /// server has forgotten have low numbers, so as long as they last it gives out the highest.
    fn free_number(&self, details: &CardDetailsV2, today: Day) -> Option<BindingNumber> {
        let mut free = free_numbers(details, today);
        match self.may_have_forgotten() {
            true => free.next_back(),
            false => free.next(),
        }
    }

    /// Whether a binding needs no renewal: phones take it, its end is far, and so is that of the key that signed it, unless
    /// there is no other key.
    fn lasts(&self, binding: &BindingV2, holder: &Holder, now: UnixSeconds) -> bool {
        let trust = self.trust.current();
        let horizon = now.plus(BINDING_RENEW_DAYS.unsigned_abs() * DAY_SECONDS);
        let key = trust.claims().key(binding.signed_by, KeyUse::Card);
        let key_lasts = key.is_some_and(|key| key.verifies_at(horizon))
            || self.keys.key_for(KeyUse::Card, now) == Some(binding.signed_by);
        self.is_taken(binding, now)
            && key_lasts
            && binding.end >= holder.lasting(now.day(), BINDING_RENEW_DAYS)
    }

    /// Whether the bundle in force has the key that signed, and its window covers the moment of signing. A bundle that
    /// closes a key may come after something was signed outside the window that it gives.
    fn is_taken(&self, binding: &BindingV2, now: UnixSeconds) -> bool {
        let trust = self.trust.current();
        let Some(key) = trust.claims().key(binding.signed_by, KeyUse::Card) else {
            return false;
        };
        // What a key signed that still signs was signed in its window: only then is there no need to open the card.
        let signed_inside = || {
            let card = Signed::<CardClaims>::decode(&binding.credential).ok()?;
            Some(key.may_sign_at(card.verify(&key.key).ok()?.claims().issued_at))
        };
        key.may_sign_at(now) || signed_inside() == Some(true)
    }

    /// This device's credentials, newest card first, no more than a phone takes, and none that it would refuse.
    fn credentials_of(&self, cards: &[OpenCard], device: KeyId, now: UnixSeconds) -> Vec<Vec<u8>> {
        let shown = cards.iter().rev().filter(|card| match card.details.standing {
            CardStanding::InForce | CardStanding::Held | CardStanding::Superseded => true,
            CardStanding::Withdrawn | CardStanding::Reduced(_) => false,
        });
        shown
            .filter_map(|card| held_by(&card.details, device, now.day()))
            .filter(|binding| self.is_taken(binding, now))
            .map(|binding| binding.credential.clone())
            .take(BINDINGS_MAX)
            .collect()
    }
}

fn retire(
    card: &mut OpenCard,
    number: BindingNumber,
    today: Day,
    status: &mut StatusDraft,
) -> Result<(), ServiceFault> {
    let details = &mut card.details;
    let Some(at) = details.bindings.iter().position(|binding| binding.number == number) else {
        return Ok(());
    };
    let binding = details.bindings.remove(at);
    let until = details.facts.valid_to.map_or(binding.end, |last| last.min(binding.end));
    details.retired.retain(|(_, until)| *until >= today.plus_days(-RETIRED_MARGIN_DAYS));
    if until >= today {
        details.retired.push((number, until));
        let value = binding_value(card.index, number);
        status.add(RETIRED_BINDINGS, value, Some(until))?;
    }
    Ok(())
}

fn held_by(details: &CardDetailsV2, device: KeyId, today: Day) -> Option<&BindingV2> {
    let mut bindings = details.bindings.iter();
    bindings.find(|binding| binding.device == device && binding.end >= today)
}

fn free_numbers(details: &CardDetailsV2, today: Day) -> impl DoubleEndedIterator<Item = BindingNumber> {
    let used = move |number: &BindingNumber| {
        let bound = details.bindings.iter().any(|binding| binding.number == *number && binding.end >= today);
        let retired = details
            .retired
            .iter()
            .any(|(retired, until)| retired == number && *until >= today.plus_days(-RETIRED_MARGIN_DAYS));
        bound || retired
    };
    let numbers = (0..BINDINGS_MAX as u64).filter_map(BindingNumber::new);
    numbers.filter(move |number| !used(number))
}

/// Days a number stays taken after it was to leave the retired set, so that no list in circulation still has it.
const RETIRED_MARGIN_DAYS: i64 = 7;
