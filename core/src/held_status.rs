//! The status list that a terminal holds: a signed snapshot and the signed deltas after it, kept as received, so that
//! not even the terminal's own disk has to be trusted. Bytes on disk and on a USB stick: `docs/formats.md`, "Status file".

use crate::cbor::{self, DecodeError, read_array};
use crate::cose::{Signed, VerifyError};
use crate::keys::KeyId;
use crate::limits::{STATUS_BYTES_MAX, STATUS_DELTA_BYTES_MAX, STATUS_DELTAS_MAX};
use crate::marks::{Marks, StatusMark, StatusRefusal};
use crate::status::delta::Delta;
use crate::status::list::StatusError;
use crate::status::payload::StatusMessage;
use crate::status::{StatusList, StatusVersion};
use crate::trust::{KeyUse, TrustBundle};

/// A status list in force.
#[derive(Clone, Debug)]
pub struct HeldStatus {
    list: StatusList,
    key_id: KeyId,
    base: StatusVersion,
    snapshot: Vec<u8>,
    deltas: Vec<Vec<u8>>,
}

impl HeldStatus {
    /// Takes a snapshot or delta after what is held. The marks that come back are made durable before the list is used.
    ///
    /// # Errors
    /// [`StatusFault`]; what is held stays in force. A delta that does not join on is [`StatusFault::NeedsSnapshot`], one
    /// that would make the chain too long [`StatusFault::ChainFull`].
    pub fn accept(
        held: Option<&Self>,
        bytes: &[u8],
        trust: &TrustBundle,
        marks: &Marks,
    ) -> Result<(Self, Marks), StatusFault> {
        let next = Self::step(held, bytes, trust)?;
        let marks = marks.admit(trust, next.key_id, next.mark())?;
        if held.is_some_and(|held| held.is_forked_by(&next)) {
            return Err(StatusRefusal::Fork { version: next.list.version() }.into());
        }
        Ok((next, marks))
    }

