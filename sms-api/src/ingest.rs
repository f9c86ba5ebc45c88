//! Group commit: many requests, one transaction.
//!
//! Handlers queue their message and wait; a writer takes what has gathered, stores it as one batch and only
//! then answers. There is no timer: while one batch commits the next one gathers, so an idle request waits for
//! nobody and a busy server makes large batches. Knows nothing of HTTP, and of Kafka only that a committed
//! batch is handed to the relay.

mod policy;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::policy::{Step, after};
use crate::{
    message::{Message, NewMessage},
    metrics::Metrics,
    outage::Outage,
    relay::{Committed, Handover},
    store::{Batch, PendingMessage, Store},
};

/// How many messages one transaction may hold.
const BATCH: usize = 500;
/// One connection leaves PostgreSQL idle between commits, and more than two split what could be one batch.
const WRITERS: usize = 2;
/// How many messages may wait for a writer; more are shed at once.
const QUEUE: usize = 8 * BATCH;
/// How long a request waits for its commit.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// Too many messages wait already.
    #[error("too many messages wait to be stored")]
    QueueFull,
    /// PostgreSQL is away. The message may have been stored all the same, when the connection was lost after
    /// the commit; it is then sent, and the client's retry is a second message.
    #[error("messages cannot be stored at this time")]
    DatabaseAway,
    /// PostgreSQL refuses this very message.
    #[error("the message cannot be stored")]
    Refused,
}

/// Where handlers leave their messages. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    message: NewMessage,
    answer: oneshot::Sender<Result<Timestamp, NotStored>>,
}

impl Ingest {
    /// Starts the writers. They end when `closing` is cancelled and the queue is empty.
    pub fn start(
        store: &Store,
        relay: &Handover,
        metrics: &Metrics,
        closing: &CancellationToken,
        workers: &mut JoinSet<()>,
    ) -> Self {
        let (queue, gathered) = mpsc::channel(QUEUE);
        let gathered = Arc::new(Mutex::new(gathered));
        let outage = Arc::new(Outage::new("storing messages"));
        for _ in 0..WRITERS {
            let writer = Writer {
                gathered: Arc::clone(&gathered),
                closing: closing.clone(),
                store: store.clone(),
                relay: relay.clone(),
                metrics: metrics.clone(),
                outage: Arc::clone(&outage),
            };
            workers.spawn(writer.run());
        }
        Self { queue }
    }

    /// Returns when the message is committed to PostgreSQL, and says within a bound when it is not.
    pub async fn store(&self, message: NewMessage) -> Result<Message, NotStored> {
        let (answer, stored) = oneshot::channel();
        let waiting = Waiting { message: message.clone(), answer };
        self.queue.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotStored::QueueFull,
            mpsc::error::TrySendError::Closed(_) => NotStored::DatabaseAway,
        })?;
        match tokio::time::timeout(ANSWER_WITHIN, stored).await {
            Ok(Ok(answer)) => answer.map(|created_at| Message::just_stored(message, created_at)),
            // Nobody waits any more, so a writer that has not taken the message yet will skip it.
            Ok(Err(_)) | Err(_) => Err(NotStored::DatabaseAway),
        }
    }
}

struct Writer {
    gathered: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    closing: CancellationToken,
    store: Store,
    relay: Handover,
    metrics: Metrics,
    outage: Arc<Outage>,
}

impl Writer {
    async fn run(self) {
        loop {
            let mut batch = self.take().await;
            if batch.is_empty() {
                return;
            }
            batch.retain(|waiting| !waiting.answer.is_closed());
            if !batch.is_empty() {
                self.store_all(batch).await;
            }
        }
    }

    /// What has gathered, at least one message; none at the end. While one writer waits here the other one
    /// queues up behind it, so a message is never left between two idle writers.
    async fn take(&self) -> Vec<Waiting> {
        let mut batch = Vec::new();
        let mut gathered = self.gathered.lock().await;
        tokio::select! {
            biased;
            () = self.closing.cancelled(), if !gathered.is_closed() => gathered.close(),
            _ = gathered.recv_many(&mut batch, BATCH) => return batch,
        }
        gathered.recv_many(&mut batch, BATCH).await;
        batch
    }

    /// Stores the batch, in as many parts as it takes to single out what PostgreSQL refuses.
    async fn store_all(&self, batch: Vec<Waiting>) {
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            match self.store_part(&part).await {
                Ok((batch, taken_at)) => self.committed(part, batch, taken_at),
                Err(Step::Split) => {
                    let mut first = part;
                    let second = first.split_off(first.len() / 2);
                    parts.extend([second, first]);
                }
                Err(Step::Refuse) => answer_all(part, NotStored::Refused),
                Err(Step::Retry | Step::GiveUp) => {
                    answer_all(part, NotStored::DatabaseAway);
                    // The others would only wait as long again.
                    parts.drain(..).for_each(|part| answer_all(part, NotStored::DatabaseAway));
                }
            }
        }
    }

    async fn store_part(&self, part: &[Waiting]) -> Result<(Batch, Instant), Step> {
        let messages: Vec<_> = part.iter().map(|waiting| &waiting.message).collect();
        let mut attempt = 1;
        loop {
            // Before the statement is sent, so that the lease never ends earlier than we believe.
            let taken_at = Instant::now();
            let span = tracing::info_span!("store batch", messages = messages.len());
            match self.store.store_batch(&messages).instrument(span).await {
                Ok(batch) => {
                    self.outage.worked();
                    return Ok((batch, taken_at));
                }
                Err(error) => match after(&error, messages.len(), attempt) {
                    Step::Retry => attempt += 1,
                    step => {
                        self.outage.failed(&error);
                        return Err(step);
                    }
                },
            }
        }
    }

    fn committed(&self, part: Vec<Waiting>, batch: Batch, taken_at: Instant) {
        let size = part.len();
        let mut messages = Vec::with_capacity(size);
        for Waiting { message, answer } in part {
            messages.push(pending(message, batch.created_at));
            // A client that went away has its message stored all the same.
            let _ = answer.send(Ok(batch.created_at));
        }
        self.relay.offer(Committed { outbox_id: batch.outbox_id, messages, taken_at });
        self.metrics.accepted.inc_by(u64::try_from(size).unwrap_or(u64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "a batch holds at most 500 messages")]
        self.metrics.ingest_batch_messages.observe(size as f64);
    }
}

fn answer_all(part: Vec<Waiting>, reason: NotStored) {
    for waiting in part {
        let _ = waiting.answer.send(Err(reason));
    }
}

fn pending(message: NewMessage, created_at: Timestamp) -> PendingMessage {
    PendingMessage {
        id: message.id,
        sender: message.sender,
        recipient: message.recipient,
        text: message.text,
        attempt: 1,
        created_at,
        traceparent: message.traceparent,
    }
}
