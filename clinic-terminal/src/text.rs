//! What the program prints for people: Vietnamese, and English below it.

use std::fmt::Write as _;

use bhyt_core::verdict::{Accept, Holder, Outcome, Verdict};
use bhyt_core::words::{Words, advice, card_rows, freshness, headline, reason};
use bhyt_sdk::{Event, Problem, SyncReport, TerminalStatus};

use crate::run::Colours;

/// A verdict: colour and headline, why, what to do, and the card.
pub(crate) fn verdict(verdict: &Verdict, colours: Colours) -> String {
    let title = headline(verdict);
    let mut lines = vec![reason(verdict), advice(verdict)];
    lines.extend(freshness(verdict));
    let code = verdict.portal_code();
    let mut text = format!("{}\n", paint(verdict.outcome(), &format!(" {} · {code:03} ", title.vi), colours));
    let rows = verdict.card().map(card_rows).unwrap_or_default();
    write_block(&mut text, &lines, &rows, |words| &words.vi);
    // Writing into a String does not fail.
    let _ = writeln!(text, "\n {}", title.en);
    write_block(&mut text, &lines, &rows, |words| &words.en);
    text
}

/// What a terminal answers from, in both languages.
pub(crate) fn status(status: &TerminalStatus) -> String {
    let none = || words("chưa có", "none yet");
    let mut rows: Vec<(Words, Words)> = Vec::new();
    let facility = status.facility.as_ref().map(|facility| same(facility.as_str()));
    rows.push((words("Cơ sở KCB", "Facility"), facility.unwrap_or_else(none)));
    if let Some(id) = status.id {
        rows.push((words("Mã máy", "Terminal id"), same(&id.to_string())));
    }
    rows.push((words("Máy chủ", "Server"), status.server.as_deref().map(same).unwrap_or_else(none)));
    rows.push((
        words("Danh sách trạng thái lúc", "Status list of"),
        status.status_time.map(|time| same(&time.display_local())).unwrap_or_else(none),
    ));
    if let Some(age) = status.status_age_seconds {
        let (days, hours) = (age / 86_400, age % 86_400 / 3_600);
        rows.push((
            words("Tuổi danh sách", "Age of the list"),
            words(&format!("{days} ngày {hours} giờ"), &format!("{days} day(s) {hours} hour(s)")),
        ));
    }
    rows.push((
        words("Danh sách khóa đến", "Trust bundle until"),
        status.trust_expires.map(|time| same(&time.display_local())).unwrap_or_else(none),
    ));
    rows.push((
        words("Đồng bộ lần cuối", "Last sync"),
        status.last_success.map(|time| same(&time.display_local())).unwrap_or_else(none),
    ));
    if let Some(behind) = status.clock_behind_seconds {
        rows.push((
            words("Đồng hồ máy này", "This terminal's clock"),
            words(&format!("chậm {behind} giây; hãy chỉnh lại"), &format!("{behind} s behind; set it")),
        ));
    }
    if let Some(problem) = status.problem {
        rows.push((words("Vấn đề", "Problem"), problem_words(problem)));
    }
    let block = |title: &str, side: fn(&Words) -> &str| {
        let rows = rows.iter().map(|(label, value)| (side(label), side(value).to_owned()));
        format!("{title}\n{}", table(rows.collect()))
    };
    let vi = block("TÌNH TRẠNG", |words| &words.vi);
    format!("{vi}\n{}", block("STATUS", |words| &words.en))
}

/// What a sync brought.
pub(crate) fn report(report: SyncReport) -> String {
    match report.changes {
        0 => "Đã cập nhật, không có gì mới.\nUp to date, nothing new.\n".to_owned(),
        changes => {
            format!("Đã cập nhật: {changes} thay đổi.\nUp to date: {changes} change(s).\n")
        }
    }
}

/// What happened, while connected; `None` for what only programs want to know.
pub(crate) fn event(event: Event) -> Option<String> {
    let line = match event {
        Event::UpToDate => words("Đã kết nối, dữ liệu mới nhất.", "Connected, up to date."),
        Event::StatusChanged { .. } => words("Có danh sách trạng thái mới.", "New status list."),
        Event::TrustChanged { .. } => words("Có danh sách khóa mới.", "New trust bundle."),
        Event::Disconnected { problem, retry_in } => {
            let mut line = problem_words(problem);
            if let Some(wait) = retry_in.map(|wait| wait.as_secs()) {
                // Writing into a String does not fail.
                let _ = write!(line.vi, " Thử lại sau {wait} giây.");
                let _ = write!(line.en, " Trying again in {wait} s.");
            }
            line
        }
        _ => return None,
    };
    Some(format!("{}\n{}\n", line.vi, line.en))
}

