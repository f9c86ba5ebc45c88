//! Messages on their way in, and one message as clients read it.

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Error, LEASE, Store, interval, run_in};
use crate::{
    message::{Message, Metadata, NewMessage, Priority, Status},
    submission::{Answer, Submission},
};

/// What PostgreSQL made of some submissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The outbox row that lists the messages to be sent at once; `None` when there are none.
    pub outbox_id: Option<i64>,
    /// The ids of submissions that were left out, because their idempotency key is in use.
    pub repeated: HashSet<Uuid>,
}

/// A message as its row is read. One list of columns for every statement that reads messages.
#[derive(sqlx::FromRow)]
pub(super) struct MessageRow {
    pub(super) id: Uuid,
    sender: String,
    recipient: String,
    text: String,
    status: Status,
    failure_reason: Option<String>,
    provider_message_id: Option<String>,
    attempt: i32,
    priority: Priority,
    updated_at: Option<jiff_sqlx::Timestamp>,
    retry_at: Option<jiff_sqlx::Timestamp>,
    send_at: Option<jiff_sqlx::Timestamp>,
    expires_at: Option<jiff_sqlx::Timestamp>,
    batch_id: Option<Uuid>,
    client_reference: Option<String>,
    metadata: Option<Json<Metadata>>,
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        let time = |time: Option<jiff_sqlx::Timestamp>| time.map(jiff_sqlx::Timestamp::to_jiff);
        Self {
            id: row.id,
            sender: row.sender.into(),
            recipient: row.recipient.into(),
            text: row.text.into(),
            status: row.status,
            failure_reason: row.failure_reason,
            provider_message_id: row.provider_message_id,
            attempt: row.attempt,
            priority: row.priority,
            changed_at: time(row.updated_at),
            retry_at: time(row.retry_at),
            send_at: time(row.send_at),
            expires_at: time(row.expires_at),
            batch_id: row.batch_id,
            client_reference: row.client_reference.map(Into::into),
            metadata: row.metadata.map(|Json(metadata)| Arc::new(metadata)),
        }
    }
}

impl Store {
    /// Stores and counts the messages of all submissions, with the outbox row that lists those to be sent at once, or
    /// nothing. When it returns `Ok` they are committed, and the outbox row is leased to the caller for [`LEASE`].
    ///
    /// A submission whose idempotency key is in use is left out. Where another transaction is just storing that
    /// key, this one waits for it. No two of the submissions may have the same key.
    pub async fn store_batch(&self, submissions: &[&Submission]) -> Result<Batch, Error> {
        let rows = Rows::of(submissions);
        let keys = Keys::of(submissions);
        let stored = run_in(&self.writers, async |db| {
            // One statement is one transaction and one round trip.
            sqlx::query!(
                r#"with fresh as (
                    insert into idempotency_key
                        (client, key, fingerprint, submission, location, answer, expires_at)
                    select client, key, fingerprint, submission, location, answer, now() + kept
                    from unnest($15::text[], $16::text[], $17::bytea[], $18::uuid[], $19::text[],
                                $20::bytea[], $21::interval[])
                        as given (client, key, fingerprint, submission, location, answer, kept)
                    order by client, key
                    on conflict (client, key) do update
                        set fingerprint = excluded.fingerprint, submission = excluded.submission,
                            location = excluded.location, answer = excluded.answer,
                            expires_at = excluded.expires_at
                        where idempotency_key.expires_at <= now()
                    returning submission
                ),
                given as (
                    select * from unnest(
                        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                        $8::timestamptz[], $9::timestamptz[], $10::uuid[], $11::text[], $12::text[],
                        $13::text[], $14::uuid[]
                    ) as given (
                        id, tenant, sender, recipient, text, status, priority,
                        send_at, expires_at, batch_id, client_reference, metadata,
                        traceparent, keyed
                    )
                    where keyed is null or keyed in (select submission from fresh)
                ),
                stored as (
                    insert into message (
                        id, tenant, sender, recipient, text, status, priority,
                        send_at, expires_at, batch_id, client_reference, metadata
                    )
                    select id, tenant, sender, recipient, text, status, priority,
                        send_at, expires_at, batch_id, client_reference, metadata::json
                    from given
                ),
                counted as (
                    insert into status_change (day, tenant, to_status, messages)
                    select message_day(id), tenant, status, count(*) from given
                    group by message_day(id), tenant, status
                ),
                scheduled as (
                    insert into message_due (message_id, due_at, traceparent)
                    select id, send_at, traceparent from given where status = 'SCHEDULED'
                ),
                found_by_status as (
                    insert into rare_status (message_id, tenant, status)
                    select id, tenant, status from given where status = 'SCHEDULED'
                ),
                queued as (
                    insert into outbox (message_ids, traceparents, leased_until)
                    select array_agg(id), array_agg(traceparent), now() + $22
                    from given where status = 'PENDING' having count(*) > 0
                    returning id
                )
                select (select id from queued) as outbox_id, array(select submission from fresh) as "stored_keys!""#,
                &rows.ids,
                &rows.tenants as &[&str],
                &rows.senders as &[&str],
                &rows.recipients as &[&str],
                &rows.texts as &[&str],
                &rows.statuses as &[Status],
                &rows.priorities as &[Priority],
                &rows.send_at as &[Option<jiff_sqlx::Timestamp>],
                &rows.expires_at as &[Option<jiff_sqlx::Timestamp>],
                &rows.batch_ids as &[Option<Uuid>],
                &rows.client_references as &[Option<&str>],
                &rows.metadata as &[Option<String>],
                &rows.traceparents as &[Option<&str>],
                &rows.keyed as &[Option<Uuid>],
                &keys.clients as &[&str],
                &keys.texts as &[&str],
                &keys.fingerprints as &[&[u8]],
                &keys.submissions,
                &keys.locations as &[&str],
                &keys.answers as &[&[u8]],
                &keys.kept,
                interval(LEASE),
            )
            .fetch_one(db)
            .await
        })
        .await?;
        let stored_keys: HashSet<Uuid> = stored.stored_keys.into_iter().collect();
        let repeated = keys.submissions.into_iter().filter(|submission| !stored_keys.contains(submission)).collect();
        Ok(Batch { outbox_id: stored.outbox_id, repeated })
    }

    /// What was answered to the request that used this key first, with the fingerprint of that request.
    pub async fn first_answer(&self, client: &str, key: &str) -> Result<Option<(Vec<u8>, Answer)>, Error> {
        let found = self
            .run(async |db| {
                sqlx::query!(
                    "select fingerprint, location, answer from idempotency_key
                     where client = $1 and key = $2 and expires_at > now()",
                    client,
                    key,
                )
                .fetch_optional(db)
                .await
            })
            .await?;
        Ok(found.map(|row| (row.fingerprint, Answer { location: row.location, body: row.answer.into() })))
    }

    /// Forgets idempotency keys past their time, in part when they are many; says how many.
    pub async fn forget_old_keys(&self, at_most: i64) -> Result<u64, Error> {
        self.run(async |db| {
            sqlx::query!(
                "delete from idempotency_key where ctid = any(array(
                     select ctid from idempotency_key where expires_at <= now() limit $1
                 )) and expires_at <= now()",
                at_most,
            )
            .execute(db)
            .await
            .map(|done| done.rows_affected())
        })
        .await
    }

    /// The tenant's message as it stands.
    pub async fn message(&self, tenant: &str, id: Uuid) -> Result<Option<Message>, Error> {
        let row = self
            .run(async |db| {
                sqlx::query_as!(
                    MessageRow,
                    r#"select id, sender, recipient, text, status, failure_reason, provider_message_id, attempt, priority,
                         updated_at, retry_at, send_at, expires_at, batch_id, client_reference,
                         metadata as "metadata: Json<Metadata>"
                     from message where id = $1 and tenant = $2"#,
                    id,
                    tenant,
                )
                .fetch_optional(db)
                .await
            })
            .await?;
        Ok(row.map(Message::from))
    }
}

