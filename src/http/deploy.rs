//! Processes come, change and go (20-044, requirements classes "deploy-replace-undeploy", "ogcapppkg", "docker" and "cwl").
//!
//! The way of a deployment: [`content`] -> [`application_package`] (what was sent) -> a CWL text: sent, fetched, or made of
//! a [`container`] -> [`workflow`] (which process of it) -> [`package`] (loaded, checked, frozen) -> [`description`] ->
//! [`NewProcess`] -> the backend.

pub mod application_package;
pub mod container;
pub mod content;
pub mod cwl_type;
pub mod description;
pub mod package;
pub mod representation;
pub mod workflow;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Query, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value as Json};
use weir_cwl::source::Source;
use weir_cwl::uri::split_fragment;

use crate::backend::{BackendError, Deployed, NewProcess};
use crate::fetcher::Fetcher;
use crate::limits::{BODY_BYTES, DEPLOYMENT_WAIT, DEPLOYMENTS_OF_TENANT, RETRY_SECONDS};
use crate::names::{ProcessId, Tenant};
use crate::negotiate::{self, Format, HTML, JSON};
use crate::places::{Full, Taken};
use crate::problem::Problem;
use crate::processes::summary;
use crate::tenant::{ProcessInPath, Scope};
use crate::{Facade, pages};
use application_package::{Sent, Unit};
use content::Content;
use description::Trust;
use workflow::Listed;

/// `POST /processes`, `PUT` and `DELETE /processes/{processID}`, `GET /processes/{processID}/package`.
pub fn routes() -> Router<Arc<Facade>> {
    Router::new()
        .route("/processes", post(deploy))
        .route("/processes/{processID}", axum::routing::put(replace).delete(undeploy))
        .route("/processes/{processID}/package", get(package_of))
}

type Parameters = Query<BTreeMap<String, String>>;

async fn deploy(
    State(facade): State<Arc<Facade>>,
    scope: Scope,
    Query(parameters): Parameters,
    request: Request,
) -> Result<Response, Problem> {
    let content = Content::of(request.headers())?;
    let _turn = turn(&facade, &scope.tenant).await?;
    let sent = sent(content, request).await?;
    let wanted = parameters.get("w").map(String::as_str);
    let process = prepare(&facade.fetcher, sent, Target::New { wanted }).await?;
    let location = scope.base.url(&format!("processes/{}", process.id));
    match facade.is_mutable(&scope.tenant, &process.id).await? {
        Some(true) => return Err(Problem::duplicated_process(process.id.as_str(), &location)),
        Some(false) => return Err(Problem::immutable_process(process.id.as_str())),
        None => {}
    }
    let (id, description) = (process.id.clone(), process.description.clone());
    match facade.backend.deploy(&scope.tenant, process).await {
        Ok(()) => {
            let headers = [(LOCATION, location.as_str()), (CONTENT_TYPE, JSON)];
            Ok((StatusCode::CREATED, headers, summary(&id, &description, true, &scope.base).to_string())
                .into_response())
        }
        Err(BackendError::Exists(_)) => Err(Problem::duplicated_process(id.as_str(), &location)),
        Err(error) => Err(error.into()),
    }
}

/// 415 comes before 404, so that a client learns what is understood whatever it names.
async fn replace(
    State(facade): State<Arc<Facade>>,
    scope: Scope,
    ProcessInPath(id): ProcessInPath,
    Query(parameters): Parameters,
    request: Request,
) -> Result<Response, Problem> {
    let content = Content::of(request.headers())?;
    changeable(&facade, &scope, &id).await?;
    let _turn = turn(&facade, &scope.tenant).await?;
    let sent = sent(content, request).await?;
    let wanted = parameters.get("w").map(String::as_str);
    let process = prepare(&facade.fetcher, sent, Target::Existing { id: &id, wanted }).await?;
    facade.backend.replace(&scope.tenant, process).await.map_err(|error| refusal(error, &id))?;
    let location = scope.base.url(&format!("processes/{id}"));
    Ok((StatusCode::NO_CONTENT, [(LOCATION, location)]).into_response())
}

