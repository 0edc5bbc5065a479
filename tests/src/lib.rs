//! What the tests are told in, and the demo. Synthetic people only: member numbers that begin 99, facility codes 99xxx.

pub mod authority;
pub mod case;
pub mod demo;
pub mod desk;
pub mod dice;
pub mod forge;
pub mod operator;
pub mod people;
pub mod relay;
pub mod server;
pub mod surgery;
pub mod table;
pub mod weather;
