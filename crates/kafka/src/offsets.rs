//! How far a consumer group has come, without joining it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    topic_partition_list::{Offset, TopicPartitionList},
    types::RDKafkaErrorCode,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Error, Settings,
    native::{self, Client},
};

/// The request that `committed_offsets` sends, by its protocol name.
const CALL: &str = "OffsetFetch";
/// How many consumers are kept.
const READERS: usize = 16;
/// How many groups are asked for at once.
const AT_ONCE: usize = 32;
/// For how long a group that has finished everything counts as such while nothing is written to its partitions. Only who
/// resets its offsets can make that untrue.
const IDLE: Duration = Duration::from_mins(1);
/// After that a coordinator that is not ready is asked again, and for how long: one that is not ready for longer must not keep
/// questions to others waiting for their turn.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_FOR: Duration = Duration::from_secs(1);
/// A group that was not asked for that long is not asked for any more.
const UNASKED: Duration = Duration::from_mins(2);

/// How far a consumer group has come in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// First offset that still exists.
    pub earliest: i64,
    /// Next offset the group reads; `None` before its first commit.
    pub committed: Option<i64>,
    /// Offset that the next record will get.
    pub end: i64,
}

impl PartitionOffsets {
    /// Records that the group has not committed yet.
    pub fn lag(&self) -> i64 {
        (self.end - self.committed.unwrap_or(self.earliest).max(self.earliest)).max(0)
    }
}

/// Reads what groups have committed, with a consumer for each group that never subscribes.
///
/// The admin call ListConsumerGroupOffsets would need one client for all groups, but librdkafka aborts the
/// process when a call that asks a group's coordinator outlives the broker (librdkafka issue 4605, open in 2.12).
///
/// A consumer has four threads and more, so only so many are kept, and the others are made for one question. Of groups that
/// have nothing to do only the partitions' ends are asked, which takes none.
pub(crate) struct Groups {
    settings: Settings,
    readers: Mutex<Kept<Arc<BaseConsumer>>>,
    idle: Mutex<Idle>,
    turns: Arc<Semaphore>,
}

impl Groups {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            readers: Mutex::new(Kept::new(READERS)),
            idle: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Waits until one more question may be asked, which is so for as long as what is given is held.
    pub(crate) async fn turn(&self, timeout: Duration) -> Result<OwnedSemaphorePermit, Error> {
        let turn = tokio::time::timeout(timeout, Arc::clone(&self.turns).acquire_owned()).await;
        let reason = || format!("{AT_ONCE} others wait for their answers");
        turn.ok().and_then(Result::ok).ok_or_else(|| Error::Call { call: CALL, reason: reason() })
    }

    pub(crate) fn offsets(
        &self,
        client: &Client,
        group: &str,
        partitions: &[(String, i32)],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffsets>, Error> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = idle().0.contains_key(group);
        if is_known {
            let end = native::list_offsets(client, partitions, Offset::End, timeout)?;
            if let Some(still) = idle().still(group, &end, Instant::now()) {
                return Ok(still);
            }
        }
        let asked = Instant::now();
        // Committed first: a record finished in between then counts as lag for a moment, never as less than none.
        let committed = self.committed(group, partitions, timeout)?;
        let earliest = native::list_offsets(client, partitions, Offset::Beginning, timeout)?;
        let end = native::list_offsets(client, partitions, Offset::End, timeout)?;
        let offsets = |place: &(String, i32)| {
            Some(PartitionOffsets {
                topic: place.0.clone(),
                partition: place.1,
                earliest: *earliest.get(place)?,
                committed: committed.get(place).copied(),
                end: *end.get(place)?,
            })
        };
        // One partition left out would make the whole look better than it is.
        let complete: Option<Vec<_>> = partitions.iter().map(offsets).collect();
        let missing = || Error::Call { call: "ListOffsets", reason: "the answer lacks a partition".to_owned() };
        let offsets = complete.ok_or_else(missing)?;
        if idle().learn(group, &offsets, asked) {
            // Its place is for one that has something to do. One that goes waits for its threads, so it goes after the lock.
            let unneeded = self.readers.lock().unwrap_or_else(PoisonError::into_inner).readers.remove(group);
            drop(unneeded);
        }
        Ok(offsets)
    }