async fn undeploy(
    State(facade): State<Arc<Facade>>,
    scope: Scope,
    ProcessInPath(id): ProcessInPath,
) -> Result<StatusCode, Problem> {
    changeable(&facade, &scope, &id).await?;
    facade.backend.undeploy(&scope.tenant, &id).await.map_err(|error| refusal(error, &id))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn package_of(
    State(facade): State<Arc<Facade>>,
    scope: Scope,
    ProcessInPath(id): ProcessInPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let process = facade.process(&scope.tenant, &id).await?;
    let media_type = match negotiate::stated(&uri)? {
        Some(Format::Html) => HTML,
        Some(Format::Json) => content::CWL_JSON,
        None => representation::media_type(&process.deployed, negotiate::accept(&headers).as_deref())?,
    };
    let deployed = Arc::clone(&process.deployed);
    let text = package::aside(move || representation::text(&deployed, media_type)).await?;
    if media_type == HTML {
        return Ok(pages::package(&scope.base, id.as_str(), &text).into_response());
    }
    Ok(([(CONTENT_TYPE, media_type)], text).into_response())
}

/// Nothing else is asked of a process that is to be replaced or undeployed: one that does not run is mended like that.
async fn changeable(facade: &Facade, scope: &Scope, id: &ProcessId) -> Result<(), Problem> {
    match facade.is_mutable(&scope.tenant, id).await? {
        Some(true) => Ok(()),
        Some(false) => Err(Problem::immutable_process(id.as_str())),
        None => Err(Problem::no_such_process(id.as_str())),
    }
}

/// What became of the process between two looks at it.
fn refusal(error: BackendError, id: &ProcessId) -> Problem {
    match error {
        BackendError::NotFound(_) => Problem::no_such_process(id.as_str()),
        BackendError::Immutable(_) => Problem::immutable_process(id.as_str()),
        error => error.into(),
    }
}

/// One of the places in which packages are read, as long as it is held.
async fn turn(facade: &Facade, tenant: &Tenant) -> Result<Taken, Problem> {
    facade.rooms.deployments.wait_for(tenant, DEPLOYMENT_WAIT).await.map_err(|full| match full {
        Full::Tenant => {
            let detail =
                format!("{DEPLOYMENTS_OF_TENANT} packages of this tenant are being read, as many as one may have");
            Problem::too_many(detail, RETRY_SECONDS)
        }
        Full::All => Problem::unavailable("as many packages are being read as can be at a time"),
    })
}

async fn sent(content: Content, request: Request) -> Result<Sent, Problem> {
    let text = text(request).await?;
    package::aside(move || Sent::parse(content, text)).await
}

async fn text(request: Request) -> Result<String, Problem> {
    let body = Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large("the body", BODY_BYTES),
        _ => Problem::invalid_parameter("", rejection.body_text(), "send it again"),
    })?;
    let text = String::from_utf8(body.into());
    text.map_err(|error| {
        let what = format_args!("not UTF-8 at byte {}", error.utf8_error().valid_up_to());
        Problem::invalid_parameter("", what, "send a text in UTF-8")
    })
}

/// What a package is to become.
#[derive(Debug, Clone, Copy)]
enum Target<'a> {
    /// A process of the id that the package states.
    New { wanted: Option<&'a str> },
    /// The process of this id; its entry has the same id, if `w=` names no other.
    Existing { id: &'a ProcessId, wanted: Option<&'a str> },
}

/// A CWL text, and where it comes from.
struct Text {
    cwl: String,
    url: Option<String>,
    fragment: Option<String>,
}

