//! Upper-cases the text object that triggered it into the bucket `results`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::ObjectStoreExt;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    run(service_fn(handler)).await
}

async fn handler(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let record = &event.payload["Records"][0]["s3"];
    let bucket = record["bucket"]["name"].as_str().ok_or("no bucket in the event")?;
    let key = record["object"]["key"].as_str().ok_or("no key in the event")?;
    // Keys in S3 notifications are form-encoded: a plus sign is a space.
    let key = percent_decode_str(&key.replace('+', " ")).decode_utf8()?.into_owned();
    let path = Path::parse(&key)?;

    let bytes = bucket_named(bucket)?.get(&path).await?.bytes().await?;
    let text = std::str::from_utf8(&bytes)?;
    bucket_named("results")?.put(&path, text.to_uppercase().into()).await?;
    tracing::info!(key, characters = text.chars().count(), "upper-cased");
    Ok(json!({ "bucket": "results", "key": key }))
}

/// Region, endpoint and credentials come from the environment, as AWS Lambda sets them.
fn bucket_named(name: &str) -> object_store::Result<AmazonS3> {
    AmazonS3Builder::from_env().with_bucket_name(name).with_allow_http(true).build()
}
