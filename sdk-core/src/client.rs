//! The client: opened once, cheap to clone, ended by its last drop or by `shutdown`.

use std::sync::{Arc, atomic::Ordering};

use madang_proto::{
    Call as _,
    v1::{GetServerInfoRequest, ServerInfo},
};
use prost::Message as _;
use tokio::sync::watch;
use tonic::{Request, metadata::MetadataMap};

use crate::{
    ask::{ask, read},
    clock::{SystemClock, new_id},
    config::{ClientConfig, NetworkConfig, TokenProvider},
    connection::{Connection, DEADLINE},
    diagnostics::Recorder,
    engine::{ConnectionState, Inner, sync_now},
    error::ClientError,
    life::Life,
    net::{Line, Route, Wire},
    observe::Observers,
    sabotage::Guards,
    store::{self, Durability, Rescued, Store, StoreSnapshot, meta, rooms, size},
    typing::Typers,
    watched::{Presence, Readers},
};

/// A signed-in installation: its store, its connection, and everything that a screen needs.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    pub(crate) life: Arc<Life>,
}

impl Client {
    /// Opens the store and starts to connect. Works without a connection; fails if the address is none or the store cannot be
    /// opened: with `STORE_BUSY` at once if another process or client has it. A store that cannot be read is set aside and
    /// made anew: see [`rescued`](Self::rescued).
    pub async fn open(config: ClientConfig, tokens: Arc<dyn TokenProvider>) -> Result<Self, ClientError> {
        let guards = Guards {
            #[cfg(feature = "sabotage")]
            without: config.without,
        };
        let observers = Arc::new(Observers::default());
        let store = Store::open(&config, Arc::clone(&observers), guards).await?;
        let device_id = device_id(&store, &config).await?;
        let (user_id, epoch) = store.read(|r| Ok((r.me.to_owned(), meta::text(r.conn, meta::EPOCH)?))).await?;
        let connection = Connection::new(&config, &device_id, tokens)?;
        connection.set_epoch(&epoch);
        let inner = Arc::new(Inner::new(config, connection, store, observers, guards));
        inner.me.send_replace(Some(user_id).filter(|id| !id.is_empty()));
        let life = Arc::new(Life::begin(Arc::clone(&inner)));
        Ok(Self { inner, life })
    }

    /// What the server says about itself; needs no sign-in.
    pub async fn server_info(&self) -> Result<ServerInfo, ClientError> {
        ask_server_info(self.inner.connection.channel(), self.inner.connection.fixed()).await
    }

    /// How the client stands to its server.
    pub fn state(&self) -> ConnectionState {
        self.inner.state.borrow().clone()
    }

    /// The same, to be waited for.
    pub fn states(&self) -> watch::Receiver<ConnectionState> {
        self.inner.state.subscribe()
    }

    /// What was rescued when the store could not be read and had to be made anew; `None`: it could.
    pub fn rescued(&self) -> Option<Rescued> {
        self.inner.store.rescued()
    }

    /// The system says that the network is another one: what is connected is let go of, and it is connected anew at once.
    pub fn network_changed(&self) {
        if *self.inner.state.borrow() == ConnectionState::Live {
            self.inner.wake.again.notify_one();
        } else {
            self.inner.connection.reset();
            self.inner.wake.hurry.notify_one();
        }
    }

    /// Whether the app is in front of the person. A dead connection is then found out within 20 s instead of 45 s, for which
    /// the device is woken every 10 s; and bringing the app to the front looks whether the connection is still there, and
    /// does not wait for the next attempt. A client begins in front, unless it is there for the background: an app that runs
    /// on behind others says so here, and is woken by the server's heartbeats alone.
    pub fn set_foreground(&self, foreground: bool) {
        self.inner.connection.set_in_front(foreground);
        if foreground && matches!(*self.inner.state.borrow(), ConnectionState::Offline { .. }) {
            self.inner.wake.hurry.notify_one();
        }
    }

