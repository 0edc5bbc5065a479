//! The status list: its sets in memory, and versions of it made from them. A version is stored before anybody sees it
//! and its number never used again; a new one is made when something changed, when it has grown old, and when the
//! status key changes, which begins a new epoch.
//!
//! Entries leave when they say nothing any more: after the card's last day, or the binding's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bhyt_core::ids::{BindingNumber, StatusIndex};
use bhyt_core::keys::KeyId;
use bhyt_core::status::build::StatusSets;
use bhyt_core::status::index_order::indexes_below;
use bhyt_core::status::list::{Covers, StatusHead};
use bhyt_core::status::reason::{SetMeaning, SetNumber};
use bhyt_core::status::{StatusList, StatusVersion};
use bhyt_core::time::{Day, UnixSeconds};
use bhyt_core::trust::KeyUse;
use tokio::sync::{Notify, Semaphore};

use super::docs::{Found, decode, write};
use super::fault::ServiceFault;
use super::parts::PublishHook;
use super::status_changes::{ChangeLog, StatusDraft, entry_key, entry_of};
use super::values::{EntryChange, EntryChangeV1, StatusEntryV1, StatusVersionV1};
use super::{Draft, Service};
use crate::store::{Commit, DocKey, DocKind, Expected, Outcome, Store};
use crate::stored::CurrentStatusV1;

/// The list in force and what the next one is made from.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// Changes on their way into the list.
    pub(crate) log: ChangeLog,
    /// Woken when a version is wanted soon.
    pub(crate) wanted: Notify,
    hook: Arc<dyn PublishHook>,
    state: Mutex<PublisherState>,
    /// One version is made at a time.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct PublisherState {
    sets: StatusSets,
    /// Entries by the last day they are there; some have gone since.
    leaving: BTreeMap<Day, BTreeSet<(u8, u64)>>,
    stored: Option<Found<CurrentStatusV1>>,
    key: Option<KeyId>,
    current: Option<Arc<Published>>,
    recent: VecDeque<Arc<Published>>,
    pub(super) made: MadeBytes,
}

/// Signed bytes of the version in force, made when first asked for.
#[derive(Debug, Default)]
pub(crate) struct MadeBytes {
    pub(crate) snapshot: Option<Arc<[u8]>>,
    /// By the number of the version a delta starts at; `None` where a snapshot is better.
    pub(crate) deltas: BTreeMap<u64, Option<Arc<[u8]>>>,
}

/// A version that is or was in force.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) list: StatusList,
    pub(crate) key: KeyId,
    pub(crate) changes: u64,
}

/// The version in force, for an operator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentView {
    pub(crate) version: StatusVersion,
    pub(crate) time: UnixSeconds,
    pub(crate) entries: u64,
}

impl Publisher {
    pub(crate) fn new(hook: Arc<dyn PublishHook>) -> Self {
        Self {
            log: ChangeLog::default(),
            wanted: Notify::new(),
            hook,
            state: Mutex::default(),
            turn: Semaphore::new(1),
        }
    }

    /// The version in force.
    pub(crate) fn published(&self) -> Result<Arc<Published>, ServiceFault> {
        let missing = ServiceFault::Inconsistent { what: "status list" };
        self.state().current.clone().ok_or(missing)
    }

    /// A version that is still in memory.
    pub(crate) fn recent(&self, version: StatusVersion) -> Option<Arc<Published>> {
        let state = self.state();
        let mut recent = state.recent.iter();
        recent.find(|published| published.list.version() == version).cloned()
    }

    /// What an operator is told.
    pub(crate) fn current(&self) -> CurrentView {
        let state = self.state();
        let current = state.current.as_ref();
        let nothing = StatusVersion { epoch: 0, number: 0 };
        CurrentView {
            version: current.map_or(nothing, |current| current.list.version()),
            time: current.map_or(UnixSeconds(0), |current| current.list.time()),
            entries: current.map_or(0, |current| current.list.entries()),
        }
    }

