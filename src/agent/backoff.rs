//! Waiting between tries.

use std::time::{Duration, SystemTime};

use crate::limits::{BACKOFF, BACKOFF_MAX};

/// Waits that double from [`BACKOFF`] to [`BACKOFF_MAX`], each shortened by up to a half, so that a thousand agents do
/// not come back to a restarted operator in the same moment.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: BACKOFF }
    }
}

impl Backoff {
    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(BACKOFF_MAX);
        // Chance enough: different agents never share a clock to the nanosecond.
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        whole.mul_f64(1.0 - f64::from(nanos % 1000) / 2000.0)
    }

    /// Sleeps for the next wait.
    pub fn wait(&mut self) {
        std::thread::sleep(self.next_wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_maximum() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..12).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= BACKOFF / 2 && waits[0] <= BACKOFF);
        assert!(waits[11] >= BACKOFF_MAX / 2 && waits[11] <= BACKOFF_MAX);
    }
}
