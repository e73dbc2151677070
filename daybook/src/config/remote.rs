//! Functions that run elsewhere: `runtime = "lambda"` and `runtime = "http"`. What holds for processes
//! only is refused by name, since it would be silently without effect.

use std::time::Duration;

use daybook_domain::FunctionName;
use daybook_functions::{
    EventMode, FunctionSpec, HostOptions, HttpHeaders, HttpSpec, HttpUrl, LambdaArn, LambdaSpec,
    RemoteSpec, Runtime, TargetError,
};

use super::ConfigError;
use super::buckets::{aws_key, check_endpoint};
use super::check::Place;
use super::file::{FunctionTable, LimitsTable};
use super::limits as processes;

/// The function, if it runs elsewhere.
pub(super) fn check(
    place: &Place<'_>,
    name: &FunctionName,
    table: &FunctionTable,
) -> Result<Option<FunctionSpec>, ConfigError> {
    let at = format!("functions.{name}");
    // One that is not known is refused with the others.
    let runtime = table.runtime.parse().unwrap_or(Runtime::Provided);
    only_where_it_counts(place, &at, runtime, table)?;
    let target = match runtime {
        Runtime::Lambda => RemoteSpec::Lambda(lambda(place, &at, table)?),
        Runtime::Http => RemoteSpec::Http(http(place, &at, table)?),
        _ => return Ok(None),
    };
    let mut spec = FunctionSpec::remote(name.clone(), target);
    let timeout = table.timeout.as_deref();
    place.set_positive(&format!("{at}.timeout"), timeout, &mut spec.timeout)?;
    spec.concurrency = table.concurrency.unwrap_or(spec.concurrency);
    spec.queue = processes::queue(place, &at, table)?;
    if spec.concurrency == 0 {
        return place.wrong(&format!("{at}.concurrency"), "at least one call is needed");
    }
    Ok(Some(spec))
}

/// How long a connection may take.
pub(super) fn connect_timeout(
    place: &Place<'_>,
    limits: &LimitsTable,
) -> Result<Duration, ConfigError> {
    let mut timeout = HostOptions::default().remote_connect_timeout;
    let text = limits.remote_connect_timeout.as_deref();
    place.set_positive("limits.remote_connect_timeout", text, &mut timeout)?;
    Ok(timeout)
}

fn lambda(place: &Place<'_>, at: &str, table: &FunctionTable) -> Result<LambdaSpec, ConfigError> {
    let Some(arn) = &table.arn else {
        return place.wrong(
            &format!("{at}.arn"),
            "name the function, as in \"arn:aws:lambda:eu-central-1:123456789012:function:thumbs\"",
        );
    };
    let arn = right(place, at, "arn", LambdaArn::parse(arn))?;
    match &table.endpoint {
        Some(endpoint) => check_endpoint(place, at, endpoint)?,
        None if arn.endpoint().is_none() => {
            return place.wrong(
                &format!("{at}.endpoint"),
                "where this partition of AWS is served is not known; give its URL",
            );
        }
        None => {}
    }
    let keys = (table.access_key.as_ref(), table.secret_key.as_ref());
    Ok(LambdaSpec {
        arn,
        endpoint: table.endpoint.clone(),
        profile: table.profile.clone(),
        key: aws_key(place, at, keys, table.profile.as_ref())?,
    })
}

fn http(place: &Place<'_>, at: &str, table: &FunctionTable) -> Result<HttpSpec, ConfigError> {
    let Some(url) = &table.url else {
        return place.wrong(
            &format!("{at}.url"),
            "name where it takes events, as in \"https://functions.example/thumbs\"",
        );
    };
    let mut headers = std::collections::BTreeMap::new();
    for (name, secret) in table.headers.iter().flatten() {
        match secret.resolve(place.folder()) {
            Ok(secret) => headers.insert(name.clone(), secret),
            Err(problem) => return place.wrong(&format!("{at}.headers.{name}"), problem),
        };
    }
    let mode = table.mode.as_deref().unwrap_or(EventMode::Binary.as_str());
    Ok(HttpSpec {
        url: right(place, at, "url", HttpUrl::parse(url))?,
        headers: right(place, at, "headers", HttpHeaders::parse(&headers))?,
        mode: right(place, at, "mode", mode.parse())?,
        private_addresses: table.private_addresses.unwrap_or_default(),
    })
}

fn right<T>(
    place: &Place<'_>,
    at: &str,
    key: &str,
    parsed: Result<T, TargetError>,
) -> Result<T, ConfigError> {
    parsed.or_else(|error| place.wrong(&format!("{at}.{key}"), error.to_string()))
}

/// Refuses the keys that have no meaning for the runtime.
fn only_where_it_counts(
    place: &Place<'_>,
    at: &str,
    runtime: Runtime,
    table: &FunctionTable,
) -> Result<(), ConfigError> {
    let refuse = |keys: &[(&str, bool)], why: &str| match keys.iter().find(|(_, given)| *given) {
        Some((key, _)) => place.wrong(&format!("{at}.{key}"), why),
        None => Ok(()),
    };
    if runtime != Runtime::Lambda {
        let keys = [
            ("arn", table.arn.is_some()),
            ("endpoint", table.endpoint.is_some()),
            ("profile", table.profile.is_some()),
            ("access_key", table.access_key.is_some()),
            ("secret_key", table.secret_key.is_some()),
        ];
        refuse(&keys, "it is for runtime = \"lambda\"; leave it out")?;
    }
    if runtime != Runtime::Http {
        let keys = [
            ("url", table.url.is_some()),
            ("headers", table.headers.is_some()),
            ("mode", table.mode.is_some()),
            ("private_addresses", table.private_addresses.is_some()),
        ];
        refuse(&keys, "it is for runtime = \"http\"; leave it out")?;
    }
    if !runtime.is_remote() {
        return Ok(());
    }
    let processes = [
        ("code", table.code.is_some()),
        ("handler", table.handler.is_some()),
        ("init_timeout", table.init_timeout.is_some()),
        ("idle_timeout", table.idle_timeout.is_some()),
        ("memory", table.memory.is_some()),
        ("cpu", table.cpu.is_some()),
        ("processes", table.processes.is_some()),
        ("open_files", table.open_files.is_some()),
        ("tmp_size", table.tmp_size.is_some()),
        ("max_invocations", table.max_invocations.is_some()),
        ("max_memory_growth", table.max_memory_growth.is_some()),
        ("sandbox", table.sandbox.is_some()),
        ("connect", table.connect.is_some()),
        ("listen", !table.listen.is_empty()),
        ("readable", !table.readable.is_empty()),
        ("environment", !table.environment.is_empty()),
        ("secrets", !table.secrets.is_empty()),
    ];
    refuse(
        &processes,
        "it is for functions that run here; for this one it is set where it runs, so leave it out",
    )?;
    let policies = [
        ("read", table.read.is_some()),
        ("write", table.write.is_some()),
    ];
    refuse(
        &policies,
        "a function that runs elsewhere does not pass the gateway, so nothing would enforce it; \
         leave it out, and give the function its rights where the buckets are",
    )?;
    match table.publish.as_deref() {
        None | Some("immediately") => Ok(()),
        Some(_) => place.wrong(
            &format!("{at}.publish"),
            "a function that runs elsewhere does not pass the gateway, so its outputs cannot be held \
             back; leave it out",
        ),
    }
}
