//! The way of one record: decode, ask, send, decide, report; or the dead letter topic.
//!
//! Tells when the record is finished, so that its offset may be committed. Knows neither Kafka nor
//! HTTP, only who speaks them.

use std::{
    borrow::Cow,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use contract::{Claim, DeliveryReport, DeliveryStatus, SmsRequested, SmsRequestedV1};
use futures::FutureExt;
use jiff::Timestamp;
use serde::Deserialize;
use telemetry::trace_context::{continue_trace, traceparent_of};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::{
    consumer::{DeadLetters, HowEnded, Unprocessable},
    decide::{
        Decision, Found, OnUnknownOutcome, Outcome, Permission, Policy, decide, decide_found, has_expired,
        is_asked_about, permission,
    },
    metrics::{Metrics, Processed},
    pace::Throttle,
    provider::{Provider, Send},
    record::Record,
    sms_api::{Answer, Reported, SmsApi},
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
    /// Who tells and asks sms-api.
    pub sms_api: SmsApi,
    /// Where records go that cannot be processed.
    pub dead_letters: DeadLetters,
    /// What is counted.
    pub metrics: Metrics,
}

/// How the provider is called next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// It is given the message.
    Send,
    /// It is asked whether it has the message.
    Ask,
}

/// Why the work on a record ends before its message is sent.
enum Ended {
    /// It is left to somebody else.
    Left,
    /// There is nothing to do.
    Skipped,
    /// It goes to the dead letter topic.
    Unprocessable(Unprocessable),
}

impl Processing {
    /// Works off one record, whatever it takes, or leaves it to somebody else.
    ///
    /// There are hundreds of thousands of these at once, so what they hold is kept small: what is rarely needed is in a
    /// box, and a span is made only for a record that is traced.
    pub fn process(self: Arc<Self>, record: Record, retired: Arc<CancellationToken>) -> impl Future<Output = HowEnded> {
        let started = Instant::now();
        async move {
            let span = span(record.traceparent.as_deref());
            let processed = self.finish(&record, &retired).instrument(span).await;
            let Some(processed) = processed else { return HowEnded::Abandoned };
            self.metrics.processed(processed, started.elapsed());
            HowEnded::Finished { failed: !matches!(processed, Processed::Sent | Processed::Skipped) }
        }
    }

    /// `None` when the record is left to somebody else.
    async fn finish(&self, record: &Record, retired: &CancellationToken) -> Option<Processed> {
        let mut attempts = 0;
        let delivered = AssertUnwindSafe(self.deliver(record, retired, &mut attempts)).catch_unwind().await;
        let unprocessable = match delivered {
            Ok(Ok(status)) => return Some(status.into()),
            Ok(Err(Ended::Left)) => return None,
            Ok(Err(Ended::Skipped)) => return Some(Processed::Skipped),
            Ok(Err(Ended::Unprocessable(unprocessable))) => unprocessable,
            // A record that makes us panic would do so again after every restart, and stop its partition.
            Err(_) => Unprocessable::new("panic", "the processor panicked over this record"),
        };
        let origin = &record.origin;
        tracing::warn!(
            class = unprocessable.class,
            topic = &*origin.topic,
            partition = origin.partition,
            offset = origin.offset,
            "record goes to the dead letter topic"
        );
        Box::pin(self.dead_letters.publish(record, &unprocessable, attempts)).await;
        Some(Processed::DeadLetter)
    }

    async fn deliver(
        &self,
        record: &Record,
        retired: &CancellationToken,
        attempts: &mut u32,
    ) -> Result<DeliveryStatus, Ended> {
        let message = decode(&record.value).map_err(Ended::Unprocessable)?;
        let span = Span::current();
        span.record("message.id", tracing::field::display(message.message_id));
        let mut report = DeliveryReport {
            message_id: message.message_id,
            status: DeliveryStatus::Expired,
            failure_reason: None,
            processed_at: None,
            attempt: Some(message.attempt),
            transient: false,
            provider_message_id: None,
        };
        match self.ask(record, &message).await? {
            Permission::Send => self.send(&message, Step::Send, retired, &mut report, attempts).await?,
            Permission::AskProvider => {
                // An owner of the partition that has just lost it may still be sending, for as long as that may take.
                Box::pin(self.wait(self.provider.timeout(), retired)).await?;
                self.send(&message, Step::Ask, retired, &mut report, attempts).await?;
            }
            Permission::Skip => return Err(Ended::Skipped),
            Permission::UnknownMessage => return Err(Ended::Unprocessable(Unprocessable::unknown_message())),
            Permission::Hold => {
                report.status = DeliveryStatus::Unknown;
                let reason = "it may have been sent: a processor ended before it could tell";
                report.failure_reason = Some(reason.to_owned());
            }
        }
        report.processed_at = Some(Timestamp::now());
        let status = report.status;
        match self.sms_api.report(report, traceparent_of(&span)).await {
            Answer::Of(Reported::Accepted) => Ok(status),
            Answer::Of(Reported::UnknownMessage) => Err(Ended::Unprocessable(Unprocessable::unknown_message())),
            Answer::Invalid { reason } => Err(Ended::Unprocessable(Unprocessable::new("invalid-report", reason))),
        }
    }

