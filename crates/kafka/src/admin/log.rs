//! A small topic of one partition that is read from its beginning to its end and seldom written.

use std::time::Instant;

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Message,
    producer::{FutureProducer, FutureRecord},
    topic_partition_list::Offset,
};

use super::{Admin, TIMEOUT};
use crate::{Error, Quiet, Settings, native};

const FETCH: &str = "Fetch";
const PRODUCE: &str = "Produce";

/// One record of such a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the log.
    pub offset: i64,
    /// What it is about.
    pub key: String,
    /// What it says; `None` takes back what was said before under the key.
    pub value: Option<String>,
}

impl Admin {
    /// Every record up to the end of the topic, whatever was written and acknowledged before included.
    pub async fn read_log(&self, topic: &str) -> Result<Vec<Entry>, Error> {
        let (settings, topic) = (self.settings.clone(), topic.to_owned());
        self.blocking(FETCH, move |_| read(&settings, &topic)).await
    }

    /// Writes a record and returns when every in-sync copy has it.
    pub async fn append_to_log(&self, topic: &str, key: &str, value: Option<&str>) -> Result<(), Error> {
        let mut config = self.settings.client_config("sms-operator-log")?;
        let timeout = TIMEOUT.as_millis().to_string();
        config.set("acks", "all").set("enable.idempotence", "true").set("message.timeout.ms", timeout);
        let producer: FutureProducer = config.create().map_err(Error::Settings)?;
        let record = FutureRecord::to(topic).partition(0).key(key);
        let record = value.into_iter().fold(record, FutureRecord::payload);
        let written = producer.send(record, TIMEOUT).await.map_err(|(error, _)| failure(&error, PRODUCE, topic));
        self.explained(written.map(drop))
    }
}

fn read(settings: &Settings, topic: &str) -> Result<Vec<Entry>, Error> {
    let mut config = settings.client_config("sms-operator-log")?;
    // The group is only a word that librdkafka wants: partitions are assigned by us and nothing is committed.
    config.set("group.id", "sms-operator-log").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet).map_err(Error::Settings)?;
    let beginning = native::partition_list(&[(topic.to_owned(), 0)], Offset::Beginning, FETCH)?;
    consumer.assign(&beginning).map_err(|error| failure(&error, FETCH, topic))?;
    let deadline = Instant::now() + TIMEOUT;
    let mut entries = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Call { call: FETCH, reason: format!("no end of {topic:?} in {TIMEOUT:?}") });
        }
        match consumer.poll(left) {
            Some(Ok(record)) => entries.push(Entry {
                offset: record.offset(),
                key: record.key().map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default(),
                value: record.payload().map(|value| String::from_utf8_lossy(value).into_owned()),
            }),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(entries),
            // What passes, such as a leader that moves, is tried again until the time is over.
            Some(Err(error)) if is_final(&error) => return Err(failure(&error, FETCH, topic)),
            Some(Err(_)) | None => {}
        }
    }
}

fn is_final(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(error.rdkafka_error_code(), Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed))
}

fn failure(error: &KafkaError, call: &'static str, topic: &str) -> Error {
    let reason = error.to_string();
    match error.rdkafka_error_code() {
        Some(code) if is_final(error) => Error::refused(call, topic.to_owned(), code, reason),
        Some(_) | None => Error::Call { call, reason },
    }
}
