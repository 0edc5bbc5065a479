//! A member's feed in the store: read from a place on, and grown by records in one append.
//!
//! A page's number is the place of its first record, so any place is found without an index. The head is signed before
//! the append; the signed bytes leave this module inside the [`Append`] and are handed out only after its commit.

use bhyt_core::cose::Unsigned;
use bhyt_core::feed::{Epoch, Extent, FeedHead, FeedPage};
use bhyt_core::ids::MemberId;
use bhyt_core::limits::PAGE_RECORDS_MAX;
use bhyt_core::merkle::{Frontier, TreeHash};
use bhyt_core::record::{PageSeed, Record, Seq};
use bhyt_core::seal::SealKey;
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::KeyUse;
use bhyt_platform::entropy::make_bytes;

use super::Service;
use super::docs::{OpenMember, encode, open};
use super::epochs::{FeedHeadV2, OpenedEpochV1};
use super::fault::ServiceFault;
use super::values::PageV1;
use crate::store::{Append, Commit, Outcome, Store, StoredHead, StoredPage};

/// The end of a feed, ready to take records.
pub(crate) struct FeedTail {
    member: MemberId,
    expected: Option<(u64, u64)>,
    epoch: Epoch,
    frontier: Frontier,
    time: UnixSeconds,
    epochs: Vec<OpenedEpochV1>,
    settled: bool,
    /// The open page if there is one, and those begun since.
    pages: Vec<FeedPage>,
}

impl FeedTail {
    /// The place of the next record.
    pub(crate) fn next_seq(&self) -> Seq {
        Seq(self.frontier.size())
    }

    /// Whether the records will say of each card what its document says.
    pub(crate) fn set_settled(&mut self, settled: bool) {
        self.settled = settled;
    }

    /// Takes the record that stands at [`Self::next_seq`]. `seed` is used if a new page begins.
    pub(crate) fn push(&mut self, record: Record, seed: PageSeed) -> Result<(), ServiceFault> {
        let seq = self.next_seq();
        if self.pages.last().is_none_or(FeedPage::is_closed) {
            self.pages.push(FeedPage::new(seq, seed));
        }
        let missing = ServiceFault::Inconsistent { what: "feed page" };
        let page = self.pages.last_mut().ok_or(missing)?;
        page.push(record)?;
        let leaf = page.entries().last().map(|(at, entry)| entry.leaf_hash(at));
        let missing = ServiceFault::Inconsistent { what: "feed page" };
        Ok(self.frontier.append(leaf.ok_or(missing)?)?)
    }
}

/// The newest head of a feed, as readers need it.
pub(crate) struct ServedHead {
    member: MemberId,
    pub(crate) extent: Extent,
    pub(crate) root: TreeHash,
    kept: FeedHeadV2,
}

impl ServedHead {
    /// Where the next record will stand.
    pub(crate) fn next_seq(&self) -> Seq {
        Seq(self.extent.size)
    }

    /// The signed bytes.
    pub(crate) fn signed(&self) -> &[u8] {
        &self.kept.signed
    }

    /// The epochs that restores opened, oldest first.
    pub(crate) fn epochs(&self) -> &[OpenedEpochV1] {
        &self.kept.epochs
    }

    /// Whether the records say of each card what its document says.
    pub(crate) fn is_settled(&self) -> bool {
        self.kept.settled
    }

    /// The same head, settled.
    pub(crate) fn settled(self) -> Result<Append, ServiceFault> {
        self.with(|kept| kept.settled = true)
    }

    fn with(self, change: impl FnOnce(&mut FeedHeadV2)) -> Result<Append, ServiceFault> {
        let Extent { epoch, size } = self.extent;
        let mut kept = self.kept;
        change(&mut kept);
        Ok(Append {
            member: self.member,
            expected: Some((epoch.0, size)),
            head: StoredHead { epoch: epoch.0, size, bytes: kept.encode()? },
            pages: Vec::new(),
        })
    }
}

impl<S: Store> Service<S> {
    /// The end of the member's feed.
    pub(crate) async fn feed_tail(&self, member: &OpenMember) -> Result<FeedTail, ServiceFault> {
        self.enter_epoch(member.id).await?;
        let Some(head) = self.store.head(member.id).await? else {
            return Ok(FeedTail {
                member: member.id,
                expected: None,
                epoch: FIRST_EPOCH,
                frontier: Frontier::new(),
                time: UnixSeconds(0),
                epochs: Vec::new(),
                settled: true,
                pages: Vec::new(),
            });
        };
        let kept = FeedHeadV2::decode(&head)?;
        // A new epoch begins a new page: the places that follow were salted by the open one's seed before.
        let begun = kept.epochs.last().is_none_or(|opened| opened.kept < head.size);
        let pages = if begun { self.open_last_page(member, kept.last_page).await? } else { vec![] };
        Ok(FeedTail {
            member: member.id,
            expected: Some((head.epoch, head.size)),
            epoch: Epoch(head.epoch),
            frontier: Frontier::decode(&kept.frontier)?,
            time: kept.time,
            epochs: kept.epochs,
            settled: kept.settled,
            pages,
        })
    }

    /// The last page, if it takes more records.
    async fn open_last_page(&self, member: &OpenMember, number: u32) -> Result<Vec<FeedPage>, ServiceFault> {
        let last = self.store.read(member.id, number, 1).await?;
        let last = last.first().ok_or(ServiceFault::Inconsistent { what: "feed page" })?;
        let page = open_page(member.id, &member.key, last)?;
        Ok(if page.is_closed() { vec![] } else { vec![page] })
    }

