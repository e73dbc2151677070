//! Against sorting in memory, with rooms so small that there are many runs.

use proptest::prelude::*;

use super::{Record, SORTER_BYTES, Sorter};

fn sorted(records: &[Record], room_bytes: usize, last_only: bool) -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    let mut sorter = Sorter::new(folder.path(), room_bytes);
    if last_only {
        sorter = sorter.keeping_last();
    }
    for (key, value) in records {
        sorter.push(key, value).unwrap();
    }
    sorter.finish().unwrap().map(Result::unwrap).collect()
}

fn model(records: &[Record], last_only: bool) -> Vec<Record> {
    let mut model = records.to_vec();
    model.sort_by(|a, b| a.0.cmp(&b.0));
    if last_only {
        let mut kept: Vec<Record> = Vec::new();
        for record in model {
            match kept.last_mut() {
                Some(last) if last.0 == record.0 => *last = record,
                _ => kept.push(record),
            }
        }
        return kept;
    }
    model
}

proptest! {
    #[test]
    fn it_sorts_as_memory_does(
        records in prop::collection::vec(
            (prop::collection::vec(0u8..4, 0..4), prop::collection::vec(any::<u8>(), 0..20)),
            0..300,
        ),
        room_bytes in 1usize..2_000,
        last_only: bool,
    ) {
        prop_assert_eq!(sorted(&records, room_bytes, last_only), model(&records, last_only));
    }
}

#[test]
fn a_record_may_be_longer_than_what_is_read_at_once() {
    let long = vec![7; 300_000];
    let records: Vec<Record> = (0..5u8)
        .rev()
        .map(|key| (vec![key], long.clone()))
        .collect();
    assert_eq!(sorted(&records, 1_000, false), model(&records, false));
    assert_eq!(
        sorted(&records, SORTER_BYTES, false),
        model(&records, false)
    );
}

#[test]
fn nothing_gives_nothing() {
    assert!(sorted(&[], 1, true).is_empty());
}
