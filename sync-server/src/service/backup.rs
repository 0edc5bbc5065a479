//! A backup for an operator: the trust bundles and everything in the store, sent as the bytes of a backup file while the
//! server goes on. Nothing in it is open: people are sealed as they are in the store, and no key goes along.

use bhyt_core::sync::admin::AdminReply;
use bhyt_core::sync::audit::{AuditAction, AuditSubject};
use bhyt_core::sync::messages::{Refusal, Reply};

use super::Service;
use super::answer::ReplySink;
use super::fault::Stop;
use super::operations::Operation;
use crate::backup_file::BackupMaker;
use crate::store::{Store, StoreFault};

impl<S: Store> Service<S> {
    /// Sends a backup frame by frame, as fast as it is taken.
    pub(crate) async fn send_backup(
        &self,
        operation: &Operation,
        sink: &mut impl ReplySink,
    ) -> Result<(), Stop> {
        let copy = match self.store.copy().await {
            Ok(copy) => copy,
            Err(StoreFault::CopyUnderWay) => {
                return Err(Refusal::Busy { retry_after_seconds: BUSY_SECONDS }.into());
            }
            Err(fault) => return Err(fault.into()),
        };
        self.note_done(operation, AuditAction::Backup, AuditSubject::Nothing).await?;
        let (mut maker, start) = BackupMaker::begin(self.vault.backup_key(), self.clock.now());
        sink.send(piece(start)).await?;
        for bundle in self.trust.all() {
            sink.send(piece(maker.trust(&bundle))).await?;
        }
        let mut next = copy.next().await?;
        while let Some((writes, copy)) = next {
            for (key, value) in &writes {
                let frame = maker.write(key, value.as_deref()).map_err(StoreFault::from)?;
                if let Some(frame) = frame {
                    sink.send(piece(frame)).await?;
                }
            }
            next = copy.next().await?;
        }
        sink.send(piece(maker.end(self.clock.now()))).await
    }
}

fn piece(bytes: Vec<u8>) -> Reply {
    Reply::Admin(AdminReply::Backup(bytes))
}

/// Another backup is under way; it takes seconds to minutes.
const BUSY_SECONDS: u32 = 30;
