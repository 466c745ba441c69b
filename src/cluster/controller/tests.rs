//! Jobs over an API server and a store in memory, with agents that play their part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;
use weir_api::agent::{Claim, ClaimAnswer, Claimant, Ending, Exited, ExitedAnswer, Hints, Listing, Usage};
use weir_api::kubernetes::names::{INCARNATION, RUN, RUN_ID};
use weir_api::kubernetes::{ProcessJob, ProcessJobStatus};
use weir_api::{FailureClass, Phase};
use weir_plan::{Event, Recorded};
use weir_store::{JobKeys, journal};

use super::{ControllerError, run};
use crate::context::Services;
use crate::data::Results;
use crate::intake::fixture;
use crate::metrics::Metrics;
use crate::registry::{AgentCall, Message, Registry};
use crate::settings::Settings;
use crate::testing::{FakeApi, Fault};
use weir_fetch::Guarded;

const NAMESPACE: &str = "eo";
const NAME: &str = "job";

/// Two tools, the second after the first; no files, so that no store has to be served.
const PACKAGE: &str = "cwlVersion: v1.2
$graph:
- class: Workflow
  id: main
  inputs: {a: string}
  outputs: {o: {type: string, outputSource: two/out}}
  steps:
    one: {run: '#tool', in: {a: a}, out: [out]}
    two: {run: '#tool', in: {a: one/out}, out: [out]}
- class: CommandLineTool
  id: tool
  baseCommand: t
  inputs: {a: string}
  outputs: {out: {type: string, outputBinding: {outputEval: $(inputs.a)}}}
";

/// What agents do with the order that they got.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Script {
    /// The tool ends at once with this code.
    Ends(i32),
    /// It runs for ever.
    Runs,
    /// The kernel kills everything in its container, the shim too; the kubelet says so a moment after the agent.
    IsKilledForMemory,
}

struct World {
    api: FakeApi,
    store: Arc<InMemory>,
    registry: Registry,
    settings: Settings,
    /// Orders given, by pod uid and incarnation.
    orders: Arc<Mutex<BTreeMap<(u64, String), u32>>>,
    script: watch::Sender<Script>,
    tasks: Vec<JoinHandle<()>>,
}

type Leader = JoinHandle<Result<(), ControllerError>>;

impl World {
    fn new() -> Self {
        Self::with_lookahead(false)
    }

