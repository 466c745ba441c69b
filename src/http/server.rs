//! Connections: their number, their pace, and their end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::limits::{ACCEPT_PAUSE, CONNECTIONS, HEAD_BYTES, HEAD_TIME, STOP_GRACE, WRITE_TIME};
use crate::pace::Paced;
use crate::{Facade, callback, router};

/// Serves until `shutdown` ends, and returns when the requests under way are answered or [`STOP_GRACE`] is over.
pub async fn serve(listener: TcpListener, facade: Arc<Facade>, shutdown: impl Future<Output = ()>) {
    let callbacks = tokio::spawn(callback::run(Arc::clone(&facade)));
    serve_router(listener, router(facade), shutdown).await;
    callbacks.abort();
}

/// Serves a router that somebody has put more around; callbacks are not its part.
pub async fn serve_router(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            // Never closed, so there always is a permit.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream, peer) = tokio::select! {
            () = &mut shutdown => break,
            (place, accepted) = accepted => match accepted {
                Ok((stream, peer)) => (place, stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            }
        };
        // Answers are written whole: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let service = router.clone().layer(Extension(ConnectInfo::<SocketAddr>(peer)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(Paced::new(stream, WRITE_TIME)), TowerToHyperService::new(service));
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
    drop(listener);
    // What is not delivered is not noticed, and the next start delivers it.
    if timeout(STOP_GRACE, connections.shutdown()).await.is_err() {
        tracing::warn!("connections were cut off at the stop");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;
    use crate::Settings;
    use crate::testing::{Memory, World};

    /// A server over the backend, its address, and what stops it.
    async fn start(memory: Arc<Memory>) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let facade = Arc::new(Facade::new(memory, World::new(), Settings::default()));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, facade, async { drop(stopped.await) }));
        (address, stop, server)
    }

    async fn ask(stream: &mut TcpStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_ends_with_the_server() {
        let (address, stop, server) = start(Memory::acme()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            let answer = ask(&mut stream, "GET /acme/ogc-api HTTP/1.1\r\nHost: h\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        stop.send(()).unwrap();
        server.await.unwrap();
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_before_it_is_sent() {
        let (address, _stop, _server) = start(Memory::acme()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head =
            "POST /acme/ogc-api/processes/greet/execution HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n";
        let answer = ask(&mut stream, head).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }

    /// Clients write all before they read: one that is cut off sees a broken connection instead of the reason.
    #[tokio::test]
    async fn a_body_that_is_refused_on_its_way_is_answered_to_a_client_that_goes_on_sending() {
        let (address, _stop, _server) = start(Memory::acme()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body = format!("[0{}]", ",0".repeat(4 << 20));
        let length = body.len();
        let head = format!(
            "POST /acme/ogc-api/processes/greet/execution HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
        );
        let answer = ask(&mut stream, &(head + &body)).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
}
