//! Jobs: created once, found, listed, waited for, dismissed, told of.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use serde_json::{Value as Json, json};
use tokio::time::timeout;
use weir_api::Phase;
use weir_api::kubernetes::ProcessJob;
use weir_http::backend::{Backend, BackendError, JobId, Subscriber, Tenant};

use super::world::{World, acme, listed, new_job, other, seen};
use crate::facade::Cluster;
use crate::facade::index::Index;
use crate::facade::record::Job;
use crate::limits::{FACADE_LOOKUP_WAIT, FACADE_LOOKUPS_A_TENANT};
use crate::testing::{FakeApi, Fault, Network};

#[tokio::test]
async fn a_job_is_found_by_every_replica_right_after_its_creation_i4() {
    let world = World::new();
    let (one, two) = (world.replica().await, world.replica().await);
    world.api.hold_watches("processjobs");
    let job = one.create(&acme(), new_job()).await.unwrap();
    assert_eq!((job.phase, job.process.as_str()), (Phase::Accepted, "echo"));
    for replica in [&one, &two] {
        assert_eq!(replica.job(&acme(), &job.id).await.unwrap().as_deref(), Some(&*job));
        assert_eq!(replica.job(&other(), &job.id).await.unwrap(), None, "it is another tenant's (I9)");
    }
    world.api.release_watches("processjobs");
    seen(&two, 1).await;
    let asked = world.api.count("get", "processjobs");
    assert!(two.job(&acme(), &job.id).await.unwrap().is_some());
    assert_eq!(world.api.count("get", "processjobs"), asked, "answered from the index");
    assert_eq!(listed(&two, &other()).await, []);
}

#[tokio::test]
async fn what_one_replica_said_is_over_has_results_and_is_removed_by_every_other_one_i4() {
    let world = World::new();
    let (ahead, behind) = (world.replica().await, world.replica().await);
    let job = ahead.create(&acme(), new_job()).await.unwrap();
    for replica in [&ahead, &behind] {
        seen(replica, 1).await;
    }
    world.api.hold_watches("processjobs");
    assert_eq!(behind.job_now(&acme(), &job.id).await.unwrap().unwrap().phase, Phase::Accepted);
    world.status(&job.id, json!({"phase": "Successful", "results": {"o": 1}}));
    assert_eq!(behind.job(&acme(), &job.id).await.unwrap().unwrap().phase, Phase::Accepted, "it has not seen that");
    assert_eq!(behind.job_now(&acme(), &job.id).await.unwrap().unwrap().phase, Phase::Successful);
    assert_eq!(Json::Object(behind.results(&acme(), &job.id).await.unwrap()), json!({"o": 1}));
    // Until the replica sees that, or long enough.
    behind.remove(&acme(), &job.id).await.unwrap();
    assert!(world.api.list::<ProcessJob>("eo").is_empty());
    assert_eq!(behind.job_now(&acme(), &job.id).await.unwrap(), None);
    assert_eq!(behind.job_now(&other(), &job.id).await.unwrap(), None);
}

