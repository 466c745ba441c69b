use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use serde_json::{Value, json};
use weir_api::kubernetes::ProcessStatus;

use super::*;
use crate::settings::FetchSettings;
use crate::testing::{FakeApi, Fault};

const PACKAGE: &str = "cwlVersion: v1.2
$namespaces: {s: https://schema.org/}
s:softwareVersion: 1.4.1
class: CommandLineTool
id: tool
label: Finds water
baseCommand: echo
inputs: {text: string}
outputs: {}
";

/// An API server with one namespace, and a controller over it.
struct World {
    api: FakeApi,
    store: Arc<dyn ObjectStore>,
    /// Ended with the world.
    tasks: JoinSet<()>,
}

impl World {
    fn new() -> Self {
        Self::over(Arc::new(InMemory::new()))
    }

    fn over(store: Arc<dyn ObjectStore>) -> Self {
        let api = FakeApi::new();
        let namespace: Namespace = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "eo", "labels": {"weir.dev/tenant": "acme"}}
        }))
        .unwrap();
        api.insert(&namespace);
        Self { api, store, tasks: JoinSet::new() }
    }

    fn started(mut self) -> Self {
        let guarded = Guarded::new(&FetchSettings { allowed: vec!["localhost".to_owned()] }).unwrap();
        let keeper = Keeper::new(Arc::clone(&self.store), self.api.client(), guarded);
        self.tasks.spawn(keep(Api::all(self.api.client()), keeper));
        self
    }

    fn deploy(&self, name: &str, spec: &Value) {
        let process: Process = serde_json::from_value(json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "Process",
            "metadata": {"name": name, "namespace": "eo"}, "spec": spec
        }))
        .unwrap();
        self.api.insert(&process);
    }

    /// The status of a Process once it speaks of the object as it is, with the given reason.
    async fn told(&self, name: &str, reason: &str) -> ProcessStatus {
        let told = |api: &FakeApi| {
            let process: Process = api.get("eo", name)?;
            let status = process.status.filter(|status| status.observed_generation == process.metadata.generation)?;
            status.conditions.iter().any(|condition| condition.reason == reason).then_some(status)
        };
        self.api.until(told).await
    }
}

#[tokio::test]
async fn a_deployed_package_is_frozen_and_described() {
    let world = World::new().started();
    world.deploy("water", &json!({"package": {"inline": PACKAGE}}));
    let status = world.told("water", "Resolved").await;
    assert_eq!(status.id.as_deref(), Some("water"));
    assert_eq!((status.version.as_deref(), status.title.as_deref()), (Some("1.4.1"), Some("Finds water")));
    let digest = status.digest.unwrap();
    let stored = stored::StoredPackage::get(world.store.as_ref(), &"acme".parse().unwrap(), &digest).await.unwrap();
    assert_eq!(stored.documents["weir:processes/water/package.cwl"], PACKAGE);
}

#[tokio::test]
async fn a_broken_package_is_told_once_and_mended_by_a_change() {
    let world = World::new().started();
    world.deploy("water", &json!({"package": {"inline": PACKAGE.replace("string", "strin")}}));
    let status = world.told("water", "PackageInvalid").await;
    assert!(status.conditions[0].message.starts_with("weir:processes/water/package.cwl:8:16: error: there is no type"));
    assert_eq!(status.digest, None);
    world.api.edit("eo", "water", |process: &mut Process| process.spec.package.inline = Some(PACKAGE.to_owned()));
    world.told("water", "Resolved").await;
    assert_eq!(world.api.count("patch", "processes/status"), 2, "a status that says the same is not written");
}

#[tokio::test]
async fn defaults_that_do_not_fit_the_package_are_told() {
    let world = World::new().started();
    world.deploy("water", &json!({"package": {"inline": PACKAGE}, "defaults": {"text": 7}}));
    let status = world.told("water", "SpecInvalid").await;
    insta::assert_snapshot!(status.conditions[0].message, @"
    spec.defaults of Process water: error: the value must be of type string, not an integer (at /text)
    help: put it in quotes
    ");
    world.api.edit("eo", "water", |process: &mut Process| process.spec.defaults = Some(json!({"text": "seven"})));
    world.told("water", "Resolved").await;
}

#[tokio::test]
async fn a_process_that_is_made_anew_under_the_name_of_a_broken_one_is_looked_at() {
    let world = World::new().started();
    world.deploy("water", &json!({"package": {"inline": PACKAGE.replace("string", "strin")}}));
    world.told("water", "PackageInvalid").await;
    world.api.remove::<Process>("eo", "water");
    world.deploy("water", &json!({"package": {"inline": PACKAGE}}));
    world.told("water", "Resolved").await;
}

#[tokio::test]
async fn a_malformed_process_harms_only_itself_i11() {
    let world = World::new();
    world.deploy("good", &json!({"package": {"inline": PACKAGE}}));
    let bad: kube::core::DynamicObject = serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "Process", "metadata": {"name": "bad", "namespace": "eo"},
        "spec": {"package": "a text"}
    }))
    .unwrap();
    let resource = kube::core::ApiResource::erase::<Process>(&());
    let api: Api<kube::core::DynamicObject> = Api::namespaced_with(world.api.client(), "eo", &resource);
    api.create(&kube::api::PostParams::default(), &bad).await.unwrap();
    let world = world.started();
    world.told("good", "Resolved").await;
    let wrote = |api: &FakeApi| {
        let told = |request: &crate::testing::Request| request.is("patch", "processes/status") && request.name == "bad";
        api.requests().iter().any(told).then_some(())
    };
    world.api.until(wrote).await;
    let object = api.get("bad").await.unwrap();
    assert_eq!(object.data["status"]["conditions"][0]["reason"], "Malformed");
}