    /// Reads what [`Self::encode`] wrote, verifying every signature again.
    ///
    /// # Errors
    /// [`StatusFault`], also when the list is older than the mark: somebody put an old file back.
    pub fn decode(bytes: &[u8], trust: &TrustBundle, marks: &Marks) -> Result<(Self, Marks), StatusFault> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(DecodeError::Malformed("status file too long").into());
        }
        let (snapshot, deltas) = split(bytes)?;
        let steps = deltas.len();
        // Older steps of the chain lie below the mark by nature: only the last one is held against it.
        let mut held = Self::step(None, snapshot, trust)?;
        for delta in deltas {
            held = Self::step(Some(&held), delta, trust)?;
        }
        // A snapshot among the deltas, or a delta that makes others needless: nothing that is written.
        if held.deltas.len() != steps {
            return Err(DecodeError::Malformed("not a chain of deltas").into());
        }
        let marks = marks.admit(trust, held.key_id, held.mark())?;
        Ok((held, marks))
    }

    /// CBOR [snapshot, [delta, …]], each as received.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(2)?.bytes(&self.snapshot)?.array(self.deltas.len() as u64)?;
            for delta in &self.deltas {
                e.bytes(delta)?;
            }
            Ok(())
        })
    }

    /// The list.
    pub fn list(&self) -> &StatusList {
        &self.list
    }

    /// The status key that signed it.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The version to ask a delta from: the list's, or the snapshot's when the chain has grown long and is to be
    /// replaced by one delta.
    pub fn cursor(&self) -> StatusVersion {
        if self.deltas.len() < STATUS_DELTAS_MAX { self.list.version() } else { self.base }
    }

    /// What its mark holds.
    pub fn mark(&self) -> StatusMark {
        StatusMark { version: self.list.version(), time: self.list.time() }
    }

    /// The list after one verified snapshot or delta, not yet admitted.
    fn step(held: Option<&Self>, bytes: &[u8], trust: &TrustBundle) -> Result<Self, StatusFault> {
        let signed = Signed::<StatusMessage>::decode(bytes)?;
        let key_id = signed.key_id();
        let key = trust.key(key_id, KeyUse::Status).ok_or(StatusRefusal::UnknownKey)?;
        match signed.verify(&key.key)?.into_claims() {
            StatusMessage::Snapshot(list) => {
                Ok(Self { base: list.version(), list, key_id, snapshot: bytes.to_vec(), deltas: Vec::new() })
            }
            StatusMessage::Delta(delta) => {
                let held = held.filter(|held| held.key_id == key_id).ok_or(StatusFault::NeedsSnapshot)?;
                held.after(delta, bytes)
            }
        }
    }

    fn is_forked_by(&self, next: &Self) -> bool {
        let (ours, theirs) = (&self.list, &next.list);
        ours.version() == theirs.version()
            && (ours.head() != theirs.head() || ours.digest() != theirs.digest())
    }

    fn after(&self, delta: Delta, bytes: &[u8]) -> Result<Self, StatusFault> {
        let joins_on = delta.from() == self.list.version();
        if joins_on && self.deltas.len() < STATUS_DELTAS_MAX {
            let list = self.list.apply(std::slice::from_ref(&delta))?;
            let mut deltas = self.deltas.clone();
            deltas.push(bytes.to_vec());
            return Ok(Self { list, deltas, snapshot: self.snapshot.clone(), ..*self });
        }
        if delta.from() != self.base || delta.to() <= self.list.version() {
            return Err(if joins_on { StatusFault::ChainFull } else { StatusFault::NeedsSnapshot });
        }
        let list = self.read_base()?.apply(std::slice::from_ref(&delta))?;
        Ok(Self { list, deltas: vec![bytes.to_vec()], snapshot: self.snapshot.clone(), ..*self })
    }

    /// The snapshot's list. Its signature was verified when it came in.
    fn read_base(&self) -> Result<StatusList, StatusFault> {
        let signed = Signed::<StatusList>::decode(&self.snapshot)?;
        Ok(signed.read_again()?)
    }
}

/// Bytes of a status file at most: a snapshot and a full chain of deltas.
pub const FILE_BYTES_MAX: usize = STATUS_BYTES_MAX + STATUS_DELTAS_MAX * STATUS_DELTA_BYTES_MAX + 64;

/// Why a status snapshot, delta or file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusFault {
    /// Not of the form.
    #[error("status list not readable")]
    Unreadable(#[from] DecodeError),
    /// The signature does not hold.
    #[error("status list does not verify")]
    Unverified,
    /// Signed, and not to be taken.
    #[error("status list refused")]
    Refused(#[from] StatusRefusal),
    /// A delta that does not join on to what is held.
    #[error("a snapshot is needed")]
    NeedsSnapshot,
    /// A delta that joins on to a chain of [`STATUS_DELTAS_MAX`], as news to a terminal that stays for long. Ask again: the
    /// cursor is that of the snapshot now, and one delta brings everything since.
    #[error("the chain of deltas is full")]
    ChainFull,
    /// A delta that was made for another list.
    #[error("the delta does not apply")]
    Delta(#[from] StatusError),
}

impl From<VerifyError> for StatusFault {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::BadSignature => Self::Unverified,
            VerifyError::Payload(error) => Self::Unreadable(error),
        }
    }
}

fn split(bytes: &[u8]) -> Result<(&[u8], Vec<&[u8]>), DecodeError> {
    let mut d = cbor::decoder(bytes)?;
    read_array(&mut d, 2, "not a status file")?;
    let snapshot = d.bytes()?;
    let count = d.array()?.and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| *count <= STATUS_DELTAS_MAX).ok_or(DecodeError::Malformed("deltas"))?;
    let deltas = (0..count).map(|_| d.bytes()).collect::<Result<_, _>>()?;
    Ok((snapshot, deltas))
}
