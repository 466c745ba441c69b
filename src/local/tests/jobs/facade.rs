//! The façade's embedded backend with real processes: what is accepted is found and finished, tenants do not meet, what
//! is dismissed stops.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, TryStreamExt as _};
use libtest_mimic::Trial;
use serde_json::{Map, Value as Json, json};
use weir_api::Phase;
use weir_cwl::load::NoFetch;
use weir_http::backend::{
    Asked, Backend, BackendError, ByteStream, Deployed, JobId, JobRecord, NewJob, NewProcess, ProcessId, Subscriber,
    Tenant,
};
use weir_local::facade::results::BUCKET;
use weir_local::facade::{DirLock, Embedded, FacadeSettings, OpenError};
use weir_store::server::{Access, Credentials, KeyPair, Objects, Server, ServerSettings};

use super::fixture::{processes_of, settings, trials};

/// The name under which this program accepts jobs and runs them until it is killed: `<dir>`.
pub const SERVER: &str = "weir-test-server";

pub fn trials() -> Vec<Trial> {
    trials![
        a_deployed_process_is_durable_and_each_tenant_has_its_own,
        water_bodies_become_results_in_the_store,
        accepted_jobs_survive_kill_9,
        a_job_whose_client_went_away_runs,
        a_dismissed_job_stops_its_processes_and_can_be_removed,
        fifty_jobs_run_four_at_a_time_and_more_are_refused,
        tenants_do_not_meet,
        broken_files_harm_only_themselves,
        a_failed_job_says_why_and_its_log_stays,
        a_subscriber_is_told_once_also_after_a_restart,
        ten_thousand_finished_jobs_are_read_at_once,
        small_jobs_are_quick,
        a_directory_is_used_by_one_weir,
    ]
}

