//! What librdkafka calls back as partitions come and go, and the commits that must not cross with that.
//!
//! All callbacks run inside the poller's poll, on its thread; only the committer shares the state with it. No
//! lock of the state is held across a poll or a commit.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::{KafkaError, RDKafkaErrorCode},
    topic_partition_list::TopicPartitionListElem,
};
use telemetry::Check;

use super::{
    lanes::{Lane, Lanes, Partition},
    membership::Membership,
    queue::Recipient,
    work::{Place, Work},
};
use crate::{
    metrics::{Committed, Metrics},
    offsets::Commit,
};

/// How long a planned rebalance waits for the work on partitions that are to be given away. All other partitions
/// wait with it, so it is far shorter than what a stuck sms-api may take.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(5);
const HAND_OVER_LOOK: Duration = Duration::from_millis(5);
/// How long a broker may take to say where earlier owners were; nothing is polled meanwhile.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(2);

/// Our side of the consumer group.
pub struct Group {
    lanes: Lanes,
    check: Check,
    metrics: Metrics,
    state: Mutex<State>,
    /// One commit at a time, so that an older position never follows a newer one.
    committing: Mutex<Committing>,
    metadata_is_refused: AtomicBool,
}

/// The right to commit.
#[derive(Default)]
struct Committing;

/// What the poller and the callbacks share.
pub struct State {
    /// The records in work.
    pub work: Work,
    /// What tasks had that have ended since the poller last looked.
    pub freed: Vec<Holding>,
    /// Whether partitions came since the poller last looked.
    pub partitions_came: bool,
    ended: Receiver<Ended>,
    membership: Membership,
}

/// A task has ended.
pub struct Ended {
    /// The record it worked on.
    pub place: Place,
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
    Finished,
    /// It was told to stop, or the runtime is ending.
    Abandoned,
}

impl Group {
    /// A membership that begins, and the sender on which tasks tell that they have ended. The channel holds
    /// one entry per running task at most, so it is as bounded as these are.
    pub fn new(lanes: Lanes, check: Check, metrics: Metrics) -> (Self, Sender<Ended>) {
        let (sender, ended) = channel();
        let membership = Membership::default();
        let (work, freed) = (Work::default(), Vec::new());
        let state = State { work, freed, partitions_came: false, ended, membership };
        let group = Self {
            lanes,
            check,
            metrics,
            state: Mutex::new(state),
            committing: Mutex::default(),
            metadata_is_refused: AtomicBool::new(false),
        };
        (group, sender)
    }

    /// Accounts for the tasks that have ended, and gives the state that follows.
    pub fn settle_ended(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(ended) = state.ended.try_recv() {
            state.work.end(ended.place, ended.how == HowEnded::Finished);
            state.freed.push(ended.freed);
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
    fn committing(&self) -> MutexGuard<'_, Committing> {
        self.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits what is due in `partitions`.
    fn commit(&self, _: &MutexGuard<'_, Committing>, consumer: &BaseConsumer<Self>, partitions: &[Partition]) {
        let commits = self.settle_ended().work.take_commits(partitions);
        if commits.is_empty() {
            return;
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
            Ok(()) => self.metrics.committed(Committed::Stored),
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
            }
        }
    }

    /// Waits until what runs in `partitions` has ended, so that their next owner does not send it again. Nothing
    /// new starts meanwhile, since that is done by the thread that waits here; librdkafka heartbeats on its own.
    fn finish_running(&self, partitions: &[Partition]) {
        let deadline = Instant::now() + HAND_OVER_TIMEOUT;
        while self.settle_ended().work.running(partitions) > 0 {
            if Instant::now() >= deadline {
                tracing::info!("work on revoked partitions takes too long; their next owner will do it again");
                return;
            }
            std::thread::sleep(HAND_OVER_LOOK);
        }
    }

    /// Where earlier owners of these partitions were. Without an answer their last records are done again.
    fn committed(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Vec<(Partition, Commit)> {
        let committed = match consumer.committed_offsets(list.clone(), COMMITTED_TIMEOUT) {
            Ok(committed) => committed,
            Err(error) => {
                tracing::warn!(%error, "what earlier owners of partitions have finished is not known");
                return Vec::new();
            }
        };
        let commit = |element: &TopicPartitionListElem<'_>| {
            let partition = self.lanes.partition(element.topic(), element.partition())?;
            let Offset::Offset(position) = element.offset() else { return None };
            Some((partition, Commit { position, done: element.metadata().to_owned() }))
        };
        committed.elements().iter().filter_map(commit).collect()
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        let elements = list.elements();
        elements.iter().filter_map(|element| self.lanes.partition(element.topic(), element.partition())).collect()
    }

    /// Shows how the membership stands as the health check.
    pub fn show(&self, consumer: &BaseConsumer<Self>) {
        let mut membership = self.settle_ended().membership.clone();
        // A broker may take its time to answer, and meanwhile the committer needs the state.
        membership.show(&self.check, consumer, &self.lanes);
        self.settle_ended().membership = membership;
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let partitions = self.partitions(list);
        if !consumer.assignment_lost() {
            self.finish_running(&partitions);
        }
        // Held until the partitions are released: a commit after that could undo one of their next owner.
        let committing = self.committing();
        if consumer.assignment_lost() {
            tracing::warn!(partitions = partitions.len(), "partitions lost: the group went on without this processor");
        } else {
            self.commit(&committing, consumer, &partitions);
        }
        let mut state = self.settle_ended();
        for partition in partitions {
            state.work.release(partition);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let committed: BTreeMap<_, _> = match rebalance {
            Rebalance::Assign(list) if list.count() > 0 => self.committed(consumer, list).into_iter().collect(),
            Rebalance::Assign(_) | Rebalance::Revoke(_) | Rebalance::Error(_) => BTreeMap::new(),
        };
        let mut state = self.settle_ended();
        match rebalance {
            Rebalance::Assign(list) => {
                for partition in self.partitions(list) {
                    state.work.assign(partition, committed.get(&partition));
                }
                state.partitions_came = true;
                state.membership.joined();
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::error!(%error, "rebalance failed"),
        }
        let assigned = state.work.partitions();
        state.membership.assigned(&assigned);
        drop(state);
        self.metrics.assigned(assigned.len());
        tracing::info!(partitions = ?assigned, "assignment changed");
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
