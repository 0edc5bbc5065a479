//! Who keeps the server of a soak: starts it, lets it live for minutes, stops or kills it, and renews the bundle.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::town::Town;
use crate::dice::Dice;
use crate::program::{Role, Running};

/// Keeps a server until everybody has ended.
pub(super) fn keep(town: &Town) {
    let mut dice = town.dice(1);
    while !town.has_ended() {
        let Some(mut server) = start(town) else { return };
        let lives = town.drawn(&mut dice, 12, 30);
        let renews = Instant::now() + lives / 2;
        let until = Instant::now() + lives;
        let mut renewed = dice.once_in(2);
        while !town.has_ended() && (Instant::now() < until || town.is_over()) {
            if server.listen(Instant::now() + LOOK) {
                town.fail("the server ended by itself: server.log");
                return;
            }
            if !renewed && Instant::now() > renews && !town.is_over() {
                renewed = true;
                renew(town);
            }
        }
        town.server_is_gone();
        if town.has_ended() || dice.once_in(2) {
            server.end_input();
            let ended = server.wait(PATIENCE);
            town.demand(ended.code == Some(0), || format!("the server ended with {:?}", ended.code));
            town.count("stops", 1);
        } else {
            server.kill();
            town.count("kills", 1);
        }
        std::thread::sleep(town.drawn(&mut dice, 600, 3_000));
    }
}

fn start(town: &Town) -> Option<Running> {
    let ready = town.path("ready");
    // Not there after a server that ended well.
    let _ = std::fs::remove_file(&ready);
    let (data, ready_word) = (town.data().display().to_string(), ready.display().to_string());
    let words = ["serve", "--data", &data, "--listen", "127.0.0.1:0", "--ready-file", &ready_word];
    let mut server = town.start(Role::Server, "server", &words);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let text = std::fs::read_to_string(&ready).unwrap_or_default();
        if let Ok(address) = text.trim().parse::<SocketAddr>() {
            town.server_is_there(server.id(), address);
            return Some(server);
        }
        if server.listen(Instant::now() + START_LOOK) {
            break;
        }
    }
    let ended = server.wait(Duration::ZERO);
    town.fail(format!("the server did not start, it ended with {:?}: server.log", ended.code));
    None
}

fn renew(town: &Town) {
    let data = town.data().display().to_string();
    let roots: Vec<String> =
        town.report.root_keys.iter().take(2).map(|key| key.display().to_string()).collect();
    let mut words = vec!["trust", "renew", "--json", "--data", &data, "--root-key"];
    words.extend(roots.iter().map(String::as_str));
    let ended = town.start(Role::Server, "renew", &words).wait(PATIENCE);
    town.demand(ended.code == Some(0), || format!("a renewal ended with {:?}: renew.log", ended.code));
    town.count("renewals", 1);
}

/// Dice that are needed elsewhere too.
pub(super) fn between(dice: &mut Dice, least: Duration, most: Duration) -> Duration {
    let span = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
    least + Duration::from_millis(dice.below(span.saturating_add(1)))
}

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
const START_LOOK: Duration = Duration::from_millis(10);
