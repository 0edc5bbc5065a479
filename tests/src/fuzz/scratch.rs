//! Files for decoders that read files: in memory where the system has such a place, one folder a thread, gone with it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// Where the scratch file of this name is.
pub(crate) fn scratch(name: &str) -> PathBuf {
    thread_local! {
        static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
    }
    FOLDER.with_borrow_mut(|folder| folder.get_or_insert_with(make_folder).path().join(name))
}

fn make_folder() -> tempfile::TempDir {
    let mut folder = tempfile::Builder::new();
    let folder = folder.prefix("bhyt-fuzz-");
    let made = match Path::new(MEMORY).is_dir() {
        true => folder.tempdir_in(MEMORY),
        false => folder.tempdir(),
    };
    made.expect("a folder for scratch files")
}

const MEMORY: &str = "/dev/shm";
