//! A restored server is given the newest status list in circulation. What the list names and the store does not know is
//! adopted: in the list to come, and in the cards. Places go on above everything that may be taken, and the next list
//! opens an epoch above both.
//!
//! A card's record says so when its member's feed is next touched; see `epochs`. Held cards that a newer list no longer
//! names were released meanwhile; whatever else it does not name any more leaves by its date, as ever.

use std::collections::BTreeMap;

use bhyt_core::card_record::CardStanding;
use bhyt_core::ids::{BindingNumber, MemberId, StatusIndex};
use bhyt_core::limits::{BINDING_DAYS, STATUS_BLOCK};
use bhyt_core::status::StatusList;
use bhyt_core::status::index_order::indexes_below;
use bhyt_core::status::reason::{SetMeaning, SetNumber};
use bhyt_core::time::Day;

use super::docs::{Found, OpenCard, OpenMember, card_of_key, holder_key, write};
use super::fault::ServiceFault;
use super::publisher::current_key;
use super::restored::{AdoptedListV1, RestoredV1, restored_key};
use super::status_changes::{RETIRED_BINDINGS, set_of};
use super::values::DeviceV2;
use super::{Draft, Service};
use crate::store::{COMMIT_KEYS_MAX, Commit, DocKind, Expected, Outcome, Store};
use crate::stored::CurrentStatusV1;

/// What a list told a restored server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Entries that the store did not know.
    pub unknown_entries: u64,
    /// Held cards that the list no longer names.
    pub released: u64,
    /// Whether the list is newer than the store's own; if not, nothing is learnt from its entries.
    pub newer: bool,
}

impl<S: Store> Service<S> {
    /// Takes in the newest status list in circulation, which was verified. Cut short, it is done again.
    ///
    /// # Errors
    /// [`ServiceFault::NotRestored`] when this server was not restored or has its list; any other when it fails.
    pub async fn adopt_status(&self, list: &StatusList) -> Result<Adopted, ServiceFault> {
        if !self.awaits_status() {
            return Err(ServiceFault::NotRestored);
        }
        let own: Option<Found<CurrentStatusV1>> = self.doc("status version", &current_key()).await?;
        let newer = own.as_ref().is_none_or(|own| list.version() > own.value.version());
        let mut adopted = Adopted { newer, ..Adopted::default() };
        if newer {
            let unknown = self.unknown_entries(list)?;
            let owners = self.owners(&unknown).await?;
            adopted.unknown_entries = unknown.values().map(|sets| sets.len() as u64).sum();
            self.end_retired_holds(&unknown, &owners).await?;
            let mut draft = Draft::default();
            for (index, sets) in unknown {
                if draft.commit.docs.len() + draft.status.keys() + KEYS_OF_CARD > COMMIT_KEYS_MAX {
                    self.commit_adopted(std::mem::take(&mut draft)).await?;
                }
                self.adopt_card((StatusIndex(index), owners.get(&index)), &sets, &mut draft).await?;
            }
            self.commit_adopted(draft).await?;
            adopted.released = self.release_unnamed(list).await?;
        }
        self.go_on_above(list, own).await?;
        Ok(adopted)
    }

    /// What the list names and we do not, by card: numbers of sets and values.
    fn unknown_entries(&self, list: &StatusList) -> Result<BTreeMap<u32, Vec<(u8, u64)>>, ServiceFault> {
        let mut unknown: BTreeMap<u32, Vec<(u8, u64)>> = BTreeMap::new();
        let held = self.publisher.sets();
        for (number, set) in list.sets() {
            let scale = match number.meaning() {
                SetMeaning::Cards(_) => 1,
                SetMeaning::RetiredBindings => 16,
                SetMeaning::UnknownOfCards | SetMeaning::UnknownOfBindings => {
                    return Err(ServiceFault::NewerList);
                }
            };
            for value in set.iter().filter(|value| !held.contains(number, *value)) {
                let index = u32::try_from(value / scale)
                    .map_err(|_| ServiceFault::Inconsistent { what: "status list" })?;
                unknown.entry(index).or_default().push((number.value(), value));
            }
        }
        Ok(unknown)
    }

