//! What librdkafka calls back: partitions come and go, commits end, the group's state is told.
//!
//! All callbacks run inside the poller's poll, on its thread; only the committer shares the state with it. No
//! lock of the state is held across a poll or a commit.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::{KafkaError, RDKafkaErrorCode},
    topic_partition_list::TopicPartitionListElem,
};
use serde::Deserialize;
use telemetry::Check;

use super::work::{Place, Work};
use crate::metrics::{Committed, Metrics};

/// How long a broker may take to say whether the topic exists; polling stands still meanwhile, which harms
/// nobody, since it is asked only without partitions.
const METADATA_TIMEOUT: Duration = Duration::from_millis(500);

/// Our side of the consumer group.
pub struct Group {
    topic: Arc<str>,
    check: Check,
    metrics: Metrics,
    state: Mutex<State>,
    /// One commit at a time, so that an older position never follows a newer one.
    committing: Mutex<()>,
}

/// What the poller and the callbacks share.
pub struct State {
    /// The records in work.
    pub work: Work,
    /// Tasks that have not ended yet, those of partitions that were taken away among them.
    pub running: usize,
    /// Whether partitions came since the poller last looked.
    pub partitions_came: bool,
    ended: Receiver<Ended>,
    last_error: Option<String>,
    joined: bool,
}

/// A task has ended.
pub struct Ended {
    /// The record it worked on.
    pub place: Place,
    /// Whether the work was done.
    pub how: HowEnded,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowEnded {
    /// Everything that belongs to the record is done.
    Finished,
    /// It was told to stop, or the runtime is ending.
    Abandoned,
}

impl Group {
    /// A membership that begins, and the sender on which tasks tell that they have ended. The channel holds
    /// one entry per running task at most, so it is as bounded as these are.
    pub fn new(topic: Arc<str>, check: Check, metrics: Metrics) -> (Self, Sender<Ended>) {
        let (sender, ended) = channel();
        let state =
            State { work: Work::default(), running: 0, partitions_came: false, ended, last_error: None, joined: false };
        (Self { topic, check, metrics, state: Mutex::new(state), committing: Mutex::default() }, sender)
    }

    /// The state, with all ended tasks accounted for.
    pub fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(ended) = state.ended.try_recv() {
            state.running -= 1;
            if ended.how == HowEnded::Finished {
                state.work.finish(ended.place);
            }
        }
        state
    }

    /// Commits what is due, and waits until Kafka has it.
    pub fn commit_all(&self, consumer: &BaseConsumer<Self>) {
        let _one_at_a_time = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let partitions = self.state().work.partitions();
        self.commit(consumer, &partitions);
    }

    /// Commits what is due in `partitions`; the caller sees to it that nobody else commits meanwhile.
    fn commit(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        let commits = self.state().work.take_commits(partitions);
        if commits.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(commits.len());
        for (partition, position) in commits {
            if let Err(error) = list.add_partition_offset(&self.topic, partition, Offset::Offset(position)) {
                tracing::error!(%error, partition, position, "position cannot be committed");
            }
        }
        match consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => self.metrics.committed(Committed::Stored),
            Err(error) => {
                self.metrics.committed(Committed::Failed);
                tracing::warn!(%error, "offsets were not committed, and will be again");
                let mut state = self.state();
                for partition in self.partitions(&list) {
                    state.work.commit_failed(partition);
                }
            }
        }
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<i32> {
        let elements = list.elements_for_topic(&self.topic);
        elements.iter().map(TopicPartitionListElem::partition).collect()
    }

    /// Shows how the membership stands as the health check.
    pub fn show(&self, consumer: &BaseConsumer<Self>) {
        let state = self.state();
        let (joined, partitions) = (state.joined, state.work.partitions().len());
        let last_error = state.last_error.clone();
        drop(state);
        if !joined {
            self.check.down(last_error.unwrap_or_else(|| "has not joined the consumer group yet".to_owned()));
        } else if partitions > 0 || self.topic_exists(consumer) {
            self.check.up();
        } else {
            self.check.down(format!("topic {:?} does not exist", &*self.topic));
        }
    }

    /// Without partitions there may be too few for everybody, or no topic at all: the group does not tell.
    fn topic_exists(&self, consumer: &BaseConsumer<Self>) -> bool {
        let Ok(metadata) = consumer.fetch_metadata(Some(&self.topic), METADATA_TIMEOUT) else { return true };
        !metadata
            .topics()
            .iter()
            .any(|topic| topic.error().map(RDKafkaErrorCode::from) == Some(RDKafkaErrorCode::UnknownTopicOrPartition))
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let partitions = self.partitions(list);
        // Held until the partitions are released: a commit after that could undo one of their next owner.
        let _one_at_a_time = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        if consumer.assignment_lost() {
            tracing::warn!(partitions = partitions.len(), "partitions lost: the group went on without this processor");
        } else {
            self.commit(consumer, &partitions);
        }
        let mut state = self.state();
        for partition in partitions {
            state.work.release(partition);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut state = self.state();
        match rebalance {
            Rebalance::Assign(list) => {
                for partition in self.partitions(list) {
                    state.work.assign(partition);
                }
                state.partitions_came = true;
                state.last_error = None;
                state.joined = true;
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::error!(%error, "rebalance failed"),
        }
        let assigned = state.work.partitions();
        self.metrics.assigned(assigned.len());
        drop(state);
        tracing::info!(partitions = ?assigned, "assignment changed");
        // Readiness follows at once, not at the next look.
        if !assigned.is_empty() {
            self.show(consumer);
        }
    }
}

impl ClientContext for Group {
    /// librdkafka repeats itself while a broker is away; the health check says the same once.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka reports an error");
        // "2/3 brokers are down" follows the reason why they are.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            // What follows differs each time: how long it took, and how often it happened.
            let reason = reason.split(" (after ").next().unwrap_or(reason);
            self.state().last_error = Some(reason.to_owned());
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => {
                let joined = statistics.cgrp.is_some_and(|group| group.is_joined());
                let mut state = self.state();
                state.joined = joined;
                if joined {
                    state.last_error = None;
                }
            }
            Err(error) => tracing::warn!(%error, "librdkafka's statistics cannot be read"),
        }
    }
}

/// The part of librdkafka's statistics that tells of the group. Source: librdkafka, `STATISTICS.md`.
#[derive(Debug, Deserialize)]
struct Statistics {
    cgrp: Option<GroupStatistics>,
}

#[derive(Debug, Deserialize)]
struct GroupStatistics {
    state: String,
    join_state: String,
}

impl GroupStatistics {
    /// A coordinator is connected, and no step of joining is under way. With KIP-848 a member that gets no
    /// partitions stays in the initial state.
    fn is_joined(&self) -> bool {
        self.state == "up" && matches!(self.join_state.as_str(), "steady" | "init")
    }
}
