//! What happens in the demo, in order.

use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use bhyt_core::ids::MemberId;
use bhyt_core::presentation::Presentation;
use bhyt_core::sync::admin::{AdminCommand, CardChange, CardRow};
use bhyt_core::verdict::{AcceptNote, Holder, Outcome, Verdict};
use bhyt_platform::clock::{Clock, ManualClock, SystemClock};
use bhyt_sdk::{Activation, Config, Enrolment, QrMatrix, Terminal, Wallet};

use super::show;
use crate::operator::{Operator, card_row};
use crate::server::{RunningServer, ServerFolder, any_port, block_on};

/// One presentation and the terminal's answer.
#[derive(Debug)]
pub struct Scene {
    /// Short name.
    pub name: &'static str,
    /// What is shown, in Vietnamese.
    pub vi: &'static str,
    /// What is shown, in English.
    pub en: &'static str,
    /// The answer that the scene must get, as [`Scene::answer`] writes it.
    pub expected: &'static str,
    /// The answer.
    pub verdict: Verdict,
}

impl Scene {
    /// The verdict in a line: outcome, reason or holder, note, portal code.
    pub fn answer(&self) -> String {
        let said = match self.verdict.outcome() {
            Outcome::Accept(accept) => {
                let holder = match accept.holder {
                    Holder::Proven(_) => "proven".to_owned(),
                    Holder::Unproven(reason) => format!("unproven ({})", reason.name()),
                };
                let note = accept.note.map(AcceptNote::name).map(|note| format!(", {note}"));
                format!("accept, {holder}{}", note.unwrap_or_default())
            }
            Outcome::Reject(reason) => format!("reject, {}", reason.name()),
            Outcome::Undecided(reason) => format!("undecided, {}", reason.name()),
        };
        format!("{said}, {:03}", self.verdict.portal_code())
    }

    /// Whether the answer is the expected one.
    pub fn is_as_expected(&self) -> bool {
        self.answer() == self.expected
    }
}

/// A phone and the member on it.
struct Phone {
    wallet: Wallet,
    member: MemberId,
}

impl Phone {
    fn live(&self) -> String {
        self.wallet.live_text(self.member).expect("a live code")
    }

    fn printed(&self) -> String {
        self.wallet.printed_text(self.member).expect("a card")
    }
}

/// Everybody in place: the server runs, phones and terminal are up to date.
pub(super) struct Stage {
    server_folder: ServerFolder,
    server: RunningServer,
    phones: [Phone; 3],
    old_card: String,
    terminal: Terminal,
    clock: Arc<ManualClock>,
    scenes: Vec<Scene>,
    _data: tempfile::TempDir,
}

/// Issues the cards, activates the phones, enrols the terminal.
pub(super) fn prepare(out: &mut impl Write) -> io::Result<Stage> {
    let server_folder = ServerFolder::make();
    let server = server_folder.start(any_port());
    show::step(out, "Máy chủ đã chạy", "The server runs: keys made, trust bundle signed by the root keys.")?;
    let data = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let (folder, now) = (data.path().to_owned(), clock.clone());
    let world = World { server: &server_folder, address: server.address(), folder, clock: now };
    let (phones, old_card, terminal) = block_on(world.settle());
    show::step(
        out,
        "Ba người tham gia, bốn thẻ; ba điện thoại và một máy ở trạm y tế đã đồng bộ qua QUIC",
        "Three members, four cards; three phones and a clinic's terminal have synced over QUIC.",
    )?;
    let scenes = Vec::new();
    Ok(Stage { server_folder, server, phones, old_card, terminal, clock, scenes, _data: data })
}

/// While there is a network.
struct World<'a> {
    server: &'a ServerFolder,
    address: SocketAddr,
    folder: PathBuf,
    clock: Arc<ManualClock>,
}

