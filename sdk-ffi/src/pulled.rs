//! What is pulled, used by several at once: one waits for the next change while others ask for more.
//!
//! Always true: what a wait has found and could not hand over, because it was given up at that moment, is what the next one
//! gets; a command does not wait for a change.

use std::{
    future::Future,
    sync::{Arc, Mutex as PlainMutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use madang_sdk_core as core;
use tokio::sync::{Mutex, watch};

use crate::{
    error::ClientError,
    live::Counted,
    runtime::{Running, at_once, keep, spawned},
};

/// Something that tells its changes.
pub(crate) trait Source: Send + 'static {
    /// What it tells at a time.
    type News: Send + 'static;

    /// Waits for the next news; nothing is lost when the wait is given up. `None`: the client has ended.
    fn next(&mut self) -> impl Future<Output = Option<Self::News>> + Send;
}

/// Something that is pulled.
pub(crate) struct Pulled<S: Source> {
    shared: Arc<Shared<S>>,
    _live: Counted,
    _threads: Option<Arc<Running>>,
}

struct Shared<S: Source> {
    source: Mutex<S>,
    /// News that are not handed over.
    found: PlainMutex<Option<S::News>>,
    /// Commands that wait for their turn.
    commands: watch::Sender<usize>,
    stopped: watch::Sender<bool>,
}

impl<S: Source> Pulled<S> {
    pub(crate) fn new(source: S) -> Self {
        let (commands, stopped) = (watch::Sender::new(0), watch::Sender::new(false));
        let shared = Shared { source: Mutex::new(source), found: PlainMutex::default(), commands, stopped };
        Self { shared: Arc::new(shared), _live: Counted::list(), _threads: keep() }
    }

    /// Opens one that needs no wait.
    pub(crate) fn begin(open: impl FnOnce() -> S) -> Result<Self, ClientError> {
        at_once(open).map(Self::new)
    }

    /// The next news. `None`: it was stopped, or the client has ended.
    pub(crate) async fn next(&self) -> Result<Option<S::News>, ClientError> {
        loop {
            let shared = Arc::clone(&self.shared);
            if !spawned(async move { Ok(shared.wait().await) }).await? {
                return Ok(None);
            }
            // Another wait may have been faster.
            if let Some(news) = self.shared.found().take() {
                return Ok(Some(news));
            }
        }
    }

    /// Asks something of it, between two waits.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        command: impl for<'a> FnOnce(&'a mut S) -> BoxFuture<'a, Result<T, core::ClientError>> + Send + 'static,
    ) -> Result<T, ClientError> {
        let turn = Turn::new(&self.shared);
        spawned(async move { command(&mut *turn.0.source.lock().await).await }).await
    }

    /// Says something to it that does not wait, between two waits.
    pub(crate) async fn tell<T: Send + 'static>(
        &self,
        say: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, ClientError> {
        let turn = Turn::new(&self.shared);
        spawned(async move { Ok(say(&mut *turn.0.source.lock().await)) }).await
    }

    /// The whole of it. What was found and not handed over is in it.
    pub(crate) async fn whole<T: Send + 'static>(
        &self,
        look: impl FnOnce(&S) -> T + Send + 'static,
    ) -> Result<T, ClientError> {
        let turn = Turn::new(&self.shared);
        spawned(async move {
            let source = turn.0.source.lock().await;
            turn.0.found().take();
            Ok(look(&source))
        })
        .await
    }

    /// Ends all waits, for good.
    pub(crate) fn stop(&self) {
        self.shared.stopped.send_replace(true);
    }
}

impl<S: Source> Shared<S> {
    fn found(&self) -> MutexGuard<'_, Option<S::News>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there are news to hand over; `false`: there will be none.
    async fn wait(&self) -> bool {
        let mut stopped = self.stopped.subscribe();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|is| *is) => false,
            there = self.find() => there,
        }
    }

    async fn find(&self) -> bool {
        let mut commands = self.commands.subscribe();
        loop {
            // The sender lives as long as this.
            let _ = commands.wait_for(|waiting| *waiting == 0).await;
            let mut source = self.source.lock().await;
            if self.found().is_some() {
                return true;
            }
            tokio::select! {
                biased;
                _ = commands.wait_for(|waiting| *waiting > 0) => {}
                news = source.next() => {
                    let there = news.is_some();
                    *self.found() = news;
                    return there;
                }
            }
        }
    }
}

/// A command that waits for its turn, or has it.
struct Turn<S: Source>(Arc<Shared<S>>);

impl<S: Source> Turn<S> {
    fn new(shared: &Arc<Shared<S>>) -> Self {
        shared.commands.send_modify(|waiting| *waiting += 1);
        Self(Arc::clone(shared))
    }
}

impl<S: Source> Drop for Turn<S> {
    fn drop(&mut self) {
        self.0.commands.send_modify(|waiting| *waiting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        sync::mpsc,
        time::{sleep, timeout},
    };

    use super::*;

    /// Numbers, as they are sent.
    struct Numbers(mpsc::Receiver<u32>);

    impl Source for Numbers {
        type News = u32;

        async fn next(&mut self) -> Option<u32> {
            self.0.recv().await
        }
    }

    fn numbers() -> (mpsc::Sender<u32>, Pulled<Numbers>) {
        let (sender, receiver) = mpsc::channel(100);
        (sender, Pulled::new(Numbers(receiver)))
    }

    #[tokio::test]
    async fn waits_that_are_given_up_lose_nothing_and_change_no_order() {
        let (sender, pulled) = numbers();
        let sending = tokio::spawn(async move {
            for number in 0..300 {
                sender.send(number).await.unwrap();
                sleep(Duration::from_micros(300)).await;
            }
        });
        let mut seen = Vec::new();
        let mut patience = 0;
        loop {
            patience = (patience + 1) % 5;
            match timeout(Duration::from_micros(200 * patience), pulled.next()).await {
                Ok(Ok(Some(number))) => seen.push(number),
                Ok(end) => {
                    assert!(end.unwrap().is_none());
                    break;
                }
                Err(_) => {}
            }
        }
        sending.await.unwrap();
        assert!(seen.into_iter().eq(0..300));
    }

    #[tokio::test]
    async fn a_command_does_not_wait_for_news() {
        let (sender, pulled) = numbers();
        let waiting = pulled.next();
        tokio::pin!(waiting);
        assert!(timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        let told = timeout(Duration::from_secs(5), pulled.tell(|_| 7)).await.unwrap();
        assert_eq!(told.unwrap(), 7);
        sender.send(1).await.unwrap();
        assert_eq!(waiting.await.unwrap(), Some(1));
    }

    #[tokio::test]
    async fn a_wait_ends_when_it_is_stopped() {
        let (_sender, pulled) = numbers();
        let waiting = pulled.next();
        tokio::pin!(waiting);
        assert!(timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        pulled.stop();
        assert_eq!(waiting.await.unwrap(), None);
    }
}
