//! `weir store`: a directory as an S3-compatible object store.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use weir_store::server::{Credentials, KeyPair, Server, ServerSettings};

use super::{StoreArgs, print_line, telemetry};

/// Serves until SIGTERM or SIGINT.
pub fn store(args: &StoreArgs) -> Result<ExitCode> {
    // One line a request.
    telemetry::for_servers("info,s3s=off");
    let settings = ServerSettings {
        dir: args.dir.clone(),
        fsync: args.fsync,
        credentials: credentials(args)?,
        buckets: args.bucket.clone(),
    };
    let server = Server::open(settings).with_context(|| format!("cannot serve `{}`", args.dir.display()))?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start")?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        // Said once requests are taken: whoever started this waits for the line.
        print_line(&format!("listening on http://{}", listener.local_addr().context("cannot tell the address")?));
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        server.serve(listener, stop).await;
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn credentials(args: &StoreArgs) -> Result<Credentials> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let own = variable("WEIR_STORE_ACCESS_KEY").zip(variable("WEIR_STORE_SECRET_KEY"));
    let own = own.map(|(access_key, secret_key)| KeyPair::unlimited(access_key, secret_key));
    match (&args.credentials_file, own) {
        (Some(path), None) => Ok(Credentials::file(path)?),
        (Some(path), Some(own)) => Ok(Credentials::file(path)?.and(own)?),
        (None, Some(own)) => Ok(Credentials::fixed(vec![own])?),
        (None, None) => bail!(
            "no key pair: name a file with --credentials-file, or set WEIR_STORE_ACCESS_KEY and WEIR_STORE_SECRET_KEY"
        ),
    }
}
