//! Types of conditions and their reasons, in one place. A reason is one word in CamelCase; failure classes
//! ([`crate::FailureClass`]) are reasons too.

/// Process: the package is resolved and sound.
pub const READY: &str = "Ready";

/// ProcessJob: it is durable and will be run. `False`: it can never run; the message says why.
pub const ACCEPTED: &str = "Accepted";

/// ProcessJob: it is over, successfully. `kubectl wait --for=condition=Complete`.
pub const COMPLETE: &str = "Complete";

/// ProcessJob: it is over without success: failed or dismissed.
pub const FAILED: &str = "Failed";

/// ProcessJob: the spec was changed after acceptance; the change has no effect.
pub const SPEC_CHANGE_IGNORED: &str = "SpecChangeIgnored";

/// ProcessJob: something outside keeps it from going on for now; the message says what.
pub const WAITING: &str = "Waiting";

/// ProcessJob: its results are becoming visible. Whoever asks it to stop is too late.
pub const PUBLISHING: &str = "Publishing";

/// Reason: the package has errors.
pub const PACKAGE_INVALID: &str = "PackageInvalid";

/// Reason: the package could not be fetched.
pub const PACKAGE_UNAVAILABLE: &str = "PackageUnavailable";

/// Reason: the inputs do not fit the process.
pub const INPUTS_INVALID: &str = "InputsInvalid";

/// Reason: the spec contradicts itself.
pub const SPEC_INVALID: &str = "SpecInvalid";

/// Reason: the object cannot be read as what it claims to be.
pub const MALFORMED: &str = "Malformed";

/// Reason: there is no such Process, or it is not ready.
pub const PROCESS_NOT_READY: &str = "ProcessNotReady";

/// Reason: the store cannot be reached.
pub const STORE_UNAVAILABLE: &str = "StoreUnavailable";

/// Reason: the journal that the annotation names is not there.
pub const JOURNAL_LOST: &str = "JournalLost";

/// Reason: the package is fetched, frozen and sound.
pub const RESOLVED: &str = "Resolved";

/// Reason: another Process of the tenant, an older one, has the same id.
pub const ID_TAKEN: &str = "IdTaken";

/// Reason: another namespace, an older one, is the same tenant.
pub const TENANT_TAKEN: &str = "TenantTaken";

/// Reason: the operator's settings do not allow what the object asks for.
pub const NOT_ALLOWED: &str = "NotAllowed";

/// Reason: the package needs something that weir does not support.
pub const UNSUPPORTED: &str = "Unsupported";