    /// Whether the network is paid for by what goes over it. Then nothing is fetched that nobody has asked for: the next stream
    /// brings the rows of rooms on the screen alone, and of the others what the room list shows; they come when a room is
    /// opened. [`sync_once`](Self::sync_once) tells the newest message of a room instead of all. Room list and badges are as
    /// right as ever.
    pub fn set_metered(&self, metered: bool) {
        self.inner.metered.store(metered, Ordering::Relaxed);
    }

    /// The person; known once the server has answered for the first time.
    pub fn me(&self) -> Option<String> {
        self.inner.me.borrow().clone()
    }

    /// Id of this installation, under which the server knows its session.
    pub fn device_id(&self) -> &str {
        self.inner.connection.device_id()
    }

    /// Who is writing in a room.
    pub fn typers(&self, room_id: &str) -> Typers {
        Typers::new(Arc::clone(&self.inner), room_id)
    }

    /// Who is here, of the people on the screen.
    pub fn presence(&self, user_ids: impl IntoIterator<Item = String>) -> Presence {
        Presence::new(Arc::clone(&self.inner), user_ids.into_iter().collect())
    }

    /// How many have read a message on the screen.
    pub fn readers(&self, room_id: &str, seq: i64) -> Readers {
        Readers::new(Arc::clone(&self.inner), room_id, seq)
    }

    /// Unread items of all rooms.
    pub async fn unread_total(&self) -> Result<i64, ClientError> {
        self.inner.store.read(|r| rooms::unread_total(r.conn, r.guards)).await
    }

    /// Says which rooms are on the screen beside open timelines: they are kept complete.
    pub fn set_focus(&self, room_ids: impl IntoIterator<Item = String>) {
        self.inner.set_focus(room_ids);
    }

    /// Catches a room up before it returns.
    pub async fn sync_room_now(&self, room_id: &str) -> Result<(), ClientError> {
        sync_now(&self.inner, room_id).await
    }

    /// The whole store as plain data.
    pub async fn snapshot(&self) -> Result<StoreSnapshot, ClientError> {
        self.inner.store.read(store::snapshot).await
    }

    /// Drops every message, member and receipt that can be had from the server again, and gives the disk back what they took.
    /// What was typed, drafts, marks and badges stay; a room's messages come again when it is opened.
    pub async fn clear_cache(&self) -> Result<(), ClientError> {
        self.inner.store.write(Durability::Frames, size::clear).await?;
        self.inner.wake.session.notify_one();
        while self.inner.store.shrink().await? {}
        Ok(())
    }

    /// A number that grows with each change that is in the store.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.observers.count()
    }
}

/// What a server says about itself, asked before anybody is signed in: the issuer and the client id among it.
pub async fn server_info(server: &str) -> Result<ServerInfo, ClientError> {
    server_info_through(server, &NetworkConfig::default()).await
}

/// The same through a proxy, or of a server whose certificate the host alone trusts.
pub async fn server_info_through(server: &str, network: &NetworkConfig) -> Result<ServerInfo, ClientError> {
    let clock = Arc::new(SystemClock);
    let route = Arc::new(Route::new(server, network, clock.clone())?);
    let line = Line::new(&route, &Arc::new(Recorder::new(clock)), watch::Sender::new(true).subscribe());
    ask_server_info(line.wire(), MetadataMap::new()).await
}

async fn ask_server_info(wire: Wire, carried: MetadataMap) -> Result<ServerInfo, ClientError> {
    let mut request = Request::new(GetServerInfoRequest {}.encode_to_vec().into());
    *request.metadata_mut() = carried;
    request.set_timeout(DEADLINE);
    let answer = ask(wire, GetServerInfoRequest::PATH, request).await?;
    Ok(read::<GetServerInfoRequest>(answer)?.server.unwrap_or_default())
}

async fn device_id(store: &Store, config: &ClientConfig) -> Result<String, ClientError> {
    let (given, fresh) = (config.device_id.clone(), new_id(&*config.clock));
    store
        .write(Durability::Outbox, move |w| {
            let held = meta::text(&w.tx, meta::DEVICE_ID)?;
            let id = given.unwrap_or(if held.is_empty() { fresh } else { held });
            meta::set(&w.tx, meta::DEVICE_ID, &id)?;
            Ok(id)
        })
        .await
}
