//! The server's side of one member's feed: pages as they grow, every head on the way, and what a phone is sent.

use bhyt_core::cose::Unsigned;
use bhyt_core::feed::{Epoch, Extent, FeedHead, FeedPage};
use bhyt_core::ids::MemberId;
use bhyt_core::keys::SecretKey;
use bhyt_core::merkle::TreeHash;
use bhyt_core::record::{Body, PageSeed, Record, RecordKind, Seq};
use bhyt_core::time::UnixSeconds;

use crate::authority::at;

/// A feed that only grows.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) member: MemberId,
    pub(crate) pages: Vec<FeedPage>,
    pub(crate) leaves: Vec<TreeHash>,
    records: Vec<Record>,
}

impl Ledger {
    pub(crate) fn new(member: MemberId) -> Self {
        Self { member, pages: Vec::new(), leaves: Vec::new(), records: Vec::new() }
    }

    pub(crate) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// A new record, or the next revision of the record that stands at `revises`.
    pub(crate) fn append(&mut self, body: &[u8], revises: Option<usize>) {
        let seq = Seq(self.size());
        let time = self.time_at(self.size());
        let body = Body::new(body.to_vec());
        let before = revises.and_then(|at| self.records.get(at));
        // The newest revision of the same record: chains have no branches.
        let before = before.map(|it| it.first_seq);
        let before = self.records.iter().rev().find(|it| Some(it.first_seq) == before);
        let record = match (before, body) {
            (Some(before), Ok(body)) => before.corrected(body, time),
            (Some(before), Err(_)) => before.retracted(time),
            (None, Ok(body)) => Record::first(seq, RecordKind::Visit, body, time),
            (None, Err(_)) => return,
        };
        if self.pages.last().is_none_or(FeedPage::is_closed) {
            self.pages.push(FeedPage::new(seq, seed(self.pages.len())));
        }
        let page = self.pages.last_mut().expect("an open page");
        page.push(record.clone()).expect("a page that takes more");
        let (seq, entry) = page.entries().last().expect("what was pushed");
        self.leaves.push(entry.leaf_hash(seq));
        self.records.push(record);
    }

    /// The head over the first `size` records.
    pub(crate) fn head(&self, size: u64) -> FeedHead {
        let leaves = self.leaves.get(..size as usize).unwrap_or(&self.leaves);
        let extent = Extent { epoch: Epoch(1), size: leaves.len() as u64 };
        let root = bhyt_core::merkle::root_of(leaves);
        FeedHead { member: self.member, extent, root, time: self.time_at(extent.size) }
    }

    /// What a phone at `from` is sent.
    pub(crate) fn since(&self, from: u64) -> Vec<FeedPage> {
        self.pages.iter().filter_map(|page| page.since(Seq(from))).collect()
    }

    /// The pages as they were before the record at `end`.
    pub(crate) fn until(&self, end: Seq) -> Vec<FeedPage> {
        let mut pages = Vec::new();
        for (number, page) in self.pages.iter().enumerate().filter(|(_, page)| page.first_seq() < end) {
            let mut part = FeedPage::new(page.first_seq(), seed(number));
            for (_, record) in page.records().take_while(|(seq, _)| *seq < end) {
                part.push(record.clone()).expect("a part of a page");
            }
            pages.push(part);
        }
        pages
    }

    fn time_at(&self, size: u64) -> UnixSeconds {
        at(2026, 6, 1).plus(size)
    }
}

/// Of the page of this number.
fn seed(number: usize) -> PageSeed {
    PageSeed([number as u8; 32])
}

/// A signed head.
pub(crate) fn sign_head(key: &SecretKey, head: FeedHead) -> Vec<u8> {
    Unsigned::new(head, key.public_key().key_id()).sign(key).bytes().to_vec()
}
