//! `weir operator`: what the user typed, or set in the environment, becomes the operator's settings.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum, value_parser};
use weir_cluster::lease::Timing;
use weir_cluster::settings::{FacadeSettings, FetchSettings, PodSettings, PodStart, Settings};
use weir_store::S3Settings;

use super::exit;
use super::oidc::OidcArgs;
use super::telemetry::{self, Format};

const STORE: &str = "Object store";
const NETWORK: &str = "Network";
const PODS: &str = "Pods of steps";
const JOBS: &str = "Jobs";

/// Options of `weir operator`.
#[derive(Debug, Args)]
pub struct OperatorArgs {
    /// The operator's own namespace: its Lease, the Secret with its certificates
    #[arg(long, value_name = "NAME", env = "WEIR_NAMESPACE", default_value = "weir")]
    pub namespace: String,
    /// The operator's own pod, which is labelled while it leads; left out outside of a cluster
    #[arg(long, value_name = "NAME", env = "WEIR_POD_NAME")]
    pub pod_name: Option<String>,
    /// The Lease by which replicas choose their leader
    #[arg(long, value_name = "NAME", env = "WEIR_LEASE", default_value = "weir-operator")]
    pub lease: String,
    /// A leader that was silent for so long is followed by another replica
    #[arg(long, value_name = "SECONDS", env = "WEIR_LEASE_SECONDS", default_value_t = 15, value_parser = value_parser!(u64).range(3..=600))]
    pub lease_seconds: u64,
    /// There is one replica only: accept a store that ignores `If-None-Match`
    #[arg(long, env = "WEIR_SINGLE_REPLICA")]
    pub single_replica: bool,
    /// Namespaces whose jobs are run, separated by commas [default: all]
    #[arg(long, value_name = "NAME", env = "WEIR_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Format of log lines; RUST_LOG chooses which are written
    #[arg(long, value_name = "FORMAT", env = "WEIR_LOG_FORMAT", value_enum, default_value_t = Format::Json)]
    pub log_format: Format,

    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub store: OperatorStoreArgs,
    #[command(flatten)]
    pub jobs: JobArgs,
    #[command(flatten)]
    pub pods: PodArgs,
}

/// Who listens where.
#[derive(Debug, Args)]
#[command(next_help_heading = NETWORK)]
pub struct NetworkArgs {
    /// Where agents are listened to (TLS)
    #[arg(long, value_name = "ADDRESS:PORT", env = "WEIR_AGENTS_LISTEN", default_value = "0.0.0.0:8443")]
    pub agents_listen: SocketAddr,
    /// Where agents find the leader [default: https://weir-agents.<namespace>.svc:8443]
    #[arg(long, value_name = "URL", env = "WEIR_AGENTS_URL")]
    pub agents_url: Option<String>,
    /// Where /healthz, /readyz and /metrics are served
    #[arg(long, value_name = "ADDRESS:PORT", env = "WEIR_HEALTH_LISTEN", default_value = "0.0.0.0:8080")]
    pub health_listen: SocketAddr,
    /// Where the OGC façade is served
    #[arg(long, value_name = "ADDRESS:PORT", env = "WEIR_FACADE_LISTEN", default_value = "0.0.0.0:8081")]
    pub facade_listen: SocketAddr,
    /// What all links of the façade begin with, as its clients reach it: `https://ogc.example.org` [default: what each
    /// request says]
    #[arg(long, value_name = "URL", env = "WEIR_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Proxies (10.0.0.0/8) in front of the façade whose `Forwarded` headers are believed
    #[arg(long, value_name = "NETWORK", env = "WEIR_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,
    /// Of which pages scripts may use the façade: origins (`https://maps.example.org`), separated by commas, or `*`
    /// [default: none]
    #[arg(long, value_name = "ORIGIN", env = "WEIR_CORS_ORIGINS", default_value = "", hide_default_value = true)]
    pub cors_origins: weir_http::cors::Origins,
    #[command(flatten)]
    pub oidc: OidcArgs,
    /// Networks (10.0.0.0/8) or host names, separated by commas, that packages and inputs may be fetched from besides
    /// public addresses
    #[arg(long, value_name = "NETWORK", env = "WEIR_FETCH_ALLOWED", value_delimiter = ',')]
    pub fetch_allowed: Vec<String>,
}

