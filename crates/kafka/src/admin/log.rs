//! A small compacted topic of one partition that many read from its beginning to its end, and few write.
//!
//! What was read is kept, and the next reading goes on from there: it asks where the log ends, and fetches only when that is
//! not where the last one came to. Those who ask at the same moment share one reading. Nobody misses what was written before
//! it asked, because the end is asked for after all who share the answer have asked: the broker tells of every record there
//! that was acknowledged (of a new leader it tells nothing until that is so, KIP-207). A topic that was made anew has
//! another id, and is read from its beginning.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Message,
    producer::{FutureProducer, FutureRecord},
    topic_partition_list::Offset,
};

use super::{Admin, TIMEOUT, gather::Questions};
use crate::{Error, Quiet, Settings, native};

/// How soon is asked again.
const AGAIN: Duration = Duration::from_millis(50);

const FETCH: &str = "Fetch";
const LIST_OFFSETS: &str = "ListOffsets";
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

/// What was read of each log, by its topic.
#[derive(Default)]
pub(super) struct Logs(BTreeMap<String, Log>);

/// A log as far as it was read.
#[derive(Clone, Default)]
struct Log {
    topic_id: String,
    /// Where to read on.
    next: i64,
    /// By offset, the last one under each key.
    entries: BTreeMap<i64, Entry>,
    offsets: BTreeMap<String, i64>,
}

impl Log {
    fn add(&mut self, entry: Entry) {
        self.next = entry.offset + 1;
        if let Some(before) = self.offsets.insert(entry.key.clone(), entry.offset) {
            self.entries.remove(&before);
        }
        self.entries.insert(entry.offset, entry);
    }
}

impl Admin {
    /// The last record under each key, in the order of the log, up to the end of the topic: whatever was written and
    /// acknowledged before is included.
    pub async fn read_log(&self, topic: &str) -> Result<Vec<Entry>, Error> {
        let admin = self.clone();
        let read = |questions: Questions<String, Arc<Vec<Entry>>>| async move { admin.read_gathered(questions).await };
        let mut found = self.reading.ask(vec![topic.to_owned()], FETCH, read).await?;
        found.remove(topic).unwrap_or_else(|| Ok(Arc::default())).map(Arc::unwrap_or_clone)
    }

    /// Writes a record and returns when every in-sync copy has it.
    pub async fn append_to_log(&self, topic: &str, key: &str, value: Option<&str>) -> Result<(), Error> {
        let producer = self.log_producer()?;
        let record = FutureRecord::to(topic).partition(0).key(key);
        let record = value.into_iter().fold(record, FutureRecord::payload);
        let write = async {
            let sent = producer.send(record, TIMEOUT).await;
            sent.map(drop).map_err(|(error, _)| failure(&error, PRODUCE, topic))
        };
        let written = self.made(PRODUCE, [topic, key], write).await;
        // Whoever reads after its own record asks anew which topic it is.
        self.known_topics.forget([topic.to_owned()], Instant::now());
        written
    }

    async fn read_gathered(&self, questions: Questions<String, Arc<Vec<Entry>>>) {
        let mut found = BTreeMap::new();
        for topic in questions.keys() {
            let read = self.read_on(&topic).await;
            found.insert(topic, read.map(Arc::new));
        }
        questions.answer(&Ok(found));
    }

    async fn read_on(&self, topic: &str) -> Result<Vec<Entry>, Error> {
        let mut logs = self.logs.lock().await;
        // What fails is begun anew.
        let known = logs.0.remove(topic).unwrap_or_default();
        let topic_id = match self.known_topics(vec![topic.to_owned()]).await?.remove(topic) {
            Some(description) => description.topic_id,
            None => String::new(),
        };
        let place = (topic.to_owned(), 0);
        let ends = self.end_of(&place).await?;
        let lacking = || Error::Call { call: LIST_OFFSETS, reason: format!("the answer lacks {topic:?}") };
        let end = ends.get(&place).copied().ok_or_else(lacking)?;
        let is_continued = known.topic_id == topic_id && known.next <= end;
        let mut log = if is_continued { known } else { Log { topic_id, ..Log::default() } };
        if log.next < end {
            let (settings, topic) = (Arc::clone(&self.settings), topic.to_owned());
            log = self.blocking(FETCH, vec![topic.clone()], move |_| fetch(&settings, &topic, log)).await?;
            // Nothing but what compaction has left out lies before the end.
            log.next = log.next.max(end);
        }
        let entries = log.entries.values().cloned().collect();
        logs.0.insert(topic.to_owned(), log);
        Ok(entries)
    }

