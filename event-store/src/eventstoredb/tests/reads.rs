//! Reads beside other users of the server.

use tonic::Status;

use super::{connect, connect_with, impatient};
use crate::conformance::fixture::{all, append, given, ids, within};
use crate::eventstoredb::fake::{Fake, Trouble};
use crate::eventstoredb::{EventStoreDbLog, EventStoreDbOptions};
use crate::{AppendError, EventLog, Expected, Position, ReadError};

#[tokio::test]
async fn ledgers_on_one_server_do_not_see_each_other() {
    let fake = Fake::start().await;
    let one = connect(&fake).await;
    let options = EventStoreDbOptions {
        stream_prefix: "other.daybook-".into(),
        ..impatient()
    };
    let other = connect_with(&fake, options).await;
    given(&*one, "a", Expected::NoStream, 1..3).await;
    given(&*other, "a", Expected::NoStream, 11..12).await;
    assert_eq!(ids(&all(&*one).await), [1, 2]);
    assert_eq!(ids(&all(&*other).await), [11]);
    assert!(one.head().await.unwrap() < other.head().await.unwrap());
}

#[tokio::test]
async fn the_newest_event_is_found_far_from_the_end() {
    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    assert_eq!(log.head().await.unwrap(), Position::START);
    let appended = given(&*log, "a", Expected::NoStream, 1..3).await;
    for _ in 0..3_000 {
        fake.write_foreign("elsewhere-1");
    }
    for fresh in [&log, &connect(&fake).await] {
        for _ in 0..2 {
            assert_eq!(fresh.head().await.unwrap(), appended.position);
        }
        assert_eq!(ids(&all(&**fresh).await), [1, 2]);
        let behind = fresh.read_all(appended.position, 10).await.unwrap();
        assert!(behind.is_empty());
    }
    for _ in 0..3_000 {
        fake.write_foreign("elsewhere-1");
    }
    given(&*log, "b", Expected::NoStream, 3..4).await;
    let next = log.read_all(appended.position, 10).await.unwrap();
    assert_eq!(ids(&next), [3]);
}

#[tokio::test]
async fn a_position_that_is_no_events_is_read_around() {
    let fake = Fake::start().await.with_neighbour();
    let log = connect_with(&fake, impatient()).await;
    given(&*log, "a", Expected::NoStream, 1..4).await;
    for event in all(&*log).await {
        let before = log.read_all(Position(event.position.0 - 1), 1).await;
        assert_eq!(before.unwrap(), [event]);
    }
}

#[tokio::test]
async fn a_stranger_among_our_streams_is_damage() {
    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    fake.write_foreign("daybook-mine");
    match log.read_all(Position::START, 10).await {
        Err(ReadError::Damaged(what)) => assert!(what.contains("daybook-mine"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn settings_of_our_streams_are_found() {
    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    fake.write_foreign("$$elsewhere-1");
    assert!(log.check_storage().await.unwrap().is_empty());
    fake.write_foreign("$$daybook-a");
    let found = log.check_storage().await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("$$daybook-a"), "{found:?}");
}

/// A client is dead for good after a connection that did not come about.
#[tokio::test]
async fn a_server_that_comes_back_is_found() {
    let fake = Fake::start().await;
    let options = EventStoreDbOptions {
        attempts: 2,
        ..impatient()
    };
    let log = connect_with(&fake, options).await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    fake.stop();
    for _ in 0..3 {
        let read = log.read_all(Position::START, 10).await;
        assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    }
    fake.resume().await;
    assert_eq!(ids(&all(&*log).await), [1, 2]);
}

#[tokio::test]
async fn a_closed_log_answers_nothing() {
    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    given(&*log, "a", Expected::NoStream, 1..2).await;
    let mut subscription = log.clone().subscribe(log.head().await.unwrap());
    log.close().await;
    within(log.stopped()).await;
    let next = within(subscription.next_batch(1)).await;
    assert!(matches!(next, Err(ReadError::Unavailable(_))), "{next:?}");
    let read = log.read_all(Position::START, 1).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    let result = log.append(append("a", Expected::NoStream, 1..2)).await;
    assert!(
        matches!(result, Err(AppendError::Unavailable(_))),
        "{result:?}"
    );
    assert!(matches!(log.head().await, Err(ReadError::Unavailable(_))));
}

/// The answer to a read may be lost like any other.
#[tokio::test]
async fn connections_that_are_cut_are_made_anew() {
    let fake = Fake::start().await;
    let log: std::sync::Arc<EventStoreDbLog> = connect_with(&fake, impatient()).await;
    for id in 0..5 {
        fake.cut();
        fake.trouble([Trouble::Refused(Status::unavailable("Server Is Too Busy"))]);
        given(&*log, &format!("s-{id}"), Expected::NoStream, id..id + 1).await;
    }
    assert_eq!(ids(&all(&*log).await), [0, 1, 2, 3, 4]);
}
