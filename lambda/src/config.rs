//! What the function is told: the ledger's URL in its environment, and the rest in a file beside it,
//! if there is one.
//!
//! ```toml
//! # daybook-lambda.toml
//! topics = ["arn:aws:sns:eu-central-1:123456789012:arrivals"]
//! unknown_buckets = "ignore"
//!
//! [buckets.inbox]
//! at_store = "company-raw"
//! order = "notification"
//! ```

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use daybook_command_service::intake::{IntakeConfig, KnownBucket, UnknownBuckets};
use daybook_domain::BucketName;
use daybook_domain::stored_object::{InvalidFilter, NotificationFilter, OrderRule};
use daybook_event_store::open::LogUrl;
use daybook_intake::{Settings, SnsSettings, SnsSignatures};
use serde::Deserialize;

/// The ledger's URL.
const STORE: &str = "DAYBOOK_STORE_URL";
/// The file, where it is not beside the program.
const FILE: &str = "DAYBOOK_LAMBDA_CONFIG";
/// Where AWS Lambda puts the function's package.
const PACKAGE: &str = "LAMBDA_TASK_ROOT";
/// The file's name there.
const FILE_NAME: &str = "daybook-lambda.toml";

/// A folder that a function may write to. Nothing is expected to be put there.
pub(crate) const SCRATCH: &str = "/tmp/daybook-blobs";

/// What the function is told.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) store: LogUrl,
    pub(crate) verify_sns: bool,
    topics: Vec<String>,
    buckets: Vec<KnownBucket>,
    unknown: UnknownBuckets,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    topics: Vec<String>,
    #[serde(default)]
    verify_sns: bool,
    unknown_buckets: Option<Unknown>,
    #[serde(default)]
    buckets: BTreeMap<BucketName, Bucket>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unknown {
    Record,
    Ignore,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bucket {
    at_store: Option<String>,
    order: Option<Order>,
    filter: Option<Filters>,
}

/// One filter, or several of which one has to take a notification.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Filters {
    One(Filter),
    Any(Vec<Filter>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    prefix: Option<String>,
    suffix: Option<String>,
    #[serde(default)]
    events: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Gateway,
    Notification,
}

impl Config {
    /// Reads the environment, and the file that it leads to.
    pub(crate) fn from_environment() -> Result<Self> {
        let store = env::var(STORE)
            .with_context(|| format!("{STORE} is not set; give the ledger's URL"))?;
        let named = env::var_os(FILE).map(PathBuf::from);
        let beside = env::var_os(PACKAGE).map(|folder| Path::new(&folder).join(FILE_NAME));
        let file = named.or_else(|| beside.filter(|path| path.exists()));
        let text = match &file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?,
        };
        let name = file.unwrap_or_default();
        Self::of(&store, &text).with_context(|| match name.as_os_str().is_empty() {
            true => "the environment is not understood".to_owned(),
            false => format!("{} or {STORE} is not understood", name.display()),
        })
    }

    fn of(store: &str, file: &str) -> Result<Self> {
        let store = LogUrl::parse(store, None)?;
        if let LogUrl::Sqlite(_) = store {
            bail!(
                "a function has no disk that others see: {STORE} must lead to PostgreSQL or EventStoreDB"
            );
        }
        let file: File = toml::from_str(file)?;
        let mut buckets = Vec::with_capacity(file.buckets.len());
        for (name, bucket) in file.buckets {
            let filters = filters(bucket.filter)
                .with_context(|| format!("the filter of bucket {name} is not understood"))?;
            buckets.push(KnownBucket {
                name,
                at_store: bucket.at_store,
                order: match bucket.order {
                    Some(Order::Gateway) => OrderRule::Gateway,
                    None | Some(Order::Notification) => OrderRule::Notification,
                },
                filters,
            });
        }
        Ok(Self {
            store,
            verify_sns: file.verify_sns,
            topics: file.topics,
            buckets,
            unknown: match file.unknown_buckets {
                Some(Unknown::Ignore) => UnknownBuckets::Ignore,
                None | Some(Unknown::Record) => UnknownBuckets::Record,
            },
        })
    }

    /// What the intake is started with.
    pub(crate) fn intake(&self) -> IntakeConfig {
        let settings = Settings {
            sns: SnsSettings {
                topics: self.topics.clone(),
                signatures: match self.verify_sns {
                    true => SnsSignatures::Everywhere,
                    false => SnsSignatures::OverHttp,
                },
                ..SnsSettings::default()
            },
            ..Settings::default()
        };
        IntakeConfig {
            open: Arc::new(settings),
            buckets: self.buckets.clone(),
            unknown: self.unknown,
            ..IntakeConfig::default()
        }
    }
}

fn filters(tables: Option<Filters>) -> Result<Vec<NotificationFilter>, InvalidFilter> {
    let tables = match tables {
        None => Vec::new(),
        Some(Filters::One(one)) => vec![one],
        Some(Filters::Any(tables)) => tables,
    };
    let filters = tables.into_iter();
    filters
        .map(|it| NotificationFilter::new(it.prefix, it.suffix, it.events))
        .collect()
}

#[cfg(test)]
mod tests;
