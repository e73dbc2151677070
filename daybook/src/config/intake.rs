//! `[intake]`: what other stores may tell, who they have to be, and how much of it at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use daybook_command_service::HttpLimits;
use daybook_command_service::intake::sqs::SqsQueue;
use daybook_command_service::intake::{
    AdmissionLimits, IntakeConfig, KnownBucket, RejectedConfig, SourceConfig, SourceName,
    UnknownBuckets,
};
use daybook_domain::BucketName;
use daybook_domain::stored_object::OrderRule;
use daybook_intake::{Authentication, Limits, Settings, SnsSettings, SnsSignatures, Source};
use serde::Deserialize;

use super::ConfigError;
use super::check::Place;
use super::file::BucketTable;
use super::filters;
use super::queues::{self, QueueTable};
use super::secret::Secret;

/// The name that rejected deliveries are listed under, beside the sources.
const RESERVED: &str = "rejected";

/// The stores, by the names that they have in answers.
const STORES: [Source; 7] = [
    Source::AwsS3,
    Source::Minio,
    Source::Ceph,
    Source::CloudflareR2,
    Source::BackblazeB2,
    Source::GoogleGcs,
    Source::AzureBlob,
];

/// The parser's own bound.
const DEEPEST: usize = 120;

/// How long the head of a request may take to come.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How many connections the listeners take at once; each may hold a body of some megabytes.
const MAX_CONNECTIONS: usize = 1_024;

/// `[intake]`, as the file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IntakeTable {
    pub listen: Option<SocketAddr>,
    pub unknown_buckets: Option<String>,
    pub max_body_size: Option<ByteSize>,
    pub max_depth: Option<usize>,
    pub max_values: Option<usize>,
    pub max_records: Option<usize>,
    pub in_flight_records: Option<usize>,
    pub in_flight_size: Option<ByteSize>,
    pub retry_after: Option<String>,
    pub keys_at_once: Option<usize>,
    pub repeats_kept: Option<usize>,
    pub body_timeout: Option<String>,
    pub header_timeout: Option<String>,
    pub max_connections: Option<usize>,
    pub rejected_kept: Option<usize>,
    pub rejected_size: Option<ByteSize>,
    pub rejected_body_size: Option<ByteSize>,
    pub rejected_a_second: Option<u32>,
    pub rejected_messages: Option<usize>,
    pub gateway_patience: Option<String>,
    pub open: Option<SourceTable>,
    #[serde(default)]
    pub sources: BTreeMap<String, SourceTable>,
    #[serde(default)]
    pub queues: BTreeMap<String, QueueTable>,
}

/// One who delivers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceTable {
    pub authentication: Option<AuthenticationTable>,
    #[serde(default)]
    pub stores: Vec<String>,
    #[serde(default)]
    pub topics: Vec<String>,
    pub sns_max_age: Option<String>,
    #[serde(default)]
    pub verify_everywhere: bool,
    #[serde(default)]
    pub b2_secrets: Vec<Secret>,
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    #[serde(default)]
    pub buckets: BTreeMap<String, BucketName>,
}

/// What a request has to show: one of several, or the word for nothing.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum AuthenticationTable {
    Word(String),
    One(TokenTable),
    Any(Vec<TokenTable>),
}

/// A token and the place where it is shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenTable {
    pub bearer: Option<Secret>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub header: Option<String>,
    pub query: Option<String>,
    pub value: Option<Secret>,
}

/// What counts of it.
#[derive(Clone, Debug)]
pub(crate) struct IntakeSettings {
    /// Where stores deliver, apart from the API.
    pub(crate) listen: Option<SocketAddr>,
    /// What the intake is started with. The folder of what is rejected is not in it yet.
    pub(crate) config: IntakeConfig,
    /// What is pulled from.
    pub(crate) queues: Vec<SqsQueue>,
    /// The bounds of one request.
    pub(crate) http: HttpLimits,
    /// How long the head of a request may take to come, on every listener.
    pub(crate) header_timeout: Duration,
    /// How many connections each listener takes at once.
    pub(crate) max_connections: usize,
}

