//! Jobs over the in-memory backend: states, lists, results, texts, ends.

use serde_json::{Value as Json, json};
use weir_api::Phase;

use crate::testing::{Answer, Client, Memory};

const JOBS: &str = "/acme/ogc-api/jobs";

async fn accept(client: &Client, count: usize) {
    for _ in 0..count {
        let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
        let body = json!({"inputs": {"message": "a"}}).to_string();
        let answer = client.send("POST", "/acme/ogc-api/processes/greet/execution", &headers, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn links(document: &Json) -> Vec<String> {
    let text = |link: &Json, name: &str| link[name].as_str().unwrap_or_default().to_owned();
    let links = document["links"].as_array().unwrap().iter();
    links.map(|link| format!("{} | {} | {}", text(link, "rel"), text(link, "title"), text(link, "href"))).collect()
}

fn numbers(answer: &Answer) -> Vec<usize> {
    let jobs = answer.json();
    let jobs = jobs["jobs"].as_array().unwrap().iter();
    jobs.map(|job| job["jobID"].as_str().unwrap()[24..].parse().unwrap()).collect()
}

#[tokio::test]
async fn the_state_follows_the_job_and_links_its_logs() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 1).await;
    let path = format!("{JOBS}/{}", id(1));
    memory.start("acme", &id(1));
    memory.change("acme", &id(1), |job| (job.progress, job.message) = (23, Some("3 of 10 steps".into())));
    memory.write("acme", &id(1), "greet.log", "hello\n");
    let running = client.get(&path).await.json();
    insta::assert_snapshot!(format!("{running:#}"), @r#"
    {
      "progress": 23,
      "jobID": "00000000-0000-4000-8000-000000000001",
      "id": "00000000-0000-4000-8000-000000000001",
      "type": "process",
      "processID": "greet",
      "created": "2026-01-01T00:00:00.000Z",
      "started": "2026-01-01T00:00:01.000Z",
      "updated": "2026-01-01T00:00:01.000Z",
      "status": "running",
      "message": "3 of 10 steps",
      "links": [
        {
          "href": "http://weir.test/acme/ogc-api/jobs/00000000-0000-4000-8000-000000000001",
          "rel": "monitor",
          "type": "application/json",
          "title": "Status location"
        },
        {
          "href": "http://weir.test/acme/temp/greet-00000000-0000-4000-8000-000000000001/greet.log",
          "rel": "related",
          "type": "text/plain",
          "title": "Tool log greet.log"
        }
      ]
    }
    "#);
    memory.write("acme", &id(1), "usage.json", "{}");
    memory.succeed("acme", &id(1), json!({"message": "hello"}));
    let successful = client.get(&path).await.json();
    insta::assert_snapshot!(format!("{}\n{}\n{}", successful["status"], successful["finished"], links(&successful).join("\n")), @r#"
    "successful"
    "2026-01-01T00:00:05.000Z"
    monitor | Status location | http://weir.test/acme/ogc-api/jobs/00000000-0000-4000-8000-000000000001
    http://www.opengis.net/def/rel/ogc/1.0/results | Result location | http://weir.test/acme/ogc-api/jobs/00000000-0000-4000-8000-000000000001/results
    related | Tool log greet.log | http://weir.test/acme/temp/greet-00000000-0000-4000-8000-000000000001/greet.log
    related | Report usage.json | http://weir.test/acme/temp/greet-00000000-0000-4000-8000-000000000001/usage.json
    "#);
    assert!(successful.get("progress").is_none());
}

#[tokio::test]
async fn results_come_when_the_job_is_successful() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 2).await;
    let path = |number| format!("{JOBS}/{}/results", id(number));
    for phase in [None, Some(Phase::Running)] {
        if phase.is_some() {
            memory.start("acme", &id(1));
        }
        let early = client.get(&path(1)).await;
        assert_eq!(early.status, 404);
        assert_eq!(early.json()["type"], crate::problem::types::RESULT_NOT_READY);
    }
    memory.succeed("acme", &id(1), json!({"message": "hello", "count": 3, "nothing": null}));
    // No form was asked for: a document.
    assert_eq!(client.get(&path(1)).await.json(), json!({"message": "hello", "count": 3, "nothing": null}));
    assert_eq!(client.get(&format!("{}?outputs=count", path(1))).await.json(), json!({"count": 3}));
    let one = async |accept| {
        let one = client.send("GET", &format!("{}/message", path(1)), &[("accept", accept)], "").await;
        (one.text(), one.header("content-type").to_owned())
    };
    assert_eq!(one("*/*").await, ("hello".to_owned(), "text/plain; charset=utf-8".to_owned()));
    assert_eq!(one("text/plain").await, one("*/*").await);
    assert_eq!(one("application/json").await, ("\"hello\"".to_owned(), "application/json".to_owned()));
    assert_eq!(client.get(&format!("{}/nothing", path(1))).await.status, 204);
    let unknown = client.get(&format!("{}/catalog", path(1))).await;
    assert_eq!((unknown.status, unknown.json()["type"].clone()), (404, crate::problem::types::NO_SUCH_OUTPUT.into()));
    let page = client.send("GET", &path(1), &[("accept", "text/html")], "").await;
    assert!(page.text().contains("hello"));
    memory.end("acme", &id(2), Phase::Failed);
    assert_eq!(client.get(&path(2)).await.status, 500);
    assert_eq!(client.get(&path(3)).await.json()["type"], crate::problem::types::NO_SUCH_JOB);
}

#[tokio::test]
async fn the_message_of_a_failed_job_ends_with_the_last_lines_of_stderr_save_in_the_list() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 1).await;
    memory.change("acme", &id(1), |job| {
        job.failure = Some(crate::backend::JobFailure {
            class: "ToolFailed".into(),
            message: "step `node_crop[0]` ended with exit code 7".into(),
            step: Some("node_crop[0]".into()),
            exit_code: Some(7),
            stderr: Some(format!("{}\nthe river is dry\n", "x".repeat(4000))),
        });
    });
    memory.end("acme", &id(1), Phase::Failed);
    let path = format!("{JOBS}/{}", id(1));
    let short = "ToolFailed: step `node_crop[0]` ended with exit code 7";
    assert_eq!(client.get(&path).await.json()["message"], format!("{short}\nthe river is dry"));
    assert_eq!(client.get(JOBS).await.json()["jobs"][0]["message"], short);
    let page = client.send("GET", &path, &[("accept", "text/html")], "").await.text();
    assert_eq!(page.matches("the river is dry").count(), 1);
}

