//! The leader's label on its own pod: the agents' Service selects by it.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::time::sleep;
use weir_api::kubernetes::names::{FIELD_MANAGER, LEADER};

use crate::limits::START_RETRY;

/// Well-known label: the installation that an object belongs to.
const INSTALLATION: &str = "app.kubernetes.io/instance";

/// The pod that this process runs in.
#[derive(Debug, Clone)]
pub(super) struct OwnPod {
    pods: Api<Pod>,
    name: String,
}

impl OwnPod {
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { pods: Api::namespaced(client, namespace), name: name.to_owned() }
    }

    /// Labels this pod, and only this one. Tries until it works.
    pub async fn leads(&self) {
        while let Err(error) = self.try_to_lead().await {
            tracing::warn!(%error, "the leader's label cannot be set; agents may not find this replica");
            sleep(START_RETRY).await;
        }
    }

    /// This process was started anew and does not lead: a label of its predecessor goes. If that does not work the next
    /// leader does it.
    pub async fn stands_back(&self) {
        if let Err(error) = self.label(&self.name, false).await {
            tracing::warn!(%error, pod = self.name, "the leader's label cannot be taken from this pod");
        }
    }

    async fn try_to_lead(&self) -> Result<(), kube::Error> {
        let own = self.label(&self.name, true).await?;
        // Others of the same installation: there may be a second one in the namespace.
        let installation = own.labels().get(INSTALLATION).map(|name| format!(",{INSTALLATION}={name}"));
        let selector = format!("{LEADER}{}", installation.unwrap_or_default());
        let labelled = self.pods.list_metadata(&ListParams::default().labels(&selector)).await?;
        for pod in labelled.items.iter().map(kube::ResourceExt::name_any).filter(|name| *name != self.name) {
            match self.label(&pod, false).await {
                // Gone meanwhile.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                labelled => drop(labelled?),
            }
        }
        Ok(())
    }

    async fn label(&self, pod: &str, leads: bool) -> Result<Pod, kube::Error> {
        let value = if leads { json!("true") } else { json!(null) };
        let patch = json!({"metadata": {"labels": {LEADER: value}}});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.pods.patch(pod, &params, &Patch::Merge(&patch)).await
    }
}
