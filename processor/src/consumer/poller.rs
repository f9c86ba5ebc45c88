//! The thread that polls: takes records, starts as many as there are slots, and at the end drains.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use futures::FutureExt;
use jiff::Timestamp;
use rdkafka::{
    ClientConfig, Message,
    consumer::Consumer,
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Headers},
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Ordering, Outside, Settings,
    group::{Ended, Holding, HowEnded},
    lanes::Partition,
    load::Meter,
    member::{Member, Started, Taking},
    work::Running,
};
use crate::{
    cpu,
    record::{Origin, Record},
};

/// How long a poll may wait while tasks run: their ends are noticed this late at most.
const BUSY_POLL: Duration = Duration::from_millis(10);
const IDLE_POLL: Duration = Duration::from_millis(100);
/// How many records are taken in one round, as far as they are there. All that a round does beside is shared by them.
const AT_ONCE: usize = 100;

/// How long to wait before joining anew after an error that librdkafka does not recover from.
const REJOIN_DELAY: Duration = Duration::from_secs(5);

/// A traceparent has 55 bytes, later versions may have more; what is far longer is none, and would only make a dead
/// letter too large.
const LONGEST_TRACEPARENT: usize = 256;

/// Polls one membership of the group after the other.
pub struct Poller<H> {
    pub settings: Settings,
    pub config: ClientConfig,
    pub outside: Outside,
    pub runtime: Handle,
    /// Makes hashes of keys.
    pub hasher: RandomState,
    pub handle: H,
}

/// librdkafka has given up this membership.
struct Fatal(String);