    fn with_lookahead(lookahead: bool) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let api = FakeApi::new();
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": NAMESPACE, "labels": {"weir.dev/tenant": "acme"}}}))
                .unwrap();
        api.insert(&namespace);
        let mut world = Self {
            api,
            store: Arc::new(InMemory::new()),
            registry: Registry::default(),
            settings: Settings { lookahead, ..fixture::settings() },
            orders: Arc::default(),
            script: watch::channel(Script::Ends(0)).0,
            tasks: Vec::new(),
        };
        world.tasks.push(world.api.kubelet().run_everything());
        world.tasks.push(world.agents());
        world
    }

    fn submit(&self, spec: &Value) {
        let mut job = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "generation": 1},
            "spec": {"process": {"inline": PACKAGE}, "inputs": {"a": "water"}}
        });
        for (name, value) in spec.as_object().into_iter().flatten() {
            job["spec"][name] = value.clone();
        }
        self.api.insert(&serde_json::from_value::<ProcessJob>(job).unwrap());
    }

    fn lead(&self) -> Leader {
        self.lead_with(self.api.client())
    }

    fn lead_with(&self, client: kube::Client) -> Leader {
        let (synced, _) = watch::channel(false);
        tokio::spawn(run(self.services(), client, self.registry.clone(), "PEM".to_owned(), synced))
    }

    fn services(&self) -> Arc<Services> {
        let command = weir_script::WorkerCommand::this_program().unwrap();
        let services = Services {
            store: Arc::clone(&self.store) as Arc<dyn ObjectStore>,
            signer: self.settings.store.signer().unwrap(),
            results: Results::new(&self.settings.store).unwrap(),
            remote: Arc::new(Guarded::new(&self.settings.fetch).unwrap()),
            scripts: weir_script::Pool::new(&command),
            metrics: Metrics::new(),
            settings: Arc::new(self.settings.clone()),
        };
        Arc::new(services)
    }

    /// One agent for each pod, as the agents' server passes their words on.
    fn agents(&self) -> JoinHandle<()> {
        let (api, registry) = (self.api.clone(), self.registry.clone());
        let (orders, script) = (Arc::clone(&self.orders), self.script.subscribe());
        tokio::spawn(async move {
            let mut known = std::collections::BTreeSet::new();
            loop {
                let new = api
                    .until(|api| api.list::<Pod>("").into_iter().find(|pod| !known.contains(&pod.uid().unwrap())))
                    .await;
                known.insert(new.uid().unwrap());
                let agent = Agent {
                    claimant: Claimant {
                        run_id: new.labels()[RUN].clone(),
                        incarnation: new.labels()[INCARNATION].parse().unwrap(),
                        pod_uid: new.uid().unwrap(),
                    },
                    pod: new.name_any(),
                    api: api.clone(),
                    registry: registry.clone(),
                    orders: Arc::clone(&orders),
                    script: script.clone(),
                };
                tokio::spawn(agent.run());
            }
        })
    }

    async fn status(&self, is_it: impl Fn(&ProcessJobStatus) -> bool) -> ProcessJobStatus {
        self.api.until(|api| api.get::<ProcessJob>(NAMESPACE, NAME)?.status.filter(|status| is_it(status))).await
    }

    async fn over(&self) -> ProcessJobStatus {
        self.status(|status| status.phase.is_some_and(Phase::is_final)).await
    }

    fn keys(&self) -> JobKeys {
        let job: ProcessJob = self.api.get(NAMESPACE, NAME).unwrap();
        let run = job.annotations().get(RUN_ID).cloned().unwrap_or_else(|| job.uid().unwrap());
        JobKeys::new("acme".parse().unwrap(), run.parse().unwrap())
    }

    async fn journal(&self) -> Vec<Recorded> {
        journal::read(self.store.as_ref(), &self.keys()).await.unwrap()
    }

    async fn journal_has_an_end(&self) -> bool {
        let known =
            self.api.get::<ProcessJob>(NAMESPACE, NAME).is_some_and(|job| job.annotations().contains_key(RUN_ID));
        known && self.journal().await.iter().any(|one| matches!(one.event, Event::Ended { .. }))
    }

    async fn segments(&self) -> usize {
        let listed: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        listed.iter().filter(|object| object.location.as_ref().contains("/journal/")).count()
    }

    fn condition(status: &ProcessJobStatus, type_: &str) -> Option<(String, String)> {
        let found = status.conditions.iter().find(|condition| condition.type_ == type_)?;
        Some((found.status.clone(), found.reason.clone()))
    }

    /// I2: no incarnation gave its order to two pods, and no claim was made twice.
    async fn check_claims(&self) {
        let mut given: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (incarnation, uid) in self.orders.lock().unwrap().keys() {
            given.entry(*incarnation).or_default().push(uid.clone());
        }
        let mut claims = BTreeMap::new();
        for recorded in self.journal().await {
            if let Event::Claimed { incarnation, uid } = recorded.event {
                assert!(claims.insert(incarnation.0, uid).is_none(), "claimed twice: {incarnation:?}");
            }
        }
        for (incarnation, uids) in given {
            assert_eq!(uids.len(), 1, "two pods got the order of {incarnation}");
            assert_eq!(claims.get(&incarnation), Some(&uids[0]), "an order without a claim");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct Agent {
    claimant: Claimant,
    pod: String,
    api: FakeApi,
    registry: Registry,
    orders: Arc<Mutex<BTreeMap<(u64, String), u32>>>,
    script: watch::Receiver<Script>,
}

impl Agent {
    async fn run(mut self) {
        loop {
            let claim = Claim { claimant: self.claimant.clone() };
            match self.ask(|reply| AgentCall::Claim(claim.clone(), reply)).await {
                Some(ClaimAnswer::Order(_)) => break,
                Some(ClaimAnswer::Superseded {}) | None => return self.leave(1),
                Some(ClaimAnswer::Wait {}) => {}
            }
        }
        let key = (self.claimant.incarnation, self.claimant.pod_uid.clone());
        *self.orders.lock().unwrap().entry(key).or_default() += 1;
        let Ok(script) = self.script.wait_for(|script| *script != Script::Runs).await.map(|script| *script) else {
            return;
        };
        let ending = match script {
            Script::Ends(code) => Ending::Code(code),
            Script::Runs => return,
            Script::IsKilledForMemory => {
                let (api, pod) = (self.api.clone(), self.pod.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let how = json!({"exitCode": 137, "reason": "OOMKilled"});
                    api.kubelet().terminate(NAMESPACE, &pod, "tool", &how);
                });
                Ending::Failed { class: FailureClass::Disrupted, message: "the connection is lost".to_owned() }
            }
        };
        let exited = Exited {
            claimant: self.claimant.clone(),
            ending,
            hints: Hints::default(),
            usage: Usage { started_ms: 1, finished_ms: 2, ..Usage::default() },
            stderr_tail: Some("tail".to_owned()),
            listing: Listing::default(),
            contents: BTreeMap::new(),
            log_bytes: None,
        };
        match self.ask(|reply| AgentCall::Exited(Box::new(exited.clone()), reply)).await {
            Some(ExitedAnswer::Done {} | ExitedAnswer::Superseded {}) | None => {
                if script != Script::Ends(0) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                self.leave(if let Script::Ends(code) = script { code } else { 137 });
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    /// Asks until there is an answer; `None` once the pod is gone.
    async fn ask<T>(&self, call: impl Fn(oneshot::Sender<T>) -> AgentCall) -> Option<T> {
        loop {
            let there = self.api.get::<Pod>(NAMESPACE, &self.pod);
            there.filter(|pod| pod.uid().as_ref() == Some(&self.claimant.pod_uid))?;
            if let Some(mailbox) = self.registry.find(NAMESPACE, &self.claimant.run_id) {
                let (reply, answer) = oneshot::channel();
                if mailbox.send(Message::Agent(call(reply))).await.is_ok()
                    && let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_millis(500), answer).await
                {
                    return Some(answer);
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn leave(&self, code: i32) {
        if self.api.get::<Pod>(NAMESPACE, &self.pod).is_some() {
            let kubelet = self.api.kubelet();
            kubelet.exit(NAMESPACE, &self.pod, "tool", code);
            kubelet.exit(NAMESPACE, &self.pod, "agent", 0);
        }
    }
}

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
    let mut services = Arc::into_inner(world.services()).unwrap();
    let slow = ThrottleConfig { wait_put_per_call: Duration::from_millis(20), ..ThrottleConfig::default() };
    services.store = Arc::new(ThrottledStore::new(Arc::clone(&world.store), slow));
    let (synced, _) = watch::channel(false);
    let leader = run(Arc::new(services), world.api.client(), world.registry.clone(), "PEM".to_owned(), synced);
    let leader = tokio::spawn(leader);
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
    world.api.until(|api| (api.list::<Pod>("").len() == 2).then_some(())).await;
    assert_eq!(world.orders.lock().unwrap().len(), 1, "a spare gets no order");
    leader.abort();
    let _ = leader.await;
    world.script.send_replace(Script::Ends(0));
    let _leader = world.lead();
    let status = world.over().await;
    assert_eq!(status.phase, Some(Phase::Successful));
    assert_eq!(world.api.count("create", "pods"), 2, "the spare is taken over and used");
    world.check_claims().await;
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
    let world = World::new();
    world.script.send_replace(Script::Runs);
    world.submit(&json!({}));
    let first = world.lead();
    world.api.until(|_| (!world.orders.lock().unwrap().is_empty()).then_some(())).await;
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
async fn a_pod_that_somebody_deletes_is_replaced() {
    let world = World::new();
    world.script.send_replace(Script::Runs);
    world.submit(&json!({}));
    let _leader = world.lead();
    world.api.until(|_| (!world.orders.lock().unwrap().is_empty()).then_some(())).await;
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
async fn a_quota_is_waited_for_and_shown() {
    let world = World::new();
    let message = "pods \"a\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1";
    world.api.fail(Fault::on("create", "pods").with(403, "Forbidden", message).forever());
    world.submit(&json!({}));
    let _leader = world.lead();
    let status = world.status(|status| World::condition(status, "Waiting").is_some()).await;
    assert_eq!(World::condition(&status, "Waiting"), Some(("True".into(), "QuotaExceeded".into())));
    world.api.heal();
    let status = world.over().await;
    assert_eq!(status.phase, Some(Phase::Successful));
    assert_eq!(World::condition(&status, "Waiting"), None);
}

#[tokio::test]
async fn a_pod_that_is_refused_for_good_fails_the_job_with_the_words_of_admission() {
    let world = World::new();
    let message = "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true";
    world.api.fail(Fault::on("create", "pods").with(403, "Forbidden", message).forever());
    world.submit(&json!({}));
    let _leader = world.lead();
    let status = world.over().await;
    assert_eq!(World::condition(&status, "Failed"), Some(("True".into(), "Rejected".into())));
    let failure = status.failure.unwrap();
    assert!(failure.message.contains("PodSecurity"), "{failure:?}");
    assert_eq!(failure.step.as_deref(), Some("one"));
}

#[tokio::test]
async fn a_tool_that_fails_fails_the_job_and_its_pod_is_kept_and_can_be_read() {
    let world = World::new();
    world.script.send_replace(Script::Ends(3));
    world.submit(&json!({}));
    let _leader = world.lead();
    let status = world.over().await;
    assert_eq!(World::condition(&status, "Failed"), Some(("True".into(), "ToolFailed".into())));
    let failure = status.failure.unwrap();
    assert_eq!((failure.exit_code, failure.log.as_deref()), (Some(3), Some("one.1.log")));
    assert_eq!(failure.stderr.as_deref(), Some("tail"));
    // The kubelet tells the end of a pod later than its agent; `kubectl logs` is refused before.
    let kept = world.api.list::<Pod>("").pop().expect("the pod is kept");
    assert!(crate::observe::sight::is_tool_over(&kept), "{:?}", kept.status);
    assert_eq!(failure.pod, Some(kept.name_any()));
    assert!(kept.metadata.deletion_timestamp.is_none());
}

#[tokio::test]
async fn a_dismissed_job_ends_its_pods() {
    let world = World::new();
    world.script.send_replace(Script::Runs);
    world.submit(&json!({}));
    let _leader = world.lead();
    world.api.until(|_| (!world.orders.lock().unwrap().is_empty()).then_some(())).await;
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| job.spec.dismiss = true);
    let status = world.over().await;
    assert_eq!(status.phase, Some(Phase::Dismissed));
    assert_eq!(World::condition(&status, "Failed"), Some(("True".into(), "Dismissed".into())));
    world.api.until(|api| api.list::<Pod>("").is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_suspended_job_starts_nothing_until_it_is_resumed_and_other_changes_are_told_as_ignored() {
    let world = World::new();
    world.submit(&json!({"suspend": true}));
    let _leader = world.lead();
    let status = world.status(|status| status.message.as_deref() == Some("suspended")).await;
    assert_eq!(status.phase, Some(Phase::Accepted));
    assert_eq!(world.api.count("create", "pods"), 0);
    world.api.edit::<ProcessJob>(NAMESPACE, NAME, |job| {
        job.spec.suspend = false;
        job.spec.inputs = Some(json!({"a": "fire"}));
    });
    let status = world.over().await;
    assert_eq!(status.results, Some(json!({"o": "water"})));
    assert!(World::condition(&status, "SpecChangeIgnored").is_some());
}

#[tokio::test]
async fn a_deleted_job_leaves_neither_pods_nor_objects_in_the_store() {
    let world = World::new();
    world.script.send_replace(Script::Runs);
    world.submit(&json!({}));
    let leader = world.lead();
    world.api.until(|_| (!world.orders.lock().unwrap().is_empty()).then_some(())).await;
    world.api.remove::<ProcessJob>(NAMESPACE, NAME);
    world.api.until(|api| api.list::<Pod>("").is_empty().then_some(())).await;
    while world.segments().await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!leader.is_finished());
}

#[tokio::test]
async fn a_job_whose_journal_is_lost_and_one_with_wrong_inputs_say_so() {
    let world = World::new();
    let copy: ProcessJob = serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "ProcessJob",
        "metadata": {"name": "restored", "namespace": NAMESPACE, "annotations": {"weir.dev/run-id": "gone"}},
        "spec": {"process": {"inline": PACKAGE}, "inputs": {"a": "water"}}
    }))
    .unwrap();
    world.api.insert(&copy);
    world.submit(&json!({"inputs": {"a": 7}}));
    let _leader = world.lead();
    let status = world.over().await;
    assert_eq!(World::condition(&status, "Accepted").unwrap().0, "False");
    let lost = world
        .api
        .until(|api| api.get::<ProcessJob>(NAMESPACE, "restored")?.status.filter(|status| status.phase.is_some()))
        .await;
    assert_eq!(World::condition(&lost, "Failed"), Some(("True".into(), "JournalLost".into())));
}

#[tokio::test]
async fn a_finished_job_is_deleted_after_its_time() {
    let world = World::new();
    world.submit(&json!({"ttlSecondsAfterFinished": 0}));
    let _leader = world.lead();
    world.api.until(|api| api.get::<ProcessJob>(NAMESPACE, NAME).is_none().then_some(())).await;
    while world.segments().await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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

#[tokio::test]
async fn a_copy_of_an_object_with_its_annotation_harms_neither_the_run_nor_its_journal_i11() {
    let world = World::new();
    world.script.send_replace(Script::Runs);
    world.submit(&json!({}));
    let leader = world.lead();
    world.api.until(|_| (!world.orders.lock().unwrap().is_empty()).then_some(())).await;
    leader.abort();
    let _ = leader.await;
    // Listed before the original.
    let mut copy: ProcessJob = world.api.get(NAMESPACE, NAME).unwrap();
    (copy.metadata.name, copy.metadata.uid, copy.status) = (Some("a-copy".to_owned()), None, None);
    world.api.insert(&copy);
    let _leader = world.lead();
    let copied = |api: &FakeApi| api.get::<ProcessJob>(NAMESPACE, "a-copy")?.status;
    let status = world.api.until(|api| copied(api).filter(|status| status.phase.is_some())).await;
    assert_eq!(World::condition(&status, "Accepted"), Some(("False".into(), "SpecInvalid".into())));
    world.api.remove::<ProcessJob>(NAMESPACE, "a-copy");
    world.script.send_replace(Script::Ends(0));
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    world.check_claims().await;
    assert_eq!(world.orders.lock().unwrap().len(), 2, "no step ran twice");
}

#[tokio::test]
async fn a_pod_of_another_namespace_gets_no_order_i9() {
    let mut world = World::new();
    world.tasks.pop().unwrap().abort();
    world.submit(&json!({}));
    let leader = world.lead();
    let mut pod = world.api.until(|api| api.list::<Pod>("").pop()).await;
    leader.abort();
    let _ = leader.await;
    world.api.kubelet().remove(NAMESPACE, &pod.name_any());
    let own = pod.uid();
    (pod.metadata.namespace, pod.metadata.uid) = (Some("evil".to_owned()), None);
    world.api.insert(&pod);
    let evil = world.api.get::<Pod>("evil", &pod.name_any()).unwrap().uid().unwrap();
    assert_ne!(own.as_ref(), Some(&evil));
    let _leader = world.lead();
    let run = pod.labels()[RUN].clone();
    let claim = Claim {
        claimant: Claimant {
            run_id: run.clone(),
            incarnation: pod.labels()[INCARNATION].parse().unwrap(),
            pod_uid: evil,
        },
    };
    // Whatever its namespace, it asks the right actor.
    let answer = loop {
        if let Some(mailbox) = world.registry.find(NAMESPACE, &run) {
            let (reply, answer) = oneshot::channel();
            // Of the first leader's actor only the address is left.
            if mailbox.send(Message::Agent(AgentCall::Claim(claim.clone(), reply))).await.is_ok()
                && let Ok(answer) = answer.await
            {
                break answer;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(answer, ClaimAnswer::Superseded {});
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
async fn what_is_doubtful_about_a_job_is_told_once_it_is_accepted() {
    let world = World::new();
    world.submit(&json!({"inputs": {"a": "water", "b": "nobody asks for it"}}));
    let _leader = world.lead();
    let note = |api: &FakeApi| {
        let all = api.list::<k8s_openapi::api::events::v1::Event>("");
        all.into_iter().find(|event| event.reason.as_deref() == Some("AcceptedWithWarnings"))?.note
    };
    let note = tokio::time::timeout(Duration::from_secs(20), world.api.until(note)).await.expect("an event");
    assert!(note.contains("'b'") || note.contains("`b`"), "{note}");
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
}

#[tokio::test]
async fn jobs_of_the_younger_of_two_namespaces_with_one_tenant_are_refused_i9() {
    let world = World::new();
    let metadata = json!({"name": "young", "labels": {"weir.dev/tenant": "acme"}});
    world.api.insert(&serde_json::from_value::<Namespace>(json!({"metadata": metadata})).unwrap());
    world.submit(&json!({}));
    let mut other: ProcessJob = world.api.get(NAMESPACE, NAME).unwrap();
    (other.metadata.namespace, other.metadata.uid) = (Some("young".to_owned()), None);
    world.api.insert(&other);
    let _leader = world.lead();
    let refused = |api: &FakeApi| api.get::<ProcessJob>("young", NAME)?.status.filter(|status| status.phase.is_some());
    let status = world.api.until(refused).await;
    assert_eq!(World::condition(&status, "Accepted"), Some(("False".into(), "TenantTaken".into())));
    insta::assert_snapshot!(status.message.unwrap(), @"the older namespace `eo` is the tenant `acme`: what belongs to two namespaces must not stand in one place; label one of them with another weir.dev/tenant");
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
}

#[tokio::test]
async fn a_job_keeps_the_tenant_with_which_it_was_accepted() {
    let world = World::new();
    world.script.send_replace(Script::Runs);
    world.submit(&json!({}));
    let leader = world.lead();
    world.api.until(|_| (!world.orders.lock().unwrap().is_empty()).then_some(())).await;
    world.api.edit("", NAMESPACE, |namespace: &mut Namespace| {
        namespace.metadata.labels = Some([("weir.dev/tenant".to_owned(), "renamed".to_owned())].into());
    });
    leader.abort();
    let _ = leader.await;
    let _leader = world.lead();
    world.script.send_replace(Script::Ends(0));
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    world.check_claims().await;
    world.api.remove::<ProcessJob>(NAMESPACE, NAME);
    while world.segments().await > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_end_of_an_object_that_names_anothers_run_leaves_that_run_alone_i9() {
    let world = World::new();
    world.submit(&json!({}));
    let _leader = world.lead();
    assert_eq!(world.over().await.phase, Some(Phase::Successful));
    let (services, keys, segments) = (world.services(), world.keys(), world.segments().await);
    let cleaned = async |namespace: &str| {
        let doubted = Some((namespace.to_owned(), NAME.to_owned()));
        super::tidy::clean(Arc::clone(&services), keys.clone(), doubted, Arc::new(Semaphore::new(1))).await;
    };
    cleaned("evil").await;
    assert_eq!(world.segments().await, segments);
    cleaned(NAMESPACE).await;
    assert_eq!(world.segments().await, 0);
}
