//! `init` and `trust renew`: what they make, what they refuse, and that every bundle is accepted after the one before.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, outside #[test]")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bhyt_core::card::CardClaims;
use bhyt_core::codec;
use bhyt_core::cose::{Payload, Unsigned};
use bhyt_core::ids::hex;
use bhyt_core::keys::SecretKey;
use bhyt_core::presentation::Presentation;
use bhyt_core::status::StatusVersion;
use bhyt_core::sync::operators::{OperatorLabel, OperatorRole};
use bhyt_core::time::UnixSeconds;
use bhyt_core::trust::{self, KeyUse, Policy, Roots, TrustBundle, TrustError};
use bhyt_core::verdict::Outcome;
use bhyt_platform::clock::ManualClock;
use bhyt_platform::entropy::SeededEntropy;
use bhyt_platform::file_lock::FileLock;
use bhyt_server::config::Config;
use bhyt_server::exit::{Exit, Failure};
use bhyt_server::folder::DataFolder;
use bhyt_server::host::{Host, OpenError, Parts};
use bhyt_server::init::{InitError, InitReport, init};
use bhyt_server::policy_change::PolicyChange;
use bhyt_server::service::values_operators::OperatorV2;
use bhyt_server::service::{KeyRing, TrustSource};
use bhyt_server::store::{DocKey, DocKind, Store};
use bhyt_server::stored::{CurrentStatusV1, write_current_status};
use bhyt_server::trust_command::{CLOSING_SECONDS, RenewError, RenewReport, Renewal, renew};
use bhyt_server::trust_keeper::{Reload, TrustKeeper, TrustKeeperError};
use bhyt_server::{keys, root_keys};
use bhyt_tests::authority::{ListDraft, example_card};
use bhyt_tests::desk::Desk;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const DAY: u64 = 86_400;

#[tokio::test]
async fn init_makes_what_it_says() {
    let made = Made::new().await;
    let bundle = trust::anchor(&fs::read(&made.report.trust).unwrap()).unwrap();
    let claims = bundle.claims();
    assert_eq!((claims.version, claims.issued, claims.expires), (1, NOW, NOW.plus(400 * DAY)));
    assert_eq!((claims.policy, claims.status), (Policy::default(), None));
    assert_eq!((claims.roots.keys().len(), claims.roots.threshold()), (3, 2));
    assert_eq!(made.report.root_fingerprint, hex(&claims.roots.fingerprint()));
    let roots: Vec<_> = made.roots().iter().map(SecretKey::public_key).collect();
    assert_eq!(claims.roots.keys(), roots);
    assert_eq!(bundle.bytes(), fs::read(made.folder.trust_history().join("1.cose")).unwrap());

    let host = Host::open(&made.folder).unwrap();
    for usage in keys::FIRST_USES {
        let key_id = host.key_for(usage, NOW).unwrap();
        let key = claims.key(key_id, usage).unwrap();
        assert!(key.ranges.is_empty() && key.signs_until.is_none() && key.verify_until.is_none());
        let signature = host.sign(key_id, b"message").unwrap();
        assert_eq!(key.key.verify(b"message", &signature), Ok(()));
        assert!(host.key_for(usage, NOW.minus(1)).is_none());
    }
    let card_key = claims.keys_for(KeyUse::Card).next().unwrap().key;
    assert_eq!(made.report.issuer_key, hex(card_key.as_bytes()));
    let transport = claims.keys_for(KeyUse::Transport).next().unwrap().key;
    let shown = host.transport_key(NOW).unwrap().public_key();
    assert_eq!(shown.as_bytes(), transport.as_bytes());
    assert!(Config::load(&made.folder.config_file()).unwrap().listen.ip().is_loopback());
}

#[tokio::test]
async fn the_first_operator_is_in_the_store() {
    let made = Made::new().await;
    let operator = keys::read_operator_key(&made.report.operator_key).unwrap().public_key();
    assert!(!made.report.operator_key.starts_with(made.folder.path()));
    let parts = made.open().unwrap();
    let key = DocKey::new(DocKind::Operator, operator.key_id().0);
    let doc = parts.service.store.doc_get(&key).await.unwrap().unwrap();
    let entry: OperatorV2 = codec::decode(&doc.bytes).unwrap();
    let roles = OperatorRole::ALL.to_vec();
    let label = OperatorLabel::parse("first");
    assert_eq!(entry, OperatorV2 { transport_key: operator, roles, added: NOW, retired: None, label });
    let error = made.open().unwrap_err();
    assert_eq!(error.exit(), Exit::InUse, "{error}");
}

