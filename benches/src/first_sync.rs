//! The first sync of a long life of records, and one visit more: what is said on the stream, frame by frame, against the
//! best that a compressor makes of all bodies at once.

use bhyt_core::card::CardClaims;
use bhyt_core::codec::{self, Schema};
use bhyt_core::cose::Unsigned;
use bhyt_core::feed::{BlockWindow, Epoch, Extent, FeedHead, FeedPage};
use bhyt_core::ids::MemberId;
use bhyt_core::merkle::Frontier;
use bhyt_core::record::{Body, PageSeed, Record, RecordKind, Seq};
use bhyt_core::sync::messages::{FeedPlace, Follow, Hello, MemberCursor, Reply, Request, SyncFeeds};
use bhyt_tests::authority::{Authority, Phone, at, day, example_card};
use bhyt_tests::life;

use crate::chance::Chance;
use crate::figure::{Figure, Goal, Promise};
use crate::run::{Group, Run};

/// `first_sync.bytes_ratio`, `visit.wire_bytes`.
pub(crate) const FIRST_SYNC: &Group = &Group { promises: &[BYTES_RATIO, WIRE_BYTES], measure: first_sync };

fn first_sync(run: &mut Run) {
    run.say("first sync: a life of records");
    let bodies = life::bodies();
    let mut feed = Feed::new();
    bodies.iter().for_each(|(kind, body)| feed.append(*kind, body.clone()));
    let ours = framed(&Hello { time: at(2026, 6, 1) }) + framed(&feed.request()) + feed.answered(Seq(0));
    let all: Vec<u8> = bodies.iter().flat_map(|(_, body)| body.as_bytes()).copied().collect();
    let best = zstd::bulk::compress(&all, 19).expect("memory takes it").len();
    run.found(Figure::ratio(&BYTES_RATIO, ours as f64 / best as f64, best as f64));

    let visit = life::new_visit();
    let (from, length) = (feed.head().next_seq(), visit.as_bytes().len() as f64);
    feed.append(RecordKind::Visit, visit);
    run.found(Figure::value(&WIRE_BYTES, feed.answered(from) as f64 - 1.2 * length));
}

/// A member's feed, as a server holds it.
struct Feed {
    authority: Authority,
    chance: Chance,
    pages: Vec<FeedPage>,
    frontier: Frontier,
}

impl Feed {
    fn new() -> Self {
        let (authority, chance) = (Authority::new(7), Chance::new(1));
        Self { authority, chance, pages: Vec::new(), frontier: Frontier::new() }
    }

    /// Records come eight a second, as an import brings them.
    fn append(&mut self, kind: RecordKind, body: Body) {
        let seq = Seq(self.frontier.size());
        if self.pages.last().is_none_or(FeedPage::is_closed) {
            self.pages.push(FeedPage::new(seq, PageSeed(self.chance.bytes())));
        }
        let page = self.pages.last_mut().expect("a page");
        let time = at(2026, 6, 1).plus(seq.0 / 8);
        page.push(Record::first(seq, kind, body, time)).expect("an open page");
        let leaf = page.entries().last().map(|(seq, entry)| entry.leaf_hash(seq));
        self.frontier.append(leaf.expect("a leaf")).expect("a short feed");
    }

    fn head(&self) -> FeedHead {
        let extent = Extent { epoch: Epoch(1), size: self.frontier.size() };
        FeedHead { member: MEMBER, extent, root: self.frontier.root(), time: at(2026, 6, 2) }
    }

    fn request(&self) -> Request {
        let extent = Extent { epoch: Epoch(0), size: 0 };
        let cursor = MemberCursor { member: MEMBER, extent, state: [7; 16] };
        let members = vec![FeedPlace { cursor, staged: 0, personal: None }];
        Request::SyncFeeds(SyncFeeds { trust: 1, members, follow: Follow::Once })
    }

    /// Bytes of the answer to a phone that has the records before `from`, or of the news to it.
    fn answered(&self, from: Seq) -> usize {
        let key = &self.authority.head_key;
        let head = Unsigned::new(self.head(), key.public_key().key_id()).sign(key).bytes().to_vec();
        let mut bytes = framed(&Reply::FeedHead { member: MEMBER, head }) + framed(&Reply::Done);
        let pages: Vec<FeedPage> = self.pages.iter().filter_map(|page| page.since(from)).collect();
        let mut window = BlockWindow::default();
        for mut pages in pages.chunks(PAGES_AT_ONCE) {
            while !pages.is_empty() {
                let (block, count) = window.make_block(pages);
                bytes += framed(&Reply::FeedBlock { member: MEMBER, block });
                pages = pages.get(count..).unwrap_or_default();
            }
        }
        let binding = Some(Phone::new(8).binding(day(2026, 11, 1)));
        let credential = self.authority.sign_card(CardClaims { binding, ..example_card() });
        bytes + framed(&Reply::Credentials { member: MEMBER, credentials: vec![credential] })
    }
}

/// Bytes of a frame with its length word.
fn framed<T: Schema>(frame: &T) -> usize {
    4 + codec::encode(frame).expect("a frame").len()
}

const MEMBER: MemberId = MemberId([0x99; 16]);
/// As the server reads them.
const PAGES_AT_ONCE: usize = 8;

const BYTES_RATIO: Promise = Promise {
    id: "first_sync.bytes_ratio",
    unit: "ratio",
    limit_unit: "bytes",
    goal: Goal::AtMost(1.25),
    how: "All frames of the first sync of a member with 1 card, 180 contribution periods, 40 benefits and 120 visits of six \
          lines (a fixed fixture with Vietnamese names), made by the code that the server makes them with, both ways, with \
          length words, the server's Hello, head and credential ÷ zstd −19 of all bodies in one block.",
    cause: "",
};
const WIRE_BYTES: Promise = Promise {
    id: "visit.wire_bytes",
    unit: "bytes",
    limit_unit: "",
    goal: Goal::AtMost(400.0),
    how: "All frames of the news of one more visit, made likewise, the credential sent with them included, beyond 1.2 × the \
          body of the visit. Below 0 when compression saves more than head and framing cost.",
    cause: "",
};