/// The store. Its keys are never options: everybody on the machine can read those.
#[derive(Debug, Args)]
#[command(next_help_heading = STORE)]
pub struct OperatorStoreArgs {
    /// S3-compatible service, as operator and pods reach it: `https://host[:port]`, or `http://` inside of a cluster. Keys come
    /// from WEIR_STORE_ACCESS_KEY and WEIR_STORE_SECRET_KEY
    #[arg(long, value_name = "URL", env = "WEIR_STORE_ENDPOINT")]
    pub store_endpoint: String,
    /// Region that requests are signed for
    #[arg(long, value_name = "NAME", env = "WEIR_STORE_REGION", default_value = "us-east-1")]
    pub store_region: String,
    /// Bucket of weir's own objects: journals, step outputs, logs. It belongs to one cluster alone
    #[arg(long, value_name = "NAME", env = "WEIR_STORE_BUCKET", default_value = "weir")]
    pub store_bucket: String,
    /// Bucket of published results; `{tenant}` stands for the tenant
    #[arg(long, value_name = "NAME", env = "WEIR_RESULTS_BUCKET", default_value = "results")]
    pub results_bucket: String,
    /// The store as readers of results reach it; the façade's results name it [default: as --store-endpoint says]
    #[arg(long, value_name = "URL", env = "WEIR_RESULTS_ENDPOINT")]
    pub results_endpoint: Option<String>,
    /// Certificates (PEM) to trust besides the public authorities'
    #[arg(long, value_name = "FILE", env = "WEIR_STORE_CA_FILE")]
    pub store_ca_file: Option<PathBuf>,
    /// A mounted Secret with the files `access-key` and `secret-key`, instead of the two variables
    #[arg(long, value_name = "DIR", env = "WEIR_STORE_CREDENTIALS_DIR")]
    pub store_credentials_dir: Option<PathBuf>,
}

/// Jobs, unless they say otherwise.
#[derive(Debug, Args)]
#[command(next_help_heading = JOBS)]
pub struct JobArgs {
    /// Step instances of one job at the same time
    #[arg(long, value_name = "N", env = "WEIR_PARALLELISM", default_value_t = 32, value_parser = value_parser!(u32).range(1..))]
    pub parallelism: u32,
    /// Step instances of one tenant at the same time
    #[arg(long, value_name = "N", env = "WEIR_TENANT_PARALLELISM", default_value_t = 200, value_parser = value_parser!(u32).range(1..))]
    pub tenant_parallelism: u32,
    /// Jobs of one tenant that are not over at the same time; the façade accepts no more
    #[arg(long, value_name = "N", env = "WEIR_TENANT_JOBS", default_value_t = 1000, value_parser = value_parser!(u32).range(1..))]
    pub tenant_jobs: u32,
    /// Whether the pod of the next step is created while the one before it runs
    #[arg(long, value_name = "BOOL", env = "WEIR_LOOKAHEAD", default_value_t = true, action = clap::ArgAction::Set)]
    pub lookahead: bool,
    /// Whether tools get the GPUs that they only hint at (cwltool:CUDARequirement); those that require them always do
    #[arg(long, value_name = "BOOL", env = "WEIR_HINTED_GPUS", default_value_t = false, action = clap::ArgAction::Set)]
    pub hinted_gpus: bool,
    /// Seconds that a finished job, its journal and its logs stay
    #[arg(long, value_name = "SECONDS", env = "WEIR_TTL_SECONDS", default_value_t = 2_592_000)]
    pub ttl_seconds: u64,
}

