//! An export holds everything of one member, proves itself, and is noted before it leaves.

use bhyt_core::cose::Signed;
use bhyt_core::feed::FeedHead;
use bhyt_core::ids::OperationId;
use bhyt_core::merkle::Frontier;
use bhyt_core::sync::admin::{AdminCommand, AdminReply, AdminRequest, CardChange};
use bhyt_core::sync::audit::{AuditQuery, ShortMember};
use bhyt_core::sync::export::ExportPiece;
use bhyt_core::sync::messages::{Refusal, Reply, Request};

use crate::world::{OPERATOR, World, card_row, key, member_row, number, social};

async fn export(world: &World, alias: &str) -> Vec<Reply> {
    let command = AdminCommand::ExportMember(alias.into());
    let operation = OperationId([77; 16]);
    world.ask(OPERATOR, Request::Admin(AdminRequest { operation, command })).await
}

#[tokio::test]
async fn an_export_holds_everything_of_one_member_and_proves_itself() {
    let world = World::new().await;
    for n in [1, 2] {
        world.command(AdminCommand::ImportMembers(vec![member_row(n)])).await.unwrap();
        world.command(AdminCommand::IssueCard(card_row(n))).await.unwrap();
    }
    let phone = world.phone(1, 1).await;
    for _ in 0..20 {
        for change in [CardChange::Hold, CardChange::Release] {
            world.command(AdminCommand::ChangeCard { number: number(1), change }).await.unwrap();
        }
    }
    let mut replies = export(&world, &social(1)).await;
    assert_eq!(replies.pop(), Some(Reply::Done));
    let mut frontier = Frontier::new();
    let (mut seen, mut root) = (Vec::new(), None);
    for reply in replies {
        let Reply::Admin(AdminReply::Export(piece)) = reply else { panic!("{reply:?}") };
        seen.push(match *piece {
            ExportPiece::Member(view) => {
                assert_eq!(view.row.member_id, social(1));
                "member"
            }
            ExportPiece::Card { view, credential } => {
                assert_eq!(view.row.number, number(1));
                assert!(credential.starts_with(&[0xd2, 0x84]));
                "card"
            }
            ExportPiece::Devices(views) => {
                assert_eq!(views.len(), 1);
                "devices"
            }
            ExportPiece::Head(bytes) => {
                let head = Signed::<FeedHead>::decode(&bytes).unwrap().verify(&key(13).public_key()).unwrap();
                assert_eq!(head.claims().member, phone.member);
                root = Some(head.claims().root);
                "head"
            }
            ExportPiece::Page(page) => {
                assert_eq!(page.first_seq().0, frontier.size());
                for (seq, entry) in page.entries() {
                    frontier.append(entry.leaf_hash(seq)).unwrap();
                }
                "page"
            }
        });
    }
    assert_eq!(seen, ["member", "card", "devices", "head", "page", "page"]);
    assert_eq!((frontier.size(), Some(frontier.root())), (41, root));
    let audit = AdminCommand::ShowAudit(AuditQuery { member: social(1), ..AuditQuery::default() });
    let Ok(AdminReply::Audit(page)) = world.command(audit).await else { panic!() };
    let line = page.lines.iter().find(|line| line.action.name() == "export_member").unwrap();
    assert_eq!(line.subject.member(), Some(ShortMember::from(phone.member)));
    assert_eq!(export(&world, "9900000099").await, [Reply::Refused(Refusal::NotFound)]);
}
