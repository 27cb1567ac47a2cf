//! Reads that many streams want at the same time, done in one go. Like the writer it has no timer: a stream that comes alone is
//! read at once, and in a crowd whatever has gathered while the reads before were under way goes together.
//!
//! Always true: every question gets an answer of its own; one that makes a read fail does not spoil it for the others, and
//! whoever asked may go away without any of them noticing.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{mpsc, oneshot};

use crate::{
    database::Database,
    error::{Error, Result},
};

/// Questions of one read. A person may be in thousands of rooms and a room have missed half a megabyte, so that many more would
/// make those at the front wait for those at the back, and hold memory.
const MOST: usize = 32;

/// Questions that wait; whoever brings one more waits with it. Each stream has one at a time.
const WAITING: usize = 1_024;

type Read<Q, A> = dyn Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync;

/// Where streams ask.
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
    /// Reads by this, which answers each question in the place where it stood. Ends with the last one who may ask.
    pub fn start<F>(database: Database, read: F) -> Self
    where
        F: Fn(Vec<Q>) -> BoxFuture<'static, Result<Vec<Result<A>>>> + Send + Sync + 'static,
    {
        let (questions, asked) = mpsc::channel(WAITING);
        tokio::spawn(gather(database, asked, Arc::new(read)));
        Self { questions }
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, question: Q) -> Result<A> {
        let (answer, answered) = oneshot::channel();
        let ended = || Error::Internal("nobody reads for streams any more".into());
        self.questions.send(Asked { question, answer }).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

async fn gather<Q, A>(database: Database, mut asked: mpsc::Receiver<Asked<Q, A>>, read: Arc<Read<Q, A>>)
where
    Q: Clone + Send + Sync + 'static,
    A: Send + 'static,
{
    while let Some(first) = asked.recv().await {
        let turn = database.stream_turn().await;
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
    match together {
        Some(answers) => asked.into_iter().zip(answers).for_each(|(asked, answer)| asked.tell(answer)),
        // Each alone learns what is wrong with its own.
        None => {
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
