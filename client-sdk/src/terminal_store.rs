//! Everything a terminal holds, in memory, in its stores and in its status files, always in step.
//!
//! Promises: reading waits for no disk; marks are durable before the list that raised them is used; a terminal that dies
//! between any two steps comes back with the list that its marks speak of, or with none and a sync to fetch it.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use bhyt_core::cose::Verified;
use bhyt_core::held_status::HeldStatus;
use bhyt_core::ids::FacilityCode;
use bhyt_core::marks::Marks;
use bhyt_core::replay::ReplayCache;
use bhyt_core::seal::SealKey;
use bhyt_core::status::StatusVersion;
use bhyt_core::sync::terminal::{TerminalEffect, TerminalSession};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{self, TrustBundle};
use bhyt_platform::kv::{Batch, Kv};

use crate::error::{Problem, SdkError};
use crate::keeper::{FORGOTTEN_KEY, PROOF_TAG};
use crate::stored::{
    PROGRESS_KEY, StoredEnrolment, StoredError, StoredForgotten, StoredMarks, StoredProgress, StoredProof,
    StoredSeenKey, StoredServer, put, put_long, read, read_long,
};
use crate::terminal_files::StatusFiles;
use crate::vault::Vault;

/// The stores and what is read from them.
#[derive(Debug)]
pub(crate) struct TerminalStore {
    own: Arc<dyn Kv>,
    cache: Arc<dyn Kv>,
    files: StatusFiles,
    held: RwLock<Arc<HeldTerminal>>,
}

/// What verification stands on.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldTerminal {
    pub(crate) trust: Option<Verified<TrustBundle>>,
    pub(crate) status: Option<Arc<HeldStatus>>,
    pub(crate) marks: Marks,
    pub(crate) server: Option<String>,
    pub(crate) facility: Option<FacilityCode>,
    pub(crate) progress: StoredProgress,
    /// Deltas do not fit the list in force.
    snapshot_wanted: bool,
}

/// What an effect changed, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TerminalChange {
    Trust,
    Status(StatusVersion),
    NoStatus,
    Part { received: u64, total: u64 },
}

impl TerminalStore {
    pub(crate) fn open(own: Arc<dyn Kv>, cache: Arc<dyn Kv>, status_folder: &Path) -> Result<Self, SdkError> {
        let files = StatusFiles::open(status_folder)?;
        let bytes = read_long(own.as_ref(), TRUST_KEY)?;
        let trust = bytes.map(|bytes| trust::anchor(&bytes)).transpose()?;
        let marks = read::<StoredMarks>(own.as_ref(), MARKS_KEY)?.unwrap_or_default().marks;
        let status = match &trust {
            Some(trust) => files.load(trust.claims(), &marks)?,
            None => None,
        };
        let server = read::<StoredServer>(own.as_ref(), SERVER_KEY)?;
        let enrolment = read::<StoredEnrolment>(own.as_ref(), ENROLMENT_KEY)?;
        let progress = match read(cache.as_ref(), PROGRESS_KEY) {
            Ok(progress) => progress.unwrap_or_default(),
            Err(StoredError::Store(error)) => return Err(error.into()),
            Err(_) => StoredProgress::default(),
        };
        let held = HeldTerminal {
            trust,
            status: status.map(Arc::new),
            marks,
            server: server.map(|server| server.address),
            facility: enrolment.map(|enrolment| enrolment.facility),
            progress,
            snapshot_wanted: false,
        };
        Ok(Self { own, cache, files, held: RwLock::new(Arc::new(held)) })
    }

    /// The disk is full: said in the status until a sync goes through.
    pub(crate) fn note_full(&self) {
        self.change(|held| held.progress.problem = Some(Problem::System));
    }

    /// What is held now; what comes later does not change it.
    pub(crate) fn held(&self) -> Arc<HeldTerminal> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A session over what is held.
    pub(crate) fn make_session(&self) -> Result<TerminalSession, SdkError> {
        let held = self.held();
        let (Some(trust), Some(_)) = (held.trust.clone(), &held.facility) else {
            return Err(SdkError::NotActivated);
        };
        let status = held.status.as_deref().filter(|_| !held.snapshot_wanted).cloned();
        Ok(TerminalSession::new(trust, status, held.marks.clone(), self.files.read_part()))
    }

    /// Keeps that the terminal is enrolled, with the bundle and the server, in one commit.
    pub(crate) fn keep_enrolment(
        &self,
        facility: FacilityCode,
        trust: &Verified<TrustBundle>,
        server: &str,
        now: UnixSeconds,
    ) -> Result<(), SdkError> {
        let mut batch = Batch::new();
        let enrolment = StoredEnrolment { facility: facility.clone(), enrolled_at: now };
        put(&mut batch, ENROLMENT_KEY, &enrolment)?;
        put(&mut batch, SERVER_KEY, &StoredServer { address: server.to_owned() })?;
        put_long(&mut batch, TRUST_KEY, trust.bytes())?;
        self.own.commit(batch)?;
        self.change(|held| {
            held.trust = Some(trust.clone());
            held.facility = Some(facility);
            held.server = Some(server.to_owned());
        });
        Ok(())
    }

