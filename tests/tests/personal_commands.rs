//! `bhyt-wallet` and a member's own words: written offline on the command line, taken by a real server later, proven by
//! receipts; what another phone wrote apart and what the server refused are shown as such.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, outside #[test]")]

use bhyt_core::ids::from_hex;
use bhyt_core::operation::OperationHash;
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::ids::EntryId;
use bhyt_core::personal::values::{Line, Petition, PetitionKind, Phone as Number, Text};
use bhyt_core::receipt::Receipt;
use bhyt_core::trust;
use bhyt_sdk::Wallet;
use bhyt_tests::operator::card_row;
use bhyt_tests::paper::Paper;
use bhyt_tests::people::Town;
use bhyt_tests::server::block_on;
use serde_json::{Value, json};

const MEMBER: &str = "9900000017";

/// What the program prints on the phone of this name, or how it ends.
fn printed(town: &Town, phone: &str, words: &[&str]) -> String {
    let out = Paper::default();
    let cli = bhyt_wallet::Cli::of_words(words).unwrap();
    let parts =
        bhyt_wallet::Parts { cli, config: town.config(phone), out: bhyt_wallet::Output::new(out.clone()) };
    let done = block_on(bhyt_wallet::run(parts, std::future::pending()));
    let text = out.text();
    match done {
        Ok(()) => text,
        Err(error) => format!("exit {}: {error}", error.exit() as u8),
    }
}

fn value(town: &Town, phone: &str, words: &[&str]) -> Value {
    serde_json::from_str(&printed(town, phone, &[&["--json"], words].concat())).unwrap()
}

/// A town with the phones `one` and `two` of one member, closed, and where its server was: it is stopped.
fn two_phones_and_no_network() -> (Town, std::net::SocketAddr) {
    let town = Town::found();
    let server = town.open();
    block_on(async {
        let operator = town.operator(server.address()).await;
        operator.register(MEMBER, "Nguyễn Thị Thử").await;
        operator.issue(card_row(MEMBER, "DN4999900000017", "2026-01-01", "")).await;
        for name in ["one", "two"] {
            town.phone_named(name, server.address(), &operator, MEMBER).await.wallet.close().await;
        }
    });
    let address = server.address();
    server.stop();
    (town, address)
}

const SEND: [&str; 7] =
    ["petition", "send", "--title", "Thiếu ba tháng", "--correction", "0", "Thiếu tháng 5 đến tháng 7."];

