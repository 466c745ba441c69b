//! Requests of pages of other origins (Fetch standard, "CORS protocol"), and OPTIONS.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_TYPE, HOST,
    HeaderValue, ORIGIN, VARY,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::Facade;
use crate::problem::{Problem, allowed};

/// Headers of answers that scripts may read.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Location, Link, Preference-Applied, Retry-After, WWW-Authenticate, X-Request-Id");
/// Headers that scripts may send.
const TAKEN: HeaderValue = HeaderValue::from_static("Accept, Authorization, Content-Type, Prefer, X-Request-Id");
/// Seconds for which a browser remembers: a day, which is more than any browser does.
const REMEMBERED: HeaderValue = HeaderValue::from_static("86400");

/// Of which pages scripts may use the API. No credentials of the browser's are ever taken: tokens come in a header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// Of none: right where whoever can send requests can run programs, and nobody has to say who he is.
    #[default]
    Nobody,
    /// Of any page.
    Any,
    /// Of these: `https://portal.example`.
    Listed(Vec<String>),
}

/// `*`, or origins with commas; empty: none.
impl FromStr for Origins {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let origins: Vec<String> =
            text.split(',').map(|origin| origin.trim().trim_end_matches('/').to_owned()).collect();
        let origins: Vec<String> = origins.into_iter().filter(|origin| !origin.is_empty()).collect();
        Ok(match origins.as_slice() {
            [] => Self::Nobody,
            [any] if any == "*" => Self::Any,
            _ => Self::Listed(origins),
        })
    }
}

impl Origins {
    /// `Access-Control-Allow-Origin` for a page of this origin.
    fn allow(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match self {
            Self::Nobody => None,
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Listed(origins) => {
                origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
            }
        }
    }
}

/// Browsers send some requests to other sites without asking first: those must not change anything either.
fn changes_something(request: &Request) -> bool {
    !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Whether no page sends this, or one of this server.
fn is_own_page(request: &Request) -> bool {
    let Some(origin) = request.headers().get(ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    origin.is_some_and(|(_, origin)| host == Some(origin))
}

/// Answers OPTIONS with what a resource allows, and tells browsers which answers scripts may see.
pub(crate) async fn answer(State(facade): State<Arc<Facade>>, request: Request, next: Next) -> Response {
    let is_options = request.method() == Method::OPTIONS;
    let is_preflight = is_options && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let origin = request.headers().get(ORIGIN).cloned();
    let allow_origin = origin.as_ref().and_then(|origin| facade.settings.origins.allow(origin));
    let mut response = if allow_origin.is_none() && changes_something(&request) && !is_own_page(&request) {
        let detail = "a page of another site sends this, and the operator has not allowed that site";
        Problem::forbidden(detail).into_response()
    } else {
        next.run(request).await
    };
    // No route has OPTIONS: those that there are answer 405 with what they have.
    if is_options && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = HeaderValue::from_str(&allowed(response.headers()));
        let headers = [allowed.ok().map(|allowed| (ALLOW, allowed))].into_iter().flatten().collect();
        response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.headers_mut() = headers;
        response.headers_mut().remove(CONTENT_TYPE);
    }
    let methods = response.headers().get(ALLOW).cloned();
    let headers = response.headers_mut();
    if facade.settings.origins != Origins::Nobody {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(allow_origin) = allow_origin else { return response };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allow_origin);
    if is_preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, TAKEN);
        headers.insert(ACCESS_CONTROL_MAX_AGE, REMEMBERED);
        if let Some(methods) = methods {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
    } else {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}