#[tokio::test]
async fn of_two_processes_with_one_id_the_older_keeps_it() {
    let world = World::new().started();
    world.deploy("a", &json!({"id": "water", "package": {"inline": PACKAGE}}));
    world.told("a", "Resolved").await;
    world.deploy("b", &json!({"id": "water", "package": {"inline": PACKAGE}}));
    let status = world.told("b", "IdTaken").await;
    assert_eq!((status.digest, status.conditions[0].status.as_str()), (None, "False"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_asked_again_with_growing_waits() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let answer = async || match ASKED.fetch_add(1, Ordering::SeqCst) {
        0..3 => (StatusCode::BAD_GATEWAY, ""),
        _ => (StatusCode::OK, PACKAGE),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/p.cwl", get(answer))).await });
    let world = World::new().started();
    let began = Instant::now();
    world.deploy("water", &json!({"package": {"href": format!("http://localhost:{port}/p.cwl")}}));
    let status = world.told("water", "PackageUnavailable").await;
    assert!(status.conditions[0].message.contains("the server answers 502"), "{status:?}");
    // Waits of 10, 20 and 40 seconds, by the paused clock; a try takes none of it.
    while ASKED.load(Ordering::SeqCst) < 4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.told("water", "Resolved").await;
    assert!(began.elapsed() >= Duration::from_secs(70), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_namespace_whose_label_is_no_tenant_is_told() {
    let world = World::new();
    world.api.edit("", "eo", |namespace: &mut Namespace| {
        namespace.metadata.labels = Some([(TENANT.to_owned(), "No_Tenant".to_owned())].into());
    });
    let world = world.started();
    world.deploy("water", &json!({"package": {"inline": PACKAGE}}));
    let status = world.told("water", "SpecInvalid").await;
    assert!(status.conditions[0].message.contains("belongs to no tenant"), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_told_and_what_was_there_before_still_holds() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::over(Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap())).started();
    world.deploy("water", &json!({"package": {"inline": PACKAGE}}));
    let digest = world.told("water", "Resolved").await.digest;
    // A file stands where the tenant's folder was.
    let (tenant, elsewhere) = (folder.path().join("acme"), folder.path().join("elsewhere"));
    std::fs::rename(&tenant, &elsewhere).unwrap();
    std::fs::write(&tenant, "").unwrap();
    world.deploy("other", &json!({"package": {"inline": PACKAGE}}));
    let status = world.told("other", "StoreUnavailable").await;
    assert_eq!((status.conditions[0].status.as_str(), status.digest.as_deref()), ("Unknown", None));
    assert!(status.conditions[0].message.starts_with("cannot write the package `acme/packages/"), "{status:?}");
    let newer = PACKAGE.replace("Finds water", "Finds more");
    world.api.edit("eo", "water", |process: &mut Process| process.spec.package.inline = Some(newer));
    assert_eq!(world.told("water", "StoreUnavailable").await.digest, digest);
    std::fs::remove_file(&tenant).unwrap();
    std::fs::rename(&elsewhere, &tenant).unwrap();
    assert_ne!(world.told("water", "Resolved").await.digest, digest);
    world.told("other", "Resolved").await;
}

#[tokio::test]
async fn a_package_that_is_frozen_is_not_fetched_again_by_the_next_leader() {
    let world = World::new();
    world.deploy("water", &json!({"package": {"href": "http://localhost:1/gone.cwl"}}));
    world.api.edit("eo", "water", |process: &mut Process| {
        let ready = Verdict::Ready { digest: "0".repeat(64), version: None, title: None };
        process.status = Some(verdict::status(process, &ready, Time(jiff::Timestamp::UNIX_EPOCH)));
    });
    let world = world.started();
    // The other one is looked at after it, and proves that it was.
    world.deploy("other", &json!({"package": {"inline": PACKAGE}}));
    world.told("other", "Resolved").await;
    assert_eq!(world.told("water", "Resolved").await.digest, Some("0".repeat(64)));
    assert_eq!(world.api.count("get", "namespaces"), 1, "only the other one was resolved");
}

#[tokio::test]
async fn an_api_server_that_refuses_a_status_is_asked_again() {
    let world = World::new();
    world.api.fail(Fault::on("patch", "processes/status").with(500, "InternalError", "etcd is busy").times(1));
    let world = world.started();
    tokio::time::pause();
    world.deploy("water", &json!({"package": {"inline": PACKAGE}}));
    world.told("water", "Resolved").await;
}

#[test]
fn waits_grow_to_a_bound() {
    let waits: Vec<u64> = [0, 1, 2, 5, 6, 100].map(|failures| backoff(failures).as_secs()).into();
    assert_eq!(waits, [10, 20, 40, 320, 600, 600]);
}
