//! Topics of a test's own, a lane for each priority, and what was published to them.

use std::{collections::BTreeMap, time::Duration};

use kafka::{Admin, NewTopic};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    message::{BorrowedMessage, Headers},
};
use serde_json::Value;
use sms_api::relay::Topics;

const PARTITIONS: i32 = 3;

pub struct Topic {
    pub lanes: Topics,
    consumer: StreamConsumer,
}

#[derive(Debug)]
pub struct Record {
    pub topic: String,
    pub key: String,
    pub value: Value,
    pub headers: BTreeMap<String, String>,
}

impl Topic {
    pub async fn create() -> Self {
        let name = format!("sms-api-test-{}", uuid::Uuid::now_v7());
        let lanes = lanes(&name);
        let topics: Vec<_> = lanes
            .names()
            .into_iter()
            .map(|name| NewTopic { name, partitions: PARTITIONS, replication_factor: 1, config: BTreeMap::new() })
            .collect();
        let admin = Admin::new(&settings(), "sms-api-test").expect("valid Kafka settings");
        admin.create_topics(&topics).await.expect("Kafka creates the topics");
        let consumer: StreamConsumer = settings()
            .client_config("sms-api-test")
            .expect("settings")
            .set("group.id", &name)
            .create()
            .expect("a consumer");
        let mut all = TopicPartitionList::new();
        for name in lanes.names() {
            for partition in 0..PARTITIONS {
                all.add_partition_offset(&name, partition, Offset::Beginning).expect("a valid offset");
            }
        }
        consumer.assign(&all).expect("the partitions can be assigned");
        Self { lanes, consumer }
    }

    /// The next record, whatever its partition.
    pub async fn next(&self) -> Record {
        let record = tokio::time::timeout(Duration::from_secs(30), self.consumer.recv()).await;
        decode(&record.expect("a record arrives").expect("the record is readable"))
    }

    /// Proves that nothing more comes, as far as waiting a moment can.
    pub async fn is_silent(&self) {
        let record = tokio::time::timeout(Duration::from_millis(500), self.consumer.recv()).await;
        assert!(record.is_err(), "another record: {:?}", record.map(|record| record.map(|r| decode(&r))));
    }
}

/// Lanes whose names start alike.
pub fn lanes(name: &str) -> Topics {
    Topics { high: format!("{name}-high"), normal: name.to_owned(), low: format!("{name}-low") }
}

/// The dead letter topic that goes with the lanes.
pub fn dead_letter_topic(lanes: &Topics) -> String {
    format!("{}-dlq", lanes.normal)
}

fn decode(record: &BorrowedMessage<'_>) -> Record {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    Record {
        topic: record.topic().to_owned(),
        key: text(record.key().expect("a key")),
        value: serde_json::from_slice(record.payload().expect("a value")).expect("a JSON value"),
        headers: record
            .headers()
            .into_iter()
            .flat_map(|headers| headers.iter())
            .map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default())))
            .collect(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no Config; xtask tells it where the servers are")]
pub fn settings() -> kafka::Settings {
    let bootstrap_servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS").expect("KAFKA_BOOTSTRAP_SERVERS is set");
    kafka::Settings::plaintext(bootstrap_servers)
}
