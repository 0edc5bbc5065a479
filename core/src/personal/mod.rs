//! The personal document: what a member writes and an agency desk answers, on several machines that are apart for weeks.
//!
//! One Automerge document a member, a flat map: each field is one key of the root, each value a byte string of CBOR that
//! is replaced as a whole. So two machines that add different things never meet, two that change one field leave both
//! values (the winner is shown, the others beside it), and an operation that touches anything else has no form at all.
//! Official records are never in it: a forged value can hide in a change, and deleted values stay in its bytes.
//!
//! [`document`] is what others use. A change from outside passes [`guard`], which trusts nothing and hands Automerge only
//! bytes that [`chunk`] has read to the end. Only [`merge`] names Automerge. Bytes are drawn in docs/formats.md, "Personal document".

pub mod chunk;
mod columns;
pub mod document;
pub mod edit;
pub mod guard;
pub mod history;
pub mod ids;
mod key;
pub mod merge;
pub mod stored;
pub mod values;
pub mod view;

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod guard_tests;
