//! Messages whose time has come: to be sent, sent again, or found to have been forgotten.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Store, interval};
use crate::message::{Message, Status};

/// What one look at the messages that are due did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// How many were due.
    pub due: i64,
    /// How many are to be published now.
    pub queued: i64,
    /// How many were too late.
    pub expired: i64,
}

/// What one step of the search for forgotten messages found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// The last message that was looked at; `None` when there were no more.
    pub up_to: Option<Uuid>,
    /// How many are to be published again.
    pub queued: i64,
}

/// What became of a client's wish for one message.
#[derive(Clone, PartialEq, Eq)]
pub enum Changed {
    /// It is done; this is the message now.
    Done(Box<Message>),
    /// The message has a status in which that cannot be done.
    NotIn(Status),
    /// There is no such message.
    UnknownMessage,
}

impl Store {
    /// Takes up to `limit` messages that are due and moves each on: one whose expiry is past expires; a scheduled or
    /// failed one is to be published, by whichever relay sees it first; one that is still pending is to be published
    /// again. Those are looked at again after `forgotten_after`. Several callers never take one message twice.
    pub async fn move_due(&self, limit: i64, forgotten_after: Duration) -> Result<Looked, Error> {
        self.run(async |db| {
            sqlx::query_as!(
                Looked,
                r#"with due as materialized (
                     select message_id, traceparent from message_due
                     where due_at <= now() order by due_at limit $1 for update skip locked
                 ),
                 looked as materialized (
                     select id, status, attempt, expires_at, traceparent,
                         status = 'SCHEDULED' or (status = 'FAILED' and retry_at <= now()) as waits
                     from due join message on id = message_id
                 ),
                 expired as (
                     update message set status = 'EXPIRED', updated_at = now(), retry_at = null, failure_reason = null
                     from looked
                     where message.id = looked.id and waits and looked.expires_at <= now()
                         and message.status = looked.status and message.attempt = looked.attempt
                     returning message.id
                 ),
                 released as (
                     update message set status = 'PENDING', updated_at = now(), retry_at = null, failure_reason = null,
                         attempt = message.attempt + (message.status = 'FAILED')::integer
                     from looked
                     where message.id = looked.id and waits and coalesce(looked.expires_at > now(), true)
                         and message.status = looked.status and message.attempt = looked.attempt
                     returning message.id, traceparent
                 ),
                 to_publish as (
                     select id, traceparent from released
                     union all
                     select id, traceparent from looked where status = 'PENDING'
                 ),
                 queued as (
                     insert into outbox (message_ids, traceparents, leased_until)
                     select array_agg(id order by id), array_agg(traceparent order by id), now()
                     from to_publish having count(*) > 0
                 ),
                 kept as (
                     update message_due set due_at = now() + $2 where message_id in (select id from to_publish)
                 ),
                 done as (
                     delete from message_due
                     where message_id in (select message_id from due) and message_id not in (select id from to_publish)
                 )
                 select (select count(*) from due) as "due!", (select count(*) from to_publish) as "queued!",
                     (select count(*) from expired) as "expired!""#,
                limit,
                interval(forgotten_after),
            )
            .fetch_one(db)
            .await
        })
        .await
    }

    /// Looks at up to `limit` messages after `after` and before `before`, in their order, and queues those that are
    /// pending to be published again; they are looked at once more after `forgotten_after`.
    pub async fn queue_pending(
        &self,
        after: Uuid,
        before: Uuid,
        limit: i64,
        forgotten_after: Duration,
    ) -> Result<Searched, Error> {
        self.run(async |db| queue_pending(db, after, before, limit, forgotten_after).await).await
    }

    /// The next step of the search that looks once at every message before `before`. While another replica makes
    /// one, there is nothing to be found.
    pub async fn sweep(&self, before: Uuid, limit: i64, forgotten_after: Duration) -> Result<Searched, Error> {
        self.run(async |db| {
            let mut transaction = sqlx::Connection::begin(db).await?;
            let swept_to = sqlx::query_scalar!("select swept_to from sweep for update skip locked")
                .fetch_optional(&mut *transaction)
                .await?;
            let Some(swept_to) = swept_to else { return Ok(Searched::default()) };
            let found = queue_pending(&mut transaction, swept_to, before, limit, forgotten_after).await?;
            if let Some(up_to) = found.up_to {
                sqlx::query!("update sweep set swept_to = $1", up_to).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(found)
        })
        .await
    }

    /// Calls a message back that waits for its time.
    pub async fn cancel(&self, tenant: &str, id: Uuid) -> Result<Changed, Error> {
        let canceled = self
            .run(async |db| {
                sqlx::query_scalar!(
                    "with canceled as (
                         update message
                         set status = 'CANCELED', updated_at = now(), retry_at = null, failure_reason = null
                         where id = $1 and tenant = $2
                             and (status = 'SCHEDULED' or (status = 'FAILED' and retry_at is not null))
                         returning id
                     ),
                     forgotten as (
                         delete from message_due where message_id in (select id from canceled)
                     )
                     select id from canceled",
                    id,
                    tenant,
                )
                .fetch_optional(db)
                .await
            })
            .await?;
        self.changed_or_why_not(tenant, id, canceled.is_some()).await
    }

    /// Sends a failed message again, as its next attempt.
    pub async fn retry(
        &self,
        tenant: &str,
        id: Uuid,
        traceparent: Option<&str>,
        forgotten_after: Duration,
    ) -> Result<Changed, Error> {
        let sent = self.run(async |db| send_again(db, tenant, &[id], traceparent, forgotten_after).await).await?;
        self.changed_or_why_not(tenant, id, !sent.is_empty()).await
    }

    async fn changed_or_why_not(&self, tenant: &str, id: Uuid, is_changed: bool) -> Result<Changed, Error> {
        Ok(match self.message(tenant, id).await? {
            None => Changed::UnknownMessage,
            Some(message) if is_changed => Changed::Done(Box::new(message)),
            Some(message) => Changed::NotIn(message.status),
        })
    }
}

