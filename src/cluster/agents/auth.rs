//! Which pod a bearer token belongs to: asked by a TokenReview.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use serde::Deserialize;
use weir_api::kubernetes::names::AGENT_AUDIENCE;

/// Extra attributes of a token that is bound to a pod.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// What the user names of service accounts begin with.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The pod that speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIdentity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Why it is not known which pod speaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// The token is no good; another try ends the same way.
    #[error("{0}")]
    Refused(String),
    /// Nobody can tell now.
    #[error("the token cannot be reviewed now: {0}")]
    Unavailable(String),
}

/// Knows tokens. The API server does; tests do without one.
pub trait Review: Send + Sync + 'static {
    /// Whose token this is.
    fn review(&self, token: &str) -> impl Future<Output = Result<PodIdentity, ReviewError>> + Send;
}

/// Asks the API server. Needs the right to create `tokenreviews` in `authentication.k8s.io`.
#[derive(Clone)]
pub struct TokenReviewer(Api<TokenReview>);

impl TokenReviewer {
    /// With the operator's own rights.
    pub fn new(client: Client) -> Self {
        Self(Api::all(client))
    }
}

impl Review for TokenReviewer {
    async fn review(&self, token: &str) -> Result<PodIdentity, ReviewError> {
        let review = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec { audiences: Some(vec![AGENT_AUDIENCE.to_owned()]), token: Some(token.to_owned()) },
            status: None,
        };
        // A refusal here is one of the operator, not of the token.
        let answer = self.0.create(&PostParams::default(), &review).await.map_err(|error| {
            tracing::warn!(%error, "cannot review an agent's token");
            ReviewError::Unavailable(error.to_string())
        })?;
        let status = answer.status.unwrap_or_default();
        identity(&status).map_err(ReviewError::Refused)
    }
}

/// What the API server says of a token.
fn identity(status: &TokenReviewStatus) -> Result<PodIdentity, String> {
    if status.authenticated != Some(true) {
        let reason = status.error.as_deref().filter(|error| !error.is_empty());
        return Err(format!("the token is not valid: {}", reason.unwrap_or("the API server does not know it")));
    }
    // An API server that knows no audiences answers none, and has taken the token for one of its own.
    if !status.audiences.iter().flatten().any(|audience| audience == AGENT_AUDIENCE) {
        return Err(format!("the token is not for the audience `{AGENT_AUDIENCE}`"));
    }
    let user = status.user.as_ref();
    let extra: Option<&BTreeMap<String, Vec<String>>> = user.and_then(|user| user.extra.as_ref());
    let bound = |key: &str| extra.and_then(|extra| extra.get(key)).and_then(|values| values.first()).cloned();
    let account = user.and_then(|user| user.username.as_deref()?.strip_prefix(SERVICE_ACCOUNT));
    let namespace = account.and_then(|account| account.split_once(':')).map(|(namespace, _)| namespace.to_owned());
    match (namespace, bound(POD_NAME), bound(POD_UID)) {
        (Some(namespace), Some(name), Some(uid)) => Ok(PodIdentity { namespace, name, uid }),
        _ => Err("the token is not bound to a pod; mount a projected service account token".to_owned()),
    }
}

