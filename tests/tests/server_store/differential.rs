//! Random commits against the embedded store and the memory store, which is the oracle: same outcomes, same contents.

use bhyt_core::ids::MemberId;
use bhyt_platform::entropy::{Entropy, SeededEntropy, make_bytes};
use bhyt_server::store::memory::MemoryStore;
use bhyt_server::store::{
    Append, Commit, DocKey, DocKind, DocWrite, Expected, Outcome, Shard, Store, StoredHead, StoredPage,
};

use super::{KEPT, embedded};

const SEEDS: std::ops::Range<u64> = 0..4;
const COMMITS: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_and_memory_store_never_differ() {
    for seed in SEEDS {
        let folder = tempfile::tempdir().unwrap();
        let oracle = MemoryStore::new(KEPT);
        let mut store = embedded::on_disk(folder.path());
        let random = Random(SeededEntropy::danger_from_seed(seed));
        let (mut applied, mut lost) = (0, 0);
        for step in 0..COMMITS {
            let commit = random.commit(&oracle).await;
            let expected = oracle.commit(commit.clone()).await.unwrap();
            let outcome = store.commit(commit).await.unwrap();
            assert_eq!(outcome, expected, "seed {seed}, step {step}");
            match outcome {
                Outcome::Applied => applied += 1,
                Outcome::Lost => lost += 1,
            }
            if random.below(20) == 0 {
                drop(store);
                store = embedded::on_disk(folder.path());
            }
            compare(&store, &oracle, &random, &format!("seed {seed}, step {step}")).await;
        }
        assert!(applied > COMMITS / 4 && lost > COMMITS / 10, "{applied} applied, {lost} lost");
    }
}

async fn compare(store: &impl Store, oracle: &impl Store, random: &Random, at: &str) {
    for number in 0..MEMBERS {
        let id = member(number);
        assert_eq!(store.head(id).await.unwrap(), oracle.head(id).await.unwrap(), "{at}");
        let (from, max) = (random.below(6) as u32, random.below(5));
        let (found, expected) = (store.read(id, from, max).await, oracle.read(id, from, max).await);
        assert_eq!(found.unwrap(), expected.unwrap(), "{at}");
    }
    for kind in KINDS {
        let after = (random.below(2) == 0).then(|| random.doc_id(kind));
        let max = random.below(12);
        let found = store.doc_scan(kind, after.clone(), max).await.unwrap();
        assert_eq!(found, oracle.doc_scan(kind, after, max).await.unwrap(), "{at}");
    }
    // Behind a commit that announces nothing, whatever was to be trimmed has been.
    assert_eq!(store.commit(Commit::default()).await.unwrap(), Outcome::Applied);
    for shard in [Shard(0), Shard(1), Shard(2)] {
        let (after, max) = (random.below(200) as u64, random.below(300));
        let found = store.tail(shard, after, max).await.unwrap();
        assert_eq!(found, oracle.tail(shard, after, max).await.unwrap(), "{at}");
        let ends = (store.tail_end(shard).await, oracle.tail_end(shard).await);
        assert_eq!(ends.0.unwrap(), ends.1.unwrap(), "{at}");
    }
}

struct Random(SeededEntropy);

impl Random {
    fn below(&self, end: usize) -> usize {
        usize::from(u16::from_le_bytes(make_bytes(&self.0))) % end
    }

    fn bytes(&self) -> Vec<u8> {
        // Now and then too large for a member's row.
        let mut bytes = vec![0; self.below(if self.below(9) == 0 { 4_000 } else { 60 })];
        self.0.fill(&mut bytes);
        bytes
    }

    fn doc_id(&self, kind: DocKind) -> Vec<u8> {
        let rest = vec![self.below(4) as u8; self.below(3)];
        let member = member(self.below(usize::from(MEMBERS)) as u8);
        if kind.is_of_member() { [member.0.as_slice(), &rest].concat() } else { rest }
    }

    /// A commit whose expectations are right more often than not.
    async fn commit(&self, oracle: &impl Store) -> Commit {
        let mut commit = Commit::default();
        for _ in 0..self.below(3) {
            let append = self.append(oracle).await;
            if commit.appends.iter().all(|other| other.member != append.member) {
                commit.appends.push(append);
            }
        }
        for _ in 0..self.below(4) {
            let write = self.doc_write(oracle).await;
            if commit.docs.iter().all(|other| other.key != write.key) {
                commit.docs.push(write);
            }
        }
        for _ in 0..self.below(4) * self.below(20) {
            commit.announce.push(member(self.below(usize::from(MEMBERS)) as u8));
        }
        commit
    }

    async fn append(&self, oracle: &impl Store) -> Append {
        let member = member(self.below(usize::from(MEMBERS)) as u8);
        let held = oracle.head(member).await.unwrap();
        let (epoch, size) = held.as_ref().map_or((0, 0), |head| (head.epoch, head.size));
        let expected = match self.below(6) {
            0 => Some((epoch, size + 1)),
            _ => held.map(|head| (head.epoch, head.size)),
        };
        let number = self.below(5) as u32;
        let pages =
            (0..self.below(3) as u32).map(|at| StoredPage { number: number + at, bytes: self.bytes() });
        let pages = pages.collect();
        let head = StoredHead { epoch, size: size + 1, bytes: self.bytes() };
        Append { member, expected, head, pages }
    }

    async fn doc_write(&self, oracle: &impl Store) -> DocWrite {
        let kind = KINDS[self.below(KINDS.len())];
        let key = DocKey::new(kind, self.doc_id(kind));
        let held = oracle.doc_get(&key).await.unwrap();
        let expected = match (self.below(8), held) {
            (0, _) => Expected::Any,
            (1, _) => Expected::Revision(1),
            (2, Some(_)) | (_, None) => Expected::Absent,
            (_, Some(doc)) => Expected::Revision(doc.revision),
        };
        let bytes = (self.below(4) != 0).then(|| self.bytes());
        DocWrite { key, expected, bytes }
    }
}

/// Members of three shards.
fn member(number: u8) -> MemberId {
    let mut id = [0; 16];
    (id[0], id[15]) = (number % 3, number);
    MemberId(id)
}

const MEMBERS: u8 = 6;
const KINDS: [DocKind; 4] = [DocKind::Meta, DocKind::Member, DocKind::Card, DocKind::Audit];
