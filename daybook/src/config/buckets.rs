//! The buckets of a config: folders of this machine, and buckets of other stores.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use daybook_command_service::ReconcileSchedule;
use daybook_domain::BucketName;
use daybook_s3_gateway::{
    BucketConfig, LocalBucket, UpstreamBucket, UpstreamKey, UpstreamLimits, UpstreamStore,
};

use super::check::Place;
use super::file::{BucketTable, LimitsTable, UpstreamTable};
use super::secret::Secret;
use super::{ConfigError, folders};

/// How long overwritten and deleted versions are kept.
const RETAIN: Duration = Duration::from_secs(30 * 24 * 3600);

/// The region of a store that names none: most stores but AWS have no other.
const REGION: &str = "us-east-1";

/// S3's bounds for the parts of an upload.
const SMALLEST_PART: u64 = 5 << 20;
const LARGEST_PART: u64 = 5 << 30;

pub(super) fn check(
    place: &Place<'_>,
    tables: BTreeMap<BucketName, BucketTable>,
) -> Result<BTreeMap<BucketName, BucketConfig>, ConfigError> {
    let mut buckets: BTreeMap<BucketName, BucketConfig> = BTreeMap::new();
    for (name, table) in tables {
        let at = format!("buckets.{name}");
        let BucketTable {
            path,
            retain,
            upstream,
            ..
        } = table;
        let bucket = match (path, upstream) {
            (Some(path), None) => {
                let retain = match retain {
                    Some(text) => place.parse_duration(&format!("{at}.retain"), &text)?,
                    None => RETAIN,
                };
                BucketConfig::Local(local(place, &at, &path, retain, &buckets)?)
            }
            (None, Some(_)) if retain.is_some() => {
                return place.wrong(
                    &format!("{at}.retain"),
                    "it is for buckets in folders; how long another store keeps versions is set there",
                );
            }
            (None, Some(table)) => BucketConfig::Upstream(upstream_bucket(place, &at, table)?),
            _ => {
                return place.wrong(
                    &at,
                    "give either path = \"FOLDER\" or upstream = { bucket = \"NAME\", … }, or notified = true \
                     for a bucket that only notifications tell of",
                );
            }
        };
        if let BucketConfig::Upstream(this) = &bucket {
            let same = buckets.iter().find(|(_, other)| match other {
                BucketConfig::Upstream(other) => {
                    other.bucket == this.bucket && other.store.endpoint == this.store.endpoint
                }
                BucketConfig::Local(_) => false,
            });
            if let Some((other, _)) = same {
                return place.wrong(
                    &format!("{at}.upstream"),
                    format!(
                        "it is the same bucket as that of bucket {other}; an object would be two"
                    ),
                );
            }
        }
        buckets.insert(name, bucket);
    }
    Ok(buckets)
}

/// The buckets that are compared with the ledger again and again.
pub(super) fn schedules(
    place: &Place<'_>,
    tables: &BTreeMap<BucketName, BucketTable>,
) -> Result<BTreeMap<BucketName, ReconcileSchedule>, ConfigError> {
    let mut schedules = BTreeMap::new();
    for (name, table) in tables {
        let Some(reconcile) = &table.reconcile else {
            continue;
        };
        let at = format!("buckets.{name}.reconcile");
        if table.notified {
            return place.wrong(
                &at,
                "a bucket that is known from notifications alone cannot be listed; give it \
                 upstream = { bucket = \"NAME\", … } instead of notified = true",
            );
        }
        let every = place.parse_duration(&format!("{at}.every"), &reconcile.every)?;
        if every < SHORTEST_SCHEDULE {
            return place.wrong(
                &format!("{at}.every"),
                "a whole bucket is compared each time; give at least 1s",
            );
        }
        if reconcile.rate == Some(0) {
            return place.wrong(
                &format!("{at}.rate"),
                "with 0 it would never end; leave it out for no bound",
            );
        }
        schedules.insert(
            name.clone(),
            ReconcileSchedule {
                every,
                dry_run: reconcile.dry_run,
                rate: reconcile.rate,
            },
        );
    }
    Ok(schedules)
}

/// A bucket is compared no more often than this by itself.
const SHORTEST_SCHEDULE: Duration = Duration::from_secs(1);

fn local(
    place: &Place<'_>,
    at: &str,
    path: &PathBuf,
    retain: Duration,
    others: &BTreeMap<BucketName, BucketConfig>,
) -> Result<LocalBucket, ConfigError> {
    let root = place.folder().join(path);
    let shares = |other: &BucketConfig| match other {
        BucketConfig::Local(other) => folders::share_files(&other.root, &root),
        BucketConfig::Upstream(_) => false,
    };
    if let Some((other, _)) = others.iter().find(|(_, other)| shares(other)) {
        return place.wrong(
            &format!("{at}.path"),
            format!(
                "its folder and that of bucket {other} lie within each other; give each its own"
            ),
        );
    }
    Ok(LocalBucket { root, retain })
}