/// A published catalog as `weir-eo stage_out` lays it out.
fn publish(memory: &Memory, job: &str) {
    let root = format!("s3://results/{job}");
    let put = |path: &str, document: Json| memory.publish("acme", job, &format!("{root}/{path}"), document.to_string());
    put("catalog.json", json!({"links": [{"rel": "child", "href": format!("{root}/{job}/collection.json")}]}));
    let items = ["S2B_10TFK", "S2A_10TFK"];
    let links: Vec<Json> =
        items.iter().map(|item| json!({"rel": "item", "href": format!("./{item}/{item}.json")})).collect();
    put(&format!("{job}/collection.json"), json!({"links": links}));
    for item in items {
        let asset = json!({"href": format!("{root}/{job}/{item}/otsu.tif"), "type": "image/tiff; application=geotiff", "roles": ["data", "visual"]});
        put(
            &format!("{job}/{item}/{item}.json"),
            json!({"type": "Feature", "id": item, "assets": {"data": asset}, "links": []}),
        );
    }
    memory.publish("acme", job, &format!("{root}/{job}/S2B_10TFK/otsu.tif"), "II*\0");
}

#[tokio::test]
async fn a_published_catalog_is_a_feature_collection_with_storage_fields() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 1).await;
    publish(&memory, &id(1));
    memory.succeed("acme", &id(1), json!({"stac_catalog": format!("s3://results/{}/catalog.json", id(1))}));
    let document = client.get(&format!("{JOBS}/{}/results", id(1))).await.json();
    let collection = &document["stac_catalog"]["value"];
    assert_eq!((&collection["type"], &collection["id"]), (&json!("FeatureCollection"), &json!(id(1))));
    assert_eq!(collection["features"].as_array().unwrap().len(), 2);
    insta::assert_snapshot!(format!("{:#}", collection["features"][0]), @r#"
    {
      "type": "Feature",
      "id": "S2B_10TFK",
      "assets": {
        "data": {
          "href": "s3://results/00000000-0000-4000-8000-000000000001/00000000-0000-4000-8000-000000000001/S2B_10TFK/otsu.tif",
          "type": "image/tiff; application=geotiff",
          "storage:platform": "eoap",
          "storage:requester_pays": false,
          "storage:tier": "Standard",
          "storage:region": "us-east-1",
          "roles": [
            "data",
            "visual"
          ]
        }
      },
      "links": [],
      "collection": "00000000-0000-4000-8000-000000000001"
    }
    "#);
    let raw = client.get(&format!("{JOBS}/{}/results/stac_catalog", id(1))).await;
    assert_eq!(raw.header("content-type"), "application/geo+json");
    assert_eq!(raw.json(), *collection);
}

