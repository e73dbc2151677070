//! `daybook show`: one story.

use anyhow::{Context, Result};

use crate::cli::Format;
use crate::client::Client;
use crate::{output, timeline};

pub(super) async fn run(client: &Client, format: Format, target: &str) -> Result<()> {
    if let Some(path) = target.strip_prefix("s3://") {
        let (bucket, key) = path
            .split_once('/')
            .with_context(|| format!("{target} has no key; write s3://BUCKET/KEY"))?;
        let object = timeline::fetch_object(client, bucket, key).await?;
        output::document(format, &object, || timeline::tell_object(&object));
    } else {
        let execution = timeline::fetch_execution(client, target).await?;
        output::document(format, &execution, || timeline::tell_execution(&execution));
    }
    Ok(())
}
