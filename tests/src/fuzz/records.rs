//! Official records: bodies of every kind, and what becomes of text on its way into one.
//!
//! What is read is written back the same, keeps its source key and is shown without a panic; what a table's text is read as
//! is read from its own writing; lines of a visit come back from its parts.

use std::fmt::Write as _;

use bhyt_core::record::{Body, RecordKind};
use bhyt_core::records::{
    CivilTime, Coefficient, Fact, Lines, Money, Month, Percent, Quantity, Text, UnitPrice, Visit,
};

use super::input::{Input, Script};
use crate::facts;

/// The kind of an input is its first byte.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 8 {
        0 => texts(data),
        7 => parts(data),
        kind => body(RecordKind::from(u16::from(kind)), data),
    }
}

fn body(kind: RecordKind, data: &[u8]) {
    let Ok(body) = Body::new(data.to_vec()) else { return };
    let Ok(fact) = Fact::decode(kind, &body) else { return };
    let again = fact.encode().expect("what was read is not longer");
    assert_eq!(fact.kind(), kind);
    assert!(again.as_bytes().len() < data.len() || again == body, "a record has one form");
    let read = Fact::decode(kind, &again).expect("our own record");
    assert!(read == fact && read.source_key() == fact.source_key(), "a record is read back");
}

/// Text of a table, as every type that it may be.
fn texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    macro_rules! decimals {
        ($($name:ident)*) => {$(
            if let Some(number) = $name::parse(text) {
                assert_eq!($name::parse(&number.plain()), Some(number), "a decimal is read back");
                assert_eq!($name::from_units(number.units()), Some(number));
                let shown = number.to_string().replace('.', "").replace(',', ".");
                assert_eq!($name::parse(&shown), Some(number), "and so is what is shown");
            }
        )*};
    }
    decimals! { Money UnitPrice Quantity Coefficient Percent }
    if let Some(month) = Month::parse(text) {
        assert_eq!(
            (Month::parse(&month.iso()), Month::parse(&month.to_string())),
            (Some(month), Some(month))
        );
    }
    for time in [CivilTime::parse(text), CivilTime::parse_ministry(text)].into_iter().flatten() {
        assert_eq!(CivilTime::parse(&time.iso()), Some(time), "a time is read back");
        assert_eq!(CivilTime::parse(&time.to_string()), Some(time), "and so is what is shown");
    }
    if let Some(line) = Text::<64>::normalise(text) {
        assert_eq!(Text::parse(line.as_str()), Some(line.clone()), "what is normal stays so");
        assert_eq!(Text::shorten(text), Some(line), "and is not shortened");
    }
    if let Some(line) = Text::<64>::shorten(text) {
        assert_eq!(Text::normalise(line.as_str()), Some(line), "shortened text is normal");
    }
    if let Some(lines) = Lines::<64>::normalise(text) {
        assert_eq!(Lines::normalise(lines.as_str()), Some(lines), "lines stay so");
    }
}

/// A visit of drawn lines is split into records that fit, and joined from them in any order.
fn parts(data: &[u8]) {
    let mut input = Input::new(data);
    let mut visit = Visit { lines: Vec::new(), more_parts: None, ..facts::visit() };
    while !input.is_empty() && visit.lines.len() < LINES_MAX {
        let mut line = facts::cost_line();
        let mut name = String::new();
        let (repeats, letter) = (input.short() % 300, char::from(b'a' + input.byte() % 26));
        (0..=repeats).for_each(|_| name.push(letter));
        write!(name, " {}", visit.lines.len()).expect("a String takes it");
        line.name = Text::parse(&name).expect("a short name");
        visit.lines.push(line);
    }
    let lines = visit.lines.clone();
    let (own, mut parts) = visit.split().expect("few lines");
    Fact::Visit(Box::new(own.clone())).encode().expect("a visit that was split fits");
    parts.iter().for_each(|part| {
        Fact::VisitLines(part.clone()).encode().expect("a part fits");
    });
    parts.reverse();
    let joined = own.join(&parts);
    assert!(joined.lines.iter().copied().eq(&lines) && joined.missing_parts == 0);
    if parts.pop().is_some() {
        assert_eq!(own.join(&parts).missing_parts, 1, "a missing part is told");
    }
}

/// One record of each kind, texts of tables, a long visit.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = facts::facts()
        .iter()
        .map(|fact| {
            let kind = u8::try_from(fact.kind().number()).expect("a small number");
            [&[kind], fact.encode().expect("a record of ours").as_bytes()].concat()
        })
        .collect();
    let texts = [
        "5453400.00",
        "-1.25",
        "07/2019",
        "2019-07",
        "202603020815",
        "196000000000",
        "05/03/2026 16:00",
        " Vie\u{302}m  da\u{323}  da\u{300}y ",
    ];
    seeds.extend(texts.map(|text| [&[0], text.as_bytes()].concat()));
    let long = (0..60_u8).fold(Script::new().raw(&[7]), |script, n| script.raw(&[n, 0, n]));
    seeds.push(long.done());
    seeds
}

const LINES_MAX: usize = 200;
