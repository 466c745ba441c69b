//! A job whose pods are played: a store, and an agent that does what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use weir_api::agent::{
    AgentOrder, Claimant, Complete, Content, Contents, Ending, EntryKind, Exited, Hints, ListedEntry, Listing,
    UploadRequest, Uploaded, Usage,
};
use weir_cwl::load::NoFetch;
use weir_cwl::stage_in;
use weir_cwl::stage_out::{self, StageOut};
use weir_cwl::{Record, Value, load_text};
use weir_plan::action::Launch;
use weir_plan::{Intent, Outcome, Policy};
use weir_script::{Pool, WorkerCommand};
use weir_store::server::{Credentials, KeyPair, Server, ServerSettings};
use weir_store::{JobKeys, S3Settings};

use crate::context::{JobContext, Services};
use crate::data::{Collected, JobData, Order, Remote, RemoteError, Results, completed, exited, prepare, refused};
use crate::settings::{FetchSettings, PodSettings, PodStart, Settings};
use crate::spec::ClusterJob;

/// First segment of the published keys.
pub const ID: &str = "68046976-7dcb-11f0-90ac-2a20aea25780";

/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A web of files, by URL.
#[derive(Debug, Default)]
pub struct Web(pub BTreeMap<String, Result<String, RemoteError>>);

impl Remote for Web {
    fn size<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Option<u64>, RemoteError>> {
        let found = self.0.get(url).cloned().transpose();
        Box::pin(async move { Ok(found?.map(|text| text.len() as u64)) })
    }

    fn read<'a>(&'a self, url: &'a str, limit: u64) -> BoxFuture<'a, Result<Vec<u8>, RemoteError>> {
        let found = self.0.get(url).cloned().transpose();
        Box::pin(async move {
            let mut bytes = found?.unwrap_or_default().into_bytes();
            bytes.truncate(usize::try_from(limit).unwrap());
            Ok(bytes)
        })
    }
}

/// The store of a test: served on loopback, or in memory where nothing is presigned.
pub struct Store {
    pub settings: S3Settings,
    pub objects: Arc<dyn object_store::ObjectStore>,
    _dir: Option<tempfile::TempDir>,
}

impl Store {
    /// Served with the buckets `weir` and `results`, as long as the runtime runs.
    pub async fn served() -> Self {
        // Another test may have installed it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let pair = KeyPair::unlimited("AK", "secret-of-weir");
        let server = Server::open(ServerSettings {
            dir: dir.path().to_owned(),
            fsync: false,
            credentials: Credentials::fixed(vec![pair]).unwrap(),
            buckets: vec!["weir".into(), "results".into()],
        });
        let server = server.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = s3_settings(&format!("http://{}", listener.local_addr().unwrap()));
        tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
        Self { objects: weir_store::s3(&settings).unwrap(), settings, _dir: Some(dir) }
    }

    /// In memory.
    pub fn in_memory() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let objects = Arc::new(object_store::memory::InMemory::new());
        Self { settings: s3_settings(NOWHERE), objects, _dir: None }
    }

    /// The bucket of results.
    pub fn results(&self) -> Arc<dyn object_store::ObjectStore> {
        weir_store::s3(&S3Settings { bucket: "results".into(), ..self.settings.clone() }).unwrap()
    }
}

fn s3_settings(endpoint: &str) -> S3Settings {
    S3Settings {
        endpoint: endpoint.to_owned(),
        region: "us-east-1".into(),
        bucket: "weir".into(),
        access_key: "AK".into(),
        secret_key: "secret-of-weir".into(),
        allow_http: true,
        trusted: None,
    }
}

/// A job of a package: inputs as JSON, its Directory outputs staged out.
pub fn job(store: &Store, package: &str, inputs: &str, web: Web) -> Arc<JobContext> {
    let stage_out = StageOut { to: "s3://results".to_owned(), id: ID.to_owned(), lays_out: true };
    let fragment = package.contains("$graph").then_some("water-bodies");
    let package = load_text("https://example.org/p.cwl", package, fragment, &NoFetch).unwrap();
    let Value::Record(inputs) = weir_cwl::json::parse(inputs).unwrap().recognise().unwrap() else { panic!() };
    let (package, inputs) = stage_in::with_stage_in(package, inputs).unwrap();
    let package = stage_out::with_stage_out(package, &stage_out).unwrap();
    let intent = Intent::new(Arc::new(package), inputs, Policy::default()).unwrap();
    let services = Services {
        settings: Arc::new(settings(&store.settings)),
        store: Arc::clone(&store.objects),
        signer: store.settings.signer().unwrap(),
        results: Results::new(&store.settings).unwrap(),
        remote: Arc::new(web),
        scripts: Pool::new(&WorkerCommand::this_program().unwrap()),
        metrics: crate::metrics::Metrics::default(),
    };
    Arc::new(JobContext {
        services: Arc::new(services),
        keys: JobKeys::new("acme".parse().unwrap(), "run".parse().unwrap()),
        spec: ClusterJob {
            format: crate::spec::FORMAT,
            job: weir_plan::pinned::PinnedJob::new(String::new(), BTreeMap::new(), Record::new()),
            namespace: "acme".into(),
            name: ID.into(),
            uid: "run".into(),
            result_id: ID.into(),
            results_bucket: "results".into(),
            digest: String::new(),
            pod_template: weir_api::kubernetes::process_job::PodTemplate::default(),
        },
        intent: Arc::new(intent),
        documents: BTreeMap::new(),
        data: JobData::default(),
    })
}

