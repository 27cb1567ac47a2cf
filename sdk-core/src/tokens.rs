//! Access tokens: asked of the host, kept while they are good, renewed before they end.
//!
//! Always true: however many wait, the host is asked once at a time; what it gives is plain ASCII and of the person whose
//! stream is open; a host that hangs, blocks its thread or panics fails a call and holds up nothing else.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::{FutureExt as _, future::Shared};
use serde_json::Value;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
    task::JoinSet,
};

use crate::{
    clock::Clock,
    config::TokenProvider,
    error::{ClientError, ClientErrorKind, LocalReason},
    observe::lock,
};

/// How long the host may take to give a token. As long as a call may take; it may have to ask its issuer.
const PATIENCE: Duration = Duration::from_secs(20);
/// A token is renewed so long before it ends, so that none ends on its way; of one that lives shortly, in its last tenth.
const EARLY: Duration = Duration::from_mins(1);
/// Longest token that is taken. A header of the server's holds 16 KiB.
const LONGEST: usize = 12 << 10;

type Answer = Result<String, ClientError>;
type Asking = Shared<Pin<Box<dyn Future<Output = Answer> + Send>>>;

/// Tokens of one client.
#[derive(Debug)]
pub(crate) struct Tokens {
    provider: Arc<dyn TokenProvider>,
    clock: Arc<dyn Clock>,
    /// The host's turn to answer. One who blocks a thread keeps it, also when nobody waits for it any more: it is one thread,
    /// however often a token is wanted meanwhile.
    turn: Arc<Semaphore>,
    held: Mutex<Held>,
    /// The question that is on its way, and whether it is for a fresh one.
    asking: Mutex<Option<(bool, Asking)>>,
}

/// The last token.
#[derive(Debug, Default)]
struct Held {
    token: String,
    /// When it is to be renewed, by our clock; `None`: that is not known.
    renew_at: Option<SystemTime>,
    /// Whom the token of the open stream is for.
    subject: Option<String>,
}

impl Tokens {
    pub(crate) fn new(provider: Arc<dyn TokenProvider>, clock: Arc<dyn Clock>) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        Self { provider, clock, turn, held: Mutex::default(), asking: Mutex::default() }
    }

    /// A token for a call. Fails with `STORE_OF_ANOTHER` when it is not for the person whose stream is open.
    pub(crate) async fn for_call(&self) -> Result<String, ClientError> {
        let token = self.for_stream().await?;
        let held = lock(&self.held).subject.clone();
        match (held, subject(&token)) {
            (Some(held), Some(given)) if held != given => {
                let message = "the token is another person's";
                Err(ClientError::local(ClientErrorKind::Conflict, LocalReason::StoreOfAnother, message))
            }
            _ => Ok(token),
        }
    }

    /// A token for a stream; whether it is the right person's, the server's Welcome tells.
    pub(crate) async fn for_stream(&self) -> Result<String, ClientError> {
        let token = self.ask(false).await?;
        if !self.is_ending(&token) {
            return Ok(token);
        }
        // One that is good for a moment more is better than none.
        Ok(self.ask(true).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a token that is about to end could not be renewed");
            token
        }))
    }

    /// A token in place of one that was refused. Those who ask at once share one renewal.
    pub(crate) async fn renew(&self, refused: &str) -> Result<String, ClientError> {
        let held = lock(&self.held).token.clone();
        if held.is_empty() || held == refused { self.ask(true).await } else { Ok(held) }
    }

    /// A fresh token, whatever the last one was.
    pub(crate) async fn renew_now(&self) -> Result<String, ClientError> {
        self.ask(true).await
    }

    /// The server has taken this token as that of the store's person.
    pub(crate) fn is_mine(&self, token: &str) {
        lock(&self.held).subject = subject(token);
    }

    /// The host has signed in anew: what is known of tokens is worth nothing, nor is an answer that is on its way.
    pub(crate) fn forget(&self) {
        *lock(&self.asking) = None;
        *lock(&self.held) = Held::default();
    }

    /// Asks the host, or waits for the answer to the same question.
    async fn ask(&self, fresh: bool) -> Result<String, ClientError> {
        let asking = {
            let mut slot = lock(&self.asking);
            // An answer that is there is an old one.
            let joins = slot.as_ref().filter(|(fresher, asking)| *fresher >= fresh && asking.peek().is_none());
            match joins {
                Some((_, asking)) => asking.clone(),
                None => slot.insert((fresh, self.question(fresh))).1.clone(),
            }
        };
        let token = asking.await?;
        self.hold(&token, fresh);
        Ok(token)
    }

    /// Asks the host on a task of its own, so that a panic is its own, and no longer than it may take.
    fn question(&self, fresh: bool) -> Asking {
        let (provider, turn, patience) =
            (Arc::clone(&self.provider), Arc::clone(&self.turn), self.clock.sleep(PATIENCE));
        let ask = async move {
            // Dropped with this question: then nobody waits.
            let (_waits, nobody_waits) = oneshot::channel::<()>();
            let answer = async move {
                let _turn = turn.acquire().await;
                provider.token(fresh).await
            };
            let answer = async move {
                tokio::select! {
                    answer = answer => answer,
                    _ = nobody_waits => Err(late()),
                }
            };
            let mut tasks = JoinSet::new();
            run(&mut tasks, answer);
            tokio::select! {
                answer = tasks.join_next() => match answer {
                    Some(Ok(answer)) => answer.and_then(check),
                    _ => Err(invalid("the host panicked over a token")),
                },
                () = patience => Err(late()),
            }
        };
        ask.boxed().shared()
    }

    fn hold(&self, token: &str, fresh: bool) {
        let mut held = lock(&self.held);
        if held.token != token {
            token.clone_into(&mut held.token);
            held.renew_at = renew_at(token, fresh, self.clock.now());
        } else if fresh {
            // The host has no other: it is good until it is refused.
            held.renew_at = None;
        }
    }

    fn is_ending(&self, token: &str) -> bool {
        let held = lock(&self.held);
        held.token == token && held.renew_at.is_some_and(|at| at <= self.clock.now())
    }
}

