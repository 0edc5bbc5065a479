//! A store is served under its own key only.

use bhyt_core::ids::MemberId;
use bhyt_core::seal::SealKey;
use bhyt_server::service::ServiceFault;
use bhyt_server::store::{Commit, DocKey, DocKind, DocWrite, Expected, Outcome, Store};

use super::erasure::write_as_before;
use super::world::{STORE_KEY, World, open_under};

#[tokio::test]
async fn another_store_key_is_noticed_at_the_start_and_nothing_is_written() {
    let world = World::new().await;
    world.member_with_card().await;
    let mark = DocKey::new(DocKind::Meta, b"key-check");
    let made = world.store.doc_get(&mark).await.unwrap().unwrap();

    refuses_another_key(&world).await;
    assert_eq!(world.store.doc_get(&mark).await.unwrap().unwrap().bytes, made.bytes);

    // A store from before there was a mark: its members tell.
    let members = world.store.doc_scan(DocKind::Member, None, 1).await.unwrap();
    write_as_before(&world, MemberId(members[0].0.id.as_slice().try_into().unwrap())).await;
    let gone = DocWrite { key: mark.clone(), expected: Expected::Revision(made.revision), bytes: None };
    let commit = Commit { docs: vec![gone], ..Commit::default() };
    assert_eq!(world.store.commit(commit).await.unwrap(), Outcome::Applied);
    refuses_another_key(&world).await;
    assert!(world.store.doc_get(&mark).await.unwrap().is_none());
    let own = SealKey::from_bytes(STORE_KEY);
    open_under(own, &world.clock, &world.authority, &world.store, 3).await.unwrap();
    assert_eq!(world.store.doc_get(&mark).await.unwrap().unwrap().bytes, made.bytes);
}

async fn refuses_another_key(world: &World) {
    let other = SealKey::from_bytes([43; 32]);
    let opened = open_under(other, &world.clock, &world.authority, &world.store, 3).await;
    assert!(matches!(opened, Err(ServiceFault::WrongStoreKey)), "{:?}", opened.err());
}
