//! One writer: gathers what waits, stores it, answers, and hands it to the relay.

use std::{collections::HashSet, sync::Arc};

use tokio::{
    sync::{Mutex, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    BATCH, NotStored, SETTLE, Waiting,
    policy::{Part, Step, after},
};
use crate::{
    message::Status,
    metrics::Metrics,
    outage::Outage,
    relay::{Committed, Handover},
    store::{Batch, PendingMessage, Store},
    submission::{Stored, Submission},
};

/// Takes submissions from the queue that all writers share.
pub(super) struct Writer {
    pub gathered: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    pub closing: CancellationToken,
    pub store: Store,
    pub relay: Handover,
    pub metrics: Metrics,
    pub outage: Arc<Outage>,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(super) async fn run(self) {
        loop {
            let mut batch = self.take().await;
            if batch.is_empty() {
                return;
            }
            batch.retain(|waiting| !waiting.answer.is_closed());
            let (batch, twins) = without_twins(batch);
            self.store_all(batch).await;
            for twin in twins {
                self.store_all(vec![twin]).await;
            }
        }
    }

    /// What has gathered, at least one submission; none at the end. While one writer waits here the other one
    /// queues up behind it, so a submission is never left between two idle writers.
    async fn take(&self) -> Vec<Waiting> {
        let mut gathered = self.gathered.lock().await;
        let first = tokio::select! {
            biased;
            () = self.closing.cancelled(), if !gathered.is_closed() => {
                gathered.close();
                gathered.recv().await
            }
            first = gathered.recv() => first,
        };
        for _ in 0..SETTLE {
            tokio::task::yield_now().await;
        }
        let mut batch: Vec<_> = first.into_iter().collect();
        let mut messages: usize = batch.iter().map(|waiting| waiting.submission.messages.len()).sum();
        while messages < BATCH
            && let Ok(next) = gathered.try_recv()
        {
            messages += next.submission.messages.len();
            batch.push(next);
        }
        batch
    }

    /// Stores the batch, in as many parts as it takes to single out what PostgreSQL refuses or makes wait.
    async fn store_all(&self, batch: Vec<Waiting>) {
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.store_part(&part).await {
                Ok((batch, taken_at)) => {
                    for repeated in self.committed(part, &batch, taken_at) {
                        parts.extend(self.answer_repeated(repeated).await.map(|again| vec![again]));
                    }
                }
                Err(Step::Halve) => {
                    let mut first = part;
                    let second = first.split_off(first.len() / 2);
                    parts.extend([second, first]);
                }
                Err(Step::Separate) => {
                    let (keyed, free): (Vec<_>, Vec<_>) =
                        part.into_iter().partition(|waiting| waiting.submission.once.is_some());
                    parts.extend(keyed.into_iter().map(|waiting| vec![waiting]));
                    parts.push(free);
                }
                Err(Step::Refuse) => answer_all(part, NotStored::Refused),
                Err(Step::Busy) => answer_all(part, NotStored::KeyBusy),
                Err(Step::Retry | Step::GiveUp) => {
                    answer_all(part, NotStored::DatabaseAway);
                    // The others would only wait as long again.
                    parts.drain(..).for_each(|part| answer_all(part, NotStored::DatabaseAway));
                }
            }
        }
    }

    async fn store_part(&self, part: &[Waiting]) -> Result<(Batch, Instant), Step> {
        let submissions: Vec<_> = part.iter().map(|waiting| &waiting.submission).collect();
        let shape = Part {
            submissions: submissions.len(),
            keyed: submissions.iter().filter(|submission| submission.once.is_some()).count(),
        };
        let messages: usize = submissions.iter().map(|submission| submission.messages.len()).sum();
        let mut attempt = 1;
        loop {
            // Before the statement is sent, so that the lease never ends earlier than we believe.
            let taken_at = Instant::now();
            let span = tracing::info_span!("store batch", messages);
            match self.store.store_batch(&submissions).instrument(span).await {
                Ok(batch) => {
                    self.outage.worked();
                    return Ok((batch, taken_at));
                }
                Err(error) => match after(&error, shape, attempt) {
                    Step::Retry => attempt += 1,
                    step => {
                        self.outage.failed(&error);
                        return Err(step);
                    }
                },
            }
        }
    }

    /// Answers those that were stored and hands them to the relay; returns those whose key was in use.
    fn committed(&self, part: Vec<Waiting>, batch: &Batch, taken_at: Instant) -> Vec<Waiting> {
        let (repeated, stored): (Vec<_>, Vec<_>) =
            part.into_iter().partition(|waiting| batch.repeated.contains(&waiting.submission.id()));
        let mut pending = Vec::with_capacity(stored.len());
        let mut accepted = 0;
        for Waiting { submission, answer, .. } in stored {
            // A client that went away has its messages stored all the same.
            let _ = answer.send(Ok(Stored::New));
            accepted += submission.messages.len();
            let at_once = submission.messages.into_iter().filter(|message| message.status() == Status::Pending);
            pending.extend(at_once.map(PendingMessage::from));
        }
        if let Some(outbox_id) = batch.outbox_id {
            self.relay.offer(Committed { outbox_id, messages: pending, taken_at });
        }
        if accepted > 0 {
            self.metrics.accepted.inc_by(u64::try_from(accepted).unwrap_or(u64::MAX));
            #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
            self.metrics.ingest_batch_messages.observe(accepted as f64);
        }
        repeated
    }

    /// Gives the first request's answer to a repetition of it. Returns the submission when that answer is no
    /// longer kept, so that it is to be stored after all.
    async fn answer_repeated(&self, waiting: Waiting) -> Option<Waiting> {
        let Some(once) = &waiting.submission.once else { return Some(waiting) };
        let answer = match self.store.first_answer(&once.client, &once.key).await {
            Ok(Some((fingerprint, answer))) if fingerprint == once.fingerprint => Ok(Stored::Before(answer)),
            Ok(Some(_)) => Err(NotStored::KeyReused),
            Ok(None) => return Some(waiting),
            Err(error) => {
                self.outage.failed(&error);
                Err(NotStored::DatabaseAway)
            }
        };
        let _ = waiting.answer.send(answer);
        None
    }
}

/// Sets aside what has the same idempotency key as another submission of the batch: the first one decides.
fn without_twins(batch: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
    let key = |submission: &Submission| submission.once.as_ref().map(|once| (once.client.clone(), once.key.clone()));
    let mut seen = HashSet::new();
    batch.into_iter().partition(|waiting| key(&waiting.submission).is_none_or(|key| seen.insert(key)))
}

fn answer_all(part: Vec<Waiting>, reason: NotStored) {
    for waiting in part {
        let _ = waiting.answer.send(Err(reason));
    }
}
