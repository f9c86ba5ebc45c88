//! Commits beside the poller, on a thread that may wait for the broker.
//!
//! librdkafka tells the end of an asynchronous commit only to a callback that rdkafka 0.39 does not set, so a
//! failed one would never be known of and the group would look behind until the next record. A synchronous
//! commit tells, but polling must not wait for it.

use std::{
    convert::Infallible,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::group::Group;

const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// Commits what is finished until it is dropped, which waits for a commit under way: only then can whoever drops
/// the consumer be the one that leaves the group.
pub struct Committer {
    running: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread.
    pub fn start(consumer: &Arc<BaseConsumer<Group>>) -> Self {
        let (running, stopped) = channel();
        let consumer = Arc::downgrade(consumer);
        let thread = std::thread::spawn(move || run(&consumer, &stopped));
        Self { running: Some(running), thread: Some(thread) }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("committing failed");
        }
    }
}

fn run(consumer: &Weak<BaseConsumer<Group>>, stopped: &Receiver<Infallible>) {
    while stopped.recv_timeout(COMMIT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let Some(consumer) = consumer.upgrade() else { return };
        consumer.context().commit_all(&consumer);
    }
}
