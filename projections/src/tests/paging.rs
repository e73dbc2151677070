//! Pages neither skip nor repeat, forwards and backwards, where many rows have the same value.

use super::story::Story;
use crate::projector::{Projector, ProjectorConfig};
use crate::query::{ObjectFilter, ObjectOrder, Page};
use daybook_event_store::EventLog;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn pages_join_up_over_ties() {
    let story = Story::new();
    for number in 0..10 {
        // Three sizes in all, so most rows are tied.
        story.put(&format!("{number}.txt"), number).await;
    }
    let projector = started(&story).await;
    let reader = projector.reader();
    for order in [ObjectOrder::Created, ObjectOrder::Key, ObjectOrder::Size] {
        for descending in [false, true] {
            let filter = ObjectFilter::default;
            let all = reader.objects(filter(), order, descending, Page::first(100));
            let all: Vec<_> = keys(all.await.unwrap());
            assert_eq!(all.len(), 10);

            let (mut forward, mut page) = (Vec::new(), Page::first(3));
            loop {
                let paged = reader.objects(filter(), order, descending, page.clone());
                let paged = paged.await.unwrap();
                page.after = paged.rows.last().map(|(cursor, _)| cursor.clone());
                let more = paged.has_next;
                forward.extend(keys(paged));
                if !more {
                    break;
                }
            }
            assert_eq!(forward, all, "{order:?} {descending}");

            let (mut backward, mut page) = (Vec::new(), Page::first(3));
            page.from_end = true;
            loop {
                let paged = reader.objects(filter(), order, descending, page.clone());
                let paged = paged.await.unwrap();
                page.before = paged.rows.first().map(|(cursor, _)| cursor.clone());
                let more = paged.has_previous;
                let mut joined = keys(paged);
                joined.append(&mut backward);
                backward = joined;
                if !more {
                    break;
                }
            }
            assert_eq!(backward, all, "{order:?} {descending}");
        }
    }
}

#[tokio::test]
async fn a_prefix_is_no_pattern() {
    let story = Story::new();
    for (number, name) in ["a%b", "axb", "a%", "A%b", "ä%b"].into_iter().enumerate() {
        story.put(name, u32::try_from(number).unwrap()).await;
    }
    let projector = started(&story).await;
    let filter = ObjectFilter {
        prefix: Some("a%".into()),
        ..ObjectFilter::default()
    };
    let found = projector
        .reader()
        .objects(filter, ObjectOrder::Key, false, Page::first(10));
    assert_eq!(keys(found.await.unwrap()), ["a%", "a%b"]);
}

fn keys(paged: crate::query::Paged<crate::query::ObjectRow>) -> Vec<String> {
    paged.rows.into_iter().map(|(_, row)| row.key).collect()
}

async fn started(story: &Story) -> Projector {
    let config = ProjectorConfig::new(story.model_path());
    let shutdown = CancellationToken::new();
    let projector = Projector::start(story.log(), story.blobs.clone(), config, shutdown);
    let projector = projector.await.unwrap();
    let head = story.log.head().await.unwrap();
    let patience = std::time::Duration::from_secs(20);
    projector.wait_for(head, patience).await.unwrap();
    projector
}