/// Messages as the columns that a statement takes.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<Uuid>,
    tenants: Vec<&'a str>,
    senders: Vec<&'a str>,
    recipients: Vec<&'a str>,
    texts: Vec<&'a str>,
    statuses: Vec<Status>,
    priorities: Vec<Priority>,
    send_at: Vec<Option<jiff_sqlx::Timestamp>>,
    expires_at: Vec<Option<jiff_sqlx::Timestamp>>,
    batch_ids: Vec<Option<Uuid>>,
    client_references: Vec<Option<&'a str>>,
    metadata: Vec<Option<String>>,
    traceparents: Vec<Option<&'a str>>,
    keyed: Vec<Option<Uuid>>,
}

impl<'a> Rows<'a> {
    fn of(submissions: &[&'a Submission]) -> Self {
        let mut rows = Self::default();
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_sqlx);
        for submission in submissions {
            let keyed = submission.once.is_some().then(|| submission.id());
            for message in &submission.messages {
                let NewMessage { id, tenant, sender, recipient, text, priority, batch_id, .. } = message;
                rows.ids.push(*id);
                rows.tenants.push(tenant);
                rows.senders.push(sender);
                rows.recipients.push(recipient);
                rows.texts.push(text);
                rows.statuses.push(message.status());
                rows.priorities.push(*priority);
                rows.send_at.push(time(message.send_at));
                rows.expires_at.push(time(message.expires_at));
                rows.batch_ids.push(*batch_id);
                rows.client_references.push(message.client_reference.as_deref());
                rows.metadata.push(message.metadata.as_deref().map(encode));
                rows.traceparents.push(message.traceparent.as_deref());
                rows.keyed.push(keyed);
            }
        }
        rows
    }
}

fn encode(metadata: &Metadata) -> String {
    serde_json::to_string(metadata).expect("a map of texts always encodes")
}

/// Idempotency keys as the columns that a statement takes.
#[derive(Default)]
struct Keys<'a> {
    clients: Vec<&'a str>,
    texts: Vec<&'a str>,
    fingerprints: Vec<&'a [u8]>,
    submissions: Vec<Uuid>,
    locations: Vec<&'a str>,
    answers: Vec<&'a [u8]>,
    kept: Vec<sqlx::postgres::types::PgInterval>,
}

impl<'a> Keys<'a> {
    fn of(submissions: &[&'a Submission]) -> Self {
        let mut keys = Self::default();
        for submission in submissions {
            let Some(once) = &submission.once else { continue };
            keys.clients.push(&once.client);
            keys.texts.push(&once.key);
            keys.fingerprints.push(&once.fingerprint);
            keys.submissions.push(submission.id());
            keys.locations.push(&once.answer.location);
            keys.answers.push(&once.answer.body);
            keys.kept.push(interval(once.kept));
        }
        keys
    }
}
