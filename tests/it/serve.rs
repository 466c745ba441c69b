//! `weir serve --local` as people use it: the real program, HTTP and S3 over loopback.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use weir_http::testing::{Provider, Secret};
use weir_store::presign::Signer;

use crate::support::{Workshop, repository};

/// What a request without a token is told (RFC 6750, §3).
const CHALLENGE: &str = "Bearer realm=\"weir\"";

/// A server that runs; killed when dropped.
struct Served {
    child: Child,
    /// Root of tenant `acme`.
    root: String,
    /// The S3 listener.
    s3: String,
    greeting: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn start(workshop: &Workshop) -> Self {
        Self::start_with(workshop, &[])
    }

    fn start_with(workshop: &Workshop, options: &[&str]) -> Self {
        let arguments = ["serve", "--local", "weir", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"];
        let mut child = workshop.command(&[&arguments[..], options].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let mut greeting = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while !greeting.contains("Ctrl-C") {
            greeting += &lines.next().unwrap().unwrap();
            greeting.push('\n');
        }
        let word = |line: &str, after: &str| {
            let line = greeting.lines().find(|found| found.contains(line)).unwrap();
            let rest = line.split_once(after).unwrap().1;
            rest.split([' ', ',']).find(|word| !word.is_empty()).unwrap().to_owned()
        };
        let (root, s3) = (word("OGC API", "OGC API"), word("results", " at "));
        Self { child, root, s3, greeting }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> (u16, Option<String>, Vec<u8>) {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = agent.run(request.body(body.to_owned()).unwrap()).unwrap();
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), location, response.body_mut().read_to_vec().unwrap())
    }

    fn deploy(&self, package: &str) {
        let (status, _, body) = Self::request(
            "POST",
            &format!("{}/processes", self.root),
            &[("content-type", "application/cwl+yaml")],
            package,
        );
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    }

    /// The last state of a job with these inputs, and where it is.
    fn execute(&self, process: &str, inputs: &Value) -> (Value, String) {
        let headers =
            [("content-type", "application/json"), ("accept", "application/json"), ("prefer", "respond-async")];
        let execution = format!("{}/processes/{process}/execution", self.root);
        let (status, location, body) =
            Self::request("POST", &execution, &headers, &json!({"inputs": inputs}).to_string());
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        let monitor = location.unwrap();
        (Self::over(&monitor), monitor)
    }

    /// The last state of a job.
    fn over(monitor: &str) -> Value {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let status = Self::get(monitor);
            if !["accepted", "running"].contains(&status["status"].as_str().unwrap()) {
                return status;
            }
            assert!(Instant::now() < deadline, "{status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn get(url: &str) -> Value {
        let (status, _, body) = Self::request("GET", url, &[("accept", "application/json")], "");
        assert_eq!(status, 200, "{url}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }
}

/// The key pair of a tenant.
fn read_keys(path: &Path, tenant: &str) -> (String, String) {
    let keys: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let pair = keys["keys"].as_array().unwrap().iter().find(|pair| pair["owner"] == tenant).unwrap();
    let text = |name: &str| pair[name].as_str().unwrap().to_owned();
    (text("accessKey"), text("secretKey"))
}

#[test]
fn a_package_is_deployed_run_and_read_and_everything_outlives_kill_9() {
    let workshop = Workshop::new();
    let mut served = Served::start(&workshop);
    let package = fs::read_to_string(repository("manifests/water-bodies/water-bodies.cwl")).unwrap();
    let cwl = [("content-type", "application/cwl+yaml"), ("accept", "application/json")];
    let deploy = format!("{}/processes?w=water-bodies", served.root);
    let (status, location, body) = Served::request("POST", &deploy, &cwl, &package);
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    assert_eq!(location, Some(format!("{}/processes/water-bodies", served.root)));

    // As the greeting says.
    workshop.weir_ok(&["demo", "--quiet"]);
    assert!(served.greeting.contains("-d @weir-demo/execute.json"), "{}", served.greeting);
    let inputs = fs::read_to_string(workshop.path().join("weir-demo/execute.json")).unwrap();
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("prefer", "respond-async;return=representation"),
    ];
    let execution = format!("{}/processes/water-bodies/execution", served.root);
    let (status, location, body) = Served::request("POST", &execution, &headers, &inputs);
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    let monitor = location.unwrap();
    let id = monitor.rsplit('/').next().unwrap().to_owned();

    // Killed in mid-job: what was answered is there, and the job goes on.
    served.signal(Signal::KILL);
    served.child.wait().unwrap();
    served = Served::start(&workshop);
    assert!(!served.greeting.contains("secret key"), "{}", served.greeting);
    let monitor = format!("{}/jobs/{id}", served.root);
    let status = Served::over(&monitor);
    assert_eq!(status["status"], "successful", "{status:#}");
    let logs: Vec<&str> = status["links"].as_array().unwrap().iter().filter_map(|link| link["href"].as_str()).collect();
    let log = logs.iter().find(|href| href.ends_with("/node_crop.log")).unwrap();
    assert_eq!(**log, format!("{}/temp/water-bodies-{id}/node_crop.log", served.root.trim_end_matches("/ogc-api")));
    assert_eq!(Served::request("GET", log, &[], "").0, 200);

    let results = Served::get(&format!("{monitor}/results"));
    let collection = &results["stac_catalog"]["value"];
    assert_eq!((&collection["type"], &collection["id"]), (&json!("FeatureCollection"), &json!(id)));
    let asset = &collection["features"][0]["assets"]["data"];
    assert_eq!(asset["storage:endpoint"], served.s3);
    let key = asset["href"].as_str().unwrap().strip_prefix("s3://results/").unwrap();
    assert_eq!(key, format!("{id}/{id}/L7_OLINDA_NORTH/otsu.tif"));

    // By S3, with the tenant's key pair of the first start; nobody else reads, and nobody writes.
    let keys = workshop.path().join("weir/keys.json");
    let (access, secret) = read_keys(&keys, "acme");
    let signer = Signer::new(&served.s3, "us-east-1", "results", &access, &secret).unwrap();
    let url = signer.get(key, SystemTime::now(), Duration::from_mins(5)).unwrap().url;
    let (status, _, mask) = Served::request("GET", &url, &[], "");
    assert_eq!((status, &mask[..4]), (200, &b"II*\0"[..]));
    assert_eq!(Served::request("GET", &format!("{}/results/{key}", served.s3), &[], "").0, 403);
    let other = format!("{}/processes", served.root.replace("/acme/", "/other/"));
    assert_eq!(Served::request("POST", &other, &cwl, &package).0, 201);
    let (access, secret) = read_keys(&keys, "other");
    let theirs = Signer::new(&served.s3, "us-east-1", "results", &access, &secret).unwrap();
    let refused = theirs.get(key, SystemTime::now(), Duration::from_mins(5)).unwrap().url;
    assert_eq!(Served::request("GET", &refused, &[], "").0, 403, "another tenant's key, made when it came");
    let put = signer.put("x", &weir_store::presign::PutTerms::default(), SystemTime::now(), Duration::from_mins(5));
    assert_eq!(Served::request("PUT", &put.unwrap().url, &[], "x").0, 403);

    // Removed from the list; its results stay.
    let (status, _, _) = Served::request("DELETE", &monitor, &[("accept", "application/json")], "");
    assert_eq!(status, 200);
    assert_eq!(Served::request("GET", &monitor, &[("accept", "application/json")], "").0, 404);
    assert_eq!(Served::request("GET", &url, &[], "").0, 200);

    served.signal(Signal::TERM);
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
}

/// Reads a file, and looks at a folder.
const READS: &str = r"
cwlVersion: v1.2
$graph:
- {class: CommandLineTool, id: reads, baseCommand: cat, inputs: {file: {type: File, inputBinding: {}}},
   outputs: {said: {type: stdout}}, stdout: said.txt}
";
const LOOKS: &str = r"
cwlVersion: v1.2
$graph:
- {class: CommandLineTool, id: looks, baseCommand: ls, inputs: {scene: {type: Directory, inputBinding: {}}},
   outputs: {said: {type: stdout}}, stdout: said.txt}
";

/// A server on loopback that says `water`, and at `/moved` that it is at its address. Its port.
fn inner_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let request = lines.next().unwrap_or_default();
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let answer = if request.contains("/moved") {
                format!("302 Found\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n")
            } else {
                "200 OK\r\nContent-Length: 5\r\n\r\nwater".to_owned()
            };
            stream
                .write_all(format!("HTTP/1.1 {answer}").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())
                .unwrap();
        }
    });
    port
}