impl IntakeTable {
    /// What it holds that is secret.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let sources = self.sources.values().chain(&self.open);
        let of_sources = sources.flat_map(|source| {
            let tokens: Vec<&TokenTable> = match &source.authentication {
                Some(AuthenticationTable::One(token)) => vec![token],
                Some(AuthenticationTable::Any(tokens)) => tokens.iter().collect(),
                Some(AuthenticationTable::Word(_)) | None => Vec::new(),
            };
            let shown = tokens.into_iter().flat_map(|token| {
                let parts = [&token.bearer, &token.password, &token.value];
                parts.into_iter().flatten()
            });
            shown.chain(&source.b2_secrets).collect::<Vec<_>>()
        });
        of_sources.chain(self.queues.values().flat_map(QueueTable::secrets))
    }
}

/// Takes the buckets out that are known by notifications alone, and says who puts the writes of each
/// bucket in order, and which notifications of it are taken.
pub(super) fn buckets(
    place: &Place<'_>,
    tables: &mut BTreeMap<BucketName, BucketTable>,
) -> Result<Vec<KnownBucket>, ConfigError> {
    let mut known = Vec::new();
    for (name, table) in tables.iter() {
        let at = format!("buckets.{name}");
        if table.notified && (table.path.is_some() || table.upstream.is_some()) {
            return place.wrong(
                &format!("{at}.notified"),
                "it is for a bucket that only notifications tell of; one with a path or an upstream \
                 is told of as well, without it",
            );
        }
        let default = match table.notified {
            true => OrderRule::Notification,
            false => OrderRule::Gateway,
        };
        let order = match table.order.as_deref() {
            None => default,
            Some("gateway") if table.notified => {
                return place.wrong(
                    &format!("{at}.order"),
                    "no write of it goes through the gateway; leave it out",
                );
            }
            Some("gateway") => OrderRule::Gateway,
            Some("notification") => OrderRule::Notification,
            Some(other) => {
                return place.wrong(
                    &format!("{at}.order"),
                    format!("{other:?} is neither \"gateway\" nor \"notification\""),
                );
            }
        };
        known.push(KnownBucket {
            name: name.clone(),
            at_store: table.upstream.as_ref().map(|it| it.bucket.clone()),
            order,
            filters: filters::check(place, &at, table)?,
        });
    }
    tables.retain(|_, table| !table.notified);
    Ok(known)
}

/// Checks the table.
pub(super) fn check(
    place: &Place<'_>,
    table: &IntakeTable,
    buckets: Vec<KnownBucket>,
) -> Result<IntakeSettings, ConfigError> {
    let limits = limits(place, table)?;
    let outside = table
        .listen
        .is_some_and(|listen| !listen.ip().is_loopback());
    let mut sources = BTreeMap::new();
    for (name, source) in &table.sources {
        let at = format!("intake.sources.{name}");
        let name: SourceName = match name.parse() {
            Ok(_) if name == RESERVED => {
                return place.wrong(&at, "the name is taken: what is rejected is listed there");
            }
            Ok(name) => name,
            Err(error) => return place.wrong(&at, format!("{error}")),
        };
        // Nobody said who may come over HTTP, and a queue has its own way to say that.
        let mut queues = table.queues.values();
        let queues_only = source.authentication.is_none()
            && queues.any(|queue| queue.source.as_deref() == Some(name.as_str()));
        let reached = outside && !queues_only;
        let config = SourceConfig {
            settings: Arc::new(settings(place, &at, source, &limits, reached)?),
            buckets: source.buckets.clone(),
            queues_only,
        };
        sources.insert(name, config);
    }
    let open = match &table.open {
        Some(open) if !open.buckets.is_empty() => {
            return place.wrong(
                "intake.open.buckets",
                "whose names they are is not known there; give the store a source of its own",
            );
        }
        Some(open) => settings(place, "intake.open", open, &limits, outside)?,
        None => Settings {
            limits: limits.clone(),
            ..Settings::default()
        },
    };
    let defaults = IntakeConfig::default();
    let mut gateway_patience = defaults.gateway_patience;
    place.set_positive(
        "intake.gateway_patience",
        table.gateway_patience.as_deref(),
        &mut gateway_patience,
    )?;
    let config = IntakeConfig {
        open: Arc::new(open),
        // Whoever can reach a listener outside loopback needs to be asked who he is.
        open_over_http: table.open.is_some() || !outside,
        sources,
        buckets,
        unknown: match table.unknown_buckets.as_deref() {
            None | Some("record") => UnknownBuckets::Record,
            Some("ignore") => UnknownBuckets::Ignore,
            Some(other) => {
                return place.wrong(
                    "intake.unknown_buckets",
                    format!("{other:?} is neither \"record\" nor \"ignore\""),
                );
            }
        },
        limits: admission(place, table)?,
        keys_at_once: positive(
            place,
            "keys_at_once",
            table.keys_at_once,
            defaults.keys_at_once,
        )?,
        repeats_kept: positive(
            place,
            "repeats_kept",
            table.repeats_kept,
            defaults.repeats_kept,
        )?,
        rejected: RejectedConfig {
            folder: None,
            most: table.rejected_kept.unwrap_or(defaults.rejected.most),
            most_bytes: table
                .rejected_size
                .map_or(defaults.rejected.most_bytes, |size| size.as_u64()),
            body_bytes: size(
                place,
                "rejected_body_size",
                table.rejected_body_size,
                defaults.rejected.body_bytes,
            )?,
            a_second: table
                .rejected_a_second
                .unwrap_or(defaults.rejected.a_second),
            messages_remembered: positive(
                place,
                "rejected_messages",
                table.rejected_messages,
                defaults.rejected.messages_remembered,
            )?,
        },
        gateway_patience,
    };
    let mut http = HttpLimits {
        max_body: limits.max_body,
        ..HttpLimits::default()
    };
    place.set_positive(
        "intake.body_timeout",
        table.body_timeout.as_deref(),
        &mut http.body_timeout,
    )?;
    let mut header_timeout = HEADER_TIMEOUT;
    place.set_positive(
        "intake.header_timeout",
        table.header_timeout.as_deref(),
        &mut header_timeout,
    )?;
    let queues = queues::check(place, &table.queues, |source| {
        table.sources.contains_key(source)
    })?;
    Ok(IntakeSettings {
        listen: table.listen,
        config,
        queues,
        http,
        header_timeout,
        max_connections: positive(
            place,
            "max_connections",
            table.max_connections,
            MAX_CONNECTIONS,
        )?,
    })
}

