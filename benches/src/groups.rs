//! All figures, in the order of the table. A group is a file: its promises, and the function that measures them.

use crate::run::Group;
use crate::{card, first_sync, idle, import, personal, push, status, sync, verify, wallet};

/// Every group.
pub(crate) const GROUPS: &[&Group] = &[
    card::CARD,
    card::LIVE,
    verify::VERIFY,
    status::STATUS,
    wallet::WALLET,
    sync::SYNC,
    first_sync::FIRST_SYNC,
    push::PUSH,
    idle::IDLE,
    import::IMPORT,
    personal::PERSONAL,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_an_id_of_its_own_and_says_how_it_is_kept_honest() {
        let promises: Vec<_> = GROUPS.iter().flat_map(|group| group.promises).collect();
        for (at, promise) in promises.iter().enumerate() {
            assert!(promises[..at].iter().all(|other| other.id != promise.id), "{} twice", promise.id);
            assert!(promise.how.len() > 20 && promise.how.ends_with('.'), "{}", promise.id);
            assert_eq!(
                promise.unit == "ratio",
                promise.id.ends_with("_ratio") || promise.id.ends_with(".ratio")
            );
            assert!(promise.unit != "ratio" || !promise.limit_unit.is_empty(), "{}", promise.id);
        }
    }
}
