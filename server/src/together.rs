//! Reads that many want at the same time, done in one go: at the door, and where streams open. Like the writer it has no timer:
//! whoever comes alone is answered at once, and in a crowd whatever has gathered while the reads before were under way goes together.
//!
//! Always true: every question gets an answer of its own; one that makes a read fail does not spoil it for the others, and
//! whoever asked may go away without any of them noticing. That the database is away is told to all at once.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{Error, Result};

/// Questions of one read. A person may be in thousands of rooms and a room have missed half a megabyte, so that many more would
/// make those at the front wait for those at the back, and hold memory.
const MOST: usize = 32;

/// Questions that wait; whoever brings one more waits with it. Each call and each stream has one at a time.
const WAITING: usize = 1_024;

type Read<Q, A> = dyn Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync;

/// Where one asks.
#[derive(Debug)]
pub struct Together<Q, A> {
    questions: mpsc::Sender<Asked<Q, A>>,
}

impl<Q, A> Clone for Together<Q, A> {
    fn clone(&self) -> Self {
        Self { questions: self.questions.clone() }
    }
}

#[derive(Debug)]
struct Asked<Q, A> {
    question: Q,
    answer: oneshot::Sender<Result<A>>,
}

impl<Q: Clone + Send + Sync + 'static, A: Send + 'static> Together<Q, A> {
    /// Reads by this, as many times at once as there are turns; it answers each question in the place where it stood. Ends with
    /// the last one who may ask.
    pub fn start<F>(turns: Arc<Semaphore>, read: F) -> Self
    where
        F: Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync + 'static,
    {
        let (questions, asked) = mpsc::channel(WAITING);
        tokio::spawn(gather(turns, asked, Arc::new(read)));
        Self { questions }
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, question: Q) -> Result<A> {
        let (answer, answered) = oneshot::channel();
        let ended = || Error::Internal("nobody reads any more".into());
        self.questions.send(Asked { question, answer }).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// The same for who waits no longer than this: the database is away, if it takes longer.
    pub async fn ask_within(&self, patience: Duration, question: Q) -> Result<A> {
        tokio::time::timeout(patience, self.ask(question)).await.unwrap_or_else(|_| Err(Error::database_away()))
    }
}

async fn gather<Q, A>(turns: Arc<Semaphore>, mut asked: mpsc::Receiver<Asked<Q, A>>, read: Arc<Read<Q, A>>)
where
    Q: Clone + Send + Sync + 'static,
    A: Send + 'static,
{
    while let Some(first) = asked.recv().await {
        // Never closed.
        let turn = Arc::clone(&turns).acquire_owned().await;
        let mut all = vec![first];
        while all.len() < MOST
            && let Ok(next) = asked.try_recv()
        {
            all.push(next);
        }
        all.retain(|asked| !asked.answer.is_closed());
        let read = Arc::clone(&read);
        tokio::spawn(async move {
            answer(all, &*read).await;
            drop(turn);
        });
    }
}

async fn answer<Q: Clone, A>(asked: Vec<Asked<Q, A>>, read: &Read<Q, A>) {
    let questions: Vec<Q> = asked.iter().map(|asked| asked.question.clone()).collect();
    let together = if questions.len() > 1 { Some(read(questions).await) } else { None };
    match together {
        Some(Ok(answers)) => asked.into_iter().zip(answers).for_each(|(asked, answer)| asked.tell(answer)),
        Some(Err(error)) if error.is_passing() => {
            for asked in asked {
                asked.tell(Err(Error::database_away()));
            }
        }
        // Each alone learns what is wrong with its own.
        Some(Err(_)) | None => {
            let alone = asked.into_iter().map(async |one| {
                let answer = alone(&one, read).await;
                one.tell(answer);
            });
            join_all(alone).await;
        }
    }
}

async fn alone<Q: Clone, A>(asked: &Asked<Q, A>, read: &Read<Q, A>) -> Result<A> {
    let answer = read(vec![asked.question.clone()]).await?.pop();
    answer.unwrap_or_else(|| Err(Error::Internal("a question without an answer".into())))
}

impl<Q, A> Asked<Q, A> {
    /// Whoever asked may be gone.
    fn tell(self, answer: Result<A>) {
        drop(self.answer.send(answer));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// How many went together, read by read.
    type Sizes = Arc<Mutex<Vec<usize>>>;

    /// Doubles numbers; a read that holds an odd one fails, and to one that holds 0 the database does not answer.
    fn doubling(turns: usize) -> (Together<u32, u32>, Arc<Semaphore>, Sizes) {
        let (turns, sizes) = (Arc::new(Semaphore::new(turns)), Sizes::default());
        let noted = Arc::clone(&sizes);
        let read = move |numbers: Vec<u32>| -> BoxFuture<'static, Result<Vec<Result<u32>>>> {
            noted.lock().expect("not poisoned").push(numbers.len());
            Box::pin(async move {
                if numbers.contains(&0) {
                    return Err(Error::database_away());
                }
                match numbers.iter().find(|number| *number % 2 == 1) {
                    Some(odd) => Err(Error::Internal(format!("{odd} is odd"))),
                    None => Ok(numbers.into_iter().map(|number| Ok(number * 2)).collect()),
                }
            })
        };
        (Together::start(Arc::clone(&turns), read), turns, sizes)
    }

