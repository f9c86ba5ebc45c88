//! Lists of messages, newest first.
//!
//! A page costs the same at ten rows and at ten million: an index gives the messages in their order, and at most
//! [`DEEPEST`] of them are looked at for what the index does not know. So a page can be short, or empty, although
//! there is more; then it says where to go on.

mod statements;

use std::time::Duration;

use serde::Serialize;
use sqlx::{
    PgPool, Postgres,
    postgres::{PgArguments, PgConnectOptions},
    query::QueryAs,
};
use uuid::Uuid;

use self::statements::{OF_RARE_STATUS, OF_REFERENCE, OF_TENANT, OF_USER, Statements};
use super::{Error, Store, due::send_again, messages::MessageRow, pool, run_in};
use crate::message::{Message, Status};

/// How many messages are looked at for one page.
pub const DEEPEST: u32 = 10_000;
/// How many messages are sent again by one statement, so that it ends in time.
const RETRIED_AT_ONCE: u32 = 1_000;
/// How many times one wish to send failed messages again looks for more of them.
const LOOKS: u32 = 20;
/// Connections for lists: however many are read, and however slowly, nothing else waits for them. A plan over ninety
/// partitions takes one or two megabytes, and each connection keeps its own.
const CONNECTIONS: u32 = 2;

/// Which messages of a tenant. It may hold a number, so it has no form for logs.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(Debug))]
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

/// What came of a wish to send failed messages again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// How many are sent again.
    pub count: usize,
    /// There may be more after this id.
    pub goes_on_after: Option<Uuid>,
}

/// A message that was looked at.
#[derive(sqlx::FromRow)]
struct Judged {
    #[sqlx(flatten)]
    message: MessageRow,
    /// From 1.
    number: i64,
    wanted: bool,
}

impl Filter {
    /// The rest of the list after this message.
    #[must_use]
    pub fn after(&self, last: Option<Uuid>) -> Self {
        Self { before: last.map_or(self.before, |last| last.min(self.before)), ..self.clone() }
    }

    /// Gives a statement of [`Statements`] its first seven parameters.
    fn bind<'q, Row>(
        &'q self,
        tenant: &'q str,
        query: QueryAs<'q, Postgres, Row, PgArguments>,
    ) -> QueryAs<'q, Postgres, Row, PgArguments> {
        query
            .bind(tenant)
            .bind(self.from)
            .bind(self.before)
            .bind(self.status)
            .bind(&self.user)
            .bind(&self.client_reference)
            .bind(self.batch_id)
    }

    /// The statements over the index that leaves the least to be looked at, and whether the index knows all that is
    /// asked for.
    fn statements(&self) -> (Statements, bool) {
        let Self { status, user, client_reference, batch_id, .. } = self;
        let is_rare = status.is_some_and(|status| !matches!(status, Status::Pending | Status::Sent));
        if client_reference.is_some() {
            (OF_REFERENCE, user.is_none() && status.is_none() && batch_id.is_none())
        } else if user.is_some() {
            (OF_USER, status.is_none() && batch_id.is_none())
        } else if is_rare {
            (OF_RARE_STATUS, batch_id.is_none())
        } else {
            (OF_TENANT, status.is_none() && batch_id.is_none())
        }
    }
}

/// Connections for lists to the same database.
pub(super) fn connections(options: PgConnectOptions) -> PgPool {
    let in_order_of_an_index =
        [("enable_sort", "off"), ("enable_incremental_sort", "off"), ("enable_bitmapscan", "off"), ("jit", "off")];
    pool(options.options(in_order_of_an_index), CONNECTIONS)
}

impl Store {
    /// Up to `limit` messages of the tenant, newest first, after leaving out `skipped` of them.
    pub async fn list(&self, tenant: &str, filter: &Filter, skipped: u32, limit: u32) -> Result<Listed, Error> {
        let (statements, _) = filter.statements();
        let judged: Vec<Judged> = run_in(&self.lists, async |db| {
            filter
                .bind(tenant, sqlx::query_as(statements.page))
                .bind(i64::from(skipped))
                // One more tells whether there is one more.
                .bind(i64::from(limit) + 1)
                .fetch_all(db)
                .await
        })
        .await?;
        Ok(listed(judged, limit as usize))
    }

    /// How many messages of the tenant there are.
    pub async fn count(&self, tenant: &str, filter: &Filter) -> Result<Count, Error> {
        let (statements, knows_all) = filter.statements();
        let (wanted, looked_at): (i64, i64) = run_in(&self.lists, async |db| {
            let statement = if knows_all { statements.count_all } else { statements.count };
            filter.bind(tenant, sqlx::query_as(statement)).fetch_one(db).await
        })
        .await?;
        Ok(if looked_at < i64::from(DEEPEST) { Count::Exactly(wanted) } else { Count::AtLeast(wanted) })
    }

    /// Sends up to `limit` of the tenant's FAILED messages again, newest first. Where PostgreSQL fails on the way, what
    /// was done until then stays done, and is told.
    pub async fn retry_all(
        &self,
        tenant: &str,
        filter: &Filter,
        limit: u32,
        traceparent: Option<&str>,
        forgotten_after: Duration,
    ) -> Result<Retried, Error> {
        let mut rest = Filter { status: Some(Status::Failed), ..filter.clone() };
        let (mut looked_for, mut retried) = (0, Retried::default());
        for _ in 0..LOOKS {
            let wanted = RETRIED_AT_ONCE.min(limit - looked_for);
            let step = async {
                let Listed { messages, goes_on_after } = self.list(tenant, &rest, 0, wanted).await?;
                let ids: Vec<Uuid> = messages.iter().map(|message| message.id).collect();
                let sent =
                    self.run(async |db| send_again(db, tenant, &ids, traceparent, forgotten_after).await).await?;
                Ok((ids.len(), sent.len(), goes_on_after))
            };
            let (found, sent, goes_on_after) = match step.await {
                Ok(done) => done,
                Err(_) if retried.count > 0 => break,
                Err(error) => return Err(error),
            };
            looked_for += u32::try_from(found).unwrap_or(wanted);
            retried = Retried { count: retried.count + sent, goes_on_after };
            match goes_on_after {
                Some(_) if looked_for < limit => rest = rest.after(goes_on_after),
                _ => break,
            }
        }
        Ok(retried)
    }
}

fn listed(judged: Vec<Judged>, limit: usize) -> Listed {
    let is_last = |judged: &&Judged| judged.number == i64::from(DEEPEST);
    let looked_up_to = judged.last().filter(is_last).map(|judged| judged.message.id);
    let wanted = judged.into_iter().filter(|judged| judged.wanted);
    let mut messages: Vec<Message> = wanted.map(|judged| judged.message.into()).collect();
    let goes_on_after = if messages.len() > limit {
        messages.truncate(limit);
        messages.last().map(|message| message.id)
    } else {
        looked_up_to
    };
    Listed { messages, goes_on_after }
}
