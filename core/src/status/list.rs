//! One status list, whole and in memory: what it covers, its sets, and its answers about a card.
//!
//! Promises: a list that exists has canonical sets, inside what it covers, that hash to its digest; a question is
//! answered on the compressed sets in microseconds; a set of a newer version is kept, and answered for as unknown.
//! Knows nothing of signatures, keys or freshness: see `verify`.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::payload::encode_sets;
use super::reason::{Coverage, SetMeaning, SetNumber, Standing, binding_value, first_binding_value};
use super::set::{CompressedSet, SetError};
use super::skip::share_skips;
use super::version::StatusVersion;
use crate::ids::{BindingNumber, StatusIndex};
use crate::limits::{BINDINGS_MAX, STATUS_BYTES_MAX, STATUS_INDEX_MAX, STATUS_RESERVED_MAX};
use crate::time::UnixSeconds;
use crate::trust::IndexRange;

/// Why something is no list, or a delta does not lead to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// What a list covers is not well formed; see [`Covers::new`].
    #[error("what the list covers is not well formed")]
    Covers,
    /// A set does not load, or edits do not fit it.
    #[error("set {}", number.value())]
    Set {
        /// Which.
        number: SetNumber,
        /// Why.
        source: SetError,
    },
    /// A set holds an index that was given to no card.
    #[error("set {} lists a reserved index", number.value())]
    Reserved {
        /// Which.
        number: SetNumber,
    },
    /// The sets do not fit into a snapshot.
    #[error("{bytes} bytes, at most {STATUS_BYTES_MAX}")]
    TooLarge {
        /// Bytes of all sets.
        bytes: usize,
    },
    /// The sets are not as many values as announced.
    #[error("sets have other counts than announced")]
    Counts,
    /// The sets do not hash to what was announced.
    #[error("sets have another hash than announced")]
    Digest,
    /// The delta starts at another version than the list is.
    #[error("delta from {from:?} for a list of {held:?}")]
    WrongBase {
        /// The list's.
        held: StatusVersion,
        /// Where the delta starts.
        from: StatusVersion,
    },
    /// The delta does not lead forward: a version not greater, or a time or cover that goes back.
    #[error("the delta does not lead forward")]
    NotForward,
    /// A new epoch is reached by a snapshot only.
    #[error("no delta leads into another epoch")]
    OtherEpoch,
    /// More deltas at once than [`crate::limits::STATUS_DELTAS_MAX`].
    #[error("{got} deltas at once")]
    TooManyDeltas {
        /// Offered.
        got: usize,
    },
    /// The edits do not fit into a delta: a snapshot leads there.
    #[error("a delta of {bytes} bytes is too large")]
    DeltaTooLarge {
        /// Bytes of its payload.
        bytes: usize,
    },
}

/// Which cards a list speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covers {
    indexes_below: u64,
    issued_until: UnixSeconds,
    reserved: Vec<IndexRange>,
}

impl Covers {
    /// Cards with an index below `indexes_below` (N) that were signed up to `issued_until` (T, inclusive), except
    /// those in `reserved`: indexes that had been given to no card at T.
    ///
    /// # Errors
    /// [`StatusError::Covers`] when N is above 2^32, or the ranges are more than [`STATUS_RESERVED_MAX`], empty, not
    /// ascending, touching each other, or not below N.
    pub fn new(
        indexes_below: u64,
        issued_until: UnixSeconds,
        reserved: Vec<IndexRange>,
    ) -> Result<Self, StatusError> {
        let mut free_from = 0;
        let in_order = reserved.iter().all(|range| {
            let first = u64::from(range.first);
            let fits = range.count > 0 && (first > free_from || free_from == 0);
            free_from = first + u64::from(range.count);
            fits && free_from <= indexes_below
        });
        let bounded = indexes_below <= STATUS_INDEX_MAX + 1 && reserved.len() <= STATUS_RESERVED_MAX;
        if !in_order || !bounded {
            return Err(StatusError::Covers);
        }
        Ok(Self { indexes_below, issued_until, reserved })
    }

    /// N: indexes below are covered.
    pub fn indexes_below(&self) -> u64 {
        self.indexes_below
    }

    /// T: cards signed up to here are covered.
    pub fn issued_until(&self) -> UnixSeconds {
        self.issued_until
    }

    /// Indexes below N that no card had at T.
    pub fn reserved(&self) -> &[IndexRange] {
        &self.reserved
    }

    /// Whether a list that covers this speaks of a card. A card keeps its index when it is signed again, so an index
    /// that is covered is covered whatever the time of signing.
    pub fn coverage(&self, index: StatusIndex, issued_at: UnixSeconds) -> Coverage {
        let after = self.reserved.partition_point(|range| range.first <= index.0);
        let before = after.checked_sub(1).and_then(|at| self.reserved.get(at));
        let reserved = before.is_some_and(|range| range.contains(index));
        if u64::from(index.0) < self.indexes_below && !reserved {
            Coverage::Covered
        } else if issued_at > self.issued_until {
            Coverage::IssuedAfter
        } else {
            Coverage::NotCovered
        }
    }
}

/// What stands in a list besides its sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusHead {
    /// Its place in the order of lists.
    pub version: StatusVersion,
    /// When the sets were as they are.
    pub time: UnixSeconds,
    /// Which cards it speaks of.
    pub covers: Covers,
}

/// Sets by number; an empty set does not stand there.
pub(super) type Sets = BTreeMap<SetNumber, CompressedSet>;

