//! What the index does not know, or not well enough, the API server is asked for: so many things at the same time for each
//! tenant. All are asked in the name of the operator, whose controllers must not wait for somebody who makes up ids.

use std::fmt::Debug;

use kube::api::Api;
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use weir_http::backend::BackendError;

use super::Cluster;
use super::failure::refused;
use crate::job::in_time;
use crate::limits::{FACADE_LOOKUP_WAIT, FACADE_LOOKUPS_A_TENANT};

impl Cluster {
    /// An object as the API server has it now, if there is one that can be read (invariant I11).
    pub(super) async fn look_up<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, BackendError>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let turn = timeout(FACADE_LOOKUP_WAIT, self.lookups.take(&namespace.to_owned())).await;
        let _turn = turn.map_err(|_| {
            BackendError::Unavailable(format!(
                "the tenant asks for {FACADE_LOOKUPS_A_TENANT} things at the same time that this replica has not seen, or not seen over: ask more slowly"
            ))
        })?;
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        match in_time(api.get_opt(name)).await {
            Ok(found) => Ok(found),
            Err(kube::Error::SerdeError(_)) => Ok(None),
            Err(error) => Err(refused(&format!("look up the {}", K::kind(&())), &error)),
        }
    }
}
