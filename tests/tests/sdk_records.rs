//! Official records on a phone: what stands, what it was, and what this version cannot read; the same after a restart, and
//! as the program prints it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step is a failed test")]

mod sdk_support;

use bhyt_core::record::{Body, Record, RecordKind, Seq};
use bhyt_core::records::{
    Benefit, BenefitKind, ContributionPeriod, CostLine, Fact, FiveYears, Fund, MonthCount, MonthStatus,
    Notice, Visit,
};
use bhyt_core::time::UnixSeconds;
use bhyt_platform::clock::{Clock, ManualClock};
use bhyt_sdk::{Activation, RevisionContent, Wallet};
use bhyt_tests::authority::DAY;
use bhyt_tests::facts;
use bhyt_tests::paper::Paper;
use serde_json::Value;

use sdk_support::{CODE, MEMBER, Server, config, today};

/// A feed that grows.
struct Feed<'a>(&'a Server);

impl Feed<'_> {
    fn add(&self, fact: &Fact) -> Seq {
        self.push(fact.kind(), fact.encode().unwrap())
    }

    fn push(&self, kind: RecordKind, body: Body) -> Seq {
        let time = self.0.clock.now();
        let mut state = self.0.state();
        let seq = Seq(state.records.len() as u64);
        state.records.push(Record::first(seq, kind, body, time));
        seq
    }

    fn follow(&self, seq: Seq, next: impl Fn(&Record, UnixSeconds) -> Record) {
        let time = self.0.clock.now();
        let mut state = self.0.state();
        let latest = state.records.iter().rfind(|record| record.first_seq == seq).unwrap();
        let next = next(latest, time);
        state.records.push(next);
    }

    fn correct(&self, seq: Seq, fact: &Fact) {
        let body = fact.encode().unwrap();
        self.follow(seq, |latest, time| latest.corrected(body.clone(), time));
    }

    fn retract(&self, seq: Seq) {
        self.follow(seq, Record::retracted);
    }
}

async fn phone(folder: &tempfile::TempDir, clock: &ManualClock) -> (Wallet, Server) {
    let server = Server::start(clock);
    let wallet = Wallet::open(config(folder, clock, 1)).unwrap();
    let asked = Activation {
        server: server.address.clone(),
        trust: server.trust(),
        alias: "9900000017".to_owned(),
        code: CODE.to_owned(),
    };
    wallet.activate(asked).await.unwrap();
    (wallet, server)
}

fn period(fund: Fund, from: &str, to: &str) -> ContributionPeriod {
    ContributionPeriod { fund, months: facts::months(from, to), ..facts::contribution() }
}

