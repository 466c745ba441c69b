//! Whose token it is, remembered for a while: one review a token, however often and however concurrently it is shown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::auth::{PodIdentity, Review, ReviewError, time_left};
use crate::limits::{REVIEW_TIME, REVIEWS, SESSION_TIME, SESSIONS, TOKEN_BYTES_MAX};

/// Tokens are not kept, only their digests.
type TokenDigest = [u8; 32];
type Verdict = Result<Arc<PodIdentity>, ReviewError>;

/// The pods that have proven who they are. Shared by all connections.
#[derive(Debug)]
pub struct Sessions<R> {
    reviewer: Arc<R>,
    turns: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Reviews under way. At most one a connection.
    reviewing: HashMap<TokenDigest, Shared<BoxFuture<'static, Verdict>>>,
    known: Recent<Session>,
}

#[derive(Debug, Clone)]
struct Session {
    identity: Arc<PodIdentity>,
    until: Instant,
}

impl<R: Review> Sessions<R> {
    /// Nobody is known yet.
    pub fn new(reviewer: R) -> Self {
        Self {
            reviewer: Arc::new(reviewer),
            turns: Arc::new(Semaphore::new(REVIEWS)),
            state: Arc::new(Mutex::new(State { reviewing: HashMap::new(), known: Recent::new(SESSIONS) })),
        }
    }

    /// Whose token this is. A review goes on though the connection that has asked for it is closed.
    pub async fn identify(&self, token: &str) -> Verdict {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(ReviewError::Refused(format!("the token has more than {TOKEN_BYTES_MAX} bytes")));
        }
        let digest: TokenDigest = Sha256::digest(token).into();
        let review = {
            let mut state = lock(&self.state);
            if let Some(session) = state.known.get(&digest).filter(|session| Instant::now() < session.until) {
                return Ok(session.identity);
            }
            if let Some(review) = state.reviewing.get(&digest) {
                review.clone()
            } else {
                let review = self.begin(digest, token.to_owned());
                state.reviewing.insert(digest, review.clone());
                tokio::spawn(review.clone());
                review
            }
        };
        review.await
    }

    fn begin(&self, digest: TokenDigest, token: String) -> Shared<BoxFuture<'static, Verdict>> {
        let (reviewer, turns, state) = (Arc::clone(&self.reviewer), Arc::clone(&self.turns), Arc::clone(&self.state));
        let unavailable = |reason: &str| ReviewError::Unavailable(reason.to_owned());
        let reviewing = async move {
            // A task of its own: a defect in it ends it alone.
            let task = tokio::spawn(async move {
                let in_turn = async {
                    let _turn = turns.acquire().await;
                    reviewer.review(&token).await
                };
                let verdict = tokio::time::timeout(REVIEW_TIME, in_turn).await;
                let verdict = verdict.unwrap_or_else(|_| Err(unavailable("the API server does not answer")));
                (verdict, time_left(&token, SystemTime::now()).min(SESSION_TIME))
            });
            let (verdict, time) = task.await.unwrap_or_else(|_| (Err(unavailable("it failed")), Duration::ZERO));
            let verdict = verdict.map(Arc::new);
            let mut state = lock(&state);
            state.reviewing.remove(&digest);
            if let Ok(identity) = &verdict {
                let session = Session { identity: Arc::clone(identity), until: Instant::now() + time };
                state.known.insert(digest, session);
            }
            verdict
        };
        reviewing.boxed().shared()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was asked for of late. Two generations: when the young one is full it becomes the old one, and what nobody has
/// asked for since then is forgotten.
#[derive(Debug)]
struct Recent<V> {
    generation: usize,
    young: HashMap<TokenDigest, V>,
    old: HashMap<TokenDigest, V>,
}

impl<V> Recent<V> {
    /// Remembers `most` values at most.
    fn new(most: usize) -> Self {
        Self { generation: most / 2, young: HashMap::new(), old: HashMap::new() }
    }

