//! Puts records that cannot be processed on the dead letter topic, until Kafka has them.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use base64::prelude::{BASE64_STANDARD, Engine};
use contract::{FailedMessage, headers};
use jiff::Timestamp;
use kafka::Quiet;
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer},
    util::Timeout,
};
use telemetry::Check;

use crate::{backoff, outage::Outage, record::Record};

/// How long one try may take, waiting for a broker included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much of an error a dead letter keeps, in characters: some quote the whole value.
const LONGEST_ERROR: usize = 1000;

/// Why a record cannot be processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprocessable {
    /// The kind of error, one of a few words that hold nothing of the record.
    pub class: &'static str,
    /// In words, which may quote the record.
    pub error: String,
}

impl Unprocessable {
    /// With these words.
    pub fn new(class: &'static str, error: impl Into<String>) -> Self {
        Self { class, error: error.into() }
    }

    /// Its message was never accepted, or its row is gone.
    pub fn unknown_message() -> Self {
        Self::new("unknown-message", "sms-api knows no such message")
    }
}

/// Publishes dead letters. Cheap to clone; clones share one producer.
#[derive(Clone)]
pub struct DeadLetters {
    shared: Arc<Shared>,
}

struct Shared {
    topic: String,
    config: ClientConfig,
    producer: Mutex<FutureProducer<Quiet>>,
    outage: Outage,
}

impl DeadLetters {
    /// Makes the producer; it connects by itself, so this does not wait for a broker.
    pub fn new(topic: &str, kafka: &kafka::Settings, check: Check) -> anyhow::Result<Self> {
        let mut config = kafka.client_config("sms-processor")?;
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", TIMEOUT.as_millis().to_string());
        let producer = Mutex::new(create(&config).context("invalid Kafka client settings")?);
        let outage = Outage::new(check);
        Ok(Self { shared: Arc::new(Shared { topic: topic.to_owned(), config, producer, outage }) })
    }

    /// Returns only when Kafka has acknowledged the dead letter of a record that was given to the provider so often.
    pub async fn publish(&self, record: &Record, unprocessable: &Unprocessable, attempts: u32) {
        let (mut message, is_encoded) = match std::str::from_utf8(&record.value) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (BASE64_STANDARD.encode(&record.value), true),
        };
        let headers = headers(record, unprocessable, attempts, is_encoded);
        let reason = bounded(&unprocessable.error);
        let mut error = reason.clone();
        let mut delays = backoff::delays();
        loop {
            let letter = FailedMessage { message, error, timestamp: Timestamp::now() };
            let result = self.shared.try_publish(&letter, headers.clone()).await;
            FailedMessage { message, error, .. } = letter;
            match result {
                Ok(()) => return self.shared.outage.succeeded(),
                Err(cause) if is_too_large(&cause) && !message.is_empty() => {
                    // Escaped as JSON, a record below Kafka's limit can be above it; half of its value is
                    // better than a partition that stops here.
                    message.truncate(message.floor_char_boundary(message.len() / 2));
                    error = format!("{reason} (value cut to {} bytes of {})", message.len(), record.value.len());
                }
                Err(cause) => {
                    self.shared.failed(&cause);
                    tokio::time::sleep(delays.next().unwrap_or(TIMEOUT)).await;
                }
            }
        }
    }
}

impl Shared {
    async fn try_publish(&self, letter: &FailedMessage, headers: OwnedHeaders) -> Result<(), KafkaError> {
        let producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let payload = serde_json::to_vec(letter).unwrap_or_default();
        let message = FutureRecord::<(), _>::to(&self.topic).payload(&payload).headers(headers);
        producer.send(message, Timeout::After(TIMEOUT)).await.map(drop).map_err(|(error, _)| error)
    }

    fn failed(&self, error: &KafkaError) {
        self.outage.failed(Instant::now(), || format!("dead letters to topic {:?} fail: {error}", self.topic));
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        // After a fatal error an idempotent producer never works again; only a new one does.
        if producer.client().fatal_error().is_some()
            && let Ok(fresh) = create(&self.config)
        {
            *producer = fresh;
        }
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DeadLetters").field("topic", &self.shared.topic).finish_non_exhaustive()
    }
}

fn create(config: &ClientConfig) -> Result<FutureProducer<Quiet>, KafkaError> {
    config.create_with_context(Quiet)
}

/// An error no longer than a dead letter keeps.
fn bounded(error: &str) -> String {
    match error.char_indices().nth(LONGEST_ERROR) {
        Some((end, _)) => format!("{} (error cut to {LONGEST_ERROR} characters)", &error[..end]),
        None => error.to_owned(),
    }
}

fn headers(record: &Record, unprocessable: &Unprocessable, attempts: u32, is_encoded: bool) -> OwnedHeaders {
    let origin = &record.origin;
    let headers = OwnedHeaders::new()
        .insert(Header { key: headers::ORIGIN_TOPIC, value: Some(&*origin.topic) })
        .insert(Header { key: headers::ORIGIN_PARTITION, value: Some(&origin.partition.to_string()) })
        .insert(Header { key: headers::ORIGIN_OFFSET, value: Some(&origin.offset.to_string()) })
        .insert(Header { key: headers::ERROR_CLASS, value: Some(unprocessable.class) })
        .insert(Header { key: headers::ATTEMPTS, value: Some(&attempts.to_string()) });
    let optional = [
        (headers::MESSAGE_ENCODING, is_encoded.then_some(headers::BASE64)),
        (headers::TRACEPARENT, record.traceparent.as_deref()),
    ];
    optional
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .fold(headers, |headers, (key, value)| headers.insert(Header { key, value }))
}

fn is_too_large(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_kept_up_to_its_bound_in_whole_characters() {
        let longest = "ü".repeat(LONGEST_ERROR);
        assert_eq!(bounded("short"), "short");
        assert_eq!(bounded(&longest), longest);
        assert_eq!(bounded(&format!("{longest}ü")), format!("{longest} (error cut to 1000 characters)"));
    }
}