/// Waits until `$0` is there and says who it is.
const WAITS: &str = r#"
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
struct World {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

/// A backend that is open. Its store is closed with it.
struct Open {
    backend: Arc<Embedded>,
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

async fn open(dir: &Path, change: impl FnOnce(&mut FacadeSettings)) -> Open {
    let lock = DirLock::take(dir).unwrap();
    let (server, objects) = objects(dir);
    let mut facade = FacadeSettings::new(dir.to_owned(), settings(PathBuf::new()));
    change(&mut facade);
    Open { backend: Embedded::open(lock, facade, objects).await.unwrap(), _server: server }
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), runtime: tokio::runtime::Runtime::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn dir(&self) -> PathBuf {
        self.path().join("weir")
    }
}

fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

fn process(id: &str, cwl: &str) -> NewProcess {
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

fn job(process: &str, inputs: Json) -> NewJob {
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

async fn finished(open: &Open, tenant: &Tenant, id: &JobId) -> Arc<JobRecord> {
    let finished = tokio::time::timeout(Duration::from_mins(1), open.backend.finished(tenant, id));
    finished.await.unwrap().unwrap().unwrap()
}

async fn text(stream: ByteStream) -> String {
    let bytes: Vec<u8> = stream.map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn log(open: &Open, tenant: &Tenant, id: &JobId, name: &str) -> String {
    text(open.backend.text(tenant, id, name).await.unwrap().unwrap()).await
}

async fn jobs(open: &Open, tenant: &Tenant) -> Vec<String> {
    let mut seen = Vec::new();
    let mut visit = |record: &Arc<JobRecord>| {
        seen.push(record.id.to_string());
        ControlFlow::Continue(())
    };
    open.backend.jobs(tenant, &mut visit).await.unwrap();
    seen
}

fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_there() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn a_deployed_process_is_durable_and_each_tenant_has_its_own() {
    let world = World::new();
    let (acme, other) = (tenant("acme"), tenant("other"));
    world.runtime.block_on(async {
        let long = "x".repeat(253);
        let opened = open(&world.dir(), |_| {}).await;
        for id in ["waits", "urn:x:1.0_A", &long] {
            opened.backend.deploy(&acme, process(id, WAITS)).await.unwrap();
        }
        let taken = opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap_err();
        assert_eq!(taken.to_string(), "there is already process `waits`");
        let unknown = opened.backend.replace(&other, process("waits", WAITS)).await.unwrap_err();
        assert_eq!(unknown.to_string(), "there is no process `waits`");
        let changed = WAITS.replace("hello", "goodbye");
        opened.backend.replace(&acme, process("waits", &changed)).await.unwrap();
        opened.backend.undeploy(&acme, &"urn:x:1.0_A".parse().unwrap()).await.unwrap();
        drop(opened);

        let again = open(&world.dir(), |_| {}).await;
        let ids = again.backend.process_ids(&acme).await.unwrap();
        assert_eq!(ids.iter().map(ProcessId::as_str).collect::<Vec<_>>(), ["waits", long.as_str()]);
        assert!(again.backend.process_ids(&other).await.unwrap().is_empty());
        let waits = again.backend.process(&acme, &"waits".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((waits.deployed.cwl.as_str(), waits.mutable), (changed.as_str(), true));
        assert_eq!(waits.description["id"], "waits");
        assert!(again.backend.process(&other, &"waits".parse().unwrap()).await.unwrap().is_none());
        assert!(!world.dir().join("tenants/other").exists(), "looking creates nothing");
    });
}

fn water_bodies_become_results_in_the_store() {
    let world = World::new();
    let acme = tenant("acme");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let package = fs::read_to_string(repository.join("manifests/water-bodies/water-bodies.cwl")).unwrap();
    let item = |scene: &str| format!("file://{}/tests/data/olinda/{scene}/{scene}.json", repository.display());
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        opened.backend.deploy(&acme, process("water-bodies", &package)).await.unwrap();
        let inputs = json!({
            "stac_items": [item("L7_OLINDA_NORTH"), item("L7_OLINDA_SOUTH")],
            "aoi": "-34.905,-8.03,-34.83,-7.96",
        });
        let accepted = opened.backend.create(&acme, job("water-bodies", inputs)).await.unwrap();
        assert_eq!((accepted.phase, accepted.progress), (Phase::Accepted, 0));
        let id = accepted.id.clone();
        let record = finished(&opened, &acme, &id).await;
        assert_eq!(record.phase, Phase::Successful, "{record:?}");
        assert_eq!((record.progress, record.message.as_deref()), (100, Some("all 10 steps succeeded")));
        assert!(record.created <= record.started.unwrap() && record.started <= record.finished);
        assert_eq!(record.steps.len(), 5);

        let results = opened.backend.results(&acme, &id).await.unwrap();
        assert_eq!(Json::from(results), json!({"stac_catalog": format!("s3://results/{id}/catalog.json")}));
        let read = async |key: &str| {
            let location = format!("s3://results/{id}/{key}");
            opened.backend.read_result(&acme, &id, &location).await
        };
        let catalog: Json = serde_json::from_str(&text(read("catalog.json").await.unwrap()).await).unwrap();
        assert_eq!(catalog["links"][1]["href"], format!("s3://results/{id}/{id}/collection.json"));
        let key = format!("{id}/L7_OLINDA_NORTH/L7_OLINDA_NORTH.json");
        let stac: Json = serde_json::from_str(&text(read(&key).await.unwrap()).await).unwrap();
        let href = stac["assets"]["data"]["href"].as_str().unwrap();
        let mask = opened.backend.read_result(&acme, &id, href).await.unwrap();
        let mask: Vec<u8> = mask.map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap();
        assert_eq!(&mask[..4], b"II*\0", "a TIFF");
        for key in [".weir-owner", "nothing", "../x"] {
            assert!(matches!(read(key).await, Err(BackendError::NotFound(_))), "{key}");
        }

        let texts = opened.backend.texts(&acme, &id).await.unwrap();
        let names: Vec<&str> = texts.iter().map(|text| text.name.as_str()).collect();
        assert_eq!(names.len(), 11, "{names:?}");
        assert_eq!(names[names.len() - 2..], ["node_stage_out.log", "usage.json"]);
        for name in ["node_crop.log", "node_crop_4.log", "node_otsu_2.log", "node_stac.log"] {
            assert!(names.contains(&name), "{names:?}");
        }
        let usage: Json = serde_json::from_str(&log(&opened, &acme, &id, "usage.json").await).unwrap();
        assert_eq!(usage["total_tasks"], 10);
        let folder = world.dir().join("tenants/acme/jobs").join(id.as_str());
        wait_for("the folders of attempts go", || !folder.join("att").exists());

        // Removing the job leaves the results.
        opened.backend.remove(&acme, &id).await.unwrap();
        assert!(opened.backend.job(&acme, &id).await.unwrap().is_none() && !folder.exists());
        let catalog = world.dir().join(format!("store/buckets/results/{id}.d/catalog.json.o"));
        assert!(catalog.exists());
    });
}

/// Accepts three jobs, one after the other, and writes their ids down.
pub fn server_main() -> ExitCode {
    let dir = PathBuf::from(std::env::args().nth(1).unwrap());
    let folder = dir.parent().unwrap().to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let opened = open(&dir, |settings| (settings.jobs, settings.jobs_of_tenant) = (2, 2)).await;
        let acme = tenant("acme");
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        let mut ids = String::new();
        for name in ["a", "b", "c"] {
            let inputs = json!({"folder": folder, "name": name});
            ids += opened.backend.create(&acme, job("waits", inputs)).await.unwrap().id.as_str();
            ids += "\n";
        }
        fs::write(folder.join("ids.part"), ids).unwrap();
        fs::rename(folder.join("ids.part"), folder.join("ids")).unwrap();
        std::future::pending::<()>().await;
    });
    ExitCode::FAILURE
}

fn server(dir: &Path) -> Child {
    let mut server = Command::new("/proc/self/exe");
    server.arg0(SERVER).arg(dir).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

fn accepted_jobs_survive_kill_9() {
    let world = World::new();
    let acme = tenant("acme");
    let mut elsewhere = server(&world.dir());
    wait_for("jobs run elsewhere", || {
        ["ids", "started-a", "started-b"].iter().all(|name| world.path().join(name).exists())
    });
    elsewhere.kill().unwrap();
    elsewhere.wait().unwrap();
    let ids = fs::read_to_string(world.path().join("ids")).unwrap();
    let ids: Vec<JobId> = ids.lines().map(|id| id.parse().unwrap()).collect();
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        assert_eq!(jobs(&opened, &acme).await, ids.iter().rev().map(ToString::to_string).collect::<Vec<_>>());
        for (id, name) in ids.iter().zip(["a", "b", "c"]) {
            let found = opened.backend.job(&acme, id).await.unwrap().unwrap();
            assert_eq!(found.asked.outputs, Some(Map::new()));
            let record = finished(&opened, &acme, id).await;
            assert_eq!(record.phase, Phase::Successful, "{record:?}");
            let results = opened.backend.results(&acme, id).await.unwrap();
            let location = results["said"]["location"].as_str().unwrap();
            assert_eq!(location, format!("s3://results/{id}/said/said.txt"));
            let said = opened.backend.read_result(&acme, id, location).await.unwrap();
            assert_eq!(text(said).await, format!("hello from {name}\n"));
        }
        let said = log(&opened, &acme, &ids[0], "waits.log").await;
        assert_eq!(said, "waiting\n--- weir: attempt 1, incarnation 2 ---\nwaiting\n");
    });
    wait_for("nothing is left running", || processes_of(&world.path()).is_empty());
}

