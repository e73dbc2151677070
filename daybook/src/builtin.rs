//! The functions inside the program itself, run as processes of their own that speak the Lambda
//! Runtime API like any other: the demo and the examples need neither Node nor Python.
//!
//! `uppercase` reads the object that triggered it, and writes its text in capitals to the bucket
//! `results` (or the one that `RESULTS_BUCKET` names) under the same key.

use std::borrow::Cow;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use daybook_s3_gateway::client::S3Client;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

/// Where `uppercase-timed` says when it was called, in microseconds since 1970.
pub(crate) const CALLED_AT: &str = "calledAtUs";

/// The built-in functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Builtin {
    /// Upper-cases text objects.
    Uppercase,
    /// The same, and tells when it was called: what hand-over costs, for the benchmark.
    UppercaseTimed,
    /// Answers with its event: what a call itself costs, for the benchmark.
    Echo,
}

/// Serves invocations until the host ends the process.
pub(crate) async fn run(function: Builtin) -> Result<()> {
    if function == Builtin::Echo {
        let echo = service_fn(|event: LambdaEvent<Value>| async move {
            Ok::<_, std::convert::Infallible>(event.payload)
        });
        return served(lambda_runtime::run(echo).await);
    }
    let s3 = client()?;
    let results = std::env::var("RESULTS_BUCKET").unwrap_or_else(|_| "results".to_owned());
    let handler = service_fn(|event: LambdaEvent<Value>| {
        let (s3, results) = (&s3, &results);
        let called_at = (function == Builtin::UppercaseTimed).then(now_us);
        async move {
            let mut answer = uppercase(s3, results, &event.payload)
                .await
                .map_err(|error| Diagnostic {
                    error_type: kind_of(&error).to_owned(),
                    error_message: format!("{error:#}"),
                })?;
            if let Some(called_at) = called_at {
                answer[CALLED_AT] = called_at.into();
            }
            Ok::<_, Diagnostic>(answer)
        }
    });
    served(lambda_runtime::run(handler).await)
}

#[expect(clippy::disallowed_methods, reason = "the edge: a function's clock")]
fn now_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

fn served(result: Result<(), lambda_runtime::Error>) -> Result<()> {
    result.map_err(|error| anyhow::anyhow!("{error}"))
}

/// The client that a function's environment describes.
fn client() -> Result<S3Client> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    Ok(S3Client::new(
        &variable("AWS_ENDPOINT_URL")?,
        &variable("AWS_REGION")?,
        &variable("AWS_ACCESS_KEY_ID")?,
        &variable("AWS_SECRET_ACCESS_KEY")?,
    ))
}

async fn uppercase(s3: &S3Client, results: &str, event: &Value) -> Result<Value> {
    let record = &event["Records"][0]["s3"];
    let (Some(bucket), Some(key)) = (
        record["bucket"]["name"].as_str(),
        record["object"]["key"].as_str(),
    ) else {
        bail!("the event has no Records[0].s3.bucket.name and .object.key");
    };
    let key = form_decoded(key)?;
    let body = s3.get(bucket, &key).await?;
    let text = std::str::from_utf8(&body).map_err(|error| NotText {
        object: format!("{bucket}/{key}"),
        valid_up_to: error.valid_up_to(),
    })?;
    s3.put(results, &key, Bytes::from(text.to_uppercase()))
        .await?;
    Ok(json!({ "bucket": results, "key": key, "bytes": body.len() }))
}

#[derive(Debug, thiserror::Error)]
#[error("{object} is not UTF-8 text: byte {valid_up_to} does not fit")]
struct NotText {
    object: String,
    valid_up_to: usize,
}

fn kind_of(error: &anyhow::Error) -> &'static str {
    if error.is::<NotText>() {
        "NotText"
    } else {
        "StorageError"
    }
}

/// Keys come form-encoded in S3 notifications: `+` is a space, `%XX` a byte.
fn form_decoded(key: &str) -> Result<String> {
    let spaced: Cow<'_, str> = key.replace('+', " ").into();
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .map(Cow::into_owned)
        .context("the key in the event is not UTF-8")
}
