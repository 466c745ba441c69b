//! The clock of a job's events.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use weir_plan::Timestamp;

/// Reads the wall clock once and goes on by the monotonic one, so that within one actor no event is older than the one
/// before it. It never begins before the last event of the journal.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Timestamp,
    began: Instant,
}

impl Clock {
    /// A clock that shows at least `earliest`.
    pub fn new(earliest: Timestamp) -> Self {
        Self { base: wall().max(earliest), began: Instant::now() }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.base.0.saturating_add(passed))
    }

    /// When it will show that time; now if it did already.
    pub fn instant(&self, at: Timestamp) -> Instant {
        Instant::now() + Duration::from_millis(at.0.saturating_sub(self.now().0))
    }
}

/// The wall clock.
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