fn upstream_bucket(
    place: &Place<'_>,
    at: &str,
    table: UpstreamTable,
) -> Result<UpstreamBucket, ConfigError> {
    let at = format!("{at}.upstream");
    if table.bucket.is_empty() {
        return place.wrong(&format!("{at}.bucket"), "name the bucket at the store");
    }
    if let Some(endpoint) = &table.endpoint {
        check_endpoint(place, &at, endpoint)?;
    }
    let keys = (table.access_key.as_ref(), table.secret_key.as_ref());
    let key = aws_key(place, &at, keys, table.profile.as_ref())?;
    let key = key.map(|(access_key, secret_key)| UpstreamKey {
        access_key,
        secret_key,
    });
    Ok(UpstreamBucket {
        bucket: table.bucket,
        checksums: table.checksums,
        store: UpstreamStore {
            region: table.region.unwrap_or_else(|| REGION.to_owned()),
            path_style: table.path_style.unwrap_or(table.endpoint.is_some()),
            endpoint: table.endpoint,
            profile: table.profile,
            key,
        },
    })
}

/// Whether the URL of a service is only that.
pub(super) fn check_endpoint(
    place: &Place<'_>,
    at: &str,
    endpoint: &str,
) -> Result<(), ConfigError> {
    let rest = endpoint
        .strip_prefix("https://")
        .or_else(|| endpoint.strip_prefix("http://"));
    let plain = rest.is_some_and(|rest| {
        let host = rest.trim_end_matches('/');
        !host.is_empty() && !host.contains(['/', '@', '?', '#', ' '])
    });
    match plain {
        true => Ok(()),
        false => place.wrong(
            &format!("{at}.endpoint"),
            "write it as https://HOST or http://HOST:PORT, without a path or a password",
        ),
    }
}

/// The pair of a service like AWS, where the config has one; `profile` is the other way to say it.
pub(super) fn aws_key(
    place: &Place<'_>,
    at: &str,
    keys: (Option<&Secret>, Option<&Secret>),
    profile: Option<&String>,
) -> Result<Option<(String, String)>, ConfigError> {
    let secret = |name: &str, secret: &Secret| {
        secret
            .resolve(place.folder())
            .or_else(|problem| place.wrong(&format!("{at}.{name}"), problem))
    };
    match keys {
        (None, None) => Ok(None),
        (Some(_), Some(_)) if profile.is_some() => place.wrong(
            &format!("{at}.profile"),
            "give either a profile or a key, not both",
        ),
        (Some(access_key), Some(secret_key)) => Ok(Some((
            secret("access_key", access_key)?,
            secret("secret_key", secret_key)?,
        ))),
        _ => place.wrong(
            at,
            "access_key and secret_key belong together; without both, the environment, the AWS \
             files and the machine's role are asked",
        ),
    }
}

/// What `[limits]` says of other stores.
pub(super) fn limits(
    place: &Place<'_>,
    table: &LimitsTable,
    limits: &mut UpstreamLimits,
) -> Result<(), ConfigError> {
    for (key, text, target) in [
        (
            "upstream_connect_timeout",
            &table.upstream_connect_timeout,
            &mut limits.connect_timeout,
        ),
        (
            "upstream_read_timeout",
            &table.upstream_read_timeout,
            &mut limits.read_timeout,
        ),
        (
            "upstream_finish_timeout",
            &table.upstream_finish_timeout,
            &mut limits.finish_timeout,
        ),
    ] {
        place.set_positive(&format!("limits.{key}"), text.as_deref(), target)?;
    }
    limits.attempts = table.upstream_attempts.unwrap_or(limits.attempts);
    if limits.attempts == 0 {
        return place.wrong("limits.upstream_attempts", "one attempt is the least");
    }
    limits.replay_bytes = table
        .upstream_replay_size
        .map_or(limits.replay_bytes, |size| size.as_u64());
    limits.part_bytes = table
        .upstream_part_size
        .map_or(limits.part_bytes, |size| size.as_u64());
    if !(SMALLEST_PART..=LARGEST_PART).contains(&limits.part_bytes) {
        return place.wrong(
            "limits.upstream_part_size",
            "S3 takes parts between 5 MiB and 5 GiB",
        );
    }
    Ok(())
}
