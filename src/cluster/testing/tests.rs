//! The fake behaves as the real one does where weir depends on it.

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Error, ResourceExt};
use serde_json::json;
use weir_api::kubernetes::{ProcessJob, ProcessJobSpec};

use super::*;

fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "labels": {"weir.dev/run": "r"}},
        "spec": {"containers": [{"name": "agent"}, {"name": "tool"}]},
    }))
    .unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> (u16, String) {
    match result {
        Err(Error::Api(status)) => (status.code, status.reason.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn objects_get_uids_and_versions_and_names_are_taken_once() {
    let api = FakeApi::new();
    let pods: Api<Pod> = Api::namespaced(api.client(), "ns");
    let created = pods.create(&PostParams::default(), &pod("a")).await.unwrap();
    assert!(created.uid().is_some() && created.resource_version().is_some());
    assert_eq!(created.status.as_ref().unwrap().phase.as_deref(), Some("Pending"));
    assert_eq!(code(pods.create(&PostParams::default(), &pod("a")).await), (409, "AlreadyExists".to_owned()));
    assert_eq!(pods.get("a").await.unwrap(), created);
    assert!(pods.get_opt("b").await.unwrap().is_none());
    assert_eq!((api.count("create", "pods"), api.count("get", "pods")), (2, 2));
}

#[tokio::test]
async fn a_write_from_an_old_version_is_refused() {
    let api = FakeApi::new();
    let leases: Api<Lease> = Api::namespaced(api.client(), "ns");
    let lease: Lease =
        serde_json::from_value(json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}})).unwrap();
    let old = leases.create(&PostParams::default(), &lease).await.unwrap();
    let mut new = old.clone();
    new.spec.as_mut().unwrap().holder_identity = Some("b".to_owned());
    let new = leases.replace("l", &PostParams::default(), &new).await.unwrap();
    assert_ne!(new.resource_version(), old.resource_version());
    assert_eq!(code(leases.replace("l", &PostParams::default(), &old).await), (409, "Conflict".to_owned()));
    let stale = json!({"metadata": {"resourceVersion": old.resource_version()}, "spec": {"holderIdentity": "c"}});
    let patched = leases.patch("l", &PatchParams::default(), &Patch::Merge(&stale)).await;
    assert_eq!(code(patched), (409, "Conflict".to_owned()));
    let again = leases.replace("l", &PostParams::default(), &new).await.unwrap();
    assert_eq!(again.resource_version(), new.resource_version(), "what changes nothing makes no version");
}

#[tokio::test]
async fn spec_and_status_are_written_apart() {
    let api = FakeApi::new();
    let mut job = ProcessJob::new("j", ProcessJobSpec::default());
    job.metadata.namespace = Some("ns".to_owned());
    api.insert(&job);
    let jobs: Api<ProcessJob> = Api::namespaced(api.client(), "ns");
    let both = json!({"spec": {"suspend": true}, "status": {"progress": 7}});
    let by_status = jobs.patch_status("j", &PatchParams::default(), &Patch::Merge(&both)).await.unwrap();
    assert_eq!((by_status.status.unwrap().progress, by_status.spec.suspend), (7, false));
    assert_eq!(by_status.metadata.generation, Some(1));
    let without = json!({"spec": {"suspend": true}, "status": null});
    let by_spec = jobs.patch("j", &PatchParams::default(), &Patch::Merge(&without)).await.unwrap();
    assert_eq!((by_spec.status.unwrap().progress, by_spec.spec.suspend), (7, true));
    assert_eq!(by_spec.metadata.generation, Some(2));
    let annotate = json!({"metadata": {"annotations": {"weir.dev/run-id": "r"}}});
    let apply = PatchParams::apply("weir");
    let applied = jobs.patch("j", &apply, &Patch::Apply(&annotate)).await.unwrap();
    assert_eq!(applied.annotations()["weir.dev/run-id"], "r");
}

