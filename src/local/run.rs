//! The loop of a job. Its steps, in order:
//!
//! 1. **observe**: what happened since (ends of incarnations, results of scripts, orders from outside) becomes events;
//! 2. **plan**: the core says what to do next; events that it wants recorded are folded and it is asked again;
//! 3. **journal**: all events of the round become durable in one append, claims of new incarnations among them;
//! 4. **perform**: only now anything happens in the world: tools start, are stopped, outputs are published;
//! 5. wait for the next thing to happen.
//!
//! State changes by folding only, and nothing is performed before what allows it is durable (invariants I1, I2, I4).

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use weir_api::{FailureClass, Phase};
use weir_cwl::{Record, Value};
use weir_plan::action::{Evaluation, Launch, Load};
use weir_plan::event::{Failure, Slot};
use weir_plan::{
    Action, Event, Incarnation, InstancePath, Intent, Observed, Outcome, Recorded, State, Timestamp, fold, plan,
};
use weir_script::Scripts;
use weir_store::Journal;
use weir_store::usage::Report;

use crate::attempt::{self, Context, Stop, now, oom_kills};
use crate::backend::{BackendError, Tools};
use crate::fetch::Fetched;
use crate::folder::JobFolder;
use crate::publish::{Publication, PublishError};
use crate::settings::Settings;
use crate::spec::JobSpec;
use crate::sweep::sweep;

/// Rounds of planning without anything performed. The core asks for a bounded number of records; more is a defect.
const ROUNDS_MAX: u32 = 1_000_000;
/// Longest wait for anything; planning again costs nothing.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// Orders from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Control {
    /// Go on.
    #[default]
    Run,
    /// Dismiss the job: tools get SIGTERM and the grace of the settings.
    Cancel,
    /// Dismiss the job now: tools get SIGKILL. One that is being published is left for the next run.
    Now,
}

/// Sees what a job does.
pub trait Observer: Send {
    /// `events` are durable, and `state` holds them.
    fn durable(&mut self, intent: &Intent, state: &State, events: &[Recorded]);
}

/// Sees nothing.
impl Observer for () {
    fn durable(&mut self, _: &Intent, _: &State, _: &[Recorded]) {}
}

/// How a job ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Successful, Failed or Dismissed.
    pub phase: Phase,
    /// The output object, published locations; empty unless successful.
    pub outputs: Record,
    /// Why, unless successful.
    pub failure: Option<Failure>,
    /// What its steps used.
    pub report: Report,
    /// Where its logs and reports stand.
    pub folder: JobFolder,
}

/// Something that happened while the loop waited.
#[derive(Debug)]
enum News {
    Ended(Incarnation, Box<Outcome>),
    Evaluated(InstancePath, Slot, Result<Value, String>),
    Published(Result<Record, PublishError>),
}

/// A job that is being run.
#[derive(Debug)]
pub struct Run {
    context: Arc<Context>,
    journal: Journal,
    state: State,
    report: Report,
    observed: Observed,
    /// Incarnations that run, and the order to end them.
    live: HashMap<Incarnation, watch::Sender<Option<Stop>>>,
    /// Scripts and loads under way.
    asked: BTreeSet<(InstancePath, Slot)>,
    grace: Duration,
    sender: mpsc::UnboundedSender<News>,
    news: mpsc::UnboundedReceiver<News>,
    /// Events of this round, folded and not yet durable.
    batch: Vec<Recorded>,
    /// Claims carry it: it differs from that of every other run of this job.
    epoch: u64,
}

