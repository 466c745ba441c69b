//! Every limit of the operator with its unit and its reason (invariant I7).

use std::time::Duration;

/// How long the agents' authority is good: longer than anybody keeps a cluster without looking at it.
pub const AUTHORITY_TIME: Duration = Duration::from_hours(10 * 365 * 24);

/// How long the certificate that agents see is good. It is renewed at half of it, in memory.
pub const CERTIFICATE_TIME: Duration = Duration::from_hours(30 * 24);

/// By how much the clock of a node may be behind the operator's.
pub const CLOCK_SKEW: Duration = Duration::from_hours(1);

/// Connections of agents at the same time; more wait to be accepted. An agent has one while it asks, and none while its
/// tool runs. One takes about 30 KiB.
pub const AGENT_CONNECTIONS: usize = 4096;

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How long the head of a request may take, and how long a connection may be idle. More than the 15 s after which an
/// agent takes no idle connection any more, so that it never meets one that was just closed.
pub const AGENT_IDLE: Duration = Duration::from_secs(20);

/// Bytes of the head of a request.
pub const AGENT_HEAD_BYTES: usize = 32 << 10;

/// How long a connection is used; then it is closed after its request.
pub const AGENT_CONNECTION_TIME: Duration = Duration::from_mins(10);

/// How long the last request of a connection may take, answer included; longer than all of its parts.
pub const AGENT_REQUEST_TIME: Duration = Duration::from_mins(3);

/// How long requests under way may take when the operator stops.
pub const AGENT_STOP_GRACE: Duration = Duration::from_secs(5);

/// How long the body of a request may take.
pub const AGENT_BODY_TIME: Duration = Duration::from_mins(1);

/// Bytes of a claim.
pub const CLAIM_BYTES_MAX: usize = 4 << 10;

/// KiB of reports in memory at the same time; more wait. A usual report has 2 KiB.
pub const REPORTS_KIB_MAX: u32 = 192 << 10;

/// Bytes of a report above which it is read by a thread of its own.
pub const REPORT_BYTES_INLINE: usize = 256 << 10;

/// How long a claim waits for its order before the agent is told to ask again. Below the minute after which many
/// balancers close a silent connection.
pub const CLAIM_HOLD: Duration = Duration::from_secs(50);

/// How long a report waits for the job's actor, which evaluates and appends to the journal.
pub const REPORT_HOLD: Duration = Duration::from_mins(1);

/// How long an agent's token is believed after one review: as long as the shortest time that most clusters give a token.
pub const SESSION_TIME: Duration = Duration::from_hours(1);

/// Tokens that are remembered, 300 bytes each.
pub const SESSIONS: usize = 16_384;

/// Bytes of a token.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// TokenReviews at the same time; more wait.
pub const REVIEWS: usize = 16;

/// How long a TokenReview may take, the wait for its turn included.
pub const REVIEW_TIME: Duration = Duration::from_secs(15);

/// Connections to health and metrics at the same time; more wait to be accepted.
pub const HEALTH_CONNECTIONS: usize = 16;

/// How long such a connection is kept, whatever it does.
pub const HEALTH_CONNECTION_TIME: Duration = Duration::from_mins(1);

/// How long any request to the API server may be silent. Watches hear of something at least once in five minutes, or are
/// asked anew.
pub const API_READ_TIME: Duration = Duration::from_secs(295);

/// How long a connection to the API server may take to be made.
pub const API_CONNECT_TIME: Duration = Duration::from_secs(5);

/// Between two tries to reach what is needed at the start.
pub const START_RETRY: Duration = Duration::from_secs(2);

/// How long the parts of the operator may take to stop in good order. Kubernetes kills it after 30 s; what it leaves
/// behind is as good as after a crash.
pub const STOP_TIME: Duration = Duration::from_secs(10);

/// Between two looks for runs that nobody names any more.
pub const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// How long a run's objects stay after nobody named it any more, and after the last of them was written.
pub const SWEEP_AGE: Duration = Duration::from_hours(24);

/// Runs, or objects of one run, that one look of the sweep reads about at most, 150 bytes each; more are left to the next one.
pub const SWEEP_LISTED_MAX: usize = 200_000;

/// Bytes of a message in a condition: the API server takes 32 KiB, a person reads less, and the whole object stays small.
pub const CONDITION_MESSAGE_BYTES: usize = 4 << 10;

/// Bytes of the inputs inside a ProcessJob: larger ones live in the store (`inputsRef`), so that the object stays under
/// 256 KiB.
pub const INLINE_INPUTS_BYTES_MAX: usize = 64 << 10;

