//! What the API server's refusals mean to those who asked over HTTP. Pure.

use weir_http::backend::BackendError;

use crate::observe::quote;

/// The API server did not do what was asked for. `doing`: "create the job".
pub(super) fn refused(doing: &str, error: &kube::Error) -> BackendError {
    match error {
        kube::Error::Api(status) => of_status(doing, status.code, &status.message),
        other => BackendError::Unavailable(format!("cannot {doing}: the API server does not answer: {other}")),
    }
}

/// Whether the request may have been done all the same.
pub(super) fn is_in_doubt(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 408 | 500..),
        _ => true,
    }
}

/// Whether this is the answer.
pub(super) fn is_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

fn of_status(doing: &str, code: u16, message: &str) -> BackendError {
    let words = quote(message);
    // Webhooks answer with any code, their own or the API server's.
    if message.contains("admission webhook") && message.contains("denied the request") {
        return BackendError::Refused(format!("cannot {doing}: the cluster's admission refuses it: {words}"));
    }
    match code {
        403 if message.contains("cannot ") && message.contains(" resource ") => BackendError::Internal(format!(
            "cannot {doing}: the operator lacks the right to: {words}; the chart's roles have it"
        )),
        403 if message.contains("exceeded quota") => {
            BackendError::Refused(format!("cannot {doing}: a quota of the tenant is used up: {words}"))
        }
        400 | 403 | 422 => BackendError::Refused(format!("cannot {doing}: the cluster refuses it: {words}")),
        404 => BackendError::NotFound(words),
        413 => BackendError::TooLarge(format!("cannot {doing}: it is larger than the cluster takes: {words}")),
        _ => BackendError::Unavailable(format!("cannot {doing} now ({code}): {words}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kube-apiserver 1.34 answers.
    #[test]
    fn quotas_and_policies_refuse_for_good_and_the_rest_is_tried_again() {
        let of = |code, message| of_status("create the job", code, message);
        let quota = "processjobs.weir.dev \"a\" is forbidden: exceeded quota: weir, requested: \
                     count/processjobs.weir.dev=1, used: count/processjobs.weir.dev=5, limited: 5";
        insta::assert_snapshot!(of(403, quota), @r#"cannot create the job: a quota of the tenant is used up: processjobs.weir.dev "a" is forbidden: exceeded quota: weir, requested: count/processjobs.weir.dev=1, used: count/processjobs.weir.dev=5, limited: 5"#);
        assert!(matches!(of(403, quota), BackendError::Refused(_)));
        let webhook = "admission webhook \"policy.example.org\" denied the request: no jobs on Sundays";
        insta::assert_snapshot!(of(400, webhook), @r#"cannot create the job: the cluster's admission refuses it: admission webhook "policy.example.org" denied the request: no jobs on Sundays"#);
        let rights = "processjobs.weir.dev is forbidden: User \"system:serviceaccount:weir:weir-operator\" cannot create \
                      resource \"processjobs\" in API group \"weir.dev\" in the namespace \"acme\"";
        assert!(matches!(of(403, rights), BackendError::Internal(_)));
        assert!(matches!(of(422, "spec.inputs: too many"), BackendError::Refused(_)));
        assert!(matches!(of(429, "busy"), BackendError::Unavailable(_)));
        assert!(matches!(of(503, "etcd is away"), BackendError::Unavailable(_)));
    }
}
