//! The callers' side of the writer: encode, wait for a place in the queue, wait for the answer.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::SqliteOptions;
use super::codec::{EncodedAppend, encode};
use super::writer::{AppendResult, Job, Reply, Request, Stopped, Work};
use crate::{Append, AppendError, Position, RecordedEvent};

/// Hands appends to the writer.
pub(super) struct WriterQueue {
    /// `None` only while dropping.
    requests: Option<mpsc::Sender<Request>>,
    waiting_bytes: Arc<Semaphore>,
    stopped: Stopped,
    thread: Mutex<Option<JoinHandle<()>>>,
    queued_bytes: usize,
    batch_events: usize,
    batch_bytes: usize,
}

impl WriterQueue {
    pub(super) fn new(
        requests: mpsc::Sender<Request>,
        stopped: Stopped,
        thread: JoinHandle<()>,
        options: &SqliteOptions,
    ) -> Self {
        let queued_bytes = options.queued_bytes.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            requests: Some(requests),
            waiting_bytes: Arc::new(Semaphore::new(queued_bytes)),
            stopped,
            thread: Mutex::new(Some(thread)),
            queued_bytes,
            batch_events: options.batch_events,
            batch_bytes: options.batch_bytes,
        }
    }

    /// One result for each append, in their order.
    pub(super) async fn append_each(&self, appends: Vec<Append>) -> Vec<AppendResult> {
        let count = appends.len();
        let mut results: Vec<Option<AppendResult>> = Vec::with_capacity(count);
        let mut batch = Batch::default();
        let mut sent = Vec::new();
        for append in appends {
            match encode(append) {
                Err(error) => results.push(Some(Err(error))),
                Ok(append) => {
                    batch.add(results.len(), append);
                    results.push(None);
                }
            }
            if batch.events >= self.batch_events || batch.bytes >= self.batch_bytes {
                sent.push(self.send(mem::take(&mut batch)).await);
            }
        }
        if !batch.appends.is_empty() {
            sent.push(self.send(batch).await);
        }
        for sent in sent {
            let places = sent.places;
            let of_batch = match sent.reply {
                Ok(reply) => reply.await.map(|(results, _)| results).map_err(|_| ended()),
                Err(error) => Err(error),
            };
            match of_batch {
                Ok(of_batch) => {
                    for (place, result) in places.into_iter().zip(of_batch) {
                        results[place] = Some(result);
                    }
                }
                Err(error) => {
                    for place in places {
                        results[place] = Some(Err(error.clone()));
                    }
                }
            }
        }
        let results: Vec<_> = results.into_iter().flatten().collect();
        debug_assert_eq!(results.len(), count);
        results
    }

    /// All of the events or none, and the head afterwards.
    pub(super) async fn import(&self, events: Vec<RecordedEvent>) -> Result<Position, AppendError> {
        let bytes = events.iter().map(|event| event.data.len()).sum();
        let reply = self.enqueue(Work::Import(events), bytes).await?;
        let (mut results, _) = reply.await.map_err(|_| ended())?;
        let appended = results.pop().unwrap_or_else(|| Err(ended()))?;
        Ok(appended.position)
    }

    async fn send(&self, batch: Batch) -> Sent {
        Sent {
            places: batch.places,
            reply: self.enqueue(Work::Append(batch.appends), batch.bytes).await,
        }
    }

    async fn enqueue(
        &self,
        work: Work,
        bytes: usize,
    ) -> Result<oneshot::Receiver<Reply>, AppendError> {
        let permits = u32::try_from(bytes.min(self.queued_bytes)).unwrap_or(u32::MAX);
        let waiting = self.waiting_bytes.clone().acquire_many_owned(permits);
        let waiting = waiting.await.map_err(|_| self.unavailable())?;
        let (reply, receiver) = oneshot::channel();
        let job = Job {
            work,
            reply,
            _waiting: waiting,
        };
        let requests = self.requests.as_ref().ok_or_else(|| self.unavailable())?;
        requests
            .send(Request::Work(job))
            .await
            .map_err(|_| self.unavailable())?;
        Ok(receiver)
    }

    fn unavailable(&self) -> AppendError {
        let why = self.stopped.get().map_or("the writer has ended", |why| why);
        AppendError::Unavailable(why.to_owned())
    }

    /// Lets the writer finish what waits, and waits for its end.
    pub(super) async fn close(&self) {
        if let Some(requests) = &self.requests {
            // An error means that it has ended already.
            let _ = requests.send(Request::Close).await;
        }
        let thread = self.take_thread();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || join(thread)).await;
        }
    }

    fn take_thread(&self) -> Option<JoinHandle<()>> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.take()
    }
}

impl Drop for WriterQueue {
    fn drop(&mut self) {
        // With the last sender gone the writer finishes and ends.
        self.requests = None;
        if let Some(thread) = self.take_thread() {
            join(thread);
        }
    }
}

/// Appends on their way into one transaction.
#[derive(Default)]
struct Batch {
    /// For each append its place in the results.
    places: Vec<usize>,
    appends: Vec<EncodedAppend>,
    events: usize,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, place: usize, append: EncodedAppend) {
        self.events += append.events.len();
        self.bytes += append.bytes;
        self.places.push(place);
        self.appends.push(append);
    }
}

struct Sent {
    places: Vec<usize>,
    reply: Result<oneshot::Receiver<Reply>, AppendError>,
}

fn ended() -> AppendError {
    AppendError::Unknown("the writer has ended; restart to see".into())
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("the event log's writer has panicked");
    }
}