    fn committed(
        &self,
        group: &str,
        partitions: &[(String, i32)],
        timeout: Duration,
    ) -> Result<BTreeMap<(String, i32), i64>, Error> {
        let failed = |error: KafkaError| Error::Call { call: CALL, reason: error.to_string() };
        let list = native::partition_list(partitions, Offset::Invalid, CALL)?;
        let reader = self.reader(group)?;
        // It has nothing to say but errors, which would pile up unheard while a broker is away.
        while reader.poll(Duration::ZERO).is_some() {}
        let committed = settled(&reader, &list, timeout).map_err(failed)?;
        let mut offsets = BTreeMap::new();
        for element in committed.elements() {
            element.error().map_err(failed)?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert((element.topic().to_owned(), element.partition()), offset);
            }
        }
        Ok(offsets)
    }

    fn reader(&self, group: &str) -> Result<Arc<BaseConsumer>, Error> {
        let kept = || self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = kept().get(group, Instant::now()) {
            return Ok(reader);
        }
        let mut config = self.settings.client_config("sms-operator-lag")?;
        config.set("group.id", group).set("enable.auto.commit", "false");
        let reader: Arc<BaseConsumer> = Arc::new(config.create().map_err(Error::Settings)?);
        // One that goes waits for its threads, so it goes after the lock does.
        let replaced = kept().keep(group, &reader, Instant::now());
        drop(replaced);
        Ok(reader)
    }
}

/// What the group has committed, once its coordinator is settled: after a broker has started, or a group has moved to another
/// one, that one still refuses. librdkafka then looks for the coordinator anew, but leaves it to us to ask it.
fn settled(reader: &BaseConsumer, list: &TopicPartitionList, timeout: Duration) -> KafkaResult<TopicPartitionList> {
    let began = Instant::now();
    loop {
        match reader.committed_offsets(list.clone(), timeout.saturating_sub(began.elapsed())) {
            Err(error) if is_unsettled(&error) && began.elapsed() < AGAIN_FOR => std::thread::sleep(AGAIN),
            answer => return answer,
        }
    }
}

fn is_unsettled(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}

/// Groups that had finished everything, with what was found of them and when.
#[derive(Default)]
struct Idle(HashMap<String, (Vec<PartitionOffsets>, Instant)>);

impl Idle {
    /// How far the group is, if it still has nothing to do: its partitions end where they did.
    fn still(&self, group: &str, end: &BTreeMap<(String, i32), i64>, now: Instant) -> Option<Vec<PartitionOffsets>> {
        let (found, asked) = self.0.get(group)?;
        let is_as_it_was =
            |found: &PartitionOffsets| end.get(&(found.topic.clone(), found.partition)) == Some(&found.end);
        let is_idle = now.duration_since(*asked) < IDLE && found.len() == end.len() && found.iter().all(is_as_it_was);
        is_idle.then(|| found.clone())
    }

    /// Takes in what was found; whether the group has nothing to do.
    fn learn(&mut self, group: &str, found: &[PartitionOffsets], asked: Instant) -> bool {
        self.0.retain(|_, (_, before)| asked.duration_since(*before) < UNASKED);
        let is_idle = found.iter().all(|partition| partition.lag() == 0);
        if is_idle {
            self.0.insert(group.to_owned(), (found.to_vec(), asked));
        } else {
            self.0.remove(group);
        }
        is_idle
    }
}

/// Readers that are kept for the next question, by group: those that came first, as long as they are asked. To keep the
/// latest would keep none, because all groups are asked in turn.
struct Kept<R> {
    room: usize,
    readers: HashMap<String, (R, Instant)>,
}

impl<R: Clone> Kept<R> {
    fn new(room: usize) -> Self {
        Self { room, readers: HashMap::new() }
    }

    fn get(&mut self, group: &str, now: Instant) -> Option<R> {
        let (reader, asked) = self.readers.get_mut(group)?;
        *asked = now;
        Some(reader.clone())
    }

