//! The database is away for a while: what callers, clients and load balancers are told, and what comes after it.

use std::{path::Path, time::Duration};

use futures_util::future::join_all;
use madang_devstack::{
    issuer,
    postgres::{Cluster, ClusterOptions, Stop, place_for},
};
use madang_proto::{
    Refusal,
    v1::{ErrorReason, GetMeRequest},
};
use madang_sdk_core::{SendState, TimelineItem};
use madang_tests::{Person, World, person::Calls, world::eventually};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use uuid::Uuid;

/// More than are looked up at once.
const CROWD: usize = 100;

/// More than twice as long as one waits at the door.
const TOLD: Duration = Duration::from_secs(14);

/// A database server of the story's own, and a world whose only node stands on it.
async fn world(folder: &Path) -> (World, Cluster) {
    let place = place_for(&folder.join("postgres")).expect("a place");
    let cluster = Cluster::at(&place, ClusterOptions::default()).await.expect("PostgreSQL");
    let url = cluster.ensure_database("outage").await.expect("a database");
    madang_server::app::migrate(&url).await.expect("migrated");
    let mut world = World::new().await;
    let address = world.stop_server(0).await;
    let settings = |config: &mut madang_server::config::Config| {
        config.database_url = url;
        config.admin_listen = Some(([127, 0, 0, 1], 0).into());
    };
    world.start_server_with(address, settings).await.expect("a server");
    (world, cluster)
}

/// How a message of one's own is shown.
async fn shown(person: &Person, room: &str, id: &str) -> Option<SendState> {
    let timeline = person.client.timeline(room).await.ok()?;
    timeline.items().iter().find_map(|item| match item {
        TimelineItem::Message(message) if message.client_message_id == id => Some(message.state.clone()),
        _ => None,
    })
}

async fn is_ready(world: &World) -> bool {
    let mut asked = TcpStream::connect(world.admin(0).expect("it shows its metrics")).await.expect("it answers");
    asked.write_all(b"GET /readyz HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n").await.expect("asked");
    let mut answer = String::new();
    asked.read_to_string(&mut answer).await.expect("an answer");
    answer.starts_with("HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_the_database_is_away_waits_and_is_stored_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (world, cluster) = world(folder.path()).await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let room = ann.room("plans", &[&bob]).await;
    bob.sees(&room).await;
    ann.look_at(&[&room]);
    bob.look_at(&[&room]);
    ann.say(&room, "before").await;
    world.settle().await;
    assert!(is_ready(&world).await);
    cluster.stop(Stop::Immediate).await.expect("stopped");
    let refused = ann.calls.send(&room, "by a call").await.expect_err("nobody stores it");
    let refusal = Refusal::of(&refused).expect("a reason of the contract");
    assert_eq!((refused.code(), refusal.reason), (tonic::Code::Unavailable, ErrorReason::DatabaseUnavailable));
    assert!(refusal.retry_after.is_some_and(|after| after > Duration::ZERO), "it says when to come again");
    eventually("no more calls are led here", async || (!is_ready(&world).await).then_some(())).await;
    let id = ann.client.send(&room, "typed while it was away").await.expect("in the outbox");
    eventually("it is tried", async || (shown(&ann, &room, &id).await? == SendState::Sending).then_some(())).await;
    eventually("it waits again", async || (shown(&ann, &room, &id).await? == SendState::Queued).then_some(())).await;
    cluster.restart().await.expect("started");
    ann.stored(&room, &id).await;
    eventually("calls are led here again", async || is_ready(&world).await.then_some(())).await;
    world.settle().await;
    assert_eq!(bob.texts(&room).await, ["before", "typed while it was away"]);
    assert_eq!(shown(&ann, &room, &id).await, Some(SendState::Sent));
    world.end().await;
    cluster.stop(Stop::Immediate).await.expect("stopped");
}

/// Whoever comes is looked up together with the others, and nobody stands in a queue of lookups that fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_at_the_door_is_told_that_the_database_is_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let (world, cluster) = world(folder.path()).await;
    let issuer = &world.stack.issuer;
    let crowd: Vec<Calls> = (0..CROWD)
        .map(|number| {
            let login = format!("visitor{number}");
            issuer.add_person(issuer::Person::new(&login, "Visitor"));
            let token = issuer.token(&login).expect("a token");
            Calls::new(&world.server(0), token, Uuid::now_v7().to_string()).expect("an address")
        })
        .collect();
    // The server has the issuer's keys.
    world.person("ann").await;
    cluster.stop(Stop::Immediate).await.expect("stopped");
    let told = join_all(crowd.iter().map(async |calls| calls.identity().get_me(calls.request(GetMeRequest {})).await));
    let told = tokio::time::timeout(TOLD, told).await.expect("all are told");
    for answer in told {
        let refused = answer.expect_err("nobody is known");
        let reason = Refusal::of(&refused).map(|refusal| refusal.reason);
        assert_eq!(reason, Some(ErrorReason::DatabaseUnavailable), "{refused}");
    }
    world.end().await;
    cluster.stop(Stop::Immediate).await.ok();
}