#[tokio::test]
async fn files_are_items_in_a_document_and_bytes_by_themselves() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 1).await;
    let mask = json!({"class": "File", "basename": "otsu.tif", "location": "s3://results/1/mask/otsu.tif"});
    memory.publish("acme", &id(1), "s3://results/1/mask/otsu.tif", "II*\0");
    memory.succeed("acme", &id(1), json!({"mask": mask, "masks": [mask, mask], "uri": "s3://elsewhere/catalog.json"}));
    let document = client.get(&format!("{JOBS}/{}/results", id(1))).await.json();
    insta::assert_snapshot!(format!("{:#}", document["mask"]), @r#"
    {
      "value": {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "mask",
        "properties": {
          "datetime": "2026-01-01T00:00:05.000Z"
        },
        "geometry": null,
        "links": [],
        "assets": {
          "data": {
            "href": "s3://results/1/mask/otsu.tif",
            "type": "image/tiff; application=geotiff",
            "storage:platform": "eoap",
            "storage:requester_pays": false,
            "storage:tier": "Standard",
            "storage:region": "us-east-1",
            "roles": [
              "data"
            ]
          }
        },
        "stac_extensions": [],
        "collection": "00000000-0000-4000-8000-000000000001"
      }
    }
    "#);
    assert_eq!(document["masks"]["value"]["features"][1]["id"], "masks_2");
    assert_eq!(document["uri"], "s3://elsewhere/catalog.json");
    let raw = client.get(&format!("{JOBS}/{}/results/mask", id(1))).await;
    assert_eq!((raw.text().as_str(), raw.header("content-type")), ("II*\0", "image/tiff; application=geotiff"));
}

