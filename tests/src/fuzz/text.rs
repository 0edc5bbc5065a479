//! What people and their programs write: names, numbers and dates, import files, settings.
//!
//! What is read prints in one form that is read as the same; a file of settings or rows is taken or refused, and a row
//! that was read is one that the server parses or names the field of.

use std::fs;
use std::path::Path;

use bhyt_core::ids::{
    CardNumber, FacilityCode, FullName, LivingArea, MemberId, OperationId, PersonalNumber, SocialNumber,
    from_hex, hex,
};
use bhyt_core::keys::KeyId;
use bhyt_core::limits::{IMPORT_ROWS_MAX, NAME_BYTES_MAX};
use bhyt_core::sync::admin::AdminCommand;
use bhyt_core::time::{BirthDate, Day, UnixSeconds};
use bhyt_server::admin::fuzzing::{read_cards, read_members};
use bhyt_server::config::{CONFIG_TEMPLATE, Config};
use bhyt_server::service::fuzzing::parse_rows;

use super::scratch::scratch;

/// The kind of an input is its first byte.
pub fn run(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => str::from_utf8(data).into_iter().for_each(words),
        1 => settings(data),
        2 => rows(data, read_members),
        _ => rows(data, read_cards),
    }
}

fn words(text: &str) {
    if let Some(day) = Day::parse(text) {
        assert_eq!(Day::parse(&day.iso()), Some(day));
        assert_eq!(Day::parse(&day.to_string()), Some(day), "as people read it");
        assert_eq!(Day::from_days(day.days()), Some(day));
        assert!(day.start() == UnixSeconds(0) || day.start().day() == day);
    }
    if let Some(date) = BirthDate::parse(text) {
        assert_eq!(BirthDate::parse(&date.iso()), Some(date));
        assert_eq!(BirthDate::parse(&date.to_string()), Some(date), "as people read it");
    }
    if let Some(name) = FullName::normalise(text) {
        assert_eq!(FullName::normalise(name.as_str()), Some(name.clone()), "a normal form is normal");
        assert_eq!(FullName::parse(name.as_str()), Some(name.clone()));
        assert!(name.as_str().len() <= NAME_BYTES_MAX);
    }
    assert!(FullName::parse(text).is_none_or(|name| FullName::normalise(text) == Some(name)));
    if let Some(number) = CardNumber::parse(text) {
        assert_eq!(number.as_str(), text);
        assert!(number.social_number().is_none_or(|social| text.ends_with(social.as_str())));
    }
    assert!(SocialNumber::parse(text).is_none_or(|number| number.as_str() == text));
    assert!(PersonalNumber::parse(text).is_none_or(|number| number.as_str() == text));
    assert!(FacilityCode::parse(text).is_none_or(|code| code.as_str() == text));
    assert!(LivingArea::parse(text).is_none_or(|area| area.as_str() == text));
    let lower = text.to_ascii_lowercase();
    assert!(MemberId::from_hex(text).is_none_or(|id| id.to_hex() == lower));
    assert!(OperationId::from_hex(text).is_none_or(|id| id.to_hex() == lower));
    assert!(KeyId::from_hex(text).is_none_or(|id| id.to_string() == lower));
    assert!(from_hex(text).is_none_or(|bytes| hex(&bytes) == lower));
}

fn settings(data: &[u8]) {
    let path = scratch("server.toml");
    fs::write(&path, data).expect("a scratch file");
    match Config::load(&path) {
        Ok(config) => {
            assert!(config.limits.connections_max >= 1 && config.limits.idle.as_secs() >= 10);
            assert!(config.status_publish.as_secs() >= 1 && config.code_lifetime.as_secs() >= 3_600);
        }
        // One line, for a log.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn rows(data: &[u8], read: fn(&Path) -> Vec<AdminCommand>) {
    let path = scratch("rows.csv");
    fs::write(&path, data).expect("a scratch file");
    for command in read(&path) {
        let count = match &command {
            AdminCommand::ImportMembers(rows) => rows.len(),
            AdminCommand::ImportCards(rows) => rows.len(),
            other => panic!("{other:?}"),
        };
        assert!(count <= IMPORT_ROWS_MAX, "what a frame takes");
        assert_eq!(parse_rows(&command).len(), count);
    }
}

/// Words of every kind, the template of settings, and small tables.
pub fn seeds() -> Vec<Vec<u8>> {
    let with = |kind: u8, text: &str| [&[kind], text.as_bytes()].concat();
    let words = [
        "1994-03-05",
        " 5/3/1994 ",
        "03/1994",
        "1994",
        "Nguye\u{302}\u{303}n  Thi\u{323} Tha\u{309}o ",
        "DN4999900000017",
        "9900000017",
        "099194000017",
        "79024",
        "K1",
        "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
    ];
    let mut seeds: Vec<_> = words.iter().map(|word| with(0, word)).collect();
    seeds.push(with(1, CONFIG_TEMPLATE));
    seeds.push(with(1, "listen = '[::]:1'\nlog = 'debug'\n[codes]\nlifetime_hours = 1\n"));
    seeds.push(with(2, "\u{feff}sex,Member_ID,full_name,birth_date\nF,9900000017,\"A,\nB\",1990\nF,2\n"));
    let cards =
        "member,number,level,facility,from,to,area\n9900000017,DN4999900000017,4,79-024,1/1/2026,,k1\n";
    seeds.push(with(3, cards));
    seeds
}
