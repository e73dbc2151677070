use uuid::Uuid;

use super::super::stamp::{Birth, Checksums, Headers, Place, Stamp};
use super::*;

fn query(prefix: &str, delimiter: Option<&str>, after: Option<&str>, max: usize) -> Query {
    Query {
        prefix: prefix.to_owned(),
        delimiter: delimiter.map(str::to_owned),
        after: after.map(str::to_owned),
        max,
        max_unseen: 100,
    }
}

fn row(key: &str, etag: &str) -> Row {
    let file = std::fs::metadata("/").unwrap();
    let stamp = Stamp {
        key: key.to_owned(),
        version_id: String::new(),
        stamp: Uuid::nil(),
        etag: etag.to_owned(),
        size: 0,
        mtime_ns: 0,
        sequence: 1,
        event_name: String::new(),
        place: Place {
            bucket: "b".parse().unwrap(),
            folder: Birth::of(&file),
            file: Birth::of(&file),
        },
        found: false,
        null_version: false,
        marker: false,
        headers: Headers::default(),
        metadata: BTreeMap::new(),
        tags: BTreeMap::new(),
        checksums: Checksums::default(),
        upload: None,
        produced_by: None,
    };
    Row::of(&stamp, false)
}

/// Shows what comes after a key.
struct After(&'static str);

impl Visible for After {
    fn shows(&self, key: &str) -> bool {
        key > self.0
    }

    fn next(&self, key: &str) -> Option<String> {
        Some(key.to_owned())
    }
}

fn page(keys: &[&str], prefixes: &[&str], next: Option<&str>, etag: &str) -> Page {
    Page {
        objects: keys.iter().map(|key| row(key, etag)).collect(),
        prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        next: next.map(str::to_owned),
    }
}

/// Keys, prefixes and where the next page begins.
fn names(page: &Page) -> (Vec<&str>, Vec<&str>, Option<&str>) {
    (
        page.objects.iter().map(|it| it.key.as_str()).collect(),
        page.prefixes.iter().map(String::as_str).collect(),
        page.next.as_deref(),
    )
}

#[test]
fn the_upper_page_covers_the_lower_one() {
    let below = page(&["a", "b", "d"], &["x/"], None, "below");
    let above = page(&["b", "c"], &["x/"], None, "above");
    let merged = merge(below, above, 10);
    assert_eq!(names(&merged), (vec!["a", "b", "c", "d"], vec!["x/"], None));
    let etags: Vec<_> = merged.objects.iter().map(|it| it.etag.as_str()).collect();
    assert_eq!(etags, ["below", "above", "above", "below"]);
}

#[test]
fn nothing_is_told_beyond_what_either_page_knows() {
    let below = page(&["a", "c"], &[], Some("c"), "");
    let above = page(&["b", "d"], &[], None, "");
    assert_eq!(
        names(&merge(below, above, 9)),
        (vec!["a", "b", "c"], vec![], Some("c"))
    );
    let below = page(&["a", "c"], &[], Some("c"), "");
    let above = page(&["b", "d"], &[], None, "");
    assert_eq!(
        names(&merge(below, above, 2)),
        (vec!["a", "b"], vec![], Some("b"))
    );
    let nothing = merge(Page::default(), Page::default(), 0);
    assert_eq!(names(&nothing), (vec![], vec![], None));
}

#[test]
fn keys_are_rolled_up_and_paged_as_in_any_listing() {
    let keys = ["a", "p/1", "p/2", "p/q/3", "z"];
    let all = After("");
    let chosen = |query: &Query| select(keys.into_iter(), query, &all);
    let first = chosen(&query("", Some("/"), None, 2));
    assert_eq!(
        (first.keys, first.prefixes),
        (vec!["a".to_owned()], vec!["p/".to_owned()])
    );
    assert_eq!(first.next.as_deref(), Some("p/"));
    let second = chosen(&query("", Some("/"), Some("p/"), 2));
    assert_eq!((second.keys, second.next), (vec!["z".to_owned()], None));
    // As on S3, what comes after a key may be rolled up into a prefix that comes before it.
    let within = chosen(&query("", Some("/"), Some("p/1"), 2));
    assert_eq!(within.prefixes, ["p/"]);
    let below = chosen(&query("p/", None, None, 2));
    assert_eq!((below.keys.len(), below.next.as_deref()), (2, Some("p/2")));
    let hidden = select(keys.into_iter(), &query("", None, None, 9), &After("p/2"));
    assert_eq!(hidden.keys, ["p/q/3", "z"]);
}
