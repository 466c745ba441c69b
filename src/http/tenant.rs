//! Whose request it is, and what its path names.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::links::{self, Base};
use crate::names::{JobId, ProcessId, TENANT_RULE, Tenant};
use crate::problem::Problem;
use crate::{Facade, body};

/// The tenant of a request, which exists, and the root of its URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// First segment of the path.
    pub tenant: Tenant,
    /// Root of its URLs.
    pub base: Base,
}

/// Lets requests of tenants pass that there are: later extractors find their [`Scope`]. Everything below `/{tenant}` goes
/// through here, so no handler can forget it (invariant I9). OPTIONS is about the API, not about a tenant, and browsers send
/// it without a token (Fetch standard, "CORS-preflight fetch"): no route has it, so that it comes back with those that
/// there are.
pub async fn admit(State(facade): State<Arc<Facade>>, request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match scope(&facade, &parts).await {
        Ok(scope) => {
            let base = scope.base.clone();
            parts.extensions.insert(scope);
            let mut response = next.run(Request::from_parts(parts, body)).await;
            // The page of a problem leads back to it.
            response.extensions_mut().insert(base);
            response
        }
        Err(problem) => {
            body::discard(body).await;
            problem.into_response()
        }
    }
}

async fn scope(facade: &Facade, request: &Parts) -> Result<Scope, Problem> {
    let tenant = first_segment(request).map_err(|rule| Problem::not_found(&format!("such tenant: {rule}")))?;
    if let Some(bearer) = &facade.bearer {
        // Before anything is said of the tenant.
        bearer.admit(&request.headers, &tenant).await?;
    }
    if !facade.backend.has_tenant(&tenant).await? {
        return Err(Problem::not_found("such tenant"));
    }
    if facade.settings.loopback_only {
        links::must_be_loopback(&request.headers)?;
    }
    let base = base(facade, request, &tenant)?;
    Ok(Scope { tenant, base })
}

/// The tenant that a path begins with, or the rule that its first segment breaks.
fn first_segment(request: &Parts) -> Result<Tenant, String> {
    let name = request.uri.path().split('/').nth(1).unwrap_or_default();
    name.parse().map_err(|_| format!("its name would have {TENANT_RULE}"))
}

fn base(facade: &Facade, request: &Parts, tenant: &Tenant) -> Result<Base, Problem> {
    let origin = if let Some(url) = &facade.settings.public_url {
        url.clone()
    } else {
        let peer = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        links::origin(&request.headers, &request.uri, peer, &facade.settings.trusted_proxies)?
    };
    Ok(Base::new(&origin, tenant))
}

/// What is answered where there is nothing: where the API is. Whether there is such a tenant is not looked at.
pub async fn nothing_here(State(facade): State<Arc<Facade>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let Ok(tenant) = first_segment(&parts) else {
        return Problem::not_found("such resource: the API is at /<tenant>/ogc-api").into_response();
    };
    let problem = Problem::not_found(&format!("such resource: the API is at /{tenant}/ogc-api"));
    let mut response = problem.into_response();
    if let Ok(base) = base(&facade, &parts, &tenant) {
        response.extensions_mut().insert(base);
    }
    response
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let scope = parts.extensions.get::<Self>().cloned();
        scope.ok_or_else(|| Problem::internal("a route outside of a tenant asks whose request it is"))
    }
}

/// `{processID}` of the path. A text that cannot be an id is one that no process has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInPath(pub ProcessId);

impl<S: Send + Sync> FromRequestParts<S> for ProcessInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = parameter(parts, state, "processID").await?;
        id.parse().map(Self).map_err(|_| Problem::no_such_process(&id))
    }
}

/// `{jobID}` of the path. A text that cannot be an id is one that no job has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobInPath(pub JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = parameter(parts, state, "jobID").await?;
        id.parse().map(Self).map_err(|_| Problem::no_such_job(&id))
    }
}

async fn parameter<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Result<String, Problem> {
    let parameters = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Problem::not_found("such resource: its path is not UTF-8"))?;
    let value = parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    value.ok_or_else(|| Problem::internal(format!("the route has no `{{{name}}}`")))
}
