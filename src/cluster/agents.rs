//! The operator's side of the agent protocol ([`weir_api::agent`]).
//!
//! A connection of an agent, one direction: [`server`] (accept, TLS with a certificate of [`tls`], limits) -> [`calls`]
//! (one of three requests) -> [`sessions`] (whose token is it, asked once) -> [`auth`] (TokenReview) -> [`calls`] (the pod
//! may speak for its claimant only) -> the job's actor, by [`crate::registry`] -> answer.
//!
//! # What the agent may rely on
//!
//! | answer | when |
//! |---|---|
//! | 200 | the actor has answered; a claim that nobody answered in [`CLAIM_HOLD`](crate::limits::CLAIM_HOLD) is told to wait |
//! | 401 | no token, or one that the API server does not know |
//! | 403 | a token of another pod than the claimant's |
//! | 410 | superseded: this operator knows all jobs, and the claimant's is not among them |
//! | 503 | not now: not leading, not all jobs known yet, API server away, actor busy or just ending, shutting down |
//! | 400, 404, 405, 411, 413 | a defect of the agent; it gives up after a minute of them |
//!
//! Nothing is remembered between two requests but whose token it was.

pub mod auth;
pub mod calls;
pub mod server;
pub mod sessions;
pub mod tls;

#[cfg(test)]
mod tests;