    /// Bytes made of `published`, if it is still in force.
    pub(crate) fn made<T>(&self, published: &Published, with: impl FnOnce(&mut MadeBytes) -> T) -> Option<T> {
        let mut state = self.state();
        let version = state.current.as_ref()?.list.version();
        (version == published.list.version()).then(|| with(&mut state.made))
    }

    /// What stands in the sets now.
    pub(crate) fn sets(&self) -> StatusSets {
        self.with_sets(StatusSets::clone)
    }

    /// Looks at what stands in the sets now.
    pub(crate) fn with_sets<T>(&self, look: impl FnOnce(&StatusSets) -> T) -> T {
        look(&self.state().sets)
    }

    fn state(&self) -> MutexGuard<'_, PublisherState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PublisherState {
    fn apply(&mut self, changes: &[EntryChangeV1]) -> Result<(), ServiceFault> {
        for change in changes {
            apply_change(&mut self.sets, change)?;
            if let EntryChange::Added { until: Some(day) } = change.change {
                self.leaving.entry(day).or_default().insert((change.set, change.value));
            }
        }
        Ok(())
    }

    /// Puts a version in force, and forgets those that memory is too dear for.
    fn put(&mut self, published: Published, stored: Found<CurrentStatusV1>) {
        let published = Arc::new(published);
        self.stored = Some(stored);
        self.key = Some(published.key);
        self.made = MadeBytes::default();
        self.recent.push_front(Arc::clone(&published));
        self.current = Some(published);
        let mut bytes = 0;
        self.recent.retain(|published| {
            bytes += LIST_BYTES + list_bytes(&published.list);
            bytes <= RECENT_BYTES_MAX
        });
    }
}

impl<S: Store> Service<S> {
    /// Loads the sets, and the changes that no version has yet.
    pub(crate) async fn load_status(&self) -> Result<(), ServiceFault> {
        let mut loaded = PublisherState {
            stored: self.doc("status version", &current_key()).await?,
            ..PublisherState::default()
        };
        let mut after = None;
        loop {
            let docs = self.store.doc_scan(DocKind::StatusEntry, after, SCAN_DOCS).await?;
            let Some((last, _)) = docs.last() else { break };
            after = Some(last.id.clone());
            for (key, doc) in &docs {
                let (set, value) = entry_of(key)?;
                let entry: Found<StatusEntryV1> = decode("status entry", doc)?;
                let until = entry.value.until;
                let change = EntryChange::Added { until };
                loaded.apply(&[EntryChangeV1 { set, value, change }])?;
            }
        }
        let published = loaded.stored.as_ref().map_or(0, |stored| stored.value.last_change);
        if let Some(stored) = &loaded.stored {
            let version = self.stored_version(stored.value.version()).await?;
            loaded.key = version.map(|version| version.key);
        }
        let mut pending = BTreeMap::new();
        let mut after = published;
        loop {
            let changes = self.changes_between(after, u64::MAX, SCAN_DOCS).await?;
            let Some((last, _)) = changes.last() else { break };
            after = *last;
            pending.extend(changes);
        }
        self.publisher.log.start(published, pending);
        *self.publisher.state() = loaded;
        Ok(())
    }

    /// Makes a new version if one is due; none while a restored server awaits the newest list of before.
    ///
    /// # Errors
    /// [`ServiceFault`]; the version in force stays, and the changes wait for the next.
    pub async fn publish_due(&self) -> Result<(), ServiceFault> {
        if self.awaits_status() {
            return Ok(());
        }
        let closed = |_| ServiceFault::Inconsistent { what: "status list" };
        let _turn = self.publisher.turn.acquire().await.map_err(closed)?;
        let now = self.clock.now();
        self.expire_entries(now.day()).await?;
        let usage = KeyUse::Status;
        let key = self.keys.key_for(usage, now).ok_or(ServiceFault::NoKey { usage })?;
        let resign = self.settings.status_resign.as_secs();
        let fresh = match self.publisher.state().current.as_ref() {
            Some(current) => now.since(current.list.time()) < resign && current.key == key,
            None => false,
        };
        if fresh && !self.publisher.log.has_pending() {
            return Ok(());
        }
        let (through, changes) = self.publisher.log.take();
        let published = self.publish(now, key, through, &changes).await;
        match published {
            Ok(current) => {
                self.publisher.hook.published(&current);
                self.hub.announce_status();
                Ok(())
            }
            Err(fault) => {
                self.publisher.log.give_back(through, changes);
                Err(fault)
            }
        }
    }

