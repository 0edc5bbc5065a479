//! A store that came from a backup knows it: when it was restored, and whether it was given the newest status list since.
//! Until then nothing is issued or changed, because whatever was withdrawn, and whichever place in the list was taken,
//! after the backup is not known.

use bhyt_core::codec::Schema;
use bhyt_core::feed::Epoch;
use bhyt_core::sync::admin::AdminCommand;
use bhyt_core::sync::messages::Refusal;
use bhyt_core::time::UnixSeconds;
use serde::{Deserialize, Serialize};

use super::Service;
use super::docs::{Found, decode, write};
use super::fault::ServiceFault;
use crate::store::{Commit, DocKey, DocKind, Expected, Outcome, Store};

/// A store that came from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestoredV1 {
    /// When it was restored; the number of the epoch that feeds enter.
    pub(crate) at: UnixSeconds,
    /// When the backup ended.
    pub(crate) backup: UnixSeconds,
    /// The newest list in circulation, once it was given.
    pub(crate) list: Option<AdoptedListV1>,
}

/// The status list that a restored server was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AdoptedListV1 {
    /// Its epoch.
    pub(crate) epoch: u32,
    /// Its number.
    pub(crate) number: u64,
    /// When it was made.
    pub(crate) time: UnixSeconds,
}

impl Schema for RestoredV1 {
    const SCHEMA: u16 = 130;
    const BYTES_MAX: usize = 64;
}

impl RestoredV1 {
    /// The epoch that feeds enter after this restore: its time, so that two restores of one backup have two.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.at.0)
    }
}

/// Notes in a store that was just filled from a backup that ended at `backup`, that it was restored at `now`.
///
/// # Errors
/// [`ServiceFault`] when the store fails.
pub async fn mark_restored<S: Store>(
    store: &S,
    now: UnixSeconds,
    backup: UnixSeconds,
) -> Result<(), ServiceFault> {
    let before: Option<Found<RestoredV1>> = match store.doc_get(&restored_key()).await? {
        Some(doc) => Some(decode("restore", &doc)?),
        None => None,
    };
    // The time names the feeds' epoch, so it goes up with each restore whatever the clock says.
    let least = before.map_or(UnixSeconds(2), |before| before.value.at.plus(1));
    let value = RestoredV1 { at: now.max(least), backup, list: None };
    let docs = vec![write("restore", restored_key(), Expected::Any, &value)?];
    match store.commit(Commit { docs, ..Commit::default() }).await? {
        Outcome::Applied => Ok(()),
        Outcome::Lost => Err(ServiceFault::LostRaces { attempts: 1 }),
    }
}

/// What a restored store says of itself.
pub(crate) fn restored_key() -> DocKey {
    DocKey::new(DocKind::Meta, b"restored".to_vec())
}

impl<S> Service<S> {
    /// Whether the server was restored and has not been given the newest status list.
    pub fn awaits_status(&self) -> bool {
        self.restored.is_some_and(|restored| restored.list.is_none())
    }

    /// Asks phones and terminals to come back later, which they know how to do, as long as the server awaits a status list.
    ///
    /// # Errors
    /// [`Refusal::Busy`].
    pub(crate) fn check_issuing(&self) -> Result<(), Refusal> {
        match self.awaits_status() {
            true => Err(Refusal::Busy { retry_after_seconds: AWAITING_SECONDS }),
            false => Ok(()),
        }
    }

    /// Lets through what an operator may command of a server that awaits a status list.
    ///
    /// # Errors
    /// [`Refusal::AwaitsStatus`].
    pub(crate) fn check_command(&self, command: &AdminCommand) -> Result<(), Refusal> {
        match self.awaits_status() && !issues_nothing(command) {
            true => Err(Refusal::AwaitsStatus),
            false => Ok(()),
        }
    }
}

fn issues_nothing(command: &AdminCommand) -> bool {
    match command {
        AdminCommand::ShowMember(_)
        | AdminCommand::ShowCard(_)
        | AdminCommand::ListDevices(_)
        | AdminCommand::ListTerminals(_)
        | AdminCommand::ShowStatus
        | AdminCommand::Backup
        | AdminCommand::ListOperators
        | AdminCommand::ShowAudit(_)
        | AdminCommand::ListErasures
        | AdminCommand::ExportMember(_)
        | AdminCommand::ListGrants(_)
        // Who was retired after the backup has a key again, and that cannot wait.
        | AdminCommand::ChangeOperators(_) => true,
        AdminCommand::ImportMembers(_)
        | AdminCommand::ImportCards(_)
        | AdminCommand::ImportRecords(_)
        | AdminCommand::IssueCard(_)
        | AdminCommand::ChangeCard { .. }
        | AdminCommand::ReplaceCard { .. }
        | AdminCommand::MakeDeviceCode(_)
        | AdminCommand::RetireDevice(_)
        | AdminCommand::MakeTerminalToken(_)
        | AdminCommand::RetireTerminal(_)
        | AdminCommand::EraseMember { .. }
        | AdminCommand::KeepMember(_)
        | AdminCommand::AddGrant(_)
        | AdminCommand::RevokeGrant { .. } => false,
    }
}

/// A list is fetched from a clinic in minutes to hours.
const AWAITING_SECONDS: u32 = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_core::codec;
    use bhyt_core::ids::hex;

    #[test]
    fn stored_bytes_are_frozen() {
        let list = AdoptedListV1 { epoch: 3, number: 4, time: UnixSeconds(5) };
        let value = RestoredV1 { at: UnixSeconds(1), backup: UnixSeconds(2), list: Some(list) };
        let bytes = codec::encode(&value).unwrap();
        let golden = "820001000000000000000200000000000000010300000004000000000000000500000000000000";
        assert_eq!(hex(&bytes), golden);
        assert_eq!(codec::decode::<RestoredV1>(&bytes).unwrap(), value);
    }
}
