//! The sync protocol: what travels ([`messages`], [`admin`]) and how each side moves ([`wallet`], [`terminal`],
//! [`backoff`]). State machines without I/O: frames in, frames and effects out, time and random bytes as arguments.

pub mod admin;
pub mod backoff;
pub mod messages;
pub mod terminal;
pub mod wallet;
