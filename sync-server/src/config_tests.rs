//! Settings: what the template shows, what is taken, and every way to spoil a file.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("server.toml"), text)
}

#[test]
fn the_template_shows_the_defaults() {
    let defaults = parse("").unwrap();
    assert_eq!(parse(CONFIG_TEMPLATE).unwrap(), defaults);
    let is_setting = |line: &&str| line.starts_with('#') && !line.starts_with("# ");
    let settings = CONFIG_TEMPLATE.lines().filter(is_setting).count();
    let shown: String = CONFIG_TEMPLATE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|_| is_setting(&line)).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(parse(&shown).unwrap(), defaults);
    assert_eq!(settings, 14);
    assert_eq!(defaults.limits, ServerLimits::default());
    assert_eq!(defaults.store, EmbeddedOptions::default());
    assert!(defaults.listen.ip().is_loopback());
}

#[test]
fn settings_are_taken() {
    let text = "listen = '[::]:1'\nlog = 'debug'\n[codes]\nlifetime_hours = 1\n[limits]\nidle_seconds = 90";
    let config = parse(text).unwrap();
    assert_eq!(config.families(), Families::Both);
    assert_eq!(config.log, LogLevel::Debug);
    assert_eq!(config.code_lifetime, Duration::from_secs(3_600));
    assert_eq!(config.limits.idle, Duration::from_secs(90));
    assert_eq!(parse("").unwrap().families(), Families::OfAddress);
}

#[test]
fn mistakes_are_told_with_their_line() {
    let line = |text: &str| match parse(text).unwrap_err() {
        ConfigError::Malformed { line, source, .. } => (line, source.to_string()),
        other => panic!("{other}"),
    };
    let (at, message) = line("log = 'info'\n\n[status]\npublish_secs = 5\n");
    assert!(at == 4 && message.contains("publish_secs"), "{at}: {message}");
    assert_eq!(line("liste = '127.0.0.1:1'").0, 1);
    assert_eq!(line("[codes]\nlifetime_hours = 'day'").0, 2);
    assert_eq!(line("[codes]\nlifetime_hours = -1").0, 2);
    assert_eq!(line("listen = 'localhost'").0, 1);
    assert_eq!(line("log = 'loud'").0, 1);
    assert_eq!(line("log = 'info'\n[codes\n").0, 2);
    for (text, name) in [
        ("[codes]\nlifetime_hours = 0", "codes.lifetime_hours"),
        ("[status]\nresign_seconds = 86401", "status.resign_seconds"),
        ("[limits]\narrivals_burst = 0", "limits.arrivals_burst"),
        ("[audit]\nkeep_days = 183", "audit.keep_days"),
        ("[erasure]\nwait_days = 19", "erasure.wait_days"),
        ("[store]\ncache_megabytes = 9999999", "store.cache_megabytes"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, ConfigError::OutOfRange { key, .. } if key == name), "{error}");
        assert_eq!(error.exit(), Exit::Data);
    }
}

/// Name, least and most of every number. Complete: a setting of the template without a line here fails the test.
const NUMBERS: &[(&str, &str, u64, u64)] = &[
    ("status", "publish_seconds", 1, 3_600),
    ("status", "resign_seconds", 60, 86_400),
    ("codes", "lifetime_hours", 1, 720),
    ("audit", "keep_days", 184, 36_500),
    ("erasure", "wait_days", 0, 18),
    ("limits", "connections", 1, 10_000_000),
    ("limits", "connections_per_address", 1, 10_000_000),
    ("limits", "arrivals_per_second", 1, 10_000_000),
    ("limits", "arrivals_burst", 1, 10_000_000),
    ("limits", "exchanges_per_second", 1, 10_000_000),
    ("limits", "exchanges_burst", 1, 10_000_000),
    ("limits", "idle_seconds", 10, 3_600),
    ("store", "cache_megabytes", 1, 1 << 20),
];

#[test]
fn every_setting_and_every_way_to_spoil_it() {
    let shown = CONFIG_TEMPLATE.lines().filter(|line| line.starts_with('#') && !line.starts_with("# "));
    let named: Vec<&str> = shown.filter_map(|line| line.strip_prefix('#')?.split(' ').next()).collect();
    let known: Vec<&str> = ["log"].into_iter().chain(NUMBERS.iter().map(|(_, name, ..)| *name)).collect();
    assert_eq!(named, known);
    let malformed = |text: &str, line: usize| match parse(text) {
        Err(ConfigError::Malformed { line: found, .. }) => assert_eq!(found, line, "{text}"),
        other => panic!("{text}: {other:?}"),
    };
    for &(section, name, least, most) in NUMBERS {
        let with = |value: &str| format!("[{section}]\n{name} = {value}\n");
        for inside in [least, most] {
            assert!(parse(&with(&inside.to_string())).is_ok(), "{name} = {inside}");
        }
        let below = least.checked_sub(1);
        for outside in below.into_iter().chain([most + 1, 1 << 32, i64::MAX as u64]) {
            match parse(&with(&outside.to_string())) {
                Err(ConfigError::OutOfRange { key, got, .. }) => {
                    assert_eq!((key, got), (format!("{section}.{name}").as_str(), outside));
                }
                other => panic!("{name} = {outside}: {other:?}"),
            }
        }
        for other in ["-1", "1.5", "'1'", "true", "[1]", "{}", "18446744073709551616", "1_", "", "nan"] {
            malformed(&with(other), 2);
        }
        malformed(&format!("{}{name} = {least}\n", with(&least.to_string())), 3);
        malformed(&with(&least.to_string()).replace(name, &name.to_uppercase()), 2);
        // At the top it is another setting, and unknown there.
        malformed(&format!("{name} = {least}\n"), 1);
    }
    for level in ["error", "warn", "info", "debug", "trace"] {
        assert_eq!(parse(&format!("log = '{level}'")).unwrap().log.name(), level);
        malformed(&format!("log = '{}'", level.to_uppercase()), 1);
    }
    for listen in ["127.0.0.1", "127.0.0.1:65536", "localhost:1", ":1", "1", "[::]", ""] {
        malformed(&format!("listen = '{listen}'"), 1);
    }
}

/// Cut anywhere and with any byte changed, a file is read or refused with a line that it has.
#[test]
fn a_file_that_was_touched_is_read_or_told_by_its_line() {
    let whole: String = CONFIG_TEMPLATE
        .lines()
        .filter(|line| !line.starts_with("# ") && !line.is_empty())
        .map(|line| format!("{}\n", line.trim_start_matches('#')))
        .collect();
    let lines = whole.lines().count() + 1;
    let check = |text: &str| match parse(text) {
        Err(ConfigError::Malformed { line, .. }) => assert!((1..=lines).contains(&line), "{text}"),
        Ok(_) | Err(ConfigError::OutOfRange { .. }) => {}
        Err(other) => panic!("{other}"),
    };
    assert_eq!(parse(&whole).unwrap(), parse("").unwrap());
    for place in 0..whole.len() {
        let (before, after) = (whole.get(..place).unwrap(), whole.get(place + 1..).unwrap());
        check(before);
        for byte in ["\"", "[", "=", "\0", "9", "\u{feff}"] {
            check(&[before, byte, after].concat());
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.toml");
    let load = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Config::load(&path)
    };
    assert!(load(whole.as_bytes()).is_ok());
    assert!(matches!(load(b"log = '\xff'"), Err(ConfigError::NotText { .. })));
    let long = [whole.as_bytes(), &vec![b'#'; CONFIG_BYTES_MAX]].concat();
    assert!(matches!(load(&long), Err(ConfigError::File(_))));
}
