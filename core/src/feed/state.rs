//! What a reader of a feed holds, and the one way it moves on: all records up to a new verified head, or nothing.
//!
//! Promises: after [`FeedState::extend`] the records are those that the head signs, in order and without a gap, and the
//! feed never went back. Refuses, each with its own [`FeedFault`]: a gap, a rollback, a fork, another epoch or member.
//!
//! The state has two parts with two fates. The *mark*, the latest verified head, is irreplaceable: it is what a rollback
//! and a fork are seen by. The rest is worked out from the pages, and when those are lost, [`FeedState::from_mark`]
//! keeps the mark and reads everything again, comparing the root on the way at the place where the mark stood.

use crate::cose::Verified;
use crate::feed::chain::{ChainFault, Chains};
use crate::feed::page::{Entry, FeedPage};
use crate::feed::{Epoch, EpochStatement, Extent, FeedHead};
use crate::ids::MemberId;
use crate::limits::FEED_RECORDS_MAX;
use crate::merkle::{Frontier, FrontierFault, TreeHash};
use crate::record::Seq;
use crate::time::UnixSeconds;

/// One member's feed as far as it was read and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedState {
    member: MemberId,
    mark: Option<FeedHead>,
    /// Heads before the mark whose places have not been read again.
    earlier: Vec<FeedHead>,
    frontier: Frontier,
    chains: Chains,
}

impl FeedState {
    /// Nothing read yet, and no head ever seen: the first one is taken as it is.
    pub fn new(member: MemberId) -> Self {
        Self { member, mark: None, earlier: Vec::new(), frontier: Frontier::new(), chains: Chains::default() }
    }

    /// Nothing held but the head last verified: its pages are lost or doubted, and all are to be read again. A head
    /// below the mark, or pages that lead to another root there, are refused as before.
    pub fn from_mark(mark: FeedHead) -> Self {
        Self { mark: Some(mark), ..Self::new(mark.member) }
    }

    /// Nothing held, as after [`FeedState::from_mark`], and all roots that were compared or still are to be: records that
    /// were held are read again, and must pass through the root they had.
    pub fn reread(&self) -> Self {
        let mut earlier = self.earlier.clone();
        if let Some(mark) = self.mark.filter(|mark| mark.extent.size > self.frontier.size()) {
            let extent = Extent { epoch: mark.extent.epoch, size: self.frontier.size() };
            earlier.push(FeedHead { extent, root: self.frontier.root(), ..mark });
        }
        earlier.retain(|mark| mark.extent.size > 0);
        Self { mark: self.mark, earlier, ..Self::new(self.member) }
    }