fn a_job_whose_client_went_away_runs() {
    let world = World::new();
    let acme = tenant("acme");
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |settings| settings.unfinished_max = 1).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        for name in ["a", "b"] {
            let inputs = json!({"folder": world.path(), "name": name});
            let mut request = Box::pin(opened.backend.create(&acme, job("waits", inputs)));
            let _maybe_not_yet = (&mut request).now_or_never();
            drop(request);
            let deadline = Instant::now() + Duration::from_secs(30);
            let id = loop {
                let newest = jobs(&opened, &acme)
                    .await
                    .into_iter()
                    .next()
                    .filter(|_| world.path().join(format!("started-{name}")).exists());
                if let Some(id) = newest {
                    break id.parse::<JobId>().unwrap();
                }
                assert!(Instant::now() < deadline, "the job does not run");
                tokio::time::sleep(Duration::from_millis(2)).await;
            };
            // Its place is free again: the next one is accepted.
            assert_eq!(finished(&opened, &acme, &id).await.phase, Phase::Successful);
        }
    });
}

fn a_dismissed_job_stops_its_processes_and_can_be_removed() {
    let world = World::new();
    let acme = tenant("acme");
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |settings| settings.jobs = 1).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        let inputs = |name: &str| json!({"folder": world.path(), "name": name});
        let id = opened.backend.create(&acme, job("waits", inputs("a"))).await.unwrap().id.clone();
        wait_for("the tool runs", || world.path().join("started-a").exists());
        let queued = opened.backend.create(&acme, job("waits", inputs("b"))).await.unwrap().id.clone();
        wait_for("it is seen", || !processes_of(&world.dir()).is_empty());
        // Live: the tool has said something, and more is to come.
        let texts = opened.backend.texts(&acme, &id).await.unwrap();
        assert_eq!(texts[0].name, "waits.log");
        assert_eq!(log(&opened, &acme, &id, "waits.log").await, "waiting\n");
        let usage: Json = serde_json::from_str(&log(&opened, &acme, &id, "usage.json").await).unwrap();
        assert_eq!(usage["total_tasks"], 0);
        assert!(matches!(opened.backend.results(&acme, &id).await, Err(BackendError::NotFound(_))));
        assert!(matches!(opened.backend.remove(&acme, &id).await, Err(BackendError::Refused(_))));

        let waiting = tokio::spawn({
            let (backend, acme, id) = (Arc::clone(&opened.backend), acme.clone(), id.clone());
            async move { backend.finished(&acme, &id).await }
        });
        // One that waits for its place needs none to stop.
        let record = opened.backend.dismiss(&acme, &queued).await.unwrap();
        assert_eq!((record.phase, record.started), (Phase::Dismissed, None));
        let record = opened.backend.dismiss(&acme, &id).await.unwrap();
        assert_eq!((record.phase, record.failure.as_ref()), (Phase::Dismissed, None));
        assert_eq!(waiting.await.unwrap().unwrap().unwrap().phase, Phase::Dismissed);
        wait_for("its processes are gone", || processes_of(&world.dir()).is_empty());
        assert_eq!(opened.backend.dismiss(&acme, &id).await.unwrap().phase, Phase::Dismissed);
        drop(opened);

        let again = open(&world.dir(), |_| {}).await;
        assert_eq!(again.backend.job(&acme, &id).await.unwrap().unwrap().phase, Phase::Dismissed);
        again.backend.remove(&acme, &id).await.unwrap();
        assert!(matches!(again.backend.remove(&acme, &id).await, Err(BackendError::NotFound(_))));
        assert_eq!(jobs(&again, &acme).await, [queued.to_string()]);
    });
}

