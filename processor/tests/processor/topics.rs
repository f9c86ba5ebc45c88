//! Topics of one test: what is put in, what was committed, what came out as dead letters.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use contract::{FailedMessage, SmsRequested, SmsRequestedV1};
use jiff::Timestamp;
use kafka::{Admin, NewTopic, PartitionOffsets};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use uuid::Uuid;

use crate::harness::until;

const TIMEOUT: Duration = Duration::from_secs(20);

pub struct Topics {
    pub requests: String,
    pub high_priority: String,
    pub low_priority: String,
    pub dead_letters: String,
    pub group: String,
    partitions: i32,
    settings: kafka::Settings,
    admin: Admin,
    producer: FutureProducer,
}

pub struct DeadLetter {
    pub letter: FailedMessage,
    pub headers: BTreeMap<String, String>,
}

#[expect(clippy::disallowed_methods, reason = "the runner tells tests by environment where the broker is")]
pub fn bootstrap_servers() -> String {
    std::env::var("KAFKA_BOOTSTRAP_SERVERS")
        .expect("KAFKA_BOOTSTRAP_SERVERS names a broker for these tests, such as 127.0.0.1:9092")
}

impl Topics {
    /// Makes the topics; each lane gets so many partitions.
    pub async fn create(partitions: i32) -> Self {
        let topics = Self::name(partitions);
        topics.make(&[&topics.requests, &topics.high_priority, &topics.low_priority]).await;
        topics
    }

    /// Makes the topics without the one of high priority, which [`Self::make`] can do later.
    pub async fn create_without_high_priority(partitions: i32) -> Self {
        let topics = Self::name(partitions);
        topics.make(&[&topics.requests, &topics.low_priority]).await;
        topics
    }

    fn name(partitions: i32) -> Self {
        let name = format!("processor-{}", Uuid::now_v7().simple());
        let settings = kafka::Settings::plaintext(bootstrap_servers());
        let admin = Admin::new(&settings, "processor-tests").expect("admin client");
        let producer = settings.client_config("processor-tests").expect("settings").create().expect("producer");
        Self {
            requests: format!("{name}.requests"),
            high_priority: format!("{name}.high-priority"),
            low_priority: format!("{name}.low-priority"),
            dead_letters: format!("{name}-dlq"),
            group: name,
            partitions,
            settings,
            admin,
            producer,
        }
    }

    /// Makes the topics of `lanes`, and the one for dead letters unless it is there.
    pub async fn make(&self, lanes: &[&str]) {
        let lanes = lanes.iter().map(|&name| (name, self.partitions));
        let topics: Vec<_> = lanes
            .chain([(&*self.dead_letters, 1)])
            .map(|(name, partitions)| NewTopic {
                name: name.to_owned(),
                partitions,
                replication_factor: 1,
                config: BTreeMap::new(),
            })
            .collect();
        self.admin.create_topics(&topics).await.expect("topics are created");
    }

    /// The topics of all lanes.
    pub fn lanes(&self) -> [&str; 3] {
        [&self.requests, &self.high_priority, &self.low_priority]
    }

    /// Puts `count` fresh messages into the lanes, one after the other, and returns their ids.
    pub async fn request(&self, count: usize) -> Vec<Uuid> {
        let messages: Vec<_> = (0..count).map(message).collect();
        let lanes = self.lanes().into_iter().cycle();
        futures::future::join_all(lanes.zip(&messages).map(|(lane, message)| self.request_in(lane, message))).await;
        messages.into_iter().map(|message| message.message_id).collect()
    }

    /// Puts a message into one lane.
    pub async fn request_in(&self, lane: &str, message: &SmsRequestedV1) {
        self.put_in(lane, &message.recipient, Some(&encode(message)), None).await;
    }

    /// Puts any value into the lane of normal priority.
    pub async fn put(&self, key: &str, value: Option<&[u8]>, traceparent: Option<&str>) {
        self.put_in(&self.requests, key, value, traceparent).await;
    }

    /// Puts any value into one lane.
    pub async fn put_in(&self, lane: &str, key: &str, value: Option<&[u8]>, traceparent: Option<&str>) {
        let mut record = FutureRecord::to(lane).key(key);
        record.payload = value;
        if traceparent.is_some() {
            let header = Header { key: contract::headers::TRACEPARENT, value: traceparent };
            record = record.headers(OwnedHeaders::new().insert(header));
        }
        let sent = self.producer.send(record, TIMEOUT).await;
        sent.map_err(|(error, _)| error).expect("record is acknowledged");
    }

    /// How far the group has come in every partition of `lanes`.
    async fn offsets(&self, lanes: &[&str]) -> Vec<PartitionOffsets> {
        let partitions =
            lanes.iter().flat_map(|&lane| (0..self.partitions).map(move |number| (lane.to_owned(), number)));
        self.admin.offsets(self.group.clone(), partitions.collect()).await.expect("offsets are listed")
    }

    /// Records committed by the group, in all lanes together.
    pub async fn committed(&self) -> i64 {
        self.offsets(&self.lanes()).await.iter().filter_map(|offsets| offsets.committed).sum()
    }

    /// Records committed by the group in one lane.
    pub async fn committed_in(&self, lane: &str) -> i64 {
        self.offsets(&[lane]).await.iter().filter_map(|offsets| offsets.committed).sum()
    }

    /// Records not committed yet, in all lanes together.
    pub async fn lag(&self) -> i64 {
        self.offsets(&self.lanes()).await.iter().map(PartitionOffsets::lag).sum()
    }

    /// Waits until everything is committed: what comes again after a kill may have been reported long before.
    pub async fn until_no_lag(&self) {
        until("no lag", async || self.lag().await, |&lag| lag == 0).await;
    }

    /// Everything on the dead letter topic at this moment, which are `expected` or more.
    pub async fn dead_letters(&self, expected: usize) -> Vec<DeadLetter> {
        let mut config = self.settings.client_config("processor-tests").expect("settings");
        config.set("group.id", format!("{}-reader", self.group));
        let topic = self.dead_letters.clone();
        tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = config.create().expect("consumer");
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&topic, 0, Offset::Beginning).expect("valid partition");
            consumer.assign(&list).expect("assignment");
            let deadline = Instant::now() + TIMEOUT;
            let mut letters = Vec::new();
            loop {
                let (_, end) = consumer.fetch_watermarks(&topic, 0, TIMEOUT).expect("watermarks");
                if letters.len() >= expected && i64::try_from(letters.len()) == Ok(end) {
                    return letters;
                }
                assert!(Instant::now() < deadline, "{} of {expected} dead letters came", letters.len());
                if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
                    letters.push(dead_letter(&record));
                }
            }
        })
        .await
        .expect("reader ends")
    }
}

fn dead_letter(record: &impl Message) -> DeadLetter {
    let letter = serde_json::from_slice(record.payload().expect("a value")).expect("a FailedMessage");
    let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    let headers = record.headers().expect("headers").iter();
    let headers = headers.map(|header| (header.key.to_owned(), text(header.value))).collect();
    DeadLetter { letter, headers }
}

pub fn message(number: usize) -> SmsRequestedV1 {
    SmsRequestedV1 {
        message_id: Uuid::now_v7(),
        sender: "+15550100".to_owned(),
        recipient: format!("+1555{number:07}"),
        text: "Grüße 🎈".to_owned(),
        attempt: 1,
        created_at: Timestamp::now(),
        expires_at: None,
    }
}

pub fn encode(message: &SmsRequestedV1) -> Vec<u8> {
    serde_json::to_vec(&SmsRequested::V1(message.clone())).expect("message encodes")
}
