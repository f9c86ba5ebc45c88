//! What the processors gave up.

use std::ops::Range;

use serde::Serialize;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Error, Store};
use crate::{
    access::DEFAULT_TENANT,
    dead_letters::{DeadLetter, NewDeadLetter, Origin},
    message::Status,
};

/// What storing dead letters did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptDeadLetters {
    /// How many were not stored before.
    pub stored: u64,
    /// How many messages became FAILED.
    pub failed: u64,
}

/// Which dead letters a client wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetterFilter {
    /// Ids, and so times.
    pub ids: Range<Uuid>,
    /// Only those of one message.
    pub message_id: Option<Uuid>,
    /// Only those that were sent again, or only those that were not.
    pub redriven: Option<bool>,
}

/// A dead letter and its message's state as they are read.
#[derive(sqlx::FromRow)]
struct DeadLetterRow {
    id: Uuid,
    message_id: Option<Uuid>,
    attempt: Option<i32>,
    status: Option<Status>,
    present_attempt: Option<i32>,
    origin_topic: Option<String>,
    origin_partition: Option<i32>,
    origin_offset: Option<i64>,
    record: Option<String>,
    error: String,
    redriven_at: Option<jiff_sqlx::Timestamp>,
}

impl From<DeadLetterRow> for DeadLetter {
    fn from(row: DeadLetterRow) -> Self {
        let origin = row.origin_topic.zip(row.origin_partition).zip(row.origin_offset);
        Self {
            id: row.id,
            asked_for: row.message_id.zip(row.attempt),
            message: row.status.zip(row.present_attempt),
            origin: origin.map(|((topic, partition), offset)| Origin { topic, partition, offset }),
            record: row.record,
            error: row.error,
            redriven_at: row.redriven_at.map(jiff_sqlx::Timestamp::to_jiff),
        }
    }
}

impl Store {
    /// Stores dead letters, all or none, each once however often it is read; their messages become FAILED where they
    /// are neither final nor in a later attempt. A dead letter is its message's tenant's; one of no known message, such as
    /// an undecodable one, is that of the tenant who is there when nobody names one.
    pub async fn keep_dead_letters(&self, letters: &[NewDeadLetter]) -> Result<KeptDeadLetters, Error> {
        let rows = Rows::of(letters);
        let kept = self
            .run(async |db| {
                sqlx::query_file!(
                    "src/store/dead_letters/keep.sql",
                    &rows.ids,
                    &rows.partitions,
                    &rows.offsets,
                    &rows.timestamps,
                    &rows.message_ids as &[Option<Uuid>],
                    &rows.attempts as &[Option<i32>],
                    &rows.origin_topics as &[Option<&str>],
                    &rows.origin_partitions as &[Option<i32>],
                    &rows.origin_offsets as &[Option<i64>],
                    &rows.records as &[&str],
                    &rows.errors as &[&str],
                    &rows.reasons as &[&str],
                    DEFAULT_TENANT,
                )
                .fetch_one(db)
                .await
            })
            .await?;
        let count = |count: i64| u64::try_from(count).unwrap_or_default();
        Ok(KeptDeadLetters { stored: count(kept.stored), failed: count(kept.failed) })
    }

