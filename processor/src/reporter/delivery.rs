//! Batches on their way to sms-api: tried again until it has given its last word, within what the breaker allows.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use contract::DeliveryReport;
use tokio::sync::{oneshot, watch};

use super::{
    Answer,
    breaker::Breaker,
    request::{Failure, Requests, Verdict},
};
use crate::{
    backoff,
    metrics::{Metrics, Reported},
    outage::Outage,
};

/// A report whose record waits for sms-api's last word.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) report: DeliveryReport,
    pub(super) traceparent: Option<String>,
    /// Closed when nobody waits any more.
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What all batches share.
#[derive(Debug)]
pub(super) struct Delivery {
    requests: Requests,
    breaker: Mutex<Breaker>,
    is_open: watch::Sender<bool>,
    outage: Outage,
    metrics: Metrics,
}

impl Delivery {
    pub(super) fn new(requests: Requests, outage: Outage, metrics: Metrics) -> Self {
        Self { requests, breaker: Mutex::default(), is_open: watch::Sender::new(false), outage, metrics }
    }

    /// Whether reports have to wait, followed as it changes.
    pub(super) fn follow_breaker(&self) -> watch::Receiver<bool> {
        self.is_open.subscribe()
    }

    /// Delivers the reports that somebody still waits for. A batch that sms-api finds invalid is halved until the
    /// invalid report is alone, so that its neighbours do not suffer for it.
    pub(super) async fn deliver(&self, batch: Vec<Waiting>) {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            match self.verdict(&mut part).await {
                Verdict::OfEach(answers) => {
                    for (waiting, answer) in part.into_iter().zip(answers) {
                        self.answer(waiting, answer);
                    }
                }
                Verdict::Invalid { .. } if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                Verdict::Invalid { reason } => {
                    for waiting in part {
                        self.answer(waiting, Answer::Invalid { reason: reason.clone() });
                    }
                }
            }
        }
    }

    /// sms-api's verdict on those of the batch that somebody still waits for; the others are taken out.
    async fn verdict(&self, batch: &mut Vec<Waiting>) -> Verdict {
        let mut delays = backoff::delays();
        loop {
            self.until_admitted(batch).await;
            if batch.is_empty() {
                return Verdict::OfEach(Vec::new());
            }
            let reports = batch.iter().map(|waiting| waiting.report.clone()).collect();
            // A request has one parent, and a batch has many: that of the first report which is traced.
            let traceparent = batch.iter().find_map(|waiting| waiting.traceparent.as_deref());
            match self.requests.send(reports, traceparent).await {
                Ok(verdict) => {
                    self.follow(Breaker::succeeded);
                    self.outage.succeeded();
                    return verdict;
                }
                Err(failure) => self.failed(&failure, batch.len()),
            }
            tokio::time::sleep(delays.next().unwrap_or_default()).await;
        }
    }

    /// Waits until a request may be made, or until it need not be.
    async fn until_admitted(&self, batch: &mut Vec<Waiting>) {
        let mut is_open = self.is_open.subscribe();
        loop {
            batch.retain(|waiting| !waiting.answer.is_closed());
            if batch.is_empty() {
                // No records are taken while the breaker is open, so there may never be another report to try it with.
                self.follow(Breaker::withdrawn);
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

    fn failed(&self, failure: &Failure, reports: usize) {
        let now = Instant::now();
        let reported = match failure {
            Failure::Unauthorized => Reported::Unauthorized,
            Failure::Throttled => Reported::Throttled,
            Failure::Status(_) | Failure::Unreadable => Reported::Unavailable,
            Failure::Unreachable(_) => Reported::Unreachable,
        };
        self.metrics.reported(reported, reports);
        let is_open = self.follow(|breaker| breaker.failed(now));
        let meanwhile = if is_open { "; no records are taken meanwhile" } else { "" };
        self.outage.failed(now, || {
            format!("delivery reports to {} fail: {}{meanwhile}", self.requests.url(), failure.reason())
        });
        if let Failure::Unauthorized = failure
            && let Err(error) = self.requests.reload_token()
        {
            self.outage.failed(now, || format!("{error:#}"));
        }
    }

    fn answer(&self, waiting: Waiting, answer: Answer) {
        let reported = match answer {
            Answer::Accepted => Reported::Accepted,
            Answer::UnknownMessage => Reported::UnknownMessage,
            Answer::Invalid { .. } => Reported::Invalid,
        };
        self.metrics.reported(reported, 1);
        // An error means that nobody waits any more.
        let _ = waiting.answer.send(answer);
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the breaker, and tells those who follow it; returns whether it is open.
    fn follow(&self, change: impl FnOnce(&mut Breaker)) -> bool {
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
    use contract::DeliveryStatus;
    use prometheus_client::registry::Registry;
    use telemetry::Health;

    use super::*;

    #[tokio::test]
    async fn when_nobody_waits_for_reports_any_more_consumption_is_held_no_longer() {
        let file = std::env::temp_dir().join(format!("sms-processor-delivery-{}", std::process::id()));
        std::fs::write(&file, "token").expect("temporary file is writable");
        let url = reqwest::Url::parse("http://127.0.0.1:1").expect("a URL");
        let requests = Requests::new(&url, &file).expect("a token");
        let outage = Outage::new(Health::default().check("sms-api"));
        let delivery = Delivery::new(requests, outage, Metrics::register(&mut Registry::default()));
        for _ in 0..4 {
            delivery.follow(|breaker| breaker.failed(Instant::now()));
        }
        assert!(*delivery.follow_breaker().borrow());

        let (answer, abandoned) = oneshot::channel();
        drop(abandoned);
        let report = DeliveryReport {
            message_id: uuid::Uuid::nil(),
            status: DeliveryStatus::Sent,
            failure_reason: None,
            processed_at: None,
            attempt: None,
            transient: false,
        };
        delivery.deliver(vec![Waiting { report, traceparent: None, answer }]).await;
        assert!(!*delivery.follow_breaker().borrow());
        std::fs::remove_file(&file).expect("temporary file is removable");
    }
}