#[test]
fn inputs_of_requests_are_fetched_from_public_addresses_and_allowed_ones_only_i9() {
    let workshop = Workshop::new();
    let port = inner_server();
    let told = |status: &Value| status["message"].as_str().unwrap().replace(&port.to_string(), "PORT");
    let file = |host: &str, path: &str| json!({"file": {"href": format!("http://{host}:{port}/{path}")}});
    {
        // By its name the server may be reached; where it leads to, it may not.
        let served = Served::start_with(&workshop, &["--allow-fetch", "localhost"]);
        served.deploy(READS);
        served.deploy(LOOKS);
        let (refused, _) = served.execute("reads", &file("127.0.0.1", ""));
        assert_eq!(refused["status"], "failed");
        insta::assert_snapshot!(told(&refused), @"StageIn: step `reads`: input `file`: input `http://127.0.0.1:PORT/` cannot be fetched: its host is unknown, or is none that may be reached; `weir serve --allow-fetch HOST` allows inner ones");
        insta::assert_snapshot!(told(&served.execute("reads", &file("localhost", "moved")).0), @"StageIn: step `reads`: input `file`: input `http://localhost:PORT/moved` cannot be fetched: its host is unknown, or is none that may be reached; `weir serve --allow-fetch HOST` allows inner ones");
        let scene = json!({"scene": {"href": format!("http://127.0.0.1:{port}/item.json")}});
        let (refused, monitor) = served.execute("looks", &scene);
        assert_eq!(refused["status"], "failed");
        let log = monitor.replace("/ogc-api/jobs/", "/temp/looks-") + "/node_stage_in.log";
        let (_, _, log) = Served::request("GET", &log, &[], "");
        let log = String::from_utf8(log).unwrap().replace(&port.to_string(), "PORT");
        insta::assert_snapshot!(log, @"weir-eo: cannot read http://127.0.0.1:PORT/item.json: its host is unknown, or is none that may be reached; `weir serve --allow-fetch HOST` allows inner ones");
        assert_eq!(served.execute("reads", &file("localhost", "")).0["status"], "successful");
    }
    let served = Served::start_with(&workshop, &["--allow-fetch", "127.0.0.0/8"]);
    let (status, monitor) = served.execute("reads", &file("127.0.0.1", "moved"));
    assert_eq!(status["status"], "successful", "{status}");
    let (_, _, said) = Served::request("GET", &format!("{monitor}/results/said"), &[], "");
    assert_eq!(said, b"water");
}

