//! Dead letters whose messages are sent again.

use std::{collections::HashMap, time::Duration};

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{Error, Store, dead_letters::dead_letter, due::send_again};
use crate::{
    dead_letters::{DeadLetter, Refusal},
    message::Status,
};

/// What became of the wish to send one dead letter again.
#[derive(Clone, PartialEq, Eq)]
pub enum RedrivenOne {
    /// Its message is on its way; this is the dead letter now.
    Done(Box<DeadLetter>),
    /// Nothing was done.
    Refused(Refusal),
    /// There is no such dead letter.
    UnknownDeadLetter,
}

/// What one step through many dead letters did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedrivenSome {
    /// How many messages were sent again.
    pub redriven: usize,
    /// How many dead letters were looked at besides.
    pub skipped: usize,
    /// The last one that was looked at; `None` when it was the last of all.
    pub goes_on_after: Option<Uuid>,
}

/// How many dead letters are looked at in one transaction.
const AT_ONCE: usize = 500;

impl Store {
    /// Sends the message of a dead letter again, as its next attempt and once, however many ask for it at a time.
    pub async fn redrive_one(
        &self,
        tenant: &str,
        id: Uuid,
        traceparent: Option<&str>,
        forgotten_after: Duration,
    ) -> Result<RedrivenOne, Error> {
        self.run(async |db| {
            let mut transaction = db.begin().await?;
            sqlx::query!("select from dead_letter where id = $1 and tenant = $2 for update", id, tenant)
                .execute(&mut *transaction)
                .await?;
            let redriven = redrive(&mut transaction, tenant, &[id], 1, traceparent, forgotten_after).await?;
            let letter = dead_letter(&mut transaction, tenant, id).await?;
            transaction.commit().await?;
            Ok(match letter {
                None => RedrivenOne::UnknownDeadLetter,
                Some(letter) if !redriven.is_empty() => RedrivenOne::Done(Box::new(letter)),
                Some(letter) => match letter.refusal() {
                    Some(refusal) => RedrivenOne::Refused(refusal),
                    // Its message failed just after it was looked at.
                    None => RedrivenOne::Refused(Refusal::NotFailed(Status::Pending)),
                },
            })
        })
        .await
    }

    /// Looks at some of the tenant's dead letters that were not sent again yet, after `after` and before `before`, in
    /// their order, and sends the messages of those that can be, at most `most`. What somebody else has in hand is left
    /// to them.
    pub async fn redrive_some(
        &self,
        tenant: &str,
        (after, before): (Uuid, Uuid),
        most: usize,
        traceparent: Option<&str>,
        forgotten_after: Duration,
    ) -> Result<RedrivenSome, Error> {
        self.run(async |db| {
            let mut transaction = db.begin().await?;
            let mut looked_at = sqlx::query_scalar!(
                "select id from dead_letter
                 where tenant = $1 and redriven_at is null and id > $2 and id < $3
                 order by id limit $4 for update skip locked",
                tenant,
                after,
                before,
                i64::try_from(AT_ONCE).unwrap_or(i64::MAX),
            )
            .fetch_all(&mut *transaction)
            .await?;
            let is_end = looked_at.len() < AT_ONCE;
            let marked = redrive(&mut transaction, tenant, &looked_at, most, traceparent, forgotten_after).await?;
            transaction.commit().await?;
            let redriven = marked.len();
            let is_enough = redriven == most;
            if let Some(&last) = marked.iter().max().filter(|_| is_enough) {
                looked_at.retain(|&id| id <= last);
            }
            let goes_on_after = looked_at.last().copied().filter(|_| is_enough || !is_end);
            Ok(RedrivenSome { redriven, skipped: looked_at.len() - redriven, goes_on_after })
        })
        .await
    }
}

/// Sends the messages of the first dead letters again that can be, at most `most`, and returns and marks these. Of
/// several on one message the first is marked; the others are of a past attempt from then on. The caller has locked
/// the dead letters; the messages are locked here, so that what [`DeadLetter::refusal`] tells holds until it is done.
async fn redrive(
    db: &mut PgConnection,
    tenant: &str,
    letters: &[Uuid],
    most: usize,
    traceparent: Option<&str>,
    forgotten_after: Duration,
) -> sqlx::Result<Vec<Uuid>> {
    let waiting = sqlx::query!(
        r#"select id, message_id as "message_id!", attempt as "attempt!" from dead_letter
         where id = any($1) and tenant = $2 and redriven_at is null and message_id is not null
         order by id"#,
        letters,
        tenant,
    )
    .fetch_all(&mut *db)
    .await?;
    let messages: Vec<Uuid> = waiting.iter().map(|letter| letter.message_id).collect();
    // They say which partitions need not be looked at, which a list of ids does not.
    let (first, last) = (messages.iter().min().copied(), messages.iter().max().copied());
    // In the order of ids, so that two of these never wait for each other.
    let failed = sqlx::query!(
        "select id, attempt from message
         where id = any($1) and id between $2 and $3 and tenant = $4 and status = 'FAILED'
         order by id for update",
        &messages,
        first,
        last,
        tenant,
    )
    .fetch_all(&mut *db)
    .await?;
    let present: HashMap<Uuid, i32> = failed.iter().map(|message| (message.id, message.attempt)).collect();
    let mut letter_of = HashMap::new();
    for letter in waiting {
        let can_be_sent = present.get(&letter.message_id).is_some_and(|&present| present <= letter.attempt);
        if can_be_sent && letter_of.len() < most {
            letter_of.entry(letter.message_id).or_insert(letter.id);
        }
    }
    if letter_of.is_empty() {
        return Ok(Vec::new());
    }
    let messages: Vec<Uuid> = letter_of.keys().copied().collect();
    let sent = send_again(db, tenant, &messages, traceparent, forgotten_after).await?;
    let marked: Vec<Uuid> = sent.iter().filter_map(|message| letter_of.get(message)).copied().collect();
    sqlx::query!("update dead_letter set redriven_at = now() where id = any($1)", &marked).execute(db).await?;
    Ok(marked)
}
