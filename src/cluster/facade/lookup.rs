//! What the index does not know, or not well enough, the API server is asked for.

use std::fmt::Debug;

use kube::api::Api;
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;
use weir_http::backend::BackendError;

use super::Cluster;
use super::failure::refused;
use crate::job::in_time;

impl Cluster {
    /// An object as the API server has it now.
    pub(super) async fn look_up<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, BackendError>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        match in_time(api.get_opt(name)).await {
            Ok(found) => Ok(found),
            // What cannot be read is nothing for the façade (invariant I11).
            Err(kube::Error::SerdeError(_)) => Ok(None),
            Err(error) => Err(refused(&format!("look up the {}", K::kind(&())), &error)),
        }
    }
}