/// Seconds before the package of a Process is tried again after it could not be had; doubled for each further try.
pub const PACKAGE_RETRY_SECONDS: u64 = 10;

/// Seconds that such a retry waits at most: what mends itself is seen within minutes, and a dead server is asked rarely.
pub const PACKAGE_RETRY_SECONDS_MAX: u64 = 600;

/// Packages that are resolved at the same time: each holds its texts in memory, and may wait for a slow server.
pub const RESOLVING_MAX: u16 = 8;

/// Bytes of a package with all of its imports in the store: what the loader takes, written as JSON.
pub const STORED_PACKAGE_BYTES_MAX: u64 = 256 << 20;

/// Counted attempts of one step instance that a job may ask for: more only hides a defect, and costs.
pub const ATTEMPTS_ASKED_MAX: i64 = 10;

/// Thousandths of a core that the agent of a step's pod asks for: it waits, copies bytes and computes digests.
pub const AGENT_CPU_MILLICORES: u32 = 20;

/// Mebibytes of memory that it asks for: measured below 16 with eight transfers.
pub const AGENT_MEMORY_MIB: u64 = 32;

/// Mebibytes of memory that it may use: an order or a `cwl.output.json` of 64 MiB stands in memory as JSON and as values.
pub const AGENT_MEMORY_LIMIT_MIB: u64 = 512;

/// Mebibytes of memory that a tool's container may use at least: shim, runtime and a program that does nothing.
pub const TOOL_MEMORY_LIMIT_MIB_MIN: u64 = 32;

/// Seconds between SIGTERM and SIGKILL of a step's pod: the tool has 10 of them, the rest is for reports and the log.
pub const POD_GRACE_SECONDS: i64 = 30;

/// Seconds that a pod stays bound to a node that is not ready or not reachable: longer than a kubelet's restart.
pub const NODE_LOST_SECONDS: i64 = 30;

/// Seconds after its start at which a pod is ended in any case: a week, the backstop of everything that has no own limit.
pub const POD_SECONDS_MAX: i64 = 7 * 24 * 3600;

/// Seconds that a pod has besides its tool's time limit, for images, waiting, inputs and outputs: a day.
pub const POD_MARGIN_SECONDS: i64 = 24 * 3600;

/// Seconds that an agent's token is valid; the kubelet renews it at 80 %.
pub const AGENT_TOKEN_SECONDS: i64 = 3600;

/// Characters of the kubelet's or the API server's words in a message: a status is read on a terminal.
pub const QUOTE_CHARACTERS_MAX: usize = 400;

/// Seconds that a pod may take to start before anything is said about it.
pub const POD_QUIET_SECONDS: u64 = 20;

/// Seconds that a pod may run without a word of its agent: longer than a fail-over and a restart of the network.
pub const AGENT_SILENT_SECONDS_MAX: u64 = 300;

/// Seconds that a node may prepare a pod without an error: images of 10 GiB exist, and slow links to their registries.
pub const POD_START_SECONDS_MAX: u64 = 1800;

/// Seconds that a pod may stay as its node's restart left it: longer than the kubelet takes for a first look.
pub const POD_ABANDONED_SECONDS_MAX: u64 = 60;

/// Calls of agents that wait for one actor. Each pod has one call under way; whoever finds the mailbox full asks again.
pub const MAILBOX_CALLS: usize = 1024;

/// Jobs that are accepted or taken up at the same time: each reads a journal and builds an intent.
pub const STARTS_AT_ONCE: usize = 16;

/// Requests that create or delete pods at the same time, of all jobs: the API server's own bound for one client is near.
pub const POD_REQUESTS_AT_ONCE: usize = 32;

/// How long a job waits for its Process before it fails: long enough for `kubectl apply` of a folder in any order.
pub const PROCESS_WAIT: Duration = Duration::from_mins(10);

/// How long the creation of a pod is tried while the API server cannot or may not take it.
pub const CREATE_WAIT: Duration = Duration::from_mins(10);

/// How long a report of an agent may be on its way after its pod ended (invariant I3): the agent itself is gone by then.
pub const REPORT_WAIT: Duration = Duration::from_secs(2);

/// Between the order to stop and the moment from which a pod's silence is taken for its end. Longer than the grace.
pub const STOP_WAIT: Duration = Duration::from_mins(1);

/// How long the end of a failed job waits until the kubelet tells of its pod's too; it looks once a second.
pub const FAILED_POD_WAIT: Duration = Duration::from_secs(10);

