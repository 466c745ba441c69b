//! Where a job stands (OGC API - Processes, Part 1, §7.12 "statusCode").

use std::fmt;

use serde::{Deserialize, Serialize};

/// Phase of a job. The last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "kubernetes", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub enum Phase {
    /// Durable, nothing started yet.
    Accepted,
    /// At least one step instance was started.
    Running,
    /// Every output is there and published.
    Successful,
    /// A step failed for good, or the job can never run.
    Failed,
    /// Cancelled by a person.
    Dismissed,
}

impl Phase {
    /// Whether nothing can change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Successful | Self::Failed | Self::Dismissed)
    }
}

/// The standard's status code: `successful`.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Dismissed => "dismissed",
        })
    }
}
