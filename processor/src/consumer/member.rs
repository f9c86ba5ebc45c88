//! One membership of the group: the consumer, the records that wait for a slot, and what polling does to them.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
};
use telemetry::Check;
use tokio_util::sync::CancellationToken;

use super::{
    committer::Committer,
    group::{Ended, Group},
    lanes::{Lane, Lanes, Partition},
    work::Place,
};
use crate::{metrics::Metrics, record::Record};

/// How many records may wait for a slot. They bridge the time from resuming a partition to its first record;
/// without them every slot would stand idle for that long.
const WAITING: usize = 1000;
/// How large the values of all waiting records may be together.
const WAITING_BYTES: usize = 16 << 20;

/// How many records per slot may be remembered. One slow record keeps the finished ones behind it from being
/// committed; this bounds how many, and so memory and what a crash repeats.
const REMEMBERED_PER_SLOT: usize = 32;

/// How often the health check follows the membership, which librdkafka tells as often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// One membership of the group; dropping it leaves the group.
pub struct Member {
    _committer: Committer,
    consumer: Arc<BaseConsumer<Group>>,
    ended: Sender<Ended>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    paused: bool,
    next_look: Instant,
}

/// A record that has been taken and has no slot yet.
pub struct Waiting {
    /// The record.
    pub record: Record,
    /// Its place in the bookkeeping.
    pub place: Place,
    /// Cancelled when its partition goes to somebody else.
    pub abandoned: CancellationToken,
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
    pub fn join(config: &ClientConfig, lanes: &Lanes, check: Check, metrics: Metrics) -> KafkaResult<Self> {
        let (group, ended) = Group::new(lanes.clone(), check, metrics);
        let consumer: Arc<BaseConsumer<Group>> = Arc::new(config.create_with_context(group)?);
        consumer.subscribe(&Lane::ALL.map(|lane| &**lanes.topic(lane)))?;
        Ok(Self {
            _committer: Committer::start(&consumer),
            consumer,
            ended,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            paused: false,
            next_look: Instant::now() + LOOK_INTERVAL,
        })
    }

    /// Where to poll.
    pub fn consumer(&self) -> &BaseConsumer<Group> {
        &self.consumer
    }

    /// Tasks that have not ended yet.
    pub fn running(&self) -> usize {
        self.consumer.context().settle_ended().running
    }

    /// Takes a record; one of a partition that is no longer ours is dropped.
    pub fn take(&mut self, partition: Partition, record: Record) {
        let handed_out = self.consumer.context().settle_ended().work.hand_out(partition, record.origin.offset);
        if let Some((place, abandoned)) = handed_out {
            self.waiting_bytes += record.value.len();
            self.waiting.push_back(Waiting { record, place, abandoned });
        }
    }

    /// The first waiting record whose partition is still ours, to be started now; its task tells its end on
    /// the sender.
    pub fn start_next(&mut self) -> Option<(Waiting, Sender<Ended>)> {
        loop {
            let next = self.waiting.pop_front()?;
            self.waiting_bytes -= next.record.value.len();
            if !next.abandoned.is_cancelled() {
                let mut state = self.consumer.context().settle_ended();
                state.running += 1;
                state.work.start(next.place);
                drop(state);
                return Some((next, self.ended.clone()));
            }
        }
    }

    /// Pauses and resumes so that what is taken stays within its bounds. Polling goes on while paused, which
    /// keeps us in the group.
    pub fn balance(&mut self, taking: Taking, slots: usize) {
        let mut state = self.consumer.context().settle_ended();
        let remembered = state.work.remembered();
        let partitions_came = std::mem::take(&mut state.partitions_came);
        drop(state);

        let bound = slots.saturating_mul(REMEMBERED_PER_SLOT).saturating_add(WAITING);
        // Resuming at the very bound would pause again after one record.
        let part = if self.paused { 2 } else { 1 };
        let pause = taking != Taking::Yes
            || self.waiting.len() >= WAITING / part
            || self.waiting_bytes >= WAITING_BYTES / part
            || remembered >= bound / part;
        if pause != self.paused || partitions_came {
            self.paused = pause;
            self.apply_pause();
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

    fn apply_pause(&self) {
        let result = self.consumer.assignment().and_then(|assignment| {
            if self.paused { self.consumer.pause(&assignment) } else { self.consumer.resume(&assignment) }
        });
        if let Err(error) = result {
            tracing::error!(%error, paused = self.paused, "consumption could not be paused or resumed");
        }
    }
}
