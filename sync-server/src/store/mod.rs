//! What the server asks of a store: a small, async, domain-level trait, so that PostgreSQL can stand behind it as the
//! embedded store does today. Bodies arrive sealed; a store never sees one open.
//!
//! A write is one [`Commit`]: feeds grow, documents change, and changes are announced, all or nothing, and
//! durable when the call returns. Writes say what they expect to find; a lost race changes nothing and is told.
//! Reads see only what is durable, so whatever was read may leave the process. Two reads may lie on either side of a
//! commit: whoever needs head and pages to agree reads the head first, and takes from the pages what the head covers.

mod bounds;
mod changes;
mod copy;
pub mod embedded;
mod layout;
mod member_rows;
pub mod memory;
mod view;
mod writer;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use bhyt_core::ids::MemberId;
use bhyt_core::limits::{BATCH_KEYS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use bhyt_platform::kv::StoreError;

use crate::exit::{Exit, Failure};

pub use copy::{CopiedWrite, StoreCopy};

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

    /// Applies a commit if everything it expects is so. Durable when it returns [`Outcome::Applied`]; a call that is
    /// dropped before it returns may still be applied. Refuses a commit over [`COMMIT_KEYS_MAX`] keys, with a value over
    /// its bound, or that writes one page or document twice.
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<Outcome, StoreFault>> + Send;

    /// Removes everything that is kept of a member: feed and documents. Whole and durable when it returns; a call that is
    /// dropped or fails before may have removed a part.
    fn erase(&self, member: MemberId) -> impl Future<Output = Result<(), StoreFault>> + Send;

    /// Announced changes of a shard after number `after`, in order, at most `changes_max`.
    ///
    /// Numbers are dense. Old changes are trimmed: a first one above `after + 1` says that the follower has missed some,
    /// and looks at every member of the shard that it cares for.
    fn tail(
        &self,
        shard: Shard,
        after: u64,
        changes_max: usize,
    ) -> impl Future<Output = Result<Vec<Change>, StoreFault>> + Send;

    /// The number of the shard's newest change, where a new follower begins; 0 before the first.
    fn tail_end(&self, shard: Shard) -> impl Future<Output = Result<u64, StoreFault>> + Send;

    /// Begins a copy of everything, as it will be when the copy ends; commits go on meanwhile. One at a time.
    fn copy(&self) -> impl Future<Output = Result<StoreCopy, StoreFault>> + Send;

    /// Completes, with the cause, when the store takes no more commits until it is opened again. The default is a store
    /// that never closes by itself.
    fn closed(&self) -> impl Future<Output = StoreFault> + Send {
        std::future::pending()
    }
}

/// Keys that one commit may write: each document, head and page is one, and so are all its announced changes together,
/// of which there are at most as many. No commit is larger than the largest batch of the embedded store.
pub const COMMIT_KEYS_MAX: usize = BATCH_KEYS_MAX;
/// Bytes of a document or page: the largest stored value, less what the store writes before it.
pub const BYTES_MAX: usize = VALUE_BYTES_MAX - 32;
/// Bytes of a [`StoredHead`]: a signed head, a frontier and a few numbers take under 1 kB.
pub const HEAD_BYTES_MAX: usize = 4_096;
/// Bytes of a document's id: the longest is two hashes.
pub const DOC_ID_BYTES_MAX: usize = 64;
/// Changes kept for each shard by default: a follower that was away for longer looks at everything anyway. All shards
/// together are read when the embedded store is opened, and held in memory: 2 MB.
pub const CHANGES_KEPT: u64 = 256;

const _: () = assert!(DOC_ID_BYTES_MAX + 2 <= KEY_BYTES_MAX && HEAD_BYTES_MAX < BYTES_MAX);

/// The newest head of a feed and what the server needs to append to it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHead {
    /// Feed epoch.
    pub epoch: u64,
    /// Records in the feed.
    pub size: u64,
    /// Everything else (signed head, frontier, page numbers) in the caller's encoding; at most
    /// [`HEAD_BYTES_MAX`].
    pub bytes: Vec<u8>,
}

impl fmt::Debug for StoredHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredHead")
            .field("epoch", &self.epoch)
            .field("size", &self.size)
            .field("length", &self.bytes.len())
            .finish()
    }
}

/// One sealed page.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPage {
    /// Pages of a member are numbered from 0; the last one is rewritten until it is full.
    pub number: u32,
    /// Sealed bytes, at most [`BYTES_MAX`].
    pub bytes: Vec<u8>,
}

