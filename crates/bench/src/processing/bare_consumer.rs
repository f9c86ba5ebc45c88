//! What the processor is compared with: librdkafka, and a loop that decodes every record and does nothing with it.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use contract::SmsRequested;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use super::thread;
use crate::topics::Topics;

/// How long a record may keep us waiting before something is wrong.
const NEXT_WITHIN: Duration = Duration::from_secs(30);

/// Reads the whole topic, which has so many records, and returns the time from the first record to the last one.
/// Partitions are assigned by us, so there is no group to join; nothing is committed.
pub async fn read(topics: &Topics, records: u32) -> anyhow::Result<Duration> {
    let mut config = topics.settings().client_config("sms-bench")?;
    config.set("group.id", "sms-bench-bare").set("enable.auto.commit", "false");
    // By default nothing is fetched for a second whenever 64 MB lie ready, and then the consumer waits.
    config.set("fetch.queue.backoff.ms", "10");
    let consumer: BaseConsumer = config.create().context("cannot make a consumer")?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..topics.partitions() {
        partitions.add_partition_offset(topics.requests(), partition, Offset::Beginning)?;
    }
    thread::run(move || {
        consumer.assign(&partitions).context("cannot read the topic")?;
        decode_next(&consumer)?;
        let first = Instant::now();
        (1..records).try_for_each(|_| decode_next(&consumer))?;
        Ok(first.elapsed())
    })
    .await
}

fn decode_next(consumer: &BaseConsumer) -> anyhow::Result<()> {
    let Some(message) = consumer.poll(NEXT_WITHIN) else {
        bail!("the bare consumer got no record within {} s", NEXT_WITHIN.as_secs())
    };
    let message = message.context("the bare consumer cannot read")?;
    let request: SmsRequested =
        serde_json::from_slice(message.payload().unwrap_or_default()).context("a record is no request")?;
    black_box(request);
    Ok(())
}
