//! The S3 server of `weir store`: protocol by the crate `s3s`, backend ours, on one directory.
//!
//! | file | what stands there |
//! |---|---|
//! | `mod.rs` | connections: limits, health, log, graceful stop |
//! | `gate.rs` | what is refused before the protocol crate sees it |
//! | `credentials.rs`, `access.rs` | key pairs and what they allow |
//! | `protocol.rs`, `listing.rs`, `parts.rs`, `receive.rs`, `send.rs`, `conditions.rs` | the operations |
//! | `own.rs` | the objects for the program that runs the server |
//! | `disk.rs`, `object.rs`, `key.rs`, `walk.rs`, `multipart.rs` | objects on the disk |

mod access;
mod conditions;
mod credentials;
mod disk;
mod gate;
mod idle;
mod key;
mod listing;
mod multipart;
mod object;
mod own;
mod parts;
mod protocol;
mod receive;
mod send;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use s3s::Body;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub use credentials::{Access, Credentials, CredentialsError, KeyPair};
pub use disk::DiskError;
pub use own::{Objects, Reading};

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 1024;

/// A client sends the head of a request within this time, and keeps an idle connection no longer.
const HEAD_TIME: Duration = Duration::from_secs(75);

/// Bytes of a request's head at most.
const HEAD_BYTES: usize = 64 * 1024;

/// Bytes of an XML document at most; DeleteObjects with 1,000 long keys, or 10,000 parts, fit.
const XML_BYTES: usize = 4 * 1024 * 1024;

/// Requests that are under way at a stop have this long to end.
const GRACE: Duration = Duration::from_secs(25);

/// How often the credentials file is looked at; a Secret's volume is refreshed about once a minute.
const RELOAD: Duration = Duration::from_secs(5);

/// How often abandoned uploads are looked for.
const SWEEP: Duration = Duration::from_hours(1);

/// A connection that takes no bytes of an answer for this long is closed.
const WRITE_IDLE: Duration = Duration::from_mins(1);

/// How the server keeps and guards its objects.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Its directory; created if it does not exist.
    pub dir: PathBuf,
    /// Whether an answer waits until its object would outlive a power failure.
    pub fsync: bool,
    /// Who may do what.
    pub credentials: Credentials,
    /// Buckets that exist from the start.
    pub buckets: Vec<String>,
}

/// A server that is ready to serve: its directory is locked and swept.
#[derive(Clone)]
pub struct Server {
    service: S3Service,
    disk: Arc<disk::Disk>,
    credentials: Credentials,
}

/// Why a server does not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its directory is not usable.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A bucket with such a name cannot be.
    #[error("`{0}` is no name of a bucket: 3 to 63 lower-case letters, digits, `.` and `-`")]
    BucketName(String),
}

impl Server {
    /// Opens the directory, creates the buckets and removes what a crash left behind. Blocks.
    pub fn open(settings: ServerSettings) -> Result<Self, ServerError> {
        let disk = Arc::new(disk::Disk::open(&settings.dir, settings.fsync)?);
        for bucket in settings.buckets {
            if !s3s::path::check_bucket_name(&bucket) {
                return Err(ServerError::BucketName(bucket));
            }
            match disk.create_bucket(&bucket) {
                Ok(()) | Err(DiskError::BucketExists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        disk.sweep_uploads(SystemTime::now())?;
        let guard = access::Guard { credentials: settings.credentials.clone(), disk: Arc::clone(&disk) };
        let mut builder = S3ServiceBuilder::new(protocol::Service { disk: Arc::clone(&disk), guard: guard.clone() });
        builder.set_auth(guard.clone());
        builder.set_access(guard);
        let mut config = s3s::config::S3Config::default();
        config.xml_max_body_size = XML_BYTES;
        // Forms are refused before they get there; were one to slip through, it would not be collected in memory.
        config.post_object_max_file_size = 0;
        config.form_max_fields_size = HEAD_BYTES;
        builder.set_config(Arc::new(s3s::config::StaticConfigProvider::new(Arc::new(config))));
        Ok(Self { service: builder.build(), disk, credentials: settings.credentials })
    }

    /// The objects, for the program that runs the server.
    pub fn objects(&self) -> Objects {
        Objects::new(Arc::clone(&self.disk))
    }

    /// Serves until `shutdown` ends; then lets requests under way end, for 25 seconds at most.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let upkeep = tokio::spawn(upkeep(self.credentials.clone(), Arc::clone(&self.disk)));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accept = async {
                let permit = Arc::clone(&connections).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                accepted = accept => accepted,
                () = &mut shutdown => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: it passes when others close.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let connection = graceful.watch(self.connection(stream));
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection broke");
                }
                drop(permit);
            });
        }
        upkeep.abort();
        drop(listener);
        if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were cut off at the stop");
        }
    }

    fn connection(&self, stream: TcpStream) -> impl GracefulConnection<Error = hyper::Error> + use<> {
        // Answers are written whole: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let service = self.service.clone();
        let answer = service_fn(move |request| {
            let service = service.clone();
            async move { Ok::<_, std::convert::Infallible>(answer(&service, request).await) }
        });
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(idle::Impatient::new(stream, WRITE_IDLE)), answer)
    }
}

/// Reloads the credentials and removes abandoned uploads, as long as the server runs.
async fn upkeep(credentials: Credentials, disk: Arc<disk::Disk>) {
    let mut swept = Instant::now();
    loop {
        tokio::time::sleep(RELOAD).await;
        match credentials.reload() {
            Ok(false) => {}
            Ok(true) => tracing::info!("took over changed credentials"),
            Err(error) => tracing::error!(%error, "kept the old credentials"),
        }
        if swept.elapsed() > SWEEP {
            swept = Instant::now();
            let disk = Arc::clone(&disk);
            let done = tokio::task::spawn_blocking(move || disk.sweep_uploads(SystemTime::now())).await;
            if let Ok(Err(error)) = done {
                tracing::error!(%error, "cannot remove abandoned uploads");
            }
        }
    }
}

/// Answers one request and logs it.
async fn answer(service: &S3Service, request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() == "/healthz" {
        return Response::new(Body::from("ok\n".to_owned()));
    }
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let response = match gate::check(&parts) {
        Err(refusal) => refused(refusal),
        Ok(()) => service.call(Request::from_parts(parts, Body::from(body))).await.unwrap_or_else(|error| {
            tracing::error!(?error, "a request failed");
            refused(gate::Refusal("InternalError", 500, "the request failed"))
        }),
    };
    let response = worded(response);
    let status = response.status();
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    // The query is left out: it may hold a signature.
    if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
        tracing::error!(target: "weir_store::request", %method, path, status = status.as_u16(), micros);
    } else {
        tracing::info!(target: "weir_store::request", %method, path, status = status.as_u16(), micros);
    }
    response
}

/// A wrong signature with a message: the protocol crate gives none, and clients show what they get.
fn worded(response: Response<Body>) -> Response<Body> {
    const CODE: &str = "SignatureDoesNotMatch";
    let is_bare = |body: &[u8]| {
        let text = String::from_utf8_lossy(body);
        text.contains(CODE) && !text.contains("<Message>")
    };
    if response.status() == StatusCode::FORBIDDEN && response.body().bytes().is_some_and(|body| is_bare(&body)) {
        let message = "the signature is not the one that the secret key of this access key makes: look at the secret key, \
                       and at what a proxy changes in the request";
        return refused(gate::Refusal(CODE, 403, message));
    }
    response
}

fn refused(gate::Refusal(code, status, message): gate::Refusal) -> Response<Body> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml"));
    response
}

#[cfg(test)]
mod tests;
