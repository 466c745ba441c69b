//! A job from its submission to its end, while leaders and pods come and go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use object_store::ObjectStoreExt as _;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use serde_json::json;
use weir_api::kubernetes::ProcessJob;
use weir_api::{FailureClass, Phase};
use weir_plan::{Event, Recorded};
use weir_store::Journal;

use super::moment::BeforeJournal;
use super::world::{NAME, NAMESPACE, PACKAGE, Script, World};
use crate::controller::ControllerError;

#[tokio::test]
async fn a_job_of_two_steps_runs_to_its_end() {
    let world = World::new();
    world.submit(&json!({}));
    let leader = world.lead();
    let status = world.over().await;
    assert_eq!(status.phase, Some(Phase::Successful), "{status:?}");
    assert_eq!((status.progress, status.step_count.as_deref()), (100, Some("2/2")));
    assert_eq!(World::condition(&status, "Complete"), Some(("True".into(), "Successful".into())));
    assert_eq!(status.results, Some(json!({"o": "water"})));
    world.check_claims().await;
    world.api.until(|api| api.list::<Pod>("").is_empty().then_some(())).await;
    while world.registry.is_expected(NAMESPACE, world.keys().run().as_str()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!leader.is_finished());
}

/// Whoever sees the end by the API reads the outputs at once: in the status there is no null.
#[tokio::test]
async fn an_end_is_shown_when_its_reports_are_written() {
    let world = World::new();
    world.submit(&json!({}));
    let slow = ThrottleConfig { wait_put_per_call: Duration::from_millis(20), ..ThrottleConfig::default() };
    let leader = world.lead_over(Arc::new(ThrottledStore::new(Arc::clone(&world.store), slow)));
    world.over().await;
    for key in [world.keys().results(), world.keys().usage()] {
        world.store.head(&key).await.unwrap();
    }
    leader.abort();
}

#[tokio::test]
async fn with_lookahead_the_second_pod_waits_for_its_step() {
    let world = World::with_lookahead(true);
    world.script.send_replace(Script::Runs);
    world.submit(&json!({}));
    let leader = world.lead();
    let given = || world.orders.lock().unwrap().len();
    world.api.until(|api| (api.list::<Pod>("").len() == 2 && given() > 0).then_some(())).await;
    assert_eq!(given(), 1, "a spare gets no order");
    leader.abort();
    let _ = leader.await;
    world.script.send_replace(Script::Ends(0));
    let _leader = world.lead();
    let status = world.over().await;
    assert_eq!(status.phase, Some(Phase::Successful));
    assert_eq!(world.api.count("create", "pods"), 2, "the spare is taken over and used");
    world.check_claims().await;
}

/// A spare beside a step that waits for its node could take the room that it waits for.
#[tokio::test]
async fn nothing_is_created_ahead_of_a_step_that_has_no_node_yet() {
    let world = World::with_lookahead(true);
    world.kubelets.abort();
    world.script.send_replace(Script::Runs);
    world.submit(&json!({}));
    let _leader = world.lead();
    let first = world.api.until(|api| api.list::<Pod>("").pop()).await;
    // What was decided together with it is in the journal already.
    let is_ahead = |recorded: &Recorded| matches!(recorded.event, Event::Prepared { .. });
    assert!(!world.journal().await.iter().any(is_ahead));
    world.api.kubelet().schedule(NAMESPACE, &first.name_any());
    world.api.until(|api| (api.list::<Pod>("").len() == 2).then_some(())).await;
    assert!(world.journal().await.iter().any(is_ahead));
}

#[tokio::test]
async fn killed_after_any_append_the_next_leader_ends_the_job_with_the_same_outputs_i1_i2() {
    let mut most = 0;
    for kill_at in 1.. {
        let world = World::with_lookahead(kill_at % 2 == 0);
        world.submit(&json!({}));
        let leader = world.lead();
        let mut was_over = false;
        while world.segments().await < kill_at {
            let status = world.api.get::<ProcessJob>(NAMESPACE, NAME).unwrap().status.unwrap_or_default();
            if status.phase.is_some_and(Phase::is_final) {
                was_over = true;
                break;
            }
            tokio::task::yield_now().await;
        }
        leader.abort();
        let _ = leader.await;
        let leader = world.lead();
        let status = world.over().await;
        assert_eq!(status.phase, Some(Phase::Successful), "killed at {kill_at}: {status:?}");
        assert_eq!(status.results, Some(json!({"o": "water"})));
        world.check_claims().await;
        let ends = world.journal().await.into_iter().filter(|one| matches!(one.event, Event::Ended { .. })).count();
        assert_eq!(ends, 2, "no finished step runs again");
        leader.abort();
        if was_over {
            break;
        }
        most = kill_at;
    }
    assert!(most >= 6, "only {most} points");
}

#[tokio::test]
async fn a_stale_leader_learns_that_it_is_one() {
    let (world, first) = World::with_a_tool_that_runs().await;
    let second = world.lead();
    while !world.journal().await.iter().any(|one| matches!(one.event, Event::Epoch { epoch: 2 })) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| job.spec.suspend = true);
    let error = tokio::time::timeout(Duration::from_secs(30), first).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, ControllerError::Superseded(_)), "{error}");
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| job.spec.suspend = false);
    world.script.send_replace(Script::Ends(0));
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    world.check_claims().await;
    assert!(!second.is_finished());
}