    fn insert(&mut self, key: TokenDigest, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.generation && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

impl<V: Clone> Recent<V> {
    fn get(&mut self, key: &TokenDigest) -> Option<V> {
        if let Some(value) = self.old.remove(key) {
            self.insert(*key, value);
        }
        self.young.get(key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// Knows every token but `stranger`; counts.
    #[derive(Debug, Default)]
    struct Reviewer {
        asked: AtomicUsize,
        go: Option<Notify>,
        is_away: bool,
    }

    impl Review for Reviewer {
        async fn review(&self, token: &str) -> Result<PodIdentity, ReviewError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if let Some(go) = &self.go {
                go.notified().await;
            }
            assert_ne!(token, "defect");
            match token {
                _ if self.is_away => Err(ReviewError::Unavailable("away".to_owned())),
                "stranger" => Err(ReviewError::Refused("no".to_owned())),
                _ => Ok(PodIdentity { namespace: "n".to_owned(), name: "p".to_owned(), uid: token.to_owned() }),
            }
        }
    }

    /// A token that is good until the year 2255.
    const TOKEN: &str = "e30.eyJleHAiOiA5MDAwMDAwMDAwfQ.x";

    fn asked(sessions: &Sessions<Reviewer>) -> usize {
        sessions.reviewer.asked.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn a_token_is_reviewed_once_however_many_ask() {
        let sessions = Arc::new(Sessions::new(Reviewer { go: Some(Notify::new()), ..Reviewer::default() }));
        let ask = || {
            let sessions = Arc::clone(&sessions);
            tokio::spawn(async move { sessions.identify(TOKEN).await })
        };
        let (gone, others) = (ask(), (0..50).map(|_| ask()).collect::<Vec<_>>());
        while asked(&sessions) == 0 {
            tokio::task::yield_now().await;
        }
        // The first to ask leaves before there is an answer.
        gone.abort();
        sessions.reviewer.go.as_ref().unwrap().notify_one();
        for other in others {
            assert_eq!(other.await.unwrap().unwrap().uid, TOKEN);
        }
        assert!(sessions.identify(TOKEN).await.is_ok());
        assert_eq!(asked(&sessions), 1);
        assert!(lock(&sessions.state).reviewing.is_empty());
    }

    #[tokio::test]
    async fn refusals_outages_and_defects_are_not_remembered() {
        let sessions = Sessions::new(Reviewer::default());
        for times in 1..3 {
            assert_eq!(sessions.identify("stranger").await, Err(ReviewError::Refused("no".to_owned())));
            assert_eq!(asked(&sessions), times);
        }
        assert!(matches!(sessions.identify("defect").await, Err(ReviewError::Unavailable(_))));
        assert!(lock(&sessions.state).reviewing.is_empty());
        let away = Sessions::new(Reviewer { is_away: true, ..Reviewer::default() });
        assert_eq!(away.identify(TOKEN).await, Err(ReviewError::Unavailable("away".to_owned())));
        assert_eq!(away.identify(TOKEN).await, Err(ReviewError::Unavailable("away".to_owned())));
        let long = "x".repeat(TOKEN_BYTES_MAX + 1);
        assert!(matches!(away.identify(&long).await, Err(ReviewError::Refused(_))));
    }

    #[tokio::test]
    async fn a_token_that_does_not_say_how_long_it_is_good_is_reviewed_every_time() {
        let sessions = Sessions::new(Reviewer::default());
        sessions.identify("opaque").await.unwrap();
        sessions.identify("opaque").await.unwrap();
        assert_eq!(asked(&sessions), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_is_away() {
        let sessions = Sessions::new(Reviewer { go: Some(Notify::new()), ..Reviewer::default() });
        assert!(matches!(sessions.identify(TOKEN).await, Err(ReviewError::Unavailable(_))));
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let key = |number: u8| [number; 32];
        let mut recent = Recent::new(8);
        recent.insert(key(0), 0);
        for number in 1..100 {
            recent.insert(key(number), number);
            assert_eq!(recent.get(&key(0)), Some(0));
            assert!(recent.young.len() + recent.old.len() <= 8);
        }
        assert_eq!(recent.get(&key(99)), Some(99));
        assert_eq!(recent.get(&key(50)), None);
    }
}