fn limits(place: &Place<'_>, table: &IntakeTable) -> Result<Limits, ConfigError> {
    let defaults = Limits::default();
    let max_depth = positive(place, "max_depth", table.max_depth, defaults.max_depth)?;
    if max_depth > DEEPEST {
        return place.wrong("intake.max_depth", format!("{DEEPEST} is the most"));
    }
    Ok(Limits {
        max_body: size(
            place,
            "max_body_size",
            table.max_body_size,
            defaults.max_body,
        )?,
        max_depth,
        max_values: positive(place, "max_values", table.max_values, defaults.max_values)?,
        max_items: positive(place, "max_records", table.max_records, defaults.max_items)?,
    })
}

fn admission(place: &Place<'_>, table: &IntakeTable) -> Result<AdmissionLimits, ConfigError> {
    let mut limits = AdmissionLimits::default();
    limits.records = positive(
        place,
        "in_flight_records",
        table.in_flight_records,
        limits.records,
    )?;
    limits.bytes = size(place, "in_flight_size", table.in_flight_size, limits.bytes)?;
    let retry_after = table.retry_after.as_deref();
    place.set_positive("intake.retry_after", retry_after, &mut limits.retry_after)?;
    Ok(limits)
}

fn positive(
    place: &Place<'_>,
    key: &str,
    given: Option<usize>,
    default: usize,
) -> Result<usize, ConfigError> {
    match given {
        Some(0) => place.wrong(
            &format!("intake.{key}"),
            "0 lets nothing through; give more, or leave it out for the default",
        ),
        given => Ok(given.unwrap_or(default)),
    }
}

fn size(
    place: &Place<'_>,
    key: &str,
    given: Option<ByteSize>,
    default: usize,
) -> Result<usize, ConfigError> {
    let given = given.map(|size| usize::try_from(size.as_u64()).unwrap_or(usize::MAX));
    positive(place, key, given, default)
}

