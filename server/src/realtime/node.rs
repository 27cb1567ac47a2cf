//! What a node is made of, as far as the slices need it.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::postgres::PgConnection;

use crate::{
    clock::Clock,
    config::Config,
    database::{Database, Work},
    error::Result,
    ids::{RoomId, UserId},
    limits::Limits,
    realtime::{Bus, Changes, Focus, Hub, Membership, Session},
};

/// One server process.
#[derive(Debug, Clone)]
pub struct Node {
    /// Name, unique among the nodes of an installation.
    pub name: Arc<str>,
    /// Settings.
    pub config: Arc<Config>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The database.
    pub database: Database,
    /// How often and how much at once.
    pub limits: Arc<Limits>,
    /// The streams of this node.
    pub hub: Arc<Hub>,
    /// The line to the other nodes.
    pub bus: Bus,
}

impl Node {
    /// Runs a transaction and tells the streams what it changed. Both happen whatever becomes of the caller.
    pub async fn change<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut PgConnection) -> Work<'t, (T, Changes)> + Send + Sync + 'static,
    {
        let node = self.clone();
        let publish = move |changes| async move {
            if node.database.guards().pass("publish_change").await {
                node.publish(changes);
            }
        };
        self.database.write(work, publish).await
    }

    /// Tells the streams of all nodes what a transaction changed.
    pub fn publish(&self, changes: Changes) {
        self.bus.publish(&changes);
        self.hub.publish(changes);
    }

    /// News without a number, to everybody in a room but one person.
    pub fn tell_room(&self, room_id: RoomId, frame: &Bytes, except: Option<UserId>) {
        self.bus.tell_room(room_id, frame, except);
        self.hub.tell_room(room_id, frame, except);
    }

    /// Registers a stream under its person, here and by word elsewhere. `false` while the node drains.
    pub fn open(&self, session: &Arc<Session>) -> bool {
        let open = self.hub.open(session);
        self.bus.tell_here(&self.hub, session.user_id(), open.then(|| session.id()));
        open
    }

    /// Takes a stream out of all indexes.
    pub fn close(&self, session: &Session) {
        if self.hub.close(session) {
            self.bus.tell_here(&self.hub, session.user_id(), None);
        }
    }

    /// Says what is on the screen of a stream.
    pub fn set_focus(&self, session: &Session, focus: Focus) {
        let (bus, people) = (self.bus.clone(), focus.people());
        if !people.is_empty() {
            tokio::spawn(async move { bus.listen([], people).await });
        }
        self.hub.set_focus(session, focus);
    }

    /// Lets a session listen to a room from now on: it is read first, with its rights checked, and live after that.
    pub fn listen_later(&self, session: &Arc<Session>, to: &Membership) {
        self.hub.listen_later(session, to);
        let (bus, session, room_id) = (self.bus.clone(), Arc::clone(session), to.room_id);
        tokio::spawn(async move {
            if bus.listen([room_id], []).await {
                session.soil_room(room_id);
            }
        });
    }
}
