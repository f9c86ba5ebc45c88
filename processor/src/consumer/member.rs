//! One membership of the group: the consumer, the records that wait for a slot, and what polling does to them.

use std::{
    collections::BTreeSet,
    mem,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    time::Instant,
};

use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Outside, Settings,
    group::{Ended, Group, Holding},
    keeper::Keeper,
    lanes::{Lane, Lanes, Partition},
    load::{Doing, Meter},
    queue::{Entry, Queue, Recipient},
    slots::Slots,
    work::{Handed, Place, Running},
};
use crate::{metrics::Metrics, offsets::Progress, pace::Throttle, record::Record};

/// How many records of a partition may be remembered. One slow record keeps the position from passing the finished ones
/// behind it; this bounds how many, and so memory. As many as a commit can tell of, where no offsets are missing: whoever
/// reads the partition next does none of them again. More only where more are in work at once.
const REMEMBERED: usize = 24_000;

/// One membership of the group; dropping it leaves the group.
pub struct Member {
    _keeper: Keeper,
    consumer: Arc<BaseConsumer<Group>>,
    ended: Sender<Ended>,
    lanes: Lanes,
    metrics: Metrics,
    queue: Queue<Taken>,
    slots: Slots,
    throttle: Throttle,
    /// The lanes that wait for nothing but the provider's limit.
    throttled: [bool; Lane::ALL.len()],
    most_remembered: usize,
    holds: Holds,
    paused: BTreeSet<Partition>,
}

/// A record that has been taken.
#[derive(Debug)]
struct Taken {
    record: Record,
    place: Place,
    retired: Arc<CancellationToken>,
}

/// A record that is in work now.
pub struct Started {
    /// The record.
    pub record: Record,
    /// Cancelled when it should be left to somebody else.
    pub retired: Arc<CancellationToken>,
    /// To be told when the work has ended.
    pub running: Running,
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
    /// Those of which enough records wait for a slot.
    enough: BTreeSet<Partition>,
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
    pub fn join(config: &ClientConfig, settings: &Settings, outside: &Outside) -> KafkaResult<Self> {
        let (metrics, throttle) = (outside.metrics.clone(), outside.throttle.clone());
        let lanes = settings.lanes.clone();
        let (orders, ordered) = channel();
        let (group, ended) = Group::new(lanes.clone(), outside, orders.clone());
        let consumer: Arc<BaseConsumer<Group>> = Arc::new(config.create_with_context(group)?);
        consumer.subscribe(&Lane::ALL.map(|lane| &**lanes.topic(lane)))?;
        Ok(Self {
            _keeper: Keeper::start(&consumer, orders, ordered, settings.drain),
            consumer,
            ended,
            lanes,
            metrics,
            queue: Queue::default(),
            slots: Slots::new(settings.max_in_flight),
            throttle,
            throttled: Default::default(),
            most_remembered: settings.max_in_flight.max(REMEMBERED),
            holds: Holds::default(),
            paused: BTreeSet::new(),
        })
    }

    /// Where to poll.
    pub fn consumer(&self) -> &BaseConsumer<Group> {
        &self.consumer
    }

    /// Accounts for the tasks that have ended, and tells `meter` of them.
    pub fn settle_ended(&mut self, meter: &mut Meter) {
        let ended = mem::take(&mut self.consumer.context().settle_ended().ended);
        for Ended { freed: Holding { lane, bytes, recipient }, how, .. } in ended {
            meter.ended(lane, how);
            self.slots.end(lane, bytes);
            if let Some(recipient) = recipient {
                self.queue.end(recipient);
            }
        }
    }

    /// Tasks that have not ended yet, those of partitions that were taken away among them.
    pub fn running(&self) -> usize {
        self.slots.running()
    }

    /// What the lanes do at this moment.
    pub fn doing(&self) -> Doing {
        Doing { running: self.slots.running_in_lanes(), throttled: self.throttled }
    }

