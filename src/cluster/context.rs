//! What the parts of a job share.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStore;
use weir_plan::Intent;
use weir_store::JobKeys;
use weir_store::presign::Signer;

use crate::data::{JobData, Remote, Results};

use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::spec::ClusterJob;

/// What all jobs of an operator share.
#[derive(Debug)]
pub struct Services {
    /// As the operator was told.
    pub settings: Arc<Settings>,
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// Signs requests to the store's bucket.
    pub signer: Signer,
    /// The bucket of published results.
    pub results: Results,
    /// Looks at inputs behind URLs.
    pub remote: Arc<dyn Remote>,
    /// Evaluates JavaScript.
    pub scripts: weir_script::Pool,
    /// What Prometheus reads.
    pub metrics: Metrics,
}

/// What the parts of one job share.
#[derive(Debug)]
pub struct JobContext {
    /// The operator's.
    pub services: Arc<Services>,
    /// Its keys in the store.
    pub keys: JobKeys,
    /// As it was pinned.
    pub spec: ClusterJob,
    /// As the planner sees it.
    pub intent: Arc<Intent>,
    /// Every text that its package is made of, by URL.
    pub documents: BTreeMap<String, String>,
    /// What was read of its data; empty at first.
    pub data: JobData,
}
