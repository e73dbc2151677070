//! `daybook serve`: runs until it is told to stop, or until a part ends that must not.

use anyhow::{Context, Result, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArgs;
use crate::config::Config;
use crate::roles::Roles;
use crate::server::Server;
use crate::{actor, operator_key};

pub(crate) async fn run(args: ServeArgs) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
    let config = Config::load(&args.config, args.data_dir.as_deref())?;
    let roles = Roles::parse(&args.roles, config.shares_log())?;
    let own_key = config
        .keys
        .is_empty()
        .then(|| config.data_dir.join(operator_key::FILE));
    let (listen, s3_listen) = (args.listen, args.s3_listen);
    let mut server = Server::start(config, roles, listen, s3_listen, actor::name()).await?;
    eprintln!("daybook {} is ready", env!("CARGO_PKG_VERSION"));
    if let Some((s3, operator)) = server.s3() {
        eprintln!("  S3 gateway   http://{s3}   (region and keys as configured)");
        if let Some(file) = own_key {
            let (key, file) = (&operator.access_key, file.display());
            eprintln!("  S3 key       {key} (secret in {file})");
        }
    }
    if roles.command {
        eprintln!("  commands     http://{}/v1", server.api);
    }
    if roles.query {
        eprintln!("  GraphQL      http://{}/graphql", server.api);
        eprintln!("  console      http://{}/console", server.api);
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
        claims = server.stop() => if let Some((won, lost)) = claims {
            eprintln!("attempts claimed: {won}, lost to other workers: {lost}");
        },
        _ = terminate.recv() => bail!("stopped at once; what was running is taken up at the next start"),
        _ = interrupt.recv() => bail!("stopped at once; what was running is taken up at the next start"),
    }
    match failure {
        None => Ok(()),
        Some(error) => Err(anyhow!(error).context("a part ended that must not")),
    }
}
