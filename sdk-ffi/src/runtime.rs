//! The threads that the core runs on: one runtime for the process, there for as long as a client, a list or a call is.
//!
//! Always true: no future of the core is polled on a thread of the host, but for the first poll of what goes to the outbox,
//! which hands it to the store's writer and does not wait.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    process,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use madang_sdk_core as core;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{JoinError, JoinHandle},
};

use crate::{error::ClientError, live::Counted};

/// Threads for everything: the core waits for the network, and has threads of its own for the store.
const WORKERS: usize = 2;
/// Stack of each; the deepest call of the core needs an eighth.
const STACK_BYTES: usize = 1 << 20;
/// Threads for what blocks: names that are looked up, and callbacks of the host. They end when they were idle for 10 s.
const BLOCKING: usize = 16;

/// The runtime, for as long as somebody holds it.
pub(crate) struct Running {
    /// Taken at the end alone.
    runtime: Option<Runtime>,
    handle: Handle,
    process: u32,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever is last may be on one of its threads, where nothing may be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

static RUNNING: Mutex<Weak<Running>> = Mutex::new(Weak::new());

/// The runtime. Fails if it cannot be begun, and in a process that was forked off one in which it runs: threads do not come
/// along.
fn running() -> Result<Arc<Running>, ClientError> {
    let mut held = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = held.upgrade() {
        let same = running.process == process::id();
        let forked = || ClientError::internal("this process was forked off one that has clients: it cannot have any");
        return same.then_some(running).ok_or_else(forked);
    }
    let begun = begin().map_err(|error| ClientError::internal(format!("threads cannot be started: {error}")))?;
    let running = Arc::new(begun);
    *held = Arc::downgrade(&running);
    Ok(running)
}

/// What an object holds so that its threads stay. Without threads there is no object that would need any.
pub(crate) fn keep() -> Option<Arc<Running>> {
    running().ok()
}

fn begin() -> std::io::Result<Running> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_stack_size(STACK_BYTES)
        .max_blocking_threads(BLOCKING)
        .thread_name("madang")
        .enable_all()
        .build()?;
    Ok(Running { handle: runtime.handle().clone(), runtime: Some(runtime), process: process::id() })
}

/// Does something at once that does not wait, where the core finds its runtime.
pub(crate) fn at_once<T>(work: impl FnOnce() -> T) -> Result<T, ClientError> {
    let running = running()?;
    let _entered = running.handle.enter();
    Ok(work())
}

/// Work that ends when the wait for it does.
pub(crate) fn spawned<T: Send + 'static>(
    work: impl Future<Output = Result<T, core::ClientError>> + Send + 'static,
) -> Wait<T> {
    let (work, answer) = plain(work);
    Wait { done: Box::pin(spawn(work)), answer }
}

/// Work that is begun before the wait for it is, in the order of the calls, and that goes on when the wait is given up.
pub(crate) fn handed_over<T: Send + 'static>(
    work: impl Future<Output = Result<T, core::ClientError>> + Send + 'static,
) -> Wait<T> {
    let (work, answer) = plain(work);
    Wait { done: Box::pin(hand_over(work)), answer }
}

/// The wait for an answer.
pub(crate) struct Wait<T> {
    done: BoxFuture<'static, Result<(), ClientError>>,
    answer: Answer<T>,
}

impl<T> Future for Wait<T> {
    type Output = Result<T, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.done.poll_unpin(context))?;
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        Poll::Ready(Ok(answer.ok_or_else(panicked)??))
    }
}

/// Work without its answer.
type Work = BoxFuture<'static, ()>;
/// Where the answer lies when the work is done.
type Answer<T> = Arc<Mutex<Option<Result<T, core::ClientError>>>>;

/// Work and its answer apart. From here on little is of a type for each call, and tasks are of one: a hundred calls would be a
/// megabyte of code.
fn plain<T: Send + 'static>(
    work: impl Future<Output = Result<T, core::ClientError>> + Send + 'static,
) -> (Work, Answer<T>) {
    let answer = Answer::default();
    let place = Arc::clone(&answer);
    let work = async move {
        let done = work.await;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    };
    (Box::pin(work), answer)
}

async fn spawn(work: Work) -> Result<(), ClientError> {
    let _call = Counted::call();
    let mut task = Task(running()?.handle.spawn(work));
    (&mut task.0).await.map_err(|error| failed(&error))
}

async fn hand_over(mut work: Work) -> Result<(), ClientError> {
    let _call = Counted::call();
    let running = running()?;
    let begun = poll_fn(|context| {
        let _entered = running.handle.enter();
        Poll::Ready(catch_unwind(AssertUnwindSafe(|| work.poll_unpin(context))))
    });
    match begun.await {
        Ok(Poll::Pending) => running.handle.spawn(work).await.map_err(|error| failed(&error)),
        Ok(Poll::Ready(())) => Ok(()),
        Err(_) => Err(panicked()),
    }
}

/// Something of the host's that may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ClientError> {
    running()?.handle.spawn_blocking(work).await.map_err(|error| failed(&error))
}

/// A task that ends when it is dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn failed(error: &JoinError) -> ClientError {
    if error.is_panic() { panicked() } else { ClientError::internal("the call was given up") }
}

/// The words of the panic are in the log, not in an answer that an app may show.
fn panicked() -> ClientError {
    ClientError::internal("a fault of the client: it panicked")
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use madang_sdk_core::ClientErrorKind;
    use tokio::{
        sync::oneshot,
        time::{sleep, timeout},
    };

    use super::*;

    fn kind(answer: Result<(), ClientError>) -> ClientErrorKind {
        let ClientError::Failed { failure } = answer.unwrap_err();
        failure.kind
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_failure() {
        assert_eq!(kind(spawned(async { panic!("of a test") }).await), ClientErrorKind::Internal);
        assert_eq!(kind(handed_over(async { panic!("of a test") }).await), ClientErrorKind::Internal);
        let later = async {
            tokio::task::yield_now().await;
            panic!("of a test")
        };
        assert_eq!(kind(handed_over(later).await), ClientErrorKind::Internal);
    }

    /// Tells when it is dropped.
    struct Told(Option<oneshot::Sender<()>>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.take().map(|told| told.send(()));
        }
    }

    #[tokio::test]
    async fn what_is_spawned_ends_with_the_wait_for_it() {
        let (told, ended) = oneshot::channel();
        let told = Told(Some(told));
        let work = spawned(async move {
            let _told = told;
            pending::<Result<(), _>>().await
        });
        assert!(timeout(Duration::from_millis(50), work).await.is_err());
        timeout(Duration::from_secs(5), ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_is_handed_over_goes_on_when_the_wait_is_given_up() {
        let (sender, done) = oneshot::channel();
        let work = handed_over(async move {
            sleep(Duration::from_millis(100)).await;
            sender.send(()).unwrap();
            Ok(())
        });
        assert!(timeout(Duration::from_millis(10), work).await.is_err());
        timeout(Duration::from_secs(5), done).await.unwrap().unwrap();
    }
}