/// The same job in an operator that was started again, or in another job with the same store.
pub fn again(context: &JobContext, run: &str) -> JobContext {
    JobContext {
        services: Arc::clone(&context.services),
        keys: JobKeys::new("acme".parse().unwrap(), run.parse().unwrap()),
        spec: context.spec.clone(),
        intent: Arc::clone(&context.intent),
        documents: context.documents.clone(),
        data: JobData::default(),
    }
}

fn settings(store: &S3Settings) -> Settings {
    let nowhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Settings {
        namespace: "weir".into(),
        pod_name: None,
        lease: "weir-operator".into(),
        lease_timing: crate::lease::Timing::default(),
        single_replica: false,
        namespaces: Vec::new(),
        agents_listen: nowhere,
        agents_url: "https://weir-agents.weir.svc:8443".into(),
        health_listen: nowhere,
        facade: crate::intake::fixture::settings().facade,
        store: store.clone(),
        results_bucket: "results".into(),
        pods: PodSettings {
            agent_image: "weir".into(),
            eo_image: "weir-eo".into(),
            own_images: BTreeSet::new(),
            default_image: "busybox".into(),
            image_pull_policy: "IfNotPresent".into(),
            allowed_images: Vec::new(),
            run_as_user: Some(10001),
            service_account: "default".into(),
            pod_start: PodStart::Hook,
            memory_headroom: 2.0,
            cores_max: 2.0,
            ram_mib_max: 4096,
            unschedulable_seconds: 1,
            image_seconds: 1,
            enforce_network_access: true,
            node_selector_keys: Vec::new(),
            allow_tolerations: false,
            allow_priority_class: false,
            image_pull_secrets: Vec::new(),
        },
        fetch: FetchSettings::default(),
        parallelism: 10,
        tenant_parallelism: 10,
        lookahead: false,
        hinted_gpus: false,
        ttl_seconds: 1,
    }
}

/// Files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Plays agents and tools.
pub struct Agent {
    pub context: Arc<JobContext>,
    pub http: reqwest::Client,
    /// Orders that were carried out.
    pub orders: Vec<AgentOrder>,
}

impl Agent {
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context), http: reqwest::Client::new(), orders: Vec::new() }
    }

    /// One incarnation from its launch to its outcome. Each question meets an operator that was just started.
    pub fn run(&mut self, launch: &Launch) -> Outcome {
        let fresh = || again(&self.context, "run");
        let order = match prepare(&fresh(), launch) {
            Ok(order) => order,
            Err(refusal) => return refused(launch, &refusal, weir_plan::Timestamp(1)),
        };
        let told = order.to_agent(&fresh(), SystemTime::now()).unwrap();
        let placed = self.stage(&told);
        let out = tool(&told, &placed);
        self.orders.push(told);
        let report = report(launch, Ending::Code(0), &out);
        self.hand_in(launch, &order, report, &out)
    }

    /// Answers the operator's questions until it is content.
    pub fn hand_in(&self, launch: &Launch, order: &Order, mut report: Exited, out: &Files) -> Outcome {
        loop {
            match exited(&again(&self.context, "run"), launch, order, &report).unwrap() {
                Collected::Over(outcome) => return outcome,
                Collected::Read(requests) => {
                    for request in requests {
                        let bytes = &out[&request.path];
                        let length = bytes.len().min(usize::try_from(request.bytes_max).unwrap());
                        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
                        report.contents.insert(request.path, Contents::Text(text));
                    }
                }
                Collected::Upload(requests) => {
                    let uploaded = requests.iter().map(|request| self.upload(request, &out[&request.path])).collect();
                    let claimant = report.claimant.clone();
                    let complete = Complete { claimant, exited: report, uploaded, failure: None, log_bytes: None };
                    let outcome = completed(&again(&self.context, "run"), launch, order, &complete).unwrap();
                    let same = completed(&again(&self.context, "run"), launch, order, &complete).unwrap();
                    assert_eq!(outcome, same, "a completion that is sent again has the same outcome");
                    return outcome;
                }
            }
        }
    }

    fn upload(&self, request: &UploadRequest, bytes: &[u8]) -> Uploaded {
        let mut put = self.http.put(&request.put.url).body(bytes.to_vec());
        for (name, value) in &request.put.headers {
            put = put.header(name, value);
        }
        let status = Handle::current().block_on(put.send()).unwrap().status();
        assert!(status.is_success(), "{status}");
        let sha256 = hex::encode(Sha256::digest(bytes));
        Uploaded { path: request.path.clone(), size: bytes.len() as u64, sha256 }
    }

    fn stage(&self, order: &AgentOrder) -> Files {
        let fetch = |url: &str| {
            let get = async { self.http.get(url).send().await?.error_for_status()?.bytes().await };
            Handle::current().block_on(get).unwrap().to_vec()
        };
        let mut placed = Files::new();
        for placement in &order.placements {
            let bytes = match &placement.content {
                Content::Directory {} => continue,
                Content::Literal(text) => text.clone().into_bytes(),
                Content::Url { url, sha256, size } => {
                    let bytes = fetch(url);
                    assert_eq!(sha256.as_deref(), Some(hex::encode(Sha256::digest(&bytes)).as_str()));
                    assert_eq!(*size, Some(bytes.len() as u64));
                    bytes
                }
            };
            placed.insert(placement.path.clone(), bytes);
        }
        placed
    }
}

