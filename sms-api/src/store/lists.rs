//! Lists of messages, newest first.
//!
//! A page costs the same at ten rows and at ten million: an index gives the messages in their order, and at most
//! [`DEEPEST`] of them are looked at for what the index does not know. So a page can be short, or empty, although
//! there is more; then it says where to go on.

use uuid::Uuid;

use super::{Error, Store, due::send_again, messages::MessageRow};
use crate::message::{Message, Status};

/// How many messages are looked at for one page.
pub const DEEPEST: u32 = 10_000;

/// Which messages of a tenant. Its `Debug` form is what cursors are bound to, and holds a number: not for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// With this status.
    pub status: Option<Status>,
    /// With this number as sender or recipient.
    pub user: Option<String>,
    /// That the client calls so.
    pub client_reference: Option<String>,
    /// That came with this batch.
    pub batch_id: Option<Uuid>,
    /// From this id on.
    pub from: Uuid,
    /// Before this id.
    pub before: Uuid,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            status: None,
            user: None,
            client_reference: None,
            batch_id: None,
            from: Uuid::nil(),
            before: Uuid::max(),
        }
    }
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq)]
pub struct Listed {
    /// The messages.
    pub messages: Vec<Message>,
    /// The list goes on after this id; `None` at its end.
    pub goes_on_after: Option<Uuid>,
}

/// How many messages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Exactly(i64),
    /// At least so many; counting on would take too long.
    AtLeast(i64),
}

/// The statements over what one index gives. `$1` is the tenant, `$2` and `$3` bound the ids, and `$4` is what the index
/// is asked for.
macro_rules! over {
    ($scanned:literal) => {
        Statements {
            page: concat!(
                "select id, sender, recipient, text, status, failure_reason, attempt, priority, updated_at,
                     retry_at, send_at, expires_at, batch_id, client_reference, metadata
                 from (", $scanned, " order by id desc limit 10000) as scanned
                 where ($5::text is null or status = $5) and ($6::uuid is null or batch_id = $6)
                     and ($7::text is null or client_reference = $7) and ($8::text is null or $8 in (sender, recipient))
                 order by id desc offset $9 limit $10"
            ),
            count: concat!(
                "select count(*)
                 from (", $scanned, " order by id desc limit 10000) as scanned
                 where ($5::text is null or status = $5) and ($6::uuid is null or batch_id = $6)
                     and ($7::text is null or client_reference = $7) and ($8::text is null or $8 in (sender, recipient))"
            ),
            end: concat!("select id from (", $scanned, ") as scanned order by id desc offset 9999 limit 1"),
        }
    };
}

struct Statements {
    page: &'static str,
    count: &'static str,
    /// The last message that is looked at; none when all are.
    end: &'static str,
}

const OF_TENANT: Statements =
    over!("select * from message where tenant = $1 and id >= $2 and id < $3 and $4::text is null");

const OF_REFERENCE: Statements =
    over!("select * from message where client_reference = $4 and tenant = $1 and id >= $2 and id < $3");

const OF_USER: Statements = over!(
    "select * from (
         (select * from message where sender = $4 and tenant = $1 and id >= $2 and id < $3
          order by id desc limit 10000)
         union all
         (select * from message where recipient = $4 and sender <> $4 and tenant = $1 and id >= $2 and id < $3
          order by id desc limit 10000)
     ) as either"
);

const OF_RARE_STATUS: Statements = over!(
    "select message.*
     from rare_status join message on id = message_id
     where rare_status.tenant = $1 and rare_status.status = $4 and message_id >= $2 and message_id < $3"
);

impl Filter {
    /// The statements over the index that leaves the least to be looked at, and what it is asked for.
    fn statements(&self) -> (Statements, Option<&str>) {
        match self {
            Self { client_reference: Some(reference), .. } => (OF_REFERENCE, Some(reference)),
            Self { user: Some(user), .. } => (OF_USER, Some(user)),
            Self { status: Some(status), .. } if !matches!(status, Status::Pending | Status::Sent) => {
                (OF_RARE_STATUS, Some(status.name()))
            }
            Self { .. } => (OF_TENANT, None),
        }
    }
}

impl Store {
    /// Up to `limit` messages of the tenant, newest first, after leaving out `skipped` of them.
    pub async fn list(&self, tenant: &str, filter: &Filter, skipped: u32, limit: u32) -> Result<Listed, Error> {
        let (statements, key) = filter.statements();
        let rows: Vec<MessageRow> = self
            .run(async |db| {
                sqlx::query_as(statements.page)
                    .bind(tenant)
                    .bind(filter.from)
                    .bind(filter.before)
                    .bind(key)
                    .bind(filter.status)
                    .bind(filter.batch_id)
                    .bind(&filter.client_reference)
                    .bind(&filter.user)
                    .bind(i64::from(skipped))
                    // One more tells whether there is one more.
                    .bind(i64::from(limit) + 1)
                    .fetch_all(db)
                    .await
            })
            .await?;
        let mut messages: Vec<Message> = rows.into_iter().map(Message::from).collect();
        let goes_on_after = if messages.len() > limit as usize {
            messages.truncate(limit as usize);
            messages.last().map(|message| message.id)
        } else {
            self.end_of_scan(&statements, tenant, filter, key).await?
        };
        Ok(Listed { messages, goes_on_after })
    }

    /// How many messages of the tenant there are.
    pub async fn count(&self, tenant: &str, filter: &Filter) -> Result<Count, Error> {
        let (statements, key) = filter.statements();
        let count: i64 = self
            .run(async |db| {
                sqlx::query_scalar(statements.count)
                    .bind(tenant)
                    .bind(filter.from)
                    .bind(filter.before)
                    .bind(key)
                    .bind(filter.status)
                    .bind(filter.batch_id)
                    .bind(&filter.client_reference)
                    .bind(&filter.user)
                    .fetch_one(db)
                    .await
            })
            .await?;
        let end = self.end_of_scan(&statements, tenant, filter, key).await?;
        Ok(if end.is_some() { Count::AtLeast(count) } else { Count::Exactly(count) })
    }

    async fn end_of_scan(
        &self,
        statements: &Statements,
        tenant: &str,
        filter: &Filter,
        key: Option<&str>,
    ) -> Result<Option<Uuid>, Error> {
        self.run(async |db| {
            sqlx::query_scalar(statements.end)
                .bind(tenant)
                .bind(filter.from)
                .bind(filter.before)
                .bind(key)
                .fetch_optional(db)
                .await
        })
        .await
    }

    /// Sends up to `limit` of the tenant's FAILED messages again, newest first; says how many, and whether there
    /// may be more.
    pub async fn retry_all(
        &self,
        tenant: &str,
        filter: &Filter,
        limit: u32,
        traceparent: Option<&str>,
        forgotten_after: std::time::Duration,
    ) -> Result<(usize, bool), Error> {
        let filter = Filter { status: Some(Status::Failed), ..filter.clone() };
        let listed = self.list(tenant, &filter, 0, limit).await?;
        let ids: Vec<Uuid> = listed.messages.iter().map(|message| message.id).collect();
        let sent = self.run(async |db| send_again(db, tenant, &ids, traceparent, forgotten_after).await).await?;
        Ok((sent.len(), listed.goes_on_after.is_some()))
    }
}
