//! What happens to messages by themselves, as time passes: scheduled ones are sent, failed ones tried again, late
//! ones expire, and none stays pending for ever.
//!
//! Every replica runs this; locks in the database make each message one replica's. What is to be published goes into
//! the outbox, so this knows nothing of Kafka.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    message::first_id_at,
    outage::Outage,
    store::{Error, Searched, Store},
};

/// How often it is looked for what is due.
const DUE_INTERVAL: Duration = Duration::from_secs(1);
/// How many messages are moved at once.
const DUE_AT_ONCE: i64 = 500;
/// How often it is looked for messages that were forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);
/// How many messages are looked at in one step of that.
const SWEPT_AT_ONCE: i64 = 5_000;

/// Moves messages on for as long as it is awaited. A message that is pending for `forgotten_after` is published
/// again, because its record, or the topic, or the database's memory of it may be lost.
pub async fn run(store: Store, forgotten_after: Duration) {
    tokio::join!(move_due(&store, forgotten_after), sweep(&store, forgotten_after));
}

async fn move_due(store: &Store, forgotten_after: Duration) {
    let outage = Outage::new("moving messages that are due");
    loop {
        match store.move_due(DUE_AT_ONCE, forgotten_after).await {
            Ok(looked) => {
                outage.worked();
                if looked.expired > 0 {
                    tracing::info!(messages = looked.expired, "messages expired before they were sent");
                }
                if looked.due >= DUE_AT_ONCE {
                    continue;
                }
            }
            Err(error) => outage.failed(&error),
        }
        tokio::time::sleep(DUE_INTERVAL).await;
    }
}

async fn sweep(store: &Store, forgotten_after: Duration) {
    let outage = Outage::new("looking for forgotten messages");
    loop {
        match store.sweep(first_id_before(forgotten_after), SWEPT_AT_ONCE, forgotten_after).await {
            Ok(searched) => {
                outage.worked();
                if searched.queued > 0 {
                    let (messages, seconds) = (searched.queued, forgotten_after.as_secs());
                    tracing::warn!(messages, seconds, "messages were pending for too long, publishing them again");
                }
                if searched.up_to.is_some() {
                    continue;
                }
            }
            Err(error) => outage.failed(&error),
        }
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// Queues every message that is pending and older than `older_than` to be published again; tells `progress` after
/// each step how many were found so far.
pub async fn republish(
    store: &Store,
    older_than: Duration,
    forgotten_after: Duration,
    mut progress: impl FnMut(i64),
) -> Result<i64, Error> {
    let before = first_id_before(older_than);
    let (mut after, mut found) = (Uuid::nil(), 0);
    loop {
        let Searched { up_to, queued } = store.queue_pending(after, before, SWEPT_AT_ONCE, forgotten_after).await?;
        found += queued;
        let Some(up_to) = up_to else { return Ok(found) };
        after = up_to;
        progress(found);
    }
}

fn first_id_before(age: Duration) -> Uuid {
    first_id_at(Timestamp::now().saturating_sub(age).unwrap_or(Timestamp::UNIX_EPOCH))
}
