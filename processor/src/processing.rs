//! The way of one record: decode, send, decide, report; or the dead letter topic.
//!
//! Tells when the record is finished, so that its offset may be committed. Knows neither Kafka nor
//! HTTP, only who speaks them.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use contract::{DeliveryReport, DeliveryStatus, SmsRequested, SmsRequestedV1};
use futures::FutureExt;
use jiff::Timestamp;
use telemetry::trace_context::{continue_trace, traceparent_of};
use tracing::{Instrument, Span};

use crate::{
    consumer::{DeadLetters, HowEnded, Leaving},
    decide::{Decision, Policy, decide, has_expired},
    metrics::{Metrics, Processed},
    pace::Throttle,
    provider::{Provider, Send},
    record::Record,
    reporter::{Answer, Reporter},
};

/// Everybody that a record meets on its way.
#[derive(Debug)]
pub struct Processing {
    /// Who sends messages.
    pub provider: Provider,
    /// How fast attempts may follow each other; first ones are admitted before they come here.
    pub throttle: Throttle,
    /// How patient we are with the provider.
    pub policy: Policy,
    /// Who tells sms-api.
    pub reporter: Reporter,
    /// Where records go that cannot be processed.
    pub dead_letters: DeadLetters,
    /// What is counted.
    pub metrics: Metrics,
}

/// Why a record goes to the dead letter topic.
struct Unprocessable {
    /// For logs: holds nothing of the record.
    kind: &'static str,
    /// For the dead letter: may quote the record.
    error: String,
}

impl Processing {
    /// Works off one record, whatever it takes, or leaves it to somebody else.
    pub async fn process(&self, record: Record, leaving: Leaving) -> HowEnded {
        let started = Instant::now();
        let span = tracing::info_span!("process-sms-message", message.id = tracing::field::Empty);
        if let Some(traceparent) = &record.traceparent {
            continue_trace(&span, traceparent);
        }
        let Some(processed) = self.finish(&record, &leaving).instrument(span).await else { return HowEnded::Abandoned };
        self.metrics.processed(processed, started.elapsed());
        HowEnded::Finished { failed: processed != Processed::Sent }
    }

    /// `None` when the record is left to somebody else.
    async fn finish(&self, record: &Record, leaving: &Leaving) -> Option<Processed> {
        // A record that makes us panic would do so again after every restart, and stop its partition.
        let unprocessable = match AssertUnwindSafe(self.deliver(record, leaving)).catch_unwind().await {
            Ok(Ok(status)) => return Some(status?.into()),
            Ok(Err(unprocessable)) => unprocessable,
            Err(_) => Unprocessable { kind: "panic", error: "the processor panicked over this record".to_owned() },
        };
        let origin = &record.origin;
        tracing::warn!(
            kind = unprocessable.kind,
            topic = &*origin.topic,
            partition = origin.partition,
            offset = origin.offset,
            "record goes to the dead letter topic"
        );
        self.dead_letters.publish(record, &unprocessable.error).await;
        Some(Processed::DeadLetter)
    }

    /// `None` when the record is left to somebody else.
    async fn deliver(&self, record: &Record, leaving: &Leaving) -> Result<Option<DeliveryStatus>, Unprocessable> {
        let message = decode(&record.value)?;
        let span = Span::current();
        span.record("message.id", tracing::field::display(message.message_id));
        let Some(report) = self.send(&message, leaving).await else { return Ok(None) };
        let status = report.status;
        match self.reporter.report(report, traceparent_of(&span)).await {
            Answer::Accepted => Ok(Some(status)),
            Answer::UnknownMessage => {
                Err(Unprocessable { kind: "unknown message", error: "sms-api knows no such message".to_owned() })
            }
            Answer::Invalid { reason } => Err(Unprocessable { kind: "invalid report", error: reason }),
        }
    }

    /// Tries until the policy has seen enough, or it is too late. `None` when further attempts are left to somebody else.
    async fn send(&self, message: &SmsRequestedV1, leaving: &Leaving) -> Option<DeliveryReport> {
        let mut report = DeliveryReport {
            message_id: message.message_id,
            status: DeliveryStatus::Expired,
            failure_reason: None,
            processed_at: None,
            attempt: Some(message.attempt),
            transient: false,
        };
        let mut attempt = 1;
        while !has_expired(message.expires_at, Timestamp::now()) {
            self.metrics.attempted();
            let outcome = self.provider.send(message).await;
            match decide(outcome, attempt, self.policy, fastrand::f64()) {
                Decision::ReportSent { .. } => {
                    report.status = DeliveryStatus::Sent;
                    break;
                }
                Decision::ReportFailed { reason, transient } => {
                    (report.status, report.failure_reason, report.transient) =
                        (DeliveryStatus::Failed, Some(reason), transient);
                    break;
                }
                Decision::ReportUnknown { reason } => {
                    (report.status, report.failure_reason) = (DeliveryStatus::Unknown, Some(reason));
                    break;
                }
                Decision::RetryAfter(delay) => {
                    attempt += 1;
                    self.wait(delay, leaving).await?;
                }
                Decision::SlowDown(delay) => {
                    self.throttle.pace().close(Instant::now() + delay);
                    self.wait(delay, leaving).await?;
                }
            }
        }
        report.processed_at = Some(Timestamp::now());
        Some(report)
    }

    /// Waits until the next attempt may be made; `None` when that is somebody else's. The message is not with the provider
    /// meanwhile, so whoever gets its partition need not wait for us.
    async fn wait(&self, delay: Duration, leaving: &Leaving) -> Option<()> {
        let may_be_made = async {
            tokio::time::sleep(delay).await;
            self.throttle.until_admitted().await;
        };
        tokio::select! {
            () = may_be_made => Some(()),
            () = leaving.soon.cancelled() => None,
        }
    }
}

fn decode(value: &[u8]) -> Result<SmsRequestedV1, Unprocessable> {
    match serde_json::from_slice(value) {
        Ok(SmsRequested::V1(message)) => Ok(message),
        Err(error) => Err(Unprocessable { kind: "undecodable", error: error.to_string() }),
    }
}

impl From<DeliveryStatus> for Processed {
    fn from(status: DeliveryStatus) -> Self {
        match status {
            DeliveryStatus::Sent => Self::Sent,
            DeliveryStatus::Failed => Self::Failed,
            DeliveryStatus::Expired => Self::Expired,
            DeliveryStatus::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &[u8], expected: &str) {
        let Err(Unprocessable { kind, error }) = decode(value) else { panic!("decoded: {value:?}") };
        assert_eq!(kind, "undecodable");
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_reason() {
        check(b"", "EOF");
        check(b"not json", "expected ident");
        check(b"\xff\xfe{}", "expected value");
        check(b"{}", "missing field `version`");
        check(br#"{"version":"99"}"#, "unknown variant `99`");
        check(br#"{"version":"1"}"#, "missing field `messageId`");
        check("[".repeat(100_000).as_bytes(), "");
    }
}
