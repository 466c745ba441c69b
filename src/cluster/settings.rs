//! The operator's settings, validated. The command line reads them from options and environment variables.

use std::collections::BTreeSet;
use std::net::SocketAddr;

pub use weir_fetch::FetchSettings;
use weir_http::auth::OidcSettings;
use weir_store::S3Settings;

use crate::lease::Timing;

/// Everything that the operator is told from outside.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The operator's own namespace: its lease, its certificates.
    pub namespace: String,
    /// Its own pod, which it labels when it leads; `None` outside of a cluster.
    pub pod_name: Option<String>,
    /// Name of the Lease by which replicas choose their leader.
    pub lease: String,
    /// How fast a leader is followed.
    pub lease_timing: Timing,
    /// Whether there is one replica at most: only then the store may ignore `If-None-Match`.
    pub single_replica: bool,
    /// Namespaces that are watched; empty: all.
    pub namespaces: Vec<String>,
    /// Where agents are listened to (TLS).
    pub agents_listen: SocketAddr,
    /// Where agents find the leader: `https://weir-agents.<namespace>.svc:8443`.
    pub agents_url: String,
    /// Where health and metrics are served.
    pub health_listen: SocketAddr,
    /// The OGC façade.
    pub facade: FacadeSettings,
    /// The store's bucket, as the operator reaches it. Pods reach it at the same address.
    pub store: S3Settings,
    /// Bucket of published results, in the same service. `{tenant}` stands for the tenant.
    pub results_bucket: String,
    /// What pods are like.
    pub pods: PodSettings,
    /// Fetching packages and looking at inputs by URL.
    pub fetch: FetchSettings,
    /// Step instances of one job at the same time, unless the job asks for fewer.
    pub parallelism: u32,
    /// Step instances of one tenant at the same time.
    pub tenant_parallelism: u32,
    /// Whether the next step's pod is created ahead.
    pub lookahead: bool,
    /// Whether tools get the GPUs that they only hint at: where no node has one, such a step would never run.
    pub hinted_gpus: bool,
    /// Seconds that a finished ProcessJob stays, unless it says otherwise.
    pub ttl_seconds: u64,
}

/// What step pods are like.
#[derive(Debug, Clone)]
pub struct PodSettings {
    /// Image with `weir-agent` and `weir-shim`.
    pub agent_image: String,
    /// Image of the built-in raster tools: what a package's bare image names of [`PodSettings::own_images`] mean.
    pub eo_image: String,
    /// Bare image names (`weir-eo`) that mean [`PodSettings::eo_image`].
    pub own_images: BTreeSet<String>,
    /// Image of a tool that names none.
    pub default_image: String,
    /// `IfNotPresent`, `Always` or `Never`.
    pub image_pull_policy: String,
    /// Prefixes of image names that packages may use; empty: any.
    pub allowed_images: Vec<String>,
    /// User of both containers; `None` lets the platform choose (OpenShift).
    pub run_as_user: Option<i64>,
    /// Service account of the pods.
    pub service_account: String,
    /// How the shim gets into the tool's container at first.
    pub pod_start: PodStart,
    /// Memory limit = request times this.
    pub memory_headroom: f64,
    /// Cores that a step may ask for at most.
    pub cores_max: f64,
    /// Mebibytes of memory that a step may ask for at most, also after it ran out of memory.
    pub ram_mib_max: u64,
    /// Seconds that a pod may be unschedulable, or refused by a quota, before its step fails.
    pub unschedulable_seconds: u64,
    /// Seconds that an image may be unavailable before its step fails.
    pub image_seconds: u64,
    /// Whether CWL `NetworkAccess` is enforced.
    pub enforce_network_access: bool,
    /// Labels of nodes that jobs may select by.
    pub node_selector_keys: Vec<String>,
    /// Whether jobs may state tolerations.
    pub allow_tolerations: bool,
    /// Whether jobs may state a priority class.
    pub allow_priority_class: bool,
    /// Secrets with registry credentials, for every pod.
    pub image_pull_secrets: Vec<String>,
}

/// How the shim gets into the tool's container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodStart {
    /// By the agent container's postStart hook: 0.1 s.
    Hook,
    /// By an init container: 0.6 s, and no way to fail half.
    Init,
}

/// The OGC façade of this cluster.
#[derive(Debug, Clone)]
pub struct FacadeSettings {
    /// Where it is served.
    pub listen: SocketAddr,
    /// Jobs of one tenant that are not over at the same time.
    pub unfinished_jobs_max: usize,
    /// The S3 endpoint of published results as clients reach it; `None`: as the operator does.
    pub results_endpoint: Option<String>,
    /// Links, proxies.
    pub http: weir_http::Settings,
    /// Whose tokens requests need; `None`: nobody has to say who he is.
    pub oidc: Option<OidcSettings>,
}
