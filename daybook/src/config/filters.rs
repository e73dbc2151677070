//! `filter` of a bucket: which notifications of it are taken, in the terms of S3's own filters.

use daybook_domain::stored_object::NotificationFilter;
use serde::Deserialize;

use super::ConfigError;
use super::check::Place;
use super::file::BucketTable;

/// One filter, or several of which one has to take a notification.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum FilterTables {
    One(FilterTable),
    Any(Vec<FilterTable>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilterTable {
    pub prefix: Option<String>,
    pub suffix: Option<String>,
    #[serde(default)]
    pub events: Vec<String>,
}

/// The filters of the bucket at this place of the config.
pub(super) fn check(
    place: &Place<'_>,
    at: &str,
    bucket: &BucketTable,
) -> Result<Vec<NotificationFilter>, ConfigError> {
    let at = format!("{at}.filter");
    let tables = match &bucket.filter {
        None => return Ok(Vec::new()),
        Some(_) if bucket.path.is_some() => {
            return place.wrong(
                &at,
                "it is for what stores tell, and the files of a folder are seen without being told of; \
                 the pipelines say in on = […] which of them they want",
            );
        }
        Some(FilterTables::One(one)) => std::slice::from_ref(one),
        Some(FilterTables::Any(tables)) if tables.is_empty() => {
            return place.wrong(
                &at,
                "it has no filter in it; leave it out to take everything",
            );
        }
        Some(FilterTables::Any(tables)) => tables,
    };
    let mut filters = Vec::with_capacity(tables.len());
    for table in tables.iter().cloned() {
        match NotificationFilter::new(table.prefix, table.suffix, table.events) {
            Ok(filter) => filters.push(filter),
            Err(error) => return place.wrong(&at, format!("{error}")),
        }
    }
    Ok(filters)
}