/// Runs the host's answer beside everything else, until it is there or nobody waits for it. A runtime of one thread would
/// stand still while the host blocks it, so that there it has a thread that is made for that.
fn run(tasks: &mut JoinSet<Answer>, answer: impl Future<Output = Answer> + Send + 'static) {
    let runtime = Handle::current();
    if runtime.metrics().num_workers() == 1 {
        tasks.spawn_blocking(move || runtime.block_on(answer));
    } else {
        tasks.spawn(answer);
    }
}

fn check(token: String) -> Result<String, ClientError> {
    let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    match () {
        () if token.is_empty() => Err(invalid("the host gave an empty token")),
        () if !plain => Err(invalid("the host gave a token that is not plain ASCII")),
        () if token.len() > LONGEST => Err(invalid("the host gave a token of more than 12 KiB")),
        () => Ok(token),
    }
}

fn late() -> ClientError {
    let message = "the host gave no token in time";
    ClientError::local(ClientErrorKind::Offline, LocalReason::TokenTimeout, message)
}

fn invalid(message: &str) -> ClientError {
    ClientError::local(ClientErrorKind::Unauthenticated, LocalReason::TokenInvalid, message)
}

/// What a token says of itself, if it is a JWT. Not proven: the server does that.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn subject(token: &str) -> Option<String> {
    let claims = claims(token)?;
    Some(format!("{} {}", claims.get("iss")?.as_str()?, claims.get("sub")?.as_str()?))
}