    async fn adopt_card(
        &self,
        (index, owner): (StatusIndex, Option<&MemberId>),
        sets: &[(u8, u64)],
        draft: &mut Draft<'_, '_>,
    ) -> Result<(), ServiceFault> {
        let today = self.clock.now().day();
        let mut card = match owner {
            Some(owner) => Some(self.card_of(*owner, index).await?),
            None => None,
        };
        let last = card.as_ref().and_then(|(_, card)| card.details.facts.valid_to);
        for (set, value) in sets {
            let until = match *set {
                RETIRED_BINDINGS => Some(retire_in(card.as_mut(), *value, last, today)),
                _ => last,
            };
            if let (Some(standing), Some((_, card))) = (standing_of(*set), card.as_mut()) {
                if let Some(before) = set_of(card.details.standing) {
                    self.unlist(&mut draft.status, before, *value).await?;
                }
                card.details.standing = standing;
            }
            draft.status.add(*set, *value, until)?;
        }
        if let Some((member, card)) = card {
            draft.commit.docs.push(card.write(&member.key, &*self.entropy)?);
        }
        Ok(())
    }

    /// Takes members from devices whose bindings were retired after the backup, or else they would be given others at the
    /// next sync. Who was not retired, but has a new key, shows that one. Comes before the entries, so that a second try
    /// finds them unknown still.
    async fn end_retired_holds(
        &self,
        unknown: &BTreeMap<u32, Vec<(u8, u64)>>,
        owners: &BTreeMap<u32, MemberId>,
    ) -> Result<(), ServiceFault> {
        for (index, owner) in owners {
            let retired =
                unknown.get(index).into_iter().flatten().filter(|(set, _)| *set == RETIRED_BINDINGS);
            let retired: Vec<u64> = retired.map(|(_, value)| value % 16).collect();
            if retired.is_empty() {
                continue;
            }
            let (_, card) = self.card_of(*owner, StatusIndex(*index)).await?;
            let bindings = card.details.bindings.iter();
            for binding in bindings.filter(|binding| retired.contains(&binding.number.value().into())) {
                let key = holder_key(DocKind::Device, binding.device);
                let device: Option<Found<DeviceV2>> = self.doc("device", &key).await?;
                let Some(Found { mut value, revision }) = device else { continue };
                self.end_grants_to(*owner, &value).await?;
                value.members.retain(|held| held.member != *owner || held.presentation_key != binding.key);
                let docs = vec![write("device", key, Expected::Revision(revision), &value)?];
                let commit = Commit { docs, ..Commit::default() };
                self.commit_adopted(Draft { commit, ..Draft::default() }).await?;
            }
        }
        Ok(())
    }

    /// Held cards that the list speaks of and does not name: they stand again.
    async fn release_unnamed(&self, list: &StatusList) -> Result<u64, ServiceFault> {
        let Some(set) = set_of(CardStanding::Held).and_then(|set| SetNumber::new(set.into())) else {
            return Ok(0);
        };
        let held = self.publisher.sets();
        // One that is named under another standing has got that one already.
        let of_cards = |number: SetNumber| matches!(number.meaning(), SetMeaning::Cards(_));
        let named = |value: &u64| list.sets().any(|(number, set)| of_cards(number) && set.contains(*value));
        let spoken_of = |value: &u64| *value < list.head().covers.indexes_below();
        let unnamed = held.values(set).filter(|value| spoken_of(value) && !named(value));
        let unnamed: BTreeMap<u32, _> =
            unnamed.filter_map(|value| Some((u32::try_from(value).ok()?, value))).collect();
        let owners = self.owners(&unnamed).await?;
        let mut released = 0;
        for (index, value) in unnamed {
            let mut draft = Draft::default();
            self.unlist(&mut draft.status, set.value(), value).await?;
            if let Some(owner) = owners.get(&index) {
                let (member, mut card) = self.card_of(*owner, StatusIndex(index)).await?;
                card.details.standing = CardStanding::InForce;
                draft.commit.docs.push(card.write(&member.key, &*self.entropy)?);
            }
            if !draft.status.is_empty() {
                self.commit_adopted(draft).await?;
                released += 1;
            }
        }
        Ok(released)
    }

