//! `daybook serve`: runs until it is told to stop, or until a part ends that must not.

use anyhow::{Context, Result, anyhow, bail};
use daybook_functions::{FunctionStatus, SandboxMode};
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
    if let Some(intake) = server.intake {
        eprintln!("  deliveries   http://{intake}/v1/notifications");
    }
    if roles.query {
        eprintln!("  GraphQL      http://{}/graphql", server.api);
        eprintln!("  console      http://{}/console", server.api);
    }
    for line in sandbox_in_words(&server.functions()) {
        eprintln!("  sandbox      {line}");
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

/// What does not hold of the functions' sandbox; nothing where all of it does.
fn sandbox_in_words(functions: &[FunctionStatus]) -> Vec<String> {
    let mut lines = Vec::new();
    let off: Vec<&str> = functions
        .iter()
        .filter(|status| status.sandbox == Some(SandboxMode::Off))
        .map(|status| status.function.as_str())
        .collect();
    if !off.is_empty() {
        lines.push(format!("off, as configured, for: {}", off.join(", ")));
    }
    // What a machine lacks it lacks for all of them.
    if let Some(status) = functions
        .iter()
        .find(|status| !status.sandbox_lacks.is_empty())
    {
        let lacks = status.sandbox_lacks.iter().map(|part| part.needs());
        let lacks = lacks.collect::<Vec<_>>().join(", ");
        lines.push(format!(
            "NOT COMPLETE: this machine has none for {lacks}; see docs/functions.md"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use daybook_functions::{Runtime, SandboxPart};

    use super::*;

    fn status(name: &str, sandbox: SandboxMode, lacks: &[SandboxPart]) -> FunctionStatus {
        FunctionStatus {
            function: name.parse().unwrap(),
            runtime: Runtime::Python,
            concurrency: 1,
            busy: 0,
            idle: 0,
            queue: 1,
            failed_starts: 0,
            backing_off: None,
            last_start_failure: None,
            revision: None,
            sandbox: Some(sandbox),
            sandbox_lacks: lacks.to_vec(),
        }
    }

    #[test]
    fn what_does_not_hold_is_said() {
        let whole = status("whole", SandboxMode::Available, &[]);
        assert!(sandbox_in_words(std::slice::from_ref(&whole)).is_empty());
        let lacks = [SandboxPart::Tcp, SandboxPart::OwnTmp];
        let functions = [
            whole,
            status("free", SandboxMode::Off, &[]),
            status("half", SandboxMode::Available, &lacks),
        ];
        let lines = sandbox_in_words(&functions);
        assert_eq!(lines[0], "off, as configured, for: free");
        assert!(lines[1].contains("TCP ports"), "{lines:?}");
        assert!(lines[1].contains("own /tmp"), "{lines:?}");
    }
}
