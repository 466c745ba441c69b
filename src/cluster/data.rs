//! The data of a step: work orders for agents, outputs from their reports, publishing.
//!
//! | file | what stands there |
//! |---|---|
//! | [`location`] | how the journal names a file of the store: `weir:<incarnation>/<path>` |
//! | [`files`] | input files as preparing a tool looks at them |
//! | [`remote`] | what must be known of files behind URLs |
//! | [`order`] | from a launch to what an agent is told to do |
//! | [`discreet`] | what is told of URLs |
//! | [`ending`] | how a tool ended, in one word |
//! | [`report`] | the output directory as the agent reported it |
//! | [`outputs`] | from the agent's report to the outcome |
//! | [`results`] | the bucket of published results |
//! | [`mod@publish`] | the final outputs, copied there |
//!
//! What blocks is called on threads that may block, within a tokio runtime: scripts are evaluated and the store is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use weir_cwl::ontology::Ontology;
use weir_store::manifest::{self, Manifest, ManifestError};

use crate::context::JobContext;
use crate::limits::MANIFEST_MEMBERS_CACHED;

pub mod discreet;
pub mod ending;
pub mod files;
pub mod location;
pub mod order;
pub mod outputs;
pub mod publish;
pub mod remote;
pub mod report;
pub mod results;

#[cfg(test)]
pub(crate) mod tests;

pub use order::{Order, Refusal, prepare, prepare_again};
pub use outputs::{Collected, Unavailable, completed, exited, refused};
pub use publish::{MARKER, PublishError, owner, publish, record};
pub use remote::{Remote, RemoteError};
pub use results::{RequestError, Results};

/// What a job has read of its own data and need not read again. Nothing in it ever changes in the store.
#[derive(Debug, Default)]
pub struct JobData {
    manifests: Mutex<HashMap<u64, Arc<Manifest>>>,
    /// Kinships of formats, read when first asked for.
    ontology: OnceLock<Ontology>,
}

impl JobData {
    /// The manifest of an incarnation of this job; `None` if it left nothing behind.
    pub async fn manifest(
        &self,
        context: &JobContext,
        incarnation: u64,
    ) -> Result<Option<Arc<Manifest>>, ManifestError> {
        let known = self.manifests.lock().unwrap_or_else(PoisonError::into_inner).get(&incarnation).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let read = manifest::get(context.services.store.as_ref(), &context.keys, incarnation).await?;
        Ok(read.map(|manifest| self.remember(incarnation, manifest)))
    }

    /// Keeps a manifest that is in the store.
    fn remember(&self, incarnation: u64, manifest: Manifest) -> Arc<Manifest> {
        let manifest = Arc::new(manifest);
        let mut known = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        let members: usize = known.values().map(|manifest| manifest.len()).sum();
        if members + manifest.len() > MANIFEST_MEMBERS_CACHED {
            known.clear();
        }
        known.insert(incarnation, Arc::clone(&manifest));
        manifest
    }

    /// Whether a file of format `found` serves where `wanted` is asked for, by the ontologies that the package names.
    fn is_a(&self, context: &JobContext, found: &str, wanted: &str) -> bool {
        let read = || {
            let mut ontology = Ontology::default();
            for url in &context.intent.package().schemas {
                if let Some(Err(error)) = context.documents.get(url).map(|text| ontology.read(url, text)) {
                    tracing::warn!(%error, "formats are compared without it");
                }
            }
            ontology
        };
        self.ontology.get_or_init(read).is_a(found, wanted)
    }
}
