//! Golden bytes of stored values: never edited, only added.

use bhyt_core::codec;
use bhyt_core::ids::hex;

use super::*;

fn check<T: Schema + PartialEq + fmt::Debug>(value: &T, golden: &str) {
    let bytes = codec::encode(value).unwrap();
    assert_eq!(hex(&bytes), golden);
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value));
}

#[test]
fn counters_are_these_bytes() {
    check(
        &SlotV1 { members: 1, cards: 2, next: 3, end: 4 },
        "6f000100000000000000020000000000000003000000000000000400000000000000",
    );
    check(&CardCounterV1 { next: 64 }, "70004000000000000000");
}
