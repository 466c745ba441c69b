use axum::Router;
use axum::http::HeaderMap;
use axum::http::StatusCode as Code;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Json as Body, extract::State};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use weir_cwl::load::Fetch as _;

use super::*;
use crate::documents::Documents;

/// A server on a loopback address; its port.
async fn serve() -> u16 {
    let ranged = async |headers: HeaderMap| match headers.get(RANGE).and_then(|range| range.to_str().ok()) {
        Some("bytes=0-0") => (Code::PARTIAL_CONTENT, [(CONTENT_RANGE, "bytes 0-0/10")], "0").into_response(),
        Some("bytes=2-4") => (Code::PARTIAL_CONTENT, [(CONTENT_RANGE, "bytes 2-4/10")], "234").into_response(),
        Some(_) => Code::RANGE_NOT_SATISFIABLE.into_response(),
        None => "0123456789".into_response(),
    };
    let app = Router::new()
        .route("/text", get(async || "hello"))
        .route("/latin", get(async || [0xe4_u8].into_response()))
        .route("/missing", get(async || Code::NOT_FOUND))
        .route("/down", get(async || Code::SERVICE_UNAVAILABLE))
        .route("/loop", get(async || Redirect::temporary("/loop")))
        .route("/moved", get(async || Redirect::permanent("/text")))
        .route("/inside", get(async || Redirect::temporary("http://127.0.0.1/")))
        .route("/away", get(async || Redirect::temporary("file:///etc/passwd")))
        .route("/parts", get(ranged).head(async || Code::METHOD_NOT_ALLOWED));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

fn guarded(allowed: &[&str]) -> Guarded {
    Guarded::new(&FetchSettings { allowed: allowed.iter().map(ToString::to_string).collect() }).unwrap()
}

#[tokio::test]
async fn nothing_inside_is_fetched_by_default_i9() {
    let guarded = guarded(&[]);
    let port = serve().await;
    for host in ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"] {
        let failure = guarded.document(&format!("http://{host}:{port}/text?token=secret")).await.unwrap_err();
        assert!(matches!(failure, FetchFailure::Host { is_forbidden: true, .. }), "{host}: {failure}");
        assert!(!failure.is_transient() && !failure.to_string().contains("secret"), "{failure}");
    }
    let failure = guarded.document("http://169.254.169.254/latest/meta-data/").await.unwrap_err();
    insta::assert_snapshot!(failure, @"`http://169.254.169.254/latest/meta-data/` cannot be fetched: its host is unknown, or is none that may be reached; `weir serve --allow-fetch HOST` lets it reach an inner one, on Kubernetes the chart value network.allowed");
    insta::assert_snapshot!(guarded.document("file:///etc/passwd").await.unwrap_err(), @"`file:///etc/passwd` is no http or https URL");
    insta::assert_snapshot!(guarded.document("tool.cwl").await.unwrap_err(), @"`tool.cwl` is no http or https URL");
}

/// Whoever names hosts could otherwise draw the map of the cluster.
#[tokio::test]
async fn a_host_that_is_inside_and_one_that_is_nowhere_are_told_in_the_same_words_i9() {
    let guarded = guarded(&[]);
    let said = async |host: &str| {
        let failure = guarded.document(&format!("http://{host}:1/a?X-Amz-Signature=secret")).await.unwrap_err();
        assert!(matches!(failure, FetchFailure::Host { .. }), "{failure:?}");
        failure.to_string().replace(host, "HOST")
    };
    let inside = said("localhost").await;
    assert_eq!(said("nowhere.invalid").await, inside);
    assert_eq!(said("10.96.0.1").await, inside);
    assert!(!inside.contains("127.0.0.1") && !inside.contains("secret"), "{inside}");
}

/// Answers that break off: the client's own message would name the whole URL.
#[tokio::test]
async fn a_signature_in_a_url_is_not_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let read = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await.unwrap();
            let is_cut = request[..read].starts_with(b"GET /cut");
            let answer: &[u8] = if is_cut { b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc" } else { b"\0\0" };
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        }
    });
    for path in ["cut", "nonsense"] {
        let url = format!("http://localhost:{port}/{path}?X-Amz-Signature=secret");
        let failure = guarded(&["localhost"]).document(&url).await.unwrap_err();
        assert!(failure.is_transient() && !failure.to_string().contains("secret"), "{failure}");
    }
}