#[tokio::test(flavor = "multi_thread")]
async fn contributions_stand_by_fund_newest_first_with_their_totals() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = phone(&folder, &clock).await;
    let empty = wallet.contributions(MEMBER).unwrap();
    assert!(empty.funds.iter().all(|fund| fund.rows.is_empty()) && empty.freshness.signed_at.is_some());
    let feed = Feed(&server);
    for (from, to) in [("10/2016", "05/2017"), ("07/2017", "07/2017"), ("06/2017", "06/2017")] {
        feed.add(&Fact::Contribution(period(Fund::Bhxh, from, to)));
    }
    let late = ContributionPeriod { status: MonthStatus::Late, ..period(Fund::Bhxh, "08/2017", "09/2017") };
    let late = feed.add(&Fact::Contribution(late));
    feed.add(&Fact::Contribution(period(Fund::Bhyt, "01/2020", "10/2026")));
    let mistaken = feed.add(&Fact::Contribution(period(Fund::Bhtn, "01/2000", "12/2010")));
    feed.retract(mistaken);
    wallet.sync().await.unwrap();

    let view = wallet.contributions(MEMBER).unwrap();
    let funds: Vec<Fund> = view.funds.iter().map(|fund| fund.totals.fund).collect();
    assert_eq!(funds, Fund::ALL);
    let shown: Vec<String> =
        view.funds[0].rows.iter().map(|row| row.period.months.from().to_string()).collect();
    assert_eq!(shown, ["08/2017", "07/2017", "06/2017", "10/2016"], "newest first, neighbours apart");
    assert_eq!((view.funds[0].totals.counted, view.funds[0].totals.late), (MonthCount(10), MonthCount(2)));
    assert!(view.funds[1].rows.is_empty(), "what was retracted is gone");
    assert_eq!(view.five_years, wallet.cards(MEMBER)[0].claims.five_years, "the signed date");
    let preview = view.five_years_preview.unwrap();
    assert_eq!((preview.full_from.to_string().as_str(), preview.state), ("01/2025", FiveYears::Full));

    // The employer pays: a correction, dated, with its history.
    clock.advance(DAY);
    let paid = period(Fund::Bhxh, "08/2017", "09/2017");
    feed.correct(late, &Fact::Contribution(paid.clone()));
    wallet.sync().await.unwrap();
    let view = wallet.contributions(MEMBER).unwrap();
    assert_eq!((view.funds[0].totals.counted, view.funds[0].totals.late), (MonthCount(12), MonthCount(0)));
    let row = &view.funds[0].rows[0];
    assert_eq!((row.info.id, row.info.revision, row.info.updated_at), (late, 1, today().plus(DAY)));
    let history = wallet.history(MEMBER, late).unwrap();
    assert_eq!(history.iter().map(|one| one.recorded_at).collect::<Vec<_>>(), [today(), today().plus(DAY)]);
    assert_eq!(history[1].content, RevisionContent::Stands(Box::new(Fact::Contribution(paid))));
    let history = wallet.history(MEMBER, mistaken).unwrap();
    assert_eq!((history.len(), &history[1].content), (2, &RevisionContent::Retracted));
    assert!(wallet.history(MEMBER, Seq(999)).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_stand_by_year_with_all_their_lines_and_offline() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = phone(&folder, &clock).await;
    let feed = Feed(&server);
    let lines: Vec<CostLine> =
        (0..150).map(|n| CostLine { code: facts::text(&format!("XN.{n}")), ..facts::cost_line() }).collect();
    let long = Visit { lines: lines.clone(), more_parts: None, ..facts::visit() };
    let (own, parts) = long.split().unwrap();
    assert!(parts.len() > 1);
    let long = feed.add(&Fact::Visit(Box::new(own)));
    for part in parts {
        feed.add(&Fact::VisitLines(part));
    }
    for (case, entered) in [("A", "2025-12-31 23:59"), ("B", "2024"), ("C", "2026-11-01")] {
        let (case, entered) = (facts::text(case), facts::civil(entered));
        let visit = Visit { case, entered, more_parts: None, ..facts::visit() };
        feed.add(&Fact::Visit(Box::new(visit)));
    }
    wallet.sync().await.unwrap();
    server.stop().await;
    wallet.close().await;
    drop(wallet);

    clock.advance(30 * DAY);
    let wallet = Wallet::open(config(&folder, &clock, 2)).unwrap();
    let view = wallet.visits(MEMBER, None).unwrap();
    assert_eq!(view.years.iter().map(|year| year.year).collect::<Vec<_>>(), [2026, 2025, 2024]);
    assert_eq!(view.freshness.data_age_seconds, Some(30 * DAY));
    let this_year: Vec<&str> = view.years[0].visits.iter().map(|row| row.visit.case.as_str()).collect();
    assert_eq!(this_year, ["C", "LK-2026-000123"]);
    let whole = &view.years[0].visits[1];
    assert_eq!((whole.info.id, whole.missing_parts), (long, 0));
    assert!(whole.visit.lines == lines, "all lines, in order");
    let one = wallet.visits(MEMBER, Some(2025)).unwrap();
    assert_eq!((one.years.len(), one.years[0].visits[0].visit.case.as_str()), (1, "A"));
    assert!(wallet.visits(MEMBER, Some(1999)).unwrap().years.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_gone_is_said_to_be_missing() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = phone(&folder, &clock).await;
    let feed = Feed(&server);
    let visit = Visit { lines: vec![facts::cost_line(); 150], more_parts: None, ..facts::visit() };
    let (own, parts) = visit.split().unwrap();
    feed.add(&Fact::Visit(Box::new(own)));
    let parts: Vec<Seq> = parts.into_iter().map(|part| feed.add(&Fact::VisitLines(part))).collect();
    feed.retract(parts[1]);
    wallet.sync().await.unwrap();
    let view = wallet.visits(MEMBER, None).unwrap();
    let row = &view.years[0].visits[0];
    assert_eq!(row.missing_parts, 1);
    assert!(row.visit.lines.len() < 150 && row.visit.lines.len() > 75);
}

#[tokio::test(flavor = "multi_thread")]
async fn benefits_stand_by_kind_and_what_is_newer_is_kept_and_counted() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = phone(&folder, &clock).await;
    let feed = Feed(&server);
    let body = |bytes: &[u8]| Body::new(bytes.to_vec()).unwrap();
    feed.add(&Fact::Benefit(facts::benefit()));
    let older = Benefit { from: Some(facts::civil("2020-05")), ..facts::benefit() };
    feed.add(&Fact::Benefit(older));
    let other = Benefit { kind: BenefitKind::Unknown(9), ..facts::benefit() };
    feed.add(&Fact::Benefit(other));
    // A field of a newer version, a kind of a newer version, and what no version wrote.
    let newer = feed.push(RecordKind::Benefit, body(&[0xa2, 1, 1, 0x20, 0]));
    feed.push(RecordKind::Unknown(40), body(&[0xa0]));
    feed.push(RecordKind::Benefit, body(&[0xa0]));
    wallet.sync().await.unwrap();
    let view = wallet.benefits(MEMBER).unwrap();
    let shown: Vec<(BenefitKind, usize)> = view.tabs.iter().map(|tab| (tab.kind, tab.rows.len())).collect();
    let known =
        BenefitKind::KNOWN.iter().map(|kind| (*kind, if *kind == BenefitKind::Monthly { 2 } else { 0 }));
    assert_eq!(shown, known.chain([(BenefitKind::Unknown(9), 1)]).collect::<Vec<_>>());
    assert_eq!(view.tabs[2].rows[0].benefit, facts::benefit(), "the later one first");
    assert_eq!((view.freshness.needs_update, view.freshness.unreadable), (2, 1));
    assert_eq!(wallet.history(MEMBER, newer).unwrap()[0].content, RevisionContent::NeedsUpdate);
    let visits = wallet.visits(MEMBER, None).unwrap();
    assert_eq!(
        (visits.freshness.needs_update, visits.freshness.unreadable),
        (1, 0),
        "unknown kinds count anywhere"
    );
}

