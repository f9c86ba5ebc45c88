//! Group commit: many requests, one transaction.
//!
//! Handlers queue their submission and wait; a writer takes what has gathered, stores it as one batch and only
//! then answers. There is no timer: while one batch commits the next one gathers, so an idle request waits for
//! nobody and a busy server makes large batches. Knows nothing of HTTP, and of Kafka only that a committed
//! batch is handed to the relay.

mod policy;
mod writer;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::writer::Writer;
use crate::{
    metrics::Metrics,
    outage::Outage,
    relay::{Backlog, Handover},
    store::Store,
    submission::{Stored, Submission},
};

/// How many messages one transaction may hold, unless a single submission brings more.
const BATCH: usize = 500;
/// How often a writer that has the first submission lets other tasks run before it takes the rest. A commit answers many
/// clients at once, whose next requests arrive together: the first of them would otherwise be stored alone.
const SETTLE: u32 = 3;
/// One connection leaves PostgreSQL idle between commits, and more than two split what could be one batch.
const WRITERS: usize = 2;
/// How many submissions may wait for a writer; more are shed at once.
const QUEUE: usize = 8 * BATCH;
/// How much memory what waits may take, in KiB; more is shed at once.
const ROOM: u32 = 64 * 1024;
/// How long a request waits for its commit.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long one with an idempotency key does: it may have to wait for another one first.
const ANSWER_KEYED_WITHIN: Duration = Duration::from_secs(4);

/// Why a submission was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// Too many messages wait already.
    #[error("too many messages wait to be stored")]
    QueueFull,
    /// Too many stored messages wait for Kafka, or have waited for too long.
    #[error("too many messages wait to be published")]
    OutboxFull,
    /// PostgreSQL is away. The messages may have been stored all the same, when the connection was lost after
    /// the commit; they are then sent, and a repeated request without idempotency key makes them anew.
    #[error("messages cannot be stored at this time")]
    DatabaseAway,
    /// PostgreSQL refuses what this submission holds.
    #[error("the submission cannot be stored")]
    Refused,
    /// Another request with the same idempotency key is being stored, for longer than is worth waiting.
    #[error("a request with the same idempotency key is under way")]
    KeyBusy,
    /// The idempotency key belongs to a request that asked for something else.
    #[error("the idempotency key was used for another request")]
    KeyReused,
}

/// Where handlers leave their submissions. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    backlog: watch::Receiver<Backlog>,
}

/// A submission whose request waits for the answer.
struct Waiting {
    submission: Submission,
    answer: oneshot::Sender<Result<Stored, NotStored>>,
    _room: OwnedSemaphorePermit,
}

impl Ingest {
    /// Starts the writers. They end when `closing` is cancelled and the queue is empty.
    pub fn start(
        store: &Store,
        relay: &Handover,
        metrics: &Metrics,
        backlog: watch::Receiver<Backlog>,
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
        Self { queue, room: Arc::new(Semaphore::new(ROOM as usize)), backlog }
    }

    /// Returns when the messages are committed to PostgreSQL, and says within a bound when they are not.
    pub async fn store(&self, submission: Submission) -> Result<Stored, NotStored> {
        if *self.backlog.borrow() == Backlog::Full {
            return Err(NotStored::OutboxFull);
        }
        let weight = u32::try_from(submission.weight() / 1024 + 1).unwrap_or(ROOM).min(ROOM);
        let room = Arc::clone(&self.room).try_acquire_many_owned(weight).map_err(|_| NotStored::QueueFull)?;
        let within = if submission.once.is_some() { ANSWER_KEYED_WITHIN } else { ANSWER_WITHIN };
        let (answer, stored) = oneshot::channel();
        let waiting = Waiting { submission, answer, _room: room };
        self.queue.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotStored::QueueFull,
            mpsc::error::TrySendError::Closed(_) => NotStored::DatabaseAway,
        })?;
        match tokio::time::timeout(within, stored).await {
            Ok(Ok(answer)) => answer,
            // Nobody waits any more, so a writer that has not taken the submission yet will skip it.
            Ok(Err(_)) | Err(_) => Err(NotStored::DatabaseAway),
        }
    }
}