#[tokio::test]
async fn what_the_settings_allow_is_fetched() {
    let port = serve().await;
    let document = format!("http://localhost:{port}/text");
    assert_eq!(guarded(&["localhost"]).document(&document).await.unwrap(), "hello");
    assert_eq!(guarded(&["127.0.0.0/8", "::1"]).document(&document).await.unwrap(), "hello");
    assert_eq!(guarded(&["localhost"]).document(&format!("http://localhost:{port}/moved")).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_redirect_is_looked_at_like_the_first_url() {
    let port = serve().await;
    let failure = guarded(&["localhost"]).document(&format!("http://localhost:{port}/inside")).await.unwrap_err();
    assert!(matches!(failure, FetchFailure::Host { is_forbidden: true, .. }), "{failure}");
    let failure = guarded(&["localhost"]).document(&format!("http://localhost:{port}/away")).await.unwrap_err();
    insta::assert_snapshot!(failure, @"`file:///etc/passwd` is no http or https URL");
    let failure = guarded(&["localhost"]).document(&format!("http://localhost:{port}/loop")).await.unwrap_err();
    let message = failure.to_string().replace(&port.to_string(), "PORT");
    insta::assert_snapshot!(message, @"`http://localhost:PORT/loop` is redirected more than 5 times");
}

#[tokio::test]
async fn failures_say_whether_a_retry_can_help() {
    let port = serve().await;
    let guarded = guarded(&["localhost"]);
    let of = async |path: &str| guarded.document(&format!("http://localhost:{port}/{path}")).await.unwrap_err();
    assert!(!of("missing").await.is_transient());
    assert!(of("down").await.is_transient());
    assert!(!of("latin").await.is_transient());
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let failure = guarded.document(&format!("http://localhost:{nobody}/")).await.unwrap_err();
    assert!(failure.is_transient() && failure.to_string().contains("refused"), "{failure}");
}

#[tokio::test]
async fn sizes_are_bounded_and_parts_are_read() {
    let port = serve().await;
    let guarded = guarded(&["localhost"]);
    let url = |path: &str| format!("http://localhost:{port}/{path}");
    assert_eq!(guarded.get(&url("text"), 5).await.unwrap(), b"hello");
    assert!(matches!(guarded.get(&url("text"), 4).await, Err(FetchFailure::TooLarge { bytes_max: 4, .. })));
    assert_eq!(guarded.head(&url("text")).await.unwrap(), Head { size: Some(5) });
    assert_eq!(guarded.head(&url("parts")).await.unwrap(), Head { size: Some(10) }, "HEAD is refused there");
    assert_eq!(guarded.read_range(&url("parts"), 2..5).await.unwrap(), b"234");
    assert_eq!(guarded.read_range(&url("parts"), 20..25).await.unwrap(), b"", "beyond the end");
    assert_eq!(guarded.read_range(&url("text"), 0..2).await.unwrap(), b"he", "ranges are ignored there");
    assert!(matches!(guarded.read_range(&url("text"), 1..2).await, Err(FetchFailure::NoRanges(_))));
}

#[tokio::test]
async fn the_loader_gets_texts_at_hand_and_remembers_the_first_failure() {
    let port = serve().await;
    let documents = Documents::new(guarded(&["localhost"]), Handle::current()).with_text("weir:a/p.cwl", "text");
    tokio::task::spawn_blocking(move || {
        assert_eq!((&documents).fetch("weir:a/p.cwl"), Ok("text".to_owned()));
        assert!((&documents).fetch("weir:a/q.cwl").unwrap_err().0.contains("whole URL"));
        assert_eq!(documents.failure(), None);
        assert_eq!((&documents).fetch(&format!("http://localhost:{port}/text")), Ok("hello".to_owned()));
        (&documents).fetch(&format!("http://localhost:{port}/down")).unwrap_err();
        (&documents).fetch(&format!("http://localhost:{port}/missing")).unwrap_err();
        assert!(matches!(documents.failure(), Some(FetchFailure::Status { status: 503, .. })));
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_document_is_sent_and_sent_again_only_where_the_method_stays() {
    let (told, mut heard) = mpsc::unbounded_channel();
    let hear = async |State(told): State<mpsc::UnboundedSender<Json>>, Body(document): Body<Json>| {
        drop(told.send(document));
        Code::NO_CONTENT
    };
    let app = Router::new()
        .route("/hear", post(hear).get(hear))
        .route("/same", post(async || Redirect::temporary("/hear")))
        .route("/other", post(async || Redirect::to("/hear")))
        .route("/inside", post(async || Redirect::temporary("http://127.0.0.1/")))
        .with_state(told);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let (guarded, document) = (guarded(&["localhost"]), json!({"status": "running"}));
    let url = |path: &str| format!("http://localhost:{port}/{path}");
    for path in ["hear", "same"] {
        guarded.post_json(&url(path), &document).await.unwrap();
        assert_eq!(heard.recv().await.unwrap(), document);
    }
    let failure = guarded.post_json(&url("other"), &document).await.unwrap_err();
    assert!(matches!(failure, FetchFailure::Status { status: 303, .. }), "{failure}");
    let failure = guarded.post_json(&url("inside"), &document).await.unwrap_err();
    assert!(matches!(failure, FetchFailure::Host { is_forbidden: true, .. }), "{failure}");
}

#[tokio::test]
async fn the_media_type_comes_with_the_bytes() {
    let port = serve().await;
    let fetched = guarded(&["localhost"]).fetch(&format!("http://localhost:{port}/text"), 5).await.unwrap();
    assert_eq!(fetched.media_type.as_deref(), Some("text/plain; charset=utf-8"));
}
