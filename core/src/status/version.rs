//! The version of a status list, in the order in which lists follow each other.

use serde::{Deserialize, Serialize};

/// [epoch, n]: n grows with every list of an epoch; a new epoch follows a restore or a change of the status key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StatusVersion {
    /// Grows when numbering starts again; only a snapshot crosses it.
    pub epoch: u32,
    /// Grows with every list; never reused inside an epoch.
    pub number: u64,
}
