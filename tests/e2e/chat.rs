//! Two people chat.

use madang_tests::World;

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
