//! What is answered when something is wrong: a problem document (RFC 7807), the standard's `exception.yaml`.
//!
//! A handler returns a [`Problem`]; [`render`] writes it in the form that the client accepts.

use std::borrow::Cow;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json};

use crate::backend::BackendError;
use crate::limits::{PROBLEM_BYTES, RETRY_SECONDS};
use crate::links::Base;
use crate::negotiate::{self, JSON};
use crate::pages;

/// Media type of problem documents (RFC 7807).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Types of problems. URIs are the standards'; the others are the plain words that their texts use.
pub mod types {
    /// 18-062r2, `/req/core/process-exception/no-such-process`
    pub const NO_SUCH_PROCESS: &str = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-process";
    /// 18-062r2, `/req/core/job-exception-no-such-job`
    pub const NO_SUCH_JOB: &str = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-job";
    /// 18-062r2, `/req/core/job-results-exception/results-not-ready`
    pub const RESULT_NOT_READY: &str = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/result-not-ready";
    /// Of the draft of 2.0.
    pub const NO_SUCH_OUTPUT: &str = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-output";
    /// 20-044, `/req/deploy-replace-undeploy/deploy-response-duplicate`
    pub const DUPLICATED_PROCESS: &str =
        "http://www.opengis.net/def/exceptions/ogcapi-processes-2/1.0/duplicated-process";
    /// 20-044, `/req/deploy-replace-undeploy/undeploy-response-immutable`
    pub const IMMUTABLE_PROCESS: &str =
        "http://www.opengis.net/def/exceptions/ogcapi-processes-2/1.0/immutable-process";
    /// 20-044, `/req/deploy-replace-undeploy/deploy-unsupported-media-type`
    pub const UNSUPPORTED_MEDIA_TYPE: &str =
        "http://www.opengis.net/def/exceptions/ogcapi-processes-2/1.0/unsupported-media-type";
    /// 20-044, `/req/cwl/deploy-exception-workflow-not-found`
    pub const WORKFLOW_NOT_FOUND: &str =
        "http://www.opengis.net/def/exceptions/ogcapi-processes-2/1.0/workflow-not-found";
    /// A parameter, input or document that is not what it should be.
    pub const INVALID_PARAMETER_VALUE: &str = "InvalidParameterValue";
    /// Anything that has no word of its own.
    pub const NO_APPLICABLE_CODE: &str = "NoApplicableCode";
    /// No more than its status says (RFC 7807, §4.2).
    pub const ABOUT_BLANK: &str = "about:blank";
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Status of the answer.
    pub status: StatusCode,
    /// One of [`types`], or a failure class.
    pub type_: &'static str,
    /// The same for every problem of this type.
    pub title: Cow<'static, str>,
    /// What is wrong here, where, and what would be right.
    pub detail: String,
    /// What it is about: a path or URL.
    pub instance: Option<String>,
    /// Headers of the answer: `Allow`, `Location`, `Retry-After`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// Of these parts.
    pub fn new(
        status: StatusCode,
        type_: &'static str,
        title: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, type_, title: title.into(), detail: detail.into(), instance: None, headers: Vec::new() }
    }

    /// With a header. One that cannot be written is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// About this path or URL.
    #[must_use]
    pub fn about(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// 404: the tenant has no process of this id.
    pub fn no_such_process(id: &str) -> Self {
        let detail = format!("there is no process `{}`; GET …/processes lists those that there are", short(id));
        Self::new(StatusCode::NOT_FOUND, types::NO_SUCH_PROCESS, "No such process", detail)
    }

    /// 404: the tenant has no job of this id, or none any more.
    pub fn no_such_job(id: &str) -> Self {
        let detail = format!("there is no job `{}`; GET …/jobs lists those that there are", short(id));
        Self::new(StatusCode::NOT_FOUND, types::NO_SUCH_JOB, "No such job", detail)
    }

    /// 404: there is nothing at this path.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, types::NO_APPLICABLE_CODE, "Not found", format!("there is no {what}"))
    }

    /// 404: the job is not over; `status` in the standard's words.
    pub fn result_not_ready(job: &str, status: &str) -> Self {
        let detail = format!("the job `{job}` is {status}; its results are here once it is successful");
        Self::new(StatusCode::NOT_FOUND, types::RESULT_NOT_READY, "Results are not ready", detail)
    }

    /// 404: the job was dismissed before it had results. There is no type for that, and the one for results that are not
    /// there (yet) says it.
    pub fn dismissed(job: &str) -> Self {
        let detail = format!("the job `{job}` was dismissed: it has no results, and will have none");
        Self::new(StatusCode::NOT_FOUND, types::RESULT_NOT_READY, "Results are not ready", detail)
    }

    /// 404 of a result's output that the process does not have.
    pub fn no_such_output(id: &str, known: &[&str]) -> Self {
        let detail = format!("there is no output `{}`; there are: {}", short(id), known.join(", "));
        Self::new(StatusCode::NOT_FOUND, types::NO_SUCH_OUTPUT, "No such output", detail)
    }

    /// 400: `place` is a JSON pointer into the body (`/inputs/epsg`) or the name of a query parameter (`limit`).
    pub fn invalid_parameter(place: &str, what: impl std::fmt::Display, right: impl std::fmt::Display) -> Self {
        let place = if place.is_empty() { "the body" } else { place };
        let detail = format!("{place}: {what}; {right}");
        Self::new(StatusCode::BAD_REQUEST, types::INVALID_PARAMETER_VALUE, "Invalid parameter value", detail)
    }

    /// 415: with the media types that are understood.
    pub fn unsupported_media_type(sent: Option<&str>, understood: &[&str]) -> Self {
        let sent =
            sent.map_or_else(|| "no Content-Type".to_owned(), |sent| format!("the Content-Type `{}`", short(sent)));
        let detail = format!("{sent} is not understood here; send one of {}", understood.join(", "));
        let title = "Unsupported media type";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, types::UNSUPPORTED_MEDIA_TYPE, title, detail)
    }

    /// 406: with the media types that there are.
    pub fn not_acceptable(offered: &[&str]) -> Self {
        let detail = format!("this is there as {}; `Accept` names none of these", offered.join(", "));
        Self::new(StatusCode::NOT_ACCEPTABLE, types::NO_APPLICABLE_CODE, "Not acceptable", detail)
    }

    /// 413: more than a limit.
    pub fn too_large(what: &str, limit_bytes: usize) -> Self {
        let detail = format!("{what} is larger than {limit_bytes} bytes, the most that is taken here");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, types::NO_APPLICABLE_CODE, "Too large", detail)
    }

    /// 413: more values in a JSON document than are taken.
    pub fn too_many_values(most: usize) -> Self {
        let detail =
            format!("the body has more than {most} values, the most that are taken here; give large ones by href");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, types::NO_APPLICABLE_CODE, "Too large", detail)
    }

    /// 429 with `Retry-After`.
    pub fn too_many(detail: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, types::NO_APPLICABLE_CODE, "Too many requests", detail)
            .with_header(RETRY_AFTER, &retry_after_seconds.to_string())
    }

    /// 409: the id is taken; `location` is the URL of the process that has it.
    pub fn duplicated_process(id: &str, location: &str) -> Self {
        let detail = format!("there is already a process `{id}`; PUT {location} replaces it");
        Self::new(StatusCode::CONFLICT, types::DUPLICATED_PROCESS, "Duplicated process", detail)
            .with_header(axum::http::header::LOCATION, location)
    }

    /// 403: the process may not be changed.
    pub fn immutable_process(id: &str) -> Self {
        let detail = format!("the process `{id}` may neither be replaced nor removed: its `mutable` is false");
        Self::new(StatusCode::FORBIDDEN, types::IMMUTABLE_PROCESS, "Immutable process", detail)
    }

    /// 400: the package has no such workflow.
    pub fn workflow_not_found(id: &str, known: &[&str]) -> Self {
        let detail = format!("the package has no workflow `{}`; it has: {}", short(id), known.join(", "));
        Self::new(StatusCode::BAD_REQUEST, types::WORKFLOW_NOT_FOUND, "Workflow not found", detail)
    }

    /// 401 with `WWW-Authenticate`.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, types::NO_APPLICABLE_CODE, "Unauthorized", detail)
            .with_header(axum::http::header::WWW_AUTHENTICATE, "Bearer")
    }

    /// 403.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, types::NO_APPLICABLE_CODE, "Forbidden", detail)
    }

    /// 405 with what would be allowed: `GET, HEAD`. What takes POST alone is an execution.
    pub fn method_not_allowed(allowed: &str) -> Self {
        let how = if allowed == "OPTIONS, POST" { ": POST {\"inputs\": …} here" } else { "" };
        let detail = format!("this method is not for this resource; there are {allowed}{how}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, types::NO_APPLICABLE_CODE, "Method not allowed", detail)
            .with_header(ALLOW, allowed)
    }

    /// 408: the request, or its answer, took too long.
    pub fn timed_out(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, types::NO_APPLICABLE_CODE, "Timed out", detail)
    }

    /// 503 with `Retry-After`: it may work later.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, types::NO_APPLICABLE_CODE, "Unavailable", detail)
            .with_header(RETRY_AFTER, &RETRY_SECONDS.to_string())
    }

    /// 500: a defect. The story goes to the log; the client learns that there is one.
    pub fn internal(story: impl std::fmt::Display) -> Self {
        tracing::error!(%story, "a request failed by a defect");
        let detail =
            "weir failed here by a defect of its own; its log, found by the X-Request-Id of this answer, says how";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, types::NO_APPLICABLE_CODE, "Internal error", detail)
    }

    /// The problem document.
    pub fn document(&self) -> Json {
        let mut document = Map::new();
        document.insert("type".into(), self.type_.into());
        document.insert("title".into(), self.title.as_ref().into());
        document.insert("status".into(), self.status.as_u16().into());
        document.insert("detail".into(), self.detail.as_str().into());
        if let Some(instance) = &self.instance {
            document.insert("instance".into(), instance.as_str().into());
        }
        Json::Object(document)
    }
}