#[tokio::test]
async fn init_writes_over_nothing() {
    let made = Made::new().await;
    let again = |data: PathBuf, roots: PathBuf| async move {
        init(&data, &roots, NOW, &SeededEntropy::danger_from_seed(2)).await.unwrap_err()
    };
    let (data, roots) = (made.folder.path().to_owned(), made.temporary.path().join("roots"));
    let fresh = |name: &str| made.temporary.path().join(name);
    for (data, roots) in [(data.clone(), fresh("a")), (fresh("b"), roots), (data.clone(), data)] {
        let error = again(data, roots).await;
        assert_eq!(error.exit(), Exit::Refused, "{error}");
    }
    assert!(!fresh("a").exists() && !fresh("b").exists());
}

#[tokio::test]
async fn root_keys_and_data_are_kept_apart() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |name: &str| temporary.path().join(name);
    fs::create_dir(at("there")).unwrap();
    for (data, roots) in [("d", "d/roots"), ("r/data", "r"), ("d", "there/../d/./roots"), ("d", "d")] {
        let entropy = SeededEntropy::danger_from_seed(1);
        let error = init(&at(data), &at(roots), NOW, &entropy).await.unwrap_err();
        assert!(matches!(error, InitError::Nested { .. }), "{data} {roots}: {error}");
    }
    #[cfg(unix)]
    {
        fs::create_dir(at("real")).unwrap();
        std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
        let entropy = SeededEntropy::danger_from_seed(1);
        let error = init(&at("real"), &at("link/roots"), NOW, &entropy).await.unwrap_err();
        assert!(matches!(error, InitError::Nested { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_server_does_not_open_with_a_root_key_inside() {
    let made = Made::new().await;
    let strayed = made.folder.keys().join("card-0011223344556677.key");
    fs::copy(&made.report.root_keys[0], &strayed).unwrap();
    let error = made.open().unwrap_err();
    assert!(matches!(&error, OpenError::RootKeyInside { path } if *path == strayed), "{error}");
    assert_eq!(error.exit(), Exit::Refused);
    let inside =
        Renewal { root_keys: vec![strayed.clone(), made.report.root_keys[1].clone()], ..Renewal::default() };
    let error = made.renew(inside).unwrap_err();
    assert!(matches!(error, RenewError::RootKeyInside { .. }), "{error}");
    fs::remove_file(strayed).unwrap();
    made.open().unwrap();
}

#[tokio::test]
async fn a_renewal_is_accepted_after_the_bundle_before() {
    let made = Made::new().await;
    let first = trust::anchor(&made.bundle_bytes()).unwrap();
    let status = CurrentStatusV1 { epoch: 1, number: 7, time: NOW, covers: 9, last_change: 3 };
    write_current_status(&made.folder, &status).unwrap();
    let report = made.renew(made.by(&[0, 2])).unwrap();
    assert_eq!((report.version, report.expires), (2, made.now().plus(400 * DAY).0));
    let second = trust::accept(&first, &made.bundle_bytes()).unwrap().unwrap();
    let claims = second.claims();
    assert_eq!(claims.status, Some(StatusVersion { epoch: 1, number: 7 }));
    assert_eq!(claims.keys, first.claims().keys);
    assert_eq!(claims.roots, first.claims().roots);
    // A list of before is never named after a later one.
    write_current_status(&made.folder, &CurrentStatusV1 { number: 6, ..status }).unwrap();
    made.renew(made.by(&[1, 2])).unwrap();
    let third = trust::accept(&second, &made.bundle_bytes()).unwrap().unwrap();
    assert_eq!(third.claims().status, claims.status);
    assert_eq!(third.claims().version, 3);
}

#[tokio::test]
async fn too_few_or_wrong_root_keys_sign_nothing() {
    let made = Made::new().await;
    let before = made.bundle_bytes();
    let few = |error: RenewError| match error {
        RenewError::TooFewRootKeys { of, given, needed } => (of, given, needed),
        other => panic!("{other}"),
    };
    assert_eq!(few(made.renew(made.by(&[1])).unwrap_err()), (Roots::Held, 1, 2));
    assert_eq!(few(made.renew(made.by(&[1, 1, 1])).unwrap_err()), (Roots::Held, 1, 2));
    let stranger = made.new_root("stranger", 9);
    let mut renewal = made.by(&[0, 1]);
    renewal.root_keys.push(stranger);
    let error = made.renew(renewal).unwrap_err();
    assert!(matches!(error, RenewError::UnknownRootKey { .. }), "{error}");
    let mut operator = made.by(&[0]);
    operator.root_keys.push(made.report.operator_key.clone());
    assert_eq!(made.renew(operator).unwrap_err().exit(), Exit::Data);
    made.clock.set(NOW.minus(1));
    let error = made.renew(made.by(&[0, 1])).unwrap_err();
    assert!(matches!(error, RenewError::ClockBehind { .. }), "{error}");
    assert_eq!(made.bundle_bytes(), before);
}

#[tokio::test]
async fn new_root_keys_need_the_thresholds_of_both_sets() {
    let made = Made::new().await;
    let first = trust::anchor(&made.bundle_bytes()).unwrap();
    let kept = made.report.root_keys[0].clone();
    let new_roots = vec![kept, made.new_root("a", 7), made.new_root("b", 8)];
    let with = |by: &[usize], new_roots: &[PathBuf]| Renewal { new_roots: new_roots.to_vec(), ..made.by(by) };
    // The new keys alone are not enough of the old ones, though one stands in both sets.
    let alone = Renewal { new_roots: new_roots.clone(), ..Renewal::default() };
    let error = made.renew(alone).unwrap_err();
    assert!(matches!(error, RenewError::TooFewRootKeys { of: Roots::Held, given: 1, .. }), "{error}");
    let twice = [&new_roots[1..], &new_roots[1..]].concat();
    let error = made.renew(with(&[0, 1], &twice)).unwrap_err();
    assert!(matches!(error, RenewError::BadRootSet), "{error}");
    made.renew(with(&[1], &new_roots)).unwrap();
    let second = trust::accept(&first, &made.bundle_bytes()).unwrap().unwrap();
    assert_eq!((second.claims().roots.keys().len(), second.claims().roots.threshold()), (3, 2));
    // The old set is out.
    let error = made.renew(made.by(&[0, 1])).unwrap_err();
    assert!(matches!(error, RenewError::UnknownRootKey { .. }), "{error}");
    let by_new = Renewal { root_keys: new_roots[1..].to_vec(), ..Renewal::default() };
    made.renew(by_new.clone()).unwrap();
    made.renew(by_new).unwrap();
    // A phone with bundle 1 needs the bundle that changed the roots, and the newest.
    let keeper = TrustKeeper::open(&made.folder).unwrap();
    let versions = |since| {
        let bundles = keeper.since(since);
        let version = |bytes: &Vec<u8>| trust::anchor(bytes).unwrap().claims().version;
        bundles.iter().map(version).collect::<Vec<_>>()
    };
    assert_eq!(versions(1), [2, 4]);
    assert_eq!(versions(0), [2, 4]);
    assert_eq!(versions(2), [4]);
    assert_eq!(versions(4), [0_u64; 0]);
    let [bridge, newest] = keeper.since(1).try_into().unwrap();
    assert_eq!(trust::accept(&first, &newest).unwrap_err(), TrustError::TooFewSignatures { of: Roots::Held });
    let bridge = trust::accept(&first, &bridge).unwrap().unwrap();
    assert!(trust::accept(&bridge, &newest).unwrap().is_some());
}

#[tokio::test]
async fn root_keys_made_alone_become_the_roots_that_their_fingerprint_says() {
    let made = Made::new().await;
    let folder = made.temporary.path().join("new-roots");
    let entropy = SeededEntropy::danger_from_seed(21);
    let report = root_keys::make(&folder, 5, &entropy).unwrap();
    assert_eq!((report.root_keys.len(), report.threshold), (5, 3));
    let new_roots: Vec<PathBuf> = report.root_keys.iter().map(|key| key.file.clone()).collect();
    for key in &report.root_keys {
        assert_eq!(keys::read_root_key(&key.file).unwrap().public_key().key_id().to_string(), key.id);
    }
    assert!(root_keys::describe(&report).contains(&report.root_fingerprint));
    let again = root_keys::make(&folder, 1, &entropy).unwrap_err();
    assert_eq!(again.exit(), Exit::Refused);
    let renewed = made.renew(Renewal { new_roots: new_roots.clone(), ..made.by(&[0, 1]) }).unwrap();
    assert_eq!(renewed.root_fingerprint, report.root_fingerprint);
    made.renew(Renewal { root_keys: new_roots[2..].to_vec(), ..Renewal::default() }).unwrap();
}

#[tokio::test]
async fn a_renewal_changes_the_policy_that_it_is_told_and_keeps_the_rest() {
    let made = Made::new().await;
    let policy = PolicyChange { stale_days: Some(45), proof_age: Some(90), ..PolicyChange::default() };
    let report = made.renew(Renewal { policy, ..made.by(&[0, 1]) }).unwrap();
    let expected = Policy { stale_seconds: 45 * DAY, proof_age_seconds: 90, ..Policy::default() };
    assert_eq!(report.policy, expected.into());
    made.renew(made.by(&[0, 1])).unwrap();
    assert_eq!(trust::anchor(&made.bundle_bytes()).unwrap().claims().policy, expected);
    let policy = PolicyChange { fresh_hours: Some(49), stale_days: Some(2), ..PolicyChange::default() };
    let error = made.renew(Renewal { policy, ..made.by(&[0, 1]) }).unwrap_err();
    assert!(matches!(error, RenewError::FreshAndTooOld) && error.exit() == Exit::Refused, "{error}");
}

#[tokio::test]
async fn a_server_catches_up_with_renewals_that_came_between_two_looks() {
    let made = Made::new().await;
    let host = Host::open(&made.folder).unwrap();
    let new_roots: Vec<PathBuf> = [("a", 7), ("b", 8)].map(|(name, seed)| made.new_root(name, seed)).to_vec();
    made.renew(Renewal { new_roots: new_roots.clone(), ..made.by(&[0, 1]) }).unwrap();
    let by_new = Renewal { root_keys: new_roots, ..Renewal::default() };
    made.renew(by_new.clone()).unwrap();
    // A bundle in between that is lost cannot be made up for.
    let (second, away) = (made.folder.trust_history().join("2.cose"), made.temporary.path().join("2.cose"));
    fs::rename(&second, &away).unwrap();
    let error = host.reload_if_changed().unwrap_err();
    assert_eq!(error.exit(), Exit::Data, "{error}");
    assert_eq!(host.current().claims().version, 1);
    fs::rename(&away, &second).unwrap();
    assert_eq!(host.reload_if_changed().unwrap(), Reload::Newer);
    assert_eq!(host.current().claims().version, 3);
    assert_eq!(host.reload_if_changed().unwrap(), Reload::Unchanged);
    // Phones are given the same way; and a renewal that was cut off before it was filed ends it.
    let third = made.folder.trust_history().join("3.cose");
    assert_eq!(host.since(1), [fs::read(&second).unwrap(), fs::read(&third).unwrap()]);
    made.renew(by_new.clone()).unwrap();
    made.renew(by_new).unwrap();
    fs::remove_file(made.folder.trust_history().join("5.cose")).unwrap();
    assert_eq!(host.reload_if_changed().unwrap(), Reload::Newer);
    assert_eq!(host.current().claims().version, 5);
    assert_eq!(host.since(1).len(), 2);
}

#[tokio::test]
async fn keys_are_added_closed_and_retired_beside_a_running_server() {
    let made = Made::new().await;
    let parts = made.open().unwrap();
    let host = Arc::clone(&parts.host);
    let old = host.key_for(KeyUse::Card, NOW).unwrap();
    let status = host.key_for(KeyUse::Status, NOW).unwrap();
    let card = Renewal { add: vec![KeyUse::Card], close: vec![old], ..made.by(&[0, 1]) };
    let report = made.renew(card).unwrap();
    assert_eq!((report.added.len(), report.added[0].usage), (1, "card"));
    assert_eq!(host.key_for(KeyUse::Card, NOW), Some(old), "not before the next look");
    assert_eq!(host.reload_if_changed().unwrap(), Reload::Newer);
    assert_eq!(host.reload_if_changed().unwrap(), Reload::Unchanged);
    let new = host.key_for(KeyUse::Card, made.now()).unwrap();
    assert_eq!(new.to_string(), report.added[0].key_id);
    let current = host.current();
    let closed = current.claims().key(old, KeyUse::Card).unwrap();
    let end = made.now().plus(CLOSING_SECONDS);
    assert_eq!((closed.signs_until, closed.verify_until), (Some(end), None));
    // A key that is closing is none that would be left.
    let error = made.renew(Renewal { close: vec![new], ..made.by(&[0, 1]) }).unwrap_err();
    assert!(matches!(error, RenewError::NothingSigns { usage: KeyUse::Card }), "{error}");

    // The next card key begins in a month; a stolen status key goes at once.
    let next = Renewal { add: vec![KeyUse::Card], start_in_days: 30, ..made.by(&[0, 1]) };
    made.renew(next).unwrap();
    let error = made.renew(Renewal { retire: vec![status], ..made.by(&[0, 1]) }).unwrap_err();
    assert!(matches!(error, RenewError::NothingSigns { usage: KeyUse::Status }), "{error}");
    let stolen = Renewal { add: vec![KeyUse::Status], retire: vec![status], ..made.by(&[0, 1]) };
    made.renew(stolen).unwrap();
    assert_eq!(host.reload_if_changed().unwrap(), Reload::Newer);
    assert_eq!(host.key_for(KeyUse::Card, made.now()), Some(new));
    assert_ne!(host.key_for(KeyUse::Card, made.now().plus(31 * DAY)), Some(new));
    assert!(host.key_for(KeyUse::Status, made.now()).is_some_and(|key| key != status));
    assert!(host.current().claims().key(status, KeyUse::Status).is_none());
    let error = made.renew(Renewal { close: vec![status], ..made.by(&[0, 1]) }).unwrap_err();
    assert!(matches!(error, RenewError::UnknownKey { key_id } if key_id == status), "{error}");
}

#[tokio::test]
async fn a_card_signed_while_its_key_is_closed_beside_the_server_stays_good() {
    let made = Made::new().await;
    let host = Host::open(&made.folder).unwrap();
    let old = host.key_for(KeyUse::Card, made.now()).unwrap();
    made.renew(Renewal { close: vec![old], ..made.by(&[0, 1]) }).unwrap_err();
    made.renew(Renewal { add: vec![KeyUse::Card], close: vec![old], ..made.by(&[0, 1]) }).unwrap();

    // The server has not looked yet.
    let at = made.now().plus(1);
    let card = CardClaims { valid_from: NOW.day(), valid_to: None, issued_at: at, ..example_card() };
    let card = signed_by(&host, KeyUse::Card, at, card);
    assert_eq!(host.reload_if_changed().unwrap(), Reload::Newer);
    assert_ne!(host.key_for(KeyUse::Card, at), Some(old), "the new one takes over at once");
    let list = signed_by(&host, KeyUse::Status, at, ListDraft::new(1, at.plus(60)).list());
    let desk = Desk::new((*host.current()).clone(), &list, at.plus(60));
    let verdict = desk.verify(&Presentation::new(card, None));
    assert!(matches!(verdict.outcome(), Outcome::Accept(_)), "{verdict:?}");
}

fn signed_by<T: Payload>(host: &Host, usage: KeyUse, at: UnixSeconds, value: T) -> Vec<u8> {
    let key = host.key_for(usage, at).unwrap();
    let unsigned = Unsigned::new(value, key);
    let signature = host.sign(key, &unsigned.to_be_signed()).unwrap();
    unsigned.seal(&signature).bytes().to_vec()
}

#[tokio::test]
async fn a_bundle_from_a_backup_is_told_and_changes_nothing() {
    let made = Made::new().await;
    let first = made.bundle_bytes();
    let host = Host::open(&made.folder).unwrap();
    made.renew(made.by(&[0, 1])).unwrap();
    assert_eq!(host.reload_if_changed().unwrap(), Reload::Newer);
    let second = made.bundle_bytes();
    fs::write(made.folder.trust_file(), &first).unwrap();
    let rolled_back = |error: TrustKeeperError| match error {
        TrustKeeperError::Refused { source, .. } => source,
        other => panic!("{other}"),
    };
    let error = rolled_back(TrustKeeper::open(&made.folder).unwrap_err());
    assert_eq!(error, TrustError::Rollback { held: 2, got: 1 });
    let OpenError::Trust(error) = host.reload_if_changed().unwrap_err() else { panic!() };
    assert_eq!(rolled_back(error), TrustError::Rollback { held: 2, got: 1 });
    assert_eq!(host.current().claims().version, 2);
    assert!(made.renew(made.by(&[0, 1])).is_err());
    // Another bundle of the same version: the roots signed two.
    let other = trust::anchor(&second).unwrap().into_claims();
    let other = TrustBundle { expires: other.expires.plus(1), ..other };
    let roots = made.roots();
    fs::write(made.folder.trust_file(), other.sign(&[&roots[0], &roots[1]])).unwrap();
    let error = rolled_back(TrustKeeper::open(&made.folder).unwrap_err());
    assert_eq!(error, TrustError::Fork { version: 2 });
    fs::write(made.folder.trust_file(), b"no bundle").unwrap();
    assert!(matches!(rolled_back(TrustKeeper::open(&made.folder).unwrap_err()), TrustError::Unreadable(_)));
    fs::write(made.folder.trust_file(), &second).unwrap();
    assert_eq!(TrustKeeper::open(&made.folder).unwrap().current().claims().version, 2);
}

#[tokio::test]
async fn a_renewal_that_was_cut_off_is_mended_and_two_at_a_time_are_refused() {
    let made = Made::new().await;
    made.renew(made.by(&[0, 1])).unwrap();
    // In force, and not yet filed under its number.
    fs::remove_file(made.folder.trust_history().join("2.cose")).unwrap();
    assert_eq!(TrustKeeper::open(&made.folder).unwrap().current().claims().version, 2);
    assert_eq!(made.bundle_bytes(), fs::read(made.folder.trust_history().join("2.cose")).unwrap());
    // The lock's file stays, and is no lock: that is held by a process, and gone with it.
    let path = made.folder.trust_history().join("renewing");
    assert!(path.exists());
    let lock = FileLock::take(&path, Duration::from_secs(1)).unwrap();
    let error = made.renew(made.by(&[0, 1])).unwrap_err();
    assert!(matches!(error, RenewError::UnderWay), "{error}");
    assert_eq!(error.exit(), Exit::InUse);
    drop(lock);
    assert_eq!(made.renew(made.by(&[0, 1])).unwrap().version, 3);
    let empty = DataFolder::new(made.temporary.path());
    let error = TrustKeeper::open(&empty).unwrap_err();
    assert!(matches!(error, TrustKeeperError::NoHistory { .. }), "{error}");
    fs::rename(made.folder.trust_history().join("2.cose"), made.folder.trust_history().join("9.cose"))
        .unwrap();
    let error = TrustKeeper::open(&made.folder).unwrap_err();
    assert!(matches!(error, TrustKeeperError::Refused { .. } | TrustKeeperError::Misnamed { .. }), "{error}");
}

/// A server that `init` has just made.
struct Made {
    temporary: tempfile::TempDir,
    folder: DataFolder,
    report: InitReport,
    clock: ManualClock,
    entropy: Arc<SeededEntropy>,
}

impl Made {
    async fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let data = temporary.path().join("data");
        let entropy = Arc::new(SeededEntropy::danger_from_seed(1));
        let report = init(&data, &temporary.path().join("roots"), NOW, &*entropy).await.unwrap();
        let folder = DataFolder::new(&data);
        Self { temporary, folder, report, clock: ManualClock::new(NOW.plus(DAY)), entropy }
    }

    fn open(&self) -> Result<Parts<impl Store + use<>>, OpenError> {
        Parts::open(&self.folder, Arc::new(self.clock.clone()), Arc::clone(&self.entropy) as _)
    }

    fn now(&self) -> UnixSeconds {
        bhyt_platform::clock::Clock::now(&self.clock)
    }

    fn roots(&self) -> Vec<SecretKey> {
        let read = |path: &PathBuf| keys::read_root_key(path).unwrap();
        self.report.root_keys.iter().map(read).collect()
    }

    fn new_root(&self, name: &str, seed: u8) -> PathBuf {
        let path = self.temporary.path().join(name);
        keys::keep_root_key(&path, &SecretKey::from_seed(&[seed; 32])).unwrap();
        path
    }

    fn by(&self, roots: &[usize]) -> Renewal {
        let path = |root: &usize| self.report.root_keys[*root].clone();
        Renewal { root_keys: roots.iter().map(path).collect(), ..Renewal::default() }
    }

    fn renew(&self, renewal: Renewal) -> Result<RenewReport, RenewError> {
        renew(&self.folder, &renewal, self.now(), &*self.entropy)
    }

    fn bundle_bytes(&self) -> Vec<u8> {
        fs::read(self.folder.trust_file()).unwrap()
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_init_makes_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let made = Made::new().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for path in [made.folder.path(), &made.folder.keys(), &made.temporary.path().join("roots")] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    for path in made.report.root_keys.iter().chain([&made.report.operator_key]) {
        assert_eq!(mode(path), 0o600);
    }
    for entry in fs::read_dir(made.folder.keys()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}