async fn queue_pending(
    db: &mut PgConnection,
    after: Uuid,
    before: Uuid,
    limit: i64,
    forgotten_after: Duration,
) -> sqlx::Result<Searched> {
    sqlx::query_as!(
        Searched,
        r#"with looked as materialized (
             select id, status from message where id > $1 and id < $2 order by id limit $3
         ),
         pending as (
             select id from looked where status = 'PENDING'
         ),
         queued as (
             insert into outbox (message_ids, traceparents, leased_until)
             select array_agg(id order by id), array_agg(null::text order by id), now()
             from pending having count(*) > 0
         ),
         due as (
             insert into message_due (message_id, due_at) select id, now() + $4 from pending
             on conflict (message_id) do update set due_at = excluded.due_at
         )
         select (select id from looked order by id desc limit 1) as up_to,
             (select count(*) from pending) as "queued!""#,
        after,
        before,
        limit,
        interval(forgotten_after),
    )
    .fetch_one(db)
    .await
}

/// Makes failed messages of the tenant pending again, each as its next attempt, and queues them to be published;
/// returns those that were failed. It is one statement: within a transaction of the caller's, or on its own.
pub(super) async fn send_again(
    db: &mut PgConnection,
    tenant: &str,
    ids: &[Uuid],
    traceparent: Option<&str>,
    forgotten_after: Duration,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "with released as (
             update message set status = 'PENDING', attempt = attempt + 1, updated_at = now(), retry_at = null,
                 failure_reason = null
             where id = any($1) and tenant = $2 and status = 'FAILED'
             returning id
         ),
         queued as (
             insert into outbox (message_ids, traceparents, leased_until)
             select array_agg(id order by id), array_agg($3::text order by id), now()
             from released having count(*) > 0
         ),
         due as (
             insert into message_due (message_id, due_at, traceparent) select id, now() + $4, $3 from released
             on conflict (message_id) do update set due_at = excluded.due_at, traceparent = excluded.traceparent
         )
         select id from released",
        ids,
        tenant,
        traceparent,
        interval(forgotten_after),
    )
    .fetch_all(db)
    .await
}