#[tokio::test]
async fn the_list_is_newest_first_filtered_and_in_pages() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 12).await;
    let list = async |query: &str| client.get(&format!("{JOBS}?{query}")).await;
    assert_eq!(numbers(&list("").await), (3..=12).rev().collect::<Vec<_>>());
    memory.start("acme", &id(2));
    memory.succeed("acme", &id(3), json!({}));
    assert_eq!(numbers(&list("status=successful,running").await), [3, 2]);
    assert!(numbers(&list("status=accepted&processID=echo").await).is_empty());
    assert_eq!(numbers(&list("datetime=2026-01-01T00:00:04Z/2026-01-01T00:00:05Z").await), [6, 5]);
    assert_eq!(numbers(&list("maxDuration=5").await), [3]);
    let page = list("limit=5&skip=5&status=accepted&type=process").await;
    assert_eq!(numbers(&page), [7, 6, 5, 4, 1]);
    insta::assert_snapshot!(links(&page.json()).join("\n"), @"
    self | This page | http://weir.test/acme/ogc-api/jobs?status=accepted&type=process&limit=5&skip=5
    alternate | This page as HTML | http://weir.test/acme/ogc-api/jobs?status=accepted&type=process&limit=5&skip=5&f=html
    prev | Previous page | http://weir.test/acme/ogc-api/jobs?status=accepted&type=process&limit=5
    ");
    for wrong in ["limit=0", "limit=10001", "status=done", "datetime=x", "minDuration=x"] {
        let answer = list(wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
    let page = client.send("GET", JOBS, &[("accept", "text/html")], "").await;
    assert!(page.text().contains(&id(12)));
}

#[tokio::test]
async fn a_job_that_runs_is_dismissed_and_kept_one_that_is_over_is_removed() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 1).await;
    memory.start("acme", &id(1));
    let path = format!("{JOBS}/{}", id(1));
    let delete = async || client.send("DELETE", &path, &[("accept", "application/json")], "").await;
    let first = delete().await;
    assert_eq!(first.status, 200);
    insta::assert_snapshot!(format!("{:#}", first.json()), @r#"
    {
      "jobID": "00000000-0000-4000-8000-000000000001",
      "id": "00000000-0000-4000-8000-000000000001",
      "type": "process",
      "processID": "greet",
      "created": "2026-01-01T00:00:00.000Z",
      "started": "2026-01-01T00:00:01.000Z",
      "finished": "2026-01-01T00:00:02.000Z",
      "updated": "2026-01-01T00:00:02.000Z",
      "status": "dismissed",
      "message": "The job is dismissed",
      "links": [
        {
          "href": "http://weir.test/acme/ogc-api/jobs",
          "rel": "parent",
          "type": "application/json",
          "title": "The job list for the current process"
        }
      ]
    }
    "#);
    assert_eq!(client.get(&path).await.json()["status"], "dismissed");
    let second = delete().await;
    assert_eq!((second.status, second.json()["status"].clone()), (200, "dismissed".into()));
    assert_eq!(delete().await.status, 404);
    assert_eq!(client.get(&path).await.status, 404);
}

#[tokio::test]
async fn texts_are_found_below_process_and_job() {
    let memory = Memory::acme();
    memory.put("acme", crate::testing::new_process("water-bodies", crate::testing::PACKAGE), true);
    let client = Client::new(&memory);
    accept(&client, 1).await;
    memory.write("acme", &id(1), "node_crop.log", "hello\n");
    memory.write("acme", &id(1), "usage.json", "{}");
    let get = async |path: &str| client.send("GET", path, &[("accept", "*/*")], "").await;
    let log = get(&format!("/acme/temp/greet-{}/node_crop.log", id(1))).await;
    assert_eq!(
        (log.status, log.text().as_str(), log.header("content-type")),
        (200, "hello\n", "text/plain; charset=utf-8")
    );
    let usage = get(&format!("/acme/temp/greet-{}/usage.json", id(1))).await;
    assert_eq!(usage.header("content-type"), "application/json");
    for wrong in [
        format!("/acme/temp/water-bodies-{}/node_crop.log", id(1)),
        format!("/acme/temp/{}/node_crop.log", id(1)),
        format!("/acme/temp/greet-{}/other.log", id(1)),
        format!("/acme/temp/greet-{}/..%2Fusage.json", id(1)),
        format!("/acme/temp/greet-{}/node_crop.log", id(2)),
        format!("/other/temp/greet-{}/node_crop.log", id(1)),
        "/acme/temp/x/y".to_owned(),
    ] {
        assert_eq!(get(&wrong).await.status, 404, "{wrong}");
    }
}

#[tokio::test]
async fn tenants_do_not_meet() {
    let memory = Memory::new(&["acme", "other"]);
    memory.put("acme", crate::testing::new_process("greet", crate::testing::PACKAGE), true);
    let client = Client::new(&memory);
    accept(&client, 1).await;
    memory.succeed("acme", &id(1), json!({"message": "secret"}));
    for path in ["", "/results", "/results/message"] {
        assert_eq!(client.get(&format!("/other/ogc-api/jobs/{}{path}", id(1))).await.status, 404, "{path}");
    }
    assert!(numbers(&client.get("/other/ogc-api/jobs").await).is_empty());
    let delete = client.send("DELETE", &format!("/other/ogc-api/jobs/{}", id(1)), &[], "").await;
    assert_eq!(delete.status, 404);
    assert_eq!(client.get(&format!("{JOBS}/{}", id(1))).await.status, 200);
}

#[tokio::test]
async fn a_job_that_ended_just_before_it_was_dismissed_is_what_it_is() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 1).await;
    memory.succeed_just_before(json!({"message": "hello"}));
    let path = format!("{JOBS}/{}", id(1));
    let answer = client.send("DELETE", &path, &[("accept", "application/json")], "").await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("successful")));
    assert_eq!(answer.json()["message"], "The job is successful");
    assert_eq!(client.get(&format!("{path}/results")).await.json(), json!({"message": "hello"}));
}

