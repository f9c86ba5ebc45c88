//! The thread that may wait for a broker: commits what is finished, and carries out what the group decides.
//!
//! librdkafka tells the end of an asynchronous commit only to a callback that rdkafka 0.39 does not set, so a
//! failed one would never be known of and the group would look behind until the next record. A synchronous
//! commit tells, but polling must not wait for it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{
    group::Group,
    rebalance::{Change, Progress},
};

const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// How often the health check follows the membership, which librdkafka tells as often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often a change that cannot be carried out yet is looked at.
const CHANGE_INTERVAL: Duration = Duration::from_millis(5);

/// What the keeper is asked to do.
#[derive(Debug)]
pub enum Order {
    /// To carry out what the group has decided.
    CarryOut(Change),
    /// To end, without waiting for any work.
    End,
}

/// The thread. Dropping it waits for a commit under way: only then can whoever drops the consumer be the one that
/// leaves the group.
pub struct Keeper {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread. A planned hand-over of partitions waits for work on them for `patience` at most.
    pub fn start(
        consumer: &Arc<BaseConsumer<Group>>,
        orders: Sender<Order>,
        ordered: Receiver<Order>,
        patience: Duration,
    ) -> Self {
        let consumer = Arc::downgrade(consumer);
        let thread = std::thread::spawn(move || run(&consumer, &ordered, patience));
        Self { orders, thread: Some(thread) }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // An error means that the thread has ended by itself, which is told below.
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("committing failed");
        }
    }
}

fn run(consumer: &Weak<BaseConsumer<Group>>, ordered: &Receiver<Order>, patience: Duration) {
    // librdkafka decides nothing new before the last change is carried out, so this holds one.
    let mut changes = VecDeque::new();
    let mut next_commit = Instant::now() + COMMIT_INTERVAL;
    let mut next_look = Instant::now() + LOOK_INTERVAL;
    loop {
        let wait = if changes.is_empty() { COMMIT_INTERVAL } else { CHANGE_INTERVAL };
        let order = ordered.recv_timeout(wait);
        let Some(consumer) = consumer.upgrade() else { return };
        let group = consumer.context();
        match order {
            Ok(Order::CarryOut(change)) => changes.push_back((change, Instant::now() + patience)),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => {
                // librdkafka would wait for them while the group is left.
                for (change, _) in changes {
                    group.carry_out(&consumer, change, Instant::now());
                }
                return;
            }
        }
        while let Some((change, deadline)) = changes.pop_front() {
            if let Progress::Waiting(change) = group.carry_out(&consumer, change, deadline) {
                changes.push_front((change, deadline));
                break;
            }
            // Readiness follows at once.
            next_look = Instant::now();
        }
        if Instant::now() >= next_commit {
            group.commit_all(&consumer);
            next_commit = Instant::now() + COMMIT_INTERVAL;
        }
        if Instant::now() >= next_look {
            group.look(&consumer);
            next_look = Instant::now() + LOOK_INTERVAL;
        }
    }
}
