//! Performs what the planner decided. Nothing here decides anything, and everything may be done twice.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use weir_api::FailureClass;
use weir_cwl::{Record, Value};
use weir_plan::action::{Evaluation, Launch, Load, Prepare};
use weir_plan::event::{Resources, Slot};
use weir_plan::{Action, Incarnation, InstancePath, Outcome, launch_of};
use weir_script::Scripts;

use super::create::{Creation, delete};
use super::publish::Unpublished;
use super::work::{OrderState, PodState};
use super::{Actor, Backoff};
use crate::build::{BuildError, PodRequest, build};
use crate::context::JobContext;
use crate::data::files::StoreFiles;
use crate::data::{self, Collected, Order, Refusal, Unavailable};
use crate::limits::{FAILED_PODS_KEPT, STOP_WAIT};
use crate::settings::PodStart;

/// What background work found out.
#[derive(Debug)]
pub(super) enum News {
    /// The pod exists.
    Created(Incarnation, Arc<Pod>),
    /// The pod cannot be created, and will not be tried any more.
    NotCreated(Incarnation, FailureClass, String),
    /// The pod cannot be created for now.
    Delayed(Incarnation, FailureClass, String),
    /// The order can be handed out, or not be made.
    Prepared(Incarnation, Result<Box<Order>, Refusal>),
    /// A report was looked at.
    Collected(Incarnation, Result<Collected, Unavailable>),
    /// A completion was looked at.
    Completed(Incarnation, Result<Outcome, Unavailable>),
    /// A script or a load has a result.
    Evaluated(InstancePath, Slot, Result<Value, String>),
    /// Everything but what makes the results visible is in place: may it follow?
    Staged(oneshot::Sender<bool>),
    /// The outputs are published, or not.
    Published(Result<Record, Unpublished>),
}

