//! Who is writing in a room, for a screen.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{clock::Clock, engine::Inner};

/// Who is writing in one room.
#[derive(Debug)]
pub struct Typers {
    inner: Arc<Inner>,
    room_id: String,
    changed: watch::Receiver<()>,
    shown: Vec<String>,
}

impl Typers {
    pub(crate) fn new(inner: Arc<Inner>, room_id: &str) -> Self {
        let changed = inner.typing.changes();
        Self { inner, room_id: room_id.to_owned(), changed, shown: Vec::new() }
    }

    /// Who is writing now, by id.
    pub fn items(&self) -> Vec<String> {
        self.inner.typing.now(&self.room_id, self.inner.config.clock.now()).0
    }

    /// Waits until it is somebody else, and tells who. `None`: the client has ended.
    pub async fn next(&mut self) -> Option<Vec<String>> {
        loop {
            let clock: &dyn Clock = &*self.inner.config.clock;
            let (people, next) = self.inner.typing.now(&self.room_id, clock.now());
            if people != self.shown {
                self.shown.clone_from(&people);
                return Some(people);
            }
            let expiry = clock.sleep(next.unwrap_or(Duration::from_hours(1)));
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                () = expiry => {}
                () = self.inner.observers.ended() => return None,
            }
        }
    }
}
