use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use object_store::memory::InMemory;

use super::*;
use crate::settings::FetchSettings;

const TOOL: &str = "cwlVersion: v1.2
class: CommandLineTool
id: tool
baseCommand: echo
inputs: {text: string}
outputs: {}
";

fn workflow(run: &str) -> String {
    format!(
        "cwlVersion: v1.2\nclass: Workflow\nid: main\ninputs: {{text: string}}\noutputs: {{}}\nsteps:\n  say:\n    run: {run}\n    in: {{text: text}}\n    out: []\n"
    )
}

async fn serve() -> u16 {
    let app = Router::new()
        .route("/workflow.cwl", get(async || workflow("tool.cwl")))
        .route("/tool.cwl", get(async || TOOL))
        .route("/down.cwl", get(async || StatusCode::BAD_GATEWAY));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

async fn resolved(source: &Source, chosen: Option<&str>) -> Result<Resolved, ResolveError> {
    let guarded = Guarded::new(&FetchSettings { allowed: vec!["localhost".to_owned()] }).unwrap();
    resolve(&guarded, &InMemory::new(), &"acme".parse().unwrap(), source, chosen).await
}

fn text(text: &str) -> Source {
    Source::Text { url: "weir:processes/p/package.cwl".to_owned(), text: text.to_owned() }
}

fn href(port: u16, path: &str, sha256: Option<&str>) -> Source {
    Source::Href { url: format!("http://localhost:{port}/{path}"), sha256: sha256.map(str::to_owned) }
}

#[tokio::test]
async fn everything_that_is_imported_is_frozen() {
    let port = serve().await;
    let from_url = resolved(&href(port, "workflow.cwl#main", None), None).await.unwrap();
    assert_eq!(from_url.stored.documents.len(), 2);
    assert_eq!(from_url.stored.load().unwrap().processes.len(), 2);
    let inline = resolved(&text(&workflow(&format!("http://localhost:{port}/tool.cwl"))), None).await.unwrap();
    assert_eq!(inline.stored.documents.len(), 2);
    assert_ne!(inline.digest, from_url.digest);
}

#[tokio::test]
async fn a_mistake_is_told_with_its_line_and_column() {
    let error = resolved(&text(&TOOL.replace("string", "strin")), None).await.unwrap_err();
    assert_eq!(error.reason(), "PackageInvalid");
    insta::assert_snapshot!(error, @"
    weir:processes/p/package.cwl:5:16: error: there is no type 'strin'
     5 | inputs: {text: strin}
       |                ^^^^^
    help: did you mean 'string'?
    ");
    let error = resolved(&text(&workflow("tool.cwl")), None).await.unwrap_err();
    insta::assert_snapshot!(error, @"
    weir:processes/p/package.cwl:8:10: error: cannot read weir:processes/p/tool.cwl: a package that stands in an object has no neighbours; name what it imports by its whole URL
     8 |     run: tool.cwl
       |          ^^^^^^^^
    ");
    let error = resolved(&text(TOOL), Some("other")).await.unwrap_err();
    insta::assert_snapshot!(error, @"
    weir:processes/p/package.cwl:1:1: error: there is no process '#other' in weir:processes/p/package.cwl
     1 | cwlVersion: v1.2
       | ^
    help: it has: tool
    ");
}

#[tokio::test]
async fn what_weir_does_not_support_is_named() {
    let package = TOOL.replace("inputs:", "requirements: {\"cwltool:MPIRequirement\": {processes: 2}}\ninputs:");
    let error = resolved(&text(&package), None).await.unwrap_err();
    assert_eq!(error.reason(), "Unsupported");
    insta::assert_snapshot!(error, @r#"
    weir:processes/p/package.cwl:5:16: error: weir does not support `cwltool:MPIRequirement`
     5 | requirements: {"cwltool:MPIRequirement": {processes: 2}}
       |                ^^^^^^^^^^^^^^^^^^^^^^^^
    help: weir cannot promise what it asks for; as a hint it would be ignored
    "#);
}

#[tokio::test]
async fn an_import_that_is_away_for_now_is_waited_for_and_one_that_is_forbidden_is_not() {
    let port = serve().await;
    let error = resolved(&text(&workflow(&format!("http://localhost:{port}/down.cwl"))), None).await.unwrap_err();
    assert_eq!((error.reason(), error.is_transient()), ("PackageUnavailable", true));
    let error = resolved(&href(port, "missing.cwl", None), None).await.unwrap_err();
    assert_eq!((error.reason(), error.is_transient()), ("PackageUnavailable", false), "{error}");
    let error = resolved(&text(&workflow("http://169.254.169.254/a.cwl")), None).await.unwrap_err();
    assert_eq!((error.reason(), error.is_transient()), ("PackageUnavailable", false));
    insta::assert_snapshot!(error, @"
    weir:processes/p/package.cwl:8:10: error: cannot read http://169.254.169.254/a.cwl: `http://169.254.169.254/a.cwl` cannot be fetched: its host is unknown, or is none that may be reached; `weir serve --allow-fetch HOST` lets it reach an inner one, on Kubernetes the chart value network.allowed
     8 |     run: http://169.254.169.254/a.cwl
       |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[tokio::test]
async fn a_text_of_another_digest_is_refused() {
    let port = serve().await;
    let digest = Sha256Hex::of(TOOL.as_bytes());
    resolved(&href(port, "tool.cwl#tool", Some(digest.as_str())), None).await.unwrap();
    let error = resolved(&href(port, "tool.cwl", Some(&"0".repeat(64))), None).await.unwrap_err();
    assert!(matches!(&error, ResolveError::OtherText { found, .. } if found == digest.as_str()), "{error}");
}

#[tokio::test]
async fn a_stored_package_is_found_by_its_digest_without_any_network() {
    let (store, tenant) = (InMemory::new(), "acme".parse().unwrap());
    let guarded = Guarded::new(&FetchSettings::default()).unwrap();
    let first = resolve(&guarded, &store, &tenant, &text(TOOL), None).await.unwrap();
    first.stored.put(&store, &tenant).await.unwrap();
    let source = Source::Digest(first.digest.clone());
    let again = resolve(&guarded, &store, &tenant, &source, None).await.unwrap();
    assert_eq!((again.digest, again.stored), (first.digest, first.stored));
    let missing = resolve(&guarded, &store, &tenant, &Source::Digest("0".repeat(64)), None).await.unwrap_err();
    assert_eq!((missing.reason(), missing.is_transient()), ("PackageUnavailable", false));
}
