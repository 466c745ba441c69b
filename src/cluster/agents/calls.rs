//! The three requests of an agent: authenticated, read, and passed to the job's actor.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use weir_api::agent::{
    CLAIM_PATH, COMPLETE_PATH, Claim, ClaimAnswer, Claimant, Complete, CompleteAnswer, EXITED_PATH, Exited,
    ExitedAnswer,
};
use weir_api::limits::REPORT_BYTES_MAX;

use super::auth::{PodIdentity, Review, ReviewError};
use super::sessions::Sessions;
use crate::limits::{AGENT_BODY_TIME, CLAIM_BYTES_MAX, CLAIM_HOLD, REPORT_BYTES_INLINE, REPORT_HOLD, REPORTS_KIB_MAX};
use crate::registry::{AgentCall, Message, Registry};

/// What all connections share.
#[derive(Debug)]
pub struct Calls<R> {
    /// Who speaks.
    sessions: Sessions<R>,
    /// To whom.
    registry: Registry,
    /// Whether the operator leads and knows every job: only then the absence of an actor means something.
    knows_all_jobs: watch::Receiver<bool>,
    /// Whether the operator stops.
    stopping: watch::Receiver<bool>,
    /// KiB of reports that may still come in.
    room: Arc<Semaphore>,
}

/// A request that is not answered. The agent sees status and message.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no token.
    #[error("the request has no bearer token")]
    NoToken,
    /// It does not say who speaks.
    #[error(transparent)]
    Token(#[from] ReviewError),
    /// The length is not known before the body.
    #[error("the request does not say its length")]
    NoLength,
    /// Too long.
    #[error("the request has {length} bytes; at most {most} are read")]
    TooLong {
        /// Bytes as announced.
        length: usize,
        /// Bytes at most.
        most: usize,
    },
    /// It broke off, or came too slowly.
    #[error("the request did not come to its end: {0}")]
    Broken(String),
    /// Not the protocol.
    #[error("the request is not understood: {0}")]
    Malformed(String),
    /// In the name of another pod.
    #[error("the token belongs to pod `{pod}` with uid {uid}, which cannot speak for the pod with uid {claimed}")]
    NotYours {
        /// Whose token.
        pod: String,
        /// Its uid.
        uid: String,
        /// Of the claimant.
        claimed: String,
    },
    /// There is no such job any more.
    #[error("superseded: there is no unfinished job with run id {0}")]
    Superseded(String),
    /// Somebody else can answer, or this operator later.
    #[error("not now: {0}")]
    NotNow(&'static str),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::Token(ReviewError::Refused(_)) => StatusCode::UNAUTHORIZED,
            Self::Token(ReviewError::Unavailable(_)) | Self::NotNow(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoLength => StatusCode::LENGTH_REQUIRED,
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotYours { .. } => StatusCode::FORBIDDEN,
            Self::Superseded(_) => StatusCode::GONE,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        tracing::debug!(status = status.as_u16(), reason = %self, "an agent is not answered");
        // What is left of the body may be long, and the next try may be for another replica.
        (status, [(header::CONNECTION, "close")], self.to_string()).into_response()
    }
}

/// One of the three.
trait Question: DeserializeOwned + Send + 'static {
    type Answer: Serialize + Send;
    /// Bytes at most.
    const BYTES_MAX: usize;
    /// How long the actor may take.
    const HOLD: Duration;

    /// In whose name. An error is a contradiction.
    fn claimant(&self) -> Result<&Claimant, &'static str>;

    /// For the actor.
    fn call(self, answer: oneshot::Sender<Self::Answer>) -> AgentCall;

    /// What is answered when the actor takes longer.
    fn meanwhile() -> Option<Self::Answer>;
}

impl Question for Claim {
    type Answer = ClaimAnswer;
    const BYTES_MAX: usize = CLAIM_BYTES_MAX;
    const HOLD: Duration = CLAIM_HOLD;

    fn claimant(&self) -> Result<&Claimant, &'static str> {
        Ok(&self.claimant)
    }

    fn call(self, answer: oneshot::Sender<ClaimAnswer>) -> AgentCall {
        AgentCall::Claim(self, answer)
    }

    fn meanwhile() -> Option<ClaimAnswer> {
        Some(ClaimAnswer::Wait {})
    }
}

impl Question for Exited {
    type Answer = ExitedAnswer;
    const BYTES_MAX: usize = REPORT_BYTES_MAX;
    const HOLD: Duration = REPORT_HOLD;

