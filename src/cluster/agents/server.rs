//! Connections of agents: TLS, their number, their pace, and their end.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::auth::Review;
use super::calls::Calls;
use crate::limits::{
    AGENT_CONNECTION_TIME, AGENT_CONNECTIONS, AGENT_CONNECTIONS_A_PEER, AGENT_HEAD_BYTES, AGENT_IDLE,
    AGENT_REQUEST_TIME, AGENT_STOP_GRACE, HANDSHAKE_TIME,
};
use crate::registry::Registry;

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves agents until `shutdown` ends, and returns when the requests under way are answered or
/// [`AGENT_STOP_GRACE`] is over.
///
/// * `tls`: of [`super::tls::Certificates::server_config`];
/// * `reviewer`: knows whose token it is ([`super::auth::TokenReviewer`]);
/// * `registry`: the actors;
/// * `knows_all_jobs`: true while this operator leads and every unfinished job is in the registry. Only then an agent
///   without an actor is superseded; otherwise it asks again.
pub async fn serve<R: Review>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    reviewer: R,
    registry: Registry,
    knows_all_jobs: watch::Receiver<bool>,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopping) = watch::channel(false);
    let router = Calls::new(reviewer, registry, knows_all_jobs, stopping.clone()).router();
    let acceptor = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(AGENT_CONNECTIONS));
    let peers = Peers::default();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (place, stream, from) = accept(&listener, &places) => {
                // One that has too many is cut off: others must be heard (invariant I9).
                if let Some(peer) = peers.admit(from) {
                    let (acceptor, router, stopping) = (acceptor.clone(), router.clone(), stopping.clone());
                    connections.spawn(connection(stream, acceptor, router, stopping, (place, peer)));
                }
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let rest = async { while connections.join_next().await.is_some() {} };
    if timeout(AGENT_STOP_GRACE, rest).await.is_err() {
        tracing::warn!(connections = connections.len(), "agents were cut off at the stop; they ask again");
    }
}

/// The next connection, when there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (Option<OwnedSemaphorePermit>, TcpStream, IpAddr) {
    // Never closed, so there always is a permit.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => return (place, stream, from.ip()),
            Err(error) => {
                // Out of file descriptors, mostly: it passes when others close.
                tracing::warn!(%error, "cannot accept an agent's connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, from handshake to close.
async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    _place: (Option<OwnedSemaphorePermit>, Peer),
) {
    // Answers are written whole: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(AGENT_IDLE)
            .max_buf_size(AGENT_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    );
    tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = sleep(AGENT_CONNECTION_TIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = timeout(AGENT_REQUEST_TIME, connection).await {
        log_end(ended);
    } else {
        tracing::debug!("an agent's connection was cut off");
    }
}

/// How many connections each address has.
#[derive(Debug, Clone, Default)]
struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection of an address, until it is dropped.
#[derive(Debug)]
struct Peer {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    /// One more connection of an address, unless it has [`AGENT_CONNECTIONS_A_PEER`].
    fn admit(&self, address: IpAddr) -> Option<Peer> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        (*count < AGENT_CONNECTIONS_A_PEER).then(|| {
            *count += 1;
            Peer { peers: self.clone(), address }
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "an agent's connection broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_the_places_of_others_i9() {
        let peers = Peers::default();
        let [greedy, other] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse::<IpAddr>().unwrap());
        let mut all: Vec<Peer> = (0..AGENT_CONNECTIONS_A_PEER).map(|_| peers.admit(greedy).unwrap()).collect();
        assert!(peers.admit(greedy).is_none());
        assert!(peers.admit(other).is_some());
        all.pop();
        assert!(peers.admit(greedy).is_some());
        drop(all);
        assert!(peers.0.lock().unwrap().is_empty());
    }
}