#[tokio::test]
async fn a_job_whose_results_are_becoming_visible_is_not_called_dismissed() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 1).await;
    memory.start("acme", &id(1));
    let words = "its results are being published: it is too late to stop it";
    memory.change("acme", &id(1), |job| (job.is_committed, job.message) = (true, Some(words.to_owned())));
    let answer = client.send("DELETE", &format!("{JOBS}/{}", id(1)), &[], "").await;
    let status = answer.json();
    assert_eq!((answer.status, &status["status"], &status["message"]), (200, &json!("running"), &json!(words)));
}

#[tokio::test]
async fn of_a_dismissed_job_no_results_are_promised() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 1).await;
    memory.end("acme", &id(1), Phase::Dismissed);
    let answer = client.get(&format!("{JOBS}/{}/results", id(1))).await;
    assert_eq!((answer.status, &answer.json()["type"]), (404, &json!(crate::problem::types::RESULT_NOT_READY)));
    insta::assert_snapshot!(answer.json()["detail"].as_str().unwrap(), @"the job `00000000-0000-4000-8000-000000000001` was dismissed: it has no results, and will have none");
}

/// Whoever asks for large answers and takes none of them fills the tenant's room, and nobody else's.
#[tokio::test]
async fn answers_that_nobody_takes_have_a_limit_i9() {
    use crate::limits::{ANSWERS_MEMORY_OF_TENANT, RESULT_BYTE_MEMORY, RESULT_BYTES};
    const { assert!(RESULT_BYTES * RESULT_BYTE_MEMORY <= ANSWERS_MEMORY_OF_TENANT) };
    let memory = Memory::new(&["acme", "other"]);
    for tenant in ["acme", "other"] {
        memory.put(tenant, crate::testing::new_process("greet", crate::testing::PACKAGE), true);
    }
    let client = Client::new(&memory);
    accept(&client, 1).await;
    memory.succeed("acme", &id(1), json!({"message": "x".repeat(10 << 20)}));
    let path = format!("{JOBS}/{}/results", id(1));
    let mut untaken = Vec::new();
    let refused = loop {
        let response = client.ask("GET", &path, &[("accept", "application/json")], "").await;
        if response.status() != 200 {
            break response;
        }
        untaken.push(response);
    };
    assert_eq!((refused.status().as_u16(), untaken.len()), (503, 4));
    assert_eq!(client.get("/other/ogc-api/jobs").await.status, 200);
    untaken.pop();
    assert_eq!(client.get(&path).await.status, 200);
}

#[tokio::test]
async fn a_made_up_folder_is_looked_for_once() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    let path = "/acme/temp/a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a/x.log";
    assert_eq!((client.get(path).await.status, memory.live_looks()), (404, 1));
}

#[tokio::test]
async fn a_page_of_many_jobs_looks_at_no_more_than_it_shows() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    accept(&client, 300).await;
    for (query, looked_at) in [("limit=100", 101), ("limit=10&skip=20", 31), ("limit=1000", 300)] {
        let before = memory.looked_at();
        let answer = client.get(&format!("{JOBS}?{query}")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(memory.looked_at() - before, looked_at, "{query}");
    }
}
