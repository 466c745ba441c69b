//! Executions over the in-memory backend: the walkthroughs' request, the official suite's, and the mistakes of others.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::backend::ResponseForm;
use crate::testing::{Answer, Client, Memory, World, new_process};
use crate::{Facade, Settings};

const GREET: &str = "/acme/ogc-api/processes/greet/execution";
const JSON: (&str, &str) = ("content-type", "application/json");
const ACCEPT: (&str, &str) = ("accept", "application/json");
const SEED: (&str, &str) = ("prefer", "respond-async;return=representation");

async fn post(client: &Client, path: &str, prefer: Option<&str>, body: Json) -> Answer {
    let mut headers = vec![JSON, ACCEPT];
    headers.extend(prefer.map(|prefer| ("prefer", prefer)));
    client.send("POST", path, &headers, body.to_string()).await
}

/// Executes, and lets the job of this number succeed with these outputs meanwhile.
async fn execute(memory: &Arc<Memory>, path: &str, body: Json, outputs: Json) -> Answer {
    let client = Client::new(memory);
    let memory = Arc::clone(memory);
    let before = memory.job_ids("acme").len();
    let job = tokio::spawn(async move {
        loop {
            if let Some(id) = memory.job_ids("acme").get(before) {
                memory.succeed("acme", id, outputs);
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let answer = post(&client, path, None, body).await;
    job.abort();
    answer
}

#[tokio::test]
async fn the_walkthroughs_request_is_answered_as_it_shows() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    let body = json!({"inputs": {"message": "hello"}}).to_string();
    let answer = client.send("POST", GREET, &[JSON, ACCEPT, SEED], body).await;
    let id = &memory.job_ids("acme")[0];
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), format!("http://weir.test/acme/ogc-api/jobs/{id}"));
    assert_eq!(answer.header("preference-applied"), SEED.1);
    insta::assert_snapshot!(format!("{:#}", answer.json()), @r#"
    {
      "jobID": "00000000-0000-4000-8000-000000000001",
      "id": "00000000-0000-4000-8000-000000000001",
      "type": "process",
      "processID": "greet",
      "created": "2026-01-01T00:00:00.000Z",
      "updated": "2026-01-01T00:00:00.000Z",
      "status": "accepted",
      "message": "The job is accepted and will start soon",
      "links": [
        {
          "href": "http://weir.test/acme/ogc-api/jobs/00000000-0000-4000-8000-000000000001",
          "rel": "monitor",
          "type": "application/json",
          "title": "Status location"
        }
      ]
    }
    "#);
    let job = memory.created("acme", id);
    assert_eq!(Json::Object(job.inputs), json!({"message": "hello"}));
    assert_eq!(job.asked.response, Some(ResponseForm::Document));
    // I4: found at once.
    assert_eq!(client.get(&format!("/acme/ogc-api/jobs/{id}")).await.status, 200);
}

#[tokio::test]
async fn one_raw_value_is_answered_as_it_is_and_without_links() {
    let memory = Memory::acme();
    let answer = execute(&memory, GREET, json!({"inputs": {"message": "a"}}), json!({"message": "teststring"})).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "teststring"));
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert!(!answer.headers.contains_key("link") && !answer.headers.contains_key("preference-applied"));
}

