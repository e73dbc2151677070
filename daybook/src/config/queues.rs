//! `[intake.queues.NAME]`: the queues that notifications are pulled from.

use std::collections::BTreeMap;
use std::time::Duration;

use daybook_command_service::intake::sqs::{SqsQueue, region_of};
use daybook_functions::outbound::AwsAccess;
use serde::Deserialize;

use super::ConfigError;
use super::buckets::{aws_key, check_endpoint};
use super::check::Place;
use super::secret::Secret;

/// The region of a service that names none: those that are not AWS have no other.
const REGION: &str = "us-east-1";

/// How many batches of a queue are worked on at the same time, and what is too many: each may hold
/// messages of some megabytes.
const CONSUMERS: usize = 2;
const MOST_CONSUMERS: usize = 64;

/// The most messages of a batch (Amazon SQS, `ReceiveMessage`).
const MOST_OF_A_BATCH: u32 = 10;
/// The longest time that SQS waits for a message.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Long enough for a slow commit; short enough for another to take over soon.
const VISIBILITY: Duration = Duration::from_secs(60);
/// The longest time that SQS hides a message.
const LONGEST_VISIBILITY: Duration = Duration::from_secs(12 * 3600);
/// How often an unreadable message comes where there is no redrive policy.
const MAX_RECEIVES: u32 = 10;

/// One queue, as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueueTable {
    pub url: String,
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub profile: Option<String>,
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
    pub consumers: Option<usize>,
    pub batch: Option<u32>,
    pub wait: Option<String>,
    pub visibility: Option<String>,
    pub max_receives: Option<u32>,
    pub source: Option<String>,
}

impl QueueTable {
    /// What it holds that is secret.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.access_key.iter().chain(&self.secret_key)
    }
}

/// Checks the queues. `is_source` says whether a source of that name is configured.
pub(super) fn check(
    place: &Place<'_>,
    tables: &BTreeMap<String, QueueTable>,
    is_source: impl Fn(&str) -> bool,
) -> Result<Vec<SqsQueue>, ConfigError> {
    let mut queues: Vec<SqsQueue> = Vec::new();
    for (name, table) in tables {
        let at = format!("intake.queues.{name}");
        let queue = queue(place, &at, name, table, &is_source)?;
        if let Some(other) = queues.iter().find(|other| other.url == queue.url) {
            return place.wrong(
                &format!("{at}.url"),
                format!(
                    "queue {} has the same one; for more consumers give consumers = N",
                    other.name
                ),
            );
        }
        queues.push(queue);
    }
    Ok(queues)
}

fn queue(
    place: &Place<'_>,
    at: &str,
    name: &str,
    table: &QueueTable,
    is_source: impl Fn(&str) -> bool,
) -> Result<SqsQueue, ConfigError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
        return place.wrong(
            at,
            "the name of a queue has 1 to 64 letters, digits, hyphens or underscores",
        );
    }
    if !is_queue_url(&table.url) {
        return place.wrong(
            &format!("{at}.url"),
            "give the queue's URL, as in https://sqs.eu-central-1.amazonaws.com/123456789012/NAME",
        );
    }
    if let Some(endpoint) = &table.endpoint {
        check_endpoint(place, at, endpoint)?;
    }
    let region = table.region.clone().or_else(|| region_of(&table.url));
    let keys = (table.access_key.as_ref(), table.secret_key.as_ref());
    let access = AwsAccess {
        region: region.unwrap_or_else(|| REGION.to_owned()),
        profile: table.profile.clone(),
        key: aws_key(place, at, keys, table.profile.as_ref())?,
    };
    let wait = table.wait.as_deref();
    let wait = seconds(
        place,
        &format!("{at}.wait"),
        wait,
        Duration::ZERO,
        LONGEST_WAIT,
    )?;
    let visibility = table.visibility.as_deref();
    let visibility = seconds(
        place,
        &format!("{at}.visibility"),
        visibility,
        Duration::from_secs(1),
        LONGEST_VISIBILITY,
    )?;
    let source = match &table.source {
        None => None,
        Some(source) if !is_source(source) => {
            return place.wrong(
                &format!("{at}.source"),
                format!("there is no [intake.sources.{source}]"),
            );
        }
        Some(source) => match source.parse() {
            Ok(source) => Some(source),
            Err(error) => return place.wrong(&format!("{at}.source"), format!("{error}")),
        },
    };
    Ok(SqsQueue {
        name: name.to_owned(),
        url: table.url.clone(),
        endpoint: table.endpoint.clone(),
        access,
        consumers: within(
            place,
            &format!("{at}.consumers"),
            table.consumers.unwrap_or(CONSUMERS),
            MOST_CONSUMERS,
        )?,
        batch: within(
            place,
            &format!("{at}.batch"),
            table.batch.unwrap_or(MOST_OF_A_BATCH),
            MOST_OF_A_BATCH,
        )?,
        wait: wait.unwrap_or(LONGEST_WAIT),
        visibility: visibility.unwrap_or(VISIBILITY),
        max_receives: within(
            place,
            &format!("{at}.max_receives"),
            table.max_receives.unwrap_or(MAX_RECEIVES),
            u32::MAX,
        )?,
        source,
    })
}

/// Whether it is `http(s)://HOST/…` and nothing else.
fn is_queue_url(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    rest.and_then(|rest| rest.split_once('/'))
        .is_some_and(|(host, path)| {
            !host.is_empty() && !path.is_empty() && !url.contains(['@', '?', '#', ' '])
        })
}

/// A whole number of seconds, as SQS counts.
fn seconds(
    place: &Place<'_>,
    at: &str,
    text: Option<&str>,
    least: Duration,
    most: Duration,
) -> Result<Option<Duration>, ConfigError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let duration = place.parse_duration(at, text)?;
    match duration.subsec_nanos() == 0 && (least..=most).contains(&duration) {
        true => Ok(Some(duration)),
        false => place.wrong(
            at,
            format!(
                "SQS counts whole seconds, from {} to {}",
                least.as_secs(),
                most.as_secs()
            ),
        ),
    }
}

fn within<T: PartialOrd + From<u8> + std::fmt::Display>(
    place: &Place<'_>,
    at: &str,
    number: T,
    most: T,
) -> Result<T, ConfigError> {
    match (T::from(1)..=most).contains(&number) {
        true => Ok(number),
        false => place.wrong(at, format!("{number} is too few or too many")),
    }
}
