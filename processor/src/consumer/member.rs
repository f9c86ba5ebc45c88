//! One membership of the group: the consumer, the records that wait for a slot, and what polling does to them.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
};
use telemetry::Check;
use tokio_util::sync::CancellationToken;

use super::{
    Settings,
    committer::Committer,
    group::{Ended, Group, Holding},
    lanes::{Lane, Lanes, Partition},
    queue::{Entry, Queue, Recipient},
    slots::Slots,
    work::{Handed, Place},
};
use crate::{metrics::Metrics, record::Record};

/// How many records of a partition may be remembered. One slow record keeps the position from passing the finished ones
/// behind it; this bounds how many, and so memory. As many as a commit can tell of, where no offsets are missing: whoever
/// reads the partition next does none of them again. More only where more are in work at once.
const REMEMBERED: usize = 24_000;

/// How often the health check follows the membership, which librdkafka tells as often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// One membership of the group; dropping it leaves the group.
pub struct Member {
    _committer: Committer,
    consumer: Arc<BaseConsumer<Group>>,
    ended: Sender<Ended>,
    lanes: Lanes,
    metrics: Metrics,
    queue: Queue<Taken>,
    slots: Slots,
    most_remembered: usize,
    holds: Holds,
    paused: BTreeSet<Partition>,
    next_look: Instant,
}

/// A record that has been taken.
#[derive(Debug)]
struct Taken {
    record: Record,
    place: Place,
    abandoned: CancellationToken,
}

/// A record that is in work now.
pub struct Started {
    /// The record.
    pub record: Record,
    /// Cancelled when its partition goes to somebody else.
    pub abandoned: CancellationToken,
    /// To be told when the work has ended.
    pub place: Place,
    /// To be given back then.
    pub holding: Holding,
    /// Where to tell it.
    pub ended: Sender<Ended>,
}

/// Why partitions are paused, as far as they have it in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Holds {
    /// Nothing is to be taken.
    everything: bool,
    /// Enough records of the lane wait for a slot.
    full: [bool; Lane::ALL.len()],
    /// Those of which enough records are remembered.
    remembering: BTreeSet<Partition>,
    /// Of [`Queue::crowd_changes`].
    crowd_changes: u64,
}

/// Whether new records are taken into work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// As long as there is room.
    Yes,
    /// None is started, and those that come all the same wait.
    OnHold,
    /// The process is ending.
    No,
}

impl Member {
    /// Begins a membership; the connection is made by polling.
    pub fn join(config: &ClientConfig, settings: &Settings, check: Check, metrics: Metrics) -> KafkaResult<Self> {
        let lanes = settings.lanes.clone();
        let (group, ended) = Group::new(lanes.clone(), check, metrics.clone());
        let consumer: Arc<BaseConsumer<Group>> = Arc::new(config.create_with_context(group)?);
        consumer.subscribe(&Lane::ALL.map(|lane| &**lanes.topic(lane)))?;
        Ok(Self {
            _committer: Committer::start(&consumer),
            consumer,
            ended,
            lanes,
            metrics,
            queue: Queue::default(),
            slots: Slots::new(settings.max_in_flight),
            most_remembered: settings.max_in_flight.max(REMEMBERED),
            holds: Holds::default(),
            paused: BTreeSet::new(),
            next_look: Instant::now() + LOOK_INTERVAL,
        })
    }

    /// Where to poll.
    pub fn consumer(&self) -> &BaseConsumer<Group> {
        &self.consumer
    }

    /// Tasks that have not ended yet, those of partitions that were taken away among them.
    pub fn running(&mut self) -> usize {
        let freed = mem::take(&mut self.consumer.context().settle_ended().freed);
        for Holding { lane, bytes, recipient } in freed {
            self.slots.end(lane, bytes);
            if let Some(recipient) = recipient {
                self.queue.end(recipient);
            }
        }
        self.slots.running()
    }