    /// Waits until a version is wanted soon.
    pub async fn publish_wanted(&self) {
        self.publisher.wanted.notified().await;
    }

    /// Whether a version takes so long to make that changes are better gathered first.
    pub fn list_is_large(&self) -> bool {
        self.publisher.current().entries > ENTRIES_AT_ONCE
    }

    /// Something has changed that terminals should know soon.
    pub(crate) fn publish_soon(&self) {
        self.publisher.wanted.notify_one();
    }

    /// Publishes what waits, unless the list is so large that this is left to the background.
    pub(crate) async fn publish_before_answer(&self) -> Result<(), ServiceFault> {
        if !self.list_is_large() && self.publisher.log.has_pending() {
            self.publish_due().await?;
        }
        Ok(())
    }

    /// What is stored of a published version.
    pub(crate) async fn stored_version(
        &self,
        version: StatusVersion,
    ) -> Result<Option<StatusVersionV1>, ServiceFault> {
        let found: Option<Found<StatusVersionV1>> = self.doc("status version", &version_key(version)).await?;
        Ok(found.map(|found| found.value))
    }

    async fn publish(
        &self,
        now: UnixSeconds,
        key: KeyId,
        through: u64,
        changes: &[EntryChangeV1],
    ) -> Result<CurrentStatusV1, ServiceFault> {
        // Read after the changes were taken, so that every card among them is below it.
        let covers = indexes_below(self.cards_end().await?);
        let (list, stored) = {
            let mut state = self.publisher.state();
            state.apply(changes)?;
            let head = next_head(&state, now, key, covers)?;
            let list = state.sets.to_list(head);
            (list.map_err(|source| ServiceFault::StatusList { source })?, state.stored.clone())
        };
        let version = list.version();
        let current = CurrentStatusV1 {
            epoch: version.epoch,
            number: version.number,
            time: list.time(),
            covers,
            last_change: through,
        };
        let value = StatusVersionV1 { time: list.time(), key, changes: through, covered: covers };
        let revision = stored.as_ref().map(|stored| stored.revision);
        let expected = revision.map_or(Expected::Absent, Expected::Revision);
        let commit = Commit {
            docs: vec![
                write("status version", version_key(version), Expected::Absent, &value)?,
                write("status version", current_key(), expected, &current)?,
            ],
            ..Commit::default()
        };
        if self.store.commit(commit).await? == Outcome::Lost {
            return Err(ServiceFault::LostRaces { attempts: 1 });
        }
        let published = Published { list, key, changes: through };
        let stored = Found { revision: revision.unwrap_or(0) + 1, value: current };
        self.publisher.state().put(published, stored);
        Ok(current)
    }

    /// Takes entries off the list whose last day is over.
    async fn expire_entries(&self, today: Day) -> Result<(), ServiceFault> {
        loop {
            let due: Vec<(Day, (u8, u64))> = {
                let state = self.publisher.state();
                let days = state.leaving.range(..today);
                let entries = days.flat_map(|(day, set)| set.iter().map(|entry| (*day, *entry)));
                entries.take(EXPIRED_IN_COMMIT).collect()
            };
            if due.is_empty() {
                return Ok(());
            }
            let mut status = StatusDraft::default();
            for (_, (set, value)) in &due {
                let key = entry_key(*set, *value);
                let entry: Option<Found<StatusEntryV1>> = self.doc("status entry", &key).await?;
                // It may have gone, or have come anew with a later day, since it was noted here.
                let over =
                    |found: &Found<StatusEntryV1>| found.value.until.is_some_and(|until| until < today);
                if entry.as_ref().is_some_and(over) {
                    self.unlist(&mut status, *set, *value).await?;
                }
            }
            let draft = Draft { status, ..Draft::default() };
            // Lost to a change of one of these cards: the next look finds what is left.
            if draft.status.is_empty() || self.commit(draft).await? == Outcome::Applied {
                let mut state = self.publisher.state();
                for (day, entry) in due {
                    if let Some(entries) = state.leaving.get_mut(&day) {
                        entries.remove(&entry);
                    }
                }
                state.leaving.retain(|_, entries| !entries.is_empty());
            }
        }
    }
}