/// Failed pods that one job keeps for people to look at.
pub const FAILED_PODS_KEPT: usize = 20;

/// How long failed pods of a finished job are kept.
pub const FAILED_PODS_KEPT_FOR: Duration = Duration::from_hours(24);

/// Between two status writes of one job; the terminal one goes at once.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait of an actor for anything; planning again costs nothing.
pub const ACTOR_WAIT: Duration = Duration::from_mins(1);

/// First wait after something outside failed; doubled each time.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(200);

/// Longest such wait.
pub const BACKOFF_MAX: Duration = Duration::from_secs(20);

/// One request to the API server is given up after this long.
pub const API_REQUEST_TIME: Duration = Duration::from_secs(30);

/// Steps that a status lists.
pub const STATUS_STEPS_MAX: usize = 100;

/// Bytes of a message in a status. Kubernetes allows 32 KiB in a condition; it stands in three places.
pub const STATUS_MESSAGE_BYTES: usize = 2048;

/// Bytes of the output object in a status; larger ones stand in the store only.
pub const STATUS_RESULTS_BYTES: usize = 16 << 10;

/// Kubernetes events that wait to be written, of all jobs, warnings and others each; more are dropped.
pub const EVENTS_WAITING: usize = 256;

/// Kubernetes events a second, of all jobs. They are for people; who needs each fact reads the status.
pub const EVENTS_A_SECOND: u32 = 20;

/// Bytes of the note of a Kubernetes event (Kubernetes: 1 kB).
pub const EVENT_NOTE_BYTES: usize = 1000;

/// Objects of a deleted job that are removed from the store with one listing.
pub const CLEANUPS_AT_ONCE: usize = 4;

/// Bytes of one argument of a tool: the kernel's limit (`MAX_ARG_STRLEN`, 32 pages). Checked for a better message than
/// `E2BIG`.
pub const ARGUMENT_BYTES_MAX: usize = 128 << 10;

/// Bytes of an order as JSON: agents take answers of 64 MiB, and the answer is a little more than the order.
pub const ORDER_BYTES_MAX: usize = (64 << 20) - 4096;

/// How long presigned requests for inputs and outputs are good: an agent makes them at once, but a large transfer may
/// begin anew again and again.
pub const PRESIGNED_TIME: Duration = Duration::from_hours(24);

/// How long the presigned request for a log is good, which is made when the tool has ended: as long as there can be one.
pub const PRESIGNED_LOG_TIME: Duration = weir_store::presign::LONGEST;

/// Files whose contents collecting one tool's outputs may need: 1,000 times 64 KiB is what a request can hold.
pub const READS_MAX: usize = 1000;

/// Members of manifests that a job keeps in memory (about 300 bytes each): 1,000 running jobs stay below 300 MiB, and a
/// manifest that is needed again is read again.
pub const MANIFEST_MEMBERS_CACHED: usize = 1000;

/// Server-side copies of one job at the same time: enough to hide a request's latency, few enough for a small store.
pub const COPIES_AT_ONCE: usize = 16;

/// Tries of one request to the results' bucket; whoever publishes tries the whole again later.
pub const RESULT_TRIES: u32 = 4;

/// How long the publishing of a job's outputs is tried after its last step, while their bucket cannot be written: somebody
/// mends a quota or credentials the next day. A job that states `timeoutSeconds` may end sooner, unless its catalogs are being
/// written.
pub const PUBLISH_WAIT: Duration = Duration::from_hours(24);

/// How long the catalogs are tried at most where no leader stays for [`PUBLISH_WAIT`]: some of them may be visible already,
/// and the cluster may have been off for a weekend.
pub const COMMITTED_WAIT: Duration = Duration::from_hours(7 * 24);

/// Time that one request to the results' bucket may take: a copy of 5 GiB within a slow store.
pub const RESULT_REQUEST_TIME: Duration = Duration::from_mins(10);

/// Bytes of an answer of the results' bucket that are read: an owner marker, or an error document.
pub const RESULT_ANSWER_BYTES_MAX: usize = 64 << 10;

/// Characters of the title and of the version of a Process: they stand in lists.
pub const TITLE_CHARACTERS_MAX: usize = 1024;

/// Seconds that one look after a Process may take: a package with many imports from slow servers.
pub const PROCESS_SECONDS_MAX: u64 = 300;

/// Seconds after which a Process whose id is taken is looked at again: the older one may be gone.
pub const TAKEN_ID_SECONDS: u64 = 30;

