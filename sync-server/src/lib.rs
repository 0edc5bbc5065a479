//! The sync server as a library: the store, the service on top of it, and the commands that set one up and run it. The
//! program only reads its command line and calls in here.

pub mod exit;
pub mod folder;
pub mod service;
pub mod store;
pub mod stored;