/// `echo`, `cat` and `weir-eo`.
fn tool(order: &AgentOrder, placed: &Files) -> Files {
    let (program, arguments) = order.argv.split_first().unwrap();
    let mut out = Files::new();
    let mut written = Vec::new();
    match program.as_str() {
        "echo" => written = format!("{}\n", arguments.join(" ")).into_bytes(),
        "cat" => arguments.iter().for_each(|path| written.extend_from_slice(&placed[path])),
        "weir-eo" => return eo_tool(arguments, placed),
        other => panic!("{other}"),
    }
    if let Some(stdout) = &order.stdout {
        out.insert(stdout.clone(), written);
    }
    out
}

/// `weir-eo`: a stage-in that makes a scene of a URL, a stage-out that lays out one item, or one of each folder.
fn eo_tool(arguments: &[String], placed: &Files) -> Files {
    let mut out = Files::new();
    if arguments[0] == "stage_in" {
        out.insert("catalog.json".to_owned(), arguments[1].clone().into_bytes());
        return out;
    }
    let folders = arguments.iter().position(|text| text == "--each").map(|at| &arguments[at + 1..]);
    let id = || arguments[arguments.iter().position(|text| text == "--id").unwrap() + 1].clone();
    let ids = folders.map_or_else(|| vec![id()], |folders| (1..=folders.len()).map(|n| n.to_string()).collect());
    let layout = &arguments[arguments.iter().position(|text| text == "--layout").unwrap() + 1];
    for (at, id) in ids.into_iter().enumerate() {
        let root = if layout == "." { id.clone() } else { format!("{layout}/{id}") };
        for (path, bytes) in placed {
            assert!(path.ends_with("/catalog.json"), "{path}");
            if folders.is_none_or(|folders| path.starts_with(&folders[at])) {
                out.insert(format!("{root}/{id}/scene/otsu.tif"), bytes.clone());
            }
        }
        for path in ["catalog.json", &format!("{id}/collection.json"), &format!("{id}/scene/scene.json")] {
            out.insert(format!("{root}/{path}"), format!("{{\"is\": \"{path}\"}}").into_bytes());
        }
    }
    out
}

/// What an agent reports of a tool that has left these files.
pub fn report(launch: &Launch, ending: Ending, out: &Files) -> Exited {
    let mut entries = BTreeMap::new();
    for (path, bytes) in out {
        for (at, _) in path.match_indices('/') {
            entries.insert(path[..at].to_owned(), EntryKind::Directory {});
        }
        entries.insert(path.clone(), EntryKind::File { size: bytes.len() as u64 });
    }
    let entries = entries.into_iter().map(|(path, kind)| ListedEntry { path, kind }).collect();
    Exited {
        claimant: Claimant { run_id: "run".into(), incarnation: launch.incarnation.0, pod_uid: "pod".into() },
        ending,
        hints: Hints::default(),
        usage: Usage { started_ms: 1000, finished_ms: 3000, cpu_seconds: 0.5, ..Usage::default() },
        stderr_tail: Some("last words\n".into()),
        listing: Listing { entries, incomplete: None },
        contents: BTreeMap::new(),
        log_bytes: None,
    }
}

/// The first launch of a job, as its planner orders it.
pub fn first_launch(context: &JobContext) -> Launch {
    let mut first = None;
    let mut job = weir_plan::drive::Job::new(Intent::clone(&context.intent));
    let mut world = |launch: &Launch| {
        first.get_or_insert_with(|| launch.clone());
        Outcome {
            outputs: Some(Record::new()),
            failure: None,
            exit_code: None,
            usage: weir_plan::event::Usage::default(),
        }
    };
    while job.turn(&mut world) && job.state.finished().is_none() {}
    first.unwrap()
}