fn fifty_jobs_run_four_at_a_time_and_more_are_refused() {
    let world = World::new();
    let acme = tenant("acme");
    let package = r"
cwlVersion: v1.2
class: CommandLineTool
id: counts
requirements: {ResourceRequirement: {coresMin: 0.1, ramMin: 16}}
baseCommand: [sh, -c, 'echo + >> $0; sleep 0.02; echo - >> $0']
inputs: {ledger: {type: string, inputBinding: {}}}
outputs: {}
";
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |settings| {
            (settings.jobs, settings.jobs_of_tenant, settings.unfinished_max) = (8, 4, 50);
        })
        .await;
        opened.backend.deploy(&acme, process("counts", package)).await.unwrap();
        let inputs = json!({"ledger": world.path().join("ledger")});
        let mut ids = Vec::new();
        let mut refused = None;
        for _ in 0..200 {
            match opened.backend.create(&acme, job("counts", inputs.clone())).await {
                Ok(record) => ids.push(record.id.clone()),
                Err(error) => drop(refused.get_or_insert(error)),
            }
            if refused.is_some() && ids.len() >= 50 {
                break;
            }
        }
        if let Some(refused) = refused {
            assert!(matches!(refused, BackendError::TooMany { retry_after: 1.., .. }), "{refused:?}");
        }
        assert!(ids.len() >= 50);
        for id in &ids {
            assert_eq!(finished(&opened, &acme, id).await.phase, Phase::Successful);
        }
        let ledger = fs::read_to_string(world.path().join("ledger")).unwrap();
        let (mut at_once, mut most) = (0_i32, 0);
        for line in ledger.lines() {
            at_once += if line == "+" { 1 } else { -1 };
            most = most.max(at_once);
        }
        assert_eq!((at_once, ledger.lines().count()), (0, 2 * ids.len()));
        assert!(most <= 4, "{most} at once");
    });
}

