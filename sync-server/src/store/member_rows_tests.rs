//! Rows against a plain store as the oracle: the same pairs, wherever they stand.

use super::*;
use bhyt_platform::entropy::{Entropy, SeededEntropy, make_bytes};
use bhyt_platform::memory_kv::MemoryKv;

struct Random(SeededEntropy);

impl Random {
    fn below(&self, end: usize) -> usize {
        usize::from(u16::from_le_bytes(make_bytes(&self.0))) % end
    }

    fn key(&self) -> Vec<u8> {
        let member = [self.below(3) as u8; 16];
        match self.below(6) {
            0 => vec![b"cdz"[self.below(3)], self.below(4) as u8],
            // Shorter than a row's key.
            1 => vec![b'm'; 1 + self.below(3)],
            2 => [b"m".as_slice(), &member, b"h"].concat(),
            3 => [b"m".as_slice(), &member, b"d", &[2]].concat(),
            _ => [b"m".as_slice(), &member, b"p", &[self.below(5) as u8]].concat(),
        }
    }

    fn value(&self) -> Vec<u8> {
        let mut value = vec![0; [40, 600, 3_000, 9_000][self.below(4)]];
        self.0.fill(&mut value);
        value
    }

    fn batch(&self) -> Batch {
        let mut batch = Batch::new();
        for _ in 0..self.below(5) {
            match self.below(4) {
                0 => batch.delete(&self.key()).unwrap(),
                _ => batch.put(&self.key(), &self.value()).unwrap(),
            }
        }
        batch
    }
}

#[test]
fn rows_hold_what_a_plain_store_holds() {
    for seed in 0..4 {
        let random = Random(SeededEntropy::danger_from_seed(seed));
        let (rows, oracle) = (MemberRows::new(MemoryKv::new()), MemoryKv::new());
        for step in 0..150 {
            let batches: Vec<Batch> = (0..1 + random.below(3)).map(|_| random.batch()).collect();
            rows.commit_all(batches.clone()).unwrap();
            oracle.commit_all(batches).unwrap();
            let (key, max) = (random.key(), random.below(12));
            let after = (random.below(2) == 0).then(|| random.key());
            assert_eq!(rows.get(&key).unwrap(), oracle.get(&key).unwrap(), "seed {seed}, step {step}");
            for length in [0, 1, 9, 17, 18] {
                let prefix = key.get(..length).unwrap_or(&key);
                let found = rows.scan(prefix, after.as_deref(), max).unwrap();
                let expected = oracle.scan(prefix, after.as_deref(), max).unwrap();
                assert!(found == expected, "seed {seed}, step {step}, prefix {prefix:?}, after {after:?}");
            }
        }
        let all = |kv: &dyn Kv| kv.scan(b"", None, usize::MAX / 2).unwrap();
        assert!(all(&rows) == all(&oracle), "seed {seed}");
        let inner = all(&rows.inner);
        assert!(inner.len() < all(&oracle).len(), "nothing was packed");
        assert!(inner.iter().filter(|(key, _)| key.len() == 17).all(|(_, row)| row.len() <= ROW_BYTES_MAX));
    }
}

#[test]
fn a_member_is_one_key() {
    let key = |suffix: &[u8]| [b"m".as_slice(), &[7; 16], suffix].concat();
    let rows = MemberRows::new(MemoryKv::new());
    let mut batch = Batch::new();
    batch.put(&key(b"p\0\0\0\0"), b"page").unwrap();
    batch.put(&key(b"h"), b"head").unwrap();
    rows.commit(batch).unwrap();
    let row = [b"\0\x01h\x04\0head".as_slice(), b"\x05p\0\0\0\0\x04\0page"].concat();
    assert!(rows.inner.scan(b"", None, 9).unwrap() == [(key(b""), row)]);
    let mut batch = Batch::new();
    batch.delete(&key(b"h")).unwrap();
    batch.delete(&key(b"p\0\0\0\0")).unwrap();
    rows.commit(batch).unwrap();
    assert!(rows.inner.scan(b"", None, 9).unwrap().is_empty());
}

#[test]
fn pairs_that_leave_their_rows_make_no_batch_too_large() {
    let key = |member: u8, suffix: &[u8]| [b"m".as_slice(), &[member; 16], suffix].concat();
    let rows = MemberRows::new(MemoryKv::new());
    for bytes in [3_000, 5_000] {
        let mut batch = Batch::new();
        for member in 0..=u8::MAX {
            batch.put(&key(member, b"d"), &vec![member; bytes]).unwrap();
        }
        rows.commit(batch).unwrap();
        assert!(rows.get(&key(9, b"d")).unwrap() == Some(vec![9; bytes]));
    }
}