#[tokio::test]
async fn json_patches_test_before_they_write() {
    let api = FakeApi::new();
    api.insert(&pod("a"));
    let pods: Api<Pod> = Api::namespaced(api.client(), "ns");
    let patch = |run: &str| {
        let patch = json!([
            {"op": "test", "path": "/metadata/labels/weir.dev~1run", "value": run},
            {"op": "remove", "path": "/metadata/labels/weir.dev~1run"},
        ]);
        Patch::Json::<()>(serde_json::from_value(patch).unwrap())
    };
    assert_eq!(code(pods.patch("a", &PatchParams::default(), &patch("other")).await).0, 422);
    let patched = pods.patch("a", &PatchParams::default(), &patch("r")).await.unwrap();
    assert!(patched.labels().is_empty());
}

#[tokio::test]
async fn a_watch_tells_what_is_selected() {
    let api = FakeApi::new();
    let pods: Api<Pod> = Api::namespaced(api.client(), "ns");
    let version = pods.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let params = WatchParams::default().labels("weir.dev/run in (r,s),!weir.dev/leader");
    let mut events = pods.watch(&params, &version).await.unwrap().boxed();
    api.insert(&pod("a"));
    api.kubelet().start("ns", "a");
    api.edit::<Pod>("ns", "a", |pod| drop(pod.labels_mut().remove("weir.dev/run")));
    let mut seen = Vec::new();
    while seen.last() != Some(&"deleted".to_owned()) {
        seen.push(match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(pod) => format!("added {}", pod.name_any()),
            WatchEvent::Modified(pod) => format!("modified {}", pod.status.unwrap().phase.unwrap()),
            WatchEvent::Deleted(_) => "deleted".to_owned(),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(seen, ["added a", "modified Pending", "modified Running", "deleted"]);
}

#[tokio::test]
async fn a_watch_from_a_forgotten_version_is_answered_410() {
    let api = FakeApi::new();
    let pods: Api<Pod> = Api::namespaced(api.client(), "ns");
    let version = pods.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    api.insert(&pod("a"));
    api.compact();
    let from_now = pods.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    for (version, expected) in [(version.as_str(), true), (from_now.as_str(), false)] {
        let mut events = pods.watch(&WatchParams::default().timeout(1), version).await.unwrap().boxed();
        let first = events.try_next().await.unwrap();
        let expired = matches!(first, Some(WatchEvent::Error(status)) if status.code == 410);
        assert_eq!(expired, expected, "from {version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_of_kube_survives_what_happens_to_watches() {
    let api = FakeApi::new();
    api.insert(&pod("a"));
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let pods: Api<Pod> = Api::all(api.client());
        let mut events = watcher(pods, config).boxed();
        let mut next = async |wanted: &str| loop {
            match events.next().await.unwrap() {
                Ok(Event::InitApply(pod) | Event::Apply(pod)) if pod.name_any() == wanted => return,
                _ => {}
            }
        };
        next("a").await;
        api.insert(&pod("b"));
        next("b").await;
        api.drop_watches("pods");
        api.insert(&pod("c"));
        next("c").await;
        api.hold_watches("pods");
        api.insert(&pod("d"));
        api.compact();
        api.release_watches("pods");
        next("d").await;
        for name in ["b", "c", "d"] {
            api.remove::<Pod>("ns", name);
        }
    }
}

#[tokio::test]
async fn metadata_alone_can_be_asked_for() {
    let api = FakeApi::new();
    api.insert(&pod("a"));
    let pods: Api<PartialObjectMeta<Pod>> = Api::all(api.client());
    let listed = pods.list(&ListParams::default()).await.unwrap();
    assert_eq!(listed.items[0].name_any(), "a");
    assert_eq!(pods.list(&ListParams::default().labels("weir.dev/run!=r")).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_running_pod_is_deleted_in_two_steps_and_others_in_one() {
    let api = FakeApi::new();
    let pods: Api<Pod> = Api::namespaced(api.client(), "ns");
    for name in ["waiting", "running", "over"] {
        api.insert(&pod(name));
    }
    api.kubelet().start("ns", "running");
    api.kubelet().start("ns", "over");
    api.kubelet().exit("ns", "over", "tool", 0);
    api.kubelet().exit("ns", "over", "agent", 0);
    let foreign = DeleteParams::default()
        .preconditions(kube::api::Preconditions { uid: Some("x".to_owned()), ..Default::default() });
    assert_eq!(code(pods.delete("running", &foreign).await).0, 409);
    for name in ["waiting", "running", "over"] {
        pods.delete(name, &DeleteParams::default()).await.unwrap();
    }
    let left = pods.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(left.len(), 1);
    assert!(left[0].name_any() == "running" && left[0].metadata.deletion_timestamp.is_some());
    pods.delete("running", &DeleteParams::default().grace_period(0)).await.unwrap();
    assert!(api.list::<Pod>("").is_empty());
}

#[tokio::test]
async fn what_an_object_owns_goes_with_it() {
    let api = FakeApi::new();
    let mut job = ProcessJob::new("j", ProcessJobSpec::default());
    job.metadata.namespace = Some("ns".to_owned());
    let job = api.insert(&job);
    let mut owned = pod("a");
    owned.metadata.owner_references = Some(vec![kube::Resource::controller_owner_ref(&job, &()).unwrap()]);
    api.insert(&owned);
    api.insert(&pod("b"));
    let jobs: Api<ProcessJob> = Api::namespaced(api.client(), "ns");
    jobs.delete("j", &DeleteParams::background()).await.unwrap();
    let left: Vec<String> = api.list::<Pod>("").iter().map(ResourceExt::name_any).collect();
    assert_eq!(left, ["b"]);
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "ns"}})).unwrap();
    api.insert(&namespace);
    api.remove::<Namespace>("", "ns");
    assert!(api.list::<Pod>("").is_empty());
}

#[tokio::test]
async fn requests_fail_when_the_test_says_so() {
    let api = FakeApi::new();
    let pods: Api<Pod> = Api::namespaced(api.client(), "ns");
    api.fail(Fault::on("create", "pods").with(403, "Forbidden", "exceeded quota").times(2));
    api.fail(Fault::on("create", "pods").losing_the_answer());
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(code(pods.create(&PostParams::default(), &pod("a")).await).0);
    }
    assert_eq!(codes, [403, 403, 504, 409], "the third one was done");
}