fn tenants_do_not_meet() {
    let world = World::new();
    let (acme, other) = (tenant("acme"), tenant("other"));
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let allowed = [acme.clone(), other.clone()].into();
        let opened = open(&world.dir(), |settings| settings.tenants = Some(allowed)).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        opened.backend.deploy(&other, process("waits", WAITS)).await.unwrap();
        let inputs = json!({"folder": world.path(), "name": "a"});
        let id = opened.backend.create(&acme, job("waits", inputs.clone())).await.unwrap().id.clone();
        let own = opened.backend.create(&other, job("waits", inputs.clone())).await.unwrap().id.clone();
        for (tenant, id) in [(&acme, &id), (&other, &own)] {
            assert_eq!(finished(&opened, tenant, id).await.phase, Phase::Successful);
        }
        let backend = &opened.backend;
        assert_eq!(jobs(&opened, &other).await, [own.to_string()]);
        assert!(backend.job(&other, &id).await.unwrap().is_none());
        assert!(backend.finished(&other, &id).await.unwrap().is_none());
        let location = format!("s3://results/{id}/said/said.txt");
        assert!(backend.read_result(&acme, &id, &location).await.is_ok());
        let foreign = [
            backend.dismiss(&other, &id).await.map(drop),
            backend.remove(&other, &id).await,
            backend.results(&other, &id).await.map(drop),
            backend.texts(&other, &id).await.map(drop),
            backend.text(&other, &id, "waits.log").await.map(drop),
            backend.read_result(&other, &id, &location).await.map(drop),
            // With a job of one's own, too.
            backend.read_result(&other, &own, &location).await.map(drop),
            backend.read_result(&other, &own, &format!("s3://results/{own}/../{id}/said/said.txt")).await.map(drop),
            backend.read_result(&other, &own, "file:///etc/passwd").await.map(drop),
        ];
        for (number, result) in foreign.into_iter().enumerate() {
            assert!(matches!(result, Err(BackendError::NotFound(_))), "{number}: {result:?}");
        }
        for name in ["../results.json", "../../../../acme/jobs/x/logs/waits.log", "lock", "results.json", "waits"] {
            assert!(backend.text(&other, &own, name).await.unwrap().is_none(), "{name}");
        }
        // Nobody names files of this machine.
        for place in ["file:///etc/passwd", "/etc/passwd", "../x"] {
            let files = r"
cwlVersion: v1.2
class: CommandLineTool
id: files
baseCommand: 'true'
inputs: {file: File}
outputs: {}
";
            let inputs = json!({"file": {"class": "File", "location": place}});
            let mut wanted = job("files", inputs);
            wanted.package = Some(files.to_owned());
            let refused = backend.create(&other, wanted).await.unwrap_err();
            assert!(refused.to_string().contains("/inputs/file"), "{refused}");
        }
        let stranger = tenant("stranger");
        assert!(!backend.has_tenant(&stranger).await.unwrap());
        assert!(backend.deploy(&stranger, process("waits", WAITS)).await.is_err());
        assert!(backend.create(&stranger, job("waits", inputs)).await.is_err());
        assert!(!world.dir().join("tenants/stranger").exists());
    });
}

