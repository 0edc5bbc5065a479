//! How the demo prints: headings, verdicts with their words, the table at the end.

use std::io::{self, Write};

use bhyt_core::card::CardClaims;
use bhyt_core::verdict::{Accept, Holder, Outcome, Verdict};
use bhyt_core::words::{advice, card_rows, headline, reason};

use super::scenes::Scene;

/// A step that was taken.
pub(super) fn step(out: &mut impl Write, vi: &str, en: &str) -> io::Result<()> {
    writeln!(out, "\n\x1b[1m▸ {vi}\x1b[0m\n  {en}")
}

/// A card as the member sees it.
pub(super) fn card(out: &mut impl Write, card: &CardClaims) -> io::Result<()> {
    let rows = card_rows(card);
    let width = rows.iter().map(|(label, _)| label.vi.chars().count()).max().unwrap_or(0);
    for (label, value) in rows {
        let gap = " ".repeat(width - label.vi.chars().count());
        writeln!(out, "    {}{gap}  {value}", label.vi)?;
    }
    Ok(())
}

/// One scene: what is shown to the terminal, and its answer.
pub(super) fn scene(out: &mut impl Write, scene: &Scene) -> io::Result<()> {
    writeln!(out, "\n\x1b[1m▸ {}\x1b[0m\n  {}", scene.vi, scene.en)?;
    let verdict = &scene.verdict;
    let (title, why, next) = (headline(verdict), reason(verdict), advice(verdict));
    let code = verdict.portal_code();
    writeln!(out, "    {} {} · {code:03} \x1b[0m  {}", colour(verdict), title.vi, title.en)?;
    writeln!(out, "    {}  {}", why.vi, next.vi)?;
    writeln!(out, "    {}  {}", why.en, next.en)?;
    if !scene.is_as_expected() {
        writeln!(out, "    \x1b[31mNOT AS EXPECTED: {}\x1b[0m", scene.expected)?;
    }
    Ok(())
}

/// All scenes, a line each.
pub(super) fn summary(out: &mut impl Write, scenes: &[Scene]) -> io::Result<()> {
    writeln!(out, "\n{:26}{:46}as expected", "presentation", "verdict")?;
    for scene in scenes {
        let mark = if scene.is_as_expected() { "yes" } else { "NO" };
        writeln!(out, "{:26}{:46}{mark}", scene.name, scene.answer())?;
    }
    let good = scenes.iter().filter(|scene| scene.is_as_expected()).count();
    writeln!(out, "\n{good} of {} verdicts as expected", scenes.len())
}

fn colour(verdict: &Verdict) -> &'static str {
    match verdict.outcome() {
        Outcome::Accept(Accept { holder: Holder::Proven(_), .. }) => "\x1b[30;42m",
        // Half green, half amber: the card is good, the holder is to be compared.
        Outcome::Accept(_) => "\x1b[30;42m  \x1b[30;43m",
        Outcome::Reject(_) => "\x1b[97;41m",
        Outcome::Undecided(_) => "\x1b[30;43m",
    }
}
