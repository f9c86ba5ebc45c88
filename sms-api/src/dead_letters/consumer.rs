//! The Kafka consumer. Beside the relay's producer the only file of this service that knows rdkafka.
//!
//! One thread does everything that touches librdkafka, because all of it can block: it polls a batch, waits until
//! somebody has stored it, commits, and in the end leaves the group. While a batch waits to be stored nothing is
//! polled. So memory is bounded, no rebalance callback needs to know of records in work, and a replica that cannot
//! store for as long as [`LONGEST_WAIT`] gives its partitions to others.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context;
use contract::headers;
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedHeaders, BorrowedMessage, Headers},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Origin, Place, Source};
use crate::outage::Outage;

/// How many records a batch has at most.
const BATCH: usize = 500;
/// From how many bytes on a batch takes no more records.
const BATCH_BYTES: usize = 4 << 20;
/// How long a poll waits for a record, and so how late it is noticed that the process ends.
const POLL: Duration = Duration::from_millis(100);
/// For how long a batch may wait to be stored before the group goes on without this replica.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How long to wait before joining anew after an error that librdkafka does not recover from.
const REJOIN_DELAY: Duration = Duration::from_secs(1);

/// A record of the dead letter topic.
pub struct Record {
    /// Where it lies.
    pub place: Place,
    /// Where it was before, as its headers tell.
    pub origin: Option<Origin>,
    /// Its value; empty when there was none.
    pub value: Vec<u8>,
}

/// Records that wait to be stored; the next ones are read when these are.
pub struct Batch {
    /// At least one record.
    pub records: Vec<Record>,
    /// To be told when all of them are stored. Dropped instead, they are read again.
    pub stored: oneshot::Sender<()>,
}

/// Where batches come from.
pub type Batches = mpsc::Receiver<Batch>;

/// Starts the thread, which ends on `stopping`; the second receiver gets a value when the group has been left then.
pub fn start(
    kafka: &kafka::Settings,
    source: Source,
    stopping: &CancellationToken,
) -> anyhow::Result<(Batches, oneshot::Receiver<()>)> {
    let (batches, gathered) = mpsc::channel(1);
    let reader = Reader {
        config: client_config(kafka, &source.group)?,
        topic: source.topic,
        batches,
        stopping: stopping.clone(),
        reading: Arc::new(Outage::new("reading dead letters")),
        committing: Outage::new("committing what was read of dead letters"),
    };
    let consumer = reader.join().context("invalid Kafka client settings")?;
    let (left, when_left) = oneshot::channel();
    let read = move || {
        reader.run(consumer);
        // Nobody waits any more only when the process is past its time.
        let _ = left.send(());
    };
    std::thread::Builder::new().name("dead-letters".to_owned()).spawn(read).context("cannot start a thread")?;
    Ok((gathered, when_left))
}

fn client_config(kafka: &kafka::Settings, group: &str) -> Result<ClientConfig, kafka::Error> {
    let mut config = kafka.client_config("sms-api")?;
    config
        .set("group.id", group)
        // Every broker knows it, and one small topic gains nothing by a newer one.
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "1000")
        .set("max.poll.interval.ms", LONGEST_WAIT.as_millis().to_string())
        // What was parked before the group's first member came must be read, too.
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("queued.max.messages.kbytes", "4096");
    Ok(config)
}

struct Reader {
    config: ClientConfig,
    topic: String,
    batches: mpsc::Sender<Batch>,
    stopping: CancellationToken,
    reading: Arc<Outage>,
    committing: Outage,
}

/// The membership cannot go on: it failed for good, or the end has come.
struct Over;

impl Reader {
    /// Begins a membership; the connection is made by polling.
    fn join(&self) -> KafkaResult<BaseConsumer<Group>> {
        let consumer: BaseConsumer<Group> =
            self.config.create_with_context(Group { reading: Arc::clone(&self.reading) })?;
        consumer.subscribe(&[&self.topic])?;
        Ok(consumer)
    }

