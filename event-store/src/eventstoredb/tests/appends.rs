//! Appends that go wrong on the way: one outcome each, whatever was lost.

use std::time::Duration;

use tonic::{Code, Status};

use super::{connect_with, impatient};
use crate::conformance::fixture::{all, append, assert_conflict, exact, given, ids};
use crate::eventstoredb::fake::{Fake, Trouble};
use crate::eventstoredb::{EventStoreDbLog, EventStoreDbOptions};
use crate::{AppendError, EventLog, Expected, StreamVersion};

fn not_ready() -> Trouble {
    Trouble::Refused(Status::unavailable("Server Is Not Ready"))
}

fn lost() -> Trouble {
    Trouble::AnswerLost(Status::unavailable("the connection was reset"))
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_asked_again() {
    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    fake.trouble([not_ready(), not_ready()]);
    given(&*log, "a", Expected::NoStream, 1..3).await;
    assert_eq!(fake.appends_asked(), 3);
    assert_eq!(ids(&all(&*log).await), [1, 2]);
}

#[tokio::test]
async fn a_server_that_stays_unready_has_written_nothing() {
    let fake = Fake::start().await;
    let options = EventStoreDbOptions {
        attempts: 3,
        ..impatient()
    };
    let log = connect_with(&fake, options).await;
    fake.trouble([not_ready(), not_ready(), not_ready()]);
    let result = log.append(append("a", Expected::NoStream, 1..2)).await;
    assert!(
        matches!(result, Err(AppendError::Unavailable(_))),
        "{result:?}"
    );
    assert!(all(&*log).await.is_empty());
}

#[tokio::test]
async fn a_lost_answer_adds_nothing_twice() {
    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    for trouble in [
        lost(),
        Trouble::AnswerLost(Status::aborted("Operation timed out")),
        Trouble::AnswerLost(Status::unknown("no idea")),
    ] {
        let before = all(&*log).await.len() as u128;
        let expected = Expected::from(before.checked_sub(1).map(|v| StreamVersion(v as u64)));
        fake.trouble([trouble]);
        let appended = given(&*log, "a", expected, before + 1..before + 3).await;
        let events = all(&*log).await;
        assert_eq!(ids(&events), (1..before + 3).collect::<Vec<_>>());
        let last = events.last().unwrap();
        assert_eq!(
            (appended.version, appended.position),
            (last.version, last.position)
        );
    }
}

#[tokio::test]
async fn no_answer_at_all_is_looked_up() {
    let fake = Fake::start().await;
    let options = EventStoreDbOptions {
        call_timeout: Duration::from_secs(3),
        ..impatient()
    };
    let log = connect_with(&fake, options).await;
    fake.trouble([Trouble::NoAnswer]);
    given(&*log, "a", Expected::NoStream, 1..2).await;
    assert_eq!(ids(&all(&*log).await), [1]);
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_unknown() {
    let fake = Fake::start().await;
    let options = EventStoreDbOptions {
        attempts: 2,
        ..impatient()
    };
    let log = connect_with(&fake, options).await;
    fake.trouble([lost(), not_ready()]);
    let result = log.append(append("a", Expected::NoStream, 1..2)).await;
    assert!(matches!(result, Err(AppendError::Unknown(_))), "{result:?}");
    // It was written; the repeat finds it.
    given(&*log, "a", Expected::NoStream, 1..2).await;
    assert_eq!(ids(&all(&*log).await), [1]);
}

/// Somebody else was first while our answer was lost: not ours, so a conflict.
#[tokio::test]
async fn a_lost_answer_does_not_hide_a_conflict() {
    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    given(&*log, "a", Expected::NoStream, 10..12).await;
    fake.trouble([lost()]);
    let result = log.append(append("a", exact(0), 20..21)).await;
    assert_conflict(&result, Some(1));
    assert_eq!(ids(&all(&*log).await), [10, 11]);
}

/// Some servers refuse with a status instead of an answer, which the client does not read.
#[tokio::test]
async fn a_conflict_without_its_version_is_looked_up() {
    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let untold = || {
        let message = "Append failed due to WrongExpectedVersion. Stream: daybook-a";
        Trouble::Refused(Status::failed_precondition(message))
    };
    fake.trouble([untold(), untold()]);
    let result = log.append(append("a", Expected::NoStream, 7..8)).await;
    assert_conflict(&result, Some(1));
    let repeated = log.append(append("a", Expected::NoStream, 1..2)).await;
    assert_eq!(repeated.unwrap().version, StreamVersion(0));
}

#[tokio::test]
async fn the_leader_is_followed() {
    let (follower, leader) = (Fake::start().await, Fake::start().await);
    let log = connect_with(&follower, impatient()).await;
    let mut status = Status::new(Code::NotFound, "Leader info available");
    let metadata = status.metadata_mut();
    metadata.insert("exception", "not-leader".parse().unwrap());
    let (host, port) = (leader.address.ip().to_string(), leader.address.port());
    metadata.insert("leader-endpoint-host", host.parse().unwrap());
    metadata.insert("leader-endpoint-port", port.to_string().parse().unwrap());
    follower.trouble([Trouble::Refused(status)]);
    let before = leader.records();
    given(&*log, "a", Expected::NoStream, 1..2).await;
    assert_eq!(leader.records(), before + 1);
    assert_eq!(follower.appends_asked(), 1);
}

/// The client stays with its node; the adapter asks the cluster anew.
#[tokio::test]
async fn a_new_leader_is_found_when_the_old_one_is_gone() {
    let (first, second) = (Fake::start().await, Fake::start().await);
    first.set_members(vec![first.address, second.address]);
    second.set_members(vec![first.address, second.address]);
    let url = format!(
        "esdb://{},{}?tls=false&discoveryInterval=10",
        first.address, second.address
    );
    let log = EventStoreDbLog::connect(&url, impatient()).await.unwrap();
    given(&*log, "a", Expected::NoStream, 1..2).await;
    assert_eq!(first.appends_asked(), 1);

    first.stop();
    second.set_members(vec![second.address]);
    given(&*log, "b", Expected::NoStream, 2..3).await;
    assert_eq!((first.appends_asked(), second.appends_asked()), (1, 1));
}

#[tokio::test]
async fn a_denied_access_comes_with_its_remedy() {
    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    fake.trouble([Trouble::Refused(Status::permission_denied("Access Denied"))]);
    let result = log.append(append("a", Expected::NoStream, 1..2)).await;
    match result {
        Err(AppendError::Unavailable(why)) => assert!(why.contains("needs to read"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fake.appends_asked(), 1);
}

#[tokio::test]
async fn the_servers_own_limit_comes_with_its_remedy() {
    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    let message = "Maximum Append Size of 1048576 Exceeded.";
    fake.trouble([Trouble::Refused(Status::invalid_argument(message))]);
    let result = log.append(append("a", Expected::NoStream, 1..2)).await;
    match result {
        Err(AppendError::Invalid(why)) => assert!(why.contains("MaxAppendSize"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// An import that broke off goes on, and a part that is there already is left alone.
#[tokio::test]
async fn an_import_can_be_repeated() {
    let source = crate::memory::MemoryEventLog::new();
    given(&*source, "a", Expected::NoStream, 1..3).await;
    given(&*source, "b", Expected::NoStream, 11..12).await;
    given(&*source, "a", exact(1), 3..4).await;
    let events = all(&*source).await;

    let fake = Fake::start().await;
    let log = connect_with(&fake, impatient()).await;
    log.import(events[..3].to_vec()).await.unwrap();
    log.import(events.clone()).await.unwrap();
    log.import(events.clone()).await.unwrap();
    assert_eq!(ids(&all(&*log).await), ids(&events));

    let mut other = events;
    other[0].event_id = uuid::Uuid::from_u128(99);
    let result = log.import(other).await;
    assert!(matches!(result, Err(AppendError::Invalid(_))), "{result:?}");
}
