//! The thread that polls: takes records into work, pauses when there is too much of it, commits.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Headers},
};
use telemetry::Check;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Settings,
    group::{Ended, Group, HowEnded},
    work::Place,
};
use crate::{
    metrics::Metrics,
    record::{Origin, Record},
};

/// How long a poll may wait while tasks run: their ends are noticed this late at most.
const BUSY_POLL: Duration = Duration::from_millis(10);
const IDLE_POLL: Duration = Duration::from_millis(100);

const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// How many records may wait for a slot. They bridge the time from resuming a partition to its first record;
/// without them every slot would stand idle for that long.
const WAITING: usize = 1000;
/// How large the values of all waiting records may be together.
const WAITING_BYTES: usize = 16 << 20;

/// How often the health check follows the membership, which librdkafka tells as often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How many records per slot of `max_in_flight` may be remembered. One slow record keeps the finished ones
/// behind it from being committed; this bounds how many, and so memory and what a crash repeats.
const REMEMBERED_PER_SLOT: usize = 32;

/// How long to wait before joining anew after an error that librdkafka does not recover from.
const REJOIN_DELAY: Duration = Duration::from_secs(5);

/// Polls one membership of the group after the other.
pub struct Poller<H> {
    settings: Settings,
    topic: Arc<str>,
    config: ClientConfig,
    check: Check,
    metrics: Metrics,
    runtime: Handle,
    handle: H,
}

/// One membership of the group.
pub struct Member {
    consumer: BaseConsumer<Group>,
    ended: Sender<Ended>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    paused: bool,
    next_commit: Instant,
    next_look: Instant,
}

/// A record that has been taken and has no slot yet.
struct Waiting {
    record: Record,
    place: Place,
    abandoned: CancellationToken,
}

/// Whether new records are taken into work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taking {
    Yes,
    No,
}

/// librdkafka has given up this membership.
struct Fatal(String);

