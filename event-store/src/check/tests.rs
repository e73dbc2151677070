//! A log that is in order, and each way in which one may not be.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::ToSpan;
use uuid::Uuid;

use super::*;
use crate::memory::MemoryEventLog;
use crate::{
    Append, AppendError, Appended, Direction, EventMetadata, Expected, NewEvent, StreamVersion,
    Subscription,
};

/// A log of events with bodies of about this size, in streams of three.
pub(crate) async fn filled(events: u64, bytes: usize) -> Arc<MemoryEventLog> {
    let log = MemoryEventLog::new();
    for number in 0..events {
        let version = number % 3;
        let event = NewEvent {
            event_id: Uuid::from_u128(u128::from(number) + 1),
            event_type: "Happened".into(),
            schema_version: 1,
            data: Bytes::from(format!("{{\"text\":\"{}\"}}", "x".repeat(bytes))),
            metadata: EventMetadata::default(),
        };
        let append = Append {
            stream: StreamName::new(format!("run-{}", number / 3)),
            expected: version.checked_sub(1).map(StreamVersion).into(),
            events: vec![event],
        };
        log.append(append).await.unwrap();
    }
    log
}

/// A log that gives its events out altered, and fails to read some.
pub(crate) struct Damaged<F> {
    log: Arc<MemoryEventLog>,
    alter: F,
    unreadable: Vec<u64>,
    storage: Vec<String>,
    /// The distance between its positions.
    pub(crate) spread: u64,
}

impl<F: Fn(&mut RecordedEvent) + Send + Sync + 'static> Damaged<F> {
    pub(crate) fn new(log: Arc<MemoryEventLog>, alter: F) -> Self {
        Self {
            log,
            alter,
            unreadable: Vec::new(),
            storage: Vec::new(),
            spread: 1,
        }
    }
}

#[async_trait]
impl<F: Fn(&mut RecordedEvent) + Send + Sync + 'static> EventLog for Damaged<F> {
    async fn append_each(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        self.log.append_each(appends).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Option<StreamVersion>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.log.read_stream(stream, from, direction, limit).await
    }

    /// An event altered to position 0 is left out.
    async fn read_all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let after = Position(after.0 / self.spread);
        let mut events = self.log.read_all(after, limit).await?;
        let unreadable = |event: &RecordedEvent| self.unreadable.contains(&event.position.0);
        if events.iter().any(unreadable) {
            return Err(ReadError::Damaged("a page is torn".into()));
        }
        for event in &mut events {
            event.position.0 *= self.spread;
            (self.alter)(event);
        }
        events.retain(|event| event.position != Position::START);
        Ok(events)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(Position(self.log.head().await?.0 * self.spread))
    }

    fn subscribe(self: Arc<Self>, after: Position) -> Subscription {
        self.log.clone().subscribe(after)
    }

    async fn import(&self, events: Vec<RecordedEvent>) -> Result<Position, AppendError> {
        self.log.import(events).await
    }

    async fn check_storage(&self) -> Result<Vec<String>, ReadError> {
        Ok(self.storage.clone())
    }

    async fn stopped(&self) {
        self.log.stopped().await;
    }

    async fn close(&self) {
        self.log.close().await;
    }
}

async fn checked(log: &dyn EventLog) -> CheckReport {
    let options = CheckOptions {
        pages: PageLimits {
            max_events: 4,
            ..PageLimits::default()
        },
        ..CheckOptions::default()
    };
    check(log, &options, async |_| Ok(Decoded::Read), |_| {})
        .await
        .unwrap()
}

/// What is said of a log of nine events of which some are altered.
async fn found(alter: impl Fn(&mut RecordedEvent) + Send + Sync + 'static) -> Vec<String> {
    let report = checked(&Damaged::new(filled(9, 1).await, alter)).await;
    assert_eq!(report.found, report.findings.len() as u64);
    let lines = report.findings.into_iter().map(|finding| {
        let at = finding.position.map_or("-".to_owned(), |at| at.to_string());
        format!("{at}: {}", finding.problem)
    });
    lines.collect()
}

#[tokio::test]
async fn a_log_in_order_has_no_findings() {
    let log = filled(20, 1).await;
    let report = checked(&*log).await;
    assert_eq!(report.findings, []);
    let (head, events, streams) = (report.head, report.events, report.streams);
    assert_eq!((head, events, streams), (Position(20), 20, 7));
    let mut hash = EnvelopeHash::default();
    let all = log.read_all(Position::START, 100).await.unwrap();
    all.iter().for_each(|event| hash.add(event));
    assert_eq!(report.sha256, hash.to_hex());
    let empty = checked(&*MemoryEventLog::new()).await;
    assert_eq!((empty.events, empty.found), (0, 0));
}

#[tokio::test]
async fn a_lost_event_is_missed_in_the_order_and_in_its_stream() {
    let lost = |event: &mut RecordedEvent| {
        if event.position.0 == 5 {
            event.position = Position::START;
        }
    };
    let expected = [
        "5: no event has this position",
        "6: it has version 2, its stream wants 1",
    ];
    assert_eq!(found(lost).await, expected);
}

