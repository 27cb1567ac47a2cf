//! Profiles: fetched in batches when a name is needed that is not known, or when one has changed.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use madang_proto::v1::{BatchGetUsersRequest, user_service_client::UserServiceClient};

use super::Inner;
use crate::{
    error::ClientError,
    observe::lock,
    store::{Durability, people},
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
            Ok(()) => failures = 0,
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

async fn fetch(inner: &Inner, batch: &[String]) -> Result<(), ClientError> {
    let request = BatchGetUsersRequest { user_ids: batch.to_vec() };
    let answer = inner
        .connection
        .call_once(request, |channel, request| async { UserServiceClient::new(channel).batch_get_users(request).await })
        .await?;
    let found: HashSet<String> = answer.users.iter().map(|user| user.id.clone()).collect();
    inner
        .store
        .write(Durability::Frames, move |w| {
            w.changes.people = true;
            people::upsert(&w.tx, &answer.users)
        })
        .await?;
    let mut wanted = lock(&inner.people);
    if wanted.nobody.len() > NOBODY {
        wanted.nobody.clear();
    }
    for id in batch {
        wanted.ids.remove(id);
        if !found.contains(id) {
            wanted.nobody.insert(id.clone());
        }
    }
    Ok(())
}
