//! What a terminal writes after an answer, on a thread of its own, so that no answer waits for the disk: replay keys into
//! the own store, seen cards into the cache. Everything handed over is durable when the keeper is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use bhyt_core::replay::Remembered;
use bhyt_platform::kv::{Batch, Kv};
use tokio::sync::oneshot;

use crate::error::SdkError;
use crate::seen_cards::SeenCard;
use crate::stored::{StoredError, StoredForgotten, StoredProof, put};

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// `None` only while dropping.
    notes: Option<SyncSender<Note>>,
    thread: Option<JoinHandle<()>>,
    failed: Arc<AtomicBool>,
}

/// Something to keep.
#[derive(Debug)]
pub(crate) enum Note {
    /// A proof was relied on.
    Proof(Remembered),
    /// A card was accepted.
    Card(SeenCard),
    /// Say when everything before this is durable.
    Flush(Waiting),
}

/// Who waits for a flush.
#[derive(Debug)]
pub(crate) enum Waiting {
    Thread(Sender<()>),
    Task(oneshot::Sender<()>),
}

impl Keeper {
    pub(crate) fn start(own: Arc<dyn Kv>, cache: Arc<dyn Kv>) -> Result<Self, SdkError> {
        let (notes, inbox) = sync_channel(NOTES_WAITING_MAX);
        let failed = Arc::new(AtomicBool::new(false));
        let writer = Writer { own, cache, failed: failed.clone() };
        let thread = thread::Builder::new().name("bhyt-keeper".to_owned());
        let thread = thread.spawn(move || writer.run(&inbox)).map_err(SdkError::system)?;
        Ok(Self { notes: Some(notes), thread: Some(thread), failed })
    }

    /// Hands a note over. Waits only when the disk is a thousand answers behind.
    pub(crate) fn keep(&self, note: Note) {
        // The thread ends only when this sender is gone.
        let _ = self.notes.as_ref().map(|notes| notes.send(note));
    }

    /// Waits until everything handed over before is durable; whether it is.
    pub(crate) fn flush(&self) -> bool {
        let (done, wait) = channel();
        self.keep(Note::Flush(Waiting::Thread(done)));
        wait.recv().is_ok() && !self.failed.load(Ordering::SeqCst)
    }

    /// [`Self::flush`] for tasks.
    pub(crate) async fn flushed(&self) -> bool {
        let (done, wait) = oneshot::channel();
        self.keep(Note::Flush(Waiting::Task(done)));
        wait.await.is_ok() && !self.failed.load(Ordering::SeqCst)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.notes.take());
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so by the panic hook; there is nothing more to save.
            let _ = thread.join();
        }
    }
}

struct Writer {
    own: Arc<dyn Kv>,
    cache: Arc<dyn Kv>,
    failed: Arc<AtomicBool>,
}

impl Writer {
    fn run(&self, inbox: &Receiver<Note>) {
        while let Ok(first) = inbox.recv() {
            let waiting = std::iter::once(first).chain(inbox.try_iter().take(NOTES_PER_COMMIT));
            let notes: Vec<Note> = waiting.collect();
            if let Err(error) = self.write(&notes) {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "replay keys or seen cards not kept");
                self.failed.store(true, Ordering::SeqCst);
            }
            for note in notes {
                // Whoever asked may have stopped waiting.
                let _ = match note {
                    Note::Flush(Waiting::Thread(done)) => done.send(()).ok(),
                    Note::Flush(Waiting::Task(done)) => done.send(()).ok(),
                    _ => None,
                };
            }
        }
    }

    fn write(&self, notes: &[Note]) -> Result<(), StoredError> {
        let (mut own, mut cache) = (Batch::new(), Batch::new());
        for note in notes {
            match note {
                Note::Proof(remembered) => self.put_proof(&mut own, remembered)?,
                Note::Card(seen) => seen.put(&mut cache)?,
                Note::Flush(_) => {}
            }
        }
        for (store, batch) in [(&self.own, own), (&self.cache, cache)] {
            if !batch.is_empty() {
                store.commit(batch)?;
            }
        }
        Ok(())
    }

    /// What was forgotten goes in commits of its own when it is much: a quiet night may let thousands go at once.
    fn put_proof(&self, batch: &mut Batch, remembered: &Remembered) -> Result<(), StoredError> {
        let before = remembered.forgotten_before;
        put(batch, FORGOTTEN_KEY, &StoredForgotten { before })?;
        put(batch, &proof_key(&remembered.added.key.0), &StoredProof { proof: remembered.added })?;
        for keys in remembered.forgotten.chunks(FORGOTTEN_PER_COMMIT) {
            let mut forgotten = Batch::new();
            put(&mut forgotten, FORGOTTEN_KEY, &StoredForgotten { before })?;
            for key in keys {
                forgotten.delete(&proof_key(&key.0))?;
            }
            self.own.commit(forgotten)?;
        }
        Ok(())
    }
}

/// Where a replay key stands in the own store.
pub(crate) fn proof_key(key: &[u8; 32]) -> Vec<u8> {
    [&[PROOF_TAG], key.as_slice()].concat()
}

pub(crate) const PROOF_TAG: u8 = b'r';
pub(crate) const FORGOTTEN_KEY: &[u8] = b"f";
/// Notes under way at most: a scan a second for a quarter of an hour.
const NOTES_WAITING_MAX: usize = 1_000;
/// Notes handed over and not durable yet: those that wait, and those being written.
pub(crate) const NOTES_UNDER_WAY_MAX: usize = NOTES_WAITING_MAX + NOTES_PER_COMMIT + 1;
/// Each note writes two keys of one store at most.
const NOTES_PER_COMMIT: usize = 100;
const FORGOTTEN_PER_COMMIT: usize = 200;
const _: () = assert!(2 * (NOTES_PER_COMMIT + 1) <= bhyt_core::limits::BATCH_KEYS_MAX);