#[tokio::test]
async fn lost_events_at_the_end_are_missed() {
    let cut = |event: &mut RecordedEvent| {
        if event.position.0 > 6 {
            event.position = Position::START;
        }
    };
    assert_eq!(
        found(cut).await,
        ["7: no event has this position, nor the 2 after it"]
    );
}

#[tokio::test]
async fn swapped_events_are_out_of_order() {
    let swapped = |event: &mut RecordedEvent| match event.position.0 {
        2 => event.position.0 = 3,
        3 => event.position.0 = 2,
        _ => {}
    };
    let said = found(swapped).await;
    assert!(
        said.contains(&"2: it comes after position 3".to_owned()),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_wrong_version_is_told() {
    let wrong = |event: &mut RecordedEvent| {
        if event.position.0 == 4 {
            event.version.0 = 7;
        }
    };
    let said = found(wrong).await;
    assert_eq!(said[0], "4: it has version 7, its stream wants 0");
}

#[tokio::test]
async fn times_salts_and_bodies_are_looked_at() {
    let early = |event: &mut RecordedEvent| {
        if event.position.0 == 4 {
            event.recorded_at -= 1.hour();
        }
    };
    let said = found(early).await;
    assert!(
        said.len() == 1 && said[0].starts_with("4: it was recorded at "),
        "{said:?}"
    );
    let bare = |event: &mut RecordedEvent| {
        if event.position.0 == 4 {
            event.salt = [0; 16];
            event.data = Bytes::from_static(b"{\"text\":");
        }
    };
    let said = found(bare).await;
    assert_eq!(said[0], "4: it has no salt");
    assert!(said[1].starts_with("4: its data is not JSON: "), "{said:?}");
}

#[tokio::test]
async fn what_the_engine_and_the_caller_find_is_told() {
    let mut log = Damaged::new(filled(9, 1).await, |_| {});
    log.storage = vec!["the dictionary lacks stream 3".to_owned()];
    let decode = async |event: &RecordedEvent| match event.position.0 {
        2 => Err("unknown event type Happened".to_owned()),
        3 | 4 => Ok(Decoded::NotChecked),
        _ => Ok(Decoded::Read),
    };
    let report = check(&log, &CheckOptions::default(), decode, |_| {}).await;
    let report = report.unwrap();
    assert_eq!((report.found, report.not_checked), (2, 2));
    assert_eq!(report.findings[0].problem, "the dictionary lacks stream 3");
    let second = &report.findings[1];
    assert_eq!(second.position, Some(Position(2)));
    assert_eq!(second.stream, Some(StreamName::new("run-0")));
    assert_eq!(
        second.problem,
        "Happened cannot be read: unknown event type Happened"
    );
}

#[tokio::test]
async fn what_cannot_be_had_is_passed_by() {
    let mut log = Damaged::new(filled(12, 1).await, |_| {});
    log.unreadable = vec![5, 12];
    let report = checked(&log).await;
    let at = |finding: &Finding| finding.position.map(|position| position.0);
    let at: Vec<_> = report.findings.iter().map(at).collect();
    // Its stream lacks the version, too.
    assert_eq!(at, [Some(5), Some(6), Some(12)]);
    assert_eq!(report.events, 10);
}

#[tokio::test]
async fn findings_beyond_the_limit_are_counted() {
    let log = Damaged::new(filled(9, 1).await, |event| event.salt = [0; 16]);
    let options = CheckOptions {
        max_findings: 2,
        ..CheckOptions::default()
    };
    let report = check(&log, &options, async |_| Ok(Decoded::Read), |_| {}).await;
    let report = report.unwrap();
    assert_eq!((report.found, report.findings.len()), (9, 2));
}

#[tokio::test]
async fn what_is_appended_meanwhile_is_left_to_the_next_check() {
    let log = filled(9, 1).await;
    let decode = async |_: &RecordedEvent| {
        let append = Append {
            stream: StreamName::new(format!("late-{}", log.head().await.unwrap())),
            expected: Expected::NoStream,
            events: vec![NewEvent {
                event_id: Uuid::nil(),
                event_type: "Happened".into(),
                schema_version: 1,
                data: Bytes::from_static(b"{}"),
                metadata: EventMetadata::default(),
            }],
        };
        log.append(append).await.unwrap();
        Ok(Decoded::Read)
    };
    let report = check(&*log, &CheckOptions::default(), decode, |_| {}).await;
    let report = report.unwrap();
    assert_eq!(
        (report.head, report.events, report.found),
        (Position(9), 9, 0)
    );
}

#[tokio::test]
async fn gaps_are_an_engines_own_where_it_says_so() {
    let mut log = Damaged::new(filled(9, 1).await, |_| {});
    log.spread = 3;
    for (contiguous, found) in [(false, 0), (true, 9)] {
        let options = CheckOptions {
            contiguous,
            ..CheckOptions::default()
        };
        let report = check(&log, &options, async |_| Ok(Decoded::Read), |_| {}).await;
        let report = report.unwrap();
        assert_eq!((report.head, report.events), (Position(27), 9));
        assert_eq!(report.found, found, "{:?}", report.findings);
    }
}
