//! Two people chat.

use madang_tests::{World, WorldConfig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_chat_live() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    world.settle().await;
    ann.look_at(&[&room]);
    bob.look_at(&[&room]);
    ann.say(&room, "hello").await;
    world.settle().await;
    bob.say(&room, "안녕").await;
    world.settle().await;
    assert_eq!(ann.texts(&room).await, ["hello", "안녕"]);
    assert_eq!(bob.texts(&room).await, ["hello", "안녕"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_room_is_the_same_for_everybody() {
    let settings = |config: &mut madang_server::config::Config| {
        (config.large_room_members, config.small_again_members) = (2, 1);
    };
    let world = World::with(WorldConfig { settings: Some(settings), ..WorldConfig::default() }).await;
    let (ann, bob, cat) = (world.person("ann").await, world.person("bob").await, world.person("cat").await);
    let room = ann.room("hall", &[&bob]).await;
    bob.sees(&room).await;
    ann.look_at(&[&room]);
    world.settle().await;
    ann.client.invite(&room, [cat.id.clone()]).await.expect("invited");
    cat.sees(&room).await;
    world.settle().await;
    assert!(bob.rooms().await[&room].room.as_ref().is_some_and(|room| room.large && room.member_count == 3));
    cat.say(&room, "hello hall").await;
    world.settle().await;
    cat.client.leave(&room).await.expect("left");
    world.settle().await;
    world.end().await;
}