#[tokio::test]
async fn what_an_earlier_leader_writes_while_another_takes_over_counts_and_ends_neither_the_newer_one_nor_the_job_i2() {
    let (world, first) = World::with_a_tool_that_runs().await;
    // It goes on as one whose lease has run out and who does not know yet: only its journal is written to.
    first.abort();
    let _ = first.await;
    let (earlier, _) = Journal::open(world.store.clone(), world.keys()).await.unwrap();
    let second = world.lead_over(Arc::new(BeforeJournal::overlap(world.store.clone(), earlier)));
    world.script.send_replace(Script::Ends(0));
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    let events = world.journal().await;
    let at = |is_it: fn(&Event) -> bool| events.iter().position(|one| is_it(&one.event)).unwrap();
    let written = at(|event| matches!(event, Event::Resumed));
    assert!(written < at(|event| matches!(event, Event::Epoch { epoch: 2 })), "{events:?}");
    world.check_claims().await;
    assert!(!second.is_finished());
}

#[tokio::test]
async fn a_pod_that_somebody_deletes_is_replaced() {
    let (world, _leader) = World::with_a_tool_that_runs().await;
    let pod = world.api.list::<Pod>("").pop().unwrap();
    world.api.kubelet().remove(NAMESPACE, &pod.name_any());
    world.api.until(|_| (world.orders.lock().unwrap().len() == 2).then_some(())).await;
    world.script.send_replace(Script::Ends(0));
    let status = world.over().await;
    assert_eq!(status.phase, Some(Phase::Successful));
    assert_eq!(status.steps[0].retries, 1);
    world.check_claims().await;
}

#[tokio::test]
async fn what_a_watch_missed_until_it_expired_is_found_by_a_list() {
    let (world, _leader) = World::with_a_tool_that_runs().await;
    let pod = world.api.list::<Pod>("").pop().unwrap();
    for resource in ["pods", "processjobs"] {
        world.api.hold_watches(resource);
    }
    world.api.kubelet().remove(NAMESPACE, &pod.name_any());
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| job.spec.suspend = true);
    world.api.compact();
    for resource in ["pods", "processjobs"] {
        world.api.release_watches(resource);
    }
    // Both are seen: the pod is gone, and no other one starts.
    world.status(|status| status.message.as_deref() == Some("suspended")).await;
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| job.spec.suspend = false);
    world.api.until(|_| (world.orders.lock().unwrap().len() == 2).then_some(())).await;
    world.script.send_replace(Script::Ends(0));
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    world.check_claims().await;
}

#[tokio::test]
async fn the_status_of_a_job_with_many_steps_is_written_once_a_second_and_at_its_end() {
    let world = World::new();
    let package = PACKAGE.replace(
        "one: {run: '#tool', in: {a: a}, out: [out]}",
        "one: {run: '#tool', scatter: a, in: {a: many}, out: [out]}",
    );
    let package = package.replacen("{a: string}", "{a: string, many: 'string[]'}", 1);
    let package = package
        .replace("in: {a: one/out}", "in: {a: a}")
        .replace("class: Workflow", "class: Workflow\n  requirements: {ScatterFeatureRequirement: {}}");
    let many: Vec<_> = (0..60).map(|number| number.to_string()).collect();
    let began = Instant::now();
    world.submit(&json!({"process": {"inline": package}, "inputs": {"a": "a", "many": many}}));
    let _leader = world.lead();
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    let written = world.api.count("patch", "processjobs/status") as u64;
    assert!(written <= began.elapsed().as_secs() + 3, "{written} in {:?}", began.elapsed());
    let changes = world.journal().await.len() as u64;
    // On a machine that takes longer there are more seconds to write in.
    assert!(changes > 10 * written || began.elapsed() > Duration::from_secs(8), "{changes} changes, {written} writes");
}

#[tokio::test]
async fn a_tool_whose_container_was_killed_for_memory_gets_more_i3() {
    let world = World::new();
    world.script.send_replace(Script::IsKilledForMemory);
    world.submit(&json!({}));
    let _leader = world.lead();
    // The event of the first end is told once it is durable; the next incarnation ends well.
    while !world.journal_has_an_end().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.script.send_replace(Script::Ends(0));
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    let (mut ends, mut asked) = (Vec::new(), Vec::new());
    for recorded in world.journal().await {
        match recorded.event {
            Event::Ended { outcome, .. } => ends.extend(outcome.failure.map(|failure| failure.class)),
            Event::StartAttempt { resources, .. } => asked.push(resources.ram_mib),
            _ => {}
        }
    }
    assert!(!ends.is_empty() && ends.iter().all(|class| *class == FailureClass::OutOfMemory), "{ends:?}");
    assert_eq!(asked[1], 2 * asked[0]);
}

#[tokio::test]
async fn a_job_that_waits_is_expected_so_that_nobody_sends_its_agents_away_i1() {
    let world = World::new();
    world.submit(&json!({"process": null, "processRef": "later"}));
    let _leader = world.lead();
    world.status(|status| World::condition(status, "Waiting").is_some()).await;
    let run = world.keys().run().to_string();
    assert!(world.registry.is_expected(NAMESPACE, &run) && world.registry.find(NAMESPACE, &run).is_none());
    world.api.remove::<ProcessJob>(NAMESPACE, NAME);
    while world.registry.is_expected(NAMESPACE, &run) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