/// What pods of steps are like.
#[derive(Debug, Args)]
#[command(next_help_heading = PODS)]
pub struct PodArgs {
    /// Image with weir-agent and weir-shim
    #[arg(long, value_name = "IMAGE", env = "WEIR_AGENT_IMAGE")]
    pub agent_image: String,
    /// Image of the built-in raster tools
    #[arg(long, value_name = "IMAGE", env = "WEIR_EO_IMAGE")]
    pub eo_image: String,
    /// Bare image names in packages that mean --eo-image, separated by commas
    #[arg(long, value_name = "NAME", env = "WEIR_OWN_IMAGES", value_delimiter = ',', default_value = "weir-eo")]
    pub own_images: Vec<String>,
    /// Image of a tool that names none
    #[arg(
        long,
        value_name = "IMAGE",
        env = "WEIR_DEFAULT_IMAGE",
        default_value = "docker.io/library/debian:stable-slim"
    )]
    pub default_image: String,
    /// When images are pulled
    #[arg(long, value_name = "POLICY", env = "WEIR_IMAGE_PULL_POLICY", value_enum, default_value_t = PullPolicy::IfNotPresent)]
    pub image_pull_policy: PullPolicy,
    /// Packages may use images whose names begin with one of these only, separated by commas [default: any image]
    #[arg(long, value_name = "PREFIX", env = "WEIR_ALLOWED_IMAGES", value_delimiter = ',')]
    pub allowed_images: Vec<String>,
    /// Secrets of the job's namespace with registry credentials, separated by commas
    #[arg(long, value_name = "NAME", env = "WEIR_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    pub image_pull_secrets: Vec<String>,
    /// Service account of the job's namespace
    #[arg(long, value_name = "NAME", env = "WEIR_STEP_SERVICE_ACCOUNT", default_value = "default")]
    pub step_service_account: String,
    /// User of tools and agents; empty: the platform chooses
    #[arg(long, value_name = "UID", env = "WEIR_RUN_AS_USER", default_value = "10001")]
    pub run_as_user: User,
    /// How the shim gets into a tool's container at first
    #[arg(long, value_name = "WAY", env = "WEIR_POD_START", value_enum, default_value_t = Start::Hook)]
    pub pod_start: Start,
    /// Memory limit of a tool = what it requests times this
    #[arg(long, value_name = "FACTOR", env = "WEIR_MEMORY_HEADROOM", default_value_t = 2.0)]
    pub memory_headroom: f64,
    /// Cores that a step may ask for at most
    #[arg(long, value_name = "CORES", env = "WEIR_CORES_MAX", default_value_t = 16.0)]
    pub cores_max: f64,
    /// Mebibytes of memory that a step may ask for at most, also after it ran out of memory
    #[arg(long, value_name = "MIB", env = "WEIR_RAM_MIB_MAX", default_value_t = 65_536, value_parser = value_parser!(u64).range(1..))]
    pub ram_mib_max: u64,
    /// Seconds that a step waits for a node or for quota before it fails
    #[arg(long, value_name = "SECONDS", env = "WEIR_UNSCHEDULABLE_SECONDS", default_value_t = 1800)]
    pub unschedulable_seconds: u64,
    /// Seconds that a step waits for its image before it fails
    #[arg(long, value_name = "SECONDS", env = "WEIR_IMAGE_SECONDS", default_value_t = 600)]
    pub image_seconds: u64,
    /// Whether tools without CWL's NetworkAccess are kept off the network
    #[arg(long, value_name = "BOOL", env = "WEIR_ENFORCE_NETWORK_ACCESS", default_value_t = false, action = clap::ArgAction::Set)]
    pub enforce_network_access: bool,
    /// Labels of nodes that jobs may select by, separated by commas [default: none]
    #[arg(long, value_name = "LABEL", env = "WEIR_NODE_SELECTOR_KEYS", value_delimiter = ',')]
    pub node_selector_keys: Vec<String>,
    /// Whether jobs may state tolerations
    #[arg(long, value_name = "BOOL", env = "WEIR_ALLOW_TOLERATIONS", default_value_t = false, action = clap::ArgAction::Set)]
    pub allow_tolerations: bool,
    /// Whether jobs may state a priority class
    #[arg(long, value_name = "BOOL", env = "WEIR_ALLOW_PRIORITY_CLASS", default_value_t = false, action = clap::ArgAction::Set)]
    pub allow_priority_class: bool,
}

/// `imagePullPolicy`, in Kubernetes' words.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PullPolicy {
    /// Unless the node has it
    IfNotPresent,
    /// Asked for at every start
    Always,
    /// The node must have it
    Never,
}

/// How the shim gets into a tool's container.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Start {
    /// By the agent's postStart hook: fast; an init container is used once that failed
    Hook,
    /// By an init container
    Init,
}

/// A numeric user, or nobody in particular.
#[derive(Debug, Clone, Copy)]
pub struct User(Option<i64>);

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" => Ok(Self(None)),
            number => match number.parse() {
                Ok(0) => Err("0 is root, which the restricted standard refuses; take another user".to_owned()),
                Ok(user @ 1..=4_294_967_294) => Ok(Self(Some(user))),
                _ => Err("it must be a number, or empty to let the platform choose".to_owned()),
            },
        }
    }
}

/// Runs until SIGTERM, or until this replica must not go on.
pub fn operator(args: &OperatorArgs) -> Result<ExitCode> {
    telemetry::formatted("info,object_store=warn", args.log_format);
    let settings = settings(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    let ended = runtime.block_on(weir_cluster::operator::run(settings));
    // Work that blocks a thread is as good as after a crash.
    runtime.shutdown_background();
    // The log has said why.
    Ok(if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILURE) })
}

