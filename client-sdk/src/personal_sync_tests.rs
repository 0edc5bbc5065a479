//! Answers that cross with what the user does meanwhile, and what a restored server has forgotten.

use std::sync::Arc;

use bhyt_core::cose::Unsigned;
use bhyt_core::ids::MemberId;
use bhyt_core::keys::SecretKey;
use bhyt_core::operation::{Operation, OperationAnswer};
use bhyt_core::personal::document::PersonalDocument;
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::ids::{ActorId, EntryId, Writer};
use bhyt_core::personal::values::{Line, Petition, PetitionKind, Phone, Text};
use bhyt_core::receipt::{Receipt, ReceiptSeal};
use bhyt_core::record::Seq;
use bhyt_core::seal::SealKey;
use bhyt_core::sync::personal::{PersonalContent, PersonalCursor, PersonalReply};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{KeyUse, Policy, RootSet, TrustBundle, TrustedKey};
use bhyt_platform::entropy::SeededEntropy;
use bhyt_platform::memory_kv::MemoryKv;
use bhyt_platform::store_key::StoreKey;

use super::*;
use crate::personal_book::Owner;
use crate::vault::Vault;

const NOW: UnixSeconds = UnixSeconds(1_795_399_200);
const MEMBER: MemberId = MemberId([7; 16]);

/// A phone's book, and the server's document.
struct Desk {
    book: PersonalBook,
    owner: Owner,
    key: SecretKey,
    server: PersonalDocument,
}

impl Desk {
    fn new() -> Self {
        let entropy = Arc::new(SeededEntropy::danger_from_seed(3));
        let vault = Vault::new(&StoreKey::new([5; 32]), entropy.clone());
        let book = PersonalBook::new(Arc::new(MemoryKv::new()), vault, entropy);
        let device = SecretKey::from_seed(&[1; 32]).public_key().key_id();
        let owner = Owner { member: MEMBER, key: SealKey::from_bytes([6; 32]), device };
        Self { book, owner, key: SecretKey::from_seed(&[9; 32]), server: PersonalDocument::begin(MEMBER) }
    }

    fn edit(&self, edit: Edit) -> OperationId {
        self.book.edit(&self.owner, edit, NOW).unwrap().unwrap()
    }

    fn request(&self) -> Vec<Operation> {
        self.book.look(&self.owner, |state| state.request().operations).unwrap()
    }

    /// The server takes all of them.
    fn accept(&mut self, operations: &[Operation]) -> PersonalReply {
        let generation = self.server.generation();
        self.server.apply(operations.iter().map(|operation| operation.change.as_slice())).unwrap();
        let seal = |operation: &Operation| {
            let (id, change) = (operation.id, operation.hash());
            let receipt = Receipt { member: MEMBER, operation: id, change, generation, time: NOW };
            let kid = self.key.public_key().key_id();
            let signature = self.key.sign(&Unsigned::new(receipt, kid).to_be_signed());
            OperationAnswer::Accepted(ReceiptSeal::new(&receipt, kid, &signature))
        };
        let answers = operations.iter().map(seal).collect();
        self.reply(answers, PersonalContent::Changes(Vec::new()))
    }

    /// Another device writes.
    fn other(&mut self, edit: &Edit) -> PersonalReply {
        let actor = ActorId::new(SecretKey::from_seed(&[2; 32]).public_key().key_id(), [2; 8]);
        let change = self.server.edit(edit, actor, Writer::Device).unwrap().unwrap();
        self.reply(Vec::new(), PersonalContent::Changes(vec![change]))
    }

    fn reply(&self, answers: Vec<OperationAnswer>, content: PersonalContent) -> PersonalReply {
        PersonalReply { member: MEMBER, answers, content, cursor: PersonalCursor::of(&self.server) }
    }

    fn whole(&self) -> PersonalReply {
        self.reply(Vec::new(), PersonalContent::Document(self.server.save()))
    }

    fn take(&self, operations: &[Operation], reply: &PersonalReply) {
        let key = TrustedKey {
            key: self.key.public_key(),
            usage: KeyUse::Receipt,
            signs_from: UnixSeconds(0),
            signs_until: None,
            verify_until: None,
            ranges: Vec::new(),
        };
        let trust = TrustBundle {
            version: 1,
            issued: NOW,
            expires: NOW.plus(1),
            roots: RootSet::new(vec![self.key.public_key()], 1).unwrap(),
            keys: vec![key],
            policy: Policy::default(),
            status: None,
        };
        self.book.take(&self.owner, operations, reply, &trust, NOW).unwrap();
    }

    /// What is shown is what the server has.
    fn agrees(&self) {
        let shown = self.book.look(&self.owner, |state| state.shown.view()).unwrap();
        assert_eq!(shown, self.server.view());
        assert_eq!(self.request(), [], "nothing waits");
    }
}

fn number(last: u8) -> Edit {
    Edit::Phone(Phone::parse(&format!("09000000{last:02}")))
}

fn note() -> Edit {
    Edit::Note(Seq(3), Text::parse("Hỏi lại"))
}

fn petition() -> Edit {
    let (subject, text) = (Line::parse("Thẻ").unwrap(), Text::parse("Sai ngày sinh").unwrap());
    let petition = Petition { kind: PetitionKind::Request, subject, text };
    Edit::HandIn { id: EntryId([4; 16]), at: NOW, petition }
}

#[test]
fn an_edit_that_was_thrown_away_under_way_and_is_taken_comes_back_and_others_build_on_it() {
    let mut desk = Desk::new();
    let id = desk.edit(number(1));
    let under_way = desk.request();
    assert!(desk.book.discard(&desk.owner, id, NOW).unwrap());
    let answer = desk.accept(&under_way);
    desk.take(&under_way, &answer);
    desk.agrees();
    let news = desk.other(&number(2));
    desk.take(&[], &news);
    desk.agrees();
}

#[test]
fn a_petition_that_was_made_again_while_it_was_under_way_keeps_its_receipt() {
    let mut desk = Desk::new();
    let (first, _) = (desk.edit(note()), desk.edit(petition()));
    let under_way = desk.request();
    assert!(desk.book.discard(&desk.owner, first, NOW).unwrap(), "what stands behind it is made again");
    let answer = desk.accept(&under_way);
    desk.take(&under_way, &answer);
    desk.agrees();
    let receipts = desk.book.receipts(&desk.owner).unwrap();
    let kept: Vec<_> = receipts.iter().filter(|(_, receipt)| is_petition(&receipt.edit)).collect();
    assert_eq!((kept.len(), kept[0].1.id), (1, under_way[1].id), "as it was handed in");
}

#[test]
fn a_restored_server_is_given_what_it_forgot_and_nothing_that_an_earlier_document_had() {
    let mut desk = Desk::new();
    desk.edit(number(1));
    let first = desk.request();
    let answer = desk.accept(&first);
    desk.take(&first, &answer);
    desk.server = desk.server.rebuild();
    let whole = desk.whole();
    desk.take(&[], &whole);
    let other = desk.other(&number(2));
    desk.take(&[], &other);
    let backup = desk.server.clone();
    desk.edit(note());
    let second = desk.request();
    let answer = desk.accept(&second);
    desk.take(&second, &answer);
    desk.agrees();

    desk.server = backup;
    let whole = desk.whole();
    desk.take(&[], &whole);
    let again = desk.request();
    assert_eq!(again.len(), 1, "the note alone");
    let answer = desk.accept(&again);
    desk.take(&again, &answer);
    desk.agrees();
    let phone = desk.server.view().phone.unwrap();
    assert_eq!(phone.value.as_str(), "0900000002", "the other's number stands");
}
