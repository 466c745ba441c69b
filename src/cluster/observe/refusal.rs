//! Why the API server made no pod.

use super::quote::quote;

/// What follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A quota is used up: wait for it.
    Quota(String),
    /// For good: the same pod is refused again.
    Rejected(String),
    /// There is an object of this name: look at it.
    Conflict,
    /// Not the pod's fault: try again later. The message says what a person could do.
    Again(String),
}

/// Reads the API server's answer to the creation of a pod.
pub fn refused(error: &kube::Error) -> Refusal {
    match error {
        kube::Error::Api(status) => of_status(status.code, &status.reason, &status.message),
        other => Refusal::Again(format!("the API server cannot be reached: {}", quote(&other.to_string()))),
    }
}

fn of_status(code: u16, reason: &str, message: &str) -> Refusal {
    let words = quote(message);
    // Webhooks answer with any code, their own or the API server's.
    if message.contains("admission webhook") && message.contains("denied the request") {
        return Refusal::Rejected(format!("the cluster's admission refuses the step's pod: {words}"));
    }
    match code {
        409 if reason == "AlreadyExists" => Refusal::Conflict,
        403 => forbidden(message, &words),
        401 => Refusal::Again(format!("the API server does not know the operator's token: {words}")),
        404 => Refusal::Again(format!("the namespace is not there: {words}")),
        // Conflict: the quota was counted by another at the same moment.
        408 | 409 | 429 | 500.. => Refusal::Again(format!("the API server cannot make pods now ({code}): {words}")),
        _ => Refusal::Rejected(format!("the API server refuses the step's pod ({code}): {words}")),
    }
}

/// Everything that admission plugins and authorization refuse has the same code; the text tells them apart.
fn forbidden(message: &str, words: &str) -> Refusal {
    let says = |part: &str| message.contains(part);
    if says("exceeded quota") {
        Refusal::Quota(format!("a quota of the namespace is used up: {words}"))
    } else if says("cannot create resource") {
        Refusal::Again(format!(
            "the operator may not make pods in this namespace: {words}; give its ServiceAccount a Role for it"
        ))
    } else if says("error looking up service account") {
        Refusal::Again(format!("the pods' ServiceAccount is missing: {words}; create it in the job's namespace"))
    } else if says("is being terminated") {
        Refusal::Again(format!("the namespace is being deleted: {words}"))
    } else {
        Refusal::Rejected(format!("the cluster's admission refuses the step's pod: {words}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kube-apiserver 1.34 answers.
    #[test]
    fn each_answer_means_what_to_do_next() {
        let forbidden = |message| of_status(403, "Forbidden", message);
        let quota = "pods \"a\" is forbidden: exceeded quota: small, requested: pods=1,requests.memory=32Mi, used: \
                     pods=0,requests.memory=0, limited: pods=0,requests.memory=1Mi";
        assert!(matches!(forbidden(quota), Refusal::Quota(message) if message.contains("limited: pods=0")));
        // A quota on what the pod does not state will never let it in.
        let failed = "pods \"a\" is forbidden: failed quota: small: must specify limits.cpu for: agent,tool";
        assert!(matches!(forbidden(failed), Refusal::Rejected(_)));
        let security = "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true \
                        (pod or containers \"agent\", \"tool\" must set securityContext.runAsNonRoot=true)";
        assert!(matches!(forbidden(security), Refusal::Rejected(message) if message.contains("PodSecurity")));
        let limits = "pods \"a\" is forbidden: maximum memory usage per Container is 8Mi, but limit is 16Mi";
        assert!(matches!(forbidden(limits), Refusal::Rejected(message) if message.contains("8Mi")));
        let priority = "pods \"pc\" is forbidden: no PriorityClass with name nobody was found";
        assert!(matches!(forbidden(priority), Refusal::Rejected(_)));
        let rights = "pods is forbidden: User \"system:serviceaccount:fix:default\" cannot create resource \"pods\" in \
                      API group \"\" in the namespace \"fix\"";
        assert!(matches!(forbidden(rights), Refusal::Again(message) if message.contains("Role")));
        let account = "pods \"sa\" is forbidden: error looking up service account fix/nobody: serviceaccount \"nobody\" \
                       not found";
        assert!(matches!(forbidden(account), Refusal::Again(message) if message.contains("ServiceAccount")));
        let going = "pods \"running\" is forbidden: unable to create new content in namespace going because it is being \
                     terminated";
        assert!(matches!(forbidden(going), Refusal::Again(message) if message.contains("deleted")));

        let exists = "object is being deleted: pods \"running\" already exists";
        assert_eq!(of_status(409, "AlreadyExists", exists), Refusal::Conflict);
        let counted = "Operation cannot be fulfilled on resourcequotas \"small\": the object has been modified; please \
                       apply your changes to the latest version and try again";
        assert!(matches!(of_status(409, "Conflict", counted), Refusal::Again(_)));
        let invalid = "Pod \"a\" is invalid: spec.containers[0].resources.requests: Invalid value: \"16Mi\": must be less \
                       than or equal to memory limit of 8Mi";
        assert!(matches!(of_status(422, "Invalid", invalid), Refusal::Rejected(_)));
        let webhook = "admission webhook \"images.example\" denied the request: the image is not signed";
        assert!(matches!(of_status(400, "", webhook), Refusal::Rejected(message) if message.contains("not signed")));
        let failing = "Internal error occurred: failed calling webhook \"images.example\": failed to call webhook: \
                       context deadline exceeded";
        assert!(matches!(of_status(500, "InternalError", failing), Refusal::Again(_)));
        assert!(matches!(of_status(404, "NotFound", "namespaces \"none\" not found"), Refusal::Again(_)));
        assert!(matches!(of_status(429, "TooManyRequests", "slow down"), Refusal::Again(_)));
        assert!(matches!(of_status(401, "Unauthorized", "Unauthorized"), Refusal::Again(_)));
    }

    #[test]
    fn whoever_cannot_be_reached_is_asked_again() {
        let error = kube::Error::LinesCodecMaxLineLengthExceeded;
        assert!(matches!(refused(&error), Refusal::Again(_)));
    }
}