/// When a token is to be renewed, by our clock. Of a fresh one the age is known whatever our clock says; any other is
/// compared with our clock, and if that is wrong one renewal too many puts it right.
fn renew_at(token: &str, fresh: bool, now: SystemTime) -> Option<SystemTime> {
    let claims = claims(token)?;
    let seconds = |name: &str| claims.get(name).and_then(Value::as_u64).map(Duration::from_secs);
    let (exp, iat) = (seconds("exp")?, seconds("iat"));
    let ours = now.duration_since(UNIX_EPOCH).ok()?;
    let life = exp.checked_sub(iat.unwrap_or(ours)).filter(|life| !life.is_zero());
    let early = life.map_or(EARLY, |life| EARLY.min(life / 10));
    match life {
        Some(life) if fresh => Some(now + life.checked_sub(early)?),
        // Ends before it begins, or is over, and the host calls it fresh: the server will say.
        None if fresh => None,
        _ => UNIX_EPOCH.checked_add(exp.saturating_sub(early)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        fmt,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::clock::tests::MovedClock;

    /// A host at which nobody is signed in.
    #[derive(Debug)]
    pub(crate) struct NoTokens;

    #[async_trait::async_trait]
    impl TokenProvider for NoTokens {
        async fn token(&self, _fresh: bool) -> Result<String, ClientError> {
            Err(ClientError::ended())
        }
    }

    /// A host that gives what it is told to, and counts how often it was asked for a fresh one.
    struct Host<F> {
        give: F,
        fresh: AtomicUsize,
    }

    impl<F> fmt::Debug for Host<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Host")
        }
    }

    #[async_trait::async_trait]
    impl<F, R> TokenProvider for Host<F>
    where
        F: Fn(bool, usize) -> R + Send + Sync,
        R: Future<Output = String> + Send,
    {
        async fn token(&self, fresh: bool) -> Result<String, ClientError> {
            if fresh {
                self.fresh.fetch_add(1, Ordering::SeqCst);
            }
            Ok((self.give)(fresh, self.fresh.load(Ordering::SeqCst)).await)
        }
    }

    fn tokens<F, R>(give: F) -> (Arc<Tokens>, Arc<Host<F>>, Arc<MovedClock>)
    where
        F: Fn(bool, usize) -> R + Send + Sync + 'static,
        R: Future<Output = String> + Send + 'static,
    {
        let (host, clock) = (Arc::new(Host { give, fresh: AtomicUsize::new(0) }), Arc::<MovedClock>::default());
        let tokens = Tokens::new(Arc::clone(&host) as _, Arc::clone(&clock) as _);
        (Arc::new(tokens), host, clock)
    }

    fn jwt(sub: &str, iat: u64, exp: u64) -> String {
        let claims = format!(r#"{{"iss":"https://i","sub":"{sub}","iat":{iat},"exp":{exp}}}"#);
        format!("h.{}.s", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    fn now(clock: &MovedClock) -> u64 {
        clock.now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    #[tokio::test]
    async fn many_that_wait_share_one_renewal() {
        let (tokens, host, _) = tokens(async |_, times| {
            tokio::task::yield_now().await;
            format!("token{times}")
        });
        let first = tokens.for_call().await.unwrap();
        let renewed: Vec<_> = (0..100).map(|_| tokens.renew(&first)).collect();
        for token in futures_util::future::join_all(renewed).await {
            assert_eq!(token.unwrap(), "token1");
        }
        // One who comes late with the old one gets the new one.
        assert_eq!(tokens.renew(&first).await.unwrap(), "token1");
        assert_eq!(host.fresh.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn after_a_new_sign_in_no_answer_to_a_question_of_before_is_taken() {
        let times = Arc::new(AtomicUsize::new(0));
        let asked = Arc::clone(&times);
        let (tokens, ..) = tokens(move |_, _| {
            let time = asked.fetch_add(1, Ordering::SeqCst);
            std::future::ready(if time == 0 { "before" } else { "after" }.to_owned())
        });
        assert!(tokens.for_call().now_or_never().is_none(), "whoever asked does not wait");
        while times.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        tokens.forget();
        assert_eq!(tokens.for_call().await.unwrap(), "after");
    }

    #[tokio::test]
    async fn a_host_that_hangs_fails_the_call_in_time_and_is_asked_again_by_the_next() {
        let (tokens, host, clock) = tokens(async |_, _| std::future::pending().await);
        for times in 1..=2 {
            let asked = tokio::join!(tokens.renew_now(), async {
                while host.fresh.load(Ordering::SeqCst) < times {
                    tokio::task::yield_now().await;
                }
                clock.move_by(PATIENCE);
            });
            let error = asked.0.unwrap_err();
            assert_eq!((error.kind, error.local), (ClientErrorKind::Offline, Some(LocalReason::TokenTimeout)));
            assert!(error.may_repeat());
        }
        assert_eq!(host.fresh.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_host_that_blocks_its_thread_holds_up_nobody_else() {
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let (tokens, _, clock) = tokens(move |_, _| {
            let held = Arc::clone(&held);
            async move {
                let _ = lock(&held).recv();
                String::from("late")
            }
        });
        let asked = tokio::join!(tokens.renew_now(), async {
            clock.until_sleeping(1).await;
            clock.move_by(PATIENCE);
        });
        assert_eq!(asked.0.unwrap_err().local, Some(LocalReason::TokenTimeout));
        drop(let_go);
    }

    #[tokio::test]
    async fn a_host_that_blocks_the_only_thread_holds_up_nobody_and_is_asked_again_when_it_lets_go() {
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let held = Mutex::new(held);
        let (tokens, host, clock) = tokens(move |_, times| {
            let _ = lock(&held).recv();
            std::future::ready(format!("token{times}"))
        });
        for _ in 0..3 {
            let asked = tokio::join!(tokens.renew_now(), async {
                while host.fresh.load(Ordering::SeqCst) == 0 || clock.sleepers() == 0 {
                    tokio::task::yield_now().await;
                }
                clock.move_by(PATIENCE);
            });
            assert_eq!(asked.0.unwrap_err().local, Some(LocalReason::TokenTimeout));
        }
        assert_eq!(host.fresh.load(Ordering::SeqCst), 1, "it blocks one thread, however often it is wanted");
        drop(let_go);
        assert_eq!(tokens.renew_now().await.unwrap(), "token2");
    }

    #[tokio::test]
    async fn rubbish_and_panics_of_the_host_are_told_as_such() {
        for rubbish in ["", "with space", "\u{ac00}", "line\n", &"x".repeat(LONGEST + 1)] {
            let rubbish = rubbish.to_owned();
            let (tokens, ..) = tokens(move |_, _| std::future::ready(rubbish.clone()));
            let error = tokens.for_call().await.unwrap_err();
            assert_eq!((error.kind, error.local), (ClientErrorKind::Unauthenticated, Some(LocalReason::TokenInvalid)));
        }
        let (tokens, ..) = tokens(async |_, _| panic!("on purpose"));
        assert_eq!(tokens.for_call().await.unwrap_err().local, Some(LocalReason::TokenInvalid));
    }

    #[tokio::test]
    async fn a_token_is_renewed_before_it_ends_whatever_our_clock_says() {
        // The issuer's clock is years behind ours, ours years behind, or right.
        for issuer in [1_700_000_000, 1_800_000_000, 1_900_000_000_u64] {
            let (tokens, host, clock) = tokens(move |_, times| {
                let issued = issuer + 240 * times as u64;
                std::future::ready(jwt("ann", issued, issued + 300))
            });
            tokens.renew_now().await.unwrap();
            tokens.for_call().await.unwrap();
            assert_eq!(host.fresh.load(Ordering::SeqCst), 1, "it is good");
            clock.move_by(Duration::from_secs(265));
            tokens.for_call().await.unwrap();
            tokens.for_call().await.unwrap();
            assert_eq!(host.fresh.load(Ordering::SeqCst), 1, "of five minutes the last tenth has not begun");
            clock.move_by(Duration::from_secs(10));
            let before = tokens.for_call().await.unwrap();
            assert_eq!(host.fresh.load(Ordering::SeqCst), 2);
            assert_eq!(tokens.for_call().await.unwrap(), before);
            assert_eq!(host.fresh.load(Ordering::SeqCst), 2, "and once");
        }
    }

    #[tokio::test]
    async fn a_host_that_has_no_other_token_is_not_asked_at_every_call() {
        let over = Arc::<MovedClock>::default();
        let token = jwt("ann", now(&over) - 900, now(&over) - 600);
        let (tokens, host, _) = tokens(move |_, _| std::future::ready(token.clone()));
        for _ in 0..5 {
            tokens.for_call().await.unwrap();
        }
        assert_eq!(host.fresh.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn somebody_elses_token_makes_no_call_in_ones_own_name() {
        let who = Arc::new(Mutex::new("ann"));
        let given = Arc::clone(&who);
        let (tokens, ..) = tokens(move |_, _| std::future::ready(jwt(&lock(&given), 1_800_000_000, 1_800_000_300)));
        tokens.is_mine(&tokens.for_stream().await.unwrap());
        tokens.for_call().await.unwrap();
        *lock(&who) = "bob";
        let error = tokens.for_call().await.unwrap_err();
        assert_eq!(error.local, Some(LocalReason::StoreOfAnother));
        assert!(error.is_before_the_wire());
    }
}
