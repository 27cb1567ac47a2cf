//! What a screen shows beside lists: who is here, who is writing, how many have read, how the client stands to its server.

use std::collections::BTreeMap;

use madang_sdk_core::{self as core, ConnectionState, ReadCount};
use tokio::sync::watch;

use crate::{
    error::ClientError,
    pulled::{Pulled, Source},
};

impl Source for core::Typers {
    type News = Vec<String>;

    async fn next(&mut self) -> Option<Vec<String>> {
        self.next().await
    }
}

/// Who is writing in one room.
#[derive(uniffi::Object)]
pub struct Typers(pub(crate) Pulled<core::Typers>);

#[uniffi::export]
impl Typers {
    /// Who is writing now, by id.
    pub async fn items(&self) -> Result<Vec<String>, ClientError> {
        self.0.whole(core::Typers::items).await
    }

    /// Waits until it is somebody else, and tells who. Absent: it was stopped, or the client has ended.
    pub async fn next(&self) -> Result<Option<Vec<String>>, ClientError> {
        self.0.next().await
    }

    /// Ends the waits for the next news, for good.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Source for core::Presence {
    type News = BTreeMap<String, bool>;

    async fn next(&mut self) -> Option<BTreeMap<String, bool>> {
        self.next().await
    }
}

/// Who is here, of the people on a screen. The server tells of up to 200 of them.
#[derive(uniffi::Object)]
pub struct Presence(pub(crate) Pulled<core::Presence>);

#[uniffi::export]
impl Presence {
    /// Whether each person is here, by id; who is missing is not known, as while there is no connection.
    pub async fn now(&self) -> Result<BTreeMap<String, bool>, ClientError> {
        self.0.whole(core::Presence::now).await
    }

    /// Waits until it is otherwise, and tells how. Absent: it was stopped, or the client has ended.
    pub async fn next(&self) -> Result<Option<BTreeMap<String, bool>>, ClientError> {
        self.0.next().await
    }

    /// Ends the waits for the next news, for good.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// How many have read a message, as it was told.
#[derive(Debug, Clone, Copy, uniffi::Record)]
pub struct ReadersNews {
    /// The count; absent while it is not known.
    pub count: Option<ReadCount>,
}

impl Source for core::Readers {
    type News = ReadersNews;

    async fn next(&mut self) -> Option<ReadersNews> {
        self.next().await.map(|count| ReadersNews { count })
    }
}

/// How many have read a message on a screen. The server counts for up to five messages, once a second.
#[derive(uniffi::Object)]
pub struct Readers(pub(crate) Pulled<core::Readers>);

#[uniffi::export]
impl Readers {
    /// The count; absent while it is not known.
    pub async fn now(&self) -> Result<Option<ReadCount>, ClientError> {
        self.0.whole(core::Readers::now).await
    }

    /// Waits until it is another, and tells it. Absent: it was stopped, or the client has ended.
    pub async fn next(&self) -> Result<Option<ReadersNews>, ClientError> {
        self.0.next().await
    }

    /// Ends the waits for the next news, for good.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// The states of a connection; the first is told at once.
pub(crate) struct States {
    states: watch::Receiver<ConnectionState>,
    begun: bool,
}

impl States {
    pub(crate) fn new(states: watch::Receiver<ConnectionState>) -> Self {
        Self { states, begun: false }
    }
}

impl Source for States {
    type News = ConnectionState;

    async fn next(&mut self) -> Option<ConnectionState> {
        if self.begun {
            self.states.changed().await.ok()?;
        }
        self.begun = true;
        Some(self.states.borrow_and_update().clone())
    }
}

/// How the client stands to its server, as it changes. States that pass while nobody asks are not told.
#[derive(uniffi::Object)]
pub struct ConnectionStates(pub(crate) Pulled<States>);

#[uniffi::export]
impl ConnectionStates {
    /// The state at first, then waits until it is another. Absent: it was stopped, or the client is gone.
    pub async fn next(&self) -> Result<Option<ConnectionState>, ClientError> {
        self.0.next().await
    }

    /// Ends the waits for the next state, for good.
    pub fn stop(&self) {
        self.0.stop();
    }
}