/// From what was sent to a process that can be deployed.
async fn prepare(fetcher: &Arc<dyn Fetcher>, sent: Sent, target: Target<'_>) -> Result<NewProcess, Problem> {
    let stated = description::stated_id(sent.description.as_ref())?;
    if let (Target::Existing { id, .. }, Some(stated)) = (target, stated)
        && stated != id.as_str()
    {
        let what = format_args!("`{stated}` is not the process that is replaced");
        return Err(Problem::invalid_parameter("/processDescription/id", what, format_args!("write {id}")));
    }
    let trust = if matches!(sent.unit, Unit::Container { .. }) { Trust::Whole } else { Trust::Words };
    let container_id = match target {
        Target::Existing { id, .. } => Some(id.as_str()),
        Target::New { .. } => stated,
    };
    let text = cwl(fetcher, &sent.unit, container_id, sent.description.as_ref()).await?;
    let url = text.url.clone().unwrap_or_else(|| package::SENT.to_owned());
    let source = Source::named(package::name(&url), &url, text.cwl.clone());
    let listed = package::aside(move || Listed::of(&source).map_err(|error| package::refused(error.into()))).await?;
    let entry = entry(&listed, target, stated, text.fragment.as_deref())?.map(str::to_owned);
    let loaded = package::load(Arc::clone(fetcher), url, text.cwl.clone(), entry.clone()).await?;
    // As it is written: the loader knows it by its last part. Of a file that states none, its name stands for it.
    let file = || text.url.is_some().then(|| loaded.package.processes[loaded.package.entry.0].header().id.as_str());
    let own = entry.as_deref().or_else(file);
    let id = match target {
        Target::Existing { id, .. } => id.clone(),
        Target::New { .. } => new_id(stated, own)?,
    };
    let description = description::describe(&id, &loaded.package, sent.description.as_ref(), trust)?;
    let deployed = Deployed {
        cwl: text.cwl,
        url: text.url,
        imports: loaded.imports,
        workflow: entry,
        application_package: sent.application_package,
    };
    Ok(NewProcess { id, deployed, description, package: Arc::new(loaded.package) })
}

async fn cwl(
    fetcher: &Arc<dyn Fetcher>,
    unit: &Unit,
    id: Option<&str>,
    description: Option<&Map<String, Json>>,
) -> Result<Text, Problem> {
    match unit {
        Unit::Cwl(text) => Ok(Text { cwl: text.clone(), url: None, fragment: None }),
        Unit::Href { url, place } => {
            let (url, fragment) = split_fragment(url);
            let cwl = package::fetch(fetcher.as_ref(), url, place).await?;
            Ok(Text { cwl, url: Some(url.to_owned()), fragment: fragment.map(str::to_owned) })
        }
        Unit::Container { unit, place } => {
            let right = "a container says nothing of itself: write its id, inputs and outputs";
            let missing = |place: &str| Problem::invalid_parameter(place, "missing", right);
            let description = description.ok_or_else(|| missing("/processDescription"))?;
            let id = id.ok_or_else(|| missing("/processDescription/id"))?;
            let cwl = container::tool(id, unit, place, description)?;
            Ok(Text { cwl, url: None, fragment: None })
        }
    }
}

/// The id in the package of the process that is meant.
fn entry<'a>(
    listed: &'a Listed,
    target: Target<'_>,
    stated: Option<&str>,
    fragment: Option<&str>,
) -> Result<Option<&'a str>, Problem> {
    let (Target::New { wanted } | Target::Existing { wanted, .. }) = target;
    match (wanted.or(fragment), target) {
        (None, Target::Existing { id, .. }) => match listed.find(id.as_str()) {
            Some(entry) => Ok(Some(entry)),
            // The id was never the package's own.
            None if stated.is_some() => listed.choose(None),
            None => match listed.choose(None)? {
                None => Ok(None),
                Some(_) => listed.choose(Some(id.as_str())),
            },
        },
        (wanted, _) => listed.choose(wanted),
    }
}

fn new_id(stated: Option<&str>, own: Option<&str>) -> Result<ProcessId, Problem> {
    let (id, place) = match (stated, own) {
        (Some(id), _) => (id, "/processDescription/id"),
        (None, Some(id)) => (id, "the package"),
        (None, None) => {
            let right = "add `id: …` to it, or send an OGC Application Package with processDescription.id";
            return Err(Problem::invalid_parameter("the package", "its process has no id", right));
        }
    };
    id.parse().map_err(|error| Problem::invalid_parameter(place, error, "choose another id"))
}

#[cfg(test)]
mod tests;
