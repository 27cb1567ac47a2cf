//! Who waits for an entry of the outbox to settle. The writer tells of the entries that a commit has touched, and of those
//! alone: a thousand that wait cost a commit nothing but what concerns them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use crate::{
    error::{ClientError, ClientErrorKind},
    observe::lock,
};

/// Entries that may be waited for at once: as many as an outbox keeps after they were acknowledged.
const MOST: usize = 10_000;

/// Entries that are waited for, by their number in the table.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    entries: Mutex<HashMap<i64, watch::Sender<()>>>,
}

/// One that waits for an entry.
#[derive(Debug)]
pub(crate) struct Waiter {
    waiters: Arc<Waiters>,
    entry: i64,
    /// Absent only while it is dropped.
    told: Option<watch::Receiver<()>>,
}

impl Waiters {
    /// Waits for an entry from now on. Fails when too many are waited for.
    pub(crate) fn wait_for(self: &Arc<Self>, entry: i64) -> Result<Waiter, ClientError> {
        let mut entries = lock(&self.entries);
        if entries.len() >= MOST && !entries.contains_key(&entry) {
            let message = format!("more than {MOST} changes are waited for");
            return Err(ClientError::new(ClientErrorKind::RateLimited, message));
        }
        let told = entries.entry(entry).or_default().subscribe();
        Ok(Waiter { waiters: Arc::clone(self), entry, told: Some(told) })
    }

    /// These entries are others now, or gone.
    pub(crate) fn touched(&self, touched: &BTreeSet<i64>) {
        let entries = lock(&self.entries);
        touched.iter().filter_map(|entry| entries.get(entry)).for_each(|waits| waits.send_replace(()));
    }

    /// Any entry may be another now.
    pub(crate) fn all_touched(&self) {
        lock(&self.entries).values().for_each(|waits| waits.send_replace(()));
    }
}

impl Waiter {
    /// Waits until the entry is another than when this was last called.
    pub(crate) async fn touched(&mut self) {
        if let Some(told) = &mut self.told {
            // The sender stays for as long as somebody waits.
            let _ = told.changed().await;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut entries = lock(&self.waiters.entries);
        self.told = None;
        if entries.get(&self.entry).is_some_and(|waits| waits.receiver_count() == 0) {
            entries.remove(&self.entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::task::JoinSet;

    use super::*;
    use crate::{
        client::Client,
        config::{ClientConfig, StoreLocation},
        observe::Observers,
        sabotage::Guards,
        store::{
            Durability, Store, meta,
            outbox::{self, ChangeKind, NewEntry},
        },
        tokens::tests::NoTokens,
    };

    #[test]
    fn whoever_waits_hears_of_their_entry_and_is_forgotten_with_the_last_of_them() {
        let waiters = Arc::<Waiters>::default();
        let (mut one, mut same, mut other) = (waiters.wait_for(1), waiters.wait_for(1), waiters.wait_for(2));
        waiters.touched(&BTreeSet::from([1, 3]));
        let hears = |waiter: &mut Result<Waiter, _>| waiter.as_mut().unwrap().touched().now_or_never().is_some();
        assert_eq!((hears(&mut one), hears(&mut same), hears(&mut other)), (true, true, false));
        assert!(!hears(&mut one), "once");
        waiters.all_touched();
        assert!(hears(&mut one) && hears(&mut other));
        drop(one);
        assert_eq!(lock(&waiters.entries).len(), 2);
        drop((same, other));
        assert!(lock(&waiters.entries).is_empty());
    }

    #[test]
    fn more_than_so_many_are_not_waited_for() {
        let waiters = Arc::<Waiters>::default();
        let most = i64::try_from(MOST).unwrap();
        let held: Vec<_> = (0..most).map(|entry| waiters.wait_for(entry).unwrap()).collect();
        assert_eq!(waiters.wait_for(most).unwrap_err().kind, ClientErrorKind::RateLimited);
        waiters.wait_for(7).unwrap();
        drop(held);
        waiters.wait_for(most).unwrap();
    }

    #[tokio::test]
    async fn the_writer_tells_of_the_entries_that_it_touched_and_of_no_other() {
        let observers = Arc::new(Observers::default());
        let store = Store::open(StoreLocation::Memory, Arc::clone(&observers), Guards::default()).await.unwrap();
        let put = |w: &mut crate::store::Write<'_>| {
            for change_id in ["one", "two"] {
                let (room_id, change_id) = (String::from("r"), change_id.to_owned());
                let new =
                    NewEntry { kind: ChangeKind::Join, room_id, change_id, target: String::new(), request: vec![] };
                outbox::put(&w.tx, &new, "e", 0)?;
            }
            Ok(outbox::find(&w.tx, "one")?.unwrap().id)
        };
        let one = store.write(Durability::Outbox, put).await.unwrap();
        let mut one = observers.waiters.wait_for(one).unwrap();
        let mut hears = async |write: fn(&mut crate::store::Write<'_>) -> rusqlite::Result<()>| {
            let _ = store.write(Durability::Outbox, write).await;
            one.touched().now_or_never().is_some()
        };
        assert!(!hears(|w| meta::set(&w.tx, meta::EPOCH, "e")).await);
        assert!(!hears(|w| outbox::done(&w.tx, "two", 0)).await);
        let undone = |w: &mut crate::store::Write<'_>| {
            outbox::done(&w.tx, "one", 0)?;
            Err(rusqlite::Error::QueryReturnedNoRows)
        };
        assert!(!hears(undone).await, "what was rolled back has not happened");
        assert!(hears(|w| outbox::done(&w.tx, "one", 0)).await);
        assert!(hears(|w| outbox::remove(&w.tx, "one")).await);
    }

    #[tokio::test]
    async fn a_thousand_that_wait_are_told_of_the_end_and_forgotten() {
        let config = ClientConfig::new("http://127.0.0.1:1", StoreLocation::Memory);
        let client = Client::open(config, Arc::new(NoTokens)).await.unwrap();
        let waiters = Arc::clone(&client.inner.observers.waiters);
        let mut waits = JoinSet::new();
        for n in 0..1_000 {
            let id = client.send("01890a5d-ac96-774b-bcce-b302099a8057", format!("{n}")).await.unwrap();
            let client = client.clone();
            waits.spawn(async move { client.settled(&id).await });
        }
        while lock(&waiters.entries).len() < 1_000 {
            tokio::task::yield_now().await;
        }
        client.shutdown(Duration::ZERO).await;
        let ended = waits.join_all().await;
        assert!(ended.into_iter().all(|ended| ended.unwrap_err().kind == ClientErrorKind::Cancelled));
        assert!(lock(&waiters.entries).is_empty());
    }
}
