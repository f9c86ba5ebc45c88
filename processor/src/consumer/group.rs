//! What the poller, the keeper and librdkafka's callbacks share, and the commits.
//!
//! Callbacks run inside the poller's poll, on its thread, and never wait; what has to wait for a broker or for the end of
//! work is the keeper's. No lock of the state is held across a poll or a commit.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
    mpsc::{Receiver, Sender, channel},
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use telemetry::Check;

use super::{
    Outside,
    keeper::Order,
    lanes::{Lane, Lanes, Partition},
    membership::{self, Membership},
    queue::Recipient,
    work::{Running, Work},
};
use crate::{
    metrics::{Committed, Metrics},
    offsets::Commit,
    pace::Throttle,
};

/// Our side of the consumer group.
pub struct Group {
    pub(super) lanes: Lanes,
    check: Check,
    pub(super) metrics: Metrics,
    pub(super) throttle: Throttle,
    /// To the keeper.
    pub(super) changes: Sender<Order>,
    state: Mutex<State>,
    /// One commit at a time, so that an older position never follows a newer one.
    committing: Mutex<Committing>,
    metadata_is_refused: AtomicBool,
}

/// The right to commit.
#[derive(Default)]
pub(super) struct Committing;

/// What the poller and the callbacks share.
pub struct State {
    /// The records in work.
    pub work: Work,
    /// The tasks that have ended since the poller last looked.
    pub ended: Vec<Ended>,
    /// Whether partitions came since the poller last looked.
    pub partitions_came: bool,
    ends: Receiver<Ended>,
    pub(super) membership: Membership,
}

/// A task has ended.
pub struct Ended {
    /// The record it worked on, and itself.
    pub running: Running,
    /// What is free again.
    pub freed: Holding,
    /// Whether the work was done.
    pub how: HowEnded,
}

/// What a task has for itself while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// A slot of this lane.
    pub lane: Lane,
    /// Memory for a value of this size.
    pub bytes: usize,
    /// The turn of this recipient.
    pub recipient: Option<Recipient>,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowEnded {
    /// Everything that belongs to the record is done.
    Finished {
        /// Whether its message was not sent.
        failed: bool,
    },
    /// It was left to somebody else.
    Abandoned,
}

impl Group {
    /// A membership that begins, and the sender on which tasks tell that they have ended. The channel holds
    /// one entry per running task at most, so it is as bounded as these are.
    pub fn new(lanes: Lanes, outside: &Outside, changes: Sender<Order>) -> (Self, Sender<Ended>) {
        let (sender, ends) = channel();
        let state = State {
            work: Work::default(),
            ended: Vec::new(),
            partitions_came: false,
            ends,
            membership: Membership::default(),
        };
        let group = Self {
            lanes,
            check: outside.check.clone(),
            metrics: outside.metrics.clone(),
            throttle: outside.throttle.clone(),
            changes,
            state: Mutex::new(state),
            committing: Mutex::default(),
            metadata_is_refused: AtomicBool::new(false),
        };
        (group, sender)
    }

    /// The state as of the last look at the tasks that have ended.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accounts for the tasks that have ended, and gives the state that follows.
    pub fn settle_ended(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        while let Ok(ended) = state.ends.try_recv() {
            state.work.end(ended.running, matches!(ended.how, HowEnded::Finished { .. }));
            state.ended.push(ended);
        }
        state
    }

    /// Commits what is due, and waits until Kafka has it.
    pub fn commit_all(&self, consumer: &BaseConsumer<Self>) {
        let committing = self.committing();
        let partitions = self.settle_ended().work.partitions();
        self.commit(&committing, consumer, &partitions);
    }

    /// Waits until nobody else commits.
    pub(super) fn committing(&self) -> MutexGuard<'_, Committing> {
        self.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits what is due in `partitions`, and tells whether Kafka has it.
    pub(super) fn commit(
        &self,
        _: &MutexGuard<'_, Committing>,
        consumer: &BaseConsumer<Self>,
        partitions: &[Partition],
    ) -> bool {
        let commits = self.settle_ended().work.take_commits(partitions);
        if commits.is_empty() {
            return true;
        }
        let mut list = TopicPartitionList::with_capacity(commits.len());
        let tells_done = !self.metadata_is_refused.load(Ordering::Relaxed);
        for (partition, Commit { position, done }) in commits {
            let mut element = list.add_partition(self.lanes.topic(partition.lane), partition.number);
            if let Err(error) = element.set_offset(Offset::Offset(position)) {
                tracing::error!(%error, ?partition, position, "position cannot be committed");
            }
            if tells_done && !done.is_empty() {
                element.set_metadata(done);
            }
        }
        match consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => {
                self.metrics.committed(Committed::Stored);
                true
            }
            Err(error) => {
                self.metrics.committed(Committed::Failed);
                tracing::warn!(%error, "offsets were not committed, and will be again");
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::OffsetMetadataTooLarge) {
                    // A broker with another bound than Kafka's own. A crash then repeats more, and that is all.
                    self.metadata_is_refused.store(true, Ordering::Relaxed);
                }
                let mut state = self.settle_ended();
                for partition in self.partitions(&list) {
                    state.work.commit_failed(partition);
                }
                false
            }
        }
    }

    /// The partitions of librdkafka's list that are of our lanes.
    pub(super) fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        let elements = list.elements();
        elements.iter().filter_map(|element| self.lanes.partition(element.topic(), element.partition())).collect()
    }

    /// Shows how the membership stands as the health check, and follows how many partitions there are.
    pub fn look(&self, consumer: &BaseConsumer<Self>) {
        let mut membership = self.settle_ended().membership.clone();
        // A broker may take its time to answer, and meanwhile the poller needs the state.
        membership.show(&self.check, consumer, &self.lanes);
        let all =
            self.throttle.pace().is_limited().then(|| membership::count_partitions(consumer, &self.lanes)).flatten();
        let mut state = self.settle_ended();
        state.membership = membership;
        let ours = state.work.partitions().len();
        drop(state);
        if let Some(all) = all {
            self.throttle.pace().set_share(u32::try_from(ours).unwrap_or(u32::MAX), all);
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
            self.settle_ended().membership.failed(reason);
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.settle_ended().membership.follow(statistics);
    }
}
