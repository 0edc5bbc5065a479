//! The service over the memory store: what phones, terminals and operators get for what they ask, judged by the same
//! code that judges it on a phone and at a clinic.

#[path = "server_service/world.rs"]
mod world;
#[path = "server_service/shared_store.rs"]
mod shared_store;

use bhyt_core::sync::wallet::Effect;
use world::World;

#[tokio::test]
async fn a_card_is_issued_and_reaches_the_phone_signed_and_bound() {
    let world = World::new().await;
    world.member_with_card().await;
    let mut phone = world.phone(1, 1).await;
    let effects = phone.sync(&world).await;
    assert!(matches!(effects[..], [Effect::Commit(_), Effect::Credentials { .. }]), "{effects:?}");
    assert_eq!(phone.feed().next_seq().0, 1);
    assert_eq!(phone.credentials().len(), 1);
    assert!(phone.sync(&world).await.is_empty());
}