#[tokio::test]
async fn a_cut_network_is_noticed_or_not() {
    let api = FakeApi::new();
    let link = api.link();
    let pods: Api<Pod> = Api::namespaced(link.client(), "ns");
    link.cut(Network::Refused);
    assert!(matches!(pods.get_opt("a").await, Err(Error::Service(_))));
    link.cut(Network::Silent);
    let asked = tokio::spawn(async move { pods.get_opt("a").await });
    Api::<Pod>::namespaced(api.client(), "ns").create(&PostParams::default(), &pod("a")).await.unwrap();
    assert_eq!(api.count("get", "pods"), 0);
    link.mend();
    assert!(asked.await.unwrap().unwrap().is_some());
}

#[tokio::test]
async fn tokens_are_reviewed_for_their_audience() {
    let api = FakeApi::new();
    api.add_token(Token::of_pod("secret", "ns", "a", "uid-1"));
    let reviews: Api<TokenReview> = Api::all(api.client());
    let ask = async |token: &str, audience: &str| {
        let review = json!({"metadata": {}, "spec": {"token": token, "audiences": [audience]}});
        let review: TokenReview = serde_json::from_value(review).unwrap();
        reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap()
    };
    let known = ask("secret", "weir-agent").await;
    assert_eq!(known.authenticated, Some(true));
    assert_eq!(known.user.unwrap().extra.unwrap()["authentication.kubernetes.io/pod-uid"], ["uid-1"]);
    assert_eq!(ask("secret", "other").await.authenticated, Some(false));
    assert_eq!(ask("guess", "weir-agent").await.authenticated, Some(false));
}

#[tokio::test]
async fn kubelets_run_everything_when_told_to() {
    let api = FakeApi::new();
    let running = api.kubelet().run_everything();
    let pods: Api<Pod> = Api::namespaced(api.client(), "ns");
    pods.create(&PostParams::default(), &pod("a")).await.unwrap();
    let phase = |api: &FakeApi| api.get::<Pod>("ns", "a")?.status?.phase;
    api.until(|api| phase(api).filter(|phase| phase == "Running")).await;
    pods.delete("a", &DeleteParams::default()).await.unwrap();
    api.until(|api| api.list::<Pod>("").is_empty().then_some(())).await;
    running.abort();
}
