//! Wires the operator together and supervises its tasks.
//!
//! A replica's life: health and metrics are served at once -> [`start`] reaches store and API server -> the façade is
//! served by every replica, agents are listened to (and told to ask again) -> the lease is waited for -> [`lead`] runs jobs until the lease is lost, a task
//! ends or the process is asked to stop. There is no way back from leading: whatever ends ends the process, and the
//! pods of steps go on meanwhile.

mod facade;
mod own_pod;
mod remote;
mod start;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::agents;
use crate::agents::auth::TokenReviewer;
use crate::agents::tls::TlsError;
use crate::health::{self, Health};
use crate::lease::{Candidate, Held, Lost};
use crate::limits::STOP_TIME;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::{controller, process, sweep};

use start::Parts;

/// Why the operator ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// A port cannot be had.
    #[error("cannot listen on {address} for {what}: {source}")]
    Listen {
        /// For what.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    /// Nothing says where the API server is.
    #[error("cannot find the API server: there is neither a pod's service account nor a usable kubeconfig: {0}")]
    ApiServer(Box<kube::config::InferConfigError>),
    /// The client cannot be made.
    #[error("cannot make a client for the API server: {0}")]
    Client(Box<kube::Error>),
    /// The settings of the store cannot be used.
    #[error("cannot use the store's settings: {0}")]
    Store(String),
    /// The store is no place for journals of several replicas.
    #[error(transparent)]
    Unconditional(weir_store::probe::ProbeError),
    /// The agents' authority cannot be used.
    #[error(transparent)]
    Authority(#[from] TlsError),
    /// The worker of scripts cannot be started.
    #[error("cannot find this program, which evaluates scripts in a process of its own: {0}")]
    Scripts(std::io::Error),
    /// What may be fetched by URL cannot be told.
    #[error(transparent)]
    Fetch(#[from] weir_fetch::GuardError),
    /// The settings of the OpenID Connect provider cannot be used.
    #[error(transparent)]
    Oidc(#[from] weir_http::auth::OidcError),
    /// Somebody else may lead now.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// A task that goes on for ever has ended.
    #[error("{what} has ended: {why}")]
    Ended {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
    },
}

/// Runs a replica until SIGTERM or SIGINT (`Ok`), or until it must not go on; the log says why.
pub async fn run(settings: Settings) -> Result<(), OperatorError> {
    let ended = live(settings).await;
    if let Err(error) = &ended {
        tracing::error!(%error, "this replica ends");
    }
    ended
}

async fn live(settings: Settings) -> Result<(), OperatorError> {
    let mut stop = stop_signal()?;
    let (health, metrics) = (Health::new(), Metrics::new());
    let listener = listen("health and metrics", settings.health_listen).await?;
    let mut served = JoinSet::new();
    served.spawn(health::serve(listener, health::router(health.clone(), metrics.clone())));
    let replica = replica(settings, &health, metrics, stop.clone());
    let ended = tokio::select! {
        ended = replica => ended,
        // A replica that does not stop in time is left behind.
        () = async { asked(&mut stop).await; tokio::time::sleep(STOP_TIME).await } => {
            tracing::warn!("not everything stopped in time");
            Ok(())
        }
    };
    if let Err(error) = &ended {
        health.ends(&error.to_string());
    }
    ended
}

async fn replica(
    settings: Settings,
    health: &Health,
    metrics: Metrics,
    mut stop: watch::Receiver<bool>,
) -> Result<(), OperatorError> {
    let parts = tokio::select! {
        parts = start::start(settings, health, metrics) => parts?,
        () = asked(&mut stop) => return Ok(()),
    };
    let registry = Registry::default();
    let (synced, knows_all_jobs) = watch::channel(false);
    let listener = listen("agents", parts.services.settings.agents_listen).await?;
    let tls = parts.certificates.server_config()?;
    let reviewer = TokenReviewer::new(parts.client.clone());
    let until = {
        let mut stop = stop.clone();
        async move { asked(&mut stop).await }
    };
    let agents = tokio::spawn(agents::server::serve(listener, tls, reviewer, registry.clone(), knows_all_jobs, until));
    let (leads, leading) = watch::channel(false);
    let mut facade = facade::Served::new(&parts, health, leading, stop.clone()).await?;
    let candidate = {
        let settings = &parts.services.settings;
        // Unique to this process, readable for people.
        let pod = settings.pod_name.as_deref().unwrap_or("weir");
        let identity = format!("{pod}_{}", uuid::Uuid::new_v4());
        Candidate::new(
            parts.lease_client.clone(),
            &settings.namespace,
            &settings.lease,
            &identity,
            settings.lease_timing,
        )
    };
    tracing::info!("ready; waiting for the lease");
    let led = async {
        tokio::select! {
            () = asked(&mut stop) => Ok(()),
            held = candidate.acquire() => {
                tracing::info!("leading");
                parts.services.metrics.leads(true);
                leads.send_replace(true);
                lead(held, tasks(&parts, registry, synced), stop.clone()).await
            }
        }
    };
    tokio::select! {
        led = led => led?,
        ended = facade.ended() => return Err(ended),
    }
    facade.stopped().await;
    agents.await.map_err(|error| OperatorError::Ended { what: "the agents' server", why: error.to_string() })
}

/// A task that goes on for ever, and why it did not.
type Task = (&'static str, Result<(), String>);

/// What a leader does.
fn tasks(parts: &Parts, registry: Registry, synced: watch::Sender<bool>) -> JoinSet<Task> {
    let mut tasks = JoinSet::new();
    let Parts { services, client, certificates, own_pod, guarded, .. } = parts;
    let jobs =
        controller::run(Arc::clone(services), client.clone(), registry, certificates.trusted_pem().to_owned(), synced);
    tasks.spawn(async move { ("the controller of jobs", jobs.await.map_err(|error| error.to_string())) });
    let processes = process::run(Arc::clone(services), client.clone(), guarded.clone());
    tasks.spawn(async move { ("the controller of Processes", processes.await.map_err(|error| error.to_string())) });
    let sweep = sweep::run(Arc::clone(services), client.clone());
    tasks.spawn(async move { match sweep.await {} });
    if let Some(own_pod) = own_pod.clone() {
        tasks.spawn(async move {
            own_pod.leads().await;
            pending().await
        });
    }
    tasks
}

/// Leads until the lease is lost, a task ends, or the process is asked to stop. The lease is given back only after
/// every task has stopped.
async fn lead(mut held: Held, mut tasks: JoinSet<Task>, mut stop: watch::Receiver<bool>) -> Result<(), OperatorError> {
    tokio::select! {
        biased;
        lost = held.keep() => return Err(lost.into()),
        Some(ended) = tasks.join_next() => return Err(of_task(ended)),
        () = asked(&mut stop) => tracing::info!("asked to stop"),
    }
    tasks.shutdown().await;
    held.release().await;
    Ok(())
}

fn of_task(ended: Result<Task, JoinError>) -> OperatorError {
    match ended {
        Ok((what, Ok(()))) => OperatorError::Ended { what, why: "nothing was left to do".to_owned() },
        Ok((what, Err(why))) => OperatorError::Ended { what, why },
        Err(error) => OperatorError::Ended { what: "a task of the leader", why: error.to_string() },
    }
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, OperatorError> {
    TcpListener::bind(address).await.map_err(|source| OperatorError::Listen { what, address, source })
}

/// True once SIGTERM or SIGINT came.
fn stop_signal() -> Result<watch::Receiver<bool>, OperatorError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(OperatorError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(OperatorError::Signals)?;
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.send_replace(true);
        // Kept, so that nobody takes its end for something else.
        pending::<()>().await;
    });
    Ok(stopping)
}

async fn asked(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        pending::<()>().await;
    }
}