impl fmt::Debug for StoredPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredPage({}, {} bytes)", self.number, self.bytes.len())
    }
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
    /// A card of a member: claims, standing, bindings.
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
    /// A member's personal document: how far it is, and its first part.
    Personal = 14,
    /// A further part of a personal document: member, number.
    PersonalPart = 15,
    /// An operation on a personal document that was merged: member, operation.
    PersonalOperation = 16,
    /// A petition that waits for an officer: member, petition.
    WaitingPetition = 17,
    /// That a member is to be erased, or was, by the member's id.
    Erasure = 20,
    /// The grants of a member, given and held.
    Grants = 24,
    /// Where the records of a member stand, by the names that their sources gave them.
    RecordIndex = 18,
}

impl DocKind {
    /// Whether these documents belong to a member, and their ids begin with the member's. A store may keep them beside the
    /// member's feed.
    pub const fn is_of_member(self) -> bool {
        matches!(
            self,
            Self::Member
                | Self::Card
                | Self::Personal
                | Self::PersonalPart
                | Self::PersonalOperation
                | Self::RecordIndex
        )
    }
}

/// A document's key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocKey {
    /// What it is.
    pub kind: DocKind,
    /// Which one; at most [`DOC_ID_BYTES_MAX`], and of some kinds at least a member's id.
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
    /// Grows by one with each write; 1 for the first, and again for the first after a removal.
    pub revision: u64,
    /// At most [`BYTES_MAX`].
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Doc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doc(revision {}, {} bytes)", self.revision, self.bytes.len())
    }
}

/// A change that is applied whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Growth of feeds, each member's once.
    pub appends: Vec<Append>,
    /// Documents written or removed.
    pub docs: Vec<DocWrite>,
    /// Members whose phones have news; announced through [`Store::tail`].
    pub announce: Vec<MemberId>,
}

/// Growth of one member's feed.
#[derive(Clone, Debug)]
pub struct Append {
    /// Whose.
    pub member: MemberId,
    /// Epoch and size that the stored head must have; `None` when there must be none.
    pub expected: Option<(u64, u64)>,
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

impl fmt::Debug for DocWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocWrite")
            .field("key", &self.key)
            .field("expected", &self.expected)
            .field("length", &self.bytes.as_ref().map(Vec::len))
            .finish()
    }
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
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreFault {
    /// The embedded store failed; all the commits of a group have the same cause.
    #[error("embedded store failed")]
    Embedded(#[source] Arc<StoreError>),
    /// Stored bytes are not what was written.
    #[error("a stored {what} is not readable")]
    Unreadable {
        /// What was being read.
        what: &'static str,
    },
    /// The commit breaks a bound. Our own bug: nothing was done.
    #[error("{what:?} of {got}, at most {limit} allowed")]
    TooLarge {
        /// What is too large.
        what: Bounded,
        /// What is allowed.
        limit: usize,
        /// What was asked for.
        got: usize,
    },
    /// The id of a member's document does not begin with a member's. Our own bug: nothing was done.
    #[error("a member's document without its member")]
    NoMember,
    /// The commit writes one page or document twice. Our own bug: nothing was done.
    #[error("a commit writes one key twice")]
    WrittenTwice,
    /// The system gives no thread to write with.
    #[error("no thread for the store's writer")]
    NoWriter(#[source] Arc<io::Error>),
    /// Another copy is under way.
    #[error("another copy of the store is under way")]
    CopyUnderWay,
    /// More was committed than is kept for a copy's reader.
    #[error("more than {limit} bytes were committed while a copy waited")]
    CopyFellBehind {
        /// What is kept.
        limit: usize,
    },
    /// The store's writer has stopped, after a failed commit or because the store is being closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreFault {
    /// Whether the disk is full: opening the store again would fail too.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Embedded(error) if matches!(**error, StoreError::Full { .. }))
    }
}

impl From<StoreError> for StoreFault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed { .. } => Self::Closed,
            error => Self::Embedded(Arc::new(error)),
        }
    }
}

impl Failure for StoreFault {
    fn exit(&self) -> Exit {
        let Self::Embedded(error) = self else {
            return match self {
                Self::Unreadable { .. } => Exit::Data,
                Self::NoWriter(_) => Exit::Io,
                _ => Exit::Internal,
            };
        };
        match **error {
            StoreError::InUse { .. } => Exit::InUse,
            StoreError::NewerVersion { .. } | StoreError::Foreign { .. } => Exit::Data,
            StoreError::Corrupt { .. } => Exit::Data,
            StoreError::Full { .. } | StoreError::Io { .. } => Exit::Io,
            StoreError::TooLarge { .. } | StoreError::Closed { .. } => Exit::Internal,
        }
    }
}

/// What [`StoreFault::TooLarge`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// Keys of a commit.
    Keys,
    /// Bytes of a document's id.
    DocId,
    /// Bytes of a document.
    Doc,
    /// Bytes of a page.
    Page,
    /// Bytes of a head.
    Head,
}
