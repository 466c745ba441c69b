use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method};
use serde_json::json;
use tower::ServiceExt as _;

use super::*;
use crate::Settings;
use crate::backend::ProcessRecord;
use crate::fetcher::{FetchError, Fetched};
use crate::problem::types;
use crate::testing::{Memory, PACKAGE, new_process};

const WATER: &str = "\
cwlVersion: v1.0
$namespaces: {s: https://schema.org/}
s:softwareVersion: 1.5.0
$graph:
- class: CommandLineTool
  id: crop
  baseCommand: crop
  inputs: {aoi: string}
  outputs: {cropped: {type: File, outputBinding: {glob: '*.tif'}}}
- class: Workflow
  id: water-bodies
  label: Water bodies
  doc: Finds water.
  inputs: {aoi: string}
  outputs: {mask: {type: File, outputSource: node_crop/cropped}}
  steps:
    node_crop: {run: '#crop', in: {aoi: aoi}, out: [cropped]}
";

/// Pages by URL.
struct Web(BTreeMap<&'static str, &'static str>);

#[async_trait::async_trait]
impl Fetcher for Web {
    async fn get(&self, url: &str, _: usize) -> Result<Fetched, FetchError> {
        match self.0.get(url) {
            Some(text) => Ok(Fetched { bytes: text.as_bytes().to_vec(), media_type: None }),
            None => Err(FetchError::Status { url: url.to_owned(), status: 404 }),
        }
    }

    async fn post_json(&self, url: &str, _: &Json) -> Result<(), FetchError> {
        Err(FetchError::Url(url.to_owned()))
    }
}

const SPLIT: &str = "cwlVersion: v1.2\nclass: Workflow\nid: split\ninputs: {a: string}\noutputs: {}\n\
    steps: {s: {run: tools/t.cwl, in: {a: a}, out: []}}\n";
const TOOL: &str =
    "cwlVersion: v1.2\nclass: CommandLineTool\nid: t\nbaseCommand: t\ninputs: {a: string}\noutputs: {}\n";

struct Site {
    backend: Arc<Memory>,
    router: Router,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Status and type of a problem.
    fn problem(&self) -> (u16, String) {
        (self.status, self.json()["type"].as_str().unwrap_or_default().to_owned())
    }

    fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    fn locations(&self) -> Vec<&HeaderValue> {
        self.headers.get_all(LOCATION).iter().collect()
    }
}

/// With the deployed process `greet` and the immutable `fixed`.
fn site() -> Site {
    let backend = Memory::acme();
    backend.put("acme", new_process("fixed", PACKAGE), false);
    let pages = [
        ("https://example.org/water.cwl", WATER),
        ("https://example.org/split.cwl", SPLIT),
        ("https://example.org/tools/t.cwl", TOOL),
        ("https://example.org/alone.cwl", SPLIT),
        ("https://example.org/lost/split.cwl", SPLIT),
    ];
    let fetcher = Arc::new(Web(BTreeMap::from(pages)));
    let facade = Facade::new(Arc::clone(&backend) as _, fetcher, Settings::default());
    Site { router: crate::router(Arc::new(facade)), backend }
}

impl Site {
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/acme/ogc-api/{path}"))
            .header("host", "eo.example")
            .header("accept", "application/json");
        for (name, value) in headers {
            request
                .headers_mut()
                .unwrap()
                .insert(axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    async fn post(&self, path: &str, type_: &str, body: &str) -> Answer {
        self.ask(Method::POST, path, &[("content-type", type_)], body).await
    }

    async fn put(&self, path: &str, type_: &str, body: &str) -> Answer {
        self.ask(Method::PUT, path, &[("content-type", type_)], body).await
    }

    async fn post_package(&self, package: &Json) -> Answer {
        self.post("processes", "application/ogcapppkg+json", &package.to_string()).await
    }

    async fn record(&self, id: &str) -> Arc<ProcessRecord> {
        use crate::backend::Backend as _;
        self.backend.process(&"acme".parse().unwrap(), &id.parse().unwrap()).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_cwl_document_is_deployed_under_the_id_of_its_first_workflow() {
    let site = site();
    for (type_, path) in [
        ("application/cwl", "processes"),
        ("application/cwl+yaml", "processes?w=water-bodies"),
        ("application/cwl+yaml; charset=utf-8", "processes?w=water_bodies"),
    ] {
        let answer = site.post(path, type_, WATER).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(answer.locations(), ["http://eo.example/acme/ogc-api/processes/water-bodies"]);
        let summary = answer.json();
        assert_eq!(
            (&summary["id"], &summary["title"], &summary["version"], &summary["mutable"]),
            (&json!("water-bodies"), &json!("Water bodies"), &json!("1.5.0"), &json!(true))
        );
        assert!(summary.get("inputs").is_none() && summary.get("outputs").is_none() && summary["links"].is_array());
        assert_eq!(site.record("water-bodies").await.deployed.workflow.as_deref(), Some("water-bodies"));
        assert_eq!(site.ask(Method::DELETE, "processes/water-bodies", &[], "").await.status, 204);
    }
    let in_json = json!({"cwlVersion": "v1.2", "class": "CommandLineTool", "id": "t", "baseCommand": "t", "inputs": {},
        "outputs": {}});
    for type_ in ["application/cwl+json", "application/json", "application/cwl+yaml"] {
        assert_eq!(site.post("processes", type_, &in_json.to_string()).await.status, 201, "{type_}");
        assert_eq!(site.ask(Method::DELETE, "processes/t", &[], "").await.status, 204);
    }
}

#[tokio::test]
async fn w_names_another_process_or_none_that_is_there() {
    let site = site();
    let answer = site.post("processes?w=crop", "application/cwl", WATER).await;
    assert_eq!((answer.status, &answer.json()["id"]), (201, &json!("crop")));
    let answer = site.post("processes?w=fire", "application/cwl", WATER).await;
    assert_eq!(
        answer.problem(),
        (400, "http://www.opengis.net/def/exceptions/ogcapi-processes-2/1.0/workflow-not-found".to_owned())
    );
    insta::assert_snapshot!(answer.detail(), @"the package has no workflow `fire`; it has: crop, water-bodies");
}

#[tokio::test]
async fn an_application_package_is_deployed_by_value_and_by_href_alone_and_in_an_array() {
    let site = site();
    let link = json!({"href": "https://example.org/water.cwl", "type": "application/cwl"});
    let value = json!({"value": WATER, "format": {"mediaType": "application/cwl"}});
    for unit in [link.clone(), value.clone(), json!([link]), json!([value])] {
        let package = json!({"executionUnit": unit});
        for type_ in ["application/ogcapppkg+json", "application/json"] {
            let answer = site.post("processes", type_, &package.to_string()).await;
            assert_eq!((answer.status, &answer.json()["id"]), (201, &json!("water-bodies")), "{package}");
            let accept = [("accept", "application/ogcapppkg+json")];
            let back = site.ask(Method::GET, "processes/water-bodies/package", &accept, "").await;
            assert_eq!((back.status, back.text), (200, package.to_string()));
            let accept = [("accept", "application/cwl")];
            let back = site.ask(Method::GET, "processes/water-bodies/package", &accept, "").await;
            assert_eq!((back.status, back.text.as_str()), (200, WATER));
            assert_eq!(back.headers[CONTENT_TYPE], "application/cwl");
            assert_eq!(site.ask(Method::DELETE, "processes/water-bodies", &[], "").await.status, 204);
        }
    }
}

#[tokio::test]
async fn a_fetched_package_brings_its_neighbours_frozen() {
    let site = site();
    let answer = site.post_package(&json!({"executionUnit": {"href": "https://example.org/split.cwl"}})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let deployed = Arc::clone(&site.record("split").await.deployed);
    assert_eq!(deployed.url.as_deref(), Some("https://example.org/split.cwl"));
    let (entry, documents) = deployed.frozen("weir:processes/split/package.cwl");
    assert_eq!(entry, "https://example.org/split.cwl#split");
    let urls: Vec<&String> = documents.keys().collect();
    assert_eq!(urls, ["https://example.org/split.cwl", "https://example.org/tools/t.cwl"]);

    let answer = site.post_package(&json!({"executionUnit": {"href": "https://example.org/lost/split.cwl"}})).await;
    assert_eq!(answer.status, 400);
    insta::assert_snapshot!(answer.detail(), @"
    https://example.org/lost/split.cwl:6:18: error: cannot read https://example.org/lost/tools/t.cwl: `https://example.org/lost/tools/t.cwl` cannot be fetched: the server answers 404
     6 | steps: {s: {run: tools/t.cwl, in: {a: a}, out: []}}
       |                  ^^^^^^^^^^^
    ");
    let answer = site.post("processes", "application/cwl", SPLIT).await;
    insta::assert_snapshot!(answer.detail(), @"
    package.cwl:6:18: error: cannot read weir:/tools/t.cwl: a package that is sent has no neighbours; name what it imports by its whole URL
     6 | steps: {s: {run: tools/t.cwl, in: {a: a}, out: []}}
       |                  ^^^^^^^^^^^
    ");
    let answer = site.post_package(&json!({"executionUnit": {"href": "https://example.org/none.cwl"}})).await;
    assert_eq!(answer.status, 400);
    insta::assert_snapshot!(answer.detail(), @"/executionUnit/href: `https://example.org/none.cwl` cannot be fetched: the server answers 404; give the URL of a CWL document that everybody may read");
}

#[tokio::test]
async fn a_container_is_deployed_with_its_own_description() {
    let site = site();
    let package = json!({
        "processDescription": {"id": "BandMath", "title": "Band mathematics", "version": "1.0.0", "inputs": {
            "il": {"title": "Images", "maxOccurs": 1024, "schema": {"oneOf": [
                {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/tiff"},
                {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}]}},
            "out": {"title": "Type", "schema": {"type": "string", "default": "float", "enum": ["int16", "float", "float"]}},
            "ram": {"title": "MB", "schema": {"type": "integer", "default": 128, "nullable": true}},
        }, "outputs": {"out": {"schema": {"type": "string", "contentMediaType": "image/tiff"}}}},
        "executionUnit": {"type": "docker", "image": "docker://otbtf/4.1.0-cpu"},
    });
    let answer = site.post_package(&package).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.locations(), ["http://eo.example/acme/ogc-api/processes/BandMath"]);
    let record = site.record("BandMath").await;
    assert_eq!(record.description["inputs"]["il"]["maxOccurs"], 1024);
    assert_eq!(
        (&record.description["title"], &record.description["mutable"]),
        (&json!("Band mathematics"), &json!(true))
    );
    assert!(record.deployed.cwl.contains("\"dockerPull\": \"otbtf/4.1.0-cpu\""));
    assert_eq!(site.post_package(&package).await.problem(), (409, types::DUPLICATED_PROCESS.to_owned()));
    let again = site.put("processes/BandMath", "application/ogcapppkg+json", &package.to_string()).await;
    assert_eq!((again.status, again.text.as_str()), (204, ""));

    let mut nameless = package;
    nameless["processDescription"].as_object_mut().unwrap().remove("id");
    let answer = site.post_package(&nameless).await;
    insta::assert_snapshot!(answer.detail(), @"/processDescription/id: missing; a container says nothing of itself: write its id, inputs and outputs");
}

#[tokio::test]
async fn a_sent_description_corrects_words_and_names_the_process() {
    let site = site();
    let package = json!({"processDescription": {"process": {"id": "Water:2", "title": "Wasser", "keywords": ["ndwi"]}},
        "executionUnit": {"value": WATER, "mediaType": "application/cwl"}});
    let answer = site.post_package(&package).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let record = site.record("Water:2").await;
    assert_eq!((&record.description["id"], &record.description["title"]), (&json!("Water:2"), &json!("Wasser")));
    assert_eq!(record.description["description"], "Finds water.");
    assert_eq!(record.deployed.workflow.as_deref(), Some("water-bodies"));
    let again = site.put("processes/Water:2", "application/ogcapppkg+json", &package.to_string()).await;
    assert_eq!(again.status, 204, "{}", again.text);
}

#[tokio::test]
async fn a_second_deployment_of_an_id_is_409_with_the_location_of_the_first() {
    let site = site();
    assert_eq!(site.post("processes", "application/cwl", WATER).await.status, 201);
    let answer = site.post("processes", "application/cwl", WATER).await;
    assert_eq!(
        answer.problem(),
        (409, "http://www.opengis.net/def/exceptions/ogcapi-processes-2/1.0/duplicated-process".to_owned())
    );
    assert_eq!(answer.locations(), ["http://eo.example/acme/ogc-api/processes/water-bodies"]);
    assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
    let fixed = WATER.replace("id: water-bodies", "id: fixed");
    assert_eq!(
        site.post("processes", "application/cwl", &fixed).await.problem(),
        (403, types::IMMUTABLE_PROCESS.to_owned())
    );
}

#[tokio::test]
async fn every_finding_in_a_package_is_told_with_file_line_and_column() {
    let wrong = "cwlVersion: v1.2\nclass: Workflow\nid: w\ninputs: {a: strin}\noutputs: {o: {type: File, outputSource: s/o}}\n\
        steps: {}\nrequirements: {FireRequirement: {}}\n";
    let answer = site().post("processes", "application/cwl", wrong).await;
    assert_eq!(answer.problem(), (400, "InvalidParameterValue".to_owned()));
    insta::assert_snapshot!(answer.detail(), @"
    package.cwl:4:13: error: there is no type 'strin'
     4 | inputs: {a: strin}
       |             ^^^^^
    help: did you mean 'string'?
    package.cwl:5:41: error: there is no step 's'
     5 | outputs: {o: {type: File, outputSource: s/o}}
       |                                         ^^^
    help: the workflow has: none
    ");
    let answer = site().post("processes", "application/cwl", "a: [\n").await;
    assert_eq!(answer.status, 400);
    insta::assert_snapshot!(answer.detail(), @"package.cwl:2:1: error: no valid YAML or JSON: while parsing a node, did not find expected node content");
    let unsupported = "cwlVersion: v1.2\nclass: CommandLineTool\nid: t\nbaseCommand: t\ninputs: {}\noutputs: {}\n\
        requirements: {FireRequirement: {}}\n";
    insta::assert_snapshot!(site().post("processes", "application/cwl", unsupported).await.detail(), @"
    package.cwl:7:16: error: weir does not support `FireRequirement`
     7 | requirements: {FireRequirement: {}}
       |                ^^^^^^^^^^^^^^^
    ");
}

#[tokio::test]
async fn ids_that_lead_elsewhere_are_refused() {
    for id in ["a,b", "a;b", "a$$b", "$q$", "a/b", "..", "a b"] {
        let package = json!({"processDescription": {"id": id}, "executionUnit": {"value": WATER}});
        let answer = site().post_package(&package).await;
        assert_eq!(answer.problem(), (400, "InvalidParameterValue".to_owned()), "{id}");
    }
    for id in ["a/b", "a b", "$q$", "a;b"] {
        let text = WATER.replace("id: water-bodies", &format!("id: '{id}'"));
        assert_eq!(site().post("processes", "application/cwl", &text).await.status, 400, "{id}");
    }
    let text = WATER.replace("id: water-bodies", "id: 'water,bodies'");
    insta::assert_snapshot!(site().post("processes", "application/cwl", &text).await.detail(), @"the package: `water,bodies` is not an id of a process: at most 253 letters, digits, `_`, `-`, `.` and `:`, beginning with a letter or digit; choose another id");
    let nameless = "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: t\ninputs: {}\noutputs: {}\n";
    insta::assert_snapshot!(site().post("processes", "application/cwl", nameless).await.detail(), @"the package: its process has no id; add `id: …` to it, or send an OGC Application Package with processDescription.id");
}

#[tokio::test]
async fn a_process_is_replaced_with_exactly_204() {
    let site = site();
    assert_eq!(site.post("processes", "application/cwl", WATER).await.status, 201);
    let newer = WATER.replace("1.5.0", "1.6.0");
    let answer = site.put("processes/water-bodies", "application/cwl+yaml", &newer).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(answer.locations(), ["http://eo.example/acme/ogc-api/processes/water-bodies"]);
    assert_eq!(site.record("water-bodies").await.description["version"], "1.6.0");

    let answer = site.put("processes/greet", "application/cwl", WATER).await;
    assert_eq!(answer.problem(), (400, types::WORKFLOW_NOT_FOUND.to_owned()), "the id of the package is another");
    let answer = site.put("processes/greet?w=water-bodies", "application/cwl", WATER).await;
    assert_eq!(answer.status, 204, "w= says that it is meant");
    assert_eq!(site.record("greet").await.description["id"], "greet");
    let other = json!({"processDescription": {"id": "other"}, "executionUnit": {"value": WATER}}).to_string();
    let answer = site.put("processes/water-bodies", "application/ogcapppkg+json", &other).await;
    insta::assert_snapshot!(answer.detail(), @"/processDescription/id: `other` is not the process that is replaced; write water-bodies");
}

#[tokio::test]
async fn what_is_sent_is_looked_at_before_what_is_there() {
    let site = site();
    let unsupported = (415, types::UNSUPPORTED_MEDIA_TYPE.to_owned());
    assert_eq!(site.post("processes", "text/plain", "").await.problem(), unsupported);
    assert_eq!(site.put("processes/null", "text/plain", "").await.problem(), unsupported);
    assert_eq!(site.ask(Method::PUT, "processes/not-existing-process", &[], "").await.problem(), unsupported);
    assert_eq!(site.ask(Method::POST, "processes", &[], "").await.problem(), unsupported);
    let missing = (404, types::NO_SUCH_PROCESS.to_owned());
    assert_eq!(site.put("processes/not-existing-process", "application/cwl", "").await.problem(), missing);
    assert_eq!(site.put("processes/a%2Fb", "application/cwl", WATER).await.problem(), missing);
    assert_eq!(site.ask(Method::DELETE, "processes/not-existing-process", &[], "").await.problem(), missing);
    assert_eq!(site.ask(Method::GET, "processes/not-existing-process/package", &[], "").await.problem(), missing);
    assert_eq!(site.post("processes", "application/cwl", "").await.status, 400);
}

#[tokio::test]
async fn an_immutable_process_stays() {
    let site = site();
    let echo = PACKAGE.replace("id: greet", "id: echo");
    let immutable = (403, "http://www.opengis.net/def/exceptions/ogcapi-processes-2/1.0/immutable-process".to_owned());
    assert_eq!(site.ask(Method::DELETE, "processes/fixed", &[], "").await.problem(), immutable);
    assert_eq!(site.ask(Method::DELETE, "processes/echo", &[], "").await.problem(), immutable, "a built-in one");
    assert_eq!(site.post("processes", "application/cwl", &echo).await.problem(), immutable);
    assert_eq!(site.put("processes/fixed", "application/cwl", WATER).await.problem(), immutable);
    assert_eq!(site.ask(Method::DELETE, "processes/greet", &[], "").await.status, 204);
    assert_eq!(site.ask(Method::DELETE, "processes/greet", &[], "").await.status, 404);
}

#[tokio::test]
async fn a_package_is_given_in_the_form_that_is_accepted_or_not_at_all() {
    let site = site();
    for (accept, type_) in [
        ("*/*", "application/cwl"),
        ("application/cwl", "application/cwl"),
        ("application/cwl+json", "application/cwl+json"),
        ("application/ogcapppkg+json", "application/ogcapppkg+json"),
    ] {
        let answer = site.ask(Method::GET, "processes/greet/package", &[("accept", accept)], "").await;
        assert_eq!((answer.status, &answer.headers[CONTENT_TYPE]), (200, &HeaderValue::from_static(type_)));
    }
    let answer = site.ask(Method::GET, "processes/greet/package", &[("accept", "image/png")], "").await;
    assert_eq!(answer.status, 406);
}

#[tokio::test]
async fn tenants_do_not_change_each_others_processes_i9() {
    let backend = Memory::new(&["acme", "other"]);
    backend.put("other", new_process("greet", PACKAGE), true);
    let facade = Facade::new(Arc::clone(&backend) as _, Arc::new(Web(BTreeMap::new())), Settings::default());
    let site = Site { router: crate::router(Arc::new(facade)), backend };
    assert_eq!(site.ask(Method::DELETE, "processes/greet", &[], "").await.status, 404);
    assert_eq!(site.put("processes/greet", "application/cwl", PACKAGE).await.status, 404);
    assert_eq!(site.post("processes", "application/cwl", PACKAGE).await.status, 201, "the other's id is free");
}

/// Takes every request and answers none.
struct Silent;

#[async_trait::async_trait]
impl Fetcher for Silent {
    async fn get(&self, _: &str, _: usize) -> Result<Fetched, FetchError> {
        std::future::pending().await
    }

    async fn post_json(&self, _: &str, _: &Json) -> Result<(), FetchError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn packages_that_do_not_come_hold_up_nobody_else_i9() {
    let memory = Memory::new(&["acme", "other"]);
    let client = crate::testing::Client::of(Facade::new(memory, Arc::new(Silent), Settings::default()));
    let unit =
        json!({"executionUnit": {"href": "https://silent.example/a.cwl", "type": "application/cwl"}}).to_string();
    let deploy = async |client: crate::testing::Client, tenant: &str, media_type: &str, body: String| {
        client.send("POST", &format!("/{tenant}/ogc-api/processes"), &[("content-type", media_type)], body).await
    };
    let package = "application/ogcapppkg+json";
    for _ in 0..DEPLOYMENTS_OF_TENANT {
        let (client, unit) = (client.clone(), unit.clone());
        tokio::spawn(async move { deploy(client, "acme", package, unit).await });
    }
    tokio::task::yield_now().await;
    let refused = deploy(client.clone(), "acme", package, unit).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "5"), "{}", refused.text());
    assert_eq!(deploy(client, "other", "application/cwl", PACKAGE.to_owned()).await.status, 201);
}
