//! What brings a terminal up to date: trust bundles, then the status list, as one delta from the version in hand or, when
//! there is none or a delta would be no saving, as a snapshot in pieces that can be resumed.

use std::sync::Arc;

use bhyt_core::cose::Unsigned;
use bhyt_core::keys::KeyId;
use bhyt_core::limits::FRAME_BYTES_MAX;
use bhyt_core::status::StatusVersion;
use bhyt_core::status::build::StatusSets;
use bhyt_core::status::delta::Delta;
use bhyt_core::status::list::StatusError;
use bhyt_core::sync::messages::{Follow, Reply, SnapshotPiece, SyncTerminal};

use super::Service;
use super::answer::ReplySink;
use super::fault::{ServiceFault, Stop};
use super::hub::{Following, Seat};
use super::publisher::{Published, apply_change, list_head};
use super::values::{EntryChange, EntryChangeV1};
use crate::store::Store;

/// A list in a terminal's hands: its version and the key that signed it.
type HeldList = (StatusVersion, KeyId);

impl<S: Store> Service<S> {
    /// Answers a terminal's sync.
    pub(crate) async fn sync_terminal(
        &self,
        seat: &Seat,
        sync: &SyncTerminal,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        if sync.follow == Follow::Stay {
            // Before anything is read: what changes from here on is news.
            seat.follow_lists(sync.trust, sync.status);
        }
        self.publish_before_answer().await?;
        let trust = self.send_trust(sync.trust, sink).await?;
        let status = self.send_status(sync.status, sync.partial, sink).await?;
        seat.note(Following::Terminal { trust, status: Some(status) });
        Ok(())
    }

    /// Sends a terminal that stays what is new, and Done when there was anything.
    pub(crate) async fn send_terminal_news(
        &self,
        seat: &Seat,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let Following::Terminal { trust, status } = seat.following() else {
            return Ok(());
        };
        let new_trust = self.send_trust(trust, sink).await?;
        let new_status = self.send_status(status, None, sink).await?;
        if new_trust != trust || Some(new_status) != status {
            sink.send(Reply::Done).await?;
        }
        seat.note(Following::Terminal { trust: new_trust, status: Some(new_status) });
        Ok(())
    }

    /// Sends what leads from the list in hand to the one in force; returns the latter.
    async fn send_status(
        &self,
        held: Option<HeldList>,
        partial: Option<(StatusVersion, u64)>,
        sink: &mut impl ReplySink,
    ) -> Result<HeldList, Stop> {
        let published = self.publisher.published()?;
        let now = (published.list.version(), published.key);
        let Some((version, key)) = held else {
            self.send_snapshot(&published, partial, sink).await?;
            return Ok(now);
        };
        if held == Some(now) {
            return Ok(now);
        }
        let leads = key == now.1 && version.epoch == now.0.epoch && version < now.0;
        let delta = match leads {
            true => self.delta_from(&published, version).await?,
            false => None,
        };
        match delta {
            Some(delta) => sink.send(Reply::StatusDelta(delta.to_vec())).await?,
            None => self.send_snapshot(&published, partial, sink).await?,
        }
        Ok(now)
    }

