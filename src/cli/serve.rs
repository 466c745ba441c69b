//! `weir serve --local`: the OGC façade, the engine and an S3 listener for the results, on one machine with everything in
//! one directory.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{ArgAction, Args, value_parser};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use weir_fetch::{FetchSettings, Guarded, Rules};
use weir_http::Facade;
use weir_http::auth::{Bearer, OidcSettings};
use weir_http::backend::Tenant;
use weir_http::links::{Network, PublicUrl};
use weir_local::facade::keys::{Keys, NewKey};
use weir_local::facade::results::BUCKET;
use weir_local::facade::{DirLock, Embedded, FacadeSettings, limits};
use weir_store::server::{Server, ServerSettings};

use super::oidc::OidcArgs;
use super::{execution, print_line, telemetry};

/// The tenant of the examples that are shown.
const EXAMPLE_TENANT: &str = "acme";

/// Headers of the requests that are shown.
const JSON: &str = "-H 'Content-Type: application/json'";
const CWL: &str = "-H 'Content-Type: application/cwl+yaml'";
const ASYNC: &str = "-H 'Prefer: respond-async'";
const TOKEN: &str = " -H \"Authorization: Bearer $TOKEN\"";

/// Options of `weir serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Keep everything in this directory: processes, jobs, logs, results
    #[arg(long, value_name = "DIR", required = true)]
    pub local: PathBuf,
    /// Where the OGC API listens; port 0 takes a free one and prints it. Who reaches it can run programs as you, unless
    /// --oidc-issuer says whose tokens that takes
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = socket_address)]
    pub listen: SocketAddr,
    /// Where the results can be read by S3
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9000", value_parser = socket_address)]
    pub s3_listen: SocketAddr,
    /// Serve this tenant; may be repeated [default: any]
    #[arg(long, value_name = "NAME")]
    pub tenant: Vec<Tenant>,
    /// What links begin with, behind a proxy [default: what the request says]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Where clients reach the S3 listener, behind a proxy [default: where it listens]
    #[arg(long, value_name = "URL")]
    pub s3_public_url: Option<String>,
    /// Believe the Forwarded headers of this proxy: an address or network; may be repeated
    #[arg(long, value_name = "NETWORK")]
    pub trusted_proxy: Vec<Network>,
    /// Let pages of this origin use the API (`https://portal.example`, or `*`); may be repeated [default: none]
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,
    #[command(flatten)]
    pub oidc: OidcArgs,
    /// Fetch packages and inputs from, and call back, this host or network too, though it is not public; may be repeated
    #[arg(long, value_name = "HOST|NETWORK")]
    pub allow_fetch: Vec<String>,
    /// Jobs that run at once [default: four a core, half of them one tenant's]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// Jobs of one tenant that run at once [default: half of --jobs]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub jobs_of_tenant: Option<u32>,
    /// Unfinished jobs of one tenant; more are refused
    #[arg(long, value_name = "N", default_value_t = limits::UNFINISHED_MAX)]
    pub queue: usize,
    /// Stop a job that takes longer than so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..))]
    pub time_limit: Option<u64>,
    /// Days that finished jobs and their logs are kept; results stay
    #[arg(long, value_name = "DAYS", default_value_t = limits::KEPT_DAYS)]
    pub keep_days: u64,
    /// Run the tools of an image by a command of this machine, as in `ghcr.io/org/tool=/opt/tool/run --fast`
    #[arg(long, value_name = "IMAGE=COMMAND")]
    pub map_image: Vec<String>,
    /// Let every tool see this variable of the environment; may be repeated. Tools see no other ones
    #[arg(long, value_name = "NAME")]
    pub preserve_environment: Vec<String>,
    /// Accept a job only once it would outlive a power failure
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub fsync: bool,
}