    /// How far each partition is.
    pub fn progress(&self) -> Vec<(Partition, Progress)> {
        self.consumer.context().settle_ended().work.progress().collect()
    }

    /// Takes a record; one of a partition that is no longer ours, or that was finished before, is dropped.
    pub fn take(&mut self, partition: Partition, key: Option<u64>, mut record: Record) {
        let mut state = self.consumer.context().state();
        let handed = state.work.hand_out(partition, record.origin.offset, record.put_at);
        drop(state);
        match handed {
            Handed::Out { place, retired, is_doubtful } => {
                record.is_doubtful = is_doubtful;
                let recipient = key.map(|key| Recipient { partition, key });
                let (bytes, item) = (record.value.len(), Taken { record, place, retired });
                self.queue.put(Entry { partition, recipient, bytes, item });
            }
            Handed::DoneBefore => self.metrics.skipped(),
            Handed::NotOurs => {}
        }
    }

    /// Gives a slot to the next record that is still to be worked on, if the provider's limit allows it `now`.
    pub fn start_next(&mut self, now: Instant) -> Option<Started> {
        self.throttled = Default::default();
        let mut is_admitted = false;
        loop {
            let lane = self.slots.choose(|lane| self.queue.has_ready(lane))?;
            if !is_admitted && self.throttle.pace().admit(now).is_err() {
                self.throttled = Lane::ALL.map(|lane| self.queue.has_ready(lane));
                return None;
            }
            is_admitted = true;
            let Entry { recipient, bytes, item: Taken { record, place, retired }, .. } = self.queue.take(lane)?;
            let Some(running) = self.consumer.context().state().work.start(place) else {
                if let Some(recipient) = recipient {
                    self.queue.end(recipient);
                }
                continue;
            };
            self.slots.start(lane, bytes);
            let holding = Holding { lane, bytes, recipient };
            return Some(Started { record, retired, running, holding, ended: self.ended.clone() });
        }
    }

    /// Pauses and resumes partitions so that what is taken stays within its bounds. Polling goes on while all are
    /// paused, which keeps us in the group.
    pub fn balance(&mut self, taking: Taking) {
        let mut state = self.consumer.context().state();
        // Resuming at the very bound would pause again after one record.
        let at_least = |partition: &Partition| {
            self.most_remembered / if self.holds.remembering.contains(partition) { 2 } else { 1 }
        };
        let remembering = state.work.remembering(at_least);
        let partitions_came = mem::take(&mut state.partitions_came);
        drop(state);

        if partitions_came {
            self.queue.forget_empty();
        }
        let holds = Holds {
            everything: taking != Taking::Yes,
            enough: self.queue.enough(&self.holds.enough),
            remembering,
            crowd_changes: self.queue.crowd_changes(),
        };
        if holds != self.holds || partitions_came {
            self.holds = holds;
            self.apply_pauses(partitions_came);
        }
    }

    /// Commits what is finished, at the end of the membership; until then the keeper does.
    pub fn commit(&self) {
        self.consumer.context().commit_all(&self.consumer);
    }

    /// This is the task of a record in work.
    pub fn attach(&self, running: Running, handle: AbortHandle) {
        self.consumer.context().state().work.attach(running, handle);
    }

    /// Tells all tasks that they should end.
    pub fn retire(&self) {
        let state = self.consumer.context().settle_ended();
        state.work.retire(&state.work.partitions());
    }

    /// Stops all tasks.
    pub fn abandon(&self) {
        self.consumer.context().settle_ended().work.abandon();
    }

    /// Those that came are not paused, whatever they were before.
    fn apply_pauses(&mut self, partitions_came: bool) {
        let partitions = self.consumer.context().settle_ended().work.partitions();
        let is_held = |partition: &Partition| {
            let Holds { everything, enough, remembering, .. } = &self.holds;
            *everything
                || enough.contains(partition)
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
