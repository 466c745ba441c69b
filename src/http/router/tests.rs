use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use weir_api::limits::DOCUMENT_FETCH_SECONDS_MAX;

use crate::backend::BackendError;
use crate::cors::Origins;
use crate::fetcher::{FetchError, Fetched, Fetcher};
use crate::limits::{ANSWER_TIME, PACKAGE_FETCH_TIME, REFERENCES_AT_ONCE, REFERENCES_MAX, SYNC_TIME};
use crate::testing::{Client, Memory, PACKAGE, World, new_process};
use crate::{Facade, Settings};

fn acme() -> Client {
    Client::new(&Memory::acme())
}

fn with(settings: Settings) -> Client {
    Client::of(Facade::new(Memory::acme(), World::new(), settings))
}

#[tokio::test]
async fn the_landing_page_answers_with_and_without_a_slash_at_its_end() {
    let client = acme();
    let without = client.get("/acme/ogc-api").await;
    assert_eq!((without.status, without.header("content-type")), (200, "application/json"));
    assert_eq!(client.get("/acme/ogc-api/").await.json(), without.json());
    assert_eq!(client.get("/acme/ogc-api/processes/").await.status, 200);
    let links: Vec<String> = without.json()["links"]
        .as_array()
        .unwrap()
        .iter()
        .map(|link| format!("{} {}", link["rel"].as_str().unwrap(), link["href"].as_str().unwrap()))
        .collect();
    insta::assert_snapshot!(links.join("\n"), @r"
    self http://weir.test/acme/ogc-api
    alternate http://weir.test/acme/ogc-api/?f=html
    service-desc http://weir.test/acme/ogc-api/api
    service-doc http://weir.test/acme/ogc-api/api?f=html
    http://www.opengis.net/def/rel/ogc/1.0/conformance http://weir.test/acme/ogc-api/conformance
    conformance http://weir.test/acme/ogc-api/conformance
    http://www.opengis.net/def/rel/ogc/1.0/processes http://weir.test/acme/ogc-api/processes
    http://www.opengis.net/def/rel/ogc/1.0/job-list http://weir.test/acme/ogc-api/jobs
    ");
}

#[tokio::test]
async fn every_link_of_the_landing_page_answers() {
    let client = acme();
    for link in client.get("/acme/ogc-api").await.json()["links"].as_array().unwrap() {
        let href = link["href"].as_str().unwrap().strip_prefix("http://weir.test").unwrap();
        let media_type = link["type"].as_str().unwrap();
        let answer = client.send("GET", href, &[("accept", media_type)], "").await;
        assert_eq!(answer.status, 200, "{href}");
        assert!(answer.header("content-type").starts_with(media_type), "{href}: {}", answer.header("content-type"));
    }
}

#[tokio::test]
async fn unknown_tenants_and_paths_are_problems() {
    let client = acme();
    for path in
        ["/other/ogc-api", "/other/ogc-api/processes", "/ACME/ogc-api", "/acme%2f../ogc-api", "/", "/acme", "/acme/x"]
    {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (404, "application/json"), "{path}");
        assert_eq!(answer.json()["status"], 404, "{path}");
    }
    let detail = async |path: &str| client.get(path).await.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail("/").await, "there is no such resource: the API is at /<tenant>/ogc-api");
    assert_eq!(detail("/acme").await, "there is no such resource: the API is at /acme/ogc-api");
    assert_eq!(detail("/acme/x").await, "there is no such resource: the API is at /acme/ogc-api");
    insta::assert_snapshot!(detail("/ACME/ogc-api").await, @"there is no such tenant: its name would have at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit");
}

