//! The OGC façade: OGC API - Processes, Part 1 (18-062r2) and Part 2 (20-044), over one port.
//!
//! The way of a request, one direction; each word is a file or folder: [`server`] -> [`auth`] -> [`tenant`] -> [`negotiate`] -> route
//! -> a value that is valid -> the [`backend`] -> a record of it -> [`links`] -> JSON or HTML ([`pages`]). Errors are
//! documents of [`problem`] all the way.
//!
//! The façade holds no state of its own: what it answers is what the backend has (invariant I4).

use std::sync::Arc;

pub mod auth;
pub mod backend;
mod body;
mod browser;
pub mod callback;
pub mod conformance;
pub mod cors;
pub mod deploy;
pub mod echo;
pub mod execution;
pub mod fetcher;
pub mod jobs;
pub mod landing;
pub mod limits;
pub mod links;
pub mod names;
pub mod negotiate;
pub mod openapi;
mod pace;
pub mod pages;
pub mod paging;
mod places;
pub mod problem;
pub mod processes;
pub mod request_id;
pub mod results;
pub mod router;
pub mod server;
pub mod settings;
pub mod tenant;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use router::router;
pub use server::{serve, serve_router};
pub use settings::Settings;

use auth::Bearer;
use backend::{Backend, ProcessRecord};
use fetcher::Fetcher;
use limits::{
    ANSWERS_MEMORY, ANSWERS_MEMORY_OF_TENANT, BODIES_MEMORY, BODIES_MEMORY_OF_TENANT, DEPLOYMENTS_AT_ONCE,
    DEPLOYMENTS_OF_TENANT, NOTICES_AT_ONCE, NOTICES_OF_TENANT,
};
use places::Places;

/// What every handler is given: `State<Arc<Facade>>`.
pub struct Facade {
    /// Who holds processes and runs jobs.
    pub backend: Arc<dyn Backend>,
    /// The world outside.
    pub fetcher: Arc<dyn Fetcher>,
    /// What its operator decides.
    pub settings: Settings,
    /// Processes that every tenant has, ordered by id.
    pub built_ins: Vec<Arc<ProcessRecord>>,
    /// Who looks at the tokens of requests; `None`: whoever reaches the façade may do everything.
    pub bearer: Option<Bearer>,
    /// What tenants share.
    pub(crate) rooms: Rooms,
}

/// What requests of tenants share (invariant I9).
#[derive(Debug)]
pub(crate) struct Rooms {
    /// Memory for the bodies of requests, and for what is made of them.
    pub bodies: Places,
    /// Memory for answers that are made of documents.
    pub answers: Places,
    /// Packages that are being read for a deployment.
    pub deployments: Places,
    /// Notices that are being sent.
    pub notices: Places,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            bodies: Places::new(BODIES_MEMORY, BODIES_MEMORY_OF_TENANT),
            answers: Places::new(ANSWERS_MEMORY, ANSWERS_MEMORY_OF_TENANT),
            deployments: Places::new(DEPLOYMENTS_AT_ONCE, DEPLOYMENTS_OF_TENANT),
            notices: Places::new(NOTICES_AT_ONCE, NOTICES_OF_TENANT),
        }
    }
}

impl Facade {
    /// Over this backend.
    pub fn new(backend: Arc<dyn Backend>, fetcher: Arc<dyn Fetcher>, settings: Settings) -> Self {
        Self { backend, fetcher, settings, built_ins: vec![echo::process()], bearer: None, rooms: Rooms::default() }
    }

    /// The same for requests with a token of a provider.
    #[must_use]
    pub fn with_bearer(self, bearer: Bearer) -> Self {
        Self { bearer: Some(bearer), ..self }
    }
}