    fn claimant(&self) -> Result<&Claimant, &'static str> {
        Ok(&self.claimant)
    }

    fn call(self, answer: oneshot::Sender<ExitedAnswer>) -> AgentCall {
        AgentCall::Exited(Box::new(self), answer)
    }

    fn meanwhile() -> Option<ExitedAnswer> {
        None
    }
}

impl Question for Complete {
    type Answer = CompleteAnswer;
    const BYTES_MAX: usize = REPORT_BYTES_MAX;
    const HOLD: Duration = REPORT_HOLD;

    fn claimant(&self) -> Result<&Claimant, &'static str> {
        if self.exited.claimant == self.claimant { Ok(&self.claimant) } else { Err("`exited` is of another claimant") }
    }

    fn call(self, answer: oneshot::Sender<CompleteAnswer>) -> AgentCall {
        AgentCall::Complete(Box::new(self), answer)
    }

    fn meanwhile() -> Option<CompleteAnswer> {
        None
    }
}

impl<R: Review> Calls<R> {
    /// Calls of pods that `reviewer` knows, for the actors in `registry`. `knows_all_jobs` is true while this operator
    /// leads and every unfinished job has its actor; `stopping` ends waiting claims.
    pub fn new(
        reviewer: R,
        registry: Registry,
        knows_all_jobs: watch::Receiver<bool>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(REPORTS_KIB_MAX as usize));
        Self { sessions: Sessions::new(reviewer), registry, knows_all_jobs, stopping, room }
    }

    /// The protocol's routes.
    pub fn router(self) -> Router {
        Router::new()
            .route(CLAIM_PATH, post(answer::<R, Claim>))
            .route(EXITED_PATH, post(answer::<R, Exited>))
            .route(COMPLETE_PATH, post(answer::<R, Complete>))
            .with_state(Arc::new(self))
    }

    /// Reads a question of `identity`. The permit is its share of the memory for reports.
    async fn read<Q: Question>(
        &self,
        identity: &PodIdentity,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Q, OwnedSemaphorePermit), Refusal> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length: usize = length.ok_or(Refusal::NoLength)?;
        if length > Q::BYTES_MAX {
            return Err(Refusal::TooLong { length, most: Q::BYTES_MAX });
        }
        let kib = u32::try_from(length.div_ceil(1 << 10)).unwrap_or(REPORTS_KIB_MAX);
        let room = timeout(AGENT_BODY_TIME, Arc::clone(&self.room).acquire_many_owned(kib)).await;
        let Ok(Ok(room)) = room else { return Err(Refusal::NotNow("too many reports at the same time")) };
        let bytes = timeout(AGENT_BODY_TIME, to_bytes(body, length)).await;
        let bytes = bytes.map_err(broken)?.map_err(broken)?;
        let question: Q = if length > REPORT_BYTES_INLINE {
            tokio::task::spawn_blocking(move || serde_json::from_slice(&bytes)).await.map_err(broken)?
        } else {
            serde_json::from_slice(&bytes)
        }
        .map_err(|error| Refusal::Malformed(error.to_string()))?;
        let claimant = question.claimant().map_err(|reason| Refusal::Malformed(reason.to_owned()))?;
        if claimant.pod_uid != identity.uid {
            return Err(Refusal::NotYours {
                pod: format!("{}/{}", identity.namespace, identity.name),
                uid: identity.uid.clone(),
                claimed: claimant.pod_uid.clone(),
            });
        }
        Ok((question, room))
    }

    /// Passes a question of a pod in `namespace` to the actor of its job.
    async fn ask<Q: Question>(&self, namespace: &str, question: Q) -> Result<Q::Answer, Refusal> {
        let run_id = question.claimant().map_err(|reason| Refusal::Malformed(reason.to_owned()))?.run_id.clone();
        // Looked at before the registry: what is known now was complete then.
        let knows_all_jobs = *self.knows_all_jobs.borrow();
        let Some(mailbox) = self.registry.find(namespace, &run_id) else {
            return Err(if !knows_all_jobs {
                Refusal::NotNow("this operator does not lead, or does not know all jobs yet")
            } else if self.registry.is_expected(namespace, &run_id) {
                Refusal::NotNow("the job is being taken up")
            } else {
                Refusal::Superseded(run_id)
            });
        };
        let deadline = Instant::now() + Q::HOLD;
        let late = || Q::meanwhile().ok_or(Refusal::NotNow("the job is busy"));
        let (sender, receiver) = oneshot::channel();
        match timeout_at(deadline, mailbox.send(Message::Agent(question.call(sender)))).await {
            Err(_) => return late(),
            Ok(Err(_)) => return Err(Refusal::NotNow("the job is ending")),
            Ok(Ok(())) => {}
        }
        match timeout_at(deadline, receiver).await {
            Err(_) => late(),
            Ok(Err(_)) => Err(Refusal::NotNow("the job cannot answer")),
            Ok(Ok(answer)) => Ok(answer),
        }
    }
}

