//! The service over the memory store: what phones, terminals and operators get for what they ask, judged by the same
//! code that judges it on a phone and at a clinic.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, outside #[test]")]

#[path = "server_service/audit.rs"]
mod audit;
#[path = "server_service/authorisation.rs"]
mod authorisation;
#[path = "server_service/codes.rs"]
mod codes;
#[path = "server_service/erasure.rs"]
mod erasure;
#[path = "server_service/export.rs"]
mod export;
#[path = "server_service/half_closed.rs"]
mod half_closed;
#[path = "server_service/handed_back.rs"]
mod handed_back;
#[path = "server_service/key_check.rs"]
mod key_check;
#[path = "server_service/news.rs"]
mod news;
#[path = "server_service/operator_table.rs"]
mod operator_table;
#[path = "server_service/operators.rs"]
mod operators;
#[path = "server_service/over_quic.rs"]
mod over_quic;
#[path = "server_service/personal.rs"]
mod personal;
#[path = "server_service/phones.rs"]
mod phones;
#[path = "server_service/poisoned.rs"]
mod poisoned;
#[path = "server_service/readmitted.rs"]
mod readmitted;
#[path = "server_service/records.rs"]
mod records;
#[path = "server_service/role_matrix.rs"]
mod role_matrix;
#[path = "server_service/shared_store.rs"]
mod shared_store;
#[path = "server_service/stolen_operator_key.rs"]
mod stolen_operator_key;
#[path = "server_service/terminals.rs"]
mod terminals;
#[path = "server_service/world.rs"]
mod world;
