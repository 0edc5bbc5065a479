//! The server's side: what stands in the sets now, changed card by card, and the list that is signed from it. Deltas
//! are found between two lists, so the server keeps the lists it has published and no log of changes.

use std::collections::{BTreeMap, BTreeSet};

use super::list::{StatusError, StatusHead, StatusList, make_sets};
use super::reason::{SetMeaning, SetNumber, binding_value};
use super::set::CompressedSet;
use crate::card_record::CardStanding;
use crate::ids::{BindingNumber, StatusIndex};

/// The sets of a list while they change. A card is in one set of cards at most.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StatusSets {
    sets: BTreeMap<SetNumber, BTreeSet<u64>>,
}

impl StatusSets {
    /// The sets of a list, to go on from: after a restart, or from a snapshot in circulation after a restore.
    pub fn from_list(list: &StatusList) -> Self {
        Self { sets: list.sets().map(|(number, set)| (number, set.iter().collect())).collect() }
    }

    /// Lists a card by its standing, and under no other. [`CardStanding::InForce`] takes it out: a held card that
    /// comes back, or one whose last day is over. Sets of newer versions are left as they are.
    pub fn set_standing(&mut self, index: StatusIndex, standing: CardStanding) {
        let value = u64::from(index.0);
        for (number, values) in &mut self.sets {
            if matches!(number.meaning(), SetMeaning::Cards(_)) {
                values.remove(&value);
            }
        }
        if let Some(number) = SetNumber::of_standing(standing) {
            self.sets.entry(number).or_default().insert(value);
        }
    }

    /// Lists a binding as ended before its time.
    pub fn retire_binding(&mut self, index: StatusIndex, number: BindingNumber) {
        let values = self.sets.entry(SetNumber::RETIRED_BINDINGS).or_default();
        values.insert(binding_value(index, number));
    }

    /// Takes a binding out: it would have ended by now, so its number is free again.
    pub fn free_binding(&mut self, index: StatusIndex, number: BindingNumber) {
        if let Some(values) = self.sets.get_mut(&SetNumber::RETIRED_BINDINGS) {
            values.remove(&binding_value(index, number));
        }
    }

    /// Puts a value into any set, for tools and tests. `value` is an index, or that of
    /// [`binding_value`] in a set of bindings.
    pub fn insert(&mut self, number: SetNumber, value: u64) {
        self.sets.entry(number).or_default().insert(value);
    }

    /// The standing that a card is listed by.
    pub fn standing(&self, index: StatusIndex) -> CardStanding {
        let value = u64::from(index.0);
        let listed = self.sets.iter().filter(|(_, values)| values.contains(&value));
        listed
            .filter_map(|(number, _)| match number.meaning() {
                SetMeaning::Cards(standing) => Some(standing),
                _ => None,
            })
            .next()
            .unwrap_or(CardStanding::InForce)
    }

    /// Whether a binding is listed as ended before its time.
    pub fn binding_retired(&self, index: StatusIndex, number: BindingNumber) -> bool {
        self.contains(SetNumber::RETIRED_BINDINGS, binding_value(index, number))
    }

    /// Whether a value stands in a set.
    pub fn contains(&self, number: SetNumber, value: u64) -> bool {
        self.sets.get(&number).is_some_and(|values| values.contains(&value))
    }

    /// The values of a set, ascending.
    pub fn values(&self, number: SetNumber) -> impl Iterator<Item = u64> + '_ {
        self.sets.get(&number).into_iter().flatten().copied()
    }

    /// Values in all sets together.
    pub fn entries(&self) -> usize {
        self.sets.values().map(BTreeSet::len).sum()
    }

    /// The list of these sets.
    ///
    /// # Errors
    /// [`StatusError::Reserved`] when a card is listed that by `head` cannot be; [`StatusError::Set`] when one is not
    /// below N or there are too many; [`StatusError::TooLarge`]; [`StatusError::Covers`] for a head whose cards were
    /// issued after it.
    pub fn to_list(&self, head: StatusHead) -> Result<StatusList, StatusError> {
        self.check_reserved(&head)?;
        let counts = self.sets.iter().map(|(number, values)| (*number, values.len() as u64)).collect();
        let none = BTreeSet::new();
        let below = head.covers.indexes_below();
        let sets = make_sets(below, &counts, |number, universe, skips_max| {
            let values = self.sets.get(&number).unwrap_or(&none);
            let count = values.len() as u64;
            CompressedSet::from_values(universe, count, skips_max, values.iter().copied())
        })?;
        StatusList::new(head, sets)
    }

    fn check_reserved(&self, head: &StatusHead) -> Result<(), StatusError> {
        for range in head.covers.reserved() {
            for (&number, values) in &self.sets {
                let scale = number.universe(1);
                let first = u64::from(range.first) * scale;
                let end = first + u64::from(range.count) * scale;
                if values.range(first..end).next().is_some() {
                    return Err(StatusError::Reserved { number });
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for StatusSets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusSets").field("entries", &self.entries()).finish_non_exhaustive()
    }
}