fn settings(args: &OperatorArgs) -> Result<Settings> {
    let OperatorArgs { network, store, jobs, pods, .. } = args;
    let agents_url = match &network.agents_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("https://weir-agents.{}.svc:8443", args.namespace),
    };
    ensure!(
        agents_url.strip_prefix("https://").is_some_and(|host| !host.is_empty() && !host.contains('/')),
        "--agents-url {agents_url}: write it as https://HOST:PORT"
    );
    ensure!(!store.results_bucket.is_empty(), "--results-bucket is empty");
    ensure!(
        pods.memory_headroom.is_finite() && pods.memory_headroom >= 1.0,
        "--memory-headroom {}: it must be 1 or more",
        pods.memory_headroom
    );
    ensure!(
        pods.cores_max.is_finite() && pods.cores_max > 0.0,
        "--cores-max {}: it must be more than 0",
        pods.cores_max
    );
    Ok(Settings {
        namespace: args.namespace.clone(),
        pod_name: args.pod_name.clone(),
        lease: args.lease.clone(),
        lease_timing: Timing::of_seconds(args.lease_seconds),
        single_replica: args.single_replica,
        namespaces: named(&args.namespaces),
        agents_listen: network.agents_listen,
        agents_url,
        health_listen: network.health_listen,
        facade: FacadeSettings {
            listen: network.facade_listen,
            unfinished_jobs_max: usize::try_from(jobs.tenant_jobs).unwrap_or(usize::MAX),
            results_endpoint: stated(store.results_endpoint.as_ref()),
            http: weir_http::Settings {
                public_url: stated(network.public_url.as_ref())
                    .map(|url| url.parse())
                    .transpose()
                    .context("--public-url")?,
                trusted_proxies: named(&network.trusted_proxies)
                    .iter()
                    .map(|network| network.parse())
                    .collect::<Result<_, _>>()
                    .context("--trusted-proxies")?,
                origins: network.cors_origins.clone(),
                loopback_only: false,
            },
            oidc: network.oidc.provider()?,
        },
        store: bucket(store)?,
        results_bucket: store.results_bucket.clone(),
        pods: PodSettings {
            agent_image: pods.agent_image.clone(),
            eo_image: pods.eo_image.clone(),
            own_images: named(&pods.own_images).into_iter().collect::<BTreeSet<_>>(),
            default_image: pods.default_image.clone(),
            image_pull_policy: format!("{:?}", pods.image_pull_policy),
            allowed_images: named(&pods.allowed_images),
            run_as_user: pods.run_as_user.0,
            service_account: pods.step_service_account.clone(),
            pod_start: match pods.pod_start {
                Start::Hook => PodStart::Hook,
                Start::Init => PodStart::Init,
            },
            memory_headroom: pods.memory_headroom,
            cores_max: pods.cores_max,
            ram_mib_max: pods.ram_mib_max,
            unschedulable_seconds: pods.unschedulable_seconds,
            image_seconds: pods.image_seconds,
            enforce_network_access: pods.enforce_network_access,
            node_selector_keys: named(&pods.node_selector_keys),
            allow_tolerations: pods.allow_tolerations,
            allow_priority_class: pods.allow_priority_class,
            image_pull_secrets: named(&pods.image_pull_secrets),
        },
        fetch: FetchSettings { allowed: named(&network.fetch_allowed) },
        parallelism: jobs.parallelism,
        tenant_parallelism: jobs.tenant_parallelism,
        lookahead: jobs.lookahead,
        hinted_gpus: jobs.hinted_gpus,
        ttl_seconds: jobs.ttl_seconds,
    })
}

/// A variable that is set to nothing says nothing.
fn stated(text: Option<&String>) -> Option<String> {
    text.map(|text| text.trim_end_matches('/').to_owned()).filter(|text| !text.is_empty())
}

