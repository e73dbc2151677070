//! The merge against a simple model, page by page as they may come, empty ones too.

use std::collections::{BTreeMap, BTreeSet};

use daybook_domain::stored_object::ObjectVersion;
use proptest::prelude::*;

use super::*;

struct Given<T>(VecDeque<Vec<T>>);

#[async_trait]
impl<T: Send> Pages<T> for Given<T> {
    async fn next_page(&mut self) -> Result<Option<Vec<T>>, Problem> {
        Ok(self.0.pop_front())
    }
}

fn in_pages<T>(items: impl IntoIterator<Item = T>, sizes: &[usize]) -> Given<T> {
    let mut sizes = sizes.iter().cycle();
    let mut pages = VecDeque::new();
    let mut page = Vec::new();
    let mut room = sizes.next().copied().unwrap_or(1);
    for item in items {
        while page.len() >= room {
            pages.push_back(std::mem::take(&mut page));
            room = sizes.next().copied().unwrap_or(1);
        }
        page.push(item);
    }
    pages.push_back(page);
    Given(pages)
}

fn listed(etag: u8) -> Vec<ListedVersion> {
    vec![ListedVersion {
        version: ObjectVersion {
            etag: Some(etag.to_string()),
            ..ObjectVersion::default()
        },
        latest: true,
        order: None,
    }]
}

fn known(versions: u64) -> ObjectState {
    ObjectState {
        versions,
        ..ObjectState::default()
    }
}

proptest! {
    #[test]
    fn every_key_comes_once_and_in_order(
        bucket in prop::collection::btree_map("(shadow/)?[a-c/é~]{1,4}", any::<u8>(), 0..40),
        ledger in prop::collection::btree_map("(shadow/)?[a-c/é~]{1,4}", 1u64..9, 0..40),
        sizes in prop::collection::vec(0usize..5, 1..4).prop_filter("some room", |sizes| {
            sizes.iter().any(|size| *size > 0)
        }),
    ) {
        let surveyed = bucket.iter().map(|(key, etag)| SurveyedKey {
            key: key.parse().unwrap(),
            versions: listed(*etag),
        });
        let told = ledger.iter().map(|(key, versions)| Known {
            key: key.parse().unwrap(),
            state: known(*versions),
            ours: false,
        });
        let mut merge = Merge::new(Box::new(in_pages(surveyed, &sizes)), in_pages(told, &[3, 1]));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut pairs = Vec::new();
        while let Some(pair) = runtime.block_on(merge.next()).unwrap() {
            pairs.push(pair);
        }
        let keys: BTreeSet<&String> = bucket.keys().chain(ledger.keys()).collect();
        let model: Vec<Pair> = keys
            .into_iter()
            .filter(|key| !key.starts_with("shadow/"))
            .map(|key| Pair {
                key: key.parse().unwrap(),
                listed: bucket.get(key).map(|etag| listed(*etag)).unwrap_or_default(),
                state: ledger.get(key).map(|versions| known(*versions)).unwrap_or_default(),
                ours: false,
            })
            .collect();
        prop_assert_eq!(pairs, model);
    }
}

#[test]
fn the_order_is_that_of_bytes() {
    let keys = ["a", "a b", "a/", "a/b", "aa", "é", "日", "🗻"];
    let ordered: BTreeMap<&str, ()> = keys.iter().map(|key| (*key, ())).collect();
    let parsed: Vec<ObjectKey> = keys.iter().map(|key| key.parse().unwrap()).collect();
    assert!(parsed.is_sorted());
    assert!(ordered.into_keys().eq(keys));
}
