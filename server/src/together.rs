//! Reads that many want at the same time, done in one go: at the door, and where streams open. Like the writer it has no timer:
//! whoever comes alone is answered at once, and in a crowd whatever has gathered while the reads before were under way goes together.
//!
//! Always true: every question gets an answer of its own; one that makes a read fail does not spoil it for the others, and
//! whoever asked may go away without any of them noticing.

use std::sync::Arc;

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
        let read = Arc::clone(&read);
        tokio::spawn(async move {
            answer(all, &*read).await;
            drop(turn);
        });
    }
}

async fn answer<Q: Clone, A>(asked: Vec<Asked<Q, A>>, read: &Read<Q, A>) {
    let questions: Vec<Q> = asked.iter().map(|asked| asked.question.clone()).collect();
    let together = if questions.len() > 1 { read(questions).await.ok() } else { None };
    if let Some(answers) = together {
        asked.into_iter().zip(answers).for_each(|(asked, answer)| asked.tell(answer));
        return;
    }
    // Each alone learns what is wrong with its own.
    let alone = asked.into_iter().map(async |one| {
        let answer = alone(&one, read).await;
        one.tell(answer);
    });
    join_all(alone).await;
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

    /// Doubles numbers; a read that holds an odd one among others fails. Notes what went together.
    fn doubling(turns: usize) -> (Together<u32, u32>, Arc<Semaphore>, Sizes) {
        let (turns, sizes) = (Arc::new(Semaphore::new(turns)), Sizes::default());
        let noted = Arc::clone(&sizes);
        let read = move |numbers: Vec<u32>| -> BoxFuture<'static, Result<Vec<Result<u32>>>> {
            noted.lock().expect("not poisoned").push(numbers.len());
            Box::pin(async move {
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
        let numbers: Vec<u32> = (0..100).map(|number| number * 2).collect();
        let answers = ask_together(&together, &turns, &numbers).await;
        let answers: Vec<u32> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
        assert_eq!(answers, (0..100).map(|number| number * 4).collect::<Vec<u32>>());
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
    async fn who_goes_away_is_missed_by_nobody() {
        let (together, turns, sizes) = doubling(1);
        let held = turns.acquire().await.expect("a turn");
        let gone = tokio::time::timeout(std::time::Duration::from_millis(20), together.ask(2)).await;
        assert!(gone.is_err());
        let stays = together.ask(4);
        drop(held);
        assert_eq!(stays.await.expect("an answer"), 8);
        assert_eq!(sizes.lock().expect("not poisoned").iter().sum::<usize>(), 2);
    }
}
