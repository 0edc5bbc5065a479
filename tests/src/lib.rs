//! What the tests are told in. Synthetic people only: member numbers that begin 99, facility codes 99xxx.

pub mod authority;