/// Serves until SIGTERM or SIGINT.
pub fn serve(args: &ServeArgs) -> Result<ExitCode> {
    telemetry::for_servers("info,s3s=off,weir_store::request=warn");
    check(args)?;
    let lock = DirLock::take(&args.local)?;
    let dir = lock.dir().to_owned();
    let runtime = tokio::runtime::Runtime::new().context("cannot start")?;
    let served = runtime.block_on(async {
        let listener = listen(args.listen, "--listen").await?;
        let s3_listener = listen(args.s3_listen, "--s3-listen").await?;
        let (address, s3_address) = (listener.local_addr()?, s3_listener.local_addr()?);
        // Made last: a pair that is never shown is of no use.
        let (keys, new_keys) = Keys::open(&dir, &shown_tenants(args)?)?;
        let keys = Arc::new(keys);
        let store = open_store(&dir, &keys, args.fsync)?;
        let s3_url = args.s3_public_url.clone().unwrap_or_else(|| format!("http://{s3_address}"));
        let s3_url = s3_url.trim_end_matches('/').to_owned();
        let stop = stop_on_signal()?;
        let backend = Embedded::open(lock, settings(args, &dir, &s3_url, &keys)?, store.objects()).await?;
        let facade = Facade::new(Arc::clone(&backend) as _, Arc::new(guarded(args)?), facade_settings(args, address)?);
        let facade = Arc::new(match args.oidc.provider()? {
            Some(oidc) => facade.with_bearer(bearer(oidc)?),
            None => facade,
        });
        // Said once requests are taken: whoever started this waits for it.
        for line in greeting(args, address, &s3_url, &keys, &new_keys, &dir) {
            print_line(&line);
        }
        if keys.opens_all() {
            tracing::warn!(
                "a key pair in {} reads the results of all tenants: it names no `owner`",
                keys.path().display()
            );
        }
        if !address.ip().is_loopback() && facade.bearer.is_none() {
            tracing::warn!(%address, "whoever reaches this address can run programs with your rights");
        }
        tokio::join!(
            weir_http::serve(listener, facade, stopped(stop.clone())),
            store.serve(s3_listener, stopped(stop.clone())),
            async {
                stopped(stop).await;
                tracing::info!("stopping; jobs that run go on at the next start");
                backend.stop();
            },
        );
        anyhow::Ok(())
    });
    // What a job fetches right now is fetched again at the next start.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

fn open_store(dir: &Path, keys: &Keys, fsync: bool) -> Result<Server> {
    let credentials = keys.credentials();
    let settings = ServerSettings { dir: dir.join("store"), fsync, credentials, buckets: vec![BUCKET.to_owned()] };
    Server::open(settings).with_context(|| format!("cannot open the store in {}", dir.display()))
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write ADDRESS:PORT, e.g. 127.0.0.1:8080".to_owned())
}

/// Refuses wrong options before anything is touched.
fn check(args: &ServeArgs) -> Result<()> {
    if args.local.exists() && !args.local.is_dir() {
        bail!("--local {}: this is a file, not a directory", args.local.display());
    }
    facade_settings(args, args.listen)?;
    guarded(args)?;
    args.oidc.provider()?.map(bearer).transpose()?;
    execution::this_machine(&args.map_image).map(drop)
}

async fn listen(address: SocketAddr, option: &str) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("another program listens on {address}; stop it, or choose another address with {option}")
        }
        bound => bound.with_context(|| format!("cannot listen on {address} ({option})")),
    }
}

/// Becomes true with the first SIGTERM or SIGINT. The second one ends the program at once.
fn stop_on_signal() -> Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        for is_second in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_second {
                // Nothing is lost: every job is in its journal.
                #[expect(clippy::exit, reason = "asked for twice")]
                std::process::exit(1);
            }
            stop.send_replace(true);
        }
    });
    Ok(stopped)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // The sender waits for the second signal.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn settings(args: &ServeArgs, dir: &Path, s3_url: &str, keys: &Arc<Keys>) -> Result<FacadeSettings> {
    let mut engine = execution::this_machine(&args.map_image)?;
    engine.preserved_environment.clone_from(&args.preserve_environment);
    engine.fsync = args.fsync;
    let mut settings = FacadeSettings::new(dir.to_owned(), engine);
    settings.reach = Rules::new(args.allow_fetch.iter().map(String::as_str)).context("--allow-fetch")?;
    if !args.tenant.is_empty() {
        settings.tenants = Some(args.tenant.iter().cloned().collect::<BTreeSet<_>>());
    }
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    if let Some(jobs) = args.jobs {
        settings.jobs = count(jobs);
        settings.jobs_of_tenant = settings.jobs.div_ceil(2);
    }
    settings.jobs_of_tenant = args.jobs_of_tenant.map_or(settings.jobs_of_tenant, count);
    settings.unfinished_max = args.queue;
    settings.kept = Duration::from_hours(24 * args.keep_days.min(365_000));
    settings.time_limit = args.time_limit.map(Duration::from_secs);
    settings.s3_endpoint = Some(s3_url.to_owned());
    settings.keys = Some(Arc::clone(keys));
    Ok(settings)
}