impl Actor {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            // Planning has recorded them.
            Action::Record(_) => {}
            Action::Launch(launch) => self.launch(launch),
            Action::Prepare(prepare) => self.create_spare(&prepare),
            Action::Kill { incarnation, class } => self.kill(incarnation, class),
            Action::Remove { incarnation } => self.remove(incarnation),
            Action::Evaluate(evaluation) => {
                if self.asked.insert((evaluation.instance.clone(), evaluation.slot.clone())) {
                    self.evaluate(evaluation);
                }
            }
            Action::Load(load) => {
                if self.asked.insert((load.instance.clone(), load.slot.clone())) {
                    self.load(load);
                }
            }
            Action::Publish { outputs } => self.publish(outputs),
        }
    }

    /// Creates the pod and prepares the order at the same time.
    fn launch(&mut self, launch: Launch) {
        let launch = Arc::new(launch);
        let incarnation = launch.incarnation;
        self.observed.unlaunched.remove(&incarnation);
        self.works.entry(incarnation).or_default().launch = Some(Arc::clone(&launch));
        let pod = self.pod_of(&launch);
        self.create(incarnation, pod);
        self.prepare(incarnation, launch);
    }

    /// Creates a pod ahead of its turn.
    fn create_spare(&mut self, spare: &Prepare) {
        let pod = self.build(spare.incarnation, &spare.step, None, spare.resources, 0, &spare.requirements);
        self.observed.unlaunched.insert(spare.incarnation);
        self.create(spare.incarnation, pod);
    }

    /// The pod that a launch needs.
    pub(super) fn pod_of(&self, launch: &Launch) -> Result<Pod, BuildError> {
        self.build(launch.incarnation, &launch.step, Some(&launch.instance), launch.resources, launch.uncounted, {
            &launch.requirements
        })
    }

    pub(super) fn build(
        &self,
        incarnation: Incarnation,
        step: &str,
        instance: Option<&InstancePath>,
        resources: Resources,
        uncounted: u32,
        requirements: &weir_cwl::requirement::Effective,
    ) -> Result<Pod, BuildError> {
        let settings = &self.context.services.settings;
        let start = if uncounted > 0 { PodStart::Init } else { settings.pods.pod_start };
        let request = PodRequest {
            run_id: self.context.keys.run().as_str(),
            job: &self.context.spec,
            owner_uid: &self.object.uid,
            incarnation,
            step,
            instance,
            requirements,
            resources,
            start,
            agents_ca: &self.shared.agents_ca,
        };
        build(&request, settings)
    }

    /// Creates the pod of an incarnation, unless that is done or under way.
    pub(super) fn create(&mut self, incarnation: Incarnation, pod: Result<Pod, BuildError>) {
        self.observed.present.insert(incarnation);
        let work = self.works.entry(incarnation).or_default();
        if !matches!(work.pod, PodState::None) {
            return;
        }
        let pod = match pod {
            Ok(pod) => pod,
            Err(error) => {
                // It becomes an event in the next round, like every other failure.
                let _ = self.sender.send(News::NotCreated(incarnation, error.class(), error.to_string()));
                return;
            }
        };
        let creation = Creation {
            api: self.object.pods(&self.shared.client),
            pod,
            incarnation,
            quota_wait: Duration::from_secs(self.context.services.settings.pods.unschedulable_seconds),
            requests: Arc::clone(&self.shared.pod_requests),
            sender: self.sender.clone(),
        };
        let sender = self.sender.clone();
        let task = tokio::spawn(creation.run());
        work.pod = PodState::Creating(task.abort_handle());
        tokio::spawn(async move {
            // A defect must not leave the step waiting (invariant I6).
            if let Err(error) = task.await
                && error.is_panic()
            {
                let message = format!("creating its pod failed inside weir: {error}");
                let _ = sender.send(News::NotCreated(incarnation, FailureClass::Platform, message));
            }
        });
    }

    /// Prepares the order of an incarnation, unless that is done or under way.
    pub(super) fn prepare(&mut self, incarnation: Incarnation, launch: Arc<Launch>) {
        let work = self.works.entry(incarnation).or_default();
        if !matches!(work.order, OrderState::None) {
            return;
        }
        work.order = OrderState::Preparing;
        let context = Arc::clone(&self.context);
        let (is_claimed, sender) = (self.state.claim(incarnation).is_some(), self.sender.clone());
        let task = move || {
            let prepared =
                if is_claimed { prepare_again(&context, &launch, &sender) } else { data::prepare(&context, &launch) };
            prepared.map(Box::new)
        };
        let defect = |message| Err(Refusal { class: FailureClass::Platform, message });
        in_background(&self.sender, task, defect, move |result| News::Prepared(incarnation, result));
    }

    /// Prepares the orders of incarnations that were claimed before this actor took up the job: their agents will report.
    pub(super) fn catch_up(&mut self) {
        let is_lacking = |incarnation: &Incarnation, work: &super::Work| {
            work.launch.is_none() && self.state.claim(*incarnation).is_some()
        };
        let lacking = self.works.iter().filter(|(incarnation, work)| is_lacking(incarnation, work));
        let lacking: Vec<Incarnation> = lacking.map(|(incarnation, _)| *incarnation).collect();
        for incarnation in lacking {
            if let Some(launch) = launch_of(&self.context.intent, &self.state, incarnation).map(Arc::new) {
                self.works.entry(incarnation).or_default().launch = Some(Arc::clone(&launch));
                self.prepare(incarnation, launch);
            }
        }
    }

    /// Asks an incarnation to end. Its agent reports how, or its silence is taken for its end.
    fn kill(&mut self, incarnation: Incarnation, class: FailureClass) {
        let is_claimed = self.state.claim(incarnation).is_some();
        let work = self.works.entry(incarnation).or_default();
        if work.stop.is_some() {
            return;
        }
        let wait = if is_claimed { STOP_WAIT } else { Duration::ZERO };
        work.stop = Some((class, Instant::now() + wait));
        // What was never claimed is removed once its end is recorded.
        if is_claimed && let Some(pod) = work.seen().cloned() {
            self.delete(&pod, None);
        }
    }

    /// Removes what is left of an incarnation whose end is recorded. A failed pod is kept for people to look at, as long
    /// as it holds nothing: the controller removes it later.
    fn remove(&mut self, incarnation: Incarnation) {
        self.observed.present.remove(&incarnation);
        self.observed.unlaunched.remove(&incarnation);
        let kept = self.works.values().filter(|work| work.is_dismissed && work.seen().is_some()).count();
        let is_failed = self.ledger.failed.contains(&incarnation);
        let work = self.works.entry(incarnation).or_default();
        if std::mem::replace(&mut work.is_dismissed, true) {
            return;
        }
        work.settle();
        match std::mem::take(&mut work.pod) {
            PodState::Creating(task) => {
                task.abort();
                // It may exist by now. The controller tells, and then it is removed.
                self.works.remove(&incarnation);
            }
            PodState::There(pod) => {
                let is_kept = is_failed && kept < FAILED_PODS_KEPT && (work.ended.is_some() || is_over(&pod));
                work.pod = PodState::There(Arc::clone(&pod));
                if !is_kept && pod.metadata.deletion_timestamp.is_none() {
                    self.delete(&pod, None);
                }
            }
            PodState::None => {
                self.works.remove(&incarnation);
            }
        }
    }

    pub(super) fn delete(&self, pod: &Pod, grace: Option<u32>) {
        let api = self.object.pods(&self.shared.client);
        tokio::spawn(delete(api, pod.clone(), grace, Arc::clone(&self.shared.pod_requests)));
    }

    fn evaluate(&self, evaluation: Evaluation) {
        let mut scripts = Scripts(self.context.services.scripts.clone());
        let (instance, slot) = (evaluation.instance.clone(), evaluation.slot.clone());
        let task = move || evaluation.evaluate(&mut scripts);
        in_background(&self.sender, task, Err, move |result| News::Evaluated(instance, slot, result));
    }

    fn load(&self, asked: Load) {
        let context = Arc::clone(&self.context);
        let (instance, slot) = (asked.instance.clone(), asked.slot.clone());
        let closed = self.sender.clone();
        let task = move || load(&context, &asked, || closed.is_closed());
        in_background(&self.sender, task, Err, move |result| News::Evaluated(instance, slot, result));
    }
}