/// For how long a token that was found good is good, by what it says of itself. A token that does not say, for no time.
pub fn time_left(token: &str, now: SystemTime) -> Duration {
    #[derive(Deserialize)]
    struct Payload {
        exp: u64,
    }
    let payload = token.split('.').nth(1).and_then(|payload| BASE64_URL_SAFE_NO_PAD.decode(payload).ok());
    let payload = payload.and_then(|payload| serde_json::from_slice::<Payload>(&payload).ok());
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    payload.map_or(Duration::ZERO, |payload| Duration::from_secs(payload.exp).saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    fn good() -> TokenReviewStatus {
        let extra = [(POD_NAME, "job-crop-1"), (POD_UID, "uid-1"), ("authentication.kubernetes.io/node-name", "n1")];
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(vec![AGENT_AUDIENCE.to_owned()]),
            user: Some(UserInfo {
                username: Some("system:serviceaccount:tenant-a:weir-step".to_owned()),
                extra: Some(extra.map(|(key, value)| (key.to_owned(), vec![value.to_owned()])).into()),
                ..UserInfo::default()
            }),
            error: None,
        }
    }

    #[test]
    fn a_token_of_a_pod_tells_the_pod() {
        let expected =
            PodIdentity { namespace: "tenant-a".to_owned(), name: "job-crop-1".to_owned(), uid: "uid-1".to_owned() };
        assert_eq!(identity(&good()), Ok(expected));
    }

    #[test]
    fn a_token_that_proves_no_pod_is_refused_with_the_reason() {
        let refused = |change: fn(&mut TokenReviewStatus)| {
            let mut status = good();
            change(&mut status);
            identity(&status).unwrap_err()
        };
        let message = refused(|status| {
            status.authenticated = None;
            status.error = Some("token has expired".to_owned());
        });
        assert_eq!(message, "the token is not valid: token has expired");
        assert!(refused(|status| status.audiences = None).contains("audience `weir-agent`"));
        assert!(refused(|status| status.audiences = Some(vec!["api".to_owned()])).contains("audience"));
        assert!(refused(|status| status.user = None).contains("not bound to a pod"));
        let unbound: fn(&mut TokenReviewStatus) = |status| {
            if let Some(extra) = status.user.as_mut().and_then(|user| user.extra.as_mut()) {
                extra.remove(POD_UID);
            }
        };
        assert!(refused(unbound).contains("not bound to a pod"));
        let person: fn(&mut TokenReviewStatus) = |status| {
            if let Some(user) = status.user.as_mut() {
                user.username = Some("admin".to_owned());
            }
        };
        assert!(refused(person).contains("not bound to a pod"));
    }

    #[tokio::test]
    async fn the_api_server_is_asked_for_the_agents_audience_and_its_failures_are_not_the_tokens() {
        let reviewer = |status: u16, answer: serde_json::Value| {
            let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
                let answer = answer.clone();
                async move {
                    assert_eq!(request.uri().path(), "/apis/authentication.k8s.io/v1/tokenreviews");
                    let body = request.into_body().collect_bytes().await.unwrap();
                    let asked: serde_json::Value = serde_json::from_slice(&body).unwrap();
                    assert_eq!(asked["spec"], serde_json::json!({"audiences": ["weir-agent"], "token": "t"}));
                    let answer = kube::client::Body::from(answer.to_string().into_bytes());
                    Ok::<_, kube::Error>(http::Response::builder().status(status).body(answer).unwrap())
                }
            });
            TokenReviewer::new(Client::new(service, "default"))
        };
        let review = |status: &TokenReviewStatus| {
            serde_json::json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
                "spec": {}, "status": status})
        };
        assert_eq!(reviewer(201, review(&good())).review("t").await.unwrap().uid, "uid-1");
        let unknown = reviewer(201, review(&TokenReviewStatus::default())).review("t").await;
        assert!(matches!(unknown, Err(ReviewError::Refused(_))), "{unknown:?}");
        let failure = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
            "reason": "Forbidden", "message": "the operator may not create tokenreviews"});
        let forbidden = reviewer(403, failure).review("t").await;
        assert!(matches!(forbidden, Err(ReviewError::Unavailable(_))), "{forbidden:?}");
    }

    proptest::proptest! {
        #[test]
        fn a_token_is_good_for_as_long_as_it_says_and_any_other_text_for_no_time(
            text in "[a-zA-Z0-9_-]{0,60}|[^.]{0,20}",
            until in 0_u64..1 << 40,
            now in 0_u64..1 << 40,
        ) {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
            let payload = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"sub": "s", "exp": {until}}}"#));
            let left = Duration::from_secs(until.saturating_sub(now));
            proptest::prop_assert_eq!(time_left(&format!("{text}.{payload}.{text}"), at), left);
            proptest::prop_assert_eq!(time_left(&text, at), Duration::ZERO);
            proptest::prop_assert_eq!(time_left(&format!("{payload}.{text}"), at), Duration::ZERO);
        }
    }

    #[test]
    fn a_tokens_time_is_read_from_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let token = |payload: &str| format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload));
        assert_eq!(time_left(&token(r#"{"exp": 1600, "iat": 1}"#), now), Duration::from_mins(10));
        for wrong in
            [token(r#"{"exp": 900}"#), token(r#"{"exp": "x"}"#), token("{}"), "opaque".to_owned(), "a.%.c".to_owned()]
        {
            assert_eq!(time_left(&wrong, now), Duration::ZERO, "{wrong}");
        }
    }
}
