//! The server as weir itself uses it: journals and blobs through the S3 client.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use weir_plan::{Event, Recorded, Timestamp};

use super::*;
use crate::presign::PutTerms;
use crate::{JobKeys, Journal, JournalError, S3Settings, blob, probe, s3};

struct Running {
    settings: S3Settings,
    store: Arc<dyn ObjectStore>,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start(dir: &std::path::Path) -> Self {
        let pair = KeyPair::unlimited("AK", "secret-of-weir");
        let credentials = Credentials::fixed(vec![pair]).unwrap();
        let server = Server::open(ServerSettings {
            dir: dir.to_owned(),
            fsync: false,
            credentials,
            buckets: vec!["weir".into()],
        });
        let server = server.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = S3Settings {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            region: "us-east-1".into(),
            bucket: "weir".into(),
            access_key: "AK".into(),
            secret_key: "secret-of-weir".into(),
            allow_http: true,
            trusted: None,
        };
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            server.serve(listener, async move { drop(stopped.await) }).await;
        });
        Self { store: s3(&settings).unwrap(), settings, stop, served }
    }

    async fn stop(self) {
        drop(self.store);
        let _ = self.stop.send(());
        tokio::time::timeout(Duration::from_secs(10), self.served).await.unwrap().unwrap();
    }
}

fn keys() -> JobKeys {
    JobKeys::new("acme".parse().unwrap(), "run".parse().unwrap())
}

fn epoch(epoch: u64) -> Recorded {
    Recorded { at: Timestamp(epoch), event: Event::Epoch { epoch } }
}

#[tokio::test]
async fn a_journal_of_many_appends_is_read_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let (mut journal, events) = Journal::open(Arc::clone(&running.store), keys()).await.unwrap();
    assert!(events.is_empty());
    for number in 1..=300 {
        journal.append(&[epoch(number)]).await.unwrap();
    }
    drop(journal);
    running.stop().await;
    let running = Running::start(dir.path()).await;
    let (journal, events) = Journal::open(Arc::clone(&running.store), keys()).await.unwrap();
    assert_eq!((events.len(), journal.epoch(), journal.next_segment()), (300, 300, 300));
    let left: Vec<_> = running.store.list(Some(&keys().journal())).try_collect().await.unwrap();
    assert_eq!(left.len(), 1 + 300 - 256, "segments that a pack covers are deleted");
    drop(journal);
    running.stop().await;
}

#[tokio::test]
async fn the_second_of_two_writers_of_a_journal_is_superseded() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let (mut one, _) = Journal::open(Arc::clone(&running.store), keys()).await.unwrap();
    let (mut other, _) = Journal::open(Arc::clone(&running.store), keys()).await.unwrap();
    one.append(&[epoch(7)]).await.unwrap();
    let error = other.append(&[epoch(8)]).await.unwrap_err();
    assert!(matches!(error, JournalError::Superseded { epoch: 7, .. }), "{error}");
    one.append(&[epoch(9)]).await.unwrap();
}

#[tokio::test]
async fn of_fifty_writers_of_one_key_exactly_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    for round in 0..5 {
        let key = Path::from(format!("a/b/{round}/claim"));
        let claims = (0..50).map(|writer: u32| {
            let (store, key) = (Arc::clone(&running.store), key.clone());
            tokio::spawn(async move {
                let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
                match store.put_opts(&key, PutPayload::from(writer.to_string()), options).await {
                    Ok(_) => Some(writer),
                    Err(object_store::Error::AlreadyExists { .. }) => None,
                    Err(error) => panic!("{error}"),
                }
            })
        });
        let won: Vec<u32> =
            futures_util::future::join_all(claims).await.into_iter().filter_map(Result::unwrap).collect();
        let found = running.store.get(&key).await.unwrap().bytes().await.unwrap();
        assert_eq!(won.iter().map(u32::to_string).collect::<Vec<_>>(), [String::from_utf8_lossy(&found)]);
    }
}

#[tokio::test]
async fn blobs_and_the_probe_work_over_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    probe::probe(running.store.as_ref()).await.unwrap();
    let digest = blob::put(running.store.as_ref(), &keys(), "water".into()).await.unwrap();
    blob::put(running.store.as_ref(), &keys(), "water".into()).await.unwrap();
    assert_eq!(blob::get(running.store.as_ref(), &keys(), &digest).await.unwrap(), "water");
}

#[tokio::test]
async fn a_presigned_put_writes_its_bytes_once_and_a_presigned_get_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let signer = running.settings.signer().unwrap();
    let (now, minute) = (SystemTime::now(), Duration::from_mins(1));
    let terms =
        PutTerms { sha256: Some(blob::Sha256Hex::of(b"water")), create: true, length: Some(5), content_type: None };
    let key = "acme/jobs/r/att/1/0 é&.tif";
    let put = signer.put(key, &terms, now, minute).unwrap();
    let get = signer.get(key, now, minute).unwrap();
    let send = |method: &'static str, url: &str, headers: &[(String, String)], body: &'static str| {
        let (url, headers) = (url.to_owned(), headers.to_vec());
        tokio::task::spawn_blocking(move || raw::send(method, &url, &headers, body))
    };
    assert_eq!(send("GET", &get.url, &[], "").await.unwrap().0, 404);
    assert_eq!(send("PUT", &put.url, &put.headers, "wine!").await.unwrap().0, 400, "another body");
    let without: Vec<_> = put.headers.iter().filter(|(name, _)| name != "if-none-match").cloned().collect();
    assert_eq!(send("PUT", &put.url, &without, "water").await.unwrap().0, 403, "a signed header is missing");
    assert_eq!(send("PUT", &put.url, &put.headers, "water").await.unwrap().0, 200);
    assert_eq!(send("PUT", &put.url, &put.headers, "water").await.unwrap().0, 412, "only once");
    assert_eq!(send("GET", &get.url, &[], "").await.unwrap(), (200, "water".to_owned()));
    let past = signer.get(key, now - Duration::from_mins(2), minute).unwrap();
    assert_eq!(send("GET", &past.url, &[], "").await.unwrap().0, 403, "expired");
    let foreign = get.url.replace("acme", "evil");
    let (status, body) = send("GET", &foreign, &[], "").await.unwrap();
    assert_eq!(status, 403, "another key");
    assert!(body.contains("<Code>SignatureDoesNotMatch</Code><Message>the signature is not"), "{body}");
}

#[tokio::test]
async fn a_stop_waits_for_the_request_that_is_under_way() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path()).await;
    let signer = running.settings.signer().unwrap();
    let put = signer.put("k", &PutTerms::default(), SystemTime::now(), Duration::from_mins(1)).unwrap();
    let (host, path) = put.url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head = format!("PUT /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request is under way.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    let _ = running.stop.send(());
    stream.write_all(b"body").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("HTTP/1.1 200 OK"), "{rest}");
    tokio::time::timeout(Duration::from_secs(10), running.served).await.unwrap().unwrap();
}

/// A client that sends what it is told and nothing else.
mod raw {
    use std::fmt::Write as _;
    use std::io::{Read as _, Write as _};

    pub fn send(method: &str, url: &str, headers: &[(String, String)], body: &str) -> (u16, String) {
        let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap();
        let mut head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if !headers.iter().any(|(name, _)| name == "content-length") {
            write!(head, "content-length: {}\r\n", body.len()).unwrap();
        }
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}