#[test]
fn with_a_provider_only_tokens_that_name_the_tenant_open_the_api() {
    let workshop = Workshop::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let secret = Secret::ec();
    let provider = runtime.block_on(Provider::with(vec![secret.jwk("k")]));
    let options = ["--oidc-issuer", &provider.issuer, "--oidc-audience", "weir", "--oidc-tenants-claim", "groups"];
    let served = Served::start_with(&workshop, &options);
    assert!(served.greeting.contains("into $TOKEN"), "{}", served.greeting);
    let url = format!("{}/processes", served.root);
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let refused = agent.get(&url).call().unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["www-authenticate"].to_str().unwrap()), (401, CHALLENGE));
    for (groups, status) in [("acme", 200), ("other", 403)] {
        let token = secret.token("k", &provider.claims(&json!({"tenants": null, "groups": [groups]})));
        let authorization = format!("Bearer {token}");
        assert_eq!(Served::request("GET", &url, &[("authorization", &authorization)], "").0, status, "{groups}");
    }
    let refused = workshop.weir(&["serve", "--local", "other", "--oidc-issuer", &provider.issuer]);
    let message = "weir: --oidc-issuer needs --oidc-audience: tokens for others must not open this API\n";
    assert_eq!((refused.code, refused.stderr.as_str()), (Some(1), message));
}

#[test]
fn what_is_in_the_way_of_a_start_is_said() {
    let workshop = Workshop::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listen = ["serve", "--local", "weir", "--listen", &address, "--s3-listen", "127.0.0.1:0"];
    let refused = workshop.weir(&listen);
    let message =
        format!("weir: another program listens on {address}; stop it, or choose another address with --listen\n");
    assert_eq!((refused.code, refused.stderr), (Some(1), message));

    let _served = Served::start(&workshop);
    let refused = workshop.weir(&["serve", "--local", "weir"]);
    let message = "weir: `FOLDER/weir` is used by another weir; stop that one, or choose another directory\n";
    assert_eq!((refused.code, refused.stderr.as_str()), (Some(1), message));

    let refused = workshop.weir(&["serve", "--local", "other", "--listen", "8080"]);
    assert!(refused.stderr.contains("write ADDRESS:PORT, e.g. 127.0.0.1:8080"), "{}", refused.stderr);
    fs::write(workshop.path().join("file"), "").unwrap();
    let refused = workshop.weir(&["serve", "--local", "file"]);
    assert_eq!(refused.stderr, "weir: --local file: this is a file, not a directory\n");
    let refused = workshop.weir(&["serve", "--local", "other", "--public-url", "ftp://x"]);
    assert!(refused.stderr.contains("--public-url"), "{}", refused.stderr);
    let refused = workshop.weir(&["serve", "--local", "other", "--tenant", "../x"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("a tenant: at most 63 of"), "{}", refused.stderr);
}