    async fn send_snapshot(
        &self,
        published: &Published,
        partial: Option<(StatusVersion, u64)>,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let bytes = self.snapshot(published)?;
        let version = published.list.version();
        let total = bytes.len();
        let resumed = partial.filter(|(of, _)| *of == version);
        let resumed = resumed.and_then(|(_, offset)| usize::try_from(offset).ok());
        let mut offset = resumed.filter(|offset| *offset < total).unwrap_or(0);
        while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
            let reply =
                SnapshotPiece { version, offset: offset as u64, total: total as u64, bytes: piece.to_vec() };
            offset += piece.len();
            sink.send(Reply::StatusSnapshot(reply)).await?;
        }
        Ok(())
    }

    /// The signed snapshot; signed once while its version is in force.
    fn snapshot(&self, published: &Published) -> Result<Arc<[u8]>, ServiceFault> {
        let made = self.publisher.made(published, |made| made.snapshot.clone());
        if let Some(Some(bytes)) = made {
            return Ok(bytes);
        }
        let unsigned = Unsigned::new(published.list.clone(), published.key);
        let bytes: Arc<[u8]> = self.sign_with(published.key, unsigned)?.bytes().into();
        let kept = Arc::clone(&bytes);
        self.publisher.made(published, |made| made.snapshot = Some(kept));
        Ok(bytes)
    }

    /// The signed delta from an older version; `None` when a snapshot is better. Made once while its end is in force.
    async fn delta_from(
        &self,
        published: &Published,
        from: StatusVersion,
    ) -> Result<Option<Arc<[u8]>>, ServiceFault> {
        let made = |made: &mut super::publisher::MadeBytes| made.deltas.get(&from.number).cloned();
        if let Some(Some(delta)) = self.publisher.made(published, made) {
            return Ok(delta);
        }
        let delta = self.make_delta(published, from).await?;
        let kept = delta.clone();
        self.publisher.made(published, |made| {
            if made.deltas.len() < DELTAS_KEPT {
                made.deltas.insert(from.number, kept);
            }
        });
        Ok(delta)
    }

    async fn make_delta(
        &self,
        published: &Published,
        from: StatusVersion,
    ) -> Result<Option<Arc<[u8]>>, ServiceFault> {
        let older = match self.publisher.recent(from) {
            Some(recent) => recent,
            None => match self.rebuild(published, from).await? {
                Some(rebuilt) => Arc::new(rebuilt),
                None => return Ok(None),
            },
        };
        let delta = match Delta::between(&older.list, &published.list) {
            Ok(delta) => delta,
            Err(StatusError::DeltaTooLarge { .. }) => return Ok(None),
            Err(source) => return Err(ServiceFault::StatusList { source }),
        };
        let signed = self.sign_with(published.key, Unsigned::new(delta, published.key))?;
        let bytes: Arc<[u8]> = signed.bytes().into();
        let worth_it = bytes.len() <= SMALL_BYTES || bytes.len() * 2 <= self.snapshot(published)?.len();
        Ok(worth_it.then_some(bytes))
    }

    /// A version that memory has lost: the one in force with everything undone that came after. `None` when it is not
    /// known, or too much has changed since.
    async fn rebuild(
        &self,
        published: &Published,
        version: StatusVersion,
    ) -> Result<Option<Published>, ServiceFault> {
        let Some(stored) = self.stored_version(version).await? else {
            return Ok(None);
        };
        let mut undone: Vec<EntryChangeV1> = Vec::new();
        let mut after = stored.changes;
        loop {
            let through = published.changes;
            let docs = self.changes_between(after, through, SCAN_DOCS).await?;
            let Some((last, _)) = docs.last() else { break };
            after = *last;
            undone.extend(docs.into_iter().flat_map(|(_, changes)| changes));
            if undone.len() > UNDONE_MAX {
                return Ok(None);
            }
        }
        let mut sets = StatusSets::from_list(&published.list);
        for change in undone.iter().rev() {
            let undo = match change.change {
                EntryChange::Added { .. } => EntryChange::Removed,
                EntryChange::Removed => EntryChange::Added { until: None },
            };
            let undo = EntryChangeV1 { change: undo, ..*change };
            apply_change(&mut sets, &undo)?;
        }
        let head = list_head(version, stored.time, stored.covered)?;
        let list = sets.to_list(head);
        Ok(Some(Published {
            list: list.map_err(|source| ServiceFault::StatusList { source })?,
            key: stored.key,
            changes: stored.changes,
        }))
    }
}

/// Bytes of a piece of a snapshot; the rest of the frame is for what stands around it.
const PIECE_BYTES: usize = FRAME_BYTES_MAX - 1_024;
/// A delta up to this size is sent without asking what a snapshot would cost.
const SMALL_BYTES: usize = 512;
/// Deltas kept ready for one version: terminals that were last here at as many different ones.
const DELTAS_KEPT: usize = 1_024;
/// Changes undone to get an older version back; more do not fit a delta.
const UNDONE_MAX: usize = 100_000;
const SCAN_DOCS: usize = 1_024;
