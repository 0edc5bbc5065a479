//! The sync server as a library: the store, the service on top of it, and the commands that set one up and run it. The
//! program only reads its command line and calls in here.

pub mod admin;
pub mod backup_file;
pub mod cli;
pub mod config;
pub mod exit;
pub mod folder;
pub mod host;
pub mod init;
pub mod keys;
pub mod member_keys;
pub mod operator_command;
pub mod policy_change;
pub mod record_files;
pub mod restore;
pub mod root_keys;
pub mod serve;
mod serve_connection;
pub mod service;
pub mod status_command;
pub mod store;
pub mod stored;
pub mod trust_command;
pub mod trust_keeper;
