//! Waits between tries: doubled from one to the next, up to a limit.

use std::time::Duration;

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX};

/// The next wait.
#[derive(Debug, Clone, Copy)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(BACKOFF_FIRST)
    }
}

impl Backoff {
    /// The next wait; the one after it is twice as long.
    pub fn advance(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(BACKOFF_MAX);
        now
    }

    /// Waits.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.advance()).await;
    }
}