#[tokio::test]
async fn jobs_are_shown_newest_first_and_a_list_tells_what_was_missed() {
    let world = World::new();
    let cluster = world.replica().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(cluster.create(&acme(), new_job()).await.unwrap().id.clone());
    }
    made.reverse();
    seen(&cluster, 3).await;
    assert_eq!(listed(&cluster, &acme()).await, made);
    world.api.hold_watches("processjobs");
    world.api.remove::<ProcessJob>("eo", made[1].as_str());
    world.api.compact();
    world.api.release_watches("processjobs");
    seen(&cluster, 2).await;
    assert_eq!(listed(&cluster, &acme()).await, [made[0].clone(), made[2].clone()]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_no_second_job() {
    let world = World::new();
    let cluster = world.replica().await;
    world.api.fail(Fault::on("create", "processjobs").losing_the_answer());
    let job = cluster.create(&acme(), new_job()).await.unwrap();
    assert_eq!(world.api.list::<ProcessJob>("eo").len(), 1);
    assert_eq!(world.api.list::<ProcessJob>("eo")[0].metadata.name.as_deref(), Some(job.id.as_str()));
}

#[tokio::test(start_paused = true)]
async fn what_the_cluster_refuses_takes_no_place() {
    let world = World::new();
    let cluster = world.replica().await;
    let quota = "processjobs.weir.dev \"a\" is forbidden: exceeded quota: weir, used: 5, limited: 5";
    world.api.fail(Fault::on("create", "processjobs").with(403, "Forbidden", quota).times(5));
    for _ in 0..5 {
        let refusal = cluster.create(&acme(), new_job()).await.unwrap_err();
        assert!(matches!(&refusal, BackendError::Refused(text) if text.contains("limited: 5")), "{refusal:?}");
    }
    world.api.fail(Fault::on("create", "processjobs").with(503, "ServiceUnavailable", "etcd is away").times(9));
    assert!(matches!(cluster.create(&acme(), new_job()).await, Err(BackendError::Unavailable(_))));
    world.api.heal();
    cluster.create(&acme(), new_job()).await.unwrap();
}

#[tokio::test]
async fn a_tenant_has_so_many_unfinished_jobs_at_most_i9() {
    let world = World::new();
    let cluster = world.replica().await;
    // Not even those count for nothing that the watch has not shown yet.
    world.api.hold_watches("processjobs");
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(cluster.create(&acme(), new_job()).await.unwrap().id.clone());
    }
    let refusal = cluster.create(&acme(), new_job()).await.unwrap_err();
    insta::assert_snapshot!(refusal, @"the tenant has 3 jobs that are not over, of 3 that it may have: wait for one to end, or dismiss one");
    assert!(matches!(refusal, BackendError::TooMany { retry_after: 10, .. }));
    cluster.create(&other(), new_job()).await.unwrap();
    world.api.release_watches("processjobs");
    world.status(&made[0], json!({"phase": "Failed"}));
    let over = timeout(Duration::from_secs(20), cluster.finished(&acme(), &made[0])).await.unwrap();
    assert_eq!(over.unwrap().unwrap().phase, Phase::Failed);
    cluster.create(&acme(), new_job()).await.unwrap();
}

#[tokio::test]
async fn large_inputs_wait_in_the_store() {
    let world = World::new();
    let cluster = world.replica().await;
    let mut new = new_job();
    new.inputs.insert("text".to_owned(), "w".repeat(100_000).into());
    let job = cluster.create(&acme(), new.clone()).await.unwrap();
    let object: ProcessJob = world.api.get("eo", job.id.as_str()).unwrap();
    let key = object.spec.inputs_ref.unwrap();
    assert_eq!((object.spec.inputs, key.as_str()), (None, format!("inputs/http/{}.json", job.id).as_str()));
    let stored = world.services.store.get(&Path::from(format!("acme/{key}"))).await.unwrap().bytes().await.unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&stored).unwrap(), Json::Object(new.inputs.clone()));
    new.inputs.insert("text".to_owned(), "w".repeat(20 << 20).into());
    assert!(matches!(cluster.create(&acme(), new).await, Err(BackendError::TooLarge(_))));
}