    /// Signs the head over everything pushed, and seals the pages.
    pub(crate) fn seal_feed(
        &self,
        tail: FeedTail,
        key: &SealKey,
        now: UnixSeconds,
    ) -> Result<Append, ServiceFault> {
        let inconsistent = || ServiceFault::Inconsistent { what: "feed" };
        // Phones refuse a head that was signed before the one they have.
        let time = now.max(tail.time);
        let head = FeedHead {
            member: tail.member,
            extent: Extent { epoch: tail.epoch, size: tail.frontier.size() },
            root: tail.frontier.root(),
            time,
        };
        let signed = self.sign(KeyUse::Head, time, |key_id| Unsigned::new(head, key_id))?;
        let pages = tail.pages.iter().map(|page| {
            let number = page_number(page.first_seq()).ok_or_else(inconsistent)?;
            let body = encode("feed page", &PageV1(page.clone()))?;
            let nonce = make_bytes::<24>(&*self.entropy);
            let bytes = key.seal(&page_place(tail.member, number), &body, &nonce);
            Ok(StoredPage { number, bytes })
        });
        let pages = pages.collect::<Result<Vec<_>, ServiceFault>>()?;
        let kept = FeedHeadV2 {
            signed: signed.bytes().to_vec(),
            signed_by: signed.key_id(),
            time,
            frontier: tail.frontier.encode(),
            last_page: pages.last().ok_or_else(inconsistent)?.number,
            epochs: tail.epochs,
            settled: tail.settled,
        };
        Ok(Append {
            member: tail.member,
            expected: tail.expected,
            head: StoredHead { epoch: tail.epoch.0, size: tail.frontier.size(), bytes: kept.encode()? },
            pages,
        })
    }

    /// The newest head, signed by a key that phones know: one whose key has left the trust bundle since, or was closed
    /// before it signed, is signed again, over the same records. `None` when the feed has grown meanwhile.
    pub(crate) async fn trusted_head(&self, head: ServedHead) -> Result<Option<ServedHead>, ServiceFault> {
        let now = self.clock.now();
        let trust = self.trust.current();
        let bundle = trust.claims();
        let key = bundle.key(head.kept.signed_by, KeyUse::Head);
        let inside = key.is_some_and(|key| key.may_sign_at(head.kept.time));
        let counts = key.is_some_and(|key| key.verifies_at(bundle.issued));
        if inside && (counts || self.keys.key_for(KeyUse::Head, now) == Some(head.kept.signed_by)) {
            return Ok(Some(head));
        }
        let time = now.max(head.kept.time);
        let claims = FeedHead { member: head.member, extent: head.extent, root: head.root, time };
        let signed = self.sign(KeyUse::Head, time, |key_id| Unsigned::new(claims, key_id))?;
        let kept = FeedHeadV2 {
            signed: signed.bytes().to_vec(),
            signed_by: signed.key_id(),
            time,
            ..head.kept.clone()
        };
        let append = ServedHead { kept: kept.clone(), ..head }.with(|_| ())?;
        let commit = Commit { appends: vec![append], ..Commit::default() };
        let applied = self.store.commit(commit).await? == Outcome::Applied;
        let ServedHead { member, extent, root, .. } = head;
        Ok(applied.then_some(ServedHead { member, extent, root, kept }))
    }

    /// The newest head; `None` before the first record.
    pub(crate) async fn served_head(&self, member: MemberId) -> Result<Option<ServedHead>, ServiceFault> {
        let Some(head) = self.store.head(member).await? else {
            return Ok(None);
        };
        let kept = FeedHeadV2::decode(&head)?;
        Ok(Some(ServedHead {
            member,
            extent: Extent { epoch: Epoch(head.epoch), size: head.size },
            root: Frontier::decode(&kept.frontier)?.root(),
            kept,
        }))
    }

    /// The records from `from` on, as pages that join on to each other, at most `pages_max`; none at the end.
    pub(crate) async fn feed_pages(
        &self,
        member: MemberId,
        key: &SealKey,
        from: Seq,
        pages_max: usize,
    ) -> Result<Vec<FeedPage>, ServiceFault> {
        // A page holds at most this many records, so the one with `from` begins here or later.
        let earliest = from.0.saturating_sub(PAGE_RECORDS_MAX as u64 - 1);
        let Some(earliest) = page_number(Seq(earliest)) else {
            return Ok(Vec::new());
        };
        let mut pages = Vec::new();
        let mut next = earliest;
        while pages.len() < pages_max {
            let stored = self.store.read(member, next, pages_max).await?;
            let Some(last) = stored.last() else { break };
            next = last.number.saturating_add(1);
            for stored in &stored {
                let page = open_page(member, key, stored)?;
                pages.extend(page.since(from));
            }
        }
        pages.truncate(pages_max);
        Ok(pages)
    }
}

fn open_page(member: MemberId, key: &SealKey, stored: &StoredPage) -> Result<FeedPage, ServiceFault> {
    let place = page_place(member, stored.number);
    let PageV1(page) = open("feed page", key, &place, &stored.bytes)?;
    if page_number(page.first_seq()) == Some(stored.number) {
        Ok(page)
    } else {
        Err(ServiceFault::Inconsistent { what: "feed page" })
    }
}

fn page_number(first: Seq) -> Option<u32> {
    u32::try_from(first.0).ok()
}

fn page_place(member: MemberId, number: u32) -> Vec<u8> {
    [b"page/".as_slice(), &member.0, &number.to_be_bytes()].concat()
}

const FIRST_EPOCH: Epoch = Epoch(1);
