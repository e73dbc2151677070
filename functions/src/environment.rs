//! The environment of a function's process: what AWS Lambda defines for all runtimes, the storage
//! credentials, and what the config adds. Nothing of the host's own environment gets in.

use std::ffi::OsString;
use std::path::Path;

use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::clock;
use crate::launch::LaunchPlan;
use crate::spec::{FunctionSpec, Runtime};
use crate::storage::StorageCredentials;

/// The only version that there is here, as in a function's ARN without a qualifier.
const VERSION: &str = "$LATEST";
/// The account in ARNs. There is none.
const ACCOUNT: &str = "000000000000";

/// The variables of one process.
pub(crate) fn variables(
    spec: &FunctionSpec,
    plan: &LaunchPlan,
    path: &OsString,
    runtime_api: &str,
    temporary: &Path,
    storage: &StorageCredentials,
) -> Vec<(OsString, OsString)> {
    let name = spec.name.as_str();
    let stream = format!(
        "{}/[{VERSION}]{}",
        clock::timestamp().strftime("%Y/%m/%d"),
        clock::new_id().simple()
    );
    let mut variables: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: &str, value: OsString| variables.push((name.into(), value));

    set("PATH", path.clone());
    set("LANG", "en_US.UTF-8".into());
    set("TZ", ":UTC".into());
    set("HOME", temporary.into());
    set("TMPDIR", temporary.into());

    // The config's own variables, which cannot override what follows: AWS Lambda reserves it.
    for (name, value) in &spec.environment {
        set(name, value.into());
    }
    for (name, value) in &spec.secrets {
        set(name, value.expose_secret().into());
    }
    for (name, value) in &plan.environment {
        set(name, value.clone());
    }

    set("AWS_LAMBDA_RUNTIME_API", runtime_api.into());
    set("_HANDLER", spec.handler.clone().into());
    set("LAMBDA_TASK_ROOT", plan.folder.clone().into());
    set("LAMBDA_RUNTIME_DIR", plan.folder.clone().into());
    set("AWS_LAMBDA_FUNCTION_NAME", name.into());
    set("AWS_LAMBDA_FUNCTION_VERSION", VERSION.into());
    set(
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        (spec.memory_bytes >> 20).max(1).to_string().into(),
    );
    set(
        "AWS_LAMBDA_LOG_GROUP_NAME",
        format!("/aws/lambda/{name}").into(),
    );
    set("AWS_LAMBDA_LOG_STREAM_NAME", stream.into());
    set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into());
    set(
        "AWS_EXECUTION_ENV",
        execution_environment(spec.runtime).into(),
    );
    set("AWS_REGION", storage.region.clone().into());
    set("AWS_DEFAULT_REGION", storage.region.clone().into());
    set("AWS_ACCESS_KEY_ID", storage.access_key.clone().into());
    set("AWS_SECRET_ACCESS_KEY", storage.secret_key.clone().into());
    // Code that reads it by hand finds one; the gateway goes by the keys alone.
    set(
        "AWS_SESSION_TOKEN",
        clock::new_id().simple().to_string().into(),
    );
    set("AWS_ENDPOINT_URL", storage.endpoint.clone().into());
    set("AWS_ENDPOINT_URL_S3", storage.endpoint.clone().into());
    // The X-Ray SDK would otherwise fail what runs outside of an invocation.
    set("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR".into());
    // SDKs would otherwise look for an instance's credentials over the network when these fail.
    set("AWS_EC2_METADATA_DISABLED", "true".into());
    variables
}

/// The function's ARN.
pub(crate) fn arn(spec: &FunctionSpec, region: &str) -> String {
    format!("arn:aws:lambda:{region}:{ACCOUNT}:function:{}", spec.name)
}

/// AWS X-Ray's form of a trace (X-Ray developer guide, "Tracing header"): its trace id has the same
/// 32 digits as W3C's. Without a trace the request's id serves as one, not sampled.
pub(crate) fn trace_id(traceparent: Option<&str>, request_id: Uuid) -> String {
    let parts: Vec<&str> = traceparent.unwrap_or_default().split('-').collect();
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match parts.as_slice() {
        [_, trace, parent, flags, ..]
            if trace.len() == 32
                && parent.len() == 16
                && hexadecimal(trace)
                && hexadecimal(parent) =>
        {
            let sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
            let (time, rest) = trace.split_at(8);
            format!(
                "Root=1-{time}-{rest};Parent={parent};Sampled={}",
                u8::from(sampled)
            )
        }
        _ => {
            let trace = request_id.simple().to_string();
            let (time, rest) = trace.split_at(8);
            format!("Root=1-{time}-{rest};Sampled=0")
        }
    }
}

fn execution_environment(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::NodeJs => "AWS_Lambda_nodejs",
        Runtime::Python => "AWS_Lambda_python",
        Runtime::Provided | Runtime::Builtin | Runtime::Lambda | Runtime::Http => {
            "AWS_Lambda_provided"
        }
    }
}

#[cfg(test)]
mod tests;
