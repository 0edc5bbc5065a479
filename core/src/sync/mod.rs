//! The sync protocol: what travels ([`messages`], [`admin`], [`operators`], [`records`], [`audit`], [`erasure`], [`export`]) and how each side moves ([`wallet`], [`terminal`],
//! [`backoff`]). State machines without I/O: frames in, frames and effects out, time and random bytes as arguments.

pub mod admin;
pub mod audit;
pub mod backoff;
pub mod erasure;
pub mod export;
pub mod messages;
pub mod operators;
pub mod personal;
pub mod records;
mod staged;
pub mod terminal;
pub mod wallet;
