//! The backend over an API server in memory: two replicas, and a test that plays the leader.

mod change;
mod jobs;
mod processes;
mod world;
mod written;
