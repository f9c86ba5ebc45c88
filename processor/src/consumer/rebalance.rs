//! How partitions come and go: librdkafka tells it inside a poll, and the keeper carries it out.
//!
//! Nothing waits in the callback: what has been read goes on to be started, and what is finished to be committed, for all
//! partitions. librdkafka gives and takes partitions only when it is told to, however much later, and heartbeats on its
//! own; until then it reads nothing new in any partition.

use std::{
    collections::BTreeMap,
    iter,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaResult,
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaRespErr,
};

use super::{group::Group, keeper::Order, lanes::Partition};
use crate::offsets::Commit;

/// How long one request for where earlier owners were may take.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(2);
/// How long brokers are asked in all. Without an answer the records that were finished last are done again.
const COMMITTED_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried to commit what was finished in partitions that go.
const COMMIT_TRIES: usize = 5;
/// How long to wait before asking a broker again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// What the group has decided.
#[derive(Debug)]
pub enum Change {
    /// Partitions are ours from now on.
    Coming(TopicPartitionList),
    /// Partitions are to be given away.
    Going(TopicPartitionList),
}

/// Whether a change is carried out.
pub enum Progress {
    /// It is.
    Done,
    /// Work on partitions that go has not ended yet.
    Waiting(Change),
}

impl Group {
    /// Carries out a change; one of partitions that go may have to wait for the work on them, until `deadline`.
    pub fn carry_out(&self, consumer: &BaseConsumer<Self>, change: Change, deadline: Instant) -> Progress {
        match change {
            Change::Coming(list) => self.assign(consumer, &list),
            Change::Going(list) => {
                let partitions = self.partitions(&list);
                if !consumer.assignment_lost() && self.settle_ended().work.running(&partitions) > 0 {
                    if Instant::now() < deadline {
                        return Progress::Waiting(Change::Going(list));
                    }
                    tracing::info!("work on revoked partitions takes too long; their next owner will do it again");
                }
                self.give_away(consumer, &list, &partitions);
            }
        }
        Progress::Done
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let committed = if list.count() > 0 { self.committed(consumer, list) } else { BTreeMap::new() };
        let mut state = self.settle_ended();
        for partition in self.partitions(list) {
            let committed = committed.get(&partition);
            state.work.assign(partition, committed, Timestamp::now());
            // So that what is read begins where the metadata speaks of.
            if let Some(Commit { position, .. }) = committed
                && let Some(mut element) = list.find_partition(self.lanes.topic(partition.lane), partition.number)
                && let Err(error) = element.set_offset(Offset::Offset(*position))
            {
                tracing::error!(%error, ?partition, position, "partition cannot be read from its position");
            }
        }
        drop(state);
        tell_error(consumer.incremental_assign(list));
        let mut state = self.settle_ended();
        state.partitions_came = true;
        state.membership.joined();
        drop(state);
        self.assignment_changed();
    }

    fn give_away(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList, partitions: &[Partition]) {
        // Held until the partitions are gone: a commit after that could undo one of their next owner.
        let committing = self.committing();
        if consumer.assignment_lost() {
            tracing::warn!(partitions = partitions.len(), "partitions lost: the group went on without this processor");
        } else {
            // The group's state may be moving just now, and what is not committed is done again.
            for _ in 0..COMMIT_TRIES {
                if self.commit(&committing, consumer, partitions) || consumer.assignment_lost() {
                    break;
                }
                std::thread::sleep(RETRY_DELAY);
            }
        }
        let mut state = self.settle_ended();
        for &partition in partitions {
            state.work.release(partition);
        }
        drop(state);
        tell_error(consumer.incremental_unassign(list));
        drop(committing);
        self.assignment_changed();
    }

    /// Where earlier owners of these partitions were, as far as a broker tells.
    fn committed(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> BTreeMap<Partition, Commit> {
        let deadline = Instant::now() + COMMITTED_PATIENCE;
        let committed = loop {
            match consumer.committed_offsets(list.clone(), COMMITTED_TIMEOUT) {
                Ok(committed) => break committed,
                // A coordinator that moves refuses for a moment.
                Err(_) if Instant::now() < deadline && !consumer.assignment_lost() => {
                    std::thread::sleep(RETRY_DELAY);
                }
                Err(error) => {
                    tracing::warn!(%error, "what earlier owners of partitions have finished is not known");
                    return BTreeMap::new();
                }
            }
        };
        let commit = |(element, done): (TopicPartitionListElem<'_>, String)| {
            let partition = self.lanes.partition(element.topic(), element.partition())?;
            let Offset::Offset(position) = element.offset() else { return None };
            Some((partition, Commit { position, done }))
        };
        let metadata = kafka::metadata(&committed);
        iter::zip(committed.elements(), metadata).filter_map(commit).collect()
    }

    fn assignment_changed(&self) {
        let mut state = self.settle_ended();
        let assigned = state.work.partitions();
        state.membership.assigned(&assigned);
        drop(state);
        self.metrics.assigned(assigned.len());
        tracing::info!(partitions = ?assigned, "assignment changed");
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        // Of other kinds than these two librdkafka has none.
        let change = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Change::Coming(list.clone())
        } else {
            self.settle_ended().work.retire(&self.partitions(list));
            Change::Going(list.clone())
        };
        if let Err(refused) = self.changes.send(Order::CarryOut(change))
            && let Order::CarryOut(change) = refused.0
        {
            // The keeper has ended, so this is the group being left: everything was committed that will be.
            self.carry_out(consumer, change, Instant::now());
        }
    }
}

fn tell_error(result: KafkaResult<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "the assignment could not be changed");
    }
}
