//! TokenReview.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A token of a pod, as the API server made it.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub text: String,
    /// For whom it is good.
    pub audiences: Vec<String>,
    /// `system:serviceaccount:<namespace>:<name>`.
    pub username: String,
    /// `authentication.kubernetes.io/pod-uid`, `authentication.kubernetes.io/pod-name`.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Token {
    /// The token `text` of a pod, audience `weir-agent`, service account `default`.
    pub fn of_pod(text: &str, namespace: &str, pod_name: &str, pod_uid: &str) -> Self {
        let extra = [("pod-name", pod_name), ("pod-uid", pod_uid)];
        Self {
            text: text.to_owned(),
            audiences: vec![weir_api::kubernetes::names::AGENT_AUDIENCE.to_owned()],
            username: format!("system:serviceaccount:{namespace}:default"),
            extra: extra
                .map(|(name, value)| (format!("authentication.kubernetes.io/{name}"), vec![value.to_owned()]))
                .into(),
        }
    }
}

/// The review with its verdict.
pub(super) fn review(tokens: &[Token], mut review: Value) -> Value {
    let asked: Vec<&str> =
        review["spec"]["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let known = tokens.iter().find(|token| review["spec"]["token"] == token.text.as_str());
    let status = match known {
        None => json!({"authenticated": false, "error": "invalid bearer token"}),
        Some(token) => {
            let audiences: Vec<_> = token
                .audiences
                .iter()
                .filter(|audience| asked.is_empty() || asked.contains(&audience.as_str()))
                .collect();
            if audiences.is_empty() {
                json!({"authenticated": false, "error": "token audiences are invalid for the target audiences"})
            } else {
                let user =
                    json!({"username": token.username, "groups": ["system:serviceaccounts"], "extra": token.extra});
                json!({"authenticated": true, "user": user, "audiences": audiences})
            }
        }
    };
    review["status"] = status;
    review
}