/// Runs that one look remembers or removes at most.
pub const SWEEP_RUNS_MAX: usize = 20_000;

/// How long the kubelet may take to say how a tool's container ended that its agent lost (invariant I3).
pub const KUBELET_WAIT: Duration = Duration::from_secs(10);

/// How long a server that does not answer, or answers 5xx, is asked for an input's size or beginning: longer than its
/// restart. A step waits meanwhile, and a thread with it.
pub const REMOTE_WAIT: Duration = Duration::from_mins(1);

/// How long the pods of a finished job may take to end by themselves: their agents have said all, and the kubelet tells
/// the pod's phase a second or two later.
pub const POD_END_WAIT: Duration = Duration::from_secs(20);

/// Bytes of a step's name in a status: the custom resource takes 1024 characters, and refuses the whole status otherwise.
pub const STATUS_WORD_BYTES: usize = 512;

/// Connections of one address at the same time, of [`AGENT_CONNECTIONS`]: no tool in a pod can keep the agents of others
/// away by itself. Where a node speaks for its pods, all of them fit.
pub const AGENT_CONNECTIONS_A_PEER: usize = 1024;

/// How long the façade still takes connections after the replica was asked to stop: until no load balancer knows it.
pub const FACADE_DRAIN_TIME: Duration = Duration::from_secs(2);

/// Bytes of package texts whose processes the façade keeps loaded: the largest one that a request can bring, or hundreds of
/// usual ones. A loaded package takes some ten times its text: 160 MiB. Tenants share it equally.
pub const FACADE_PACKAGES_BYTES: usize = 16 << 20;

/// Packages of one tenant that are read from the store at the same time, of [`FACADE_READERS`]: one that takes long does not
/// keep its others waiting, nor those of other tenants.
pub const FACADE_READERS_A_TENANT: usize = 2;

/// Packages of all tenants that are read from the store at the same time: each is held in memory, and keeps a thread busy.
pub const FACADE_READERS: usize = 8;

/// Bytes that the smallest package counts for: 1,024 of them are kept.
pub const FACADE_PACKAGE_BYTES_MIN: usize = 8 << 10;

/// Bytes of an application package and a process description that are kept with a Process: with a package of 64 KiB the
/// object stays under 256 KiB.
pub const FACADE_BESIDES_BYTES_MAX: usize = 128 << 10;

/// Bytes of a request's `outputs` as JSON that are kept with a job: a thousand outputs with a schema each do not need more.
pub const FACADE_OUTPUTS_BYTES_MAX: usize = 32 << 10;

/// How long a deployed process may take until the leader has looked at it: the time in which another replica takes over,
/// twice, and a slow import.
pub const FACADE_DEPLOY_WAIT: Duration = Duration::from_mins(1);

/// Tries to write one change of a process over what others write at the same time, and to undo one: the leader writes two
/// statuses for each change.
pub const FACADE_CHANGE_TRIES: u32 = 8;

/// How long a request waits until this replica sees what the API server has already deleted.
pub const FACADE_SEEN_WAIT: Duration = Duration::from_secs(2);

/// How long a request waits for a job that it has dismissed to end. Tools have 10 s from SIGTERM, and clients are patient
/// for 30 s.
pub const FACADE_DISMISS_WAIT: Duration = Duration::from_secs(20);

/// Seconds after which a tenant with too many jobs may try again.
pub const FACADE_RETRY_AFTER_SECONDS: u32 = 10;

/// Tries to create one job whose creation is in doubt: a second between the first and the last.
pub const FACADE_CREATE_TRIES: u32 = 3;

/// Tries to note that a subscriber was told: about a minute.
pub const FACADE_TOLD_TRIES: u32 = 9;

/// Objects that one tenant's requests ask the API server for at the same time, because this replica has not seen them, a
/// job is to run them, or somebody wants the results of a job that was not seen over: its share of what the API server gives one client at once, in whose name the controllers ask too. At
/// 3 ms each, 2,600 a second.
pub const FACADE_LOOKUPS_A_TENANT: usize = 8;

/// How long a request waits for its turn among those: the API server is slow then, and more waiting makes nothing faster.
pub const FACADE_LOOKUP_WAIT: Duration = Duration::from_secs(5);

/// Logs that are remembered of the jobs that were asked about last, 200 bytes each.
pub const FACADE_LOGS_KNOWN: usize = 100_000;

/// Jobs whose results are known to be their own, 100 bytes each.
pub const FACADE_OWNERS_KNOWN: usize = 10_000;
