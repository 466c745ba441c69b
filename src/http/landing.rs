//! The landing page of a tenant (18-062r2, `/req/core/landingpage-success`).

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use crate::links::rel;
use crate::negotiate::{self, Format};
use crate::openapi::OPENAPI_JSON;
use crate::tenant::Scope;
use crate::{Facade, pages};

/// `GET /`
pub fn routes() -> Router<Arc<Facade>> {
    Router::new().route("/", get(landing))
}

async fn landing(Scope { tenant, base }: Scope, format: Format) -> Response {
    const JSON: &str = negotiate::JSON;
    let mut links = base.self_and_alternate("");
    links.extend([
        base.link("api", "service-desc", OPENAPI_JSON, "The definition of this API (OpenAPI 3.0)"),
        base.link("api?f=html", "service-doc", "text/html", "The documentation of this API"),
        base.link("conformance", rel::CONFORMANCE, JSON, "Conformance classes of OGC API - Processes"),
        base.link("conformance", "conformance", JSON, "Conformance classes of OGC API - Processes"),
        base.link("processes", rel::PROCESSES, JSON, "Processes"),
        base.link("jobs", rel::JOB_LIST, JSON, "Jobs"),
    ]);
    let document = json!({
        "title": format!("Processes of {tenant}"),
        "description": "Runs Earth-observation application packages: OGC API - Processes, Part 1 (Core) and Part 2 \
                        (Deploy, Replace, Undeploy).",
        "links": links,
    });
    negotiate::respond(format, &document, || pages::landing(&base, &document))
}
