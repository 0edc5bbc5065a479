//! The wallet's program on a carer's phone: whom a command means, by which numbers, and who is whose in the status.

use bhyt_core::grant::{GrantRelation, GrantScope};
use bhyt_core::sync::admin::{AdminCommand, NewGrant};
use bhyt_tests::operator::card_row;
use bhyt_tests::paper::Paper;
use bhyt_tests::people::Town;
use bhyt_tests::server::block_on;
use serde_json::Value;

const CARER: &str = "9900000017";
const CHILD: &str = "9900000025";
const SPOUSE: &str = "9900000033";

/// What the program prints on the phone that is called `phone`; or how it ends.
async fn printed(town: &Town, line: &[&str]) -> String {
    let page = Paper::default();
    let cli = bhyt_wallet::Cli::of_words(line).expect("words of ours");
    let out = bhyt_wallet::Output::new(page.clone());
    let parts = bhyt_wallet::Parts { cli, config: town.config("phone"), out };
    match bhyt_wallet::run(parts, std::future::pending()).await {
        Ok(()) => page.text(),
        Err(error) => format!("exit {}: {error}", error.exit() as u8),
    }
}

fn field<'a>(status: &'a Value, member: usize, name: &str) -> Option<&'a str> {
    status.get("members")?.get(member)?.get(name)?.as_str()
}

#[test]
fn a_carer_is_meant_where_nobody_is_named_and_others_are_named_by_the_number_on_their_card() {
    let town = Town::found();
    let server = town.open();
    let address = server.address();
    block_on(async {
        let operator = town.operator(address).await;
        for (member, name) in [(CARER, "Nguyễn Thị Thử"), (CHILD, "Nguyễn Văn Thử"), (SPOUSE, "Lê Văn Thử")]
        {
            operator.register(member, name).await;
            operator.issue(card_row(member, &format!("DN499{member}"), "2026-01-01", "")).await;
        }
        let phone = town.phone_named("phone", address, &operator, CARER).await;
        let grant = NewGrant {
            dependant: CHILD.into(),
            carer: CARER.into(),
            scope: GrantScope::Card,
            relation: GrantRelation::Parent,
            from: None,
            until: town.now().day().plus_days(30),
        };
        operator.send(AdminCommand::AddGrant(Box::new(grant))).await.expect("granted");
        phone.wallet.sync().await.expect("synced");
        let own = phone.member.to_hex();
        phone.wallet.close().await;
        drop(phone);

        let status = printed(&town, &["status"]).await;
        assert!(
            status.contains("Nguyễn Thị Thử, 9900000017") && status.contains("Nguyễn Văn Thử, 9900000025")
        );
        let status: Value = serde_json::from_str(&printed(&town, &["--json", "status"]).await).expect("JSON");
        let at =
            |number| (0..2).find(|at| field(&status, *at, "member_id") == Some(number)).expect("a member");
        assert_eq!(field(&status, at(CARER), "member"), Some(own.as_str()));
        assert_eq!(field(&status, at(CHILD), "full_name"), Some("Nguyễn Văn Thử"));

        // The carer, unless somebody is named.
        assert!(printed(&town, &["contact", "set", "--phone", "0900000001"]).await.starts_with("Đã ghi"));
        assert!(printed(&town, &["outbox"]).await.contains("0900000001"));
        let paper = async |line: &[&str]| {
            let line = [&["--json", "qr", "--print"], line].concat();
            serde_json::from_str::<Value>(&printed(&town, &line).await).expect("JSON")["text"].clone()
        };
        let carers = paper(&[]).await;
        assert_eq!(paper(&["--member", CARER]).await, carers);
        assert_eq!(paper(&["--member", &own]).await, carers);
        assert_ne!(paper(&["--member", CHILD]).await, carers);
        let shown = printed(&town, &["card", "--member", CHILD]).await;
        assert!(shown.contains("Nguyễn Văn Thử") && !shown.contains("Nguyễn Thị Thử"));
        for stranger in [SPOUSE, "99", "0123456789abcdef0123456789abcdef"] {
            let ended = printed(&town, &["card", "--member", stranger]).await;
            assert!(ended.starts_with("exit 64: no member of this id"), "{ended}");
        }

        // Two in their own right: nobody is guessed.
        let phone = town.phone_named("phone", address, &operator, SPOUSE).await;
        phone.wallet.close().await;
        drop(phone);
        let ended = printed(&town, &["qr"]).await;
        assert!(ended.starts_with("exit 64: this phone holds several members"), "{ended}");
        assert!(printed(&town, &["card", "--member", SPOUSE]).await.contains("Lê Văn Thử"));
    });
    server.stop();
}
