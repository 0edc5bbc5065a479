//! What the sets of a list stand for, by number, and what a list says of one card.
//!
//! | number | set | values | universe |
//! |---|---|---|---|
//! | 1 | withdrawn (thu hồi) | card indexes | N |
//! | 2 | superseded (đã cấp thẻ mới) | card indexes | N |
//! | 3 | held (tạm giữ) | card indexes | N |
//! | 10 to 14 | reduced (báo giảm), portal code 120 to 124 | card indexes | N |
//! | 16 | retired bindings | index × 16 + binding number | 16·N |
//! | others of 1 to 15 | none yet | card indexes | N |
//! | others of 17 to 23 | none yet | index × 16 + binding number | 16·N |
//!
//! N is the number of indexes that the list covers. The universe of a set follows from its number alone, so that a set
//! of a newer version can be read, kept and changed without knowing what it stands for: only the cards in it need an
//! update to be judged.

use crate::card_record::{CardStanding, ReducedCode};
use crate::ids::{BindingNumber, StatusIndex};
use crate::limits::BINDINGS_MAX;

/// The number of a set: 1 to 23.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetNumber(u8);

/// What a set stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetMeaning {
    /// Cards of one standing; never [`CardStanding::InForce`].
    Cards(CardStanding),
    /// Bindings that ended before their time.
    RetiredBindings,
    /// Something about cards that a newer version knows.
    UnknownOfCards,
    /// Something about bindings that a newer version knows.
    UnknownOfBindings,
}

/// What a list says of a card. A card may stand in several sets; whoever asks decides which comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Thu hồi.
    pub withdrawn: bool,
    /// Báo giảm, with the lowest of its codes.
    pub reduced: Option<ReducedCode>,
    /// Đã cấp thẻ mới: another card has taken its place.
    pub superseded: bool,
    /// Tạm giữ: nobody may say yes or no for now.
    pub held: bool,
    /// The card, or a binding of it, stands in a set that this version does not know.
    pub unknown_reason: bool,
}

/// Whether a list speaks of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// It does: a card that stands in no set is in good standing as of the list's time.
    Covered,
    /// It does not, and need not: the card was signed after the list's last one.
    IssuedAfter,
    /// It does not, and should: no card with this index had been issued when the card says it was.
    NotCovered,
}

impl SetNumber {
    /// Thu hồi.
    pub const WITHDRAWN: Self = Self(1);
    /// Đã cấp thẻ mới.
    pub const SUPERSEDED: Self = Self(2);
    /// Tạm giữ.
    pub const HELD: Self = Self(3);
    /// Retired bindings.
    pub const RETIRED_BINDINGS: Self = Self(16);

    /// `None` outside 1 to 23.
    pub fn new(number: i64) -> Option<Self> {
        u8::try_from(number).ok().filter(|number| (1..=23).contains(number)).map(Self)
    }

    /// Báo giảm with `code`.
    pub fn reduced(code: ReducedCode) -> Self {
        Self(code.value() - REDUCED_OFFSET)
    }

    /// The set that holds the cards of a standing; `None` for cards in force.
    pub fn of_standing(standing: CardStanding) -> Option<Self> {
        match standing {
            CardStanding::InForce => None,
            CardStanding::Withdrawn => Some(Self::WITHDRAWN),
            CardStanding::Reduced(code) => Some(Self::reduced(code)),
            CardStanding::Superseded => Some(Self::SUPERSEDED),
            CardStanding::Held => Some(Self::HELD),
        }
    }

    /// 1 to 23.
    pub fn value(self) -> u8 {
        self.0
    }

    /// What the set stands for.
    pub fn meaning(self) -> SetMeaning {
        match self {
            Self::WITHDRAWN => SetMeaning::Cards(CardStanding::Withdrawn),
            Self::SUPERSEDED => SetMeaning::Cards(CardStanding::Superseded),
            Self::HELD => SetMeaning::Cards(CardStanding::Held),
            Self::RETIRED_BINDINGS => SetMeaning::RetiredBindings,
            Self(number) => match ReducedCode::new(u64::from(number + REDUCED_OFFSET)) {
                Some(code) => SetMeaning::Cards(CardStanding::Reduced(code)),
                None if self < Self::RETIRED_BINDINGS => SetMeaning::UnknownOfCards,
                None => SetMeaning::UnknownOfBindings,
            },
        }
    }

    /// Values of the set are below this, in a list that covers the indexes below `indexes_below`.
    pub fn universe(self, indexes_below: u64) -> u64 {
        match self.meaning() {
            SetMeaning::Cards(_) | SetMeaning::UnknownOfCards => indexes_below,
            SetMeaning::RetiredBindings | SetMeaning::UnknownOfBindings => {
                indexes_below * BINDINGS_MAX as u64
            }
        }
    }
}

impl Standing {
    /// Notes that the card stands in the set of `standing`.
    pub(super) fn note(&mut self, standing: CardStanding) {
        match standing {
            CardStanding::InForce => {}
            CardStanding::Withdrawn => self.withdrawn = true,
            CardStanding::Reduced(code) => {
                self.reduced = Some(self.reduced.map_or(code, |known| known.min(code)));
            }
            CardStanding::Superseded => self.superseded = true,
            CardStanding::Held => self.held = true,
        }
    }
}

/// The value that stands for a binding.
pub fn binding_value(index: StatusIndex, number: BindingNumber) -> u64 {
    first_binding_value(index) + u64::from(number.value())
}

/// The value that stands for the first binding of a card.
pub(super) fn first_binding_value(index: StatusIndex) -> u64 {
    u64::from(index.0) * BINDINGS_MAX as u64
}

/// Portal code less set number.
const REDUCED_OFFSET: u8 = 110;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_standing_has_its_set() {
        let reduced = (120..=124).map(|code| CardStanding::Reduced(ReducedCode::new(code).unwrap()));
        let others = [CardStanding::Withdrawn, CardStanding::Superseded, CardStanding::Held];
        let numbers: Vec<u8> = others
            .into_iter()
            .chain(reduced)
            .map(|standing| {
                let number = SetNumber::of_standing(standing).unwrap();
                assert_eq!(number.meaning(), SetMeaning::Cards(standing));
                number.value()
            })
            .collect();
        assert_eq!(numbers, [1, 2, 3, 10, 11, 12, 13, 14]);
        assert_eq!(SetNumber::of_standing(CardStanding::InForce), None);
    }

    #[test]
    fn the_universe_follows_from_the_number() {
        for number in 1..=15 {
            assert_eq!(SetNumber::new(number).unwrap().universe(7), 7);
        }
        for number in 16..=23 {
            assert_eq!(SetNumber::new(number).unwrap().universe(7), 112);
        }
        for number in [-1, 0, 24, 300] {
            assert_eq!(SetNumber::new(number), None);
        }
        assert_eq!(SetNumber(4).meaning(), SetMeaning::UnknownOfCards);
        assert_eq!(SetNumber(15).meaning(), SetMeaning::UnknownOfCards);
        assert_eq!(SetNumber(17).meaning(), SetMeaning::UnknownOfBindings);
    }
}
