//! `daybook serve`: runs until it is told to stop, or until a part ends that must not.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::server::Server;
use crate::usage::usage;
use crate::{actor, operator_key};

/// The roles of a process. This version runs them all in one.
const ROLES: [&str; 4] = ["command", "query", "functions", "audit"];

pub(crate) async fn run(
    config: &Path,
    data_dir: Option<&Path>,
    listen: SocketAddr,
    s3_listen: SocketAddr,
    roles: &[String],
) -> Result<()> {
    check_roles(roles)?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    let config = Config::load(config, data_dir)?;
    let (data_dir, configured) = (config.data_dir.clone(), !config.keys.is_empty());
    let mut server = Server::start(config, listen, s3_listen, actor::name()).await?;
    eprintln!("daybook {} is ready", env!("CARGO_PKG_VERSION"));
    eprintln!(
        "  S3 gateway   http://{}   (region and keys as configured)",
        server.s3
    );
    eprintln!("  GraphQL      http://{}/graphql", server.api);
    eprintln!("  console      http://{}/console", server.api);
    if !configured {
        let file = data_dir.join(operator_key::FILE);
        eprintln!(
            "  S3 key       {} (secret in {})",
            server.operator.access_key,
            file.display()
        );
    }
    let failure = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        error = server.failed() => Some(error),
    };
    if failure.is_none() {
        eprintln!("stopping: running invocations may finish; a second signal stops at once");
    }
    tokio::select! {
        () = server.stop() => {}
        _ = terminate.recv() => bail!("stopped at once; what was running is taken up at the next start"),
        _ = interrupt.recv() => bail!("stopped at once; what was running is taken up at the next start"),
    }
    match failure {
        None => Ok(()),
        Some(error) => Err(anyhow!(error).context("a part ended that must not")),
    }
}

fn check_roles(roles: &[String]) -> Result<()> {
    if let Some(unknown) = roles.iter().find(|role| !ROLES.contains(&role.as_str())) {
        usage!("role {unknown:?} is not one of {}", ROLES.join(", "));
    }
    if !roles.is_empty()
        && ROLES
            .iter()
            .any(|role| !roles.iter().any(|given| given == role))
    {
        usage!(
            "this version runs all roles in one process; leave --roles out, or give {}",
            ROLES.join(",")
        );
    }
    Ok(())
}
