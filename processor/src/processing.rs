//! The way of one record: decode, ask, send, decide, report; or the dead letter topic.
//!
//! Tells when the record is finished, so that its offset may be committed. Knows neither Kafka nor
//! HTTP, only who speaks them.

mod delivery;

use std::{borrow::Cow, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use contract::{DeliveryStatus, SmsRequested, SmsRequestedV1};
use futures::FutureExt;
use serde::Deserialize;
use telemetry::trace_context::continue_trace;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use self::delivery::{Delivery, Ended};
use crate::{
    consumer::{DeadLetters, HowEnded, Unprocessable},
    decide::Policy,
    metrics::{Metrics, Processed},
    pace::Throttle,
    provider::Provider,
    record::Record,
    sms_api::SmsApi,
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

impl Processing {
    /// Works off one record, whatever it takes, or leaves it to somebody else.
    ///
    /// There are hundreds of thousands of these at once, so what they hold is kept small: what is rarely needed is in a
    /// box, and a span is made only for a record that is traced.
    pub fn process(self: Arc<Self>, record: Record, retired: Arc<CancellationToken>) -> impl Future<Output = HowEnded> {
        let started = Instant::now();
        async move {
            let work = self.finish(&record, &retired);
            let processed = match &record.traceparent {
                None => work.await,
                Some(traceparent) => Box::pin(work.instrument(span(traceparent))).await,
            };
            let Some(processed) = processed else { return HowEnded::Abandoned };
            self.metrics.processed(processed, started.elapsed());
            HowEnded::Finished { failed: !matches!(processed, Processed::Sent | Processed::Skipped) }
        }
    }

    /// `None` when the record is left to somebody else.
    fn finish<'a>(
        &'a self,
        record: &'a Record,
        retired: &'a CancellationToken,
    ) -> impl Future<Output = Option<Processed>> + use<'a> {
        let mut attempts = 0;
        // Not an async function, which would hold its arguments twice.
        async move {
            let delivered = AssertUnwindSafe(async {
                let message = decode(&record.value).map_err(Ended::Unprocessable)?;
                Span::current().record("message.id", tracing::field::display(message.message_id));
                Delivery { by: self, record, message, retired, attempts: &mut attempts }.run().await
            });
            let unprocessable = match delivered.catch_unwind().await {
                Ok(Ok(status)) => return Some(status.into()),
                Ok(Err(Ended::Left | Ended::LeftInDoubt)) => return None,
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
    }
}

/// The span of the work on a record that carries a trace.
fn span(traceparent: &str) -> Span {
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
