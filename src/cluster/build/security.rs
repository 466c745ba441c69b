//! What a step's pod may do to its node: nothing. Passes the Pod Security Standard `restricted`.

use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext};

use crate::settings::PodSettings;

/// Of the whole pod. The group makes what one container writes readable by the other.
pub fn of_pod(settings: &PodSettings) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        // Numeric: the kubelet cannot tell whether a user that an image names is root.
        run_as_user: settings.run_as_user,
        fs_group: settings.run_as_user,
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// Of the agent.
pub fn of_agent() -> SecurityContext {
    SecurityContext { read_only_root_filesystem: Some(true), ..of_container() }
}

/// Of the tool, which may write where its image lets it: conda, SNAP and the like do.
pub fn of_tool() -> SecurityContext {
    SecurityContext { read_only_root_filesystem: Some(false), ..of_container() }
}

fn of_container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}
