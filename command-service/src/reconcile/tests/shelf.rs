//! A store in memory: what a bucket shows of each key, the newest version first.

use std::collections::BTreeMap;

use async_trait::async_trait;
use daybook_domain::reconcile::ReconcileStarted;
use daybook_domain::stored_object::{ListedVersion, ObjectVersion};
use daybook_domain::{BucketName, ObjectKey};
use daybook_s3_gateway::{DescribedVersion, SurveyError, SurveyedKey};

use super::super::Problem;
use super::super::bucket::{Buckets, SurveyedPages};
use super::super::merge::Pages;

/// The keys of the buckets of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf(pub(super) BTreeMap<BucketName, BTreeMap<ObjectKey, Stack>>);

/// The versions and markers of a key, the newest first; a marker is `None`.
pub(super) type Stack = Vec<Option<ObjectVersion>>;

fn listed(stack: &Stack) -> Vec<ListedVersion> {
    let all = stack.iter().enumerate();
    all.filter_map(|(place, version)| {
        Some(ListedVersion {
            version: version.clone()?,
            latest: place == 0,
            order: None,
        })
    })
    .collect()
}

struct Walk(std::vec::IntoIter<Vec<SurveyedKey>>);

#[async_trait]
impl Pages<SurveyedKey> for Walk {
    async fn next_page(&mut self) -> Result<Option<Vec<SurveyedKey>>, Problem> {
        Ok(self.0.next())
    }
}

#[async_trait]
impl Buckets for Shelf {
    fn locks_keys(&self, _bucket: &BucketName) -> bool {
        false
    }

    async fn settle_by_hand(&self, _bucket: &BucketName) -> Result<(), SurveyError> {
        Ok(())
    }

    fn survey(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&ObjectKey>,
    ) -> Result<SurveyedPages, SurveyError> {
        let keys = self.0.get(bucket).into_iter().flatten();
        let keys = keys.filter(|(key, _)| key.as_str().starts_with(prefix));
        let keys = keys.filter(|(key, _)| after.is_none_or(|after| *key > after));
        let surveyed = keys.map(|(key, stack)| SurveyedKey {
            key: key.clone(),
            versions: listed(stack),
        });
        let surveyed: Vec<_> = surveyed.filter(|it| !it.versions.is_empty()).collect();
        let pages: Vec<_> = surveyed.chunks(100).map(<[_]>::to_vec).collect();
        Ok(Box::new(Walk(pages.into_iter())))
    }

    async fn report(
        &self,
        _asked: &ReconcileStarted,
        _manifest: &str,
        _after: Option<&ObjectKey>,
    ) -> Result<SurveyedPages, Problem> {
        Err(Problem::Hopeless("this store makes no reports".to_owned()))
    }

    async fn look_at(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Option<Vec<ListedVersion>>, SurveyError> {
        let stack = self.0.get(bucket).and_then(|keys| keys.get(key));
        Ok(Some(stack.map(listed).unwrap_or_default()))
    }

    async fn describe(
        &self,
        _bucket: &BucketName,
        _key: &ObjectKey,
        listed: &ListedVersion,
    ) -> Result<Option<DescribedVersion>, SurveyError> {
        Ok(Some(DescribedVersion {
            version: listed.version.clone(),
            order: None,
            event_name: None,
            produced_by: None,
        }))
    }
}
