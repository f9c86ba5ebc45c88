//! The outbox: which committed batches Kafka has not acknowledged yet.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Error, Store, messages::lease};

/// How long a batch belongs to the replica that stored or took it.
pub const LEASE: Duration = Duration::from_secs(10);

/// A message that waits to be published.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingMessage {
    /// The message's id.
    pub id: Uuid,
    /// Its sender.
    pub sender: String,
    /// Its recipient.
    pub recipient: String,
    /// Its text.
    pub text: String,
    /// Which attempt is to be made, from 1.
    pub attempt: i32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// W3C trace context of the request that brought it.
    pub traceparent: Option<String>,
}

/// A batch that was taken over, without the messages that need no publishing any more.
pub struct OutboxRow {
    /// The row.
    pub id: i64,
    /// Its messages that are still pending, in their order; may be none.
    pub messages: Vec<PendingMessage>,
}

impl Store {
    /// Takes up to `limit` batches whose lease ran out, oldest first; nobody else gets them for [`LEASE`].
    ///
    /// A message that is already final is left out: it has been in Kafka, only its row outlived the crash.
    pub async fn take_expired_batches(&self, limit: i64) -> Result<Vec<OutboxRow>, Error> {
        let taken: Vec<(i64, Vec<Uuid>, Vec<Option<String>>)> = self
            .run(async |db| {
                sqlx::query_as(
                    "with expired as materialized (
                         select id from outbox where leased_until < now()
                         order by leased_until limit $1 for update skip locked
                     )
                     update outbox set leased_until = now() + $2
                     from expired where outbox.id = expired.id
                     returning outbox.id, message_ids, traceparents",
                )
                .bind(limit)
                .bind(lease())
                .fetch_all(db)
                .await
            })
            .await?;
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let mut pending = self.pending_messages(taken.iter().flat_map(|(_, ids, _)| ids).copied().collect()).await?;
        let mut rows: Vec<_> = taken
            .into_iter()
            .map(|(id, ids, traceparents)| OutboxRow {
                id,
                messages: ids
                    .iter()
                    .zip(traceparents)
                    .filter_map(|(id, traceparent)| Some(PendingMessage { traceparent, ..pending.remove(id)? }))
                    .collect(),
            })
            .collect();
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }

    async fn pending_messages(&self, ids: Vec<Uuid>) -> Result<HashMap<Uuid, PendingMessage>, Error> {
        let found: Vec<(Uuid, String, String, String, i32, jiff_sqlx::Timestamp)> = self
            .run(async |db| {
                sqlx::query_as(
                    "select id, sender, recipient, text, attempt, created_at
                     from message where id = any($1) and status = 'PENDING'",
                )
                .bind(&ids)
                .fetch_all(db)
                .await
            })
            .await?;
        Ok(found
            .into_iter()
            .map(|(id, sender, recipient, text, attempt, created_at)| {
                let created_at = created_at.to_jiff();
                (id, PendingMessage { id, sender, recipient, text, attempt, created_at, traceparent: None })
            })
            .collect())
    }

    /// Forgets batches that Kafka has acknowledged as a whole.
    pub async fn forget_batches(&self, outbox_ids: &[i64]) -> Result<(), Error> {
        self.run(async |db| {
            sqlx::query("delete from outbox where id = any($1)").bind(outbox_ids).execute(db).await.map(|_| ())
        })
        .await
    }
}
