//! The two programs as a person or another program sees them: what they print, and how they end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step is a failed test")]

mod sdk_support;

use std::fs;
use std::io::{BufReader, Cursor};
use std::path::Path;

use bhyt_core::card_record::CardStanding;
use bhyt_core::ids::{FullName, StatusIndex};
use bhyt_core::presentation::Presentation;
use bhyt_platform::clock::ManualClock;
use bhyt_sdk::{Config, QrMatrix};
use bhyt_terminal::{Colours, Ended, TerminalError};
use bhyt_tests::authority::{Authority, DAY, ListDraft, Phone, day, example_card};
use bhyt_tests::paper::Paper;
use bhyt_wallet::WalletError;
use serde_json::Value;

use sdk_support::{CODE, MEMBER, Server, config, today};

async fn wallet(config: Config, line: &[&str]) -> (Result<(), WalletError>, String) {
    let out = Paper::default();
    let parts = bhyt_wallet::Parts {
        cli: bhyt_wallet::Cli::of_words(line).unwrap(),
        config,
        out: bhyt_wallet::Output::new(out.clone()),
    };
    (bhyt_wallet::run(parts, std::future::pending()).await, out.text())
}

async fn terminal(config: Config, line: &[&str], input: &str) -> (Result<Ended, TerminalError>, String) {
    let out = Paper::default();
    let parts = bhyt_terminal::Parts {
        cli: bhyt_terminal::Cli::of_words(line).unwrap(),
        config,
        input: Box::new(BufReader::new(Cursor::new(input.as_bytes().to_vec()))),
        out: bhyt_terminal::Output::new(out.clone()),
        colours: Colours::None,
    };
    (bhyt_terminal::run(parts, std::future::pending()).await, out.text())
}

/// A phone and a desk, both with one server that is gone by now.
struct Scene {
    phone: tempfile::TempDir,
    desk: tempfile::TempDir,
    clock: ManualClock,
    /// Stopped; its port stays taken, so that dialling it is refused at once.
    _server: Server,
}

