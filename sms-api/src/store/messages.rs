//! Messages on their way in, and as clients read them.

use jiff::Timestamp;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::{Error, LEASE, Store};
use crate::message::{Message, NewMessage};

/// What PostgreSQL made of a stored batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The outbox row that lists the batch.
    pub outbox_id: i64,
    /// When the batch was stored, by the database's clock.
    pub created_at: Timestamp,
}

impl Store {
    /// Stores and counts all messages, with the outbox row that lists them, or nothing. When it returns `Ok` they are
    /// committed, and the outbox row is leased to the caller for [`LEASE`].
    pub async fn store_batch(&self, messages: &[&NewMessage]) -> Result<Batch, Error> {
        let ids: Vec<Uuid> = messages.iter().map(|message| message.id).collect();
        let senders: Vec<&str> = messages.iter().map(|message| message.sender.as_str()).collect();
        let recipients: Vec<&str> = messages.iter().map(|message| message.recipient.as_str()).collect();
        let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
        let traceparents: Vec<Option<&str>> = messages.iter().map(|message| message.traceparent.as_deref()).collect();
        let (outbox_id, created_at): (i64, jiff_sqlx::Timestamp) = self
            .run(async |db| {
                // One statement is one transaction and one round trip; now() is the same in all inserts.
                sqlx::query_as(
                    "with stored as (
                         insert into message (id, sender, recipient, text)
                         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
                     ),
                     counted as (
                         insert into status_change (to_status, messages) values ('PENDING', cardinality($1))
                     )
                     insert into outbox (message_ids, traceparents, leased_until)
                     values ($1, $5, now() + $6)
                     returning id, created_at",
                )
                .bind(&ids)
                .bind(&senders)
                .bind(&recipients)
                .bind(&texts)
                .bind(&traceparents)
                .bind(lease())
                .fetch_one(db)
                .await
            })
            .await?;
        Ok(Batch { outbox_id, created_at: created_at.to_jiff() })
    }

    /// The message as it stands.
    pub async fn message(&self, id: Uuid) -> Result<Option<Message>, Error> {
        self.run(async |db| {
            sqlx::query_as(
                "select id, sender, recipient, text, status, failure_reason, created_at, updated_at
                 from message where id = $1",
            )
            .bind(id)
            .fetch_optional(db)
            .await
        })
        .await
    }
}

/// [`LEASE`] in PostgreSQL's terms.
pub(super) fn lease() -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(LEASE.as_micros()).unwrap_or(i64::MAX) }
}
