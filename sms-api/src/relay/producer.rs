//! The Kafka producer. Beside the consumer of dead letters the only file of this service that knows rdkafka.

use std::collections::BTreeMap;

use contract::{SmsRequested, SmsRequestedV1, headers};
use futures::future::join_all;
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};

use super::DELIVERY_TIMEOUT;
use crate::{
    message::{Priority, accepted_at},
    store::PendingMessage,
};

/// The topics to publish to: a lane for each priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// For messages of high priority.
    pub high: String,
    /// For those of normal priority.
    pub normal: String,
    /// For those of low priority.
    pub low: String,
}

impl Topics {
    /// The lane of a priority.
    pub fn lane(&self, priority: Priority) -> &str {
        match priority {
            Priority::High => &self.high,
            Priority::Normal => &self.normal,
            Priority::Low => &self.low,
        }
    }

    /// All of them.
    pub fn names(&self) -> Vec<String> {
        vec![self.high.clone(), self.normal.clone(), self.low.clone()]
    }
}

/// Publishes messages to the lanes.
pub struct Producer {
    client: FutureProducer,
    config: ClientConfig,
    topics: Topics,
}

/// Records of one batch on their way.
pub struct Enqueued {
    deliveries: Vec<DeliveryFuture>,
    refused: Vec<KafkaError>,
}

/// How the records of one batch ended.
#[derive(Default)]
pub struct Settled {
    /// How many Kafka acknowledged.
    pub acknowledged: u64,
    /// How many it did not.
    pub failed: u64,
    /// Why the first of those failed; `None` means that all were acknowledged.
    pub first_error: Option<KafkaError>,
}

impl Producer {
    /// Makes the client, which connects in the background.
    pub fn new(kafka: &kafka::Settings, topics: Topics) -> Result<Self, kafka::Error> {
        let mut config = kafka.client_config("sms-api")?;
        for (name, value) in settings() {
            config.set(name, value);
        }
        let client = config.create().map_err(kafka::Error::Settings)?;
        Ok(Self { client, config, topics })
    }

    /// Queues the records without waiting for Kafka.
    pub fn enqueue(&mut self, messages: &[PendingMessage]) -> Enqueued {
        let mut enqueued = Enqueued { deliveries: Vec::with_capacity(messages.len()), refused: Vec::new() };
        for message in messages {
            match self.enqueue_one(message) {
                Ok(delivery) => enqueued.deliveries.push(delivery),
                Err(error) => enqueued.refused.push(error),
            }
        }
        if enqueued.refused.iter().any(is_fatal) {
            self.replace();
        }
        enqueued
    }

    fn enqueue_one(&self, message: &PendingMessage) -> Result<DeliveryFuture, KafkaError> {
        let value = encode(message);
        let record = FutureRecord::to(self.topics.lane(message.priority)).key(&*message.recipient).payload(&value);
        let record = match &message.traceparent {
            Some(traceparent) => record.headers(
                OwnedHeaders::new_with_capacity(1)
                    .insert(Header { key: headers::TRACEPARENT, value: Some(&**traceparent) }),
            ),
            None => record,
        };
        self.client.send_result(record).map_err(|(error, _)| error)
    }

    /// After a fatal error librdkafka's idempotent producer refuses everything; only a new one helps. Records
    /// still in the old one fail, and the outbox keeps them.
    fn replace(&mut self) {
        let reason = self.client.client().fatal_error().map(|(_, reason)| reason);
        tracing::error!(reason, "the Kafka producer failed for good and is replaced");
        match self.config.create() {
            Ok(client) => self.client = client,
            Err(error) => tracing::error!(%error, "no new Kafka producer, trying again with the next messages"),
        }
    }
}

impl Enqueued {
    /// Waits until every record is acknowledged or given up, at most the delivery timeout.
    pub async fn settled(self) -> Settled {
        let mut settled = Settled::default();
        let failed_at_once = self.refused.into_iter().map(Err);
        let delivered = join_all(self.deliveries).await.into_iter().map(|delivery| match delivery {
            Ok(result) => result.map(|_| ()).map_err(|(error, _)| error),
            Err(_) => Err(KafkaError::Canceled),
        });
        for outcome in failed_at_once.chain(delivered) {
            match outcome {
                Ok(()) => settled.acknowledged += 1,
                Err(error) => {
                    settled.failed += 1;
                    settled.first_error.get_or_insert(error);
                }
            }
        }
        settled
    }
}

fn settings() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("acks", "all".to_owned()),
        ("enable.idempotence", "true".to_owned()),
        // Below the lease, so that a batch that another replica takes is no longer on its way from here.
        ("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string()),
        // A batch spreads over all partitions, and Kafka's work is mostly one per partition and request: what is
        // gathered over a few commits costs half. Nobody waits for it; a message's way takes seconds anyway.
        ("linger.ms", "20".to_owned()),
        // The mapping of keys to partitions that Java clients have, so that theirs and ours agree.
        ("partitioner", "murmur2_random".to_owned()),
        // librdkafka's own default is 1 GiB.
        ("queue.buffering.max.kbytes", "131072".to_owned()),
    ])
}

fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::Fatal))
}

fn encode(message: &PendingMessage) -> Vec<u8> {
    let record = SmsRequested::V1(SmsRequestedV1 {
        message_id: message.id,
        sender: message.sender.to_string(),
        recipient: message.recipient.to_string(),
        text: message.text.to_string(),
        attempt: message.attempt,
        created_at: accepted_at(message.id),
        expires_at: message.expires_at,
    });
    serde_json::to_vec(&record).expect("a record of plain fields always encodes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_becomes_the_golden_record() {
        let message = PendingMessage {
            id: "01a208c4-e705-7000-8000-000000000001".parse().expect("valid id"),
            sender: "+15550100".into(),
            recipient: "+4915112345678".into(),
            text: "Grüße 🎈".into(),
            attempt: 1,
            priority: Priority::Normal,
            expires_at: None,
            traceparent: None,
        };
        let golden = include_str!("../../../crates/contract/golden/sms-requested-v1.json").trim_end();
        assert_eq!(String::from_utf8(encode(&message)).expect("UTF-8"), golden);
    }
}
