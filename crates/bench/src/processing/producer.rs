//! Puts records into a topic: as fast as it goes, or at a constant rate.

use std::{
    ops::Range,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{record::record, thread};
use crate::topics::Topics;

/// How long Kafka may take for what was sent last.
const FLUSH_WITHIN: Duration = Duration::from_mins(2);
const FULL_QUEUE_POLL: Duration = Duration::from_millis(10);

/// Fills an empty topic with the records of these numbers; an error when one of them is not there afterwards.
pub async fn fill(topics: &Topics, topic: &str, numbers: Range<u32>) -> anyhow::Result<()> {
    let producer = producer(topics, "50")?;
    let (name, records) = (topic.to_owned(), u64::from(numbers.end - numbers.start));
    thread::run(move || {
        let created_at = Timestamp::now();
        numbers.into_iter().try_for_each(|number| send(&producer, &name, number, created_at))?;
        producer.flush(FLUSH_WITHIN).context("Kafka does not take the records")
    })
    .await?;
    let found = topics.records(topic).await?;
    ensure!(found == records, "{records} records were produced, but {found} are in {topic}");
    Ok(())
}

/// Sends `per_second` records, numbered from 0, until there are `records`, each at its time; returns when the first one
/// was due. A record is with the client library at its time, and not yet acknowledged.
pub async fn constant_rate(topics: &Topics, topic: &str, records: u32, per_second: u32) -> anyhow::Result<Instant> {
    let producer = producer(topics, "0")?;
    let topic = topic.to_owned();
    thread::run(move || {
        let began = Instant::now();
        for number in 0..records {
            let due = began + Duration::from_secs(1) * number / per_second;
            sleep(due.saturating_duration_since(Instant::now()));
            send(&producer, &topic, number, Timestamp::now())?;
            producer.poll(Duration::ZERO);
        }
        producer.flush(FLUSH_WITHIN).context("Kafka does not take the records")?;
        Ok(began)
    })
    .await
}

/// `linger` is how many milliseconds records wait for more of them; many together cost Kafka less.
fn producer(topics: &Topics, linger: &str) -> anyhow::Result<BaseProducer> {
    let mut config = topics.settings().client_config("sms-bench")?;
    config.set("acks", "all").set("partitioner", "murmur2_random").set("linger.ms", linger);
    config.create().context("cannot make a producer")
}

fn send(producer: &BaseProducer, topic: &str, number: u32, created_at: Timestamp) -> anyhow::Result<()> {
    let (key, value) = record(number, created_at);
    let mut next = BaseRecord::to(topic).key(&key).payload(&value);
    loop {
        match producer.send(next) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                producer.poll(FULL_QUEUE_POLL);
                next = unsent;
            }
            Err((error, _)) => return Err(error).context("cannot produce a record"),
        }
    }
}