impl<H, F> Poller<H>
where
    H: Fn(Record) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    pub fn new(
        settings: Settings,
        config: ClientConfig,
        check: Check,
        metrics: Metrics,
        runtime: Handle,
        handle: H,
    ) -> Self {
        let topic = settings.topic.as_str().into();
        Self { settings, topic, config, check, metrics, runtime, handle }
    }

    /// Begins a membership; the connection is made by polling.
    pub fn join(&self) -> KafkaResult<Member> {
        let (group, ended) = Group::new(Arc::clone(&self.topic), self.check.clone(), self.metrics.clone());
        let consumer: BaseConsumer<Group> = self.config.create_with_context(group)?;
        consumer.subscribe(&[&self.topic])?;
        let next_look = Instant::now() + LOOK_INTERVAL;
        Ok(Member {
            consumer,
            ended,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            paused: false,
            next_commit: Instant::now(),
            next_look,
        })
    }

    /// Polls until `shutdown`, then drains and leaves the group.
    pub fn run(&self, member: Member, shutdown: &CancellationToken) {
        let mut current = Some(member);
        let mut join_at = Instant::now();
        while !shutdown.is_cancelled() {
            if let Some(member) = &mut current {
                if let Err(Fatal(reason)) = self.turn(member, Taking::Yes) {
                    self.check.down(reason);
                    member.abandon();
                    current = None;
                    join_at = Instant::now() + REJOIN_DELAY;
                }
            } else if Instant::now() >= join_at {
                current = self.join().map_err(|error| self.check.down(error.to_string())).ok();
                join_at = Instant::now() + REJOIN_DELAY;
            } else {
                std::thread::sleep(IDLE_POLL);
            }
        }
        if let Some(member) = current {
            self.leave(member);
        }
        self.metrics.in_flight(0);
        self.metrics.assigned(0);
    }

    /// One round of the loop; takes as long as one poll.
    fn turn(&self, member: &mut Member, taking: Taking) -> Result<(), Fatal> {
        let running = member.consumer.context().state().running;
        self.metrics.in_flight(running);
        if taking == Taking::Yes {
            self.start_waiting(member, self.settings.max_in_flight.saturating_sub(running));
        }
        self.balance(member, taking);
        member.commit_if_due();
        member.look_if_due();
        match member.consumer.poll(member.patience()) {
            Some(Ok(message)) if taking == Taking::Yes => {
                let record = self.record(&message);
                drop(message);
                member.take(record);
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                let reason =
                    member.consumer.client().fatal_error().map_or_else(|| code.to_string(), |(_, reason)| reason);
                return Err(Fatal(reason));
            }
            // A record not taken is not committed, so whoever reads the partition next gets it. Of an error
            // the group's callback has heard already, with the reason.
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Pauses and resumes so that work stays within its bounds. Polling goes on while paused, which keeps us
    /// in the group.
    fn balance(&self, member: &mut Member, taking: Taking) {
        let mut state = member.consumer.context().state();
        let remembered = state.work.remembered();
        let partitions_came = std::mem::take(&mut state.partitions_came);
        drop(state);

        let bound = self.settings.max_in_flight.saturating_mul(REMEMBERED_PER_SLOT).saturating_add(WAITING);
        let exceeds = |part: usize| {
            member.waiting.len() >= WAITING / part
                || member.waiting_bytes >= WAITING_BYTES / part
                || remembered >= bound / part
        };
        // Resuming at the very bound would pause again after one record.
        let pause = taking == Taking::No || exceeds(if member.paused { 2 } else { 1 });
        if pause != member.paused || partitions_came {
            member.paused = pause;
            member.apply_pause();
        }
    }

    fn record(&self, message: &BorrowedMessage<'_>) -> Record {
        let traceparent = message.headers().and_then(|headers| {
            let header = headers.iter().find(|header| header.key == contract::headers::TRACEPARENT)?;
            Some(std::str::from_utf8(header.value?).ok()?.to_owned())
        });
        let origin =
            Origin { topic: Arc::clone(&self.topic), partition: message.partition(), offset: message.offset() };
        Record { origin, value: message.payload().unwrap_or_default().to_vec(), traceparent }
    }

    /// Starts as many waiting records as there are free slots.
    fn start_waiting(&self, member: &mut Member, free: usize) {
        for _ in 0..free {
            let Some(next) = member.next_waiting() else { return };
            member.consumer.context().state().running += 1;
            self.metrics.consumed();
            self.start(next, member.ended.clone());
        }
    }

    fn start(&self, Waiting { record, place, abandoned }: Waiting, ended: Sender<Ended>) {
        let mut ending = Ending { place, ended, how: HowEnded::Abandoned };
        let work = (self.handle)(record);
        self.runtime.spawn(async move {
            tokio::select! {
                () = work => ending.how = HowEnded::Finished,
                () = abandoned.cancelled() => {}
            }
        });
    }

    /// Waits for the work to end, within the bound, commits and leaves the group.
    fn leave(&self, mut member: Member) {
        let deadline = Instant::now() + self.settings.drain;
        let running = |member: &Member| member.consumer.context().state().running;
        while running(&member) > 0 && Instant::now() < deadline {
            if let Err(Fatal(reason)) = self.turn(&mut member, Taking::No) {
                tracing::warn!(reason, "the group was lost while draining");
                break;
            }
        }
        let unfinished = running(&member);
        if unfinished > 0 {
            tracing::warn!(unfinished, "not drained in time; what is unfinished will be taken up again");
        }
        member.abandon();
        let partitions = member.consumer.context().state().work.partitions();
        member.consumer.context().commit(&member.consumer, &partitions, CommitMode::Sync);
        // Dropping the consumer leaves the group.
        drop(member);
        tracing::info!("left the consumer group");
    }
}

impl Member {
    /// Takes a record; one of a partition that is no longer ours is dropped.
    fn take(&mut self, record: Record) {
        let Origin { partition, offset, .. } = record.origin;
        let handed_out = self.consumer.context().state().work.hand_out(partition, offset);
        if let Some((place, abandoned)) = handed_out {
            self.waiting_bytes += record.value.len();
            self.waiting.push_back(Waiting { record, place, abandoned });
        }
    }

    /// The first waiting record whose partition is still ours.
    fn next_waiting(&mut self) -> Option<Waiting> {
        loop {
            let next = self.waiting.pop_front()?;
            self.waiting_bytes -= next.record.value.len();
            if !next.abandoned.is_cancelled() {
                return Some(next);
            }
        }
    }

    fn commit_if_due(&mut self) {
        let now = Instant::now();
        if now < self.next_commit {
            return;
        }
        self.next_commit = now + COMMIT_INTERVAL;
        let partitions = self.consumer.context().state().work.partitions();
        self.consumer.context().commit(&self.consumer, &partitions, CommitMode::Async);
    }

    fn look_if_due(&mut self) {
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK_INTERVAL;
            self.consumer.context().show(&self.consumer);
        }
    }

    fn patience(&self) -> Duration {
        if self.consumer.context().state().running > 0 { BUSY_POLL } else { IDLE_POLL }
    }

    fn apply_pause(&self) {
        let result = self.consumer.assignment().and_then(|assignment: TopicPartitionList| {
            if self.paused { self.consumer.pause(&assignment) } else { self.consumer.resume(&assignment) }
        });
        if let Err(error) = result {
            tracing::error!(%error, paused = self.paused, "consumption could not be paused or resumed");
        }
    }

    fn abandon(&self) {
        self.consumer.context().state().work.abandon();
    }
}

/// Tells that a task has ended, whatever ends it.
struct Ending {
    place: Place,
    ended: Sender<Ended>,
    how: HowEnded,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Nobody listens once the membership is over, and then nothing is counted either.
        let _ = self.ended.send(Ended { place: self.place, how: self.how });
    }
}