/// What a backend says, for requests in which it has no better name.
impl From<BackendError> for Problem {
    fn from(error: BackendError) -> Self {
        let message = error.to_string();
        match error {
            BackendError::Exists(_) => {
                Self::new(StatusCode::CONFLICT, types::DUPLICATED_PROCESS, "Duplicated process", message)
            }
            BackendError::NotFound(_) => {
                Self::new(StatusCode::NOT_FOUND, types::NO_APPLICABLE_CODE, "Not found", message)
            }
            BackendError::Immutable(_) => {
                Self::new(StatusCode::FORBIDDEN, types::IMMUTABLE_PROCESS, "Immutable process", message)
            }
            BackendError::Refused(_) => Self::forbidden(message),
            BackendError::TooLarge(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, types::NO_APPLICABLE_CODE, "Too large", message)
            }
            BackendError::TooMany { retry_after, .. } => Self::too_many(message, retry_after),
            BackendError::Unavailable(_) => Self::unavailable(message),
            BackendError::Internal(_) => Self::internal(message),
        }
    }
}

/// The answer to be: [`render`] writes it once it knows what the client accepts.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        for (name, value) in &self.headers {
            response.headers_mut().append(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The last thing before an answer leaves: a [`Problem`] is written as the client accepts it. What axum refuses by itself
/// (methods, bodies) becomes a problem first.
pub async fn render(request: Request, next: Next) -> Response {
    let accept = negotiate::accept(request.headers());
    let asked = negotiate::asked_by_query(request.uri());
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let base = response.extensions_mut().remove::<Base>();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if is_plain_refusal(&response) => {
            let problem = adopt(&mut response).await;
            response.headers_mut().extend(problem.headers.iter().cloned().map(|(name, value)| (Some(name), value)));
            problem
        }
        None => return response,
    };
    let problem = if problem.instance.is_none() { problem.about(path) } else { problem };
    let (media_type, body) = match form(accept.as_deref(), asked) {
        Form::Html => (negotiate::HTML, pages::problem(&problem, base.as_ref()).into_string()),
        Form::Json => (JSON, problem.document().to_string()),
        Form::Problem => (PROBLEM_JSON, problem.document().to_string()),
    };
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    *response.body_mut() = Body::from(body);
    response
}