fn write_block(text: &mut String, lines: &[Words], rows: &[(Words, String)], side: fn(&Words) -> &str) {
    for line in lines {
        // Writing into a String does not fail.
        let _ = writeln!(text, " {}", side(line));
    }
    let rows = rows.iter().map(|(label, value)| (side(label), value.clone()));
    text.push_str(&table(rows.collect()));
}

fn table(rows: Vec<(&str, String)>) -> String {
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (label, value) in rows {
        // Writing into a String does not fail.
        let _ = writeln!(text, "   {label:width$}  {value}");
    }
    text
}

/// Black on green, white on red, black on yellow. All green only where the holder is proven: what is still to be done
/// about a good card stands on amber, behind the green.
fn paint(outcome: Outcome, title: &str, colours: Colours) -> String {
    let escape = match outcome {
        _ if colours == Colours::None => return title.to_owned(),
        Outcome::Accept(Accept { holder: Holder::Proven(_), .. }) => GREEN,
        Outcome::Accept(_) => {
            let (good, to_do) = title.find('–').map_or(("  ", title), |dash| title.split_at(dash));
            return format!("{GREEN}{good}{AMBER}{to_do}{PLAIN}");
        }
        Outcome::Reject(_) => "\u{1b}[1;38;5;231;48;5;160m",
        Outcome::Undecided(_) => "\u{1b}[1;38;5;16;48;5;220m",
    };
    format!("{escape}{title}{PLAIN}")
}

fn problem_words(problem: Problem) -> Words {
    match problem {
        Problem::Offline => words("Không kết nối được máy chủ.", "The server cannot be reached."),
        Problem::Retired => {
            words("Máy này đã bị ngừng; cần đăng ký lại.", "This terminal was retired; enrol it again.")
        }
        Problem::Refused => words("Máy chủ từ chối.", "The server refused."),
        Problem::NotActivated => words("Chưa đăng ký.", "Not enrolled."),
        Problem::UpdateApp => words("Cần cập nhật phần mềm.", "Update this program."),
        Problem::System => words("Lỗi bộ nhớ hoặc hệ thống.", "Disk or system failed."),
        Problem::Locked => words("Khóa không dùng được.", "A key cannot be used."),
        Problem::Untrusted => words("Máy chủ không đáng tin.", "The server is not the one we trust."),
    }
}

fn words(vi: &str, en: &str) -> Words {
    Words { vi: vi.to_owned(), en: en.to_owned() }
}

fn same(text: &str) -> Words {
    words(text, text)
}

const GREEN: &str = "\u{1b}[1;38;5;16;48;5;40m";
const AMBER: &str = "\u{1b}[1;38;5;16;48;5;214m";
const PLAIN: &str = "\u{1b}[0m";

#[cfg(test)]
mod tests {
    use super::*;
    use bhyt_core::verdict::{Basis, Freshness, RejectReason, UndecidedReason, UnprovenReason};

    #[test]
    fn only_a_proven_holder_is_green_throughout() {
        let check = |outcome: Outcome, title: &str, painted: &str| {
            let found = paint(outcome, title, Colours::Ansi);
            assert_eq!(found.replace("\u{1b}[1;38;5;16;48;5;", "<").replace(PLAIN, ">"), painted);
            assert_eq!(paint(outcome, title, Colours::None), title);
        };
        let accept = |holder| Outcome::Accept(Accept { holder, freshness: Freshness::Fresh, note: None });
        check(accept(Holder::Proven(Basis::Clock)), " HỢP LỆ · 000 ", "<40m HỢP LỆ · 000 >");
        check(
            accept(Holder::Unproven(UnprovenReason::NoProof)),
            " HỢP LỆ – ĐỐI CHIẾU GIẤY TỜ · 000 ",
            "<40m HỢP LỆ <214m– ĐỐI CHIẾU GIẤY TỜ · 000 >",
        );
        check(accept(Holder::Unproven(UnprovenReason::NoProof)), "X", "<40m  <214mX>");
        check(Outcome::Undecided(UndecidedReason::Held), "X", "<220mX>");
        let red = paint(Outcome::Reject(RejectReason::Withdrawn), "X", Colours::Ansi);
        assert_eq!(red, "\u{1b}[1;38;5;231;48;5;160mX\u{1b}[0m");
    }
}
