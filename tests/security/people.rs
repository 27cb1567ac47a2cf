//! People without the client core: a token, a device, calls.

use madang_devstack::issuer::Tokens;
use madang_proto::v1;
use madang_tests::{World, person::Calls};
use uuid::Uuid;

use crate::raw::{Caller, Wire};

/// Somebody who has signed in on a device.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Our id of the person.
    pub id: String,
    pub calls: Calls,
    /// The same token and device, by the byte.
    pub caller: Caller,
    pub wire: Wire,
    /// What the issuer gave.
    pub session: Tokens,
}

impl Guest {
    /// Signs in on a new device, at the first server.
    pub async fn of(world: &World, login: &str) -> Self {
        Self::at(world, login, &world.server(0)).await
    }

    /// Signs in on a new device.
    pub async fn at(world: &World, login: &str, server: &str) -> Self {
        let session = world.stack.issuer.session(login).expect("a person of the issuer");
        Self::with(server, session, Uuid::now_v7().to_string()).await
    }

    /// A session of the issuer's on a device.
    pub async fn with(server: &str, session: Tokens, device_id: String) -> Self {
        let caller = Caller { token: session.access_token.clone(), device_id };
        let calls = Calls::new(server, caller.token.clone(), caller.device_id.clone()).expect("an address");
        let me = calls.identity().get_me(calls.request(v1::GetMeRequest {})).await.expect("a profile").into_inner();
        let id = me.user.expect("a profile").id;
        Self { id, calls, caller, wire: Wire::to(server), session }
    }

    /// The same device, seen from another server.
    pub fn on(&self, server: &str) -> Self {
        let calls = Calls::new(server, self.caller.token.clone(), self.caller.device_id.clone()).expect("an address");
        Self { calls, wire: Wire::to(server), ..self.clone() }
    }

    /// Makes a room with people.
    pub async fn room(&self, people: &[&Self]) -> String {
        self.room_like(people, v1::CreateRoomRequest::default()).await
    }

    /// Makes a room with people and settings.
    pub async fn room_like(&self, people: &[&Self], like: v1::CreateRoomRequest) -> String {
        let room_id = Uuid::now_v7().to_string();
        let invited_user_ids = people.iter().map(|person| person.id.clone()).collect();
        let request =
            v1::CreateRoomRequest { room_id: room_id.clone(), name: "plans".to_owned(), invited_user_ids, ..like };
        self.calls.rooms().create_room(self.calls.request(request)).await.expect("a room can be made");
        room_id
    }

    /// Whether a call of this device is answered.
    pub async fn me(&self) -> Result<v1::GetMeResponse, tonic::Status> {
        self.calls.identity().get_me(self.calls.request(v1::GetMeRequest {})).await.map(tonic::Response::into_inner)
    }
}