/// A status list.
///
/// ```
/// use bhyt_core::card_record::CardStanding;
/// use bhyt_core::ids::StatusIndex;
/// use bhyt_core::status::{Coverage, StatusVersion, build::StatusSets, delta::Delta, list::{Covers, StatusHead}};
/// use bhyt_core::time::UnixSeconds;
///
/// let head = |number, at| StatusHead {
///     version: StatusVersion { epoch: 1, number },
///     time: UnixSeconds(at),
///     covers: Covers::new(65_536, UnixSeconds(at), Vec::new()).unwrap(),
/// };
/// let mut sets = StatusSets::default();
/// sets.set_standing(StatusIndex(7), CardStanding::Held);
/// let monday = sets.to_list(head(1, 1_000))?;
/// sets.set_standing(StatusIndex(7), CardStanding::Withdrawn);
/// let delta = Delta::between(&monday, &sets.to_list(head(2, 2_000))?)?;
///
/// let tuesday = monday.apply(&[delta])?;
/// assert!(tuesday.lookup(StatusIndex(7)).withdrawn);
/// assert_eq!(tuesday.coverage(StatusIndex(70_000), UnixSeconds(2_000)), Coverage::NotCovered);
/// # Ok::<(), bhyt_core::status::list::StatusError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StatusList {
    head: StatusHead,
    sets: Sets,
    digest: [u8; 32],
}

impl StatusList {
    /// Joins a head with sets that were made for it.
    pub(super) fn new(head: StatusHead, sets: Sets) -> Result<Self, StatusError> {
        let bytes = sets.values().map(|set| set.bytes().len()).sum();
        // The rest is for the head, the reserved ranges and the signature.
        if bytes > STATUS_BYTES_MAX - 64 * 1024 {
            return Err(StatusError::TooLarge { bytes });
        }
        let encoded = encode_sets(sets.iter().map(|(number, set)| (*number, set)));
        Self::with_digest(head, sets, Sha256::digest(encoded).into())
    }

    /// The same when the digest of the sets is known.
    pub(super) fn with_digest(head: StatusHead, sets: Sets, digest: [u8; 32]) -> Result<Self, StatusError> {
        if head.covers.issued_until > head.time {
            return Err(StatusError::Covers);
        }
        Ok(Self { head, sets, digest })
    }

    /// What the list says of the card with this index. All of it is "no" for an index that the list does not cover:
    /// ask [`StatusList::coverage`] too.
    pub fn lookup(&self, index: StatusIndex) -> Standing {
        let mut standing = Standing::default();
        let value = u64::from(index.0);
        for (number, set) in &self.sets {
            match number.meaning() {
                SetMeaning::Cards(listed) => {
                    if set.contains(value) {
                        standing.note(listed);
                    }
                }
                SetMeaning::RetiredBindings => {}
                SetMeaning::UnknownOfCards => standing.unknown_reason |= set.contains(value),
                SetMeaning::UnknownOfBindings => {
                    let first = first_binding_value(index);
                    let next = set.next_from(first);
                    standing.unknown_reason |= next.is_some_and(|value| value < first + BINDINGS_MAX as u64);
                }
            }
        }
        standing
    }

    /// Whether this binding of the card ended before its time.
    pub fn binding_retired(&self, index: StatusIndex, number: BindingNumber) -> bool {
        let set = self.sets.get(&SetNumber::RETIRED_BINDINGS);
        set.is_some_and(|set| set.contains(binding_value(index, number)))
    }

    /// Whether the list speaks of the card with this index, signed at `issued_at`.
    pub fn coverage(&self, index: StatusIndex, issued_at: UnixSeconds) -> Coverage {
        self.head.covers.coverage(index, issued_at)
    }

    /// Its place in the order of lists.
    pub fn version(&self) -> StatusVersion {
        self.head.version
    }

    /// When the sets were as they are.
    pub fn time(&self) -> UnixSeconds {
        self.head.time
    }

    /// What stands in the list besides its sets.
    pub fn head(&self) -> &StatusHead {
        &self.head
    }

    /// SHA-256 of the CBOR map of the sets, as it stands in a snapshot.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The set of a number; `None` when it is empty.
    pub fn set(&self, number: SetNumber) -> Option<&CompressedSet> {
        self.sets.get(&number)
    }

    /// All sets, ascending by number, none of them empty.
    pub fn sets(&self) -> impl Iterator<Item = (SetNumber, &CompressedSet)> + Clone {
        self.sets.iter().map(|(number, set)| (*number, set))
    }

    /// Values in all sets together.
    pub fn entries(&self) -> u64 {
        self.sets.values().map(CompressedSet::count).sum()
    }

    /// Memory of all skip tables, in bytes; at most [`crate::limits::STATUS_SKIP_BYTES_MAX`].
    pub fn skip_bytes(&self) -> usize {
        self.sets.values().map(CompressedSet::skip_bytes).sum()
    }
}

impl std::fmt::Debug for StatusList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusList")
            .field("version", &self.head.version)
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}

/// Makes the sets whose counts are announced, each with its share of the skip memory. `make` is told number, universe
/// and entries. Sets announced as empty are left out.
pub(super) fn make_sets(
    indexes_below: u64,
    counts: &BTreeMap<SetNumber, u64>,
    mut make: impl FnMut(SetNumber, u64, usize) -> Result<CompressedSet, SetError>,
) -> Result<Sets, StatusError> {
    let all: Vec<u64> = counts.values().copied().collect();
    let shares = counts.iter().zip(share_skips(&all)).filter(|((_, count), _)| **count > 0);
    shares
        .map(|((&number, _), skips_max)| {
            let set = make(number, number.universe(indexes_below), skips_max);
            set.map(|set| (number, set)).map_err(|source| StatusError::Set { number, source })
        })
        .collect()
}