#[tokio::test]
async fn several_raw_values_are_parts_and_a_document_is_one_object() {
    let memory = Memory::acme();
    let echo = "/acme/ogc-api/processes/echo/execution";
    let outputs = json!({"echoInput": "teststring", "arrayInput": [1, 2], "mixedInput": {"a": 1}, "bboxInput": null});
    let request = json!({"inputs": {"echoInput": "teststring"}, "outputs": {}});
    let answer = execute(&memory, echo, request, outputs.clone()).await;
    assert_eq!(answer.status, 200);
    let content_type = answer.header("content-type").to_owned();
    let (kind, boundary) = content_type.split_once("; boundary=\"").unwrap();
    assert_eq!(kind, "multipart/related; type=\"text/plain\"");
    insta::assert_snapshot!(answer.text().replace(boundary.trim_matches('"'), "B").replace('\r', ""), @r#"
    --B
    Content-Type: text/plain; charset=utf-8
    Content-ID: echoInput

    teststring
    --B
    Content-Type: application/json
    Content-ID: arrayInput

    [1,2]
    --B
    Content-Type: application/json
    Content-ID: mixedInput

    {"a":1}
    --B
    Content-Type: application/json
    Content-ID: bboxInput

    null
    --B--
    "#);

    let request = json!({"inputs": {"echoInput": "a"}, "response": "document"});
    let answer = execute(&memory, echo, request, outputs.clone()).await;
    insta::assert_snapshot!(answer.text(), @r#"{"echoInput":"teststring","arrayInput":[1,2],"mixedInput":{"value":{"a":1}},"bboxInput":null}"#);

    let request = json!({"inputs": {"echoInput": "a"}, "outputs": {"arrayInput": {"transmissionMode": "value"}}});
    let answer = execute(&memory, echo, request, outputs).await;
    assert_eq!((answer.header("content-type"), answer.text().as_str()), ("application/json", "[1,2]"));
}

#[tokio::test]
async fn an_output_has_the_media_type_that_is_asked_for_if_it_is_offered() {
    let memory = Memory::acme();
    let request = |media_type: &str| json!({"inputs": {"message": "a"}, "outputs": {"message": {"format": {"mediaType": media_type}}}});
    let answer = execute(&memory, GREET, request("application/json"), json!({"message": "hello"})).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.text(), "\"hello\"");
    let id = &memory.job_ids("acme")[0];
    let again = Client::new(&memory).send("GET", &format!("/acme/ogc-api/jobs/{id}/results/message"), &[], "").await;
    assert_eq!(again.text(), "\"hello\"", "by itself too");
    let answer = execute(&memory, GREET, request("text/plain"), json!({"message": "hello"})).await;
    assert_eq!((answer.header("content-type"), answer.text().as_str()), ("text/plain; charset=utf-8", "hello"));
    let refused = post(&Client::new(&memory), GREET, None, request("image/png")).await;
    assert_eq!(refused.status, 400);
    insta::assert_snapshot!(refused.json()["detail"].as_str().unwrap(), @r#"/outputs/message/format/mediaType: it is the string "image/png"; write one of text/plain, application/json"#);
    assert_eq!(memory.job_ids("acme").len(), 2);
}

#[tokio::test]
async fn references_are_links_to_what_then_answers() {
    let memory = Memory::acme();
    let echo = "/acme/ogc-api/processes/echo/execution";
    let outputs = json!({"echoInput": "teststring", "arrayInput": [1, 2]});
    let by_reference = json!({"echoInput": {"transmissionMode": "reference"}});
    let request = json!({"inputs": {"echoInput": "a"}, "outputs": by_reference});
    let answer = execute(&memory, echo, request, outputs.clone()).await;
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    insta::assert_snapshot!(answer.header("link"), @r#"<http://weir.test/acme/ogc-api/jobs/00000000-0000-4000-8000-000000000001/results/echoInput>; rel="item"; type="text/plain"; title="echoInput""#);
    // The official suite takes any other link of a sync answer for a mistake.
    assert!(!answer.header("link").contains("monitor"));
    let path = "/acme/ogc-api/jobs/00000000-0000-4000-8000-000000000001/results/echoInput";
    assert_eq!(Client::new(&memory).get(path).await.json(), "teststring");

    let mixed = json!({"echoInput": {"transmissionMode": "reference"}, "arrayInput": {}});
    let request = json!({"inputs": {"echoInput": "a"}, "outputs": mixed});
    let answer = execute(&memory, echo, request, outputs.clone()).await;
    assert!(answer.text().contains("Content-ID: echoInput\r\nContent-Location: http://weir.test/acme/ogc-api/jobs/"));

    let request = json!({"inputs": {"echoInput": "a"}, "outputs": mixed, "response": "document"});
    let answer = execute(&memory, echo, request, outputs).await;
    insta::assert_snapshot!(answer.text(), @r#"{"echoInput":{"href":"http://weir.test/acme/ogc-api/jobs/00000000-0000-4000-8000-000000000003/results/echoInput","type":"text/plain"},"arrayInput":[1,2]}"#);
}

#[tokio::test]
async fn a_built_in_process_brings_its_package() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    let body = json!({"inputs": {"echoInput": "a", "pause": 5}, "mode": "async"});
    assert_eq!(post(&client, "/acme/ogc-api/processes/echo/execution", None, body).await.status, 201);
    let job = memory.created("acme", &memory.job_ids("acme")[0]);
    assert!(job.package.unwrap().contains("weir-eo, pause"));
    assert_eq!(job.inputs["pause"], 5);
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_wait_long_enough_is_given_the_job() {
    let client = Client::new(&Memory::acme());
    let body = json!({"inputs": {"message": "a"}});
    for prefer in [None, Some("wait=1")] {
        let answer = post(&client, GREET, prefer, body.clone()).await;
        assert_eq!((answer.status, answer.header("preference-applied")), (201, ""));
        assert!(answer.header("location").contains("/acme/ogc-api/jobs/"));
    }
}

/// Whoever is told to try again makes a second job.
#[tokio::test]
async fn whoever_cannot_be_given_results_is_given_the_job() {
    use crate::backend::BackendError;
    let away = || Some(BackendError::Unavailable("weir is stopping".into()));
    for is_over in [false, true] {
        let memory = Memory::acme();
        let client = Client::new(&memory);
        let waiting =
            tokio::spawn(async move { post(&client, GREET, None, json!({"inputs": {"message": "a"}})).await });
        while memory.job_ids("acme").is_empty() {
            tokio::task::yield_now().await;
        }
        let id = memory.job_ids("acme")[0].clone();
        tokio::task::yield_now().await;
        if is_over {
            memory.lose_results(away());
        } else {
            memory.trouble(away());
        }
        memory.succeed("acme", &id, json!({"message": "a"}));
        let answer = waiting.await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.header("location"), format!("http://weir.test/acme/ogc-api/jobs/{id}"));
        assert_eq!(answer.json()["status"], if is_over { "successful" } else { "accepted" });
    }
}

#[tokio::test]
async fn a_failure_is_the_answer_of_a_synchronous_execution() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    let waiting = tokio::spawn(async move { post(&client, GREET, None, json!({"inputs": {"message": "a"}})).await });
    while memory.job_ids("acme").is_empty() {
        tokio::task::yield_now().await;
    }
    memory.change("acme", &memory.job_ids("acme")[0], |job| {
        job.phase = weir_api::Phase::Failed;
        job.failure = Some(crate::backend::JobFailure {
            class: "OutOfMemory".into(),
            message: "the tool needed more than 512 MiB".into(),
            step: Some("node_crop[0]".into()),
            exit_code: Some(137),
            stderr: Some("Killed".into()),
        });
    });
    let answer = waiting.await.unwrap();
    insta::assert_snapshot!(format!("{:#}", answer.json()), @r#"
    {
      "type": "OutOfMemory",
      "title": "The job has failed",
      "status": 500,
      "detail": "step `node_crop[0]`: the tool needed more than 512 MiB (exit code 137)\nKilled",
      "instance": "http://weir.test/acme/ogc-api/jobs/00000000-0000-4000-8000-000000000001"
    }
    "#);
}

#[tokio::test]
async fn every_mistake_is_refused_before_there_is_a_job() {
    let memory = Memory::acme();
    let client = Client::new(&memory);
    let wrong = json!({"inputs": {"mesage": "a", "times": "two"}, "response": "xml", "outputs": {"x": {}}});
    let answer = post(&client, GREET, None, wrong).await;
    assert_eq!(answer.status, 400);
    insta::assert_snapshot!(answer.json()["detail"].as_str().unwrap(), @r#"
    /response: it is the string "xml"; write raw or document
    /outputs/x: the process has no such output; there are: message
    /inputs/mesage: the process has no such input; there are: message, times
    /inputs/message: the input is missing; write a string: What to say
    /inputs/times: it is the string "two"; write an integer
    "#);
    insta::assert_snapshot!(client.send("POST", GREET, &[JSON, ACCEPT], "{").await.json()["detail"].as_str().unwrap(), @r#"the body: EOF while parsing an object at line 1 column 1; send an execute request in JSON: {"inputs": {…}}"#);
    let xml = client.send("POST", GREET, &[("content-type", "text/xml"), ACCEPT], "<x/>").await;
    assert_eq!(xml.status, 415);
    let nothing = post(&client, "/acme/ogc-api/processes/nothing/execution", None, json!({})).await;
    assert_eq!((nothing.status, nothing.header("content-type")), (404, "application/json"));
    assert!(memory.job_ids("acme").is_empty());
}

#[tokio::test]
async fn values_by_reference_are_fetched_through_the_guard() {
    let memory = Memory::acme();
    let world = World::new();
    world.put("https://x.example/greeting.txt", "text/plain", "hello");
    let client = Client::of(Facade::new(Arc::clone(&memory) as _, world, Settings::default()));
    let body = |url: &str| json!({"inputs": {"message": {"href": url, "type": "text/plain"}}});
    assert_eq!(post(&client, GREET, Some("respond-async"), body("https://x.example/greeting.txt")).await.status, 201);
    assert_eq!(memory.created("acme", &memory.job_ids("acme")[0]).inputs["message"], "hello");
    let answer = post(&client, GREET, Some("respond-async"), body("https://x.example/none")).await;
    assert_eq!(answer.status, 400);
    insta::assert_snapshot!(answer.json()["detail"].as_str().unwrap(), @"/inputs/message: `https://x.example/none` cannot be fetched: the server answers 404; give a URL that answers, or the value itself");
}

#[tokio::test]
async fn what_the_backend_refuses_is_told_in_the_standards_words() {
    use crate::backend::BackendError;
    let memory = Memory::acme();
    let client = Client::new(&memory);
    memory.put("acme", new_process("other", crate::testing::PACKAGE), true);
    let too_many = BackendError::TooMany { message: "there are 100 unfinished jobs".into(), retry_after: 30 };
    for (trouble, status) in [(too_many, 429), (BackendError::Unavailable("the store is away".into()), 503)] {
        memory.trouble(Some(trouble));
        let answer = post(&client, GREET, Some("respond-async"), json!({"inputs": {"message": "a"}})).await;
        assert_eq!(answer.status, status);
    }
}
