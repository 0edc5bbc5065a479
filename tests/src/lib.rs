//! What the tests are told in, and the demo. Synthetic people only: member numbers that begin 99, facility codes 99xxx.

pub mod agree;
pub mod authority;
pub mod case;
pub mod demo;
pub mod desk;
pub mod dice;
pub mod facts;
pub mod family;
pub mod forge;
pub mod frames;
pub mod fuzz;
pub mod kill;
pub mod ledger;
pub mod life;
pub mod line;
pub mod operator;
pub mod paper;
pub mod papers;
pub mod people;
pub mod program;
pub mod relay;
pub mod server;
pub mod soak;
pub mod surgery;
pub mod table;
pub mod weather;
