//! Benches: the figures come with the next milestone.
fn main() {}