impl Run {
    /// Takes up a job where its journal ends.
    pub(crate) fn new(
        settings: Arc<Settings>,
        tools: Arc<Tools>,
        scripts: Scripts,
        spec: JobSpec,
        folder: JobFolder,
        journal: Journal,
        events: &[Recorded],
    ) -> Result<Self, BackendError> {
        let intent = Arc::new(spec.intent()?);
        let mut state = State::default();
        let mut report = Report::default();
        for recorded in events {
            fold(&intent, &mut state, recorded)?;
            report.observe(recorded);
        }
        let (sender, news) = mpsc::unbounded_channel();
        let observed = Observed { capacity: settings.capacity(), ..Observed::default() };
        let (grace, epoch) = (settings.grace, journal.epoch() + 1);
        let fetched = Fetched::new(folder.fetched(), settings.reach.clone());
        let oom_kills = AtomicU64::new(oom_kills());
        let context = Arc::new(Context {
            settings,
            intent,
            folder,
            fetched,
            scripts,
            tools,
            oom_kills,
            spec,
            ontology: OnceLock::new(),
        });
        Ok(Self {
            context,
            journal,
            state,
            report,
            observed,
            live: HashMap::new(),
            asked: BTreeSet::new(),
            grace,
            sender,
            news,
            batch: Vec::new(),
            epoch,
        })
    }

    /// Runs the job to its end.
    pub(crate) async fn run_to_end(
        mut self,
        mut control: watch::Receiver<Control>,
        observer: &mut dyn Observer,
    ) -> Result<Finished, BackendError> {
        if self.state.finished().is_none() {
            self.begin().await?;
            if let Err(error) = self.work(&mut control, observer).await {
                self.give_up().await;
                return Err(error);
            }
        }
        self.end().await
    }

    /// Ends what an earlier run left behind, and announces the new epoch.
    async fn begin(&mut self) -> Result<(), BackendError> {
        let folder = self.context.folder.clone();
        let is_resumed = self.epoch > 1;
        let prepared = blocking(move || {
            if is_resumed {
                let killed = sweep(&folder.attempts());
                tracing::debug!(killed, "processes of an interrupted run");
            }
            let logs = folder.logs();
            fs::create_dir_all(&logs).map_err(|source| BackendError::Io {
                doing: "create the folder",
                path: logs,
                source,
            })
        });
        prepared.await??;
        self.happened(Event::Epoch { epoch: self.epoch })
    }

