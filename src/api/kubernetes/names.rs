//! Names, labels and annotations of the objects that weir makes or reads.

/// API group of the custom resources.
pub const GROUP: &str = "weir.dev";

/// Label of a namespace: its tenant; the namespace's name where it is missing. Annotation of a ProcessJob, set on acceptance:
/// the tenant with which it was accepted, under whose prefix its journal stands whatever becomes of the label.
pub const TENANT: &str = "weir.dev/tenant";

/// Annotation of a ProcessJob, set on acceptance: keys its journal. A restored backup is reattached by it.
pub const RUN_ID: &str = "weir.dev/run-id";

/// Annotation of a ProcessJob, set on acceptance: digest of what is fixed from then on.
pub const SPEC_DIGEST: &str = "weir.dev/spec-digest";

/// Annotation of a ProcessJob that was created over HTTP: id of its process.
pub const PROCESS_ID: &str = "weir.dev/process-id";

/// Annotation of a ProcessJob with a subscriber that was created over HTTP: what links to it begin with, as its client
/// reached the façade.
pub const ORIGIN: &str = "weir.dev/origin";

/// Annotation of a ProcessJob with a subscriber: the phase that the subscriber was told last.
pub const TOLD: &str = "weir.dev/told";

/// Annotation of a Process that was deployed over HTTP: what was deployed besides the package, as JSON.
pub const DEPLOYED: &str = "weir.dev/deployed";

/// Label of a step's pod: the run id, as far as a label can hold one (run ids of weir are UUIDs).
pub const RUN: &str = "weir.dev/run";

/// Label of a step's pod: the ProcessJob's name, cut to 63 characters. For people: nothing in weir selects by it.
pub const JOB: &str = "weir.dev/job";

/// Label of a step's pod: the step's id (`node_crop`), for people.
pub const STEP: &str = "weir.dev/step";

/// Annotation of a step's pod: path of the step instance (`node_water_bodies[1]/node_crop[0]`); absent while the pod waits
/// for one.
pub const INSTANCE: &str = "weir.dev/instance";

/// Label of a step's pod: number of the incarnation.
pub const INCARNATION: &str = "weir.dev/incarnation";

/// Annotation of a step's pod: digest of what it was built from. A pod found under our name is adopted only if it matches.
pub const SPEC_HASH: &str = "weir.dev/spec-hash";

/// Label of the operator's pod that leads; the agents' Service selects by it.
pub const LEADER: &str = "weir.dev/leader";

/// Well-known label: who made the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Value of [`MANAGED_BY`].
pub const WEIR: &str = "weir";

/// Field manager of weir's writes.
pub const FIELD_MANAGER: &str = "weir";

/// Audience of the agents' tokens: worth nothing at the API server.
pub const AGENT_AUDIENCE: &str = "weir-agent";

/// Name of the agent's container.
pub const AGENT_CONTAINER: &str = "agent";

/// Name of the tool's container.
pub const TOOL_CONTAINER: &str = "tool";
