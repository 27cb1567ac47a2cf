//! A flood: many messages by plain calls, so that whoever is away is far behind.

use futures_util::{StreamExt as _, stream};
use madang_proto::v1;
use madang_tests::person::Calls;
use uuid::Uuid;

use crate::{history::Acknowledged, stage::Nodes, world::World};

/// Calls at once; a person may have 32 in flight.
const AT_ONCE: usize = 12;

/// Who sends how much where.
#[derive(Debug, Clone)]
pub(super) struct Flood {
    pub(super) person: usize,
    pub(super) room: usize,
    pub(super) count: usize,
    pub(super) text: String,
}

impl Flood {
    /// Sends; what is acknowledged is noted, and what is refused or not answered is not.
    pub(super) async fn happen(&self, nodes: &Nodes, world: &World) {
        let (Some(room), Some(calls)) = (world.room(self.room), self.calls(nodes, world)) else { return };
        // Whoever is not in the room would only collect refusals.
        if self.send(0, &room, &calls, world).await.is_none() {
            return;
        }
        let sends = (1..self.count).map(|n| self.send(n, &room, &calls, world));
        stream::iter(sends).buffer_unordered(AT_ONCE).count().await;
    }

    fn calls(&self, nodes: &Nodes, world: &World) -> Option<Calls> {
        let (person, server) = (&world.people[self.person], nodes.addresses.any()?);
        Calls::new(&format!("http://{server}"), person.token.clone(), person.device_id.clone()).ok()
    }

    async fn send(&self, n: usize, room: &str, calls: &Calls, world: &World) -> Option<()> {
        let text = format!("f{n} of {}", self.text.split(' ').next().unwrap_or_default());
        let id = Uuid::now_v7().to_string();
        let request = v1::SendMessageRequest {
            room_id: room.to_owned(),
            client_message_id: id.clone(),
            body: Some(v1::MessageBody { text: text.clone(), ..v1::MessageBody::default() }),
            ..v1::SendMessageRequest::default()
        };
        let seq = calls.messages().send_message(calls.request(request)).await.ok()?.into_inner().message?.seq;
        let sender = world.person(self.person);
        let acknowledged = Acknowledged { device: None, sender, room: room.to_owned(), text, seq };
        world.journal().acknowledged.insert(id, acknowledged);
        Some(())
    }
}
