//! Tells sms-api what became of messages, until it listens.
//!
//! Knows nothing of Kafka or providers. Reports are gathered and sent together; one that sms-api will never take ends as
//! such, everything else is tried again for ever, for as long as somebody awaits it: dropping the future is how to give up.

mod breaker;
mod delivery;
mod request;
mod token;

use std::{future, path::Path, sync::Arc, time::Duration};

use contract::DeliveryReport;
use reqwest::Url;
use telemetry::Check;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

use self::{
    delivery::{Delivery, Waiting},
    request::Requests,
};
use crate::{metrics::Metrics, outage::Outage};

/// How many reports one request carries at most.
const BATCH: usize = 500;
/// How long the first report of a batch waits for others.
const GATHER: Duration = Duration::from_millis(5);
/// How many requests are under way at once, and so how many connections sms-api sees from one processor.
const UNDER_WAY: usize = 8;

/// Sends delivery reports. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Reporter {
    queue: mpsc::Sender<Waiting>,
    is_held_up: watch::Receiver<bool>,
}

/// sms-api's last word on a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The message's status is stored, or was final before.
    Accepted,
    /// It knows no such message.
    UnknownMessage,
    /// It will never take this report.
    Invalid {
        /// Why.
        reason: String,
    },
}

impl Reporter {
    /// Reads the token; no connection is opened yet. To be called inside the async runtime.
    pub fn new(base: &Url, token_file: &Path, check: Check, metrics: Metrics) -> anyhow::Result<Self> {
        let requests = Requests::new(base, token_file)?;
        let delivery = Arc::new(Delivery::new(requests, Outage::new(check), metrics));
        let is_held_up = delivery.follow_breaker();
        // Whoever cannot leave a report here waits, and with it a record in work: these are bounded.
        let (queue, gathered) = mpsc::channel(BATCH);
        tokio::spawn(deliver_all(gathered, delivery));
        Ok(Self { queue, is_held_up })
    }

    /// Returns only when sms-api has given its last word.
    pub async fn report(&self, report: DeliveryReport, traceparent: Option<String>) -> Answer {
        let (answer, last_word) = oneshot::channel();
        let waiting = Waiting { report, traceparent, answer };
        if self.queue.send(waiting).await.is_ok()
            && let Ok(answer) = last_word.await
        {
            return answer;
        }
        // The runtime is ending. Without a last word the record is not finished.
        future::pending().await
    }

    /// Whether reports are held up because too many failed; followed as it changes. There is no point in making more.
    pub fn is_held_up(&self) -> watch::Receiver<bool> {
        self.is_held_up.clone()
    }
}

/// Gathers reports and sends them, some batches at a time, until nobody can leave one.
async fn deliver_all(mut gathered: mpsc::Receiver<Waiting>, delivery: Arc<Delivery>) {
    let slots = Arc::new(Semaphore::new(UNDER_WAY));
    loop {
        // First, so that reports gather while all requests are under way.
        let slot = Arc::clone(&slots).acquire_owned().await.expect("nobody closes the slots");
        let batch = next_batch(&mut gathered).await;
        if batch.is_empty() {
            return;
        }
        let delivery = Arc::clone(&delivery);
        tokio::spawn(async move {
            delivery.deliver(batch).await;
            drop(slot);
        });
    }
}

/// What there is within [`GATHER`] of the first report; nothing at the end.
async fn next_batch(gathered: &mut mpsc::Receiver<Waiting>) -> Vec<Waiting> {
    let mut batch = Vec::new();
    gathered.recv_many(&mut batch, BATCH).await;
    let until = Instant::now() + GATHER;
    while (1..BATCH).contains(&batch.len()) {
        let room = BATCH - batch.len();
        match timeout_at(until, gathered.recv_many(&mut batch, room)).await {
            Ok(more) if more > 0 => {}
            Ok(_) | Err(_) => break,
        }
    }
    batch
}