    /// Reads in one membership of the group after the other.
    fn run(&self, first: BaseConsumer<Group>) {
        let mut joined = Some(first);
        while !self.stopping.is_cancelled() {
            if let Some(consumer) = joined.take() {
                let _ = self.read(&consumer);
                // Here it is dropped, which leaves the group.
            } else {
                std::thread::sleep(REJOIN_DELAY);
                joined = self.join().inspect_err(|error| self.reading.failed(error)).ok();
            }
        }
    }

    fn read(&self, consumer: &BaseConsumer<Group>) -> Result<(), Over> {
        let mut due = BTreeMap::new();
        while !self.stopping.is_cancelled() {
            let records = self.gather(consumer)?;
            if !records.is_empty() {
                let next = records.iter().map(|Record { place, .. }| (place.partition, place.offset + 1));
                let next: BTreeMap<_, _> = next.collect();
                let (stored, when_stored) = oneshot::channel();
                self.batches.blocking_send(Batch { records, stored }).map_err(|_| Over)?;
                when_stored.blocking_recv().map_err(|_| Over)?;
                due.extend(next);
            }
            self.commit(consumer, &mut due);
        }
        Ok(())
    }

    /// What there is to be read, up to a batch; nothing when nothing came.
    fn gather(&self, consumer: &BaseConsumer<Group>) -> Result<Vec<Record>, Over> {
        let (mut records, mut bytes, mut patience) = (Vec::new(), 0, POLL);
        while records.len() < BATCH && bytes < BATCH_BYTES {
            match consumer.poll(patience) {
                Some(Ok(message)) => {
                    let record = record(&message);
                    bytes += record.value.len();
                    records.push(record);
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    self.reading.failed(&error);
                    return Err(Over);
                }
                Some(Err(error)) => {
                    if !is_about_brokers(&error) {
                        self.reading.failed(&error);
                    }
                }
                None => break,
            }
            patience = Duration::ZERO;
        }
        Ok(records)
    }

    /// Commits what is due; what could not be committed is due again. It is forgotten with its partition: whoever
    /// owns that now reads it once more.
    fn commit(&self, consumer: &BaseConsumer<Group>, due: &mut BTreeMap<i32, i64>) {
        if due.is_empty() {
            return;
        }
        let outcome = consumer.assignment().and_then(|ours| {
            due.retain(|&partition, _| ours.find_partition(&self.topic, partition).is_some());
            let mut positions = TopicPartitionList::with_capacity(due.len());
            for (&partition, &position) in &*due {
                positions.add_partition_offset(&self.topic, partition, Offset::Offset(position))?;
            }
            if due.is_empty() { Ok(()) } else { consumer.commit(&positions, CommitMode::Sync) }
        });
        match outcome {
            Ok(()) => {
                self.committing.worked();
                due.clear();
            }
            Err(error) => self.committing.failed(&error),
        }
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let header = |name| message.headers().and_then(|headers| text_of(headers, name));
    Record {
        place: Place {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or_default(),
        },
        origin: Origin::parse(
            header(headers::ORIGIN_TOPIC),
            header(headers::ORIGIN_PARTITION),
            header(headers::ORIGIN_OFFSET),
        ),
        value: message.payload().unwrap_or_default().to_vec(),
    }
}

fn text_of<'a>(headers: &'a BorrowedHeaders, name: &str) -> Option<&'a str> {
    std::str::from_utf8(headers.iter().find(|header| header.key == name)?.value?).ok()
}

/// The readiness check tells once, and better, that brokers are away.
fn is_about_brokers(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve)
    )
}

/// Hears what librdkafka tells beside the records.
struct Group {
    reading: Arc<Outage>,
}

impl ConsumerContext for Group {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) if partitions.count() > 0 => self.reading.worked(),
            Rebalance::Assign(_) | Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => self.reading.failed(error),
        }
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka reports an error");
    }
}
