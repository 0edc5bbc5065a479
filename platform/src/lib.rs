//! What touches the world for phone, terminal and server: stores, transport, clock, entropy, key files.
//!
//! Each third-party engine is named in one file here; the rest of the code cannot tell which it is.

pub mod batch_bytes;
pub mod cache_kv;
pub mod clock;
mod commit_count;
pub mod entropy;
pub mod file_lock;
pub mod files;
pub mod frozen_kv;
pub mod journal;
mod journal_bytes;
mod journal_reader;
pub mod key_file;
pub mod kv;
pub mod memory_kv;
mod own_index;
pub mod own_kv;
pub mod own_recovery;
pub mod quic;
pub mod shred;
pub mod sled_kv;
pub mod store_folder;
pub mod store_key;
mod stored;