impl<H, F> Poller<H>
where
    H: Fn(Record, Arc<CancellationToken>) -> F + Send + 'static,
    F: Future<Output = HowEnded> + Send + 'static,
{
    /// Begins a membership.
    pub fn join(&self) -> KafkaResult<Member> {
        Member::join(&self.config, &self.settings, &self.outside)
    }

    /// Polls until the shutdown, then drains and leaves the group.
    pub fn run(&self, member: Member) {
        let mut meter = Meter::new(Timestamp::now(), Instant::now());
        let mut current = Some(member);
        let mut join_at = Instant::now();
        while !self.outside.shutdown.is_cancelled() {
            if let Some(member) = &mut current {
                if let Err(Fatal(reason)) = self.turn(member, &mut meter, self.taking()) {
                    self.outside.check.down(reason);
                    member.abandon();
                    current = None;
                    join_at = Instant::now() + REJOIN_DELAY;
                }
            } else if Instant::now() >= join_at {
                current = self.join().map_err(|error| self.outside.check.down(error.to_string())).ok();
                join_at = Instant::now() + REJOIN_DELAY;
            } else {
                std::thread::sleep(IDLE_POLL);
            }
        }
        if let Some(member) = current {
            self.leave(member, &mut meter);
        }
        self.outside.metrics.in_flight(0);
        self.outside.metrics.assigned(0);
    }

    fn taking(&self) -> Taking {
        if *self.outside.on_hold.borrow() { Taking::OnHold } else { Taking::Yes }
    }

    /// One round of the loop; takes as long as one poll.
    fn turn(&self, member: &mut Member, meter: &mut Meter, taking: Taking) -> Result<(), Fatal> {
        meter.advance(Instant::now(), member.doing());
        member.settle_ended(meter);
        let running = member.running();
        self.outside.metrics.in_flight(running);
        if taking == Taking::Yes {
            self.start_waiting(member);
        }
        member.balance(taking);
        if meter.is_report_due(Instant::now()) {
            self.report_load(member, meter);
        }
        let mut patience = if running > 0 { BUSY_POLL } else { IDLE_POLL };
        for _ in 0..AT_ONCE {
            match member.consumer().poll(patience) {
                Some(Ok(message)) if taking != Taking::No => {
                    if let Some((partition, key, record)) = self.record(&message) {
                        drop(message);
                        member.take(partition, key, record);
                    }
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    let fatal = member.consumer().client().fatal_error();
                    return Err(Fatal(fatal.map_or_else(|| code.to_string(), |(_, reason)| reason)));
                }
                // A record not taken is not committed, so whoever reads the partition next gets it. Of an error
                // the group's callback has heard already, with the reason.
                Some(_) => {}
                None => break,
            }
            patience = Duration::ZERO;
        }
        Ok(())
    }

    /// A copy of what was read, where, and a hash of its key; `None` for a topic that we did not subscribe to.
    fn record(&self, message: &BorrowedMessage<'_>) -> Option<(Partition, Option<u64>, Record)> {
        let lanes = &self.settings.lanes;
        let partition = lanes.partition(message.topic(), message.partition())?;
        let traceparent = message.headers().and_then(|headers| {
            let header = headers.iter().find(|header| header.key == contract::headers::TRACEPARENT)?;
            let value = header.value.filter(|value| value.len() <= LONGEST_TRACEPARENT)?;
            Some(std::str::from_utf8(value).ok()?.to_owned())
        });
        let topic = Arc::clone(lanes.topic(partition.lane));
        let origin = Origin { topic, partition: partition.number, offset: message.offset() };
        let key = match self.settings.ordering {
            Ordering::Recipient => message.key().map(|key| self.hasher.hash_one(key)),
            Ordering::None => None,
        };
        let put_at = message.timestamp().to_millis().and_then(|put_at| Timestamp::from_millisecond(put_at).ok());
        let value = message.payload().unwrap_or_default().to_vec();
        Some((partition, key, Record { origin, value, put_at, is_doubtful: false, traceparent }))
    }

    /// Starts as many waiting records as may be in work.
    fn start_waiting(&self, member: &mut Member) {
        while let Some(started) = member.start_next(Instant::now()) {
            self.outside.metrics.consumed();
            self.start(member, started);
        }
    }

    fn start(&self, member: &Member, Started { record, retired, running, holding, ended }: Started) {
        let ending = Ending { running, holding, ended, how: HowEnded::Abandoned };
        let work = (self.handle)(record, retired);
        // Not an async block, which would hold the work twice: there are many of these. In a box, because a task is aligned to
        // 128 bytes, for which an allocator spends as much again.
        let task = self.runtime.spawn(Box::pin(work.map(|how| ending.tell(how))));
        member.attach(running, task.abort_handle());
    }

    fn report_load(&self, member: &Member, meter: &mut Meter) {
        let Settings { max_in_flight, lanes, .. } = &self.settings;
        let running = member.doing().running;
        let load = meter.report(Timestamp::now(), *max_in_flight, cpu::load(), lanes, running, &member.progress());
        self.outside.load.send_replace(Some(load));
    }

    /// Waits for the work to end, within the bound, commits and leaves the group.
    fn leave(&self, mut member: Member, meter: &mut Meter) {
        let deadline = Instant::now() + self.settings.drain;
        member.retire();
        while member.running() > 0 && Instant::now() < deadline {
            if let Err(Fatal(reason)) = self.turn(&mut member, meter, Taking::No) {
                tracing::warn!(reason, "the group was lost while draining");
                break;
            }
        }
        let unfinished = member.running();
        if unfinished > 0 {
            tracing::warn!(unfinished, "not drained in time; what is unfinished will be taken up again");
        }
        member.abandon();
        member.commit();
        drop(member);
        tracing::info!("left the consumer group");
    }
}

/// Tells that a task has ended, whatever ends it.
struct Ending {
    running: Running,
    holding: Holding,
    ended: Sender<Ended>,
    how: HowEnded,
}

impl Ending {
    fn tell(mut self, how: HowEnded) {
        self.how = how;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Nobody listens once the membership is over, and then nothing is counted either.
        let _ = self.ended.send(Ended { running: self.running, freed: self.holding, how: self.how });
    }
}
