//! From the outbox to Kafka.
//!
//! A committed batch is handed over in memory and published at once; when Kafka has acknowledged all of its
//! records, its outbox row goes. What is not acknowledged in time, or was never handed over because this
//! process died, is found by its run-out lease, by whichever replica looks first. So a message is in Kafka at
//! least once if and only if it is in PostgreSQL.
//!
//! Two replicas never publish one batch at the same time: publishing starts only while enough of the lease is
//! left for Kafka's whole delivery timeout.

mod backlog;
mod producer;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use self::producer::Producer;
pub use self::{
    backlog::{Backlog, Limits, watch as watch_backlog},
    producer::Topics,
};
use crate::{
    metrics::Metrics,
    outage::Outage,
    store::{LEASE, PendingMessage, Store},
};

/// How long Kafka may take to acknowledge a record, retries included; then the outbox keeps it.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);
/// Clocks are compared with no more precision than this.
const MARGIN: Duration = Duration::from_secs(1);
/// How many batches may wait to be published; more are left to their lease.
const HANDOVER: usize = 16;
/// How many records may wait for Kafka's acknowledgement. Bounds memory while Kafka is slow or away.
const UNACKNOWLEDGED: u32 = 20_000;
/// How many acknowledged batches are removed from the outbox by one statement.
const FORGOTTEN_AT_ONCE: usize = 256;
/// How long acknowledged batches are gathered: nobody waits for their removal, and at a low rate it would otherwise be
/// one more transaction for every message.
const FORGET_INTERVAL: Duration = Duration::from_millis(50);
/// How often run-out leases are looked for.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(1);
/// How many batches are taken over at once.
const RECOVERY_BATCHES: i64 = 16;

/// A batch that is in PostgreSQL and leased to this replica.
pub struct Committed {
    /// Its outbox row.
    pub outbox_id: i64,
    /// Its messages.
    pub messages: Vec<PendingMessage>,
    /// A moment before the lease began.
    pub taken_at: Instant,
}

/// Where committed batches are left to be published. Cheap to clone.
#[derive(Clone)]
pub struct Handover {
    queue: mpsc::Sender<Committed>,
}

impl Handover {
    /// Hands the batch over, or leaves it to its lease when too many wait already.
    pub fn offer(&self, batch: Committed) {
        let _ = self.queue.try_send(batch);
    }
}

/// What the relay needs.
pub struct Settings {
    /// Where Kafka is.
    pub kafka: kafka::Settings,
    /// The topics to publish to.
    pub topics: Topics,
    /// Whether Kafka can be reached: a replica that cannot publish must not renew leases that another could use.
    pub kafka_is_up: watch::Receiver<bool>,
}

/// Starts the relay. It ends when every [`Handover`] is gone and what was handed over is settled; the recovery
/// of others' batches ends at once on `shutdown`.
pub fn start(
    settings: Settings,
    store: &Store,
    metrics: &Metrics,
    shutdown: &CancellationToken,
    workers: &mut JoinSet<()>,
) -> Result<Handover, kafka::Error> {
    let producer = Producer::new(&settings.kafka, settings.topics)?;
    let (queue, handed_over) = mpsc::channel(HANDOVER);
    let (acknowledged, done) = mpsc::channel(FORGOTTEN_AT_ONCE);
    let handover = Handover { queue };
    workers.spawn(publish(producer, handed_over, acknowledged, metrics.clone()));
    workers.spawn(forget(store.clone(), done));
    let recovery = Recovery {
        store: store.clone(),
        handover: handover.clone(),
        metrics: metrics.clone(),
        outage: Outage::new("taking over unpublished messages"),
        kafka_is_up: settings.kafka_is_up,
    };
    let shutdown = shutdown.clone();
    workers.spawn(async move {
        shutdown.run_until_cancelled(recovery.run()).await;
    });
    Ok(handover)
}

