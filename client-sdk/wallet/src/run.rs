//! The program: one command, done or given up at a signal.

use std::future::Future;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bhyt_core::ids::MemberId;
use bhyt_core::limits::TRUST_BYTES_MAX;
use bhyt_core::presentation::Presentation;
use bhyt_core::presentation_key::KeyKind;
use bhyt_core::record::Seq;
use bhyt_core::time::UnixSeconds;
use bhyt_platform::clock::Clock;
use bhyt_platform::files::{FileAccess, read_bounded, write_atomic};
use bhyt_sdk::{Activation, Config, Event, EventListener, LIVE_CODE_LIFE, QrMatrix, SdkError, Wallet};
use serde_json::Value;

use crate::cli::{Cli, Command, Whose};
use crate::draw::{draw_png, draw_svg, draw_terminal};
use crate::exit::WalletError;
use crate::personal_cli::{ContactCommand, PetitionCommand};
use crate::{json, records_json, records_text, text};

/// What the program runs with.
#[derive(Debug)]
pub struct Parts {
    /// What to do.
    pub cli: Cli,
    /// How the wallet is opened.
    pub config: Config,
    /// Where output goes.
    pub out: Output,
}

/// A place for output that events may reach from another thread.
#[derive(Clone)]
pub struct Output(Arc<Mutex<dyn Write + Send>>);

impl Output {
    /// Writes to `out`.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(out)))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(bytes)?;
        out.flush()
    }

    fn line(&self, value: &Value) -> io::Result<()> {
        self.write(format!("{value}\n").as_bytes())
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output(…)")
    }
}

/// Does what the command line asks. A signal (`shutdown`) ends what takes long, cleanly.
///
/// # Errors
/// [`WalletError`], which names its exit code. It has been printed as JSON when that was asked for.
pub async fn run(parts: Parts, shutdown: impl Future<Output = ()>) -> Result<(), WalletError> {
    let Parts { cli, mut config, out } = parts;
    if let Some(kind) = asked_kind(&cli.command) {
        config = config.with_new_presentation_key(kind);
    }
    let clock = config.clock();
    let done = match Wallet::open(config) {
        Ok(wallet) => {
            let program = Program { wallet, clock, out: out.clone(), json: cli.json };
            let done = program.command(cli.command, shutdown).await;
            program.wallet.close().await;
            done
        }
        Err(error) => Err(error.into()),
    };
    if let (Err(error), true) = (&done, cli.json) {
        out.line(&json::error(error))?;
    }
    done
}

pub(crate) struct Program {
    pub(crate) wallet: Wallet,
    pub(crate) clock: Arc<dyn Clock>,
    out: Output,
    json: bool,
}

impl Program {
    async fn command(&self, command: Command, shutdown: impl Future<Output = ()>) -> Result<(), WalletError> {
        match command {
            Command::Activate { server, trust, member, code, presentation_key } => {
                let kind = self.wallet.status().presentation_key;
                if presentation_key.is_some() && presentation_key != kind {
                    return Err(WalletError::OtherKeyKind);
                }
                let trust = read_bounded(&trust, TRUST_BYTES_MAX)?;
                let asked = Activation { server, trust, alias: member, code };
                let member = or_interrupted(self.wallet.activate(asked), shutdown).await?;
                if self.wallet.cards(member).is_empty() {
                    // Activated, and the first sync did not go through: the status says why.
                    return self.show_status();
                }
                self.show_cards(&[member])
            }
            Command::Sync { watch: false } => {
                let report = or_interrupted(self.wallet.sync(), shutdown).await?;
                Ok(self.print(|| text::report(report), || json::report(report))?)
            }
            Command::Sync { watch: true } => self.watch(shutdown).await,
            Command::Card { member } => match member {
                Some(member) => self.show_cards(&[self.named(&member)?]),
                None => self.show_cards(&self.wallet.members()),
            },
            Command::Contributions { whose } => {
                let view = self.wallet.contributions(self.whose(&whose)?)?;
                Ok(self.print(|| records_text::contributions(&view), || records_json::contributions(&view))?)
            }
            Command::Benefits { whose } => {
                let view = self.wallet.benefits(self.whose(&whose)?)?;
                Ok(self.print(|| records_text::benefits(&view), || records_json::benefits(&view))?)
            }
            Command::Visits { year, whose } => {
                let view = self.wallet.visits(self.whose(&whose)?, year)?;
                Ok(self.print(|| records_text::visits(&view), || records_json::visits(&view))?)
            }
            Command::Notices { whose } => {
                let view = self.wallet.notices(self.whose(&whose)?)?;
                Ok(self.print(|| records_text::notices(&view), || records_json::notices(&view))?)
            }
            Command::History { record, whose } => self.show_history(self.whose(&whose)?, Seq(record)),
            Command::Personal { whose } => self.show_personal(&whose),
            Command::Contact(ContactCommand::Set(set)) => self.set_contact(&set),
            Command::Note { record, text, whose } => self.set_note(record, &text, &whose),
            Command::Petition(PetitionCommand::Send(send)) => self.send_petition(&send),
            Command::Outbox { command, whose } => self.outbox(command, &whose),
            Command::Receipts { whose } => self.show_receipts(&whose),
            Command::Status => self.show_status(),
            Command::Qr { print, out, member } => {
                self.show_code(self.whose(&Whose { member })?, print, out.as_deref())
            }
        }
    }