#[tokio::test]
async fn pages_of_problems_lead_back_and_say_how_to_execute() {
    let client = acme();
    for path in ["/acme/ogc-api/processes/none", "/acme/ogc-api/none", "/acme/ogc-api/processes/greet/execution"] {
        let page = client.send("GET", path, &[("accept", "text/html")], "").await.text();
        assert!(page.contains("<a href=\"http://weir.test/acme/ogc-api/jobs\">"), "{page}");
    }
    let refused = client.get("/acme/ogc-api/processes/greet/execution").await;
    assert_eq!((refused.status, refused.header("allow")), (405, "OPTIONS, POST"));
    insta::assert_snapshot!(refused.json()["detail"].as_str().unwrap(), @r#"this method is not for this resource; there are OPTIONS, POST: POST {"inputs": …} here"#);
}

#[tokio::test]
async fn a_problem_has_the_form_that_is_accepted() {
    let client = acme();
    let path = "/acme/ogc-api/processes/none";
    for (accept, media_type) in [
        ("application/json", "application/json"),
        ("application/problem+json", "application/problem+json"),
        ("*/*", "application/problem+json"),
        ("application/json, application/problem+json", "application/problem+json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("image/png", "application/problem+json"),
    ] {
        let answer = client.send("GET", path, &[("accept", accept)], "").await;
        // A picture of a process is not there, before it is known whether the process is.
        let status = if accept == "image/png" { 406 } else { 404 };
        assert_eq!((answer.status, answer.header("content-type")), (status, media_type), "{accept}");
    }
    let problem = client.get(path).await.json();
    insta::assert_snapshot!(format!("{problem:#}"), @r#"
    {
      "type": "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-process",
      "title": "No such process",
      "status": 404,
      "detail": "there is no process `none`; GET …/processes lists those that there are",
      "instance": "/acme/ogc-api/processes/none"
    }
    "#);
}

#[tokio::test]
async fn processes_come_in_pages() {
    let memory = Memory::acme();
    for id in ["a", "b", "c"] {
        memory.put("acme", new_process(id, PACKAGE), true);
    }
    let client = Client::new(&memory);
    let mut path = "/acme/ogc-api/processes?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = client.get(&path).await.json();
        let processes = page["processes"].as_array().unwrap();
        assert!(processes.len() <= 2);
        seen.extend(processes.iter().map(|process| process["id"].as_str().unwrap().to_owned()));
        let next = page["links"].as_array().unwrap().iter().find(|link| link["rel"] == "next");
        let Some(next) = next else { break };
        path = next["href"].as_str().unwrap().strip_prefix("http://weir.test").unwrap().to_owned();
    }
    for id in ["a", "b", "c", "greet"] {
        assert_eq!(seen.iter().filter(|seen| *seen == id).count(), 1, "{id} in {seen:?}");
    }
    assert_eq!(client.get("/acme/ogc-api/processes?limit=1").await.json()["processes"].as_array().unwrap().len(), 1);
    assert_eq!(client.get("/acme/ogc-api/processes?limit=0").await.status, 400);
}

#[tokio::test]
async fn a_summary_says_whether_a_process_is_mutable_and_leaves_inputs_out() {
    let memory = Memory::acme();
    memory.put("acme", new_process("fixed", PACKAGE), false);
    let page = Client::new(&memory).get("/acme/ogc-api/processes").await.json();
    let find =
        |id: &str| page["processes"].as_array().unwrap().iter().find(|process| process["id"] == id).unwrap().clone();
    assert_eq!((&find("greet")["mutable"], &find("fixed")["mutable"]), (&json!(true), &json!(false)));
    assert!(find("greet").get("inputs").is_none());
}

#[tokio::test]
async fn a_process_is_described_in_json_and_html() {
    let client = acme();
    let description = client.get("/acme/ogc-api/processes/greet").await.json();
    assert_eq!(description["inputs"]["message"]["schema"]["type"], "string");
    let page = client.send("GET", "/acme/ogc-api/processes/greet", &[("accept", "text/html")], "").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let page = page.text();
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
    for link in description["links"].as_array().unwrap() {
        let href = link["href"].as_str().unwrap();
        let href = match link["rel"].as_str().unwrap() {
            // The page itself.
            "alternate" => continue,
            "self" => format!("{href}?f=json"),
            crate::links::rel::EXECUTE => "http://weir.test/acme/ogc-api/processes/greet#execute".to_owned(),
            _ => href.to_owned(),
        };
        let anchor = format!("<a href=\"{}\"", href.replace('&', "&amp;"));
        assert!(page.contains(&anchor), "{anchor} in {page}");
    }
    assert!(page.contains("curl -i 'http://weir.test/acme/ogc-api/processes/greet/execution'"), "{page}");
    assert_eq!(
        client.get("/acme/ogc-api/processes/greet?f=html").await.header("content-type"),
        "text/html; charset=utf-8"
    );
}

#[tokio::test]
async fn html_escapes_what_others_have_written() {
    let memory = Memory::acme();
    let mut process = new_process("evil", PACKAGE);
    let script = "<script>alert('x')</script>";
    process.description.insert("title".into(), script.into());
    process.description.insert("description".into(), format!("\" onclick=\"{script}").into());
    process.description.insert("links".into(), json!([{"href": "javascript:alert(1)", "title": script}]));
    memory.put("acme", process, true);
    let client = Client::new(&memory);
    for path in ["/acme/ogc-api/processes/evil?f=html", "/acme/ogc-api/processes?f=html"] {
        let page = client.get(path).await.text();
        assert!(
            !page.contains("<script") && !page.contains("href=\"javascript:") && !page.contains("\" onclick"),
            "{page}"
        );
    }
    let path = "/acme/ogc-api/processes/%3Cscript%3E?f=html";
    assert!(!client.get(path).await.text().contains("<script"));
}

#[tokio::test]
async fn no_answer_runs_a_script() {
    let client = acme();
    for path in ["/acme/ogc-api/processes?f=html", "/acme/ogc-api/processes/none", "/nothing"] {
        let answer = client.get(path).await;
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'; style-src"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let answer = acme().send("HEAD", "/acme/ogc-api/processes", &[], "").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn methods_that_are_not_there_are_refused_with_those_that_are() {
    let answer = acme().send("PATCH", "/acme/ogc-api/conformance", &[("accept", "application/json")], "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD, OPTIONS"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("GET, HEAD"));
    let answer = acme().send("OPTIONS", "/acme/ogc-api/conformance", &[], "").await;
    assert_eq!((answer.status, answer.header("allow"), answer.body.len()), (204, "GET, HEAD, OPTIONS", 0));
}

#[tokio::test]
async fn scripts_of_allowed_pages_may_read_the_headers_that_matter() {
    let portal = ("origin", "https://portal.example");
    let client = with(Settings { origins: "*".parse().unwrap(), ..Settings::default() });
    let answer = client.send("GET", "/acme/ogc-api", &[portal], "").await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    for name in ["Location", "Preference-Applied", "Link", "Retry-After"] {
        assert!(answer.header("access-control-expose-headers").contains(name), "{name}");
    }
    let preflight = [portal, ("access-control-request-method", "GET"), ("access-control-request-headers", "prefer")];
    let answer = client.send("OPTIONS", "/acme/ogc-api/processes/greet", &preflight, "").await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("access-control-allow-methods").contains("GET"));
    assert!(answer.header("access-control-allow-headers").contains("Prefer"));
    // A problem may be read as well.
    let answer = client.send("GET", "/acme/ogc-api/processes/none", &[portal], "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (404, "*"));
}

#[tokio::test]
async fn scripts_of_other_pages_are_told_nothing() {
    let client = acme();
    let answer = client.send("GET", "/acme/ogc-api", &[("origin", "https://evil.example")], "").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let origins = Origins::Listed(vec!["https://portal.example".to_owned()]);
    let client = with(Settings { origins, ..Settings::default() });
    let allowed = async |origin: &str| {
        client
            .send("GET", "/acme/ogc-api", &[("origin", origin)], "")
            .await
            .header("access-control-allow-origin")
            .to_owned()
    };
    assert_eq!(allowed("https://portal.example").await, "https://portal.example");
    assert_eq!(allowed("https://evil.example").await, "");
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let client = acme();
    let status = async |origin: &str| {
        client.send("DELETE", "/acme/ogc-api/processes/none", &[("origin", origin)], "").await.status
    };
    assert_eq!(status("https://evil.example").await, 403);
    assert_eq!(status("null").await, 403);
    assert_eq!(status("http://weir.test").await, 404);
    let origins = "https://portal.example".parse().unwrap();
    let client = with(Settings { origins, ..Settings::default() });
    let portal = [("origin", "https://portal.example")];
    assert_eq!(client.send("DELETE", "/acme/ogc-api/processes/none", &portal, "").await.status, 404);
}

#[tokio::test]
async fn a_listener_for_this_machine_is_not_reached_under_another_name() {
    let client = with(Settings { loopback_only: true, ..Settings::default() });
    let status = async |host: &str| client.send("GET", "/acme/ogc-api", &[("host", host)], "").await.status;
    for host in ["localhost:8080", "127.0.0.1", "[::1]:8080", "weir.localhost"] {
        assert_eq!(status(host).await, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "192.0.2.1:8080"] {
        assert_eq!(status(host).await, 400, "{host}");
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let client = acme();
    let answer = client.send("GET", "/acme/ogc-api", &[("x-request-id", "trace-1")], "").await;
    assert_eq!(answer.header("x-request-id"), "trace-1");
    let answer = client.send("GET", "/nothing", &[("x-request-id", "a b\"c")], "").await;
    assert_eq!(answer.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn what_a_backend_cannot_do_is_said_with_its_status() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    let mut statuses = Vec::new();
    for trouble in [
        BackendError::Unavailable("the store cannot be reached".to_owned()),
        BackendError::Internal("secret detail".to_owned()),
        BackendError::TooMany { message: "100 jobs".to_owned(), retry_after: 7 },
    ] {
        memory.trouble(Some(trouble));
        let answer = client.get("/acme/ogc-api/processes").await;
        assert!(!answer.text().contains("secret"));
        statuses.push((answer.status, answer.header("retry-after").to_owned()));
    }
    assert_eq!(statuses, [(503, "5".to_owned()), (500, String::new()), (429, "7".to_owned())]);
}

#[tokio::test]
async fn caches_know_that_answers_vary_by_what_is_accepted() {
    let client = acme();
    for (path, status) in [
        ("/acme/ogc-api/processes", 200),
        ("/acme/ogc-api/processes/greet/package", 200),
        ("/acme/ogc-api/api", 200),
        ("/acme/ogc-api/processes/none", 404),
        ("/nothing", 404),
    ] {
        let answer = client.send("GET", path, &[], "").await;
        assert_eq!((answer.status, answer.header("vary")), (status, "Accept"), "{path}");
    }
    let lines = [("accept", "image/png"), ("accept", "text/html")];
    let answer = client.send("GET", "/acme/ogc-api/processes", &lines, "").await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
}

/// A world in which nothing ever comes.
struct Silence;

#[async_trait::async_trait]
impl Fetcher for Silence {
    async fn get(&self, _: &str, _: usize) -> Result<Fetched, FetchError> {
        std::future::pending().await
    }

    async fn post_json(&self, _: &str, _: &serde_json::Value) -> Result<(), FetchError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_too_long_is_answered_503() {
    let memory = Memory::acme();
    let client = Client::of(Facade::new(Arc::clone(&memory) as _, Arc::new(Silence), Settings::default()));
    let body = json!({"inputs": {"message": {"href": "https://x.example/never"}}}).to_string();
    let headers = [("content-type", "application/json"), ("accept", "application/json")];
    let began = tokio::time::Instant::now();
    let answer = client.send("POST", "/acme/ogc-api/processes/greet/execution", &headers, body).await;
    assert_eq!((answer.status, began.elapsed()), (503, ANSWER_TIME));
    assert_eq!((answer.header("content-type"), answer.header("retry-after")), ("application/json", "5"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("within 240 s"), "{}", answer.text());
    assert!(memory.job_ids("acme").is_empty());
}

#[test]
fn the_time_for_an_answer_is_enough_for_all_that_a_handler_waits_for() {
    let references = DOCUMENT_FETCH_SECONDS_MAX * REFERENCES_MAX.div_ceil(REFERENCES_AT_ONCE) as u64;
    assert!(Duration::from_secs(references) + SYNC_TIME < ANSWER_TIME && PACKAGE_FETCH_TIME < ANSWER_TIME);
}
