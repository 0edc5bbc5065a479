//! What the server asks of a store: a small, async, domain-level trait, so that PostgreSQL can stand behind it as the
//! embedded store does today. Bodies arrive sealed; a store never sees one open.
//!
//! A write is one [`Commit`]: a member's feed grows, documents change, and a change is announced, all or nothing, and
//! durable when the call returns. Writes say what they expect to find; a lost race changes nothing and is told.

use std::fmt;
use std::future::Future;

use bhyt_core::ids::MemberId;

/// The server's store.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The member's newest head; `None` before the first record.
    fn head(&self, member: MemberId) -> impl Future<Output = Result<Option<StoredHead>, StoreFault>> + Send;

    /// The member's pages from number `from` on, in order, at most `pages_max`.
    fn read(
        &self,
        member: MemberId,
        from: u32,
        pages_max: usize,
    ) -> impl Future<Output = Result<Vec<StoredPage>, StoreFault>> + Send;

    /// One document.
    fn doc_get(&self, key: &DocKey) -> impl Future<Output = Result<Option<Doc>, StoreFault>> + Send;

    /// Documents of a kind whose id is greater than `after`, ascending, at most `docs_max`.
    fn doc_scan(
        &self,
        kind: DocKind,
        after: Option<Vec<u8>>,
        docs_max: usize,
    ) -> impl Future<Output = Result<Vec<(DocKey, Doc)>, StoreFault>> + Send;

    /// Applies a commit if everything it expects is so. Durable when it returns [`Outcome::Applied`].
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<Outcome, StoreFault>> + Send;

    /// Announced changes of a shard after number `after`, in order, at most `changes_max`.
    fn tail(
        &self,
        shard: Shard,
        after: u64,
        changes_max: usize,
    ) -> impl Future<Output = Result<Vec<Change>, StoreFault>> + Send;
}

/// The newest head of a feed and what the server needs to append to it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHead {
    /// Feed epoch.
    pub epoch: u32,
    /// Records in the feed.
    pub size: u64,
    /// Everything else (signed head, frontier, page numbers) in the caller's encoding; at most 4 kB.
    pub bytes: Vec<u8>,
}

/// One sealed page.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPage {
    /// Pages of a member are numbered from 0; the last one is rewritten until it is full.
    pub number: u32,
    /// Sealed bytes.
    pub bytes: Vec<u8>,
}

/// What a document is. The numbers are stored and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DocKind {
    /// Settings of the store itself: counters, epochs.
    Meta = 1,
    /// A member: details, cards, devices, wrapped key.
    Member = 2,
    /// Blind index of an alias → member id.
    Alias = 3,
    /// A card: claims, standing, bindings.
    Card = 4,
    /// A device by transport key id.
    Device = 5,
    /// A terminal by transport key id.
    Terminal = 6,
    /// An operator by transport key id.
    Operator = 7,
    /// A one-time code or token, by its hash.
    OneTimeCode = 8,
    /// An operation that was answered.
    Operation = 9,
    /// An entry of the status list: set and value.
    StatusEntry = 10,
    /// A change of the status list, by its number.
    StatusChange = 11,
    /// A published status version.
    StatusVersion = 12,
    /// The audit trail, by its number.
    Audit = 13,
}

/// A document's key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocKey {
    /// What it is.
    pub kind: DocKind,
    /// Which one; at most 64 bytes.
    pub id: Vec<u8>,
}

impl DocKey {
    /// The document of this kind and id.
    pub fn new(kind: DocKind, id: impl Into<Vec<u8>>) -> Self {
        Self { kind, id: id.into() }
    }
}

impl fmt::Debug for DocKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocKey({:?}, {} bytes)", self.kind, self.id.len())
    }
}

/// A document as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Doc {
    /// Grows by one with each write; 1 for the first.
    pub revision: u64,
    /// At most [`bhyt_core::limits::VALUE_BYTES_MAX`].
    pub bytes: Vec<u8>,
}

/// A change that is applied whole or not at all.
#[derive(Clone, Default)]
pub struct Commit {
    /// Growth of one member's feed.
    pub append: Option<Append>,
    /// Documents written or removed.
    pub docs: Vec<DocWrite>,
    /// Members whose phones have news; announced through [`Store::tail`].
    pub announce: Vec<MemberId>,
}

/// Growth of one member's feed.
#[derive(Clone)]
pub struct Append {
    /// Whose.
    pub member: MemberId,
    /// Epoch and size that the stored head must have; `None` when there must be none.
    pub expected: Option<(u32, u64)>,
    /// The head after.
    pub head: StoredHead,
    /// Pages written: the rewritten last one, and new ones.
    pub pages: Vec<StoredPage>,
}

/// One document written or removed.
#[derive(Clone)]
pub struct DocWrite {
    /// Which.
    pub key: DocKey,
    /// What must be there for the commit to go through.
    pub expected: Expected,
    /// New bytes; `None` removes the document.
    pub bytes: Option<Vec<u8>>,
}

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No document.
    Absent,
    /// This revision.
    Revision(u64),
    /// Whatever there is.
    Any,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Done, and durable.
    Applied,
    /// Something was not as expected; nothing was changed.
    Lost,
}

/// A part of the members, by the first byte of the member id: what one node can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u8);

impl Shard {
    /// The shard of a member.
    pub fn of(member: MemberId) -> Self {
        let [first, ..] = member.0;
        Self(first)
    }
}

/// An announced change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Grows inside the shard.
    pub number: u64,
    /// Whose phones have news.
    pub member: MemberId,
}

/// The store failed. Nothing of the call was done, or (after a failed sync to disk) the store is closed.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The embedded store failed.
    #[error("embedded store failed")]
    Embedded(#[from] bhyt_platform::kv::StoreError),
    /// Stored bytes are not what was written.
    #[error("a stored {what} is not readable")]
    Unreadable {
        /// What was being read.
        what: &'static str,
    },
    /// The commit breaks a bound.
    #[error("a commit of {got} keys, at most {limit} allowed")]
    TooLarge {
        /// Keys allowed.
        limit: usize,
        /// Keys asked for.
        got: usize,
    },
    /// The store's writer has stopped.
    #[error("the store is closed")]
    Closed,
}
