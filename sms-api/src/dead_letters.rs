//! From the dead letter topic to the table of dead letters.
//!
//! The processors put there what they cannot process. All replicas read it in one consumer group, a batch at a time:
//! the batch is stored in one statement, in which its messages become FAILED, and only then are its offsets committed.
//! A record that is read twice is stored once. Nothing here ends the process or makes it unready: while PostgreSQL or
//! Kafka is away, or the topic does not exist, this waits and the rest of the service goes on.

mod consumer;
mod letter;

use std::time::Duration;

use anyhow::Context;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::consumer::{Batch, Batches};
pub use self::letter::{DeadLetter, NewDeadLetter, Origin, Place, Refusal};
use crate::{
    metrics::Metrics,
    outage::Outage,
    store::{Error, Store},
};

/// How long after a failure it is tried again to store a batch.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How often those that wait are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);
/// How long leaving the consumer group may take: librdkafka waits for brokers then, and they may be gone. The group
/// notices the loss of a member by itself.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Where dead letters are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The topic.
    pub topic: String,
    /// The consumer group that all replicas share.
    pub group: String,
}

/// Starts to read and store. Ends on `stopping`, within a bound.
pub fn start(
    kafka: &kafka::Settings,
    source: Source,
    store: &Store,
    metrics: &Metrics,
    stopping: &CancellationToken,
    workers: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let (batches, left) = consumer::start(kafka, source, stopping).context("dead letters cannot be read")?;
    let keeper = Keeper { store: store.clone(), metrics: metrics.clone(), outage: Outage::new("storing dead letters") };
    let stopping = stopping.clone();
    workers.spawn(async move {
        stopping.run_until_cancelled(keeper.run(batches)).await;
        wait_for_end(left).await;
    });
    Ok(())
}

/// Tells for as long as it is awaited how many dead letters nobody has sent again, so that somebody can be called.
pub async fn count_waiting(store: Store, waiting: Gauge) {
    let outage = Outage::new("counting dead letters");
    loop {
        match store.waiting_dead_letters().await {
            Ok(count) => {
                outage.worked();
                waiting.set(count);
            }
            Err(error) => outage.failed(&error),
        }
        tokio::time::sleep(COUNT_INTERVAL).await;
    }
}

/// The thread that reads is left alone when it takes too long: it ends with the process at the latest.
async fn wait_for_end(left: oneshot::Receiver<()>) {
    if tokio::time::timeout(LEAVE_TIMEOUT, left).await.is_err() {
        tracing::warn!(seconds = LEAVE_TIMEOUT.as_secs(), "the consumer group of dead letters was not left in time");
    }
}

struct Keeper {
    store: Store,
    metrics: Metrics,
    outage: Outage,
}

impl Keeper {
    async fn run(&self, mut batches: Batches) {
        while let Some(Batch { records, stored }) = batches.recv().await {
            self.keep(records.into_iter().map(NewDeadLetter::read).collect()).await;
            // Nobody waits any more when the thread is ending; then the records are read again.
            let _ = stored.send(());
        }
    }

    /// Stores all of them, however long it takes. What PostgreSQL refuses is singled out and stays behind.
    async fn keep(&self, letters: Vec<NewDeadLetter>) {
        let mut parts = vec![letters];
        while let Some(mut part) = parts.pop() {
            match self.store.keep_dead_letters(&part).await {
                Ok(kept) => {
                    self.outage.worked();
                    self.metrics.dead_letters_stored.inc_by(kept.stored);
                    self.metrics.failed.inc_by(kept.failed);
                    if kept.stored > 0 {
                        tracing::info!(dead_letters = kept.stored, failed = kept.failed, "dead letters stored");
                    }
                }
                Err(Error::Refused { .. }) if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                Err(error @ Error::Refused { .. }) => {
                    let Place { partition, offset, .. } = part[0].place;
                    let error = telemetry::error_chain(&error);
                    tracing::error!(partition, offset, error, "a dead letter cannot be stored, and stays in its topic");
                }
                Err(error) => {
                    self.outage.failed(&error);
                    parts.push(part);
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
    }
}
