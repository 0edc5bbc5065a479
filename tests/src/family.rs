//! A family's machines with one personal document between them and the server: each edits while it is away, hands in what
//! it has when it meets the server, and takes what it lacks. What a phone's outbox does, without network or disk.
//!
//! Promises, checked by [`Family::check`]: after everybody has met the server everybody shows the same; each field shows
//! what somebody wrote to it last, and what one machine alone writes to it is exactly that.

use std::collections::BTreeMap;

use bhyt_core::ids::{FullName, MemberId};
use bhyt_core::keys::KeyId;
use bhyt_core::personal::document::{PersonalDocument, change_hash};
use bhyt_core::personal::edit::Edit;
use bhyt_core::personal::guard::Refusal;
use bhyt_core::personal::ids::{ActorId, EntryId, Writer};
use bhyt_core::personal::values::{
    Address, Answer, ContactPerson, DeskLabel, Email, Line, Petition, PetitionKind, PetitionState, Phone,
    ProvinceCode, Text, WardCode,
};
use bhyt_core::record::Seq;
use bhyt_core::time::UnixSeconds;

use crate::dice::Dice;

/// The server and the machines.
#[derive(Clone, Debug)]
pub struct Family {
    /// As the server has it.
    pub server: PersonalDocument,
    machines: Vec<Machine>,
    rebuilds: u32,
    refused: u32,
}

#[derive(Clone, Debug)]
struct Machine {
    actor: ActorId,
    writer: Writer,
    document: PersonalDocument,
    waiting: Vec<(Edit, Vec<u8>)>,
    /// The last note on each record that this machine wrote.
    notes: BTreeMap<Seq, Option<Text>>,
    phone: Option<Phone>,
}

impl Family {
    /// Two phones, and a desk as the last.
    pub fn new() -> Self {
        let member = MemberId([9; 16]);
        let machine = |n: u8, writer| Machine {
            actor: ActorId::new(KeyId([n; 8]), [n; 8]),
            writer,
            document: PersonalDocument::begin(member),
            waiting: Vec::new(),
            notes: BTreeMap::new(),
            phone: None,
        };
        let machines = vec![machine(1, Writer::Device), machine(2, Writer::Device), machine(3, Writer::Desk)];
        Self { server: PersonalDocument::begin(member), machines, rebuilds: 0, refused: 0 }
    }

    /// How many machines there are.
    pub fn size(&self) -> usize {
        self.machines.len()
    }

    /// How often the document began anew.
    pub fn rebuilds(&self) -> u32 {
        self.rebuilds
    }

    /// How many edits the server refused for good.
    pub fn refused(&self) -> u32 {
        self.refused
    }

    /// The document on one machine.
    pub fn document(&self, which: usize) -> &PersonalDocument {
        &self.machine(which).document
    }

    /// One edit on one machine, which may be away. Says whether it changed anything; an edit that the document does not
    /// take there is not made.
    pub fn edit(&mut self, which: usize, edit: Edit) -> bool {
        let machine = self.machines.get_mut(which).expect("one of the machines");
        let Ok(Some(change)) = machine.document.edit(&edit, machine.actor, machine.writer) else {
            return false;
        };
        match &edit {
            Edit::Note(record, text) => {
                machine.notes.insert(*record, text.clone());
            }
            Edit::Phone(phone) => machine.phone.clone_from(phone),
            _ => {}
        }
        machine.waiting.push((edit, change));
        true
    }

    /// One machine meets the server: hands in, and takes what it lacks.
    ///
    /// # Panics
    /// When a change that the machine made is refused for another reason than that somebody else was there first.
    pub fn meet(&mut self, which: usize) {
        let machine = self.machines.get_mut(which).expect("one of the machines");
        loop {
            if machine.document.generation() != self.server.generation() {
                machine.follow(&self.server);
            }
            let Some((edit, change)) = machine.waiting.first() else { break };
            match self.server.admit(change, machine.actor, machine.writer) {
                Ok(after) => {
                    self.server = after;
                    machine.waiting.remove(0);
                }
                Err(Refusal::HistoryFull) => {
                    self.server = self.server.rebuild();
                    self.rebuilds += 1;
                }
                Err(Refusal::Final | Refusal::DocumentFull) => {
                    self.refused += 1;
                    machine.drop_first();
                }
                Err(refusal) => panic!("{refusal:?} of {edit:?}"),
            }
        }
        machine.take(&self.server);
        if self.server.wants_rebuild() {
            self.server = self.server.rebuild();
            self.rebuilds += 1;
        }
    }

    /// Everybody meets the server until nobody learns anything new; then everybody shows the same, and what was written.
    ///
    /// # Panics
    /// When that is not so.
    pub fn check(&mut self) {
        for _ in 0..2 {
            (0..self.size()).for_each(|which| self.meet(which));
        }
        let view = self.server.view();
        for machine in &mut self.machines {
            machine.follow(&self.server);
            assert_eq!(machine.document.view(), view);
        }
        let loaded = PersonalDocument::load(&self.server.save()).expect("what was saved");
        assert_eq!(loaded.view(), view);
        for record in self.machines.iter().flat_map(|machine| machine.notes.keys()) {
            let shown = view.notes.get(record).map(|note| &note.value);
            let last = |machine: &Machine| machine.notes.get(record).cloned();
            let written: Vec<_> = self.machines.iter().filter_map(last).collect();
            assert!(
                written.iter().any(|text| text.as_ref() == shown),
                "{record:?} shows what nobody wrote last"
            );
        }
    }