    /// Where the log ends. What passes, such as a topic so new that it has no leader yet, is asked again, after a look at the
    /// topic: the client remembers for longer than that from an earlier look that it did not exist.
    async fn end_of(&self, place: &(String, i32)) -> Result<BTreeMap<(String, i32), i64>, Error> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let asked = vec![place.clone()];
            let ask = move |client: &_| native::list_offsets(client, &asked, Offset::End, TIMEOUT);
            match self.blocking(LIST_OFFSETS, vec![place.0.clone()], ask).await {
                Err(Error::Call { .. }) if Instant::now() + AGAIN < deadline => {
                    tokio::time::sleep(AGAIN).await;
                    self.describe_topics(vec![place.0.clone()]).await?;
                }
                answered => return answered,
            }
        }
    }

    fn log_producer(&self) -> Result<FutureProducer, Error> {
        let mut made = self.producer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(producer) = made.as_ref() {
            return Ok(producer.clone());
        }
        let mut config = self.settings.client_config("sms-operator-log")?;
        let timeout = TIMEOUT.as_millis().to_string();
        config.set("acks", "all").set("enable.idempotence", "true").set("message.timeout.ms", timeout);
        let producer: FutureProducer = config.create().map_err(Error::Settings)?;
        *made = Some(producer.clone());
        Ok(producer)
    }
}

fn fetch(settings: &Settings, topic: &str, mut log: Log) -> Result<Log, Error> {
    let mut config = settings.client_config("sms-operator-log")?;
    // The group is only a word that librdkafka wants: partitions are assigned by us and nothing is committed.
    config.set("group.id", "sms-operator-log").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    // To go on from somewhere else would leave records out.
    config.set("auto.offset.reset", "error");
    let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet).map_err(Error::Settings)?;
    let from = if log.next == 0 { Offset::Beginning } else { Offset::Offset(log.next) };
    let from = native::partition_list(&[(topic.to_owned(), 0)], from, FETCH)?;
    consumer.assign(&from).map_err(|error| failure(&error, FETCH, topic))?;
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Call { call: FETCH, reason: format!("no end of {topic:?} in {TIMEOUT:?}") });
        }
        match consumer.poll(left) {
            Some(Ok(record)) => log.add(Entry {
                offset: record.offset(),
                key: record.key().map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default(),
                value: record.payload().map(|value| String::from_utf8_lossy(value).into_owned()),
            }),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(log),
            // What passes, such as a leader that moves, is tried again until the time is over.
            Some(Err(error)) if is_final(&error) => return Err(failure(&error, FETCH, topic)),
            Some(Err(_)) | None => {}
        }
    }
}

fn is_final(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    let refused = [Code::TopicAuthorizationFailed, Code::ClusterAuthorizationFailed, Code::AutoOffsetReset];
    error.rdkafka_error_code().is_some_and(|code| refused.contains(&code))
}

fn failure(error: &KafkaError, call: &'static str, topic: &str) -> Error {
    let reason = error.to_string();
    match error.rdkafka_error_code() {
        Some(code) if is_final(error) => Error::refused(call, topic.to_owned(), code, reason),
        Some(_) | None => Error::Call { call, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_records_under_one_key_only_the_last_is_kept_in_its_place() {
        let mut log = Log::default();
        for (offset, key, value) in [(0, "a", Some("1")), (1, "b", Some("2")), (4, "a", None)] {
            log.add(Entry { offset, key: key.to_owned(), value: value.map(str::to_owned) });
        }
        let kept: Vec<_> = log.entries.values().map(|entry| (entry.offset, entry.key.as_str())).collect();
        assert_eq!((kept.as_slice(), log.next), ([(1, "b"), (4, "a")].as_slice(), 5));
    }
}
