//! Profiles: fetched in batches when a name is needed that is not known, or when one has changed.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use madang_proto::v1::BatchGetUsersRequest;

use super::Inner;
use crate::{
    error::ClientError,
    observe::lock,
    store::{Durability, Write, people},
};

/// People in one call; the server takes no more.
const BATCH: usize = 200;
/// Ids that turned out to be nobody's, remembered so as not to be asked for again.
const NOBODY: usize = 10_000;

/// Whom to ask for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    ids: BTreeSet<String>,
    nobody: HashSet<String>,
}

impl Inner {
    /// Asks for profiles when there is a connection.
    pub(crate) fn want_people(&self, ids: impl IntoIterator<Item = String>) {
        let mut wanted = lock(&self.people);
        let before = wanted.ids.len();
        for id in ids {
            if !wanted.nobody.contains(&id) {
                wanted.ids.insert(id);
            }
        }
        if wanted.ids.len() > before {
            self.wake.people.notify_one();
        }
    }
}

pub(super) async fn run(inner: Arc<Inner>) {
    let mut failures = 0;
    loop {
        let batch: Vec<String> = lock(&inner.people).ids.iter().take(BATCH).cloned().collect();
        if batch.is_empty() {
            inner.wake.people.notified().await;
            continue;
        }
        inner.until_online().await;
        match fetch(&inner, &batch).await {
            Ok(true) => failures = 0,
            // Something has changed since it was read; the server has it by the next look.
            Ok(false) => {
                failures += 1;
                inner.config.clock.sleep(inner.config.backoff.delay(failures)).await;
            }
            Err(error) if error.may_repeat() || error.is_before_the_wire() => {
                failures += 1;
                let delay = error.retry_after.unwrap_or_default();
                inner.config.clock.sleep(delay.max(inner.config.backoff.delay(failures))).await;
            }
            Err(error) => {
                tracing::warn!(%error, "profiles were refused");
                lock(&inner.people).ids.retain(|id| !batch.contains(id));
            }
        }
    }
}

/// Fetches profiles; `false`: some of them have changed meanwhile and are wanted still.
async fn fetch(inner: &Inner, batch: &[String]) -> Result<bool, ClientError> {
    let request = BatchGetUsersRequest { user_ids: batch.to_vec() };
    let asked_at = inner.store.read(|r| people::changes_of_all(r.conn)).await?;
    let answer = inner.connection.call_once(&request).await?;
    let found: HashSet<String> = answer.users.iter().map(|user| user.id.clone()).collect();
    let take = move |w: &mut Write<'_>| people::take(w, &answer.users, asked_at);
    let outdated = inner.store.write(Durability::Frames, take).await?;
    let mut wanted = lock(&inner.people);
    if wanted.nobody.len() > NOBODY {
        wanted.nobody.clear();
    }
    for id in batch.iter().filter(|id| !outdated.contains(*id)) {
        wanted.ids.remove(id);
        if !found.contains(id) {
            wanted.nobody.insert(id.clone());
        }
    }
    Ok(outdated.is_empty())
}
