//! Sizes that docs and design promise, against the entropy floor: lg of the ways to part the cards by reason. At full
//! scale in release builds; debug builds, which are slow, take a tenth of the cards.

use super::delta::Delta;
use super::reason::{SetMeaning, SetNumber};
use super::testing::{Lcg, floor_bits, head, random_sets};
use crate::card_record::CardStanding;
use crate::cose::Unsigned;
use crate::ids::StatusIndex;
use crate::keys::SecretKey;
use crate::limits::STATUS_SKIP_BYTES_MAX;

const CARDS: u64 = if cfg!(debug_assertions) { 9_500_000 } else { 95_000_000 };
/// Of a snapshot, of a delta. Signature, headers and hash are 250 bytes whatever the scale.
const RATIO_MAX: (f64, f64) = if cfg!(debug_assertions) { (1.02, 1.08) } else { (1.01, 1.02) };
/// Withdrawn, reduced, superseded, held; per cent of what is listed.
const MIX: [(i64, u64); 4] = [(1, 60), (10, 25), (2, 10), (3, 5)];

fn mix(entries: u64) -> [(i64, u64); 4] {
    MIX.map(|(number, percent)| (number, entries * percent / 100))
}

#[test]
fn a_snapshot_is_near_the_entropy() {
    let key = SecretKey::from_seed(&[1; 32]);
    for per_1_000 in [1, 10, 15, 20] {
        let shares = mix(CARDS / 1_000 * per_1_000);
        let list = random_sets(&mut Lcg::new(60), CARDS, &shares).to_list(head(1, CARDS)).unwrap();
        let bytes = Unsigned::new(list.clone(), key.public_key().key_id()).sign(&key).bytes().len();
        let ratio = bytes as f64 * 8.0 / floor_bits(CARDS, &shares.map(|(_, count)| count));
        println!("snapshot {per_1_000}/1000: {bytes} B, {ratio:.4} of the floor");
        assert!(ratio <= RATIO_MAX.0, "{per_1_000}: {ratio}");
        assert!(list.skip_bytes() <= STATUS_SKIP_BYTES_MAX);
    }
}

#[test]
fn a_delta_is_near_the_entropy() {
    let mut random = Lcg::new(61);
    let changes = CARDS / 4_750;
    let before = random_sets(&mut random, CARDS, &mix(CARDS / 1_000));
    let from = before.to_list(head(1, CARDS)).unwrap();
    let shares = mix(changes);
    let mut after = before;
    for (number, count) in shares {
        let number = SetNumber::new(number).unwrap();
        let SetMeaning::Cards(standing) = number.meaning() else {
            continue;
        };
        let mut left = count;
        while left > 0 {
            let index = StatusIndex(random.below(CARDS) as u32);
            if after.standing(index) == CardStanding::InForce {
                after.set_standing(index, standing);
                left -= 1;
            }
        }
    }
    let to = after.to_list(head(2, CARDS)).unwrap();
    let delta = Delta::between(&from, &to).unwrap();
    assert_eq!(delta.entries() as u64, shares.iter().map(|(_, count)| count).sum::<u64>());
    assert_eq!(from.apply(std::slice::from_ref(&delta)), Ok(to));
    let key = SecretKey::from_seed(&[1; 32]);
    let bytes = Unsigned::new(delta, key.public_key().key_id()).sign(&key).bytes().len();
    let ratio = bytes as f64 * 8.0 / floor_bits(CARDS, &shares.map(|(_, count)| count));
    println!("delta of {changes}: {bytes} B, {ratio:.4} of the floor");
    assert!(ratio <= RATIO_MAX.1, "{ratio}");
}