#[tokio::test(start_paused = true)]
async fn inputs_of_a_job_that_may_have_been_created_stay() {
    let world = World::new();
    let cluster = world.replica().await;
    let mut new = new_job();
    new.inputs.insert("text".to_owned(), "w".repeat(100_000).into());
    let stored = async || -> Vec<Path> {
        world.services.store.list(None).map_ok(|found| found.location).try_collect().await.unwrap()
    };
    let away = |times| Fault::on("create", "processjobs").with(504, "Timeout", "etcd is slow").times(times);
    let quota = || Fault::on("create", "processjobs").with(403, "Forbidden", "exceeded quota: weir");
    let unread = || Fault::on("get", "processjobs").with(503, "ServiceUnavailable", "etcd is away");

    world.api.fail(quota());
    assert!(matches!(cluster.create(&acme(), new.clone()).await, Err(BackendError::Refused(_))));
    assert_eq!(stored().await, [], "a certain refusal");

    world.api.fail(Fault::on("create", "processjobs").losing_the_answer());
    world.api.fail(away(2));
    world.api.fail(unread());
    assert!(matches!(cluster.create(&acme(), new.clone()).await, Err(BackendError::Unavailable(_))));
    let job = world.api.list::<ProcessJob>("eo").pop().unwrap();
    assert_eq!(stored().await, [Path::from(format!("acme/{}", job.spec.inputs_ref.unwrap()))]);

    // The quota is used up by the job itself.
    world.api.fail(Fault::on("create", "processjobs").losing_the_answer());
    world.api.fail(quota());
    cluster.create(&acme(), new).await.unwrap();
    assert_eq!((world.api.list::<ProcessJob>("eo").len(), stored().await.len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_what_is_not_there_asks_the_api_server_in_turn_i9() {
    let world = World::new();
    let link = world.api.link();
    let cluster = Cluster { client: link.client(), ..world.replica().await };
    link.cut(Network::Silent);
    let ask = |tenant: Tenant, number: usize| {
        let (cluster, id) = (cluster.clone(), format!("none-{number}").parse().unwrap());
        async move { cluster.job(&tenant, &id).await }
    };
    let asked: Vec<_> = (0..=FACADE_LOOKUPS_A_TENANT).map(|number| tokio::spawn(ask(acme(), number))).collect();
    tokio::time::sleep(FACADE_LOOKUP_WAIT + Duration::from_secs(1)).await;
    let others = tokio::spawn(ask(other(), 0));
    link.mend();
    assert_eq!(others.await.unwrap().unwrap(), None, "another tenant has its own turns");
    let mut refused = 0;
    for answer in asked {
        match answer.await.unwrap() {
            Ok(found) => assert_eq!(found, None),
            Err(error) => {
                insta::assert_snapshot!(error, @"the tenant asks for 8 things at the same time that this replica has not seen, or not seen over: ask more slowly");
                assert!(matches!(error, BackendError::Unavailable(_)));
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 1);
    assert_eq!(world.api.count("get", "processjobs"), FACADE_LOOKUPS_A_TENANT + 1);
}

#[tokio::test]
async fn who_waits_for_a_job_is_woken_by_its_end_or_its_disappearance() {
    let world = World::new();
    let cluster = world.replica().await;
    let [one, two] = [
        cluster.create(&acme(), new_job()).await.unwrap().id.clone(),
        cluster.create(&acme(), new_job()).await.unwrap().id.clone(),
    ];
    let wait = |id: &JobId| {
        let (cluster, id) = (cluster.clone(), id.clone());
        tokio::spawn(async move { cluster.finished(&acme(), &id).await.unwrap() })
    };
    let (ends, vanishes) = (wait(&one), wait(&two));
    seen(&cluster, 2).await;
    world.status(&one, json!({"phase": "Running", "progress": 50}));
    world.status(&one, json!({"phase": "Successful", "progress": 100}));
    world.api.remove::<ProcessJob>("eo", two.as_str());
    let ended = timeout(Duration::from_secs(20), ends).await.unwrap().unwrap().unwrap();
    assert_eq!((ended.phase, ended.progress), (Phase::Successful, 100));
    assert_eq!(timeout(Duration::from_secs(20), vanishes).await.unwrap().unwrap(), None);
    assert!(cluster.index.is_unwaited(), "nobody waits any more");
}

#[tokio::test]
async fn a_dismissed_job_stays_and_one_that_is_over_is_removed() {
    let world = World::new();
    let cluster = world.replica().await;
    let id = cluster.create(&acme(), new_job()).await.unwrap().id.clone();
    let refusal = cluster.remove(&acme(), &id).await.unwrap_err();
    assert!(matches!(refusal, BackendError::Refused(_)), "{refusal:?}");
    let leader = async {
        world.api.until(|api| api.get::<ProcessJob>("eo", id.as_str()).filter(|job| job.spec.dismiss)).await;
        world.status(&id, json!({"phase": "Dismissed", "message": "dismissed"}));
    };
    let tenant = acme();
    let (dismissed, ()) = tokio::join!(cluster.dismiss(&tenant, &id), leader);
    assert_eq!(dismissed.unwrap().phase, Phase::Dismissed);
    assert!(matches!(cluster.dismiss(&other(), &id).await, Err(BackendError::NotFound(_))), "not theirs (I9)");
    assert_eq!(cluster.dismiss(&acme(), &id).await.unwrap().phase, Phase::Dismissed, "again changes nothing");
    assert!(matches!(cluster.remove(&other(), &id).await, Err(BackendError::NotFound(_))), "not theirs (I9)");
    cluster.remove(&acme(), &id).await.unwrap();
    assert_eq!(cluster.job(&acme(), &id).await.unwrap(), None);
    assert_eq!(listed(&cluster, &acme()).await, []);
}

#[tokio::test]
async fn a_subscriber_is_told_of_each_change_once_by_the_leader_alone() {
    let world = World::new();
    let cluster = world.replica().await;
    let mut new = new_job();
    new.subscriber = Some(Subscriber {
        success_uri: Some("https://example.org/done".to_owned()),
        in_progress_uri: Some("https://example.org/runs".to_owned()),
        ..Subscriber::default()
    });
    let id = cluster.create(&acme(), new).await.unwrap().id.clone();
    world.status(&id, json!({"phase": "Running"}));
    seen(&cluster, 1).await;
    assert!(timeout(Duration::from_millis(50), cluster.next_notice()).await.is_err(), "it does not lead");
    world.leads.send_replace(true);
    let running = cluster.next_notice().await.unwrap();
    assert_eq!((running.job.phase, &running.tenant), (Phase::Running, &acme()));
    assert!(timeout(Duration::from_millis(50), cluster.next_notice()).await.is_err(), "somebody is at it");
    cluster.noticed(&running).await;
    let told = |word: &'static str| {
        let id = id.clone();
        move |api: &FakeApi| {
            let job: ProcessJob = api.get("eo", id.as_str())?;
            (job.metadata.annotations?.get("weir.dev/told")? == word).then_some(())
        }
    };
    world.api.until(told("Running")).await;
    world.status(&id, json!({"phase": "Successful"}));
    assert_eq!(cluster.next_notice().await.unwrap().job.phase, Phase::Successful);
    // The leader dies before it has noted that; the next one tells again, and nothing of what was noted.
    let next = world.replica().await;
    let notice = next.next_notice().await.unwrap();
    assert_eq!(notice.job.phase, Phase::Successful);
    next.noticed(&notice).await;
    world.api.until(told("Successful")).await;
    let third = world.replica().await;
    assert!(timeout(Duration::from_millis(50), third.next_notice()).await.is_err());
    world.stop.send_replace(true);
    assert!(third.next_notice().await.is_none());
}

#[tokio::test]
async fn a_malformed_object_harms_only_itself_i11() {
    let world = World::new();
    let cluster = world.replica().await;
    let resource = kube::core::ApiResource::erase::<ProcessJob>(&());
    let api: kube::Api<kube::core::DynamicObject> = kube::Api::namespaced_with(world.api.client(), "eo", &resource);
    let bad = serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob", "metadata": {"name": "bad", "namespace": "eo"},
        "spec": {"parallelism": "many"}
    }));
    api.create(&kube::api::PostParams::default(), &bad.unwrap()).await.unwrap();
    assert_eq!(cluster.job(&acme(), &"bad".parse().unwrap()).await.unwrap(), None);
    let good = cluster.create(&acme(), new_job()).await.unwrap().id.clone();
    seen(&cluster, 1).await;
    assert_eq!(listed(&cluster, &acme()).await, [good]);
}

#[tokio::test]
async fn a_tenant_that_is_none_is_told_so_and_one_that_comes_is_served() {
    let world = World::new();
    let cluster = world.replica().await;
    let new: Tenant = "new".parse().unwrap();
    assert!(!cluster.has_tenant(&new).await.unwrap());
    assert!(matches!(cluster.create(&new, new_job()).await, Err(BackendError::NotFound(_))));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}});
    world.api.insert(&serde_json::from_value::<Namespace>(namespace).unwrap());
    while !cluster.has_tenant(&new).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.create(&new, new_job()).await.unwrap();
}