    /// How many dead letters of all tenants were not sent again.
    pub async fn waiting_dead_letters(&self) -> Result<i64, Error> {
        self.run(async |db| {
            sqlx::query_scalar!(r#"select count(*) as "count!" from dead_letter where redriven_at is null"#)
                .fetch_one(db)
                .await
        })
        .await
    }

    /// Up to `limit` of the tenant's dead letters, newest first and without their records.
    pub async fn dead_letters(
        &self,
        tenant: &str,
        wanted: &DeadLetterFilter,
        limit: i64,
    ) -> Result<Vec<DeadLetter>, Error> {
        let mut query = select(Records::LeftOut);
        query.push(" where dead_letter.tenant = ").push_bind(tenant);
        query.push(" and dead_letter.id >= ").push_bind(wanted.ids.start);
        query.push(" and dead_letter.id < ").push_bind(wanted.ids.end);
        if let Some(message_id) = wanted.message_id {
            query.push(" and dead_letter.message_id = ").push_bind(message_id);
        }
        match wanted.redriven {
            None => {}
            // Spelled out, because each has its index.
            Some(true) => drop(query.push(" and redriven_at is not null")),
            Some(false) => drop(query.push(" and redriven_at is null")),
        }
        query.push(" order by dead_letter.id desc limit ").push_bind(limit);
        let rows: Vec<DeadLetterRow> = self.run(async |db| query.build_query_as().fetch_all(db).await).await?;
        Ok(rows.into_iter().map(DeadLetter::from).collect())
    }

    /// The tenant's dead letter with its record.
    pub async fn dead_letter(&self, tenant: &str, id: Uuid) -> Result<Option<DeadLetter>, Error> {
        self.run(async |db| dead_letter(db, tenant, id).await).await
    }

    /// Deletes dead letters with an id before `before`, in part when they are many; says how many.
    pub async fn delete_dead_letters(&self, before: Uuid, at_most: i64) -> Result<u64, Error> {
        self.run(async |db| {
            sqlx::query!(
                "delete from dead_letter
                 where id = any(array(select id from dead_letter where id < $1 order by id limit $2))",
                before,
                at_most,
            )
            .execute(db)
            .await
            .map(|done| done.rows_affected())
        })
        .await
    }
}

/// The tenant's dead letter with its record.
pub(super) async fn dead_letter(db: &mut PgConnection, tenant: &str, id: Uuid) -> sqlx::Result<Option<DeadLetter>> {
    let mut query = select(Records::Included);
    query.push(" where dead_letter.tenant = ").push_bind(tenant).push(" and dead_letter.id = ").push_bind(id);
    let row: Option<DeadLetterRow> = query.build_query_as().fetch_optional(db).await?;
    Ok(row.map(DeadLetter::from))
}

/// Whether the records themselves are read; they can be large.
#[derive(Clone, Copy)]
enum Records {
    Included,
    LeftOut,
}

/// One list of columns for every statement that reads dead letters. Each message is looked up on its own, by its id:
/// no plan may read a whole table of messages for a page of dead letters.
fn select(records: Records) -> QueryBuilder<Postgres> {
    let record = match records {
        Records::Included => "record",
        Records::LeftOut => "null::text as record",
    };
    let mut query = QueryBuilder::new(
        "select dead_letter.id, message_id, dead_letter.attempt, status, present_attempt,
             origin_topic, origin_partition, origin_offset, error, redriven_at, ",
    );
    query.push(record).push(
        " from dead_letter
             left join lateral (
                 select status, message.attempt as present_attempt from message
                 where message.id = message_id and message.tenant = dead_letter.tenant limit 1
             ) as present on true",
    );
    query
}

/// Dead letters as the columns that a statement takes.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<Uuid>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    message_ids: Vec<Option<Uuid>>,
    attempts: Vec<Option<i32>>,
    origin_topics: Vec<Option<&'a str>>,
    origin_partitions: Vec<Option<i32>>,
    origin_offsets: Vec<Option<i64>>,
    records: Vec<&'a str>,
    errors: Vec<&'a str>,
    reasons: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    fn of(letters: &'a [NewDeadLetter]) -> Self {
        let mut rows = Self::default();
        for letter in letters {
            let (message_id, attempt) = letter.asked_for.unzip();
            rows.ids.push(letter.id);
            rows.partitions.push(letter.place.partition);
            rows.offsets.push(letter.place.offset);
            rows.timestamps.push(letter.place.timestamp);
            rows.message_ids.push(message_id);
            rows.attempts.push(attempt);
            rows.origin_topics.push(letter.origin.as_ref().map(|origin| origin.topic.as_str()));
            rows.origin_partitions.push(letter.origin.as_ref().map(|origin| origin.partition));
            rows.origin_offsets.push(letter.origin.as_ref().map(|origin| origin.offset));
            rows.records.push(&letter.record);
            rows.errors.push(&letter.error);
            rows.reasons.push(&letter.failure_reason);
        }
        rows
    }
}
