//! The thread that polls: takes records, starts as many as there are slots, and at the end drains.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message,
    consumer::Consumer,
    error::{KafkaError, KafkaResult},
    message::{BorrowedMessage, Headers},
};
use tokio::runtime::Handle;

use super::{
    Ordering, Outside, Settings,
    group::{Ended, Holding, HowEnded},
    lanes::Partition,
    member::{Member, Started, Taking},
    work::Place,
};
use crate::record::{Origin, Record};

/// How long a poll may wait while tasks run: their ends are noticed this late at most.
const BUSY_POLL: Duration = Duration::from_millis(10);
const IDLE_POLL: Duration = Duration::from_millis(100);

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
    H: Fn(Record) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    /// Begins a membership.
    pub fn join(&self) -> KafkaResult<Member> {
        Member::join(&self.config, &self.settings, self.outside.check.clone(), self.outside.metrics.clone())
    }

    /// Polls until the shutdown, then drains and leaves the group.
    pub fn run(&self, member: Member) {
        let mut current = Some(member);
        let mut join_at = Instant::now();
        while !self.outside.shutdown.is_cancelled() {
            if let Some(member) = &mut current {
                if let Err(Fatal(reason)) = self.turn(member, self.taking()) {
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
            self.leave(member);
        }
        self.outside.metrics.in_flight(0);
        self.outside.metrics.assigned(0);
    }

    fn taking(&self) -> Taking {
        if *self.outside.on_hold.borrow() { Taking::OnHold } else { Taking::Yes }
    }

    /// One round of the loop; takes as long as one poll.
    fn turn(&self, member: &mut Member, taking: Taking) -> Result<(), Fatal> {
        let running = member.running();
        self.outside.metrics.in_flight(running);
        if taking == Taking::Yes {
            self.start_waiting(member);
        }
        member.balance(taking);
        member.look_if_due();
        match member.consumer().poll(if running > 0 { BUSY_POLL } else { IDLE_POLL }) {
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
            Some(_) | None => {}
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
        Some((partition, key, Record { origin, value: message.payload().unwrap_or_default().to_vec(), traceparent }))
    }

    /// Starts as many waiting records as may be in work.
    fn start_waiting(&self, member: &mut Member) {
        while let Some(started) = member.start_next() {
            self.outside.metrics.consumed();
            self.start(started);
        }
    }

    fn start(&self, Started { record, abandoned, place, holding, ended }: Started) {
        let ending = Ending { place, holding, ended, how: HowEnded::Abandoned };
        let work = (self.handle)(record);
        self.runtime.spawn(async move {
            // Moved in as a whole, so that it is dropped here and nowhere else.
            let mut ending = ending;
            tokio::select! {
                () = work => ending.how = HowEnded::Finished,
                () = abandoned.cancelled() => {}
            }
        });
    }

    /// Waits for the work to end, within the bound, commits and leaves the group.
    fn leave(&self, mut member: Member) {
        let deadline = Instant::now() + self.settings.drain;
        while member.running() > 0 && Instant::now() < deadline {
            if let Err(Fatal(reason)) = self.turn(&mut member, Taking::No) {
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
    place: Place,
    holding: Holding,
    ended: Sender<Ended>,
    how: HowEnded,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Nobody listens once the membership is over, and then nothing is counted either.
        let _ = self.ended.send(Ended { place: self.place, freed: self.holding, how: self.how });
    }
}
