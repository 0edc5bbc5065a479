//! A million cards through `bhyt-server admin card import`, a real process, against a real server process: beside the
//! work that cannot be left out, and with the memory that it takes. The store that is there then serves server.growth.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bhyt_core::sync::admin::{CardRow, MemberRow};

use crate::child::{Memory, Running, program};
use crate::figure::{Figure, Goal, Promise};
use crate::growth::{self, GROWTH_RATIO, Stock};
use crate::import_bare::{Bare, Sizes};
use crate::run::{Group, Run};
use crate::sample::Pairs;
use crate::town::{Town, card_row, member_row};

/// `import.cards_ratio`, `import.rss_mb`, `server.growth_ratio`.
pub(crate) const IMPORT: &Group = &Group { promises: &[CARDS_RATIO, RSS_MB, GROWTH_RATIO], measure: import };

fn import(run: &mut Run) {
    let members = run.scale.of(1_000_000);
    run.say(&format!("import: {members} members, and as many in the bare store"));
    let (town, small) = (Town::found(SETTINGS), Town::found(SETTINGS));
    let mut peak_of_client = import_members(&town, 0..members);
    let few = members / 100;
    import_members(&small, 0..few);
    let sizes = Sizes::of_members(&small);
    import_cards(&small, 0..few);
    let sizes = sizes.with_cards(&small);
    let bare = Bare::prepare(members, &sizes);
    let (mut pairs, mut half_way) = (Pairs::default(), 0);
    let mut phones = None;
    for part in 0..PARTS {
        let rows = part * (members / PARTS)..(part + 1) * (members / PARTS);
        if part == PARTS - 1 && run.wants(&GROWTH_RATIO) {
            // What comes after them drives their members out of the store's memory.
            phones = Some((
                growth::activate(&town, rows.start, run.scale),
                growth::activate(&small, few, run.scale),
            ));
        }
        run.say(&format!("import: cards {} to {}", rows.start, rows.end));
        let file = write_cards(&town, rows.clone());
        let started = Instant::now();
        peak_of_client = peak_of_client.max(admin(&town, "card", &file));
        let ours = started.elapsed();
        let started = Instant::now();
        bare.import(&file, rows);
        pairs.add(ours, started.elapsed());
        if part == PARTS / 2 {
            half_way = peak(&town);
        }
    }
    let rate = (members / PARTS) as f64 / pairs.limit();
    run.found(Figure::ratio(&CARDS_RATIO, pairs.rate_ratio(), rate));
    let peak_of_server = peak(&town);
    let megabytes = peak_of_server.max(peak_of_client) as f64 / 1_048_576.0;
    let growth = peak_of_server as f64 / half_way as f64;
    run.say(&format!("import: server {growth:.2} times its peak of half way, client {peak_of_client} bytes"));
    run.found(Figure::value(&RSS_MB, megabytes).and("flat", growth <= FLAT));
    if let Some((of_many, of_few)) = phones {
        let many = Stock { town: &town, members, phones: &of_many };
        growth::growth(run, many, Stock { town: &small, members: few, phones: &of_few });
    }
}

fn peak(town: &Town) -> u64 {
    Memory::of(town.server()).expect("the server runs").peak_bytes
}

fn import_members(town: &Town, members: Range<u64>) -> u64 {
    let line = |member| {
        let MemberRow { member_id, full_name, birth_date, sex, .. } = member_row(member);
        format!("{member_id},{full_name},{birth_date},{sex}")
    };
    let file = write_file(&town.path("members.csv"), "member_id,full_name,birth_date,sex", members.map(line));
    admin(town, "member", &file)
}

fn import_cards(town: &Town, members: Range<u64>) -> u64 {
    let file = write_cards(town, members);
    admin(town, "card", &file)
}

fn write_cards(town: &Town, members: Range<u64>) -> PathBuf {
    let line = |member| {
        let CardRow { member, number, level, facility, from, to, five_years, area } = card_row(member, 0);
        format!("{member},{number},{level},{facility},{from},{to},{five_years},{area}")
    };
    write_file(&town.path("cards.csv"), CARD_COLUMNS, members.map(line))
}

fn write_file(path: &Path, header: &str, lines: impl Iterator<Item = String>) -> PathBuf {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let mut write = |line: &str| writeln!(file, "{line}").expect("a line is written");
    write(header);
    lines.for_each(|line| write(&line));
    file.flush().expect("the file is written");
    path.to_owned()
}

/// Runs an import to its end; the most memory that it had.
fn admin(town: &Town, what: &str, file: &Path) -> u64 {
    let mut command: Command = program("bhyt-server");
    command.args(["admin", "--server", &town.address().to_string()]);
    command.arg("--trust").arg(town.trust_file()).arg("--key").arg(town.path("roots/operator.key"));
    command.args([what, "import"]).arg(file).stdout(Stdio::null());
    let mut import = Running::start(&mut command);
    let mut peak = 0;
    loop {
        if let Ok(memory) = Memory::of(import.id()) {
            peak = peak.max(memory.peak_bytes);
        }
        if let Some(ended) = import.0.try_wait().expect("the import is ours") {
            assert!(ended.success(), "{what} import: {ended}");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Columns of the file of cards.
pub(crate) const CARD_COLUMNS: &str = "member,number,level,facility,from,to,five_years,area";
/// Imported in turn with the bare side.
const PARTS: u64 = 10;
/// A peak at the end over the peak of half way.
const FLAT: f64 = 1.1;

/// One machine plays many.
const SETTINGS: &str = "
log = 'error'
[limits]
arrivals_per_second = 1000000
arrivals_burst = 1000000
exchanges_per_second = 1000000
exchanges_burst = 1000000
";

const CARDS_RATIO: Promise = Promise {
    id: "import.cards_ratio",
    unit: "ratio",
    limit_unit: "cards/s",
    goal: Goal::AtLeast(0.6),
    how: "Rate of `card import` (a process, over QUIC, against a server process that holds as many members) for a million \
          cards ÷ rate of bare work in this process: the same lines parsed, a card and a feed head signed for each, and \
          as many keys of the same sizes written to a store of as many members by the same adapter, in batches of the \
          same size, eight at most to a sync; two threads that sign and one that writes, as in the server. In turn, a \
          tenth at a time.",
    cause: "",
};
const RSS_MB: Promise = Promise {
    id: "import.rss_mb",
    unit: "MB",
    limit_unit: "",
    goal: Goal::AtMost(400.0),
    how: "The most resident memory (VmHWM, in MiB) of server and importing process, a million members and a million cards \
          long. Flat: the server's at the end is at most 1.1 times that after six tenths of the cards.",
    cause: "",
};