impl World<'_> {
    async fn settle(&self) -> ([Phone; 3], String, Terminal) {
        let operator = self.operator().await;
        let today = self.clock.now().day();
        let (yesterday, start) = (today.plus_days(-1).iso(), today.plus_days(-300).iso());
        for ((member, name), (number, to)) in
            MEMBERS.into_iter().zip(CARDS.into_iter().zip(["", "", &yesterday]))
        {
            operator.register(member, name).await;
            operator.issue(card_row(member, number, &start, to)).await;
        }
        let [first, second, third] = MEMBERS.map(|(member, _)| member);
        let phones = [
            self.activate(&operator, first).await,
            self.activate(&operator, second).await,
            self.activate(&operator, third).await,
        ];
        // The first member gets a new card; a picture of the old one stays, and the phone is brought up to date.
        let old_card = phones[0].printed();
        let row = CardRow { number: NEW_CARD.into(), level: "2".into(), ..CardRow::default() };
        let replace = AdminCommand::ReplaceCard { number: CARDS[0].into(), row };
        operator.send(replace).await.expect("replaced");
        phones[0].wallet.sync().await.expect("synced");
        let terminal = self.enrol(&operator).await;
        (phones, old_card, terminal)
    }

    async fn operator(&self) -> Operator {
        Operator::connect(self.address, self.server.trust(), &self.server.report().operator_key).await
    }

    async fn activate(&self, operator: &Operator, member: &str) -> Phone {
        let config = Config::new(&self.folder.join(member)).with_clock(self.clock.clone());
        let wallet = Wallet::open(config).expect("a wallet");
        let code = operator.device_code(member).await;
        let (server, trust) = (self.address.to_string(), self.server.trust_bytes());
        let member = wallet.activate(Activation { server, trust, alias: member.into(), code }).await;
        Phone { wallet, member: member.expect("activated") }
    }

    async fn enrol(&self, operator: &Operator) -> Terminal {
        let config = Config::new(&self.folder.join("desk")).with_clock(self.clock.clone());
        let terminal = Terminal::open(config).expect("a terminal");
        let token = operator.terminal_token("99024").await;
        let (server, trust) = (self.address.to_string(), self.server.trust_bytes());
        terminal.enrol(Enrolment { server, trust, token }).await.expect("enrolled");
        terminal.sync().await.expect("synced");
        terminal
    }
}

impl Stage {
    /// The network goes; the QR is drawn; the terminal judges.
    pub(super) fn play(mut self, out: &mut impl Write) -> io::Result<Vec<Scene>> {
        let address = self.server.address();
        self.server.stop_now();
        let gone = UdpSocket::bind(address).is_ok();
        assert!(gone, "the server's port is free");
        show::step(
            out,
            "Mất mạng: máy chủ và cổng của nó không còn",
            "The network is gone: no server, no socket.",
        )?;

        let live = self.draw(out)?;
        self.judge(out, LIVE, &live)?;
        let printed = self.phones[0].printed();
        self.judge(out, PRINTED, &printed)?;
        self.judge(out, FORGED, &forge(&live))?;
        let expired = self.phones[2].printed();
        self.judge(out, EXPIRED, &expired)?;
        let old_card = self.old_card.clone();
        self.judge(out, SUPERSEDED, &old_card)?;
        let second = self.phones[1].live();
        self.judge(out, NOT_YET_KNOWN, &second)?;

        self.withdraw_second_card(out, address)?;
        let second = self.phones[1].live();
        self.judge(out, WITHDRAWN, &second)?;

        let picture = self.phones[0].live();
        self.clock.set(self.clock.now().plus(600));
        self.judge(out, SCREENSHOT, &picture)?;
        Ok(self.scenes)
    }

    /// What the first phone shows without a network.
    fn draw(&self, out: &mut impl Write) -> io::Result<String> {
        show::step(
            out,
            "Điện thoại vẫn hiện thẻ và mã QR trực tiếp",
            "The phone still shows the card and a live QR.",
        )?;
        let [Phone { wallet, member }, ..] = &self.phones;
        for card in wallet.cards(*member).iter().filter(|card| card.claims.number.as_str() == NEW_CARD) {
            show::card(out, &card.claims)?;
        }
        let text = self.phones[0].live();
        let code = QrMatrix::for_screen(&text).expect("a code");
        let (length, version) = (text.len(), code.version());
        writeln!(out, "\n{}", bhyt_wallet::draw_terminal(&code))?;
        writeln!(
            out,
            "    {length} ký tự, QR phiên bản {version} / {length} characters, QR version {version}"
        )?;
        Ok(text)
    }