/// What is expected of one source.
fn settings(
    place: &Place<'_>,
    at: &str,
    table: &SourceTable,
    limits: &Limits,
    outside: bool,
) -> Result<Settings, ConfigError> {
    let mut sources = Vec::new();
    for store in &table.stores {
        match STORES.iter().find(|source| source.as_str() == store) {
            Some(source) => sources.push(*source),
            None => {
                let known: Vec<_> = STORES.iter().map(|source| source.as_str()).collect();
                return place.wrong(
                    &format!("{at}.stores"),
                    format!("{store:?} is not one of {}", known.join(", ")),
                );
            }
        }
    }
    let mut b2_secrets = Vec::new();
    for secret in &table.b2_secrets {
        match secret.resolve(place.folder()) {
            Ok(secret) => b2_secrets.push(secret.into()),
            Err(problem) => return place.wrong(&format!("{at}.b2_secrets"), problem),
        }
    }
    let mut sns = SnsSettings {
        topics: table.topics.clone(),
        signatures: match table.verify_everywhere {
            true => SnsSignatures::Everywhere,
            false => SnsSignatures::OverHttp,
        },
        ..SnsSettings::default()
    };
    match table.sns_max_age.as_deref() {
        None => {}
        Some("none") => sns.max_age = None,
        Some(age) => sns.max_age = Some(place.parse_duration(&format!("{at}.sns_max_age"), age)?),
    }
    Ok(Settings {
        sources,
        authentication: authentication(place, at, table, outside)?,
        b2_secrets,
        sns,
        allowed_origins: table.allowed_origins.clone(),
        limits: limits.clone(),
    })
}

/// What a request has to show. Nothing at all has to be written out where others than this machine
/// reach it.
fn authentication(
    place: &Place<'_>,
    at: &str,
    table: &SourceTable,
    outside: bool,
) -> Result<Vec<Authentication>, ConfigError> {
    let at = format!("{at}.authentication");
    let tokens = match &table.authentication {
        None if outside => {
            return place.wrong(
                &at,
                "the intake listens outside loopback, so say what a request has to show, as in \
                 authentication = { bearer = { env = \"NAME\" } }; or \"signed\", where only what SNS \
                 or Backblaze B2 sign is taken; or \"none\", if anybody may deliver",
            );
        }
        None => return Ok(Vec::new()),
        Some(AuthenticationTable::Word(word)) => match word.as_str() {
            "none" => return Ok(Vec::new()),
            "signed" if table.topics.is_empty() && table.b2_secrets.is_empty() => {
                return place.wrong(
                    &at,
                    "nobody's signature is known; give topics (SNS) or b2_secrets (Backblaze B2)",
                );
            }
            // An empty token is shown by nobody: all that is left are signatures.
            "signed" => return Ok(vec![Authentication::Bearer(String::new().into())]),
            other => {
                return place.wrong(
                    &at,
                    format!(
                        "{other:?} is neither \"signed\" nor \"none\" nor a table with a token"
                    ),
                );
            }
        },
        Some(AuthenticationTable::One(token)) => std::slice::from_ref(token),
        Some(AuthenticationTable::Any(tokens)) => tokens,
    };
    if tokens.is_empty() {
        return place.wrong(
            &at,
            "the list is empty; write \"none\" if nothing has to be shown",
        );
    }
    let tokens = tokens.iter().map(|table| token(place, &at, table));
    tokens.collect()
}

fn token(place: &Place<'_>, at: &str, table: &TokenTable) -> Result<Authentication, ConfigError> {
    let secret = |secret: &Secret| match secret.resolve(place.folder()) {
        Ok(secret) => Ok(secret.into()),
        Err(problem) => place.wrong(at, problem),
    };
    match table {
        TokenTable {
            bearer: Some(token),
            user: None,
            password: None,
            header: None,
            query: None,
            value: None,
        } => Ok(Authentication::Bearer(secret(token)?)),
        TokenTable {
            bearer: None,
            user: Some(user),
            password: Some(password),
            header: None,
            query: None,
            value: None,
        } => Ok(Authentication::Basic {
            user: user.clone(),
            password: secret(password)?,
        }),
        TokenTable {
            bearer: None,
            user: None,
            password: None,
            header: Some(name),
            query: None,
            value: Some(value),
        } => Ok(Authentication::Header {
            name: name.to_ascii_lowercase(),
            value: secret(value)?,
        }),
        TokenTable {
            bearer: None,
            user: None,
            password: None,
            header: None,
            query: Some(name),
            value: Some(value),
        } => Ok(Authentication::Query {
            name: name.clone(),
            value: secret(value)?,
        }),
        _ => place.wrong(
            at,
            "give { bearer = … }, { user = \"…\", password = … }, { header = \"NAME\", value = … } or \
             { query = \"NAME\", value = … }",
        ),
    }
}