#[test]
fn what_is_written_offline_on_the_command_line_is_taken_later_and_its_receipts_prove_it() {
    let (town, address) = two_phones_and_no_network();
    let nothing = "THÔNG TIN CÁ NHÂN\n  chưa có\n\nPERSONAL DETAILS\n  none\n";
    assert_eq!(printed(&town, "one", &["personal"]), nothing);
    let contact = ["contact", "set", "--phone", "0900000001", "--email", "thu@vidu.vn"];
    assert_eq!(
        printed(&town, "one", &contact),
        "Đã ghi trên điện thoại này; lần đồng bộ tới sẽ gửi đi.\n\
         Written on this phone; the next sync sends it.\n"
    );
    assert_eq!(value(&town, "one", &contact), json!({ "operations": [] }), "it is so already");
    assert_eq!(value(&town, "one", &SEND)["operations"].as_array().unwrap().len(), 1);
    printed(&town, "one", &["note", "0", "Thẻ mới"]);
    let handed_in = town.now();
    let waiting = value(&town, "one", &["outbox"]);
    let what = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["edit"]["what"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(what(&waiting), ["phone", "email", "petition", "note"]);
    assert!(waiting.as_array().unwrap().iter().all(|one| one["state"] == "waiting"), "{waiting}");
    assert_eq!(value(&town, "one", &["receipts"]), json!([]));

    town.pass(3_600);
    let server = town.server.start(address);
    printed(&town, "one", &["sync"]);
    server.stop();

    assert_eq!(
        printed(&town, "one", &["outbox"]),
        "HỘP THƯ ĐI\n  trống: máy chủ đã nhận hết\n\nOUTBOX\n  empty: the server has taken everything\n"
    );
    let receipts = value(&town, "one", &["receipts"]);
    assert_eq!(what(&receipts), ["phone", "email", "petition", "note"]);
    let bundle = trust::anchor(&town.server.trust_bytes()).unwrap();
    for receipt in receipts.as_array().unwrap() {
        let bytes = |name: &str| from_hex(receipt[name].as_str().unwrap()).unwrap();
        let signed = Receipt::verify(&bytes("signed"), bundle.claims()).unwrap();
        assert_eq!(signed.claims().change, OperationHash::of(&bytes("change")));
        assert_eq!((signed.claims().time, receipt["taken_at"].as_u64()), (town.now(), Some(town.now().0)));
    }
    let text = printed(&town, "one", &["receipts"]);
    let line = format!("  {}  Điện thoại: 0900000001\n", town.now().display_local());
    assert!(text.starts_with(&format!("BIÊN NHẬN\n{line}")), "{text}");

    let id = value(&town, "one", &["personal"])["petitions"][0]["id"].as_str().unwrap().to_owned();
    let at = handed_in.display_local();
    assert_eq!(
        printed(&town, "one", &["personal"]),
        format!(
            "THÔNG TIN CÁ NHÂN\n  Điện thoại: 0900000001\n  Email: thu@vidu.vn\n  Ghi chú cho hồ sơ 0: Thẻ mới\n  \
             Đề nghị điều chỉnh hồ sơ 0: Thiếu ba tháng\n    Thiếu tháng 5 đến tháng 7.\n    Nộp lúc: {at}\n    [{id}]\n\n\
             PERSONAL DETAILS\n  Phone: 0900000001\n  E-mail: thu@vidu.vn\n  Note on record 0: Thẻ mới\n  \
             Correction of record 0: Thiếu ba tháng\n    Thiếu tháng 5 đến tháng 7.\n    Handed in: {at}\n    [{id}]\n"
        )
    );
}

#[test]
fn a_value_written_apart_and_an_edit_that_was_refused_are_shown_as_such() {
    let (town, address) = two_phones_and_no_network();
    printed(&town, "one", &["contact", "set", "--phone", "0900000001"]);
    printed(&town, "one", &SEND);
    let id = value(&town, "one", &["personal"])["petitions"][0]["id"].as_str().unwrap().to_owned();
    // The other phone writes another number, and another text under the name of the same petition.
    let two = Wallet::open(town.config("two")).unwrap();
    let member = two.members()[0];
    two.edit(member, Edit::Phone(Number::parse("0900000002"))).unwrap();
    let (kind, subject) = (PetitionKind::Request, Line::parse("Bản thứ hai").unwrap());
    let petition = Petition { kind, subject, text: Text::parse("Khác").unwrap() };
    two.edit(member, Edit::HandIn { id: EntryId::from_hex(&id).unwrap(), at: town.now(), petition }).unwrap();
    block_on(two.close());
    drop(two);
    let server = town.server.start(address);
    printed(&town, "one", &["sync"]);
    printed(&town, "two", &["sync"]);
    server.stop();

    let phone = &value(&town, "two", &["personal"])["phone"];
    let (value_, others) = (phone["value"].as_str().unwrap(), phone["others"][0].as_str().unwrap());
    let text = printed(&town, "two", &["personal"]);
    let shown = format!(
        "  Điện thoại: {value_}\n    Giá trị khác, ghi ở máy khác cùng lúc: {others}\n  Đề nghị điều chỉnh"
    );
    assert!(value_ != others && text.contains(&shown), "{text}");

    let refused = value(&town, "two", &["outbox"]);
    let [refused] = &refused.as_array().unwrap()[..] else { panic!("{refused}") };
    assert_eq!(
        (refused["state"].as_str(), refused["why"].as_str()),
        (Some("refused"), Some("not_permitted"))
    );
    let text = printed(&town, "two", &["outbox"]);
    assert!(text.contains("Bị từ chối: không được phép, hoặc đã nộp từ trước\n"), "{text}");
    let edit = refused["id"].as_str().unwrap();
    let nothing = json!([]);
    assert_eq!(value(&town, "two", &["outbox", "retry", edit]), nothing, "the first text stands for good");
    assert!(printed(&town, "two", &["outbox", "retry", edit]).starts_with("exit 65: no such edit"));

    printed(&town, "two", &["contact", "set", "--phone", ""]);
    assert_eq!(value(&town, "two", &["personal"])["phone"], Value::Null, "an empty one takes it away");
    let taken_away = value(&town, "two", &["outbox"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(value(&town, "two", &["outbox", "discard", &taken_away]), nothing);
    assert_eq!(&value(&town, "two", &["personal"])["phone"], phone, "thrown away, it is as it was");
    assert!(printed(&town, "two", &["outbox", "discard", &taken_away]).starts_with("exit 65: no such edit"));
}

#[test]
fn what_does_not_fit_a_field_is_not_written_and_not_repeated() {
    let (town, _) = two_phones_and_no_network();
    let bad = ["contact", "set", "--email", "thu@vidu.vn", "--phone", "0900 số lạ"];
    assert_eq!(printed(&town, "one", &bad), "exit 64: this is not a telephone number");
    assert!(printed(&town, "one", &["note", "99", "lạ"]).starts_with("exit 65: no such record"));
    let about = ["petition", "send", "--title", "a", "--dispute", "99", "b"];
    assert!(printed(&town, "one", &about).starts_with("exit 65: no such record"));
    assert_eq!(value(&town, "one", &["outbox"]), json!([]));
    for words in
        [&["contact", "set"][..], &["petition", "send", "--title", "a", "--question", "--feedback", "b"]]
    {
        assert!(bhyt_wallet::Cli::of_words(words).is_err(), "{words:?}");
    }
}
