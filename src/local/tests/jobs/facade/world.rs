//! A backend in a directory, the store that it publishes to, and a tool that waits.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use serde_json::{Map, Value as Json};
use weir_cwl::load::NoFetch;
use weir_http::backend::{Asked, Backend, ByteStream, Deployed, JobId, JobRecord, NewJob, NewProcess, Tenant};
use weir_local::facade::results::BUCKET;
use weir_local::facade::{DirLock, Embedded, FacadeSettings};
use weir_store::server::{Access, Credentials, KeyPair, Objects, Server, ServerSettings};

use crate::jobs::fixture::settings;

/// Waits until `$0` is there and says who it is.
pub const WAITS: &str = r#"
cwlVersion: v1.2
class: CommandLineTool
id: waits
baseCommand: [sh, -c, 'echo "hello from $1"; echo waiting >&2; touch "$0/started-$1"; while ! test -e "$0/go"; do sleep 0.01; done']
inputs:
  folder: {type: string, inputBinding: {position: 1}}
  name: {type: string, inputBinding: {position: 2}}
outputs:
  said: stdout
stdout: said.txt
"#;

/// A backend in a directory, and the store that it publishes to.
pub struct World {
    folder: tempfile::TempDir,
    pub runtime: tokio::runtime::Runtime,
}

/// A backend that is open. Its store is closed with it.
pub struct Open {
    pub backend: Arc<Embedded>,
    _server: Server,
}

fn objects(dir: &Path) -> (Server, Objects) {
    let pair =
        KeyPair { access: Access::ReadOnly, bucket: Some(BUCKET.into()), ..KeyPair::unlimited("AK", "a-secret") };
    let settings = ServerSettings {
        dir: dir.join("store"),
        fsync: false,
        credentials: Credentials::fixed(vec![pair]).unwrap(),
        buckets: vec![BUCKET.into()],
    };
    // What an earlier backend of this process still does in the background holds the store.
    let deadline = Instant::now() + Duration::from_secs(10);
    let server = loop {
        match Server::open(settings.clone()) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            opened => break opened.unwrap(),
        }
    };
    let objects = server.objects();
    (server, objects)
}

pub async fn open(dir: &Path, change: impl FnOnce(&mut FacadeSettings)) -> Open {
    let lock = DirLock::take(dir).unwrap();
    let (server, objects) = objects(dir);
    let mut facade = FacadeSettings::new(dir.to_owned(), settings(PathBuf::new()));
    change(&mut facade);
    Open { backend: Embedded::open(lock, facade, objects).await.unwrap(), _server: server }
}

impl World {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), runtime: tokio::runtime::Runtime::new().unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub fn dir(&self) -> PathBuf {
        self.path().join("weir")
    }
}

pub fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

pub fn process(id: &str, cwl: &str) -> NewProcess {
    let package = weir_cwl::load_text("file:///package.cwl", cwl, None, &NoFetch).unwrap();
    let Json::Object(description) = weir_cwl::description::process_description(&package) else { panic!() };
    let workflow = package.processes[package.entry.0].header().id.clone();
    NewProcess {
        id: id.parse().unwrap(),
        deployed: Deployed { cwl: cwl.to_owned(), workflow: Some(workflow), ..Deployed::default() },
        description,
        package: Arc::new(package),
    }
}

pub fn job(process: &str, inputs: Json) -> NewJob {
    let Json::Object(inputs) = inputs else { panic!() };
    NewJob {
        process: process.parse().unwrap(),
        version: None,
        package: None,
        inputs,
        asked: Asked { outputs: Some(Map::new()), ..Asked::default() },
        subscriber: None,
    }
}

pub async fn finished(open: &Open, tenant: &Tenant, id: &JobId) -> Arc<JobRecord> {
    let finished = tokio::time::timeout(Duration::from_mins(1), open.backend.finished(tenant, id));
    finished.await.unwrap().unwrap().unwrap()
}

pub async fn text(stream: ByteStream) -> String {
    let bytes: Vec<u8> = stream.map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub async fn log(open: &Open, tenant: &Tenant, id: &JobId, name: &str) -> String {
    text(open.backend.text(tenant, id, name).await.unwrap().unwrap()).await
}

pub async fn jobs(open: &Open, tenant: &Tenant) -> Vec<String> {
    let mut seen = Vec::new();
    let mut visit = |record: &Arc<JobRecord>| {
        seen.push(record.id.to_string());
        ControlFlow::Continue(())
    };
    open.backend.jobs(tenant, &mut visit).await.unwrap();
    seen
}

pub fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_there() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