    /// Keeps a reader if there is room for it, and gives those whose groups nobody asks for any more.
    fn keep(&mut self, group: &str, reader: &R, now: Instant) -> Vec<R> {
        let unasked = self.readers.extract_if(|_, (_, asked)| now.duration_since(*asked) > UNASKED);
        let unasked: Vec<R> = unasked.map(|(_, (reader, _))| reader).collect();
        if self.readers.len() < self.room {
            self.readers.insert(group.to_owned(), (reader.clone(), now));
        }
        unasked
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{
        mocking::MockCluster,
        types::{RDKafkaApiKey, RDKafkaRespErr},
    };

    use super::*;

    #[track_caller]
    fn check(earliest: i64, committed: Option<i64>, end: i64, lag: i64) {
        let offsets = PartitionOffsets { topic: "sms.requests".to_owned(), partition: 0, earliest, committed, end };
        assert_eq!(offsets.lag(), lag);
    }

    /// The broker is librdkafka's mock: a real one cannot be told when to refuse.
    #[test]
    fn a_coordinator_that_is_not_ready_is_asked_again_for_a_while() {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("t", 1, 1).expect("a topic");
        let groups = Groups::new(Settings::plaintext(cluster.bootstrap_servers()));
        let ask = || groups.committed("group", &[("t".to_owned(), 0)], Duration::from_secs(20));
        let refuse = |times| {
            let refusals = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR; times];
            cluster.request_errors(RDKafkaApiKey::OffsetFetch, &refusals);
        };
        refuse(3);
        assert_eq!(ask().expect("an answer"), BTreeMap::new());
        refuse(1000);
        let refused = ask().expect_err("never ready").to_string();
        assert!(refused.contains("NotCoordinator"), "{refused}");
    }

    #[test]
    fn lag_is_what_is_not_committed() {
        check(0, Some(7), 10, 3);
    }

    #[test]
    fn before_the_first_commit_everything_that_exists_is_lag() {
        check(4, None, 10, 6);
    }

    #[test]
    fn records_deleted_by_retention_are_no_lag() {
        check(8, Some(3), 10, 2);
    }

    #[test]
    fn lag_is_never_negative() {
        check(0, Some(11), 10, 0);
    }

    #[test]
    fn a_group_that_has_finished_everything_is_idle_until_something_is_written_or_a_minute_is_over() {
        let (mut idle, begin) = (Idle::default(), Instant::now());
        let offsets = |committed, end| {
            vec![PartitionOffsets { topic: "a".to_owned(), partition: 0, earliest: 0, committed: Some(committed), end }]
        };
        let ends = |end| BTreeMap::from([(("a".to_owned(), 0), end)]);
        assert!(!idle.learn("group", &offsets(6, 7), begin));
        assert_eq!(idle.still("group", &ends(7), begin), None, "it has something to do");
        assert!(idle.learn("group", &offsets(7, 7), begin));
        assert_eq!(idle.still("group", &ends(7), begin), Some(offsets(7, 7)));
        assert_eq!(idle.still("group", &ends(8), begin), None, "a record was written");
        assert_eq!(idle.still("group", &BTreeMap::new(), begin), None, "other partitions are asked for");
        assert_eq!(idle.still("group", &ends(7), begin + IDLE), None, "its offsets may have been reset");
    }

    #[test]
    fn as_many_readers_are_kept_as_there_is_room_for_and_one_that_nobody_asks_makes_room() {
        let (mut kept, begin) = (Kept::new(2), Instant::now());
        for (group, reader) in [("a", 1), ("b", 2), ("c", 3)] {
            assert_eq!(kept.get(group, begin), None);
            assert!(kept.keep(group, &reader, begin).is_empty());
        }
        let later = begin + UNASKED;
        assert_eq!((kept.get("a", later), kept.get("c", later)), (Some(1), None));
        let latest = later + Duration::from_secs(1);
        assert_eq!(kept.keep("c", &3, latest), [2]);
        assert_eq!((kept.get("a", latest), kept.get("b", latest), kept.get("c", latest)), (Some(1), None, Some(3)));
    }
}
