//! The declaration of conformance (18-062r2, `/req/core/conformance-success`).

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use crate::links::Base;
use crate::negotiate::{self, Format};
use crate::{Facade, pages};

/// Every class that is implemented.
pub const CLASSES: [&str; 16] = [
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/ogc-process-description",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/job-list",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/callback",
    "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/dismiss",
    "http://www.opengis.net/spec/ogcapi-processes-2/1.0/conf/deploy-replace-undeploy",
    "http://www.opengis.net/spec/ogcapi-processes-2/1.0/conf/ogcapppkg",
    "http://www.opengis.net/spec/ogcapi-processes-2/1.0/conf/docker",
    "http://www.opengis.net/spec/ogcapi-processes-2/1.0/conf/cwl",
];

/// `GET /conformance`
pub fn routes() -> Router<Arc<Facade>> {
    Router::new().route("/conformance", get(conformance))
}

async fn conformance(base: Base, format: Format) -> Response {
    let document = json!({"conformsTo": CLASSES, "links": base.self_and_alternate("conformance")});
    negotiate::respond(format, &document, || pages::conformance(&base, &document))
}
