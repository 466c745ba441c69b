//! Whether a pod that was found under our name is the one that we would have made (invariant I2).

use k8s_openapi::api::core::v1::Pod;

use super::sight;

/// What our pod looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The ProcessJob's uid.
    pub owner_uid: &'a str,
    /// The digest of the pod that we would make.
    pub spec_hash: &'a str,
    /// The uid of the pod that was made or has claimed, if one is known.
    pub uid: Option<&'a str>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// It is the incarnation's pod.
    Ours,
    /// It is not; why.
    Foreign(String),
}

/// Looks at a pod that was found under the incarnation's name.
pub fn adopt(pod: &Pod, expected: &Expected<'_>) -> Adoption {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let foreign = |why: &str| Adoption::Foreign(format!("there is a pod `{name}` already, and {why}"));
    if sight::is_terminating(pod) {
        foreign("it is being deleted")
    } else if sight::owner_uid(pod) != Some(expected.owner_uid) {
        foreign("it does not belong to this job")
    } else if sight::spec_hash(pod) != Some(expected.spec_hash) {
        foreign("it was built from something else")
    } else if expected.uid.is_some_and(|uid| sight::uid(pod) != Some(uid)) {
        foreign("it is not the one that was made for this incarnation")
    } else {
        Adoption::Ours
    }
}