enum Form {
    Html,
    Json,
    Problem,
}

/// `application/json` for whoever asks for that alone: the official suite of Part 1 does, and takes nothing else.
fn form(accept: Option<&str>, asked: Option<negotiate::Format>) -> Form {
    if let Some(format) = asked {
        return if format == negotiate::Format::Html { Form::Html } else { Form::Json };
    }
    match negotiate::choose(accept, &[PROBLEM_JSON, JSON, negotiate::HTML]) {
        Some(1) => Form::Json,
        Some(2) => Form::Html,
        _ => Form::Problem,
    }
}

/// Whether an error comes from axum itself: plain text, or nothing at all.
fn is_plain_refusal(response: &Response) -> bool {
    let status = response.status();
    let is_text = |value: &HeaderValue| value.as_bytes().starts_with(b"text/plain");
    (status.is_client_error() || status.is_server_error()) && response.headers().get(CONTENT_TYPE).is_none_or(is_text)
}

async fn adopt(response: &mut Response) -> Problem {
    let status = response.status();
    let body = std::mem::take(response.body_mut());
    let text = to_bytes(body, PROBLEM_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    match status {
        StatusCode::METHOD_NOT_ALLOWED => Problem::method_not_allowed(&allowed(response.headers())),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            let title = "Invalid parameter value";
            Problem::new(StatusCode::BAD_REQUEST, types::INVALID_PARAMETER_VALUE, title, text)
        }
        status => {
            let title = status.canonical_reason().unwrap_or("Error");
            let detail = if text.is_empty() { title.to_owned() } else { text };
            Problem::new(status, types::NO_APPLICABLE_CODE, title, detail)
        }
    }
}

/// What `Allow` of an answer says, and OPTIONS, which is answered everywhere.
pub(crate) fn allowed(headers: &HeaderMap) -> String {
    let mut methods: Vec<&str> = headers
        .get_all(ALLOW)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    methods.push("OPTIONS");
    let mut methods: Vec<&str> = methods.into_iter().map(str::trim).filter(|method| !method.is_empty()).collect();
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

/// What a client sent, short enough to be said back.
fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(100) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
