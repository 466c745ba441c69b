//! The agent's side of the protocol: asks until it is answered.

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_api::agent::{
    AgentOrder, CLAIM_PATH, COMPLETE_PATH, Claim, ClaimAnswer, Claimant, Complete, CompleteAnswer, EXITED_PATH, Exited,
    ExitedAnswer,
};
use weir_api::limits::REPORT_BYTES_MAX;

use crate::backoff::Backoff;
use crate::limits::{ANSWER_BYTES_MAX, CLAIM_TIMEOUT, OPERATOR_TIMEOUT, REFUSED_MAX};

/// Polls that end sooner than this are spaced out.
const POLL_MIN: Duration = Duration::from_millis(100);
/// Characters of an error's body that a message quotes.
const QUOTED_MAX: usize = 300;

/// Why the agent must stop asking.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// Another pod has the claim.
    #[error("superseded: another pod has the claim, or the step is over")]
    Superseded,
    /// More than the operator reads. Asking again would not help.
    #[error("a report of {0} bytes; the operator reads {REPORT_BYTES_MAX}")]
    TooLong(usize),
    /// The operator refuses this agent, and went on to do so.
    #[error("the operator refuses {path} with status {status}: {message}")]
    Refused {
        /// Of the request.
        path: &'static str,
        /// HTTP status.
        status: u16,
        /// The body's beginning.
        message: String,
    },
    /// The operator says something that is no answer.
    #[error("the operator's answer to {path} is not understood: {message}")]
    Answer {
        /// Of the request.
        path: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// The operator, as this agent knows it.
#[derive(Debug)]
pub struct Operator {
    http: ureq::Agent,
    url: String,
    token_file: PathBuf,
    claimant: Claimant,
}

/// What one request came to.
enum Reply {
    Answer(Vec<u8>),
    /// No connection, or the operator is not itself.
    Unavailable(String),
    Refused {
        status: u16,
        message: String,
    },
}

impl Operator {
    /// Speaks for `claimant` to the operator at `url`.
    pub fn new(http: ureq::Agent, url: String, token_file: PathBuf, claimant: Claimant) -> Self {
        Self { http, url, token_file, claimant }
    }

    /// In whose name it speaks.
    pub fn claimant(&self) -> &Claimant {
        &self.claimant
    }

    /// Waits for the work order.
    pub fn claim(&self) -> Result<AgentOrder, OperatorError> {
        let claim = Claim { claimant: self.claimant.clone() };
        loop {
            let asked = Instant::now();
            match self.post(CLAIM_PATH, &claim, CLAIM_TIMEOUT)? {
                ClaimAnswer::Order(order) => return Ok(*order),
                ClaimAnswer::Superseded {} => return Err(OperatorError::Superseded),
                ClaimAnswer::Wait {} => std::thread::sleep(POLL_MIN.saturating_sub(asked.elapsed())),
            }
        }
    }

    /// Reports the end of the tool.
    pub fn exited(&self, exited: &Exited) -> Result<ExitedAnswer, OperatorError> {
        match self.post(EXITED_PATH, exited, OPERATOR_TIMEOUT)? {
            ExitedAnswer::Superseded {} => Err(OperatorError::Superseded),
            answer => Ok(answer),
        }
    }

    /// Reports that everything is uploaded; returns once this is durable.
    pub fn complete(&self, complete: &Complete) -> Result<(), OperatorError> {
        match self.post(COMPLETE_PATH, complete, OPERATOR_TIMEOUT)? {
            CompleteAnswer::Done {} => Ok(()),
            CompleteAnswer::Superseded {} => Err(OperatorError::Superseded),
        }
    }

    /// Asks until there is an answer. An operator that is away is waited for as long as the pod lives; the journal knows
    /// what it has acknowledged.
    fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &'static str,
        question: &Q,
        time: Duration,
    ) -> Result<A, OperatorError> {
        let not_understood = |error: serde_json::Error| OperatorError::Answer { path, message: error.to_string() };
        let body = serde_json::to_vec(question).map_err(not_understood)?;
        if body.len() > REPORT_BYTES_MAX {
            return Err(OperatorError::TooLong(body.len()));
        }
        let mut backoff = Backoff::default();
        let mut refused_since: Option<Instant> = None;
        let mut was_told = false;
        loop {
            match self.ask(path, &body, time) {
                Reply::Answer(answer) => return serde_json::from_slice(&answer).map_err(not_understood),
                Reply::Unavailable(reason) => {
                    refused_since = None;
                    if !was_told {
                        was_told = true;
                        eprintln!("weir-agent: the operator does not answer {path} ({reason}); trying on");
                    }
                }
                Reply::Refused { status: 410, .. } => return Err(OperatorError::Superseded),
                Reply::Refused { status, message } => {
                    if refused_since.get_or_insert_with(Instant::now).elapsed() >= REFUSED_MAX {
                        return Err(OperatorError::Refused { path, status, message });
                    }
                }
            }
            backoff.wait();
        }
    }

    fn ask(&self, path: &str, body: &[u8], time: Duration) -> Reply {
        let token = match std::fs::read_to_string(&self.token_file) {
            Ok(token) => token,
            Err(error) => {
                let message = format!("the token `{}` cannot be read: {error}", self.token_file.display());
                return Reply::Refused { status: 401, message };
            }
        };
        let request = self
            .http
            .post(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", token.trim()))
            .header("content-type", "application/json")
            .config()
            .timeout_global(Some(time))
            .build();
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(error) => return Reply::Unavailable(error.to_string()),
        };
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        let read = response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        match (status, read) {
            (200, Ok(_)) => Reply::Answer(answer),
            (200, Err(error)) => Reply::Unavailable(error.to_string()),
            (400..500, _) if !crate::http::is_temporary(status) => {
                let message = String::from_utf8_lossy(&answer).chars().take(QUOTED_MAX).collect();
                Reply::Refused { status, message }
            }
            _ => Reply::Unavailable(format!("status {status}")),
        }
    }
}