    /// The last commit: places and versions above everything that may be taken, and the note that the list is here.
    async fn go_on_above(
        &self,
        list: &StatusList,
        own: Option<Found<CurrentStatusV1>>,
    ) -> Result<(), ServiceFault> {
        let restored: Option<Found<RestoredV1>> = self.doc("restore", &restored_key()).await?;
        let restored = restored.ok_or(ServiceFault::NotRestored)?;
        let taken = indexes_below(self.cards_end().await?).max(list.head().covers.indexes_below());
        let first = indexes_below(taken) + MARGIN_BLOCKS * STATUS_BLOCK;
        let version = list.version();
        let (epoch, time, covers, last_change) = match &own {
            Some(Found { value, .. }) => {
                (value.epoch.max(version.epoch), value.time.max(list.time()), value.covers, value.last_change)
            }
            None => (version.epoch, list.time(), 0, 0),
        };
        // Of number 0 no version is stored, so the next one opens an epoch of its own.
        let current = CurrentStatusV1 { epoch, number: 0, time, covers: covers.max(taken), last_change };
        let noted = AdoptedListV1 { epoch: version.epoch, number: version.number, time: list.time() };
        let value = RestoredV1 { list: Some(noted), ..restored.value };
        let expected = own.map_or(Expected::Absent, |own| Expected::Revision(own.revision));
        let mut docs = self.skip_to(first).await?;
        docs.push(write("status version", current_key(), expected, &current)?);
        docs.push(write("restore", restored_key(), Expected::Revision(restored.revision), &value)?);
        self.commit_adopted(Draft { commit: Commit { docs, ..Commit::default() }, ..Draft::default() }).await
    }

    /// Whose the cards at these places are, as far as the store knows them. Looks through all cards, once.
    async fn owners<T>(&self, wanted: &BTreeMap<u32, T>) -> Result<BTreeMap<u32, MemberId>, ServiceFault> {
        let mut owners = BTreeMap::new();
        let mut after = None;
        while owners.len() < wanted.len() {
            let docs = self.store.doc_scan(DocKind::Card, after, SCAN_DOCS).await?;
            let Some((last, _)) = docs.last() else { break };
            after = Some(last.id.clone());
            for (key, _) in &docs {
                let (member, index) = card_of_key(key).ok_or(ServiceFault::Inconsistent { what: "card" })?;
                if wanted.contains_key(&index.0) {
                    owners.insert(index.0, member);
                }
            }
        }
        Ok(owners)
    }

    /// A card that is there, with its member.
    async fn card_of(
        &self,
        owner: MemberId,
        index: StatusIndex,
    ) -> Result<(OpenMember, OpenCard), ServiceFault> {
        let missing = ServiceFault::Inconsistent { what: "member" };
        let member = self.open_member(owner).await?.ok_or(missing)?;
        let card = self.open_card(&member, index).await?;
        Ok((member, card))
    }

    /// Nobody else writes to this store now.
    async fn commit_adopted(&self, draft: Draft<'_, '_>) -> Result<(), ServiceFault> {
        if draft.commit.docs.is_empty() && draft.status.is_empty() {
            return Ok(());
        }
        match self.commit(draft).await? {
            Outcome::Applied => Ok(()),
            Outcome::Lost => Err(ServiceFault::LostRaces { attempts: 1 }),
        }
    }
}

/// Ends the binding in the card, if it is there, and says until when it is listed: to its own end, or as long as any
/// binding may last.
fn retire_in(card: Option<&mut (OpenMember, OpenCard)>, value: u64, last: Option<Day>, today: Day) -> Day {
    let longest = today.plus_days(BINDING_DAYS);
    let number = BindingNumber::new(value % 16);
    let Some(((_, card), number)) = card.zip(number) else { return longest };
    let bindings = &mut card.details.bindings;
    let held = bindings.iter().position(|binding| binding.number == number);
    let end = held.map_or(longest, |at| bindings.remove(at).end);
    let until = last.map_or(end, |last| last.min(end));
    card.details.retired.push((number, until));
    until
}

/// The standing of the cards in this set; `None` for bindings.
fn standing_of(set: u8) -> Option<CardStanding> {
    match SetNumber::new(set.into())?.meaning() {
        SetMeaning::Cards(standing) => Some(standing),
        _ => None,
    }
}

/// A card's document, and at most its bindings and two standings with their entries, and the change.
const KEYS_OF_CARD: usize = 1 + 16 + 2 + 1;
const SCAN_DOCS: usize = 1_024;
/// Blocks of places left out above the list: it may be an hour old, and an import of that hour took some more.
const MARGIN_BLOCKS: u64 = 16;
