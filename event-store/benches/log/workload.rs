//! The workloads, on whatever is behind the port.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event_store::{
    Append, EventLog, EventMetadata, Expected, NewEvent, Position, StreamName,
};
use futures::future::try_join_all;
use uuid::Uuid;

use crate::Result;
use crate::report::{Figure, Workload};

/// How long each figure is measured.
pub(crate) const EACH: Duration = Duration::from_secs(3);
/// The data of one event, about that of a small outcome.
pub(crate) const EVENT_BYTES: usize = 400;
/// Events that a reader asks for at a time.
pub(crate) const PAGE: usize = 1_000;

/// All workloads on one log.
pub(crate) async fn measure(log: Arc<dyn EventLog>, engine: &'static str) -> Result<Vec<Figure>> {
    let figure = |workload, (events_per_second, p50)| Figure {
        workload,
        engine,
        events_per_second,
        p50,
    };
    let rate = |(rate, _)| (rate, None);
    Ok(vec![
        figure(Workload::Alone, clients(&log, 1, 1, EACH).await?),
        figure(Workload::AloneAgain, one_stream(&log, 1).await?),
        figure(Workload::Clients, clients(&log, 64, 1, EACH).await?),
        figure(Workload::Batches64, rate(clients(&log, 1, 64, EACH).await?)),
        figure(
            Workload::Batches1000,
            rate(clients(&log, 1, 1_000, EACH).await?),
        ),
        figure(Workload::Stream1000, rate(one_stream(&log, 1_000).await?)),
        figure(Workload::ReadAll, (read_all(&log).await?, None)),
    ])
}

/// Appends to new streams, each client one call after the other. The events a second, and the
/// median time of a call.
pub(crate) async fn clients(
    log: &Arc<dyn EventLog>,
    count: usize,
    per_call: usize,
    time: Duration,
) -> Result<(f64, Option<Duration>)> {
    let start = Instant::now();
    let clients = (0..count).map(|_| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            while start.elapsed() < time {
                let appends = (0..per_call).map(|_| append()).collect();
                let called = Instant::now();
                let results = log.append_each(appends).await;
                times.push(called.elapsed());
                assert!(results.iter().all(std::result::Result::is_ok));
            }
            times
        })
    });
    let mut times = try_join_all(clients.collect::<Vec<_>>()).await?.concat();
    // One client takes its time to make the events; many make them while others wait.
    let took = match count {
        1 => times.iter().sum(),
        _ => start.elapsed(),
    };
    let rate = (times.len() * per_call) as f64 / took.as_secs_f64();
    Ok((rate, median(&mut times)))
}

/// One client appends to one stream, so many events in each append.
pub(crate) async fn one_stream(
    log: &Arc<dyn EventLog>,
    per_append: usize,
) -> Result<(f64, Option<Duration>)> {
    let stream = append().stream;
    let mut expected = Expected::NoStream;
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < EACH {
        let append = Append {
            stream: stream.clone(),
            expected,
            events: (0..per_append).flat_map(|_| append().events).collect(),
        };
        let called = Instant::now();
        let appended = log.append(append).await?;
        times.push(called.elapsed());
        expected = Expected::Exact(appended.version);
    }
    let took: Duration = times.iter().sum();
    let rate = (times.len() * per_append) as f64 / took.as_secs_f64();
    Ok((rate, median(&mut times)))
}

/// From the beginning to the end, and again until the time is over.
async fn read_all(log: &Arc<dyn EventLog>) -> Result<f64> {
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < EACH {
        let mut after = Position::START;
        loop {
            let page = log.read_all(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.position;
            done += page.len();
        }
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// The middle one.
pub(crate) fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark draws its own ids")]
pub(crate) fn append() -> Append {
    let id = Uuid::from_bytes(rand::random());
    Append {
        stream: StreamName::new(format!("execution-{id}")),
        expected: Expected::NoStream,
        events: vec![NewEvent {
            event_id: id,
            event_type: "TaskSucceeded".into(),
            schema_version: 1,
            data: vec![b'1'; EVENT_BYTES].into(),
            metadata: EventMetadata::default(),
        }],
    }
}