fn broken_files_harm_only_themselves() {
    let world = World::new();
    let acme = tenant("acme");
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        opened.backend.deploy(&acme, process("spoilt", WAITS)).await.unwrap();
        let mut ids = Vec::new();
        for name in ["a", "b", "c"] {
            let inputs = json!({"folder": world.path(), "name": name});
            let id = opened.backend.create(&acme, job("waits", inputs)).await.unwrap().id.clone();
            finished(&opened, &acme, &id).await;
            ids.push(id);
        }
        let own = world.dir().join("tenants/acme");
        let index = own.join("finished.jsonl");
        wait_for("all are in the index", || fs::read_to_string(&index).is_ok_and(|text| text.lines().count() == 3));
        drop(opened);

        fs::write(own.join("processes/spoilt.json"), "{").unwrap();
        fs::write(own.join("jobs").join(ids[1].as_str()).join("journal/0000000000"), "nonsense").unwrap();
        // The index is cut in the second line: its job and the third are read from their journals.
        let lines = fs::read_to_string(&index).unwrap();
        let end = lines.match_indices('\n').next().unwrap().0 + 20;
        fs::write(&index, &lines[..end]).unwrap();
        fs::create_dir(own.join("jobs/not a job")).unwrap();

        let again = open(&world.dir(), |_| {}).await;
        assert_eq!(again.backend.process_ids(&acme).await.unwrap().len(), 1);
        assert_eq!(jobs(&again, &acme).await.len(), 3);
        for id in &ids {
            let record = finished(&again, &acme, id).await;
            if record.phase == Phase::Failed {
                assert_eq!(*id, ids[1]);
                let message = record.message.as_deref().unwrap();
                assert!(message.starts_with("the job's journal cannot be used: "), "{message}");
            } else {
                assert_eq!(record.phase, Phase::Successful);
                assert!(again.backend.results(&acme, id).await.is_ok());
                assert_eq!(again.backend.texts(&acme, id).await.unwrap().len(), 2);
            }
        }
        again.backend.remove(&acme, &ids[1]).await.unwrap();
        again.backend.deploy(&acme, process("spoilt", WAITS)).await.unwrap();
    });
}

fn a_failed_job_says_why_and_its_log_stays() {
    let world = World::new();
    let acme = tenant("acme");
    let package = r"
cwlVersion: v1.2
class: CommandLineTool
id: fails
baseCommand: [sh, -c, 'echo no water here >&2; exit 3']
inputs: {}
outputs: {}
";
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        // A built-in process brings its package along.
        let mut wanted = job("fails", json!({}));
        wanted.package = Some(package.to_owned());
        let id = opened.backend.create(&acme, wanted).await.unwrap().id.clone();
        let record = finished(&opened, &acme, &id).await;
        let failure = record.failure.as_ref().unwrap();
        assert_eq!((record.phase, failure.class.as_str(), failure.exit_code), (Phase::Failed, "ToolFailed", Some(3)));
        assert_eq!(failure.stderr.as_deref(), Some("no water here"));
        assert_eq!(log(&opened, &acme, &id, "fails.log").await, "no water here\n");
        assert!(matches!(opened.backend.results(&acme, &id).await, Err(BackendError::NotFound(_))));
        let unknown = opened.backend.create(&acme, job("nothing", json!({}))).await.unwrap_err();
        assert_eq!(unknown.to_string(), "there is no process `nothing`");
    });
}

