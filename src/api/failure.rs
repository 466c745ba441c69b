//! Failure classes: one word that is the event's reason, the metric's label and the word in the user's message.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an attempt of a step instance ended without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FailureClass {
    /// The tool ended with a code that is not among its `successCodes`.
    ToolFailed,
    /// The tool ended with one of its `temporaryFailCodes`; counted and retried.
    ToolFailedTemporarily,
    /// The tool ended well but its outputs are not what the package promises.
    OutputInvalid,
    /// The kernel killed the tool for memory; counted, retried with twice the memory up to a cap.
    OutOfMemory,
    /// The tool's own volume or limit was full; counted.
    OutOfDisk,
    /// The platform took the incarnation away (node lost, weir killed); not counted.
    Disrupted,
    /// The tool never ran under its claim; not counted.
    Platform,
    /// The image could not be had before the executor's deadline.
    ImageUnavailable,
    /// There was no place for the step's resources until the executor's deadline.
    Unschedulable,
    /// A quota refused the step until the executor's deadline.
    QuotaExceeded,
    /// Admission refuses the step for good.
    Rejected,
    /// An input cannot be fetched.
    StageIn,
    /// An expression failed.
    Expression,
    /// The package asks for something that weir does not support here.
    Unsupported,
    /// The tool or the job ran longer than allowed.
    TimeLimit,
    /// A person cancelled the job.
    Dismissed,
}

impl FailureClass {
    /// Whether a failure of this class uses up one of the step instance's attempts.
    pub fn is_counted(self) -> bool {
        !matches!(self, Self::Disrupted | Self::Platform)
    }

    /// Whether another try can help at all. Where only waiting helps (no place, a quota, an image), the executor has
    /// waited already.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::ToolFailedTemporarily | Self::OutOfMemory | Self::OutOfDisk | Self::Disrupted | Self::Platform
        )
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The serde name is the word; Debug prints the same one.
        write!(f, "{self:?}")
    }
}