#[test]
fn ten_thousand_finished_jobs_take_150_mib_at_most_i7() {
    let resident = || -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let index = Index::new("weir");
    let before = resident();
    for number in 0..10_000 {
        let step = |name: usize| {
            json!({"name": format!("node_water_bodies/node_{name}"), "total": 2, "running": 0, "succeeded": 2, "failed": 0,
                   "started": "2026-01-01T00:00:00Z"})
        };
        let object = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob",
            "metadata": {"name": format!("0190b6b2-0000-7000-8000-{number:012}"), "namespace": "eo", "uid": format!("0190b6b2-0000-7000-9000-{number:012}"),
                         "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"weir.dev/process-id": "water-bodies"}},
            "spec": {"processRef": "water-bodies", "inputs": {"a": "w".repeat(10_000)}},
            "status": {"phase": "Failed", "message": "m".repeat(500), "steps": (0..6).map(step).collect::<Vec<_>>(),
                       "failure": {"class": "ToolFailed", "message": "m".repeat(500), "stderr": "e".repeat(4096)}}
        });
        let job: ProcessJob = serde_json::from_value(object).unwrap();
        index.job_is("eo", Job::of(&job, |_| None).unwrap());
    }
    let taken = resident().saturating_sub(before);
    assert!(taken < 150 << 20, "{} MiB", taken >> 20);
}