/// Prepares the order of a tool that runs already, however long the store is away. Blocks.
fn prepare_again(
    context: &JobContext,
    launch: &Launch,
    sender: &mpsc::UnboundedSender<News>,
) -> Result<Order, Refusal> {
    let mut backoff = Backoff::default();
    loop {
        match data::prepare_again(context, launch) {
            Err(refusal) if refusal.class == FailureClass::Platform && !sender.is_closed() => {
                tracing::warn!(refusal.message, "an order cannot be prepared again for now");
            }
            prepared => return prepared,
        }
        std::thread::sleep(backoff.advance());
    }
}

/// Reads what was asked for, however long the store is away. Blocks.
fn load(context: &JobContext, asked: &Load, is_given_up: impl Fn() -> bool) -> Result<Value, String> {
    let mut backoff = Backoff::default();
    loop {
        let mut files = StoreFiles::new(context);
        let result = asked.fill(&mut files);
        match (&result, files.trouble()) {
            (Err(_), Some(trouble)) if !is_given_up() => tracing::warn!(trouble, "a file cannot be read for now"),
            _ => return result,
        }
        std::thread::sleep(backoff.advance());
    }
}

/// Whether the pod holds no resources any more.
fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// Runs `task` on a thread that may block and tells the loop its result. A panic is a defect of weir and becomes the result
/// that `defect` makes of it: nobody waits for ever (invariant I6).
pub(super) fn in_background<T: Send + 'static>(
    sender: &mpsc::UnboundedSender<News>,
    task: impl FnOnce() -> T + Send + 'static,
    defect: impl FnOnce(String) -> T + Send + 'static,
    news: impl FnOnce(T) -> News + Send + 'static,
) {
    let sender = sender.clone();
    tokio::spawn(async move {
        let done = tokio::task::spawn_blocking(task).await;
        let result = done.unwrap_or_else(|error| defect(format!("a task of weir failed: {error}")));
        // Nobody listens any more when the actor has ended.
        let _ = sender.send(news(result));
    });
}
