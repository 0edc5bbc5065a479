//! What lints cannot hold: the shape of the tree. Each rule names the file that breaks it.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a source file may have.
const LINES_MAX: usize = 500;

#[test]
fn every_source_file_says_what_it_is_for_and_stays_short() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//!") {
            broken.push(format!("{path}: does not open with a //! line"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{path}: {lines} lines, at most {LINES_MAX}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn nothing_unfinished_or_silenced_is_left() {
    let words = [
        ["to", "do!("].concat(),
        ["unimpl", "emented!("].concat(),
        ["db", "g!("].concat(),
        ["#[ign", "ore"].concat(),
    ];
    let mut broken = Vec::new();
    for (path, text) in sources() {
        for (number, line) in (1..).zip(text.lines()) {
            if words.iter().any(|word| line.contains(word.as_str())) {
                broken.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn core_depends_on_nothing_that_touches_the_world() {
    let manifest = fs::read_to_string(root().join("core/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for banned in
        ["tokio", "quinn", "sled", "rand", "getrandom", "tracing", "rustix", "socket2", "bhyt-platform"]
    {
        let named = dependencies.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(banned));
        assert!(!named, "core depends on {banned}");
    }
}

/// Each third-party name stays in its place, so that the rest cannot tell which we use.
#[test]
fn third_party_names_stay_where_they_belong() {
    let homes: [(&str, &[&str]); 8] = [
        ("sled::", &["platform/src/sled_kv.rs"]),
        (
            "quinn::",
            &["platform/src/quic/", "tests/tests/transport", "tests/src/transport", "benches/src/bare.rs"],
        ),
        (
            "rustls::",
            &["platform/src/quic/", "tests/tests/transport", "tests/src/transport", "benches/src/bare.rs"],
        ),
        ("ed25519_dalek::", &["core/src/keys.rs", "benches/src/"]),
        ("bincode::", &["core/src/codec.rs"]),
        ("p256::", &["core/src/p256_keys.rs"]),
        (
            "miniz_oxide::",
            &[
                "core/src/status/token",
                "core/src/personal/stored.rs",
                "core/src/personal/guard_tests.rs",
                "tests/tests/server_service/poisoned.rs",
                "tests/tests/token_status_list.rs",
            ],
        ),
        ("automerge::", &["core/src/personal/merge.rs", "core/src/personal/guard_tests.rs"]),
    ];
    let mut broken = Vec::new();
    for (path, text) in sources() {
        for (name, allowed) in homes {
            let code = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(name));
            let home = allowed.iter().any(|home| path.starts_with(home)) || path == "tests/tests/tidy.rs";
            if code && !home {
                broken.push(format!("{path}: names {name}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Every command line that README.md and README.vi.md show names a program, and both stand early.
#[test]
fn every_command_of_the_readme_exists() {
    READMES.into_iter().for_each(check_commands);
}

fn check_commands(file: &str) {
    let readme = fs::read_to_string(root().join(file)).expect("a README");
    let first = readme.find("cargo run --release --bin bhyt-demo").expect("the first command");
    let second = readme.find("\ntests/run\n").expect("the second command");
    let line_of = |at: usize| readme.get(..at).map_or(usize::MAX, |before| before.lines().count() + 1);
    assert!(line_of(first) <= 25 && line_of(second) <= 25, "{file}: both commands stand by line 25");
    assert!(root().join("tests/run").exists());
    let manifests: String = ["sync-server", "client-sdk/wallet", "clinic-terminal", "tests"]
        .iter()
        .map(|folder| fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest"))
        .collect();
    for program in ["bhyt-server", "bhyt-wallet", "bhyt-terminal"] {
        assert!(
            readme.contains(program) && manifests.contains(&format!("name = \"{program}\"")),
            "{program}"
        );
    }
    assert!(root().join("tests/src/bin/bhyt-demo.rs").exists());
}

#[test]
fn documents_that_the_readmes_point_to_exist() {
    for file in READMES {
        let readme = fs::read_to_string(root().join(file)).unwrap();
        for link in links(&readme) {
            assert!(link.starts_with("http") || root().join(&link).exists(), "{file} points to {link}");
        }
    }
}

/// The Vietnamese README says what the English one does: the same headings, commands, tables and links, in one order.
#[test]
fn the_readmes_stay_in_step() {
    let [english, vietnamese] = READMES.map(|file| fs::read_to_string(root().join(file)).unwrap());
    assert_eq!(outline(&english), outline(&vietnamese));
    assert!(
        english.contains("](README.vi.md)") && vietnamese.contains("](README.md)"),
        "each names the other"
    );
    // Diacritics are whole letters, so that a search finds them.
    assert!(vietnamese.chars().all(|c| !('\u{300}'..='\u{36f}').contains(&c)), "not NFC");
}

/// What a translation keeps, a line each: levels of headings, commands without their comments, rows of tables by their
/// first cell, pictures by their number of lines; and the links.
fn outline(readme: &str) -> Vec<String> {
    let (mut outline, mut fence, mut picture) = (Vec::new(), None, 0);
    for line in readme.lines() {
        match (line.strip_prefix("```"), fence) {
            (Some(language), None) => (fence, picture) = (Some(language), 0),
            (Some(_), Some("text")) => {
                outline.push(format!("picture of {picture} lines"));
                fence = None;
            }
            (Some(_), Some(_)) => fence = None,
            (None, Some("text")) => picture += 1,
            (None, Some(_)) => {
                outline.push(line.split(" # ").next().unwrap_or_default().trim_end().to_owned());
            }
            (None, None) if line.starts_with('#') => {
                outline.push(line.split(' ').next().unwrap_or_default().to_owned());
            }
            (None, None) if line.starts_with("| `") => {
                outline.push(line.split('|').take(3).collect());
            }
            (None, None) => {}
        }
    }
    let others = |link: &String| !link.starts_with("README");
    outline.extend(links(readme).filter(others).map(|link| format!("-> {link}")));
    outline
}

fn links(readme: &str) -> impl Iterator<Item = String> + '_ {
    readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned)
}

const READMES: [&str; 2] = ["README.md", "README.vi.md"];

fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let folders = ["core", "platform", "client-sdk", "clinic-terminal", "sync-server", "tests", "benches"];
    folders.iter().for_each(|folder| collect(&root().join(folder), &mut files));
    assert!(files.len() > 30, "the sources were found");
    let named = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source that can be read");
        (path.strip_prefix(root()).expect("a path inside").to_string_lossy().into_owned(), text)
    };
    files.into_iter().map(named).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the root")
}