    /// What is held, from the reader's own store: the head last verified and all pages up to it.
    ///
    /// # Errors
    /// [`FeedFault`] when the pages do not lead to the mark: the store is damaged, go on from [`FeedState::from_mark`].
    pub fn from_store<'a>(
        mark: FeedHead,
        pages: impl IntoIterator<Item = &'a FeedPage>,
    ) -> Result<Self, FeedFault> {
        Self::new(mark.member).extend_to(pages, &mark)
    }

    /// The state at `head`, with the records of `pages` after those held. `pages` are consecutive, begin at
    /// [`FeedState::next_seq`] and end where the head does; there are none when the head only says that nothing is new.
    ///
    /// # Errors
    /// [`FeedFault`]; this state stays as it is and counts on.
    pub fn extend<'a>(
        &self,
        pages: impl IntoIterator<Item = &'a FeedPage>,
        head: &Verified<FeedHead>,
    ) -> Result<Self, FeedFault> {
        self.extend_to(pages, head.claims())
    }

    /// The state after the server's statement of a new epoch. When the feed held is no longer than what was kept, it goes
    /// on from there; when it is longer, `held` are all of its pages, its beginning must have the root that was kept, and
    /// everything is read again.
    ///
    /// # Errors
    /// [`FeedFault::EpochOrder`] for a statement that does not follow on this state's epoch, [`FeedFault::Fork`] when the
    /// records held do not pass through the root kept; this state counts on.
    pub fn enter_epoch<'a>(
        &self,
        held: impl IntoIterator<Item = &'a FeedPage>,
        statement: &Verified<EpochStatement>,
    ) -> Result<Self, FeedFault> {
        let statement = statement.claims();
        let head = statement.head();
        if head.member != self.member {
            return Err(FeedFault::WrongMember { expected: self.member, got: head.member });
        }
        let Some(mark) = self.mark else {
            return Ok(Self { mark: Some(head), ..self.clone() });
        };
        let have = mark.extent.epoch;
        // After two restores of one backup the epoch held may be one that the server has never heard of.
        if statement.before > have || statement.kept.epoch <= have {
            return Err(FeedFault::EpochOrder { have, before: statement.before, next: statement.kept.epoch });
        }
        if self.frontier.size() > statement.kept.size {
            let got = root_at(held, statement.kept.size)?;
            let extent = Extent { epoch: have, size: statement.kept.size };
            let same = got == Some(head.root);
            let fork = FeedFault::Fork { extent, have: got.unwrap_or(mark.root), got: head.root };
            return if same { Ok(Self::from_mark(head)) } else { Err(fork) };
        }
        let mut next = Self { mark: Some(head), ..self.clone() };
        next.earlier.push(mark);
        // What is behind has been compared; what lies beyond the kept size was another tree.
        let ahead = self.frontier.size() + 1..=statement.kept.size;
        next.earlier.retain(|mark| ahead.contains(&mark.extent.size));
        next.check_marks().map(|()| next)
    }

    /// Whose feed.
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// The head last verified.
    pub fn mark(&self) -> Option<&FeedHead> {
        self.mark.as_ref()
    }

    /// The first place not held: where the next page must begin.
    pub fn next_seq(&self) -> Seq {
        Seq(self.frontier.size())
    }

    /// The right edge of the tree over what is held.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The latest revision of every record held.
    pub fn chains(&self) -> &Chains {
        &self.chains
    }

    fn extend_to<'a>(
        &self,
        pages: impl IntoIterator<Item = &'a FeedPage>,
        head: &FeedHead,
    ) -> Result<Self, FeedFault> {
        self.check_head(head)?;
        let mut next = self.clone();
        let mut fork = Ok(());
        for page in pages {
            next.append_page(page, head.extent.size, &mut fork)?;
        }
        let (size, wanted) = (next.frontier.size(), head.extent.size);
        if size != wanted {
            return Err(FeedFault::Short { wanted, got: size });
        }
        let computed = next.frontier.root();
        if computed != head.root {
            return Err(FeedFault::RootMismatch { extent: head.extent, signed: head.root, computed });
        }
        next.mark = Some(*head);
        next.earlier.clear();
        // Only records that the head signs say that the server signed another past.
        fork.map(|()| next)
    }

    /// Everything that can be said of a head before its records are seen.
    ///
    /// # Errors
    /// [`FeedFault`], as [`Self::extend`] would say.
    pub fn check_head(&self, head: &FeedHead) -> Result<(), FeedFault> {
        if head.member != self.member {
            return Err(FeedFault::WrongMember { expected: self.member, got: head.member });
        }
        if head.extent.size > FEED_RECORDS_MAX {
            return Err(FeedFault::TooLong { limit: FEED_RECORDS_MAX, got: head.extent.size });
        }
        let Some(mark) = &self.mark else {
            return Ok(());
        };
        if head.extent < mark.extent {
            return Err(FeedFault::Rollback { have: mark.extent, got: head.extent });
        }
        if head.extent.epoch != mark.extent.epoch {
            return Err(FeedFault::EpochChanged { have: mark.extent.epoch, got: head.extent.epoch });
        }
        if head.extent == mark.extent && head.root != mark.root {
            return Err(FeedFault::Fork { extent: mark.extent, have: mark.root, got: head.root });
        }
        if head.time < mark.time {
            return Err(FeedFault::TimeWentBack { have: mark.time, got: head.time });
        }
        Ok(())
    }

    /// Appends a page; where it parts from a root signed before, that is noted in `fork`.
    fn append_page(
        &mut self,
        page: &FeedPage,
        size: u64,
        fork: &mut Result<(), FeedFault>,
    ) -> Result<(), FeedFault> {
        let expected = self.next_seq();
        if page.first_seq() != expected {
            return Err(FeedFault::Gap { expected, got: page.first_seq() });
        }
        if page.next_seq().0 > size {
            return Err(FeedFault::TooLong { limit: size, got: page.next_seq().0 });
        }
        for (seq, entry) in page.entries() {
            match entry {
                Entry::Record { record, .. } => self.chains.admit(seq, record)?,
                Entry::Erased { .. } => self.chains.admit_erased(seq),
            }
            self.frontier.append(entry.leaf_hash(seq))?;
            *fork = fork.and_then(|()| self.check_marks());
        }
        Ok(())
    }

    /// When everything is read again, the tree must pass through the roots that were signed before.
    fn check_marks(&self) -> Result<(), FeedFault> {
        let size = self.frontier.size();
        for mark in self.earlier.iter().chain(&self.mark).filter(|mark| mark.extent.size == size) {
            let (have, got) = (mark.root, self.frontier.root());
            if have != got {
                return Err(FeedFault::Fork { extent: mark.extent, have, got });
            }
        }
        Ok(())
    }
}

