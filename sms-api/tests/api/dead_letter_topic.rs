//! A dead letter topic of a test's own, and what processors put there.

use std::collections::BTreeMap;

use contract::{FailedMessage, headers};
use jiff::Timestamp;
use kafka::{Admin, NewTopic, PartitionOffsets};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use reqwest::Method;
use serde_json::Value;

use crate::{
    replica::{Replica, eventually},
    topic::{self, Topic},
};

pub struct DeadLetterTopic {
    pub name: String,
    partitions: i32,
    admin: Admin,
    producer: FutureProducer,
}

impl DeadLetterTopic {
    /// The one that goes with the lanes, which replicas of this test read.
    pub async fn create(topic: &Topic, partitions: i32) -> Self {
        let name = topic::dead_letter_topic(&topic.lanes);
        let admin = Admin::new(&topic::settings(), "sms-api-test").expect("valid Kafka settings");
        let new = NewTopic { name: name.clone(), partitions, replication_factor: 1, config: BTreeMap::new() };
        admin.create_topics(&[new]).await.expect("Kafka creates the topic");
        let producer = topic::settings().client_config("sms-api-test").expect("settings").create().expect("a producer");
        Self { name, partitions, admin, producer }
    }

    /// Puts any record there.
    pub async fn put(&self, partition: i32, value: Option<&[u8]>, headers: OwnedHeaders) {
        let mut record = FutureRecord::<(), [u8]>::to(&self.name).partition(partition).headers(headers);
        record.payload = value;
        let sent = self.producer.send(record, std::time::Duration::from_secs(20)).await;
        sent.map_err(|(error, _)| error).expect("Kafka takes the record");
    }

    /// Puts a record of the requests topic there, as a processor does.
    pub async fn park(&self, partition: i32, record: &str, error: &str) -> Timestamp {
        let timestamp = Timestamp::now();
        let letter = FailedMessage { message: record.to_owned(), error: error.to_owned(), timestamp };
        let value = serde_json::to_vec(&letter).expect("a dead letter encodes");
        let headers =
            [(headers::ORIGIN_TOPIC, "sms.requests"), (headers::ORIGIN_PARTITION, "2"), (headers::ORIGIN_OFFSET, "77")]
                .into_iter()
                .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        self.put(partition, Some(&value), headers).await;
        timestamp
    }

    async fn offsets(&self, group: &str) -> Vec<PartitionOffsets> {
        let partitions = (0..self.partitions).map(|partition| (self.name.clone(), partition)).collect();
        self.admin.offsets(group.to_owned(), partitions).await.expect("Kafka tells the offsets")
    }

    /// Waits until replicas in this group have stored and committed everything that is there.
    pub async fn is_read_by(&self, group: &str) {
        let has_come_to_the_end = |partition: &PartitionOffsets| partition.committed.unwrap_or(0) == partition.end;
        eventually("the end of the dead letters", async || {
            self.offsets(group).await.iter().all(has_come_to_the_end).then_some(())
        })
        .await;
    }

    /// Waits until replicas have stored and committed everything that is there.
    pub async fn is_read(&self) {
        self.is_read_by(&format!("{}-sms-api", self.name)).await;
    }
}

/// Some page of the caller's dead letters.
pub async fn listed(replica: &Replica, query: &str) -> Value {
    let path = format!("/v1/dead-letters?{query}");
    let answer = replica.public(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{query}");
    answer.json().await.expect("a JSON body")
}

/// The only dead letter of a message.
pub async fn of_message(replica: &Replica, id: &str) -> Value {
    let page = listed(replica, &format!("message_id={id}")).await;
    let letters = page["dead_letters"].as_array().expect("a list");
    assert_eq!(letters.len(), 1, "{page}");
    letters[0].clone()
}

/// Asks for a redrive, and tells the status and the body of the answer.
pub async fn redrive(replica: &Replica, letter: &Value) -> (u16, Value) {
    let path = format!("/v1/dead-letters/{}/redrive", letter["id"].as_str().expect("an id"));
    let answer = replica.public(Method::POST, &path).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("a JSON body"))
}
