//! What Prometheus reads. Few labels, each with a fixed set of values: the number of series does not grow with jobs.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use weir_api::{FailureClass, Phase};

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds from the request for a pod to its claim: 0.6 is usual, minutes are image pulls and full clusters.
const POD_START_SECONDS: [f64; 11] = [0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// Seconds of one append: a put to the store.
const JOURNAL_APPEND_SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 20.0];

/// Seconds of one request: microseconds from the index, seconds where the cluster is waited for.
const REQUEST_SECONDS: [f64; 10] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The operator's metrics. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    jobs: Family<OfPhase, Gauge>,
    step_ends: Family<OfClass, Counter>,
    pod_start: Histogram,
    journal_append: Histogram,
    status_writes: Counter,
    leader: Gauge,
    swept: Counter,
    requests: Family<OfRequest, Counter>,
    request_seconds: Family<OfRoute, Histogram>,
}

/// A route, not a path: their number is fixed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    method: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPhase {
    phase: PhaseLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PhaseLabel(Phase);

impl EncodeLabelValue for PhaseLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClass {
    class: ClassLabel,
}

/// `None`: the step succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ClassLabel(Option<FailureClass>);

impl EncodeLabelValue for ClassLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        match self.0 {
            Some(class) => write!(encoder, "{class}"),
            None => encoder.write_str("Succeeded"),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix("weir"),
            jobs: Family::default(),
            step_ends: Family::default(),
            pod_start: Histogram::new(POD_START_SECONDS),
            journal_append: Histogram::new(JOURNAL_APPEND_SECONDS),
            status_writes: Counter::default(),
            leader: Gauge::default(),
            swept: Counter::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// A ProcessJob came, went or changed its phase, as this replica's watch sees it.
    pub fn job_changed(&self, before: Option<Phase>, after: Option<Phase>) {
        let gauge = |phase| self.0.jobs.get_or_create(&OfPhase { phase: PhaseLabel(phase) }).clone();
        if let Some(phase) = before {
            gauge(phase).dec();
        }
        if let Some(phase) = after {
            gauge(phase).inc();
        }
    }

    /// An incarnation ended: with a failure of this class, or well.
    pub fn step_ended(&self, class: Option<FailureClass>) {
        self.0.step_ends.get_or_create(&OfClass { class: ClassLabel(class) }).inc();
    }

    /// A pod got its claim so long after it was asked for.
    pub fn claimed(&self, after: Duration) {
        self.0.pod_start.observe(after.as_secs_f64());
    }

    /// An append to a journal took so long.
    pub fn journal_append(&self, took: Duration) {
        self.0.journal_append.observe(took.as_secs_f64());
    }

    /// The status of a ProcessJob was written.
    pub fn status_written(&self) {
        self.0.status_writes.inc();
    }

    /// Whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.0.leader.set(i64::from(leads));
    }

    /// The store's objects of one run that nobody names any more were removed.
    pub fn swept(&self) {
        self.0.swept.inc();
    }

    /// A request of the façade was answered: its head was ready so long after it came.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        self.0.requests.get_or_create(&OfRequest { method: method.clone(), route: route.clone(), status }).inc();
        self.0.request_seconds.get_or_create(&OfRoute { method, route }).observe(took.as_secs_f64());
    }

    /// All of them as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.0.registry);
        text
    }
}

impl Inner {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("jobs", "ProcessJobs by phase, as this replica sees them", self.jobs.clone());
        registry.register("step_ends", "Ended incarnations of steps by failure class", self.step_ends.clone());
        let help = "From the request for a pod to its claim";
        registry.register_with_unit("pod_start", help, Unit::Seconds, self.pod_start.clone());
        let help = "Appends to journals";
        registry.register_with_unit("journal_append", help, Unit::Seconds, self.journal_append.clone());
        registry.register("status_writes", "Writes of ProcessJobs' statuses", self.status_writes.clone());
        registry.register("leader", "Whether this replica leads", self.leader.clone());
        registry.register("swept_runs", "Runs without an object whose store prefix was removed", self.swept.clone());
        registry.register("http_requests", "Requests to the façade", self.requests.clone());
        let help = "From a request to the façade to the head of its answer";
        registry.register_with_unit("http_request", help, Unit::Seconds, self.request_seconds.clone());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", build);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_reads_names_units_and_few_labels() {
        let metrics = Metrics::new();
        metrics.job_changed(None, Some(Phase::Accepted));
        metrics.job_changed(Some(Phase::Accepted), Some(Phase::Running));
        metrics.step_ended(None);
        metrics.step_ended(Some(FailureClass::OutOfMemory));
        metrics.claimed(Duration::from_millis(600));
        metrics.status_written();
        metrics.leads(true);
        metrics.answered("GET", "/{tenant}/ogc-api/jobs", 200, Duration::from_millis(1));
        let text = metrics.text();
        let mut samples: Vec<&str> =
            text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket")).collect();
        samples.sort_unstable();
        insta::assert_snapshot!(samples.join("\n"), @r#"
        weir_build_info{version="0.1.0"} 1
        weir_http_request_seconds_count{method="GET",route="/{tenant}/ogc-api/jobs"} 1
        weir_http_request_seconds_sum{method="GET",route="/{tenant}/ogc-api/jobs"} 0.001
        weir_http_requests_total{method="GET",route="/{tenant}/ogc-api/jobs",status="200"} 1
        weir_jobs{phase="accepted"} 0
        weir_jobs{phase="running"} 1
        weir_journal_append_seconds_count 0
        weir_journal_append_seconds_sum 0.0
        weir_leader 1
        weir_pod_start_seconds_count 1
        weir_pod_start_seconds_sum 0.6
        weir_status_writes_total 1
        weir_step_ends_total{class="OutOfMemory"} 1
        weir_step_ends_total{class="Succeeded"} 1
        weir_swept_runs_total 0
        "#);
    }
}