impl Scene {
    async fn new(list: &ListDraft) -> Self {
        let clock = ManualClock::new(today());
        let server = Server::start(&clock);
        let (phone, desk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let scene = Self { phone, desk, clock, _server: server };
        let server = &scene._server;
        server.state().list = Some(list.list());
        let trust = scene.desk.path().join("trust.cose");
        fs::write(&trust, server.trust()).unwrap();
        let (address, trust) = (server.address.clone(), trust.to_str().unwrap().to_owned());
        let activate =
            ["activate", "--server", &address, "--trust", &trust, "--member", "9900000017", "--code"];
        let (done, shown) = wallet(scene.phone(), &[&activate[..], &[CODE]].concat()).await;
        done.unwrap();
        assert!(shown.contains("Nguyễn Thị Thử") && shown.contains("In force"), "{shown}");
        let enrol = ["enrol", "--server", &address, "--trust", &trust, "--token", CODE];
        let (done, shown) = terminal(scene.desk(), &enrol, "").await;
        assert_eq!(done.unwrap(), Ended::Well);
        assert!(shown.contains("99024"), "{shown}");
        server.stop().await;
        scene
    }

    fn phone(&self) -> Config {
        config(&self.phone, &self.clock, 11)
    }

    fn desk(&self) -> Config {
        config(&self.desk, &self.clock, 12)
    }

    async fn verify(&self, text: &str) -> (Ended, Value) {
        let (done, shown) = terminal(self.desk(), &["--json", "verify", "--text", text], "").await;
        (done.unwrap(), serde_json::from_str(&shown).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_in_json_is_these_fields() {
    let scene = Scene::new(&ListDraft::new(7, today().minus(3_600))).await;
    let (_, live) = wallet(scene.phone(), &["qr", "--out", "-"]).await;
    let (ended, accepted) = scene.verify(live.trim()).await;
    assert_eq!(ended, Ended::Well);
    let expected = r#"{
        "outcome": "accept", "reason": null, "note": null, "portal_code": "000",
        "holder": "proven", "holder_reason": null, "holder_basis": "clock",
        "freshness": "fresh", "age_s": 3600,
        "card": {
            "number": "DN4999900000017", "member_id": "9900000017", "full_name": "Nguyễn Thị Thử",
            "birth_date": "1994-03-05", "sex": 2, "facility": "99024",
            "from": "2026-01-01", "to": "2026-12-31", "five_years": "2025-06-01",
            "area": "K1", "level": 4
        },
        "evidence": {
            "key_id": "KEY", "trust_version": 1, "list_version": {"epoch": 1, "number": 7},
            "list_age_s": 3600, "clock": 1795410000, "floor": 1795406400, "judged_at": 1795410000,
            "proof_time": 1795410000
        }
    }"#;
    let key = Authority::new(1).card_key.public_key().key_id().to_string();
    let expected: Value = serde_json::from_str(&expected.replace("KEY", &key)).unwrap();
    assert_eq!(accepted, expected);

    let (ended, rejected) = scene.verify("12345").await;
    assert_eq!(ended, Ended::Rejected);
    assert_eq!((&rejected["outcome"], &rejected["reason"]), (&"reject".into(), &"malformed".into()));
    assert_eq!((&rejected["portal_code"], &rejected["card"]), (&"051".into(), &Value::Null));
    for absent in ["holder", "holder_reason", "holder_basis", "freshness", "note"] {
        assert_eq!(rejected[absent], Value::Null, "{absent}");
    }
    scene.clock.advance(35 * DAY);
    let (ended, undecided) = scene.verify(live.trim()).await;
    assert_eq!(ended, Ended::Undecided);
    assert_eq!(undecided["reason"], "status_too_old");
    assert_eq!(undecided["portal_code"], "500");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_drawn_by_one_program_is_read_by_the_other() {
    let scene = Scene::new(&ListDraft::new(1, today())).await;
    let png = scene.desk.path().join("card.png");
    let png = png.to_str().unwrap();
    let (drawn, _) = wallet(scene.phone(), &["qr", "--out", png]).await;
    drawn.unwrap();
    let (ended, shown) = terminal(scene.desk(), &["verify", "--image", png], "").await;
    assert_eq!(ended.unwrap(), Ended::Well);
    let (vi, en) = (shown.find("HỢP LỆ").unwrap(), shown.find("VALID").unwrap());
    assert!(vi < en && shown.contains("Nguyễn Thị Thử"), "{shown}");
    let (drawn, _) = wallet(scene.phone(), &["qr", "--print", "--out", png]).await;
    drawn.unwrap();
    let (_, shown) = terminal(scene.desk(), &["--json", "verify", "--image", png], "").await;
    let verdict: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(verdict["holder_reason"], "no_proof");

    let no_code = scene.desk.path().join("trust.cose");
    let no_code = no_code.to_str().unwrap();
    let (error, shown) = terminal(scene.desk(), &["--json", "verify", "--image", no_code], "").await;
    assert_eq!(error.unwrap_err().exit() as u8, 65);
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["error"], "picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_gets_a_verdict_a_line_and_the_worst_of_them_ends_it() {
    let mut list = ListDraft::new(1, today());
    list.sets.set_standing(StatusIndex(70_001), CardStanding::Withdrawn);
    list.sets.set_standing(StatusIndex(70_002), CardStanding::Held);
    let scene = Scene::new(&list).await;
    let card = |index: u32| {
        let mut claims = example_card();
        claims.status_index = StatusIndex(index);
        Presentation::new(Authority::new(1).sign_card(claims), None).encode_text()
    };
    let check = async |codes: &[u32], ended: Ended, portal: &[&str]| {
        let input: String = codes.iter().map(|index| format!("  {}\r\n\r\n", card(*index))).collect();
        let (done, shown) = terminal(scene.desk(), &["verify", "-", "--json"], &input).await;
        assert_eq!(done.unwrap(), ended);
        let lines = shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found: Vec<_> = lines.map(|line| line["portal_code"].as_str().unwrap().to_owned()).collect();
        assert_eq!(found, portal);
    };
    check(&[70_000, 70_000], Ended::Well, &["000", "000"]).await;
    check(&[70_000, 70_002], Ended::Undecided, &["000", "500"]).await;
    check(&[70_001, 70_002, 70_000], Ended::Rejected, &["110", "500", "000"]).await;
    let endless = "A".repeat(100_000);
    let (done, shown) = terminal(scene.desk(), &["verify", "-", "--json"], &endless).await;
    assert_eq!(done.unwrap(), Ended::Rejected);
    assert!(shown.lines().count() < 50);

    // A pipe whose other end failed accepts nobody.
    for nothing in ["", "\n \r\n", "\u{feff}\r\n"] {
        let (error, shown) = terminal(scene.desk(), &["verify", "-", "--json"], nothing).await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((error.unwrap_err().exit() as u8, &shown["error"]), (65, &"no_code".into()));
    }
    let marked = format!("\u{feff}{}\r\n", card(70_000));
    let (done, _) = terminal(scene.desk(), &["verify", "-"], &marked).await;
    assert_eq!(done.unwrap(), Ended::Well);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_end_with_the_codes_that_help_names() {
    let clock = ManualClock::new(today());
    let fresh = tempfile::tempdir().unwrap();
    let end = async |line: &[&str]| {
        let (done, shown) = wallet(config(&fresh, &clock, 1), line).await;
        (done.unwrap_err().exit() as u8, shown)
    };
    assert_eq!(end(&["sync"]).await.0, 65);
    assert_eq!(end(&["qr"]).await.0, 65);
    let (code, shown) = end(&["--json", "qr"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &shown["error"], &shown["exit"]), (65, &"not_activated".into(), &65.into()));
    assert_eq!(end(&["card", "--member", "zz"]).await.0, 64);
    let missing = ["activate", "--server", "127.0.0.1:1", "--trust", "/none", "--member", "9", "--code", "1"];
    assert_eq!(end(&missing).await.0, 74);
    let other_kind = [&missing[..], &["--presentation-key", "p256"]].concat();
    assert_eq!(end(&other_kind).await.0, 64, "this phone has drawn a key on Ed25519");
    let (done, _) = terminal(config(&fresh, &clock, 1), &["verify", "--text", "x"], "").await;
    assert_eq!(done.unwrap_err().exit() as u8, 65);

    let scene = Scene::new(&ListDraft::new(1, today())).await;
    let (done, _) = wallet(scene.phone(), &["sync"]).await;
    assert_eq!(done.unwrap_err().exit() as u8, 69);
    let (done, shown) = wallet(scene.phone(), &["--json", "status"]).await;
    done.unwrap();
    let status: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(status["problem"], "offline");
    assert_eq!(status["members"][0]["member"], MEMBER.to_hex());
    let open = bhyt_sdk::Wallet::open(scene.phone()).unwrap();
    let (done, _) = wallet(scene.phone(), &["status"]).await;
    assert_eq!(done.unwrap_err().exit() as u8, 75);
    drop(open);
    let picture = scene.phone.path().join("card.gif");
    let (done, _) = wallet(scene.phone(), &["qr", "--out", picture.to_str().unwrap()]).await;
    assert_eq!(done.unwrap_err().exit() as u8, 64);
    assert!(!Path::new(&picture).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_phone_draws_the_key_it_is_told_to_and_keeps_it() {
    let (clock, fresh) = (ManualClock::new(today()), tempfile::tempdir().unwrap());
    let kind = async |line: &[&str]| {
        // There is no such trust file; the key was drawn before it was looked for.
        assert!(wallet(config(&fresh, &clock, 1), line).await.0.is_err());
        let (_, shown) = wallet(config(&fresh, &clock, 1), &["--json", "status"]).await;
        serde_json::from_str::<Value>(&shown).unwrap()["presentation_key"].clone()
    };
    let activate =
        ["activate", "--server", "127.0.0.1:1", "--trust", "/none", "--member", "9", "--code", "1"];
    assert_eq!(kind(&[&activate[..], &["--presentation-key", "p256"]].concat()).await, "p256");
    assert_eq!(kind(&activate).await, "p256");
    assert_eq!(kind(&[&activate[..], &["--presentation-key", "ed25519"]].concat()).await, "p256");
    let keys = fresh.path().join("keys");
    assert!(keys.join("presentation-p256.key").exists() && !keys.join("presentation.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_shown_in_vietnamese_and_english_below() {
    let scene = Scene::new(&ListDraft::new(1, today())).await;
    let (done, shown) = wallet(scene.phone(), &["card"]).await;
    done.unwrap();
    let expected = "\
THẺ BẢO HIỂM Y TẾ
  Tình trạng                   Đang có hiệu lực
  Họ và tên                    Nguyễn Thị Thử
  Ngày sinh                    05/03/1994
  Giới tính                    Nữ / Female
  Số thẻ BHYT                  DN4999900000017
  Mã số BHXH                   9900000017
  Nơi ĐK KCB ban đầu           99024
  Mức hưởng                    4
  Giá trị sử dụng              01/01/2026 – 31/12/2026
  Thời điểm đủ 5 năm liên tục  01/06/2025
  Nơi sinh sống                K1
  Cập nhật lúc                 22/11/2026 12:00
  Điện thoại này giữ thẻ đến   01/04/2027

HEALTH INSURANCE CARD
  Standing                         In force
  Full name                        Nguyễn Thị Thử
";
    assert!(shown.starts_with(expected), "{shown}");
    let (_, shown) = wallet(scene.phone(), &["card", "--json"]).await;
    let cards: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(cards[0]["state"], "in_force");
    assert_eq!(cards[0]["bindings"][0]["end"], "2027-04-01");
}

/// The screen's promise: version 12 with a challenge for names of up to 40 bytes, 13 beyond.
#[test]
fn codes_keep_to_their_versions() {
    let check = |name: &str, live: u8, challenged: u8| {
        let phone = Phone::new(4);
        let mut claims = example_card();
        claims.full_name = FullName::parse(name).unwrap();
        claims.binding = Some(phone.binding(day(2027, 4, 1)));
        let card = Authority::new(1).sign_card(claims);
        let terminal = Authority::new(1).card_key.public_key().key_id();
        let challenge = bhyt_core::presentation::Challenge { terminal, random: [1; 8] };
        let version = |challenge| {
            let text = phone.present(&card, today(), challenge).encode_text();
            QrMatrix::for_screen(&text).unwrap().version()
        };
        let found = (version(None), version(Some(challenge)));
        assert!(found.0 <= live && found.1 <= challenged, "{} bytes: {found:?}", name.len());
    };
    check("Nguyễn Thị Thử", 12, 12);
    check(&"Ặ".repeat(13), 12, 12);
    check(&"Ặ".repeat(14), 13, 13);
    check(&"Ặ".repeat(20), 13, 13);
}
