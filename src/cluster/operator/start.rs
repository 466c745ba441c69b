//! From settings to what a replica works with. What cannot be reached for now is tried again for ever.

use std::sync::Arc;
use std::time::SystemTime;

use kube::Client;
use object_store::ObjectStore;
use tokio::time::sleep;
use weir_script::WorkerCommand;
use weir_store::probe::{ProbeError, probe};

use super::OperatorError;
use super::own_pod::OwnPod;
use crate::agents::tls::{AuthorityPem, Certificates, TlsError, names};
use crate::context::Services;
use crate::data::Results;
use crate::health::Health;
use crate::limits::{API_CONNECT_TIME, API_READ_TIME, START_RETRY};
use crate::metrics::Metrics;
use crate::settings::Settings;
use weir_fetch::Guarded;

/// What a replica works with.
pub(super) struct Parts {
    pub services: Arc<Services>,
    pub client: Client,
    /// On a connection of its own, which nothing else can hold up; tries nothing again by itself.
    pub lease_client: Client,
    pub certificates: Arc<Certificates>,
    pub guarded: Guarded,
    pub own_pod: Option<OwnPod>,
}

/// Reaches store and API server.
pub(super) async fn start(settings: Settings, health: &Health, metrics: Metrics) -> Result<Parts, OperatorError> {
    let config = kube::Config::infer().await.map_err(|error| OperatorError::ApiServer(Box::new(error)))?;
    let (client, lease_client) = clients(config)?;
    let guarded = Guarded::new(&settings.fetch)?;
    let of_store = |error: &dyn std::fmt::Display| OperatorError::Store(error.to_string());
    let store = weir_store::s3(&settings.store).map_err(|error| of_store(&error))?;
    let signer = settings.store.signer().map_err(|error| of_store(&error))?;
    let command = WorkerCommand::this_program().map_err(OperatorError::Scripts)?;
    let own_pod = settings.pod_name.as_deref().map(|name| OwnPod::new(client.clone(), &settings.namespace, name));
    let ((), authority) = tokio::try_join!(
        reach_store(&*store, settings.single_replica, health),
        reach_api_server(&client, &settings.namespace, own_pod.as_ref(), health),
    )?;
    let certificates = Certificates::new(&authority, names(&settings.agents_url)?, SystemTime::now())?;
    let services = Services {
        results: Results::new(&settings.store).map_err(|error| of_store(&error))?,
        remote: Arc::new(guarded.clone()),
        settings: Arc::new(settings),
        store,
        signer,
        scripts: weir_script::Pool::new(&command),
        metrics,
    };
    let (services, certificates) = (Arc::new(services), Arc::new(certificates));
    Ok(Parts { services, client, lease_client, certificates, guarded, own_pod })
}

/// One for everything and one for the lease.
fn clients(mut config: kube::Config) -> Result<(Client, Client), OperatorError> {
    // Without a limit, a silent connection would be waited for as long as the kernel keeps it. Counted from each request.
    config.read_timeout = Some(API_READ_TIME);
    config.reset_reader_on_write = true;
    config.write_timeout = Some(API_READ_TIME);
    config.connect_timeout = Some(API_CONNECT_TIME);
    let make = |config| Client::try_from(config).map_err(|error| OperatorError::Client(Box::new(error)));
    let mut of_lease = config.clone();
    of_lease.default_retry = false;
    Ok((make(config)?, make(of_lease)?))
}

async fn reach_store(store: &dyn ObjectStore, single_replica: bool, health: &Health) -> Result<(), OperatorError> {
    while let Some(trouble) = usable(probe(store).await, single_replica)? {
        tracing::warn!(error = trouble, "the store cannot be reached");
        health.store(Some(trouble));
        sleep(START_RETRY).await;
    }
    health.store(None);
    Ok(())
}

/// What a look at the store means: it serves (`None`), it may serve later, or it never will.
pub(super) fn usable(probed: Result<(), ProbeError>, single_replica: bool) -> Result<Option<String>, OperatorError> {
    match probed {
        Ok(()) => Ok(None),
        Err(ProbeError::Unconditional) if single_replica => {
            tracing::warn!("the store ignores If-None-Match: a second replica would damage jobs");
            Ok(None)
        }
        Err(error @ ProbeError::Unconditional) => Err(OperatorError::Unconditional(error)),
        Err(error @ ProbeError::Store { .. }) => Ok(Some(error.to_string())),
    }
}

pub(super) async fn reach_api_server(
    client: &Client,
    namespace: &str,
    own_pod: Option<&OwnPod>,
    health: &Health,
) -> Result<AuthorityPem, OperatorError> {
    let authority = loop {
        match AuthorityPem::of_cluster(client, namespace, SystemTime::now()).await {
            Ok(authority) => break authority,
            Err(error @ (TlsError::Read { .. } | TlsError::Write { .. })) => {
                tracing::warn!(%error, "the API server does not give what the operator needs");
                health.api_server(Some(error.to_string()));
                sleep(START_RETRY).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    if let Some(own_pod) = own_pod {
        own_pod.stands_back().await;
    }
    health.api_server(None);
    Ok(authority)
}