    /// Takes a record; one of a partition that is no longer ours, or that was finished before, is dropped.
    pub fn take(&mut self, partition: Partition, key: Option<u64>, record: Record) {
        let handed = self.consumer.context().settle_ended().work.hand_out(partition, record.origin.offset);
        match handed {
            Handed::Out { place, abandoned } => {
                let recipient = key.map(|key| Recipient { partition, key });
                let (bytes, item) = (record.value.len(), Taken { record, place, abandoned });
                self.queue.put(Entry { partition, recipient, bytes, item });
            }
            Handed::DoneBefore => self.metrics.skipped(),
            Handed::NotOurs => {}
        }
    }

    /// Gives a slot to the next record whose partition is still ours.
    pub fn start_next(&mut self) -> Option<Started> {
        loop {
            let lane = self.slots.choose(|lane| self.queue.has_ready(lane))?;
            let Entry { recipient, bytes, item: Taken { record, place, abandoned }, .. } = self.queue.take(lane)?;
            if abandoned.is_cancelled() {
                if let Some(recipient) = recipient {
                    self.queue.end(recipient);
                }
                continue;
            }
            self.slots.start(lane, bytes);
            self.consumer.context().settle_ended().work.start(place);
            let holding = Holding { lane, bytes, recipient };
            return Some(Started { record, abandoned, place, holding, ended: self.ended.clone() });
        }
    }

    /// Pauses and resumes partitions so that what is taken stays within its bounds. Polling goes on while all are
    /// paused, which keeps us in the group.
    pub fn balance(&mut self, taking: Taking) {
        let mut state = self.consumer.context().settle_ended();
        // Resuming at the very bound would pause again after one record.
        let at_least = |partition: &Partition| {
            self.most_remembered / if self.holds.remembering.contains(partition) { 2 } else { 1 }
        };
        let remembering = state.work.remembering(at_least);
        let partitions_came = mem::take(&mut state.partitions_came);
        drop(state);

        let holds = Holds {
            everything: taking != Taking::Yes,
            full: Lane::ALL.map(|lane| self.queue.is_full(lane)),
            remembering,
            crowd_changes: self.queue.crowd_changes(),
        };
        if holds != self.holds || partitions_came {
            self.holds = holds;
            self.apply_pauses(partitions_came);
        }
        if partitions_came {
            // Readiness follows at once.
            self.next_look = Instant::now();
        }
    }

    /// Commits what is finished, at the end of the membership; until then the committer does.
    pub fn commit(&self) {
        self.consumer.context().commit_all(&self.consumer);
    }

    /// Brings the health check up to date, if the last time is long enough ago.
    pub fn look_if_due(&mut self) {
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK_INTERVAL;
            self.consumer.context().show(&self.consumer);
        }
    }

    /// Tells all tasks to stop.
    pub fn abandon(&self) {
        self.consumer.context().settle_ended().work.abandon();
    }

    /// Those that came are not paused, whatever they were before.
    fn apply_pauses(&mut self, partitions_came: bool) {
        let partitions = self.consumer.context().settle_ended().work.partitions();
        let is_held = |partition: &Partition| {
            let Holds { everything, full, remembering, .. } = &self.holds;
            *everything
                || full[partition.lane as usize]
                || remembering.contains(partition)
                || self.queue.is_crowded(*partition)
        };
        let (held, free): (BTreeSet<_>, BTreeSet<_>) = partitions.into_iter().partition(is_held);
        let pause = held.iter().filter(|partition| partitions_came || !self.paused.contains(partition));
        let resume = free.iter().filter(|partition| partitions_came || self.paused.contains(partition));
        let (pause, resume) = (self.list(pause), self.list(resume));
        if let Err(error) = self.consumer.pause(&pause).and_then(|()| self.consumer.resume(&resume)) {
            tracing::error!(%error, "partitions could not be paused or resumed");
        }
        self.paused = held;
    }

    fn list<'a>(&self, partitions: impl Iterator<Item = &'a Partition>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(self.lanes.topic(partition.lane), partition.number);
        }
        list
    }
}