/// A list without its empty items: `a,,b`, or a variable that is set to nothing.
fn named(list: &[String]) -> Vec<String> {
    list.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

fn bucket(args: &OperatorStoreArgs) -> Result<S3Settings> {
    let endpoint = args.store_endpoint.trim_end_matches('/');
    let allow_http = endpoint.starts_with("http://");
    ensure!(
        allow_http || endpoint.starts_with("https://"),
        "--store-endpoint {endpoint}: write it as https://HOST[:PORT] or http://HOST[:PORT]"
    );
    let (access_key, secret_key) = match &args.store_credentials_dir {
        Some(dir) => (secret(dir, "access-key")?, secret(dir, "secret-key")?),
        None => keys_of_environment()?,
    };
    let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    Ok(S3Settings {
        endpoint: endpoint.to_owned(),
        region: args.store_region.clone(),
        bucket: args.store_bucket.clone(),
        access_key,
        secret_key,
        allow_http,
        trusted: args.store_ca_file.as_ref().map(read).transpose()?,
    })
}

fn keys_of_environment() -> Result<(String, String)> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable("WEIR_STORE_ACCESS_KEY"), variable("WEIR_STORE_SECRET_KEY")) {
        (Some(access_key), Some(secret_key)) => Ok((access_key, secret_key)),
        _ => bail!(
            "no keys of the store: set WEIR_STORE_ACCESS_KEY and WEIR_STORE_SECRET_KEY, or name a mounted Secret with \
             --store-credentials-dir"
        ),
    }
}

/// A file of a mounted Secret.
fn secret(dir: &Path, name: &str) -> Result<String> {
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = text.trim();
    ensure!(!text.is_empty(), "{} is empty", path.display());
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::*;

    fn parse(options: &[&str]) -> Result<Settings> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("access-key"), "weir\n").unwrap();
        std::fs::write(folder.path().join("secret-key"), "geheim").unwrap();
        let mut arguments = vec!["weir", "operator", "--agent-image", "weir:1", "--eo-image", "weir-eo:1"];
        arguments.extend(["--store-credentials-dir", folder.path().to_str().unwrap()]);
        if !options.contains(&"--store-endpoint") {
            arguments.extend(["--store-endpoint", "http://weir-store:9000"]);
        }
        arguments.extend(options);
        let Command::Operator(args) = Cli::try_parse_from(arguments)?.command else { bail!("another command") };
        settings(&args)
    }

    fn refused(options: &[&str]) -> String {
        let message = parse(options).unwrap_err().to_string();
        message.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn what_is_not_said_has_the_values_of_the_chart() {
        let settings = parse(&["--namespace", "ops"]).unwrap();
        assert_eq!(settings.agents_url, "https://weir-agents.ops.svc:8443");
        assert_eq!((settings.store.access_key.as_str(), settings.store.secret_key.as_str()), ("weir", "geheim"));
        assert_eq!((settings.parallelism, settings.tenant_parallelism, settings.ttl_seconds), (32, 200, 2_592_000));
        assert_eq!(settings.pods.image_pull_policy, "IfNotPresent");
        assert_eq!(settings.pods.run_as_user, Some(10_001));
        assert!(settings.store.allow_http && settings.lookahead && !settings.single_replica);
        assert_eq!(settings.lease_timing, Timing::default());
    }

    #[test]
    fn lists_are_separated_by_commas_and_may_be_empty() {
        let settings = parse(&["--namespaces", "a, b,", "--allowed-images", ""]).unwrap();
        assert_eq!(settings.namespaces, ["a", "b"]);
        assert!(settings.pods.allowed_images.is_empty());
        assert_eq!(parse(&["--run-as-user", ""]).unwrap().pods.run_as_user, None);
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_would_be_right() {
        insta::assert_snapshot!(
            [
                refused(&["--agents-url", "http://weir"]),
                refused(&["--store-endpoint", "weir-store:9000"]),
                refused(&["--memory-headroom", "0.5"]),
                refused(&["--cores-max", "NaN"]),
                refused(&["--run-as-user", "0"]),
                refused(&["--run-as-user", "root"]),
                refused(&["--parallelism", "0"]),
                refused(&["--image-pull-policy", "Sometimes"]),
            ]
            .join("\n"),
            @"
        --agents-url http://weir: write it as https://HOST:PORT
        --store-endpoint weir-store:9000: write it as https://HOST[:PORT] or http://HOST[:PORT]
        --memory-headroom 0.5: it must be 1 or more
        --cores-max NaN: it must be more than 0
        error: invalid value '0' for '--run-as-user <UID>': 0 is root, which the restricted standard refuses; take another user
        error: invalid value 'root' for '--run-as-user <UID>': it must be a number, or empty to let the platform choose
        error: invalid value '0' for '--parallelism <N>': 0 is not in 1..=4294967295
        error: invalid value 'Sometimes' for '--image-pull-policy <POLICY>'
        "
        );
    }
}