    /// Asks while no read may begin, so that all wait together.
    async fn ask_together(together: &Together<u32, u32>, turns: &Semaphore, numbers: &[u32]) -> Vec<Result<u32>> {
        let held = turns.acquire().await.expect("a turn");
        let asking = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        let answers = join_all(numbers.iter().map(|number| together.ask(*number)));
        tokio::join!(answers, asking).0
    }

    #[tokio::test]
    async fn who_waits_at_the_same_time_is_read_for_at_once() {
        let (together, turns, sizes) = doubling(1);
        assert_eq!(together.ask(2).await.expect("an answer"), 4);
        let numbers: Vec<u32> = (1..=100).map(|number| number * 2).collect();
        let answers = ask_together(&together, &turns, &numbers).await;
        let answers: Vec<u32> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
        assert_eq!(answers, (1..=100).map(|number| number * 4).collect::<Vec<u32>>());
        assert_eq!(*sizes.lock().expect("not poisoned"), [1, MOST, MOST, MOST, 100 - 3 * MOST]);
    }

    #[tokio::test]
    async fn one_that_fails_spoils_nobody_elses_answer() {
        let (together, turns, _) = doubling(1);
        let answers = ask_together(&together, &turns, &[2, 3, 4]).await;
        let answers: Vec<_> = answers.into_iter().map(Result::ok).collect();
        assert_eq!(answers, [Some(4), None, Some(8)]);
    }

    #[tokio::test]
    async fn that_the_database_is_away_is_told_to_all_at_once() {
        let (together, turns, sizes) = doubling(1);
        let answers = ask_together(&together, &turns, &[2, 0, 4]).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(Error::is_passing)), "{answers:?}");
        assert_eq!(*sizes.lock().expect("not poisoned"), [3]);
    }

    #[tokio::test]
    async fn who_does_not_wait_any_longer_is_told_so_and_not_read_for() {
        let (together, turns, sizes) = doubling(1);
        let held = turns.acquire().await.expect("a turn");
        let impatient = together.ask_within(Duration::from_millis(20), 2).await;
        assert!(impatient.is_err_and(|error| error.is_passing()));
        let (stays, ()) = tokio::join!(together.ask(4), async {
            tokio::task::yield_now().await;
            drop(held);
        });
        assert_eq!(stays.expect("an answer"), 8);
        assert_eq!(*sizes.lock().expect("not poisoned"), [1]);
    }
}