fn a_subscriber_is_told_once_also_after_a_restart() {
    let world = World::new();
    let acme = tenant("acme");
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        opened.backend.deploy(&acme, process("waits", WAITS)).await.unwrap();
        let mut wanted = job("waits", json!({"folder": world.path(), "name": "a"}));
        let url = |name: &str| Some(format!("https://example.org/{name}"));
        wanted.subscriber =
            Some(Subscriber { success_uri: url("s"), in_progress_uri: url("p"), failed_uri: None, origin: None });
        let id = opened.backend.create(&acme, wanted).await.unwrap().id.clone();
        let first = opened.backend.next_notice().await.unwrap();
        assert_eq!((first.tenant.as_str(), &first.job.id, first.job.phase), ("acme", &id, Phase::Running));
        opened.backend.noticed(&first).await;
        let second = opened.backend.next_notice().await.unwrap();
        assert_eq!(second.job.phase, Phase::Successful);
        opened.backend.stop();
        assert!(opened.backend.next_notice().await.is_none());
        drop(opened);

        let again = open(&world.dir(), |_| {}).await;
        let told_again = again.backend.next_notice().await.unwrap();
        assert_eq!((told_again.job.phase, &told_again.job.subscriber), (Phase::Successful, &second.job.subscriber));
        again.backend.noticed(&told_again).await;
        drop(again);

        let last = open(&world.dir(), |_| {}).await;
        let nothing = tokio::time::timeout(Duration::from_millis(50), last.backend.next_notice()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    });
}

fn ten_thousand_finished_jobs_are_read_at_once() {
    let world = World::new();
    let acme = tenant("acme");
    fs::write(world.path().join("go"), "").unwrap();
    world.runtime.block_on(async {
        let opened = open(&world.dir(), |_| {}).await;
        let mut wanted = job("waits", json!({"folder": world.path(), "name": "a"}));
        wanted.package = Some(WAITS.to_owned());
        let id = opened.backend.create(&acme, wanted).await.unwrap().id.clone();
        finished(&opened, &acme, &id).await;
        let own = world.dir().join("tenants/acme");
        let index = own.join("finished.jsonl");
        wait_for("it is in the index", || fs::read_to_string(&index).is_ok_and(|text| text.ends_with('\n')));
        drop(opened);

        let line = fs::read_to_string(&index).unwrap();
        let mut lines = String::new();
        for number in 0..10_000 {
            let other = format!("00000000-0000-7000-8000-{number:012}");
            fs::create_dir(own.join("jobs").join(&other)).unwrap();
            lines += &line.replace(id.as_str(), &other);
        }
        fs::write(&index, lines + &line).unwrap();
        let before = resident_kib();
        let started = Instant::now();
        let again = open(&world.dir(), |_| {}).await;
        let took = started.elapsed();
        let listed = jobs(&again, &acme).await;
        assert_eq!(listed.len(), 10_001);
        let more = resident_kib().saturating_sub(before);
        println!("10,001 finished jobs: open in {took:?}, {more} KiB more resident");
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn small_jobs_are_quick() {
    let package = r"
cwlVersion: v1.2
class: ExpressionTool
id: same
inputs: {number: int}
outputs: {number: int}
expression: '$({number: inputs.number})'
requirements: {InlineJavascriptRequirement: {}}
";
    for fsync in [false, true] {
        let world = World::new();
        let acme = tenant("acme");
        world.runtime.block_on(async {
            let opened = open(&world.dir(), |settings| settings.engine.fsync = fsync).await;
            opened.backend.deploy(&acme, process("same", package)).await.unwrap();
            let started = Instant::now();
            let mut ids = Vec::new();
            for number in 0..200 {
                let created = opened.backend.create(&acme, job("same", json!({"number": number}))).await.unwrap();
                ids.push(created.id.clone());
            }
            let accepted = started.elapsed();
            for (number, id) in ids.iter().enumerate() {
                let record = finished(&opened, &acme, id).await;
                assert_eq!(
                    (record.phase, record.message.as_deref()),
                    (Phase::Successful, Some("its only step succeeded"))
                );
                assert_eq!(opened.backend.results(&acme, id).await.unwrap()["number"], number);
            }
            println!("200 jobs, fsync {fsync}: accepted in {accepted:?}, over in {:?}", started.elapsed());
            assert!(started.elapsed() < Duration::from_mins(1));
        });
    }
}

fn a_directory_is_used_by_one_weir() {
    let world = World::new();
    let _first = DirLock::take(&world.dir()).unwrap();
    let error = DirLock::take(&world.dir()).unwrap_err();
    assert!(matches!(error, OpenError::Used(_)), "{error}");
    assert!(error.to_string().ends_with("is used by another weir; stop that one, or choose another directory"));
}
