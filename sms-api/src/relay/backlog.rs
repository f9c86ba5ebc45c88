//! How much of what is stored waits for Kafka, and when that is too much.
//!
//! While Kafka is away, messages go on to be accepted, because they are safe in PostgreSQL. But what a client sends
//! now and what it needs sent now grow apart: from some point on a clear 503 is worth more than a late message.

use std::time::Duration;

use tokio::sync::watch;

use crate::{
    outage::Outage,
    store::{Store, Unpublished},
};

/// How often the outbox is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whether more messages may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// They may.
    Bearable,
    /// Too many wait, or for too long.
    Full,
}

/// From when on the outbox is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many messages may wait.
    pub messages: i64,
    /// How long the first of them may have waited.
    pub age: Duration,
}

impl Backlog {
    /// Decides.
    pub fn of(unpublished: Unpublished, limits: Limits) -> Self {
        if unpublished.messages >= limits.messages || unpublished.oldest >= limits.age {
            Self::Full
        } else {
            Self::Bearable
        }
    }
}

/// Keeps `backlog` up to date for as long as it is awaited. While PostgreSQL is away nothing is accepted anyway.
pub async fn watch(store: Store, limits: Limits, backlog: watch::Sender<Backlog>) {
    let outage = Outage::new("looking at unpublished messages");
    loop {
        match store.unpublished().await {
            Ok(unpublished) => {
                outage.worked();
                let now = Backlog::of(unpublished, limits);
                if backlog.send_replace(now) != now {
                    let (messages, seconds) = (unpublished.messages, unpublished.oldest.as_secs());
                    match now {
                        Backlog::Full => tracing::warn!(messages, seconds, "the outbox is full, refusing messages"),
                        Backlog::Bearable => tracing::info!(messages, seconds, "the outbox has room again"),
                    }
                }
            }
            Err(error) => outage.failed(&error),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outbox_is_full_by_number_or_by_age() {
        let limits = Limits { messages: 1000, age: Duration::from_mins(1) };
        for (messages, seconds, expected) in
            [(0, 0, Backlog::Bearable), (999, 59, Backlog::Bearable), (1000, 0, Backlog::Full), (1, 60, Backlog::Full)]
        {
            let unpublished = Unpublished { messages, oldest: Duration::from_secs(seconds) };
            assert_eq!(Backlog::of(unpublished, limits), expected, "{messages} for {seconds} s");
        }
    }
}
