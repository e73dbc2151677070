//! What is kept out of the index, and for how long.

use rusqlite::Connection;

use super::{LEAST_MOVED, Unindexed, hash_of};

#[test]
fn the_hash_of_a_name_never_changes() {
    assert_eq!(hash_of(""), 0x141c_fc98_42c4_b0e3);
}

/// The index takes over in the order of the hashes, and neither half grows without bound.
#[test]
fn streams_wait_in_bounded_number_and_leave_in_order() {
    let capacity = 1_000;
    let mut unindexed = Unindexed {
        capacity,
        ..Unindexed::default()
    };
    let mut moved = Vec::new();
    let mut rounds = 0;
    for id in 1..=20_000 {
        unindexed.add(hash_of(&id.to_string()), id);
        let due = unindexed.take_due();
        if let (Some(last), Some(first)) = (moved.last(), due.first())
            && last > first
        {
            rounds += 1;
        }
        moved.extend(due);
        let waiting = unindexed.young.len() + unindexed.old.len();
        assert!(waiting <= 2 * capacity + LEAST_MOVED, "{waiting}");
        assert_eq!(moved.len() + waiting, id as usize);
    }
    assert!(moved.len() >= 17_000, "{}", moved.len());
    assert!(rounds <= 20, "sorted within each of few rounds: {rounds}");
}

#[test]
fn what_is_said_to_be_in_the_index_was_moved() {
    let mut unindexed = Unindexed {
        capacity: 100,
        ..Unindexed::default()
    };
    let mut moved = std::collections::BTreeSet::new();
    for id in 1..=1_000 {
        unindexed.add(hash_of(&id.to_string()), id);
        moved.extend(unindexed.take_due().into_iter().map(|(_, id)| id));
        if let Some(to) = unindexed.all_old_moved() {
            assert!((1..=to).all(|id| moved.contains(&id)), "up to {to}");
        }
    }
    assert!(unindexed.old_to > 500);
}

#[test]
fn two_names_with_one_hash_are_both_found() {
    let mut unindexed = Unindexed::default();
    unindexed.add(7, 1);
    unindexed.add(7, 2);
    unindexed.add(8, 3);
    assert_eq!(unindexed.find(7).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_reader_forgets_what_the_index_has() {
    let connection = Connection::open_in_memory().unwrap();
    let tables = "CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE hashed (to_id); INSERT INTO hashed VALUES (1);
        INSERT INTO streams VALUES (1, 'a'), (2, 'b'), (3, 'c');";
    connection.execute_batch(tables).unwrap();
    let mut unindexed = Unindexed::load(&connection, usize::MAX).unwrap();
    let found = |unindexed: &Unindexed, name| unindexed.find(hash_of(name)).next();
    assert_eq!(found(&unindexed, "a"), None);
    assert_eq!(found(&unindexed, "b"), Some(2));
    connection
        .execute_batch("INSERT INTO streams VALUES (4, 'd')")
        .unwrap();
    unindexed.forget_to(2);
    unindexed.catch_up(&connection).unwrap();
    assert_eq!(found(&unindexed, "b"), None);
    assert_eq!(found(&unindexed, "d"), Some(4));
}
