//! Batches on their way to sms-api: tried again until it has given its last word, within what the breaker allows.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use reqwest::Url;
use tokio::sync::{oneshot, watch};

use super::{
    Answer,
    breaker::Breaker,
    exchange::Exchange,
    request::{Endpoint, Failure, Verdict},
};
use crate::{
    backoff,
    metrics::{Exchanged, Metrics},
    outage::Outage,
};

/// A question whose record waits for sms-api's last word.
#[derive(Debug)]
pub(super) struct Waiting<E: Exchange> {
    pub(super) question: E::Question,
    pub(super) traceparent: Option<String>,
    /// Closed when nobody waits any more.
    pub(super) answer: oneshot::Sender<Answer<E::Answer>>,
}

/// What all batches share.
#[derive(Debug)]
pub(super) struct Circuit {
    base: Url,
    breaker: Mutex<Breaker>,
    is_open: watch::Sender<bool>,
    outage: Outage,
    metrics: Metrics,
}

impl Circuit {
    pub(super) fn new(base: Url, outage: Outage, metrics: Metrics) -> Self {
        Self { base, breaker: Mutex::default(), is_open: watch::Sender::new(false), outage, metrics }
    }

    /// Whether requests have to wait, followed as it changes.
    pub(super) fn follow(&self) -> watch::Receiver<bool> {
        self.is_open.subscribe()
    }

    /// Delivers the questions that somebody still waits for. A batch that one of its questions may be to blame for is halved
    /// until that one is alone, so that its neighbours do not suffer for it.
    pub(super) async fn deliver<E: Exchange>(&self, endpoint: &Endpoint<E>, batch: Vec<Waiting<E>>) {
        let mut parts = VecDeque::from([batch]);
        while let Some(mut part) = parts.pop_front() {
            match self.verdict(endpoint, &mut part, !parts.is_empty()).await {
                Verdict::OfEach(answers) => {
                    for (waiting, answer) in part.into_iter().zip(answers) {
                        E::count(&self.metrics, E::counted(&answer), 1);
                        // An error means that nobody waits any more.
                        let _ = waiting.answer.send(Answer::Of(answer));
                    }
                }
                Verdict::Invalid { .. } | Verdict::Indigestible if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([part, second]);
                }
                // It goes last, so that the others do not wait for it.
                Verdict::Indigestible => parts.push_back(part),
                Verdict::Invalid { reason } => {
                    for waiting in part {
                        E::count(&self.metrics, Exchanged::Invalid, 1);
                        let _ = waiting.answer.send(Answer::Invalid { reason: reason.clone() });
                    }
                }
            }
        }
    }

    /// sms-api's verdict on those of the batch that somebody still waits for; the others are taken out.
    async fn verdict<E: Exchange>(
        &self,
        endpoint: &Endpoint<E>,
        batch: &mut Vec<Waiting<E>>,
        has_neighbours: bool,
    ) -> Verdict<E::Answer> {
        let mut delays = backoff::delays();
        loop {
            self.until_admitted(batch).await;
            if batch.is_empty() {
                return Verdict::OfEach(Vec::new());
            }
            let questions = batch.iter().map(|waiting| waiting.question.clone()).collect();
            // A request has one parent, and a batch has many: that of the first question which is traced.
            let traceparent = batch.iter().find_map(|waiting| waiting.traceparent.as_deref());
            match endpoint.send(questions, traceparent).await {
                Ok(verdict) => {
                    self.change(Breaker::succeeded);
                    self.outage.succeeded();
                    return verdict;
                }
                Err(failure) => {
                    self.failed(endpoint, &failure, batch.len());
                    if failure.may_be_of_one() && (batch.len() > 1 || has_neighbours) {
                        return Verdict::Indigestible;
                    }
                }
            }
            tokio::time::sleep(delays.next().unwrap_or_default()).await;
        }
    }

    /// Waits until a request may be made, or until it need not be.
    async fn until_admitted<E: Exchange>(&self, batch: &mut Vec<Waiting<E>>) {
        let mut is_open = self.is_open.subscribe();
        loop {
            batch.retain(|waiting| !waiting.answer.is_closed());
            if batch.is_empty() {
                // No records are taken while the breaker is open, so there may never be another request to try it with.
                self.change(Breaker::withdrawn);
                return;
            }
            let Err(next) = self.breaker().admit(Instant::now()) else { return };
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                // Its sender is ours, so there is no error.
                _ = is_open.wait_for(|is_open| !is_open) => {}
            }
        }
    }

    fn failed<E: Exchange>(&self, endpoint: &Endpoint<E>, failure: &Failure, questions: usize) {
        let now = Instant::now();
        let exchanged = match failure {
            Failure::Unauthorized => Exchanged::Unauthorized,
            Failure::Throttled => Exchanged::Throttled,
            Failure::Status(_) | Failure::Unreadable => Exchanged::Unavailable,
            Failure::Unreachable(_) => Exchanged::Unreachable,
        };
        E::count(&self.metrics, exchanged, questions);
        let is_open = self.change(|breaker| breaker.failed(now));
        let meanwhile = if is_open { "; no records are taken meanwhile" } else { "" };
        self.outage.failed(now, || format!("{}s to {} fail: {}{meanwhile}", E::NAME, self.base, failure.reason()));
        if let Failure::Unauthorized = failure
            && let Err(error) = endpoint.reload_token()
        {
            self.outage.failed(now, || format!("{error:#}"));
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the breaker, and tells those who follow it; returns whether it is open.
    fn change(&self, change: impl FnOnce(&mut Breaker)) -> bool {
        let mut breaker = self.breaker();
        change(&mut breaker);
        let is_open = breaker.is_open();
        // Under the lock, so that what is told last is how it is.
        let changed = self.is_open.send_if_modified(|told| mem::replace(told, is_open) != is_open);
        if changed {
            self.metrics.breaker(is_open);
        }
        is_open
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use contract::Claim;
    use prometheus_client::registry::Registry;
    use telemetry::Health;

    use super::{
        super::{claims::ClaimExchange, request::Requests},
        *,
    };

    #[tokio::test]
    async fn when_nobody_waits_for_an_answer_any_more_consumption_is_held_no_longer() {
        let file = std::env::temp_dir().join(format!("sms-processor-circuit-{}", std::process::id()));
        std::fs::write(&file, "token").expect("temporary file is writable");
        let base = Url::parse("http://127.0.0.1:1").expect("a URL");
        let requests = Arc::new(Requests::new(&base, &file).expect("a token"));
        let endpoint: Endpoint<ClaimExchange> = Endpoint::new(&requests).expect("an endpoint");
        let outage = Outage::new(Health::default().check("sms-api"));
        let circuit = Circuit::new(base, outage, Metrics::register(&mut Registry::default()));
        for _ in 0..4 {
            circuit.change(|breaker| breaker.failed(Instant::now()));
        }
        assert!(*circuit.follow().borrow());

        let (answer, abandoned) = oneshot::channel();
        drop(abandoned);
        let question = Claim { message_id: uuid::Uuid::nil(), attempt: 1, claimant: uuid::Uuid::nil() };
        circuit.deliver(&endpoint, vec![Waiting { question, traceparent: None, answer }]).await;
        assert!(!*circuit.follow().borrow());
        std::fs::remove_file(&file).expect("temporary file is removable");
    }
}