fn facade_settings(args: &ServeArgs, address: SocketAddr) -> Result<weir_http::Settings> {
    let public_url = args.public_url.as_deref().map(str::parse::<PublicUrl>).transpose().context("--public-url")?;
    let Ok(origins) = args.allow_origin.join(",").parse();
    // Nobody elsewhere can reach it then, but pages in a browser here, whose names are made to lead here.
    let loopback_only = address.ip().is_loopback() && public_url.is_none();
    Ok(weir_http::Settings { public_url, trusted_proxies: args.trusted_proxy.clone(), origins, loopback_only })
}

fn guarded(args: &ServeArgs) -> Result<Guarded> {
    Ok(Guarded::new(&FetchSettings { allowed: args.allow_fetch.clone() })?)
}

/// Looks at tokens of this provider, which is where the user says, wherever that is: requests have no say in it.
fn bearer(oidc: OidcSettings) -> Result<Bearer> {
    let fetcher = Guarded::new(&oidc.fetch_settings()?)?;
    Ok(Bearer::new(oidc, Arc::new(fetcher))?)
}

/// What to open and what to type next.
fn greeting(
    args: &ServeArgs,
    address: SocketAddr,
    s3_url: &str,
    keys: &Keys,
    new_keys: &[NewKey],
    dir: &Path,
) -> Vec<String> {
    let tenant = args.tenant.first().map_or(EXAMPLE_TENANT, Tenant::as_str);
    // Everybody's address is no address to open.
    let address =
        if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() };
    let base = args.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let base = base.trim_end_matches('/');
    let root = format!("{base}/{tenant}/ogc-api");
    let any = if args.tenant.is_empty() {
        format!(" (any name of a-z, 0-9 and - in place of `{tenant}`: each is a tenant)")
    } else {
        String::new()
    };
    let pairs = new_keys.iter().map(|NewKey { tenant, access_key, secret_key }| {
        format!("           `{tenant}` reads its own with access key {access_key}, secret key {secret_key}")
    });
    let (token, invitation) = match args.oidc.issuer.as_deref().filter(|issuer| !issuer.is_empty()) {
        Some(issuer) => {
            let claim = &args.oidc.tenants_claim;
            (TOKEN, format!("Put a token of {issuer} that names `{tenant}` in its `{claim}` into $TOKEN, and type:"))
        }
        None => ("", "Open the first address in a browser, or type in another terminal:".to_owned()),
    };
    let mut lines = vec![
        format!("weir serves {}", dir.display()),
        format!("  OGC API  {root}{any}"),
        format!("  results  s3://{BUCKET} at {s3_url}, region us-east-1; keys: {}", keys.path().display()),
    ];
    lines.extend(pairs);
    // Of a pair that is known already the secret half is in the file alone.
    let (access_key, secret_key) = new_keys
        .iter()
        .find(|key| key.tenant.as_str() == tenant)
        .map_or(("…", "…"), |key| (key.access_key.as_str(), key.secret_key.as_str()));
    let job = format!("{root}/jobs/<jobID>");
    lines.extend([
        String::new(),
        invitation,
        format!(
            "  curl{token} '{root}/processes/echo/execution' {JSON} -d '{{\"inputs\": {{\"echoInput\": \"hello\"}}, \
             \"outputs\": {{\"echoInput\": {{}}}}}}'"
        ),
        "Deploy a package of your own, or the one that `weir demo` writes, and look at it:".to_owned(),
        format!("  curl{token} '{root}/processes' {CWL} --data-binary @weir-demo/water-bodies.cwl"),
        format!("  curl{token} '{root}/processes/water-bodies'"),
        "Execute it; the answer names the job. Look at that, and at its results once it is successful:".to_owned(),
        format!("  curl{token} -i '{root}/processes/water-bodies/execution' {JSON} {ASYNC} -d @weir-demo/execute.json"),
        format!("  curl{token} '{job}'"),
        format!("  curl{token} '{job}/results'"),
        format!(
            "  AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_key} AWS_REGION=us-east-1 \
             aws --endpoint-url {s3_url} s3 ls s3://{BUCKET}/<jobID>/"
        ),
        "Ctrl-C stops; jobs that run go on at the next start.".to_owned(),
    ]);
    lines
}

/// The tenants that are known before anybody comes: those of the options, or that of the examples.
fn shown_tenants(args: &ServeArgs) -> Result<Vec<Tenant>> {
    if args.tenant.is_empty() { Ok(vec![EXAMPLE_TENANT.parse()?]) } else { Ok(args.tenant.clone()) }
}
