//! An import without what can be left out: lines are parsed, cards and heads signed, and bytes of the same number and
//! sizes written to a store of the same adapter. No network, no index, no sealing, nothing looked up.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use bhyt_core::card::CardClaims;
use bhyt_core::cose::Unsigned;
use bhyt_core::feed::{Epoch, Extent, FeedHead};
use bhyt_core::ids::{
    BenefitLevel, CardNumber, FacilityCode, FullName, LivingArea, MemberId, Sex, SocialNumber, StatusIndex,
};
use bhyt_core::keys::SecretKey;
use bhyt_core::merkle::TreeHash;
use bhyt_core::time::{BirthDate, Day, UnixSeconds};
use bhyt_platform::kv::{Batch, Kv as _};
use bhyt_platform::sled_kv::{SledKv, SledOptions};
use bhyt_platform::store_folder::StoreKind;

use crate::card::now;
use crate::chance::Chance;
use crate::import::CARD_COLUMNS;
use crate::town::Town;

/// Bytes of the values that the server stores, on average, as its store's adapter is given them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    /// A member's row, before and with the first card.
    member: usize,
    with_card: usize,
    alias: usize,
    alias_of_card: usize,
    audit: usize,
}

impl Sizes {
    /// Those of a server that has members, and no cards yet.
    pub(crate) fn of_members(town: &Town) -> Self {
        let store = copy_of_store(town);
        let member = mean(&store, b"m", MEMBER_KEY_BYTES);
        Self { member, alias: mean(&store, ALIAS, ALIAS_KEY_BYTES), ..Self::default() }
    }

    /// Those of the server once its members have a card each.
    pub(crate) fn with_cards(self, town: &Town) -> Self {
        let store = copy_of_store(town);
        let with_card = mean(&store, b"m", MEMBER_KEY_BYTES);
        let alias_of_card = mean(&store, ALIAS, ALIAS_KEY_BYTES + 16);
        Self { with_card, alias_of_card, audit: longest(&store, AUDIT), ..self }
    }
}

/// The store of a server that is idle just now, opened beside it.
fn copy_of_store(town: &Town) -> Opened {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in std::fs::read_dir(town.path("data/store")).expect("a store").filter_map(Result::ok) {
        if file.path().is_file() {
            std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("a copy");
        }
    }
    std::fs::create_dir(folder.path().join("blobs")).expect("a folder");
    let store = SledKv::open(folder.path(), StoreKind::Server, SledOptions::default()).expect("a store");
    Opened { store, _folder: folder }
}

/// A store, before the folder that it is in.
#[derive(Debug)]
struct Opened {
    store: SledKv,
    _folder: tempfile::TempDir,
}

fn mean(opened: &Opened, prefix: &[u8], key_bytes: usize) -> usize {
    let pairs = opened.store.scan(prefix, None, usize::MAX).expect("a scan");
    let sizes: Vec<_> =
        pairs.iter().filter(|(key, _)| key.len() == key_bytes).map(|(_, value)| value.len()).collect();
    assert!(!sizes.is_empty(), "the server's store is laid out in another way");
    sizes.iter().sum::<usize>() / sizes.len()
}

fn longest(opened: &Opened, prefix: &[u8]) -> usize {
    let pairs = opened.store.scan(prefix, None, usize::MAX).expect("a scan");
    pairs.iter().map(|(_, value)| value.len()).max().expect("a line of the audit trail")
}

/// A store with members in it.
#[derive(Debug)]
pub(crate) struct Bare {
    opened: Opened,
    sizes: Sizes,
    commits: AtomicU64,
    issuer: SecretKey,
    head_key: SecretKey,
}