    fn judge(&mut self, out: &mut impl Write, told: Told, text: &str) -> io::Result<()> {
        let verdict = self.terminal.verify_text(text).expect("a verdict");
        // The answer comes first; what it is to be remembered by is durable a moment later.
        assert!(self.terminal.flush(), "remembered");
        let Told { name, vi, en, expected } = told;
        let scene = Scene { name, vi, en, expected, verdict };
        show::scene(out, &scene)?;
        self.scenes.push(scene);
        Ok(())
    }

    /// The server comes back on its old address for as long as one change and one sync take.
    fn withdraw_second_card(&self, out: &mut impl Write, address: SocketAddr) -> io::Result<()> {
        let back = self.server_folder.start(address);
        block_on(async {
            let (trust, key) = (self.server_folder.trust(), &self.server_folder.report().operator_key);
            let operator = Operator::connect(back.address(), trust, key).await;
            let change = AdminCommand::ChangeCard { number: CARDS[1].into(), change: CardChange::Withdraw };
            operator.send(change).await.expect("withdrawn");
            self.terminal.sync().await.expect("synced");
        });
        back.stop();
        show::step(
            out,
            "Mạng trở lại trong chốc lát: thẻ thứ hai bị thu hồi, máy ở trạm đồng bộ một lần",
            "The network was back for a moment: the second card was withdrawn, the terminal synced once.",
        )
    }
}

/// The same card with a better benefit level: one byte of what the issuer signed is changed.
fn forge(text: &str) -> String {
    let presentation = Presentation::decode_text(text).expect("our own code");
    let mut card = presentation.card_bytes().to_vec();
    let at = card.windows(2).position(|bytes| bytes == [0x08, 0x02]).expect("level 2 stands there");
    card.splice(at..at + 2, [0x08, 0x01]);
    Presentation::new(card, presentation.proof().cloned()).encode_text()
}

struct Told {
    name: &'static str,
    vi: &'static str,
    en: &'static str,
    expected: &'static str,
}

const MEMBERS: [(&str, &str); 3] =
    [("9900000017", "Nguyễn Thị Thử"), ("9900000025", "Trần Văn Mẫu"), ("9900000033", "Lê Hoàng Ví Dụ")];
const CARDS: [&str; 3] = ["DN4999900000017", "GD4999900000025", "HS4999900000033"];
const NEW_CARD: &str = "HT2999900000017";

const LIVE: Told = Told {
    name: "live",
    vi: "Mã trực tiếp từ điện thoại của người bệnh",
    en: "A live code from the patient's phone",
    expected: "accept, proven, 000",
};
const PRINTED: Told = Told {
    name: "printed",
    vi: "Cùng thẻ ấy in trên giấy",
    en: "The same card, printed on paper",
    expected: "accept, unproven (no_proof), 000",
};
const FORGED: Told = Told {
    name: "forged",
    vi: "Thẻ giả: sửa mức hưởng từ 2 thành 1",
    en: "A forged card: benefit level 2 changed to 1",
    expected: "reject, bad_signature, 050",
};
const EXPIRED: Told = Told {
    name: "expired",
    vi: "Thẻ hết hạn hôm qua",
    en: "A card that ended yesterday",
    expected: "reject, expired, 010",
};
const SUPERSEDED: Told = Told {
    name: "superseded",
    vi: "Thẻ cũ, còn hạn, đã được thay bằng thẻ mới mà máy này đã thấy",
    en: "The old card, in its dates, replaced by the new one that this terminal has seen",
    expected: "accept, unproven (no_proof), superseded, 004",
};
const NOT_YET_KNOWN: Told = Told {
    name: "another, before",
    vi: "Thẻ thứ hai, khi chưa bị thu hồi",
    en: "The second card, before it is withdrawn",
    expected: "accept, proven, 000",
};
const WITHDRAWN: Told = Told {
    name: "withdrawn",
    vi: "Thẻ thứ hai, sau một lần đồng bộ",
    en: "The second card, after one more sync",
    expected: "reject, withdrawn, 110",
};
const SCREENSHOT: Told = Told {
    name: "screenshot",
    vi: "Ảnh chụp màn hình từ mười phút trước",
    en: "A screenshot from ten minutes ago",
    expected: "accept, unproven (proof_stale), 000",
};