    async fn watch(&self, shutdown: impl Future<Output = ()>) -> Result<(), WalletError> {
        let printer = Printer { out: self.out.clone(), json: self.json };
        self.wallet.watch(Arc::new(printer));
        tokio::select! {
            () = shutdown => Ok(()),
            error = self.wallet.watch_ended() => Err(error.into()),
        }
    }

    fn show_status(&self) -> Result<(), WalletError> {
        let status = self.wallet.status();
        let card = |member| self.wallet.cards(member).into_iter().next().map(|card| card.claims);
        Ok(self.print(|| text::status(&status, card), || json::status(&status, card))?)
    }

    fn show_history(&self, member: MemberId, record: Seq) -> Result<(), WalletError> {
        let revisions = self.wallet.history(member, record)?;
        if revisions.is_empty() {
            return Err(WalletError::UnknownRecord);
        }
        Ok(self.print(|| records_text::history(&revisions), || records_json::history(&revisions))?)
    }

    fn show_cards(&self, members: &[MemberId]) -> Result<(), WalletError> {
        let cards = members
            .iter()
            .flat_map(|member| self.wallet.cards(*member).into_iter().map(move |card| (*member, card)));
        let cards: Vec<_> = cards.collect();
        if cards.is_empty() {
            return Err(SdkError::NotActivated.into());
        }
        if self.json {
            let cards = cards.iter().map(|(member, card)| json::card(*member, card)).collect();
            return Ok(self.out.line(&Value::Array(cards))?);
        }
        let texts: Vec<_> = cards.iter().map(|(_, card)| text::card(card)).collect();
        Ok(self.out.write(texts.join("\n").as_bytes())?)
    }

    fn show_code(&self, member: MemberId, print: bool, out: Option<&Path>) -> Result<(), WalletError> {
        let (text, code) = if print {
            let text = self.wallet.printed_text(member)?;
            let code = QrMatrix::for_paper(&text)?;
            (text, code)
        } else {
            let text = self.wallet.live_text(member)?;
            let code = QrMatrix::for_screen(&text)?;
            (text, code)
        };
        let Some(path) = out else {
            let until = live_until(&text);
            let drawn = || draw_terminal(&code) + &until.map(text::until).unwrap_or_default();
            return Ok(self.print(drawn, || json::code(&text, &code, until))?);
        };
        if path == Path::new("-") {
            return Ok(self.out.write(format!("{text}\n").as_bytes())?);
        }
        let bytes = match path.extension().and_then(|end| end.to_str()) {
            Some("png") => draw_png(&code).map_err(io::Error::from)?,
            Some("svg") => draw_svg(&code).into_bytes(),
            _ => return Err(WalletError::PictureKind),
        };
        // A card is personal: the picture is its owner's alone until they pass it on.
        Ok(write_atomic(path, &bytes, FileAccess::OwnerOnly)?)
    }

    /// The member of this id, or with this mã số BHXH on a card in hand.
    fn named(&self, id: &str) -> Result<MemberId, WalletError> {
        let is_named = |member: &MemberId| match MemberId::from_hex(id) {
            Some(named) => *member == named,
            None => self.wallet.cards(*member).iter().any(|card| card.claims.social_number.as_str() == id),
        };
        self.wallet.members().into_iter().find(is_named).ok_or(WalletError::UnknownMember)
    }

    pub(crate) fn whose(&self, whose: &Whose) -> Result<MemberId, WalletError> {
        whose.member.as_deref().map_or_else(|| self.own_member(), |id| self.named(id))
    }

    /// The only member here, or the only one in their own right: a carer is meant where others are held by grant.
    fn own_member(&self) -> Result<MemberId, WalletError> {
        let mut members = self.wallet.members();
        if members.len() > 1 {
            members.retain(|member| self.wallet.grant(*member).is_none());
            return <[MemberId; 1]>::try_from(members).map(|[own]| own).map_err(|_| WalletError::WhichMember);
        }
        members.pop().ok_or_else(|| SdkError::NotActivated.into())
    }

    pub(crate) fn print(
        &self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> Value,
    ) -> io::Result<()> {
        if self.json { self.out.line(&json()) } else { self.out.write(text().as_bytes()) }
    }
}

/// The kind of presentation key that the command line asks a new phone to draw.
fn asked_kind(command: &Command) -> Option<KeyKind> {
    match command {
        Command::Activate { presentation_key, .. } => *presentation_key,
        _ => None,
    }
}

/// Until when to show a live code; `None` for one without proof.
fn live_until(text: &str) -> Option<UnixSeconds> {
    let presentation = Presentation::decode_text(text).ok()?;
    Some(presentation.proof()?.time.plus(LIVE_CODE_LIFE.as_secs()))
}

/// Prints events as they come.
#[derive(Debug)]
struct Printer {
    out: Output,
    json: bool,
}

impl EventListener for Printer {
    fn on_event(&self, event: Event) {
        let written = if self.json {
            self.out.line(&json::event(event))
        } else {
            text::event(event).map_or(Ok(()), |line| self.out.write(line.as_bytes()))
        };
        if let Err(error) = written {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "event not printed");
        }
    }
}

async fn or_interrupted<T>(
    work: impl Future<Output = Result<T, SdkError>>,
    shutdown: impl Future<Output = ()>,
) -> Result<T, WalletError> {
    tokio::select! {
        done = work => Ok(done?),
        () = shutdown => Err(WalletError::Interrupted),
    }
}