async fn answer<R: Review, Q: Question>(
    State(calls): State<Arc<Calls<R>>>,
    request: Request,
) -> Result<Json<Q::Answer>, Refusal> {
    let (head, body) = request.into_parts();
    let token = bearer(&head.headers).ok_or(Refusal::NoToken)?;
    let identity = calls.sessions.identify(token).await?;
    let (question, _room) = calls.read::<Q>(&identity, &head.headers, body).await?;
    let mut stopping = calls.stopping.clone();
    let can_wait = Q::meanwhile().is_some();
    tokio::select! {
        answered = calls.ask(&identity.namespace, question) => answered.map(Json),
        // Reports under way are worth the grace; a claim asks somebody else.
        _ = stopping.wait_for(|stopping| *stopping), if can_wait => Err(Refusal::NotNow("this operator stops")),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn broken(error: impl Display) -> Refusal {
    Refusal::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    struct Nobody;

    impl Review for Nobody {
        async fn review(&self, _: &str) -> Result<PodIdentity, ReviewError> {
            Err(ReviewError::Refused("nobody is known".to_owned()))
        }
    }

    fn calls(registry: Registry) -> Calls<Nobody> {
        Calls::new(Nobody, registry, watch::channel(true).1, watch::channel(false).1)
    }

    fn claim() -> Claim {
        Claim { claimant: Claimant { run_id: "r".to_owned(), incarnation: 1, pod_uid: "u".to_owned() } }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_nobody_answers_is_told_to_wait() {
        let (mailbox, mut messages) = mpsc::channel(1);
        let registry = Registry::default();
        registry.insert("n", "r", mailbox);
        let calls = calls(registry);
        let begin = Instant::now();
        assert_eq!(calls.ask("n", claim()).await.unwrap(), ClaimAnswer::Wait {});
        assert_eq!(begin.elapsed(), CLAIM_HOLD);
        // The mailbox is full now, which is no different.
        assert_eq!(calls.ask("n", claim()).await.unwrap(), ClaimAnswer::Wait {});
        let Some(Message::Agent(AgentCall::Claim(_, answer))) = messages.recv().await else { panic!("no claim") };
        // An actor sees who has left.
        assert!(answer.is_closed());
    }

    #[tokio::test]
    async fn an_agent_of_a_job_that_is_being_taken_up_asks_again_i1() {
        let registry = Registry::default();
        let calls = calls(registry.clone());
        let asked = async || calls.ask("n", claim()).await.unwrap_err().status();
        assert_eq!(asked().await, StatusCode::GONE);
        registry.expect("n", "r");
        assert_eq!(asked().await, StatusCode::SERVICE_UNAVAILABLE);
        // A pod of another namespace is nobody's.
        let stranger = calls.ask("other", claim()).await.unwrap_err().status();
        assert_eq!(stranger, StatusCode::GONE);
        registry.remove("n", "r");
        assert_eq!(asked().await, StatusCode::GONE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_that_nobody_answers_is_refused_for_now() {
        let (mailbox, _messages) = mpsc::channel(1);
        let registry = Registry::default();
        registry.insert("n", "r", mailbox);
        let report = serde_json::json!({"claimant": claim().claimant, "ending": {"code": 0}, "hints": {},
            "usage": {"cpuSeconds": 0.0, "memoryPeakBytes": 0, "startedMs": 1, "finishedMs": 2, "stageInMs": 0},
            "listing": {"entries": []}});
        let report: Exited = serde_json::from_value(report).unwrap();
        let begin = Instant::now();
        let refusal = calls(registry).ask("n", report).await.unwrap_err();
        assert_eq!((refusal.status(), begin.elapsed()), (StatusCode::SERVICE_UNAVAILABLE, REPORT_HOLD));
    }

    #[test]
    fn a_token_is_found_whatever_the_case_of_its_scheme() {
        let bearer_of = |value: &str| {
            let headers: HeaderMap = [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect();
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(bearer_of("bearer  a.b.c "), Some("a.b.c".to_owned()));
        assert_eq!((bearer_of("Basic eDp5"), bearer_of("Bearer "), bearer_of("x")), (None, None, None));
    }
}