    async fn work(
        &mut self,
        control: &mut watch::Receiver<Control>,
        observer: &mut dyn Observer,
    ) -> Result<(), BackendError> {
        let mut ordered = Control::Run;
        loop {
            let order = *control.borrow_and_update();
            if order > ordered {
                ordered = order;
                self.ordered(order)?;
            }
            let (actions, wake_at) = self.plan()?;
            if !self.batch.is_empty() {
                let batch = std::mem::take(&mut self.batch);
                self.journal.append(&batch).await?;
                observer.durable(&self.context.intent, &self.state, &batch);
            }
            if self.state.finished().is_some() {
                return Ok(());
            }
            for action in actions {
                self.perform(action);
            }
            let wait = wake_at.map_or(WAIT_MAX, |at| Duration::from_millis(at.0.saturating_sub(now().0)).min(WAIT_MAX));
            tokio::select! {
                Some(news) = self.news.recv() => {
                    self.take(news)?;
                    while let Ok(news) = self.news.try_recv() {
                        self.take(news)?;
                    }
                }
                Ok(()) = control.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Folds an event that happened now; it becomes durable with this round's batch.
    fn happened(&mut self, event: Event) -> Result<(), BackendError> {
        let recorded = Recorded { at: now(), event };
        fold(&self.context.intent, &mut self.state, &recorded)?;
        self.report.observe(&recorded);
        self.batch.push(recorded);
        Ok(())
    }

    fn take(&mut self, news: News) -> Result<(), BackendError> {
        match news {
            News::Ended(incarnation, outcome) => {
                self.live.remove(&incarnation);
                self.happened(Event::Ended { incarnation, outcome: *outcome })
            }
            News::Evaluated(instance, slot, result) => {
                self.asked.remove(&(instance.clone(), slot.clone()));
                self.happened(Event::Evaluated { instance, slot, result })
            }
            News::Published(Ok(outputs)) => {
                self.happened(Event::Finished { phase: Phase::Successful, outputs, failure: None })
            }
            // The work is done and stays: the job ends once the folder can be written, by being resumed.
            News::Published(Err(error @ PublishError::Io { .. })) => Err(BackendError::Publish(error)),
            News::Published(Err(error)) => {
                let (class, message) =
                    (FailureClass::OutputInvalid, format!("the outputs cannot be published: {error}"));
                let failure = Failure { class, message, instance: None, exit_code: None, stderr_tail: None };
                let (phase, outputs) = (Phase::Failed, Record::new());
                self.happened(Event::Finished { phase, outputs, failure: Some(failure) })
            }
        }
    }

    /// Somebody wants the job to stop.
    fn ordered(&mut self, order: Control) -> Result<(), BackendError> {
        if order == Control::Now {
            self.grace = Duration::ZERO;
            for stop in self.live.values() {
                stop.send_replace(Some(Stop { class: FailureClass::Dismissed, grace: Duration::ZERO }));
            }
        }
        if self.state.finished().is_some() {
            return Ok(());
        }
        // Too late for this run: it ends when its results are published, or when they cannot be for now. Nobody has to wait
        // for that.
        if self.observed.is_publishing {
            return match order {
                Control::Now => Err(BackendError::Interrupted),
                Control::Run | Control::Cancel => Ok(()),
            };
        }
        let message = "the job was cancelled".to_owned();
        self.happened(Event::StopRequested { class: FailureClass::Dismissed, message })
    }

    /// Plans until nothing is left to record; claims what is to be launched.
    fn plan(&mut self) -> Result<(Vec<Action>, Option<Timestamp>), BackendError> {
        for _ in 0..ROUNDS_MAX {
            let plan = plan(&self.context.intent, &self.state, &self.observed, now());
            let mut recorded = false;
            let mut actions = Vec::with_capacity(plan.actions.len());
            for action in plan.actions {
                match action {
                    Action::Record(event) => {
                        recorded = true;
                        self.happened(event)?;
                    }
                    other => actions.push(other),
                }
            }
            if recorded {
                continue;
            }
            for action in &actions {
                if let Action::Launch(launch) = action {
                    self.observed.present.insert(launch.incarnation);
                    let uid = format!("epoch-{}-process-{}", self.epoch, launch.incarnation.0);
                    self.happened(Event::Claimed { incarnation: launch.incarnation, uid })?;
                }
            }
            return Ok((actions, plan.wake_at));
        }
        Err(BackendError::Task("planning does not come to rest".to_owned()))
    }

    fn perform(&mut self, action: Action) {
        match action {
            // Planning has recorded the events; processes start at once, so that nothing is asked for ahead.
            Action::Record(_) | Action::Prepare(_) => {}
            Action::Launch(launch) => self.launch(launch),
            Action::Kill { incarnation, class } => {
                if let Some(stop) = self.live.get(&incarnation).filter(|stop| stop.borrow().is_none()) {
                    stop.send_replace(Some(Stop { class, grace: self.grace }));
                }
            }
            // Its outputs may be another step's inputs, so its folder stays until the job is over.
            Action::Remove { incarnation } => {
                self.observed.present.remove(&incarnation);
            }
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
            Action::Publish { outputs } => {
                // Whoever wants the job to stop now is too late, unless this try fails.
                self.observed.is_publishing = true;
                self.publish(outputs);
            }
        }
    }

    fn launch(&mut self, launch: Launch) {
        let incarnation = launch.incarnation;
        let (stop, stopped) = watch::channel(None);
        self.live.insert(incarnation, stop);
        let (context, sender) = (Arc::clone(&self.context), self.sender.clone());
        tokio::spawn(async move {
            let outcome = attempt::run(context, Arc::new(launch), stopped).await;
            // Nobody listens any more when the run was given up.
            let _ = sender.send(News::Ended(incarnation, Box::new(outcome)));
        });
    }

    fn evaluate(&self, evaluation: Evaluation) {
        let mut scripts = self.context.scripts.clone();
        let (instance, slot) = (evaluation.instance.clone(), evaluation.slot.clone());
        let task = move || evaluation.evaluate(&mut scripts);
        in_background(&self.sender, task, Err, move |result| News::Evaluated(instance, slot, result));
    }

    fn load(&self, asked: Load) {
        let context = Arc::clone(&self.context);
        let (instance, slot) = (asked.instance.clone(), asked.slot.clone());
        let task = move || asked.fill(&mut context.files());
        in_background(&self.sender, task, Err, move |result| News::Evaluated(instance, slot, result));
    }

    fn publish(&self, outputs: Record) {
        let context = Arc::clone(&self.context);
        let path = context.spec.outdir.clone();
        let task = move || {
            let Context { settings, spec, intent, folder, .. } = &*context;
            let job = Publication { spec, package: intent.package(), tenant: &settings.tenant, folder };
            settings.publisher.publish(&job, outputs)
        };
        let defect =
            |message| Err(PublishError::Io { doing: "publish into", path, source: std::io::Error::other(message) });
        in_background(&self.sender, task, defect, News::Published);
    }

    /// The journal failed or belongs to another: every tool is killed, and nothing is written any more.
    async fn give_up(&mut self) {
        for stop in self.live.values() {
            stop.send_replace(Some(Stop { class: FailureClass::Disrupted, grace: Duration::ZERO }));
        }
        while !self.live.is_empty() {
            match self.news.recv().await {
                Some(News::Ended(incarnation, _)) => drop(self.live.remove(&incarnation)),
                Some(_) => {}
                None => break,
            }
        }
    }

    /// Writes the reports and removes what is needed no more. Doing it again changes nothing.
    async fn end(self) -> Result<Finished, BackendError> {
        let finished = self.state.finished().cloned();
        let finished = finished.ok_or_else(|| BackendError::Task("the job is not over".to_owned()))?;
        let (context, report) = (self.context, self.report);
        let (phase, outputs, failure) = (finished.phase, finished.outputs, finished.failure);
        let folder = context.folder.clone();
        let keeps = context.settings.keep_attempts;
        let usage = report.to_json(context.settings.cores, context.settings.ram_mib);
        let results = weir_cwl::json::pretty(&Value::Record(outputs.clone()));
        blocking(move || {
            let write = |path: std::path::PathBuf, text: &str| {
                fs::write(&path, text).map_err(|source| BackendError::Io { doing: "write", path, source })
            };
            write(folder.usage(), &format!("{usage:#}\n"))?;
            if phase == Phase::Successful {
                write(folder.results(), &format!("{results}\n"))?;
            }
            Ok::<_, BackendError>(())
        })
        .await??;
        if phase == Phase::Successful && !keeps {
            discard(&context).await;
        }
        Ok(Finished { phase, outputs, failure, report, folder: context.folder.clone() })
    }
}

/// Removes the folders of the attempts, which can take longer than the job did: the launcher does it behind our back.
async fn discard(context: &Context) {
    for path in [context.folder.attempts(), context.folder.fetched()].into_iter().filter(|path| path.exists()) {
        let left = match context.tools.launcher() {
            Ok(launcher) => launcher.discard(path.clone()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = left {
            tracing::warn!(path = %path.display(), %error, "could not be removed");
        }
    }
}

/// Runs `task` on a thread that may block and tells the loop its result. A panic is a defect of weir and becomes the result
/// that `defect` makes of it: nobody waits for ever (invariant I6).
fn in_background<T: Send + 'static>(
    sender: &mpsc::UnboundedSender<News>,
    task: impl FnOnce() -> T + Send + 'static,
    defect: impl FnOnce(String) -> T + Send + 'static,
    news: impl FnOnce(T) -> News + Send + 'static,
) {
    let sender = sender.clone();
    tokio::spawn(async move {
        let done = tokio::task::spawn_blocking(task).await;
        let result = done.unwrap_or_else(|error| defect(format!("a task of weir failed: {error}")));
        // Nobody listens any more when the run was given up.
        let _ = sender.send(news(result));
    });
}

async fn blocking<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> Result<T, BackendError> {
    tokio::task::spawn_blocking(task).await.map_err(|error| BackendError::Task(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_background_task_is_told_and_not_waited_for() {
        let (sender, mut news) = mpsc::unbounded_channel();
        let task = || -> Result<Value, String> { panic!("a defect") };
        let slot = Slot::When;
        in_background(&sender, task, Err, move |result| News::Evaluated(InstancePath::default(), slot, result));
        let Some(News::Evaluated(_, Slot::When, Err(message))) = news.recv().await else { panic!("other news") };
        assert!(message.contains("a defect"), "{message}");
    }
}
