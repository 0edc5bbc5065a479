//! Which card index comes next: dense, so that lists stay small, and in an order that only the key tells, so that an
//! index says no more about when a card was issued than its block of 65,536 does.
//!
//! A block is a permutation of its 16-bit offsets: a Feistel network of twelve rounds on two halves of 8 bits,
//! whose round function is HMAC-SHA-256 over the domain name, the block, the round and the half. No table is kept: the
//! server stores one counter. The permutation hides order, nothing else; it is not a cipher.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ids::StatusIndex;
use crate::limits::{STATUS_BLOCK, STATUS_INDEX_MAX};

/// The key of the order. Changing it in the middle of a block would hand indexes out twice.
#[derive(Clone)]
pub struct IndexOrderKey(Zeroizing<[u8; 32]>);

impl IndexOrderKey {
    /// From 32 random bytes, made once and kept for good.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl std::fmt::Debug for IndexOrderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IndexOrderKey(…)")
    }
}

/// The index of the card that is the `counter`th to be issued, counted from 0. One to one; counters of a block give the
/// indexes of that block. `None` from 2^32 on: there are no more indexes.
pub fn index_at(counter: u64, key: &IndexOrderKey) -> Option<StatusIndex> {
    if counter > STATUS_INDEX_MAX {
        return None;
    }
    let (block, offset) = (counter / STATUS_BLOCK, counter % STATUS_BLOCK);
    let [mut left, mut right] = (offset as u16).to_be_bytes();
    for round in 0..ROUNDS {
        (left, right) = (right, left ^ round_byte(key, block as u16, round, right));
    }
    let offset = u16::from_be_bytes([left, right]);
    Some(StatusIndex((block * STATUS_BLOCK) as u32 + u32::from(offset)))
}

/// How many indexes a list covers after `issued` cards: whole blocks, because within the last one the free indexes are
/// not a range.
pub fn indexes_below(issued: u64) -> u64 {
    issued.next_multiple_of(STATUS_BLOCK).min(STATUS_INDEX_MAX + 1)
}

fn round_byte(key: &IndexOrderKey, block: u16, round: u8, half: u8) -> u8 {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0[..]).expect("HMAC takes keys of any length");
    mac.update(DOMAIN);
    mac.update(&block.to_be_bytes());
    mac.update(&[round, half]);
    let [first, ..]: [u8; 32] = mac.finalize().into_bytes().into();
    first
}

/// FF1 (NIST SP 800-38G) has ten; a network this small deserves more, and issuing a card can wait 20 µs.
const ROUNDS: u8 = 12;
const DOMAIN: &[u8] = b"bhyt/index-order/v1";
const _: () = assert!(STATUS_BLOCK == 1 << 16 && (STATUS_INDEX_MAX + 1).is_multiple_of(STATUS_BLOCK));

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn block(number: u64, key: &IndexOrderKey) -> Vec<u32> {
        let first = number * STATUS_BLOCK;
        (first..first + STATUS_BLOCK).map(|counter| index_at(counter, key).unwrap().0).collect()
    }

    #[test]
    fn each_block_is_a_permutation_of_itself() {
        let key = IndexOrderKey::new([7; 32]);
        let number = STATUS_INDEX_MAX / STATUS_BLOCK;
        let mut indexes = block(number, &key);
        indexes.sort_unstable();
        let first = (number * STATUS_BLOCK) as u32;
        assert!(indexes.into_iter().eq(first..=first + 0xffff));
        assert_eq!(index_at(STATUS_INDEX_MAX + 1, &key), None);
    }

    #[test]
    fn the_order_looks_like_chance() {
        let indexes = block(0, &IndexOrderKey::new([8; 32]));
        assert_eq!(indexes.iter().collect::<BTreeSet<_>>().len(), indexes.len());
        // Of a random permutation: half of the steps go up, one point stays, half of the bits differ from the counter.
        let up = indexes.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((32_300..33_200).contains(&up), "{up}");
        let fixed = (0..).zip(&indexes).filter(|(counter, index)| counter == *index).count();
        assert!(fixed < 9, "{fixed}");
        for bit in 0..16 {
            let changed = (0..).zip(&indexes).filter(|(counter, index)| (counter ^ *index) >> bit & 1 == 1);
            let changed = changed.count();
            assert!((32_200..33_300).contains(&changed), "bit {bit}: {changed}");
        }
        // The issue of a day must not stand together: mean distance of neighbours is a third of the block.
        let apart: u64 = indexes.windows(2).map(|pair| u64::from(pair[0].abs_diff(pair[1]))).sum();
        assert!((21_500..22_200).contains(&(apart / 65_535)), "{}", apart / 65_535);
    }

    #[test]
    fn key_and_block_change_the_order() {
        let (a, b) = (IndexOrderKey::new([1; 32]), IndexOrderKey::new([2; 32]));
        let same_key = (0..999).filter(|&c| index_at(c, &a) == index_at(c, &b)).count();
        let offset = |counter| index_at(counter, &a).unwrap().0 % STATUS_BLOCK as u32;
        let same_block = (0..999).filter(|&c| offset(c) == offset(c + STATUS_BLOCK)).count();
        assert!(same_key < 4 && same_block < 4);
    }

    #[test]
    fn the_order_is_the_same_for_good() {
        let key = IndexOrderKey::new([0; 32]);
        let first = [0, 1, 2, 3, STATUS_BLOCK].map(|counter| index_at(counter, &key).unwrap().0);
        // From a second implementation of the description, in another language.
        assert_eq!(first, [169, 35_138, 34_079, 42_245, 103_529]);
        assert_eq!([0, 1, STATUS_BLOCK, STATUS_BLOCK + 1].map(indexes_below), [0, 65_536, 65_536, 131_072]);
    }
}