    /// Whether the message may be sent; sms-api is asked only where the policy doubts it.
    async fn ask(&self, record: &Record, message: &SmsRequestedV1) -> Result<Permission, Ended> {
        let age = record.put_at.and_then(|put_at| Duration::try_from(Timestamp::now().duration_since(put_at)).ok());
        if !is_asked_about(self.policy, record.is_doubtful, age.unwrap_or_default()) {
            return Ok(Permission::Send);
        }
        let claim = Claim { message_id: message.message_id, attempt: message.attempt };
        match self.sms_api.claim(claim, traceparent_of(&Span::current())).await {
            Answer::Of(claimed) => Ok(permission(claimed, self.policy)),
            Answer::Invalid { reason } => Err(Ended::Unprocessable(Unprocessable::new("invalid-claim", reason))),
        }
    }

    /// Tries until the policy has seen enough, or it is too late; `report` tells what came of it, and `attempts` how often
    /// the provider was given the message, not counting when it asked to slow down.
    async fn send(
        &self,
        message: &SmsRequestedV1,
        mut step: Step,
        retired: &CancellationToken,
        report: &mut DeliveryReport,
        attempts: &mut u32,
    ) -> Result<(), Ended> {
        let mut asked = 0;
        loop {
            let decision = match step {
                // Expired, unless an earlier attempt may have reached the phone.
                Step::Send if message.expires_at.is_some_and(|at| has_expired(at, Timestamp::now())) => return Ok(()),
                Step::Send => {
                    self.metrics.attempted();
                    *attempts += 1;
                    let outcome = self.provider.send(message).await;
                    if let Outcome::Unknown { reason } = &outcome {
                        (report.status, report.failure_reason) = (DeliveryStatus::Unknown, Some(reason.clone()));
                    }
                    decide(outcome, *attempts, self.policy, fastrand::f64())
                }
                Step::Ask => {
                    asked += 1;
                    let found = Box::pin(self.provider.query(message)).await;
                    if found == Found::NotSent {
                        (report.status, report.failure_reason) = (DeliveryStatus::Expired, None);
                    }
                    decide_found(found, *attempts, asked, self.policy, fastrand::f64())
                }
            };
            match decision {
                Decision::ReportSent { provider_message_id } => {
                    (report.status, report.provider_message_id) = (DeliveryStatus::Sent, provider_message_id);
                    return Ok(());
                }
                Decision::ReportFailed { reason, transient } => {
                    (report.status, report.failure_reason) = (DeliveryStatus::Failed, Some(reason));
                    report.transient = transient;
                    return Ok(());
                }
                Decision::ReportUnknown { reason } => {
                    (report.status, report.failure_reason) = (DeliveryStatus::Unknown, Some(reason));
                    return Ok(());
                }
                Decision::RetryAfter(delay) => {
                    Box::pin(self.wait(delay, retired)).await?;
                    (step, asked) = (Step::Send, 0);
                }
                Decision::AskAfter(delay) => {
                    Box::pin(self.wait(delay, retired)).await?;
                    step = Step::Ask;
                }
                Decision::SlowDown(delay) => {
                    *attempts -= 1;
                    self.throttle.pace().close(Instant::now() + delay);
                    Box::pin(self.wait(delay, retired)).await?;
                }
            }
        }
    }

    /// Waits until the provider may be called again. The message is not with it meanwhile, so whoever gets its partition
    /// need not wait for us; only a message that nobody else would dare to send stays with us.
    async fn wait(&self, delay: Duration, retired: &CancellationToken) -> Result<(), Ended> {
        let is_ours_alone = self.policy.on_unknown_outcome != OnUnknownOutcome::Resend;
        let may_be_made = async {
            tokio::time::sleep(delay).await;
            self.throttle.until_admitted().await;
        };
        tokio::select! {
            () = may_be_made => Ok(()),
            () = retired.cancelled(), if !is_ours_alone => Err(Ended::Left),
        }
    }
}

/// The span of the work on a record that carries a trace; otherwise none.
fn span(traceparent: Option<&str>) -> Span {
    let Some(traceparent) = traceparent else { return Span::none() };
    let span = tracing::info_span!("process-sms-message", message.id = tracing::field::Empty);
    continue_trace(&span, traceparent);
    span
}

/// The part of a record that tells how to read the others.
#[derive(Deserialize)]
struct Versioned<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
}

fn decode(value: &[u8]) -> Result<SmsRequestedV1, Unprocessable> {
    let undecodable = |error: serde_json::Error| Unprocessable::new("undecodable", error.to_string());
    // Looked at by itself, a version costs less than half of what reading a tagged enum does, which keeps a copy of all
    // fields until it knows it.
    match serde_json::from_slice(value) {
        Ok(Versioned { version }) if version == "1" => serde_json::from_slice(value).map_err(undecodable),
        Ok(_) | Err(_) => match serde_json::from_slice(value).map_err(undecodable)? {
            SmsRequested::V1(message) => Ok(message),
        },
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
        let Err(Unprocessable { class, error }) = decode(value) else { panic!("decoded: {value:?}") };
        assert_eq!(class, "undecodable");
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