    /// Makes one effect of a session durable, and then uses it.
    pub(crate) fn apply(&self, effect: TerminalEffect) -> Result<TerminalChange, SdkError> {
        match effect {
            TerminalEffect::TakeTrust { trust, marks } => {
                let mut batch = Batch::new();
                put_long(&mut batch, TRUST_KEY, trust.bytes())?;
                put(&mut batch, MARKS_KEY, &StoredMarks { marks: marks.clone() })?;
                self.own.commit(batch)?;
                self.change(|held| {
                    held.trust = Some(trust);
                    held.marks = marks;
                });
                Ok(TerminalChange::Trust)
            }
            TerminalEffect::DropStatus => {
                self.change(|held| held.status = None);
                self.files.drop_list()?;
                Ok(TerminalChange::NoStatus)
            }
            TerminalEffect::TakeStatus { status, marks } => {
                self.files.stage(&status)?;
                let mut batch = Batch::new();
                put(&mut batch, MARKS_KEY, &StoredMarks { marks: marks.clone() })?;
                self.own.commit(batch)?;
                self.files.publish()?;
                let version = status.list().version();
                self.change(|held| {
                    held.status = Some(Arc::from(status));
                    held.marks = marks;
                    held.snapshot_wanted = false;
                });
                Ok(TerminalChange::Status(version))
            }
            TerminalEffect::KeepPart(piece) => {
                self.files.keep_part(&piece)?;
                let received = piece.offset + piece.bytes.len() as u64;
                Ok(TerminalChange::Part { received, total: piece.total })
            }
        }
    }

    /// Forgets the part of a snapshot that led nowhere.
    pub(crate) fn drop_part(&self) -> Result<(), SdkError> {
        self.files.drop_part()
    }

    /// The next request asks for a whole list. The one in force answers until that has come.
    pub(crate) fn ask_for_snapshot(&self) {
        self.change(|held| held.snapshot_wanted = true);
    }

    /// The proofs and the mark as they were kept.
    pub(crate) fn replay(&self) -> Result<ReplayCache, SdkError> {
        let own = self.own.as_ref();
        let (mut proofs, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let found = own.scan(&[PROOF_TAG], after.as_deref(), SCAN)?;
            for (_, bytes) in &found {
                let stored = bhyt_core::codec::decode::<StoredProof>(bytes);
                proofs.push(stored.map_err(StoredError::from)?.proof);
            }
            match found.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => break,
            }
        }
        let forgotten = read::<StoredForgotten>(own, FORGOTTEN_KEY)?;
        let before = forgotten.map(|forgotten| forgotten.before).unwrap_or_default();
        Ok(ReplayCache::from_parts(proofs, before))
    }

    /// The key under which seen cards are sealed; made at the first opening.
    pub(crate) fn seen_key(&self, vault: &Vault) -> Result<SealKey, SdkError> {
        if let Some(stored) = read::<StoredSeenKey>(self.own.as_ref(), SEEN_KEY)? {
            let key = vault.open_key(SEEN_KEY, &stored.wrapped_key);
            return Ok(key.map_err(StoredError::from)?);
        }
        let (key, wrapped_key) = vault.make_key(SEEN_KEY);
        let mut batch = Batch::new();
        put(&mut batch, SEEN_KEY, &StoredSeenKey { wrapped_key })?;
        self.own.commit(batch)?;
        Ok(key)
    }

    /// Notes how a sync went.
    pub(crate) fn set_progress(&self, progress: StoredProgress) {
        self.change(|held| held.progress = progress);
    }

    /// Keeps how a sync went.
    pub(crate) fn put_progress(&self, progress: &StoredProgress) -> Result<(), SdkError> {
        let mut batch = Batch::new();
        put(&mut batch, PROGRESS_KEY, progress)?;
        Ok(self.cache.commit(batch)?)
    }

    /// Changes what the next answer stands on. Answers under way go on with what they took.
    fn change(&self, change: impl FnOnce(&mut HeldTerminal)) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut held));
    }
}

const TRUST_KEY: &[u8] = b"t";
const SERVER_KEY: &[u8] = b"s";
const MARKS_KEY: &[u8] = b"m";
const ENROLMENT_KEY: &[u8] = b"e";
const SEEN_KEY: &[u8] = b"k";
const SCAN: usize = 256;