async fn printed(folder: &tempfile::TempDir, clock: &ManualClock, line: &[&str]) -> String {
    let out = Paper::default();
    let cli = bhyt_wallet::Cli::of_words(line).unwrap();
    let parts = bhyt_wallet::Parts {
        cli,
        config: config(folder, clock, 3),
        out: bhyt_wallet::Output::new(out.clone()),
    };
    let done = bhyt_wallet::run(parts, std::future::pending()).await;
    let text = out.text();
    match done {
        Ok(()) => text,
        Err(error) => format!("exit {}: {error}", error.exit() as u8),
    }
}

/// Each page of the program, whole: what a member reads is looked at, not only parsed.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_prints_records_in_vietnamese_and_english() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(today()));
    let (wallet, server) = phone(&folder, &clock).await;
    let feed = Feed(&server);
    let (visit, lines) = (Visit { more_parts: None, ..facts::visit() }, facts::cost_line());
    let visit = feed.add(&Fact::Visit(Box::new(Visit { lines: vec![lines], ..visit })));
    feed.add(&Fact::Contribution(facts::contribution()));
    feed.add(&Fact::Benefit(facts::benefit()));
    let notice = Notice { about: Some(visit), ..facts::notice() };
    let notice = feed.add(&Fact::Notice(notice));
    feed.retract(notice);
    feed.correct(notice, &Fact::Notice(facts::notice()));
    wallet.sync().await.unwrap();
    wallet.close().await;
    drop(wallet);

    for (words, file) in [
        (&["contributions"][..], "contributions.txt"),
        (&["benefits"], "benefits.txt"),
        (&["visits", "--year", "2026"], "visits.txt"),
        (&["notices"], "notices.txt"),
        (&["history", "4"], "history.txt"),
    ] {
        let text = printed(&folder, &clock, words).await;
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages").join(file);
        if std::env::var_os("BHYT_WRITE_PAGES").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
        let json = printed(&folder, &clock, &[&["--json"], words].concat()).await;
        serde_json::from_str::<Value>(&json).unwrap();
    }
    let json: Value =
        serde_json::from_str(&printed(&folder, &clock, &["--json", "contributions"]).await).unwrap();
    let row = &json["funds"][0]["rows"][0];
    assert_eq!((row["salary"].as_str(), row["coefficient"].as_str()), (Some("5453400.00"), Some("3.66")));
    assert_eq!(
        (row["from"].as_str(), json["funds"][0]["totals"]["months"].as_u64()),
        (Some("2019-07"), Some(6))
    );
    let gone = printed(&folder, &clock, &["history", "99"]).await;
    assert!(gone.starts_with("exit 65: no such record"), "{gone}");
}
