//! Gathers what many ask at the same time, and sends it together, some batches at a time.

use std::{fmt, future, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    Answer,
    circuit::{Circuit, Waiting},
    exchange::Exchange,
    request::{Endpoint, Requests},
};

/// How many questions one request carries at most.
const BATCH: usize = 500;
/// How long the first question of a batch waits for others.
const GATHER: Duration = Duration::from_millis(5);
/// How many requests of one kind are under way at once, and so how many connections sms-api sees from one processor.
pub(super) const UNDER_WAY: usize = 8;

/// Where questions of one kind are left.
pub(super) struct Gathering<E: Exchange> {
    /// Holds one question of each record in work at most, and these are bounded.
    queue: mpsc::UnboundedSender<Waiting<E>>,
}

impl<E: Exchange> Clone for Gathering<E> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<E: Exchange> fmt::Debug for Gathering<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gathering").field("of", &E::NAME).finish_non_exhaustive()
    }
}

impl<E: Exchange> Gathering<E> {
    pub(super) fn start(requests: &Arc<Requests>, circuit: &Arc<Circuit>) -> anyhow::Result<Self> {
        let endpoint = Arc::new(Endpoint::new(requests)?);
        let (queue, gathered) = mpsc::unbounded_channel();
        tokio::spawn(deliver_all(gathered, endpoint, Arc::clone(circuit)));
        Ok(Self { queue })
    }

    /// Leaves the question here; what is returned ends only when sms-api has given its last word. It holds nothing else,
    /// because there are many of them.
    pub(super) fn ask(
        &self,
        question: E::Question,
        traceparent: Option<String>,
    ) -> impl Future<Output = Answer<E::Answer>> + use<E> {
        let (answer, last_word) = oneshot::channel();
        // An error means that the runtime is ending, which is noticed below.
        let _ = self.queue.send(Waiting { question, traceparent, answer });
        async move {
            match last_word.await {
                Ok(answer) => answer,
                // Without a last word the record is not finished.
                Err(_) => future::pending().await,
            }
        }
    }
}

/// Gathers questions and sends them until nobody can leave one.
async fn deliver_all<E: Exchange>(
    mut gathered: mpsc::UnboundedReceiver<Waiting<E>>,
    endpoint: Arc<Endpoint<E>>,
    circuit: Arc<Circuit>,
) {
    let slots = Arc::new(Semaphore::new(UNDER_WAY));
    loop {
        // First, so that questions gather while all requests are under way.
        let slot = Arc::clone(&slots).acquire_owned().await.expect("nobody closes the slots");
        let batch = next_batch(&mut gathered).await;
        if batch.is_empty() {
            return;
        }
        let (endpoint, circuit) = (Arc::clone(&endpoint), Arc::clone(&circuit));
        tokio::spawn(async move {
            circuit.deliver(&endpoint, batch).await;
            drop(slot);
        });
    }
}

/// What there is within [`GATHER`] of the first question; nothing at the end.
async fn next_batch<E: Exchange>(gathered: &mut mpsc::UnboundedReceiver<Waiting<E>>) -> Vec<Waiting<E>> {
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