/// The root over the first `size` records of a feed; `None` when there are fewer.
fn root_at<'a>(
    pages: impl IntoIterator<Item = &'a FeedPage>,
    size: u64,
) -> Result<Option<TreeHash>, FeedFault> {
    let mut frontier = Frontier::new();
    let entries = pages.into_iter().flat_map(FeedPage::entries);
    for (seq, entry) in entries.take_while(|(seq, _)| seq.0 < size) {
        frontier.append(entry.leaf_hash(seq))?;
    }
    Ok((frontier.size() == size).then(|| frontier.root()))
}

/// Why a feed was not extended. Nothing was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedFault {
    /// The head is another member's.
    #[error("head of member {got}, expected {expected}")]
    WrongMember {
        /// Whose feed this is.
        expected: MemberId,
        /// Whose head it is.
        got: MemberId,
    },
    /// A page begins elsewhere than where the one before ended.
    #[error("expected records from {expected}, got them from {got}")]
    Gap {
        /// The first place not held.
        expected: Seq,
        /// Where the page begins.
        got: Seq,
    },
    /// The pages end before the head does.
    #[error("head speaks of {wanted} records, the pages end at {got}")]
    Short {
        /// The head's size.
        wanted: u64,
        /// Records held and received.
        got: u64,
    },
    /// The pages go on beyond the signed head, or the head beyond [`FEED_RECORDS_MAX`].
    #[error("feed of {got} records where {limit} are allowed")]
    TooLong {
        /// The head's size, or the bound.
        limit: u64,
        /// Records there.
        got: u64,
    },
    /// The feed was further before: an old head, or a server that lost records.
    #[error("feed went back from {have:?} to {got:?}")]
    Rollback {
        /// As far as it was verified.
        have: Extent,
        /// As far as the head says it goes.
        got: Extent,
    },
    /// Two roots at one epoch and size. With the two signed heads this proves that the server misbehaved: keep both.
    #[error("two roots at {extent:?}: {have:?} and {got:?}")]
    Fork {
        /// Where the two part.
        extent: Extent,
        /// The root verified before.
        have: TreeHash,
        /// The root that the new head or its pages lead to.
        got: TreeHash,
    },
    /// A later epoch than this state's, without its signed statement, which says what was kept.
    #[error("epoch changed from {have:?} to {got:?}")]
    EpochChanged {
        /// This state's.
        have: Epoch,
        /// The head's.
        got: Epoch,
    },
    /// A statement of a new epoch that does not follow on this state's.
    #[error("epoch {next:?} after {before:?} does not follow {have:?}")]
    EpochOrder {
        /// This state's.
        have: Epoch,
        /// The epoch that the statement names as the one before.
        before: Epoch,
        /// The one that it opens.
        next: Epoch,
    },
    /// The records do not lead to the signed root: damaged or forged pages, or a fork before the mark. Read everything
    /// again with [`FeedState::reread`]; a fork then shows itself as one.
    #[error("records up to {extent:?} have root {computed:?}, signed is {signed:?}")]
    RootMismatch {
        /// Where the head stands.
        extent: Extent,
        /// The root it signs.
        signed: TreeHash,
        /// The root of the records.
        computed: TreeHash,
    },
    /// The head was signed earlier than the one before.
    #[error("head signed at {got:?}, after one at {have:?}")]
    TimeWentBack {
        /// When the mark was signed.
        have: UnixSeconds,
        /// When this head was.
        got: UnixSeconds,
    },
    /// A revision that may not stand where it does.
    #[error("revisions out of order")]
    Chain(#[from] ChainFault),
    /// The tree is full; a head within its bound rules it out.
    #[error("tree did not take a leaf")]
    Frontier(#[from] FrontierFault),
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
