//! The outbox: which committed batches Kafka has not acknowledged yet.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use sqlx::{PgPool, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{Error, Store, interval, pool, run_in};
use crate::message::{NewMessage, Priority};

/// How long a batch belongs to the replica that stored or took it.
pub const LEASE: Duration = Duration::from_secs(10);

/// A message that waits to be published.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingMessage {
    /// The message's id.
    pub id: Uuid,
    /// Its sender.
    pub sender: Arc<str>,
    /// Its recipient.
    pub recipient: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// Which attempt is to be made, from 1.
    pub attempt: i32,
    /// Which lane it takes.
    pub priority: Priority,
    /// Not to be sent after this time.
    pub expires_at: Option<Timestamp>,
    /// W3C trace context of the request that brought it.
    pub traceparent: Option<Arc<str>>,
}

impl From<NewMessage> for PendingMessage {
    fn from(new: NewMessage) -> Self {
        Self {
            id: new.id,
            sender: new.sender,
            recipient: new.recipient,
            text: new.text,
            attempt: 1,
            priority: new.priority,
            expires_at: new.expires_at,
            traceparent: new.traceparent,
        }
    }
}

/// A pending message as its row is read; its trace is in the outbox.
struct PendingRow {
    id: Uuid,
    sender: String,
    recipient: String,
    text: String,
    attempt: i32,
    priority: Priority,
    expires_at: Option<jiff_sqlx::Timestamp>,
}

impl From<PendingRow> for PendingMessage {
    fn from(row: PendingRow) -> Self {
        Self {
            id: row.id,
            sender: row.sender.into(),
            recipient: row.recipient.into(),
            text: row.text.into(),
            attempt: row.attempt,
            priority: row.priority,
            expires_at: row.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
            traceparent: None,
        }
    }
}

/// A batch that was taken over, without the messages that need no publishing any more.
pub struct OutboxRow {
    /// The row.
    pub id: i64,
    /// Its messages that are still pending, in their order; may be none.
    pub messages: Vec<PendingMessage>,
}

/// What is stored and not yet in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpublished {
    /// How many messages.
    pub messages: i64,
    /// For how long the first of them has waited.
    pub oldest: Duration,
}

/// The connection that forgets batches. It need not wait for the disk: a row that comes back after a crash of
/// PostgreSQL is published a second time, as after a crash of this process.
pub(super) fn connection(options: PgConnectOptions) -> PgPool {
    pool(options.options([("synchronous_commit", "off")]), 1)
}

impl Store {
    /// Takes up to `limit` batches whose lease ran out, oldest first; nobody else gets them for [`LEASE`].
    ///
    /// A message that is already final is left out: it has been in Kafka, only its row outlived the crash.
    pub async fn take_expired_batches(&self, limit: i64) -> Result<Vec<OutboxRow>, Error> {
        let taken = self
            .run(async |db| {
                sqlx::query!(
                    r#"with expired as materialized (
                         select id from outbox where leased_until < now()
                         order by leased_until limit $1 for update skip locked
                     )
                     update outbox set leased_until = now() + $2
                     from expired where outbox.id = expired.id
                     returning outbox.id, message_ids, traceparents as "traceparents: Vec<Option<String>>""#,
                    limit,
                    interval(LEASE),
                )
                .fetch_all(db)
                .await
            })
            .await?;
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let ids = taken.iter().flat_map(|row| &row.message_ids).copied().collect();
        let mut pending = self.pending_messages(ids).await?;
        let mut rows: Vec<_> = taken
            .into_iter()
            .map(|row| OutboxRow {
                id: row.id,
                messages: row
                    .message_ids
                    .iter()
                    .zip(row.traceparents)
                    .filter_map(|(id, traceparent)| {
                        Some(PendingMessage { traceparent: traceparent.map(Into::into), ..pending.remove(id)? })
                    })
                    .collect(),
            })
            .collect();
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }

    async fn pending_messages(&self, ids: Vec<Uuid>) -> Result<HashMap<Uuid, PendingMessage>, Error> {
        let found = self
            .run(async |db| {
                sqlx::query_as!(
                    PendingRow,
                    "select id, sender, recipient, text, attempt, priority, expires_at
                     from message where id = any($1) and status = 'PENDING'",
                    &ids,
                )
                .fetch_all(db)
                .await
            })
            .await?;
        Ok(found.into_iter().map(|row| (row.id, row.into())).collect())
    }

    /// What is stored and not yet in Kafka, as far as PostgreSQL knows.
    pub async fn unpublished(&self) -> Result<Unpublished, Error> {
        let waiting = self
            .run(async |db| {
                sqlx::query!(
                    r#"select coalesce(sum(messages), 0)::bigint as "messages!",
                         coalesce(extract(epoch from now() - min(created_at)), 0)::double precision as "seconds!"
                     from outbox"#,
                )
                .fetch_one(db)
                .await
            })
            .await?;
        let oldest = Duration::try_from_secs_f64(waiting.seconds).unwrap_or_default();
        Ok(Unpublished { messages: waiting.messages, oldest })
    }

    /// Forgets batches that Kafka has acknowledged as a whole.
    pub async fn forget_batches(&self, outbox_ids: &[i64]) -> Result<(), Error> {
        run_in(&self.outbox, async |db| {
            sqlx::query!("delete from outbox where id = any($1)", outbox_ids).execute(db).await.map(|_| ())
        })
        .await
    }
}
