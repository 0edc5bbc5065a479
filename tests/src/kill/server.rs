//! Who keeps the server: starts it, lets it live for a while, kills it; and renews the trust bundle beside it, where the
//! renewal may be killed too.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bhyt_core::keys::KeyId;
use bhyt_core::trust::{KeyUse, anchor};
use serde_json::Value;

use super::world::{Victim, World};
use crate::dice::Dice;
use crate::program::{Role, Running};

/// Keeps a server until the campaign has ended.
pub(super) fn keep(world: &World) {
    let mut dice = world.dice(1);
    while !world.ended.load(Ordering::SeqCst) {
        let Some(mut server) = start(world) else { return };
        let lives = Duration::from_millis(20 + dice.below(600));
        let until = Instant::now() + lives;
        let mut stays = !world.may_kill(Victim::Server);
        if !stays && dice.once_in(10) {
            renew(world, &mut dice);
        }
        let mut ended = server.listen(until);
        while !ended && (stays || world.is_over()) && !world.ended.load(Ordering::SeqCst) {
            stays = true;
            ended = server.listen(Instant::now() + LOOK);
        }
        if ended {
            world.fail("the server ended by itself: server.log");
        }
        world.line.server_is_down();
        if ended || stays || dice.once_in(10) {
            server.end_input();
            let ended = server.wait(PATIENCE);
            world.demand(ended.code == Some(0), || format!("the server ended with {:?}", ended.code));
        } else {
            let ended = server.kill();
            world.demand(ended.code.is_none(), || format!("the server ended with {:?}", ended.code));
            world.note_kill(Victim::Server);
            if dice.once_in(8) {
                renew(world, &mut dice);
            }
            std::thread::sleep(Duration::from_millis(dice.below(60)));
        }
    }
}

/// A server that answers; `None` when it does not start.
fn start(world: &World) -> Option<Running> {
    let ready = world.path("ready");
    // Not there after a server that ended well.
    let _ = std::fs::remove_file(&ready);
    let (data, ready_word) = (world.data(), ready.display().to_string());
    let words = [
        "serve",
        "--data",
        &data.display().to_string(),
        "--listen",
        "127.0.0.1:0",
        "--ready-file",
        &ready_word,
    ];
    let mut server = world.start(Role::Server, "server", &words);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let text = std::fs::read_to_string(&ready).unwrap_or_default();
        if let Ok(address) = text.trim().parse::<SocketAddr>() {
            world.relay.lead_to(address);
            world.line.server_is_up();
            return Some(server);
        }
        if server.listen(Instant::now() + START_LOOK) {
            break;
        }
    }
    let ended = server.wait(Duration::ZERO);
    world.fail(format!("the server did not start, it ended with {:?}: server.log", ended.code));
    None
}

/// Renews the bundle, with a key more or another status key now and then; kills the renewal in one of three.
fn renew(world: &World, dice: &mut Dice) {
    let mut words: Vec<String> = vec!["trust".into(), "renew".into(), "--json".into(), "--data".into()];
    words.push(world.data().display().to_string());
    words.push("--root-key".into());
    words.extend(world.report.root_keys.iter().take(2).map(|key| key.display().to_string()));
    let bundle = std::fs::read(world.data().join("trust.cose")).unwrap_or_default();
    let Ok(bundle) = anchor(&bundle) else {
        world.fail("trust.cose is no bundle");
        return;
    };
    let keys: Vec<(KeyUse, KeyId)> =
        bundle.claims().keys.iter().map(|key| (key.usage, key.key.key_id())).collect();
    if keys.len() < KEYS_MAX {
        match dice.below(6) {
            0 => words.extend(["--add-key".into(), "head".into()]),
            1 => {
                words.extend(["--add-key".into(), "status".into(), "--retire-key".into()]);
                let status = keys.iter().filter(|(usage, _)| *usage == KeyUse::Status);
                words.extend(status.map(|(_, key)| key.to_string()));
            }
            _ => {}
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut renewal = world.start(Role::Server, "renew", &words);
    if dice.once_in(3) {
        renewal.listen(Instant::now() + Duration::from_micros(dice.below(40_000)));
        if renewal.kill().code.is_none() {
            world.kills_of_renewals.fetch_add(1, Ordering::SeqCst);
        }
    } else {
        let ended = renewal.wait(PATIENCE);
        world.demand(ended.code == Some(0), || format!("a renewal ended with {:?}: renew.log", ended.code));
        let report = ended.lines.first().and_then(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(version) = report.and_then(|report| report.get("version")?.as_u64()) {
            let before = world.trust_version.swap(version, Ordering::SeqCst);
            world.demand(version > before, || format!("bundle {version} after bundle {before}"));
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
const START_LOOK: Duration = Duration::from_millis(3);
/// A bundle takes 256.
const KEYS_MAX: usize = 100;
