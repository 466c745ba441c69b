//! Why a ProcessJob is not accepted: a reason for programs, a message for people.

use weir_api::kubernetes::conditions;
use weir_plan::PinnedError;

use crate::limits::CONDITION_MESSAGE_BYTES;
use crate::process::resolve::ResolveError;

/// Why a ProcessJob cannot be accepted, for good or for now.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The object lacks what every object of an API server has.
    #[error("the object has no {0}")]
    Malformed(&'static str),
    /// The spec contradicts itself.
    #[error("{0}")]
    Spec(String),
    /// The operator's settings do not allow it.
    #[error("{0}")]
    NotAllowed(String),
    /// The Process that it names is not there.
    #[error("there is no Process `{0}` in this namespace")]
    NoProcess(String),
    /// It is not ready.
    #[error("Process `{name}` is not ready: {message}")]
    ProcessNotReady {
        /// Its name.
        name: String,
        /// What its own condition says.
        message: String,
    },
    /// The package cannot be used.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The inputs do not fit.
    #[error("{0}")]
    Inputs(String),
    /// The inputs cannot be read from the store now.
    #[error("cannot read the inputs `{key}` from the store: {source}")]
    InputsStore {
        /// Their key.
        key: String,
        /// Why not.
        source: object_store::Error,
    },
    /// Package and inputs do not fit.
    #[error(transparent)]
    Pinned(#[from] PinnedError),
}

impl IntakeError {
    /// One word: a constant of `weir_api::kubernetes::conditions`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => conditions::MALFORMED,
            Self::Spec(_) => conditions::SPEC_INVALID,
            Self::NotAllowed(_) => conditions::NOT_ALLOWED,
            Self::NoProcess(_) | Self::ProcessNotReady { .. } => conditions::PROCESS_NOT_READY,
            Self::Resolve(error) => error.reason(),
            Self::Inputs(_) | Self::Pinned(PinnedError::StageIn(_)) => conditions::INPUTS_INVALID,
            Self::InputsStore { .. } => conditions::STORE_UNAVAILABLE,
            Self::Pinned(_) => conditions::PACKAGE_INVALID,
        }
    }

    /// What is wrong, where, and what would be right: at most [`CONDITION_MESSAGE_BYTES`].
    pub fn message(&self) -> String {
        bounded(&self.to_string())
    }

    /// Whether the same object may be accepted later, without being changed. Who waits sets the deadline.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoProcess(_) | Self::ProcessNotReady { .. } | Self::InputsStore { .. } => true,
            Self::Resolve(error) => error.is_transient(),
            Self::Malformed(_) | Self::Spec(_) | Self::NotAllowed(_) | Self::Inputs(_) | Self::Pinned(_) => false,
        }
    }
}

/// The beginning of a text that is too long for a condition.
pub fn bounded(text: &str) -> String {
    if text.len() <= CONDITION_MESSAGE_BYTES {
        return text.to_owned();
    }
    let mark = " … (cut)";
    format!("{}{mark}", &text[..text.floor_char_boundary(CONDITION_MESSAGE_BYTES - mark.len())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_fetch::FetchFailure;

    #[test]
    fn messages_are_bounded_and_stay_text_i7() {
        assert_eq!(bounded("short"), "short");
        let long = bounded(&"ä".repeat(CONDITION_MESSAGE_BYTES));
        assert!(long.len() <= CONDITION_MESSAGE_BYTES && long.ends_with("ä … (cut)"));
    }

    #[test]
    fn only_what_may_change_by_itself_is_waited_for() {
        assert!(IntakeError::NoProcess("a".to_owned()).is_transient());
        assert!(!IntakeError::Inputs("a".to_owned()).is_transient());
        let failure = |status| FetchFailure::Status { url: "https://a/".to_owned(), status };
        let status =
            |status| IntakeError::Resolve(ResolveError::Unavailable { told: String::new(), failure: failure(status) });
        assert!(status(503).is_transient() && !status(404).is_transient());
        assert_eq!(status(404).reason(), "PackageUnavailable");
    }
}
