//! The cache of a phone or terminal: a store that may be lost, because everything in it can be fetched again.
//!
//! Promises: damage never keeps a program from starting; a damaged cache is moved aside and an empty one takes its place.
//! Not for anything that exists only here (an own store keeps a journal).

use std::path::{Path, PathBuf};

use crate::kv::StoreError;
use crate::sled_kv::{SledKv, SledOptions};
use crate::store_folder::{Found, StoreKind, remove_set_aside, require_room, set_aside};

/// Opens the cache in `folder`, makes it when there is none, and replaces a damaged one by an empty one. The newest
/// [`SET_ASIDE_KEPT`] damaged ones are kept beside it.
///
/// Reads the whole cache once, since nothing less shows all damage. When a later read answers
/// [`StoreError::Corrupt`], drop the store and call [`replace_damaged`].
///
/// ```
/// use bhyt_platform::cache_kv::{CacheOpening, open_or_set_aside};
/// use bhyt_platform::sled_kv::SledOptions;
///
/// # let home = tempfile::tempdir()?;
/// # let folder = home.path().join("cache");
/// let (cache, opening) = open_or_set_aside(&folder, SledOptions::default())?;
/// match opening {
///     CacheOpening::Existing => {}
///     CacheOpening::Made | CacheOpening::SetAside { .. } => { /* fetch everything again */ }
/// }
/// # drop(cache);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_or_set_aside(folder: &Path, options: SledOptions) -> Result<(SledKv, CacheOpening), StoreError> {
    let opened = SledKv::open_found(folder, StoreKind::Cache, options)
        .and_then(|(store, found)| store.verify().map(|()| (store, found)));
    match opened {
        Ok((store, Found::Existing)) => Ok((store, CacheOpening::Existing)),
        Ok((store, Found::Made)) => Ok((store, CacheOpening::Made)),
        Err(why @ StoreError::Corrupt { .. }) => replace_damaged(folder, options, why),
        Err(error) => Err(error),
    }
}

/// Moves the cache in `folder` aside because of `why`, and makes an empty one. Nobody may have it open.
///
/// On a full disk, where a whole cache looks damaged and no new one can be made, it is [`StoreError::Full`] and the cache
/// stays where it is: it may be all that this device can show until the network is back.
pub fn replace_damaged(
    folder: &Path,
    options: SledOptions,
    why: StoreError,
) -> Result<(SledKv, CacheOpening), StoreError> {
    require_room(folder)?;
    let moved_to = set_aside(folder)?;
    remove_set_aside(folder, SET_ASIDE_KEPT)?;
    let store = SledKv::open(folder, StoreKind::Cache, options)?;
    Ok((store, CacheOpening::SetAside { moved_to, why }))
}

/// What opening a cache did, for the log and for the sync that has to fill it again.
#[derive(Debug)]
pub enum CacheOpening {
    /// The cache was there and is in use.
    Existing,
    /// There was none; it is empty.
    Made,
    /// The old one was damaged; it was moved, and a new, empty one made.
    SetAside {
        /// Where the damaged one is now.
        moved_to: PathBuf,
        /// What was found.
        why: StoreError,
    },
}

/// Damaged ones kept for whoever wants to look at them.
pub const SET_ASIDE_KEPT: usize = 2;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::kv::{Batch, Kv as _};

    #[test]
    fn a_full_disk_moves_no_cache_aside() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("cache");
        let (cache, _) = open_or_set_aside(&folder, SledOptions::default()).unwrap();
        let mut batch = Batch::new();
        batch.put(b"key", b"value").unwrap();
        cache.commit(batch).unwrap();
        drop(cache);

        // What the engine reads when the disk is full, and a disk that says so.
        let settings = folder.join("conf");
        let whole = std::fs::read(&settings).unwrap();
        std::fs::write(&settings, vec![0xff; whole.len()]).unwrap();
        symlink("/dev/full", home.path().join(".room.bhyt-tmp")).unwrap();
        let error = open_or_set_aside(&folder, SledOptions::default()).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        std::fs::write(&settings, whole).unwrap();
        let (cache, opening) = open_or_set_aside(&folder, SledOptions::default()).unwrap();
        assert!(matches!(opening, CacheOpening::Existing), "{opening:?}");
        assert_eq!(cache.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    }
}