/// Makes a change in the sets, or makes it undone.
pub(crate) fn apply_change(sets: &mut StatusSets, change: &EntryChangeV1) -> Result<(), ServiceFault> {
    use bhyt_core::card_record::CardStanding;
    let unreadable = || ServiceFault::Inconsistent { what: "status change" };
    let set = SetNumber::new(i64::from(change.set)).ok_or_else(unreadable)?;
    let added = matches!(change.change, EntryChange::Added { .. });
    match set.meaning() {
        SetMeaning::Cards(standing) => {
            let index = u32::try_from(change.value).map_err(|_| unreadable())?;
            let standing = if added { standing } else { CardStanding::InForce };
            sets.set_standing(StatusIndex(index), standing);
        }
        SetMeaning::RetiredBindings => {
            let index = u32::try_from(change.value / 16).map_err(|_| unreadable())?;
            let number = BindingNumber::new(change.value % 16).ok_or_else(unreadable)?;
            match added {
                true => sets.retire_binding(StatusIndex(index), number),
                false => sets.free_binding(StatusIndex(index), number),
            }
        }
        SetMeaning::UnknownOfCards | SetMeaning::UnknownOfBindings => return Err(unreadable()),
    }
    Ok(())
}

/// The head of a version: what its number, time and coverage are.
pub(crate) fn list_head(
    version: StatusVersion,
    time: UnixSeconds,
    covers: u64,
) -> Result<StatusHead, ServiceFault> {
    // A card takes its time before it takes its place in the store: one of these last seconds may still be on its way,
    // and must not be told that the list should know it.
    let covers = Covers::new(covers, time.minus(ISSUE_SECONDS_MAX), Vec::new());
    Ok(StatusHead { version, time, covers: covers.map_err(|source| ServiceFault::StatusList { source })? })
}

fn next_head(
    state: &PublisherState,
    now: UnixSeconds,
    key: KeyId,
    covers: u64,
) -> Result<StatusHead, ServiceFault> {
    let (version, time) = match &state.stored {
        Some(stored) if state.key == Some(key) => {
            let number = stored.value.number + 1;
            let version = StatusVersion { epoch: stored.value.epoch, number };
            (version, now.max(stored.value.time))
        }
        stored => {
            let epoch = stored.as_ref().map_or(0, |stored| stored.value.epoch) + 1;
            // A restored server's clock may be behind what terminals have seen.
            let time = stored.as_ref().map_or(now, |stored| now.max(stored.value.time));
            (StatusVersion { epoch, number: 1 }, time)
        }
    };
    list_head(version, time, covers)
}

fn list_bytes(list: &StatusList) -> usize {
    list.sets().map(|(_, set)| set.bytes().len() + set.skip_bytes()).sum()
}

fn version_key(version: StatusVersion) -> DocKey {
    let mut id = version.epoch.to_be_bytes().to_vec();
    id.extend(version.number.to_be_bytes());
    DocKey::new(DocKind::StatusVersion, id)
}

/// Where the version in force is noted.
pub(crate) fn current_key() -> DocKey {
    DocKey::new(DocKind::StatusVersion, b"current".to_vec())
}

/// Memory for lists no longer in force, which deltas are made from.
const RECENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a list takes besides its sets.
const LIST_BYTES: usize = 1_024;
/// Lists up to this size are made while somebody waits: 65,536 entries take some milliseconds.
const ENTRIES_AT_ONCE: u64 = 65_536;
const SCAN_DOCS: usize = 1_024;
/// Each takes a key, and the change one more.
const EXPIRED_IN_COMMIT: usize = 128;
/// Far longer than a card takes from its time to its place in the store.
const ISSUE_SECONDS_MAX: u64 = 60;