/// Enqueues one batch after the other, so that records of one recipient keep their order, and waits for the
/// acknowledgements of many at once.
async fn publish(
    mut producer: Producer,
    mut handed_over: mpsc::Receiver<Committed>,
    acknowledged: mpsc::Sender<i64>,
    metrics: Metrics,
) {
    let unacknowledged = Arc::new(Semaphore::new(UNACKNOWLEDGED as usize));
    let outage = Arc::new(Outage::new("publishing to Kafka"));
    let deliveries = TaskTracker::new();
    while let Some(batch) = handed_over.recv().await {
        let size = u32::try_from(batch.messages.len()).unwrap_or(UNACKNOWLEDGED).min(UNACKNOWLEDGED);
        let Ok(room) = Arc::clone(&unacknowledged).acquire_many_owned(size).await else { break };
        if !may_start(batch.taken_at.elapsed()) {
            continue;
        }
        let span = batch_span(&batch.messages);
        let enqueued = span.in_scope(|| producer.enqueue(&batch.messages));
        let (acknowledged, metrics, outage) = (acknowledged.clone(), metrics.clone(), Arc::clone(&outage));
        let settle = async move {
            let outcome = enqueued.settled().await;
            metrics.queued.inc_by(outcome.acknowledged);
            metrics.queue_failed.inc_by(outcome.failed);
            match outcome.first_error {
                None => {
                    outage.worked();
                    // The receiver outlives every sender.
                    let _ = acknowledged.send(batch.outbox_id).await;
                }
                Some(error) => outage.failed(&error),
            }
            drop(room);
        };
        deliveries.spawn(settle.instrument(span));
    }
    deliveries.close();
    deliveries.wait().await;
}

/// Whether a batch whose lease began this long ago may still be published: all of its records must be
/// acknowledged or given up before anybody else can take it.
fn may_start(since_taken: Duration) -> bool {
    since_taken + DELIVERY_TIMEOUT + MARGIN < LEASE
}

/// Continues the trace of the first traced message: a span has one parent, and a batch has many requests.
fn batch_span(messages: &[PendingMessage]) -> tracing::Span {
    let span = tracing::info_span!(parent: None, "publish batch", messages = messages.len());
    if let Some(traceparent) = messages.iter().find_map(|message| message.traceparent.as_deref()) {
        telemetry::trace_context::continue_trace(&span, traceparent);
    }
    span
}

/// Removes the outbox rows of acknowledged batches, as many at once as have gathered. A row that stays, because
/// PostgreSQL is away, is taken over later and published a second time.
async fn forget(store: Store, mut done: mpsc::Receiver<i64>) {
    let outage = Outage::new("removing published messages from the outbox");
    let mut ids = Vec::with_capacity(FORGOTTEN_AT_ONCE);
    while done.recv_many(&mut ids, FORGOTTEN_AT_ONCE).await > 0 {
        tokio::time::sleep(FORGET_INTERVAL).await;
        while ids.len() < FORGOTTEN_AT_ONCE
            && let Ok(id) = done.try_recv()
        {
            ids.push(id);
        }
        match store.forget_batches(&ids).await {
            Ok(()) => outage.worked(),
            Err(error) => outage.failed(&error),
        }
        ids.clear();
    }
}

struct Recovery {
    store: Store,
    handover: Handover,
    metrics: Metrics,
    outage: Outage,
    kafka_is_up: watch::Receiver<bool>,
}

impl Recovery {
    async fn run(mut self) {
        loop {
            if self.kafka_is_up.wait_for(|up| *up).await.is_err() {
                return;
            }
            let found_all = self.take_over().await;
            if found_all {
                tokio::time::sleep(RECOVERY_INTERVAL).await;
            }
        }
    }

    /// Takes some batches over and hands them to the publisher; says whether there were no more.
    async fn take_over(&self) -> bool {
        let taken_at = Instant::now();
        let rows = match self.store.take_expired_batches(RECOVERY_BATCHES).await {
            Ok(rows) => rows,
            Err(error) => {
                self.outage.failed(&error);
                return true;
            }
        };
        self.outage.worked();
        let found = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        if found > 0 {
            tracing::info!(batches = found, "taking over unpublished messages");
        }
        for row in rows {
            self.metrics.outbox_rows_recovered.inc();
            let batch = Committed { outbox_id: row.id, messages: row.messages, taken_at };
            if self.handover.queue.send(batch).await.is_err() {
                return true;
            }
        }
        found < RECOVERY_BATCHES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_published_only_while_its_lease_outlives_the_delivery_timeout() {
        assert!(may_start(Duration::ZERO));
        assert!(may_start(Duration::from_millis(3_900)));
        assert!(!may_start(Duration::from_secs(4)));
        assert!(!may_start(LEASE));
    }
}