impl Bare {
    /// A store of as many members as the server has.
    pub(crate) fn prepare(members: u64, sizes: &Sizes) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = SledOptions { cache_bytes: CACHE_BYTES };
        let store = SledKv::open(&folder.path().join("store"), StoreKind::Server, options).expect("a store");
        let (issuer, head_key) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[3; 32]));
        let opened = Opened { store, _folder: folder };
        let bare = Self { opened, sizes: *sizes, commits: AtomicU64::new(0), issuer, head_key };
        let mut batches = Vec::new();
        for first in (0..members).step_by(MEMBERS_A_COMMIT) {
            let mut batch = bare.commit();
            for member in first..members.min(first + MEMBERS_A_COMMIT as u64) {
                put(&mut batch, &member_key(member), sizes.member);
                put(&mut batch, &alias_key(member, &[]), sizes.alias);
            }
            batches.push(batch);
            if batches.len() == BATCHES_A_SYNC {
                bare.write(std::mem::take(&mut batches));
            }
        }
        bare.write(batches);
        bare
    }

    /// Imports the cards of these members, whose rows are in the file.
    pub(crate) fn import(&self, file: &Path, members: Range<u64>) {
        let mut lines = BufReader::new(File::open(file).expect("the file")).lines();
        assert_eq!(lines.next().expect("a header").expect("a header"), CARD_COLUMNS);
        let rows = Mutex::new(Rows { lines, next: members.start });
        let (batches, written) = sync_channel(2 * BATCHES_A_SYNC);
        std::thread::scope(|scope| {
            for batches in [batches.clone(), batches] {
                scope.spawn(|| self.sign(&rows, batches));
            }
            self.write_all(&written);
        });
        let left = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(left.next, members.end, "every row");
    }

    fn sign(&self, rows: &Mutex<Rows>, batches: SyncSender<Batch>) {
        loop {
            let (first, lines) = rows.lock().unwrap_or_else(PoisonError::into_inner).take();
            if lines.is_empty() {
                return;
            }
            let mut batch = self.commit();
            put(&mut batch, &audit_key(self.commits.load(Ordering::Relaxed)), self.sizes.audit);
            for (member, line) in (first..).zip(&lines) {
                let claims = parse(line, member as u32).expect("a good row");
                let card = Unsigned::new(claims, self.issuer.public_key().key_id()).sign(&self.issuer);
                let id = MemberId(Chance::new(member).bytes());
                let extent = Extent { epoch: Epoch(1), size: 1 };
                let head =
                    FeedHead { member: id, extent, root: TreeHash::of_leaf(card.bytes()), time: now() };
                let head = Unsigned::new(head, self.head_key.public_key().key_id()).sign(&self.head_key);
                let mut row = [card.bytes(), card.bytes(), head.bytes()].concat();
                row.resize(self.sizes.with_card, 0);
                batch.put(&member_key(member), &row).expect("a key");
                put(&mut batch, &alias_key(member, &[7; 16]), self.sizes.alias_of_card);
            }
            batches.send(batch).expect("somebody writes");
        }
    }

    fn write_all(&self, batches: &Receiver<Batch>) {
        while let Ok(first) = batches.recv() {
            let more = batches.try_iter().take(BATCHES_A_SYNC - 1);
            self.write([first].into_iter().chain(more).collect());
        }
    }

    fn write(&self, batches: Vec<Batch>) {
        self.opened.store.commit_all(batches).expect("the store writes");
    }

    /// A batch with what every commit has: one of a few counters, and the record of its changes.
    fn commit(&self) -> Batch {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        let mut batch = Batch::new();
        put(&mut batch, &[b'd', 1, b's', (number % 16) as u8], 44);
        put(&mut batch, &[&b"c"[..], &number.to_be_bytes()].concat(), 2 + 24 * CARDS_A_COMMIT);
        batch
    }
}

/// The rows that nobody has taken.
struct Rows {
    lines: Lines<BufReader<File>>,
    next: u64,
}

impl Rows {
    /// A commit's worth of rows, and the number of the first.
    fn take(&mut self) -> (u64, Vec<String>) {
        let first = self.next;
        let lines: Vec<_> =
            self.lines.by_ref().take(CARDS_A_COMMIT).collect::<Result<_, _>>().expect("lines");
        self.next += lines.len() as u64;
        (first, lines)
    }
}

/// A card of a row, and of a member whose details are at hand.
fn parse(line: &str, index: u32) -> Option<CardClaims> {
    let mut fields = line.split(',');
    let mut field = || fields.next().map(str::trim);
    let optional = |text: &str| if text.is_empty() { Some(None) } else { Day::parse(text).map(Some) };
    Some(CardClaims {
        social_number: SocialNumber::parse(field()?)?,
        number: CardNumber::parse(field()?)?,
        level: BenefitLevel::new(field()?.parse().ok()?)?,
        facility: FacilityCode::parse(field()?)?,
        valid_from: Day::parse(field()?)?,
        valid_to: optional(field()?)?,
        five_years: optional(field()?)?,
        area: LivingArea::parse(field()?),
        issued_at: now(),
        binding: None,
        full_name: FullName::parse("Nguyễn Văn Mẫu An")?,
        birth_date: BirthDate::parse("05/03/1994")?,
        sex: Sex::Male,
        status_index: StatusIndex(index),
    })
}

fn put(batch: &mut Batch, key: &[u8], bytes: usize) {
    batch.put(key, &vec![7; bytes]).expect("a key within its bounds");
}

fn member_key(member: u64) -> Vec<u8> {
    [&b"m"[..], &Chance::new(member).bytes::<16>()].concat()
}

fn alias_key(member: u64, behind: &[u8]) -> Vec<u8> {
    [ALIAS, &Chance::new(member ^ 1 << 63).bytes::<32>(), behind].concat()
}

fn audit_key(number: u64) -> Vec<u8> {
    [AUDIT, &UnixSeconds(1).0.to_be_bytes(), &number.to_be_bytes()].concat()
}

/// What the keys of aliases and of audit lines begin with: docs/formats.md, section 9.
const ALIAS: &[u8] = b"d\x03";
const AUDIT: &[u8] = b"d\x0d";
const MEMBER_KEY_BYTES: usize = 1 + 16;
const ALIAS_KEY_BYTES: usize = 2 + 32;
/// What the server's store has.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
const MEMBERS_A_COMMIT: usize = 64;
const CARDS_A_COMMIT: usize = 50;
const BATCHES_A_SYNC: usize = 8;
