//! A job over an API server and a store in memory, with agents that play their part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt as _;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use weir_api::agent::{Claim, ClaimAnswer, Claimant, Ending, Exited, ExitedAnswer, Hints, Listing, Usage};
use weir_api::kubernetes::names::{INCARNATION, RUN, RUN_ID};
use weir_api::kubernetes::{ProcessJob, ProcessJobStatus};
use weir_api::{FailureClass, Phase};
use weir_fetch::Guarded;
use weir_plan::{Event, Recorded};
use weir_store::{JobKeys, journal};

use crate::context::Services;
use crate::controller::{ControllerError, run};
use crate::data::Results;
use crate::intake::fixture;
use crate::metrics::Metrics;
use crate::registry::{AgentCall, Message, Registry};
use crate::settings::Settings;
use crate::testing::FakeApi;

pub const NAMESPACE: &str = "eo";

pub const NAME: &str = "job";

/// Two tools, the second after the first; no files, so that no store has to be served.
pub const PACKAGE: &str = "cwlVersion: v1.2
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
pub enum Script {
    /// The tool ends at once with this code.
    Ends(i32),
    /// It runs for ever.
    Runs,
    /// The kernel kills everything in its container, the shim too; the kubelet says so a moment after the agent.
    IsKilledForMemory,
}

pub struct World {
    pub api: FakeApi,
    pub store: Arc<InMemory>,
    pub registry: Registry,
    pub settings: Settings,
    /// Orders given, by pod uid and incarnation.
    pub orders: Arc<Mutex<BTreeMap<(u64, String), u32>>>,
    pub script: watch::Sender<Script>,
    /// Starts every pod; a test that starts them itself ends it.
    pub kubelets: JoinHandle<()>,
    /// Plays every pod's agent; a test that plays them itself ends it.
    pub agents: JoinHandle<()>,
}

pub type Leader = JoinHandle<Result<(), ControllerError>>;

impl World {
    pub fn new() -> Self {
        Self::with_lookahead(false)
    }

    pub fn with_lookahead(lookahead: bool) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let api = FakeApi::new();
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": NAMESPACE, "labels": {"weir.dev/tenant": "acme"}}}))
                .unwrap();
        api.insert(&namespace);
        let (registry, orders) = (Registry::default(), Arc::default());
        let (script, reader) = watch::channel(Script::Ends(0));
        Self {
            kubelets: api.kubelet().run_everything(),
            agents: agents(api.clone(), registry.clone(), Arc::clone(&orders), reader),
            api,
            store: Arc::new(InMemory::new()),
            registry,
            settings: Settings { lookahead, ..fixture::settings() },
            orders,
            script,
        }
    }

    pub fn submit(&self, spec: &Value) {
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

    pub fn lead(&self) -> Leader {
        self.lead_with(self.api.client())
    }

    pub fn lead_with(&self, client: kube::Client) -> Leader {
        self.start_leader(self.services(), client)
    }

    /// A leader to whom the store looks like this.
    pub fn lead_over(&self, store: Arc<dyn ObjectStore>) -> Leader {
        self.start_leader(self.services_over(store), self.api.client())
    }

    fn start_leader(&self, services: Arc<Services>, client: kube::Client) -> Leader {
        let (synced, _) = watch::channel(false);
        tokio::spawn(run(services, client, self.registry.clone(), "PEM".to_owned(), synced))
    }

    /// With a job whose first tool runs, and its leader.
    pub async fn with_a_tool_that_runs() -> (Self, Leader) {
        let world = Self::new();
        world.script.send_replace(Script::Runs);
        world.submit(&json!({}));
        let leader = world.lead();
        world.api.until(|_| (!world.orders.lock().unwrap().is_empty()).then_some(())).await;
        (world, leader)
    }

    pub fn services(&self) -> Arc<Services> {
        self.services_over(self.store.clone())
    }

    pub fn services_over(&self, store: Arc<dyn ObjectStore>) -> Arc<Services> {
        let command = weir_script::WorkerCommand::this_program().unwrap();
        let services = Services {
            store,
            signer: self.settings.store.signer().unwrap(),
            results: Results::new(&self.settings.store).unwrap(),
            remote: Arc::new(Guarded::new(&self.settings.fetch).unwrap()),
            scripts: weir_script::Pool::new(&command),
            metrics: Metrics::new(),
            settings: Arc::new(self.settings.clone()),
        };
        Arc::new(services)
    }

    pub async fn status(&self, is_it: impl Fn(&ProcessJobStatus) -> bool) -> ProcessJobStatus {
        self.api.until(|api| api.get::<ProcessJob>(NAMESPACE, NAME)?.status.filter(|status| is_it(status))).await
    }

    pub async fn over(&self) -> ProcessJobStatus {
        self.status(|status| status.phase.is_some_and(Phase::is_final)).await
    }

    pub fn keys(&self) -> JobKeys {
        let job: ProcessJob = self.api.get(NAMESPACE, NAME).unwrap();
        let run = job.annotations().get(RUN_ID).cloned().unwrap_or_else(|| job.uid().unwrap());
        JobKeys::new("acme".parse().unwrap(), run.parse().unwrap())
    }

    pub async fn journal(&self) -> Vec<Recorded> {
        journal::read(self.store.as_ref(), &self.keys()).await.unwrap()
    }

    pub async fn journal_has_an_end(&self) -> bool {
        let known =
            self.api.get::<ProcessJob>(NAMESPACE, NAME).is_some_and(|job| job.annotations().contains_key(RUN_ID));
        known && self.journal().await.iter().any(|one| matches!(one.event, Event::Ended { .. }))
    }

    pub async fn segments(&self) -> usize {
        let listed: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        listed.iter().filter(|object| object.location.as_ref().contains("/journal/")).count()
    }

    pub fn condition(status: &ProcessJobStatus, type_: &str) -> Option<(String, String)> {
        let found = status.conditions.iter().find(|condition| condition.type_ == type_)?;
        Some((found.status.clone(), found.reason.clone()))
    }

    /// I2: no incarnation gave its order to two pods, and no claim was made twice.
    pub async fn check_claims(&self) {
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
        self.kubelets.abort();
        self.agents.abort();
    }
}

/// One agent for each pod, as the agents' server passes their words on.
fn agents(
    api: FakeApi,
    registry: Registry,
    orders: Arc<Mutex<BTreeMap<(u64, String), u32>>>,
    script: watch::Receiver<Script>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut known = std::collections::BTreeSet::new();
        loop {
            let new =
                api.until(|api| api.list::<Pod>("").into_iter().find(|pod| !known.contains(&pod.uid().unwrap()))).await;
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