    /// An edit that a machine of its kind makes, on one of few enough fields that machines meet in them.
    pub fn chance_edit(&self, which: usize, dice: &mut Dice) -> Edit {
        let machine = self.machine(which);
        let id = EntryId([dice.below(12) as u8; 16]);
        let at = UnixSeconds(1_780_000_000 + dice.below(1 << 24));
        match (machine.writer, dice.below(20)) {
            (_, 0..=2) => Edit::Phone(known(Phone::parse(&format!("09{:08}", dice.below(100_000_000))))),
            (_, 3) => Edit::Email(Email::parse(&format!("ho.{}@vd.vn", dice.below(1_000)))),
            (_, 4) => Edit::Address(Some(address(dice))),
            (_, 5) => Edit::ContactPerson(Some(person(dice))),
            (Writer::Desk, _) => {
                let state = *dice.pick(&[
                    PetitionState::Received,
                    PetitionState::InProgress,
                    PetitionState::Answered,
                ]);
                let desk = must(DeskLabel::parse("BHXH cơ sở 99"));
                let answer = Answer { state, at, desk, text: Some(text(dice, 12)) };
                Edit::Answer { petition: id, id: EntryId([dice.below(4) as u8; 16]), answer }
            }
            (Writer::Device, 6) => Edit::Note(record(dice, which), None),
            (Writer::Device, 7..=12) => Edit::Note(record(dice, which), Some(text(dice, 16))),
            (Writer::Device, 13) => Edit::AddReminder { id, text: line(dice), due: at },
            (Writer::Device, 14) => Edit::ReminderDone(id, dice.once_in(2)),
            (Writer::Device, 15) => Edit::ReminderText(id, line(dice)),
            (Writer::Device, 16) => Edit::RemoveReminder(id),
            (Writer::Device, 17) => Edit::Draft(id, None),
            (Writer::Device, 18) if dice.once_in(4) => Edit::HandIn { id, at, petition: petition(dice) },
            (Writer::Device, _) => Edit::Draft(id, Some(petition(dice))),
        }
    }

    fn machine(&self, which: usize) -> &Machine {
        self.machines.get(which).expect("one of the machines")
    }
}

impl Default for Family {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// Takes the server's document, and makes the edits that wait again on it.
    fn follow(&mut self, server: &PersonalDocument) {
        self.document = PersonalDocument::load(&server.save()).expect("the server's document");
        self.make_again();
    }

    /// The first edit was refused for good: without it, and the others once more.
    fn drop_first(&mut self) {
        let (_, change) = self.waiting.remove(0);
        self.document = self.document.without(change_hash(&change).expect("a change of ours"));
        self.make_again();
    }

    fn make_again(&mut self) {
        for (edit, _) in std::mem::take(&mut self.waiting) {
            // What the server has meanwhile, or does not take any more, is not made again.
            if let Ok(Some(change)) = self.document.edit(&edit, self.actor, self.writer) {
                self.waiting.push((edit, change));
            }
        }
    }

    fn take(&mut self, server: &PersonalDocument) {
        let lacking = server.changes_since(&self.document.heads()).expect("everything was handed in");
        self.document.apply(lacking.into_iter()).expect("changes of the server");
    }
}

/// Records of its own for each machine, and some that they share.
fn record(dice: &mut Dice, which: usize) -> Seq {
    let shared = dice.once_in(4);
    Seq(if shared { dice.below(5) } else { 10 + 3 * dice.below(16) + which as u64 })
}

fn address(dice: &mut Dice) -> Address {
    let province = must(ProvinceCode::parse("99"));
    let ward = must(WardCode::parse(&format!("99{:03}", dice.below(1_000))));
    Address { province, ward, street: Some(line(dice)) }
}

fn person(dice: &mut Dice) -> ContactPerson {
    let name = must(FullName::parse(dice.pick::<&str>(&["Nguyễn Văn Mẫu", "Trần Thị Thử"])));
    ContactPerson { name, phone: must(Phone::parse(&format!("09{:08}", dice.below(100_000_000)))) }
}

fn petition(dice: &mut Dice) -> Petition {
    let kind = *dice.pick(&[
        PetitionKind::Question,
        PetitionKind::Dispute(Seq(4)),
        PetitionKind::Correction(Seq(7)),
    ]);
    Petition { kind, subject: line(dice), text: text(dice, 40) }
}

fn line(dice: &mut Dice) -> Line {
    must(Line::parse(&words(dice, 5)))
}

fn text(dice: &mut Dice, at_most: u64) -> Text {
    must(Text::parse(&words(dice, at_most)))
}

fn words(dice: &mut Dice, at_most: u64) -> String {
    let count = 1 + dice.below(at_most);
    let words: Vec<&str> = (0..count).map(|_| *dice.pick(WORDS)).collect();
    format!("{} {}", words.join(" "), dice.below(1_000))
}

fn known<T>(value: Option<T>) -> Option<T> {
    Some(must(value))
}

fn must<T>(value: Option<T>) -> T {
    value.expect("a well-formed value")
}

const WORDS: &[&str] = &[
    "khám", "bệnh", "viện", "thuốc", "tháng", "đóng", "bảo", "hiểm", "y", "tế", "thẻ", "hẹn", "ngày", "đơn",
    "vị", "chưa", "đúng", "xem", "lại", "giấy", "chuyển", "tuyến", "lượt", "trả", "lời", "đề", "nghị",
    "điều", "chỉnh", "sổ",
];
