//! Batches against the real memory log: the same results as one command after the other.

use daybook_domain::stored_object::StoredObject;
use daybook_event_store::Position;

use super::batch::Proposal;
use super::tests::{Given, arrived_at, origin};

fn proposal(key: &str, stamp: u128, command: u128) -> Proposal<StoredObject> {
    let (stream, asked) = arrived_at(key, stamp);
    Proposal {
        stream,
        command: asked,
        origin: origin(command),
    }
}

#[tokio::test]
async fn each_gets_its_own_result_in_order() {
    let given = Given::new();
    let batch = (0..5).map(|number| proposal(&format!("{number}.txt"), number, number));
    let results = given.ledger.execute_each(batch.collect()).await;
    let positions: Vec<_> = results
        .into_iter()
        .map(|result| result.unwrap().position)
        .collect();
    let expected: Vec<_> = (1..=5).map(|number| Some(Position(number))).collect();
    assert_eq!(positions, expected);
    let (stream, _) = arrived_at("3.txt", 3);
    let stored = given.ledger.load::<StoredObject>(&stream).await.unwrap();
    assert!(stored.unwrap().state.present);
}

#[tokio::test]
async fn what_was_taken_for_new_and_is_not_is_decided_on_what_is_there() {
    let given = Given::new();
    let first = vec![proposal("a.txt", 1, 1)];
    given.other().execute_each(first).await.remove(0).unwrap();
    // The first is known by its stamp, the second is another version of the key, the third is new.
    let batch = vec![
        proposal("a.txt", 1, 2),
        proposal("a.txt", 2, 3),
        proposal("b.txt", 3, 4),
    ];
    let results = given.ledger.execute_each(batch).await;
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert!(results[0].events.is_empty());
    assert_eq!(results[1].events.len(), 1);
    assert_eq!(results[1].state.state.versions, 2);
    assert_eq!(results[2].events.len(), 1);
    assert_eq!(given.ledger.log().head().await.unwrap(), Position(3));
}

#[tokio::test]
async fn a_fold_that_is_behind_the_log_is_not_trusted() {
    let given = Given::new();
    let (ours, other) = (&given.ledger, given.other());
    for (ledger, number) in [(ours, 1), (&other, 2), (ours, 3), (&other, 2)] {
        let batch = vec![proposal("a.txt", number, number)];
        ledger.execute_each(batch).await.remove(0).unwrap();
    }
    let (stream, _) = arrived_at("a.txt", 1);
    let stored = ours.load::<StoredObject>(&stream).await.unwrap().unwrap();
    assert_eq!(stored.state.versions, 3);
    assert_eq!(ours.log().head().await.unwrap(), Position(3));
}

#[tokio::test]
async fn what_is_said_to_be_the_first_is_looked_up_where_it_is_not() {
    let given = Given::new();
    let ask = async |key: &str, stamp: u128, command: u128| {
        let (stream, asked) = arrived_at(key, stamp);
        let ledger = given.other();
        let asked = ledger.execute_first::<StoredObject>(stream, asked, origin(command));
        asked.await.unwrap()
    };
    assert_eq!(ask("a.txt", 1, 1).await.position, Some(Position(1)));
    // Another version of the key, and the same again.
    let second = ask("a.txt", 2, 2).await;
    assert_eq!(second.position, Some(Position(2)));
    assert_eq!(second.state.state.versions, 2);
    assert_eq!(ask("a.txt", 2, 3).await.position, None);
    assert_eq!(ask("b.txt", 3, 4).await.position, Some(Position(3)));
}
