//! Counts of messages, kept as they move.
//!
//! `status_change` gets a row for every change: where from, where to, how many. The statement that stores messages
//! appends it for new ones, and a trigger for whatever changes a status later, so no change can go uncounted.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;

use super::{Error, Store};
use crate::{message::Status, statistics::Flow};

/// Advisory lock of this database under which one replica at a time folds.
const LOCK: i64 = 0x736d_735f_666f_6c64;
/// How many rows are folded at once, so that a statement ends in time after hours without folding.
const FOLDED_AT_MOST: i64 = 100_000;

impl Store {
    /// How many of the tenant's messages went from which status to which, ever and lately: one snapshot.
    ///
    /// "The last hour" and "the last day" begin with a whole minute, so they are up to a minute longer.
    pub async fn flows(&self, tenant: &str) -> Result<Vec<Flow>, Error> {
        self.run(async |db| {
            sqlx::query_as!(
                Flow,
                r#"select from_status as "from: Status", to_status as "to: Status",
                     sum(messages)::bigint as "ever!",
                     coalesce(sum(messages) filter (where at >= now() - interval '1 minute'), 0)::bigint
                         as "last_minute!",
                     coalesce(sum(messages) filter
                         (where at >= date_trunc('minute', now() - interval '1 hour')), 0)::bigint as "last_hour!",
                     coalesce(sum(messages) filter
                         (where at >= date_trunc('minute', now() - interval '1 day')), 0)::bigint as "last_day!"
                 from status_change where tenant = $1 group by from_status, to_status"#,
                tenant,
            )
            .fetch_all(db)
            .await
        })
        .await
    }

    /// How many messages the tenant has, of a status or in all: without those that retention has removed.
    pub async fn total(&self, tenant: &str, status: Option<Status>) -> Result<i64, Error> {
        self.run(async |db| {
            sqlx::query_scalar!(
                r#"select (coalesce(sum(messages) filter
                         (where case when $2::text is null then from_status is null else to_status = $2 end), 0)
                     - coalesce(sum(messages) filter (where from_status = $2), 0))::bigint as "total!"
                 from status_change where tenant = $1 and day > '-infinity'"#,
                tenant,
                status as Option<Status>,
            )
            .fetch_one(db)
            .await
        })
        .await
    }

    /// Notes that retention has removed the messages of all days before this one.
    pub async fn count_as_removed(&self, before: Date) -> Result<(), Error> {
        // With an age, so that folding adds them to those that were removed earlier; but not what "the last day" counts.
        self.run(async |db| {
            sqlx::query!(
                "update status_change set day = '-infinity', at = 'epoch'
                 where day > '-infinity' and day < $1 and at < now() - interval '1 day 2 minutes'",
                before.to_sqlx(),
            )
            .execute(db)
            .await
        })
        .await?;
        Ok(())
    }

    /// Adds up what is no longer needed in detail: to seconds at once, to minutes after two minutes, to one sum for
    /// each day of messages after a day. The sums never change by it, and readers see all of it or nothing.
    ///
    /// Whoever comes while another replica does it does nothing; even if both did it, each row is folded once.
    pub async fn fold_changes(&self) -> Result<Folded, Error> {
        let taken = self
            .run(async |db| {
                sqlx::query_scalar!(
                    r#"with bounds as materialized (
                         select pg_try_advisory_xact_lock($1) as alone,
                             date_trunc('minute', now() - interval '2 minutes') as to_minutes,
                             date_trunc('minute', now() - interval '1 day') as to_total
                     ),
                     old_days as materialized (
                         select day from status_change cross join bounds where at < to_total and at > '-infinity'
                     ),
                     taken as (
                         delete from status_change where ctid = any(array(
                             select unfolded.ctid from status_change as unfolded cross join bounds
                             where alone and case
                                 when at >= to_minutes then at <> date_trunc('second', at)
                                 when at >= to_total then at <> date_trunc('minute', at)
                                 when at > '-infinity' then true
                                 -- A sum itself is only rewritten when something is to be added to it.
                                 else day in (select day from old_days)
                             end
                             limit $2
                         ))
                         returning at, day, tenant, from_status, to_status, messages
                     ),
                     folded as (
                         insert into status_change (at, day, tenant, from_status, to_status, messages)
                         select case
                                 when at >= to_minutes then date_trunc('second', at)
                                 when at >= to_total then date_trunc('minute', at)
                                 else '-infinity'
                             end as bucket, day, tenant, from_status, to_status, sum(messages)
                         from taken cross join bounds group by bucket, day, tenant, from_status, to_status
                     )
                     select count(*) as "taken!" from taken"#,
                    LOCK,
                    FOLDED_AT_MOST,
                )
                .fetch_one(db)
                .await
            })
            .await?;
        Ok(if taken < FOLDED_AT_MOST { Folded::Everything } else { Folded::AsMuchAsAtOnce })
    }
}

/// How far the folding came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folded {
    /// Nothing more to do, as far as this replica is concerned.
    Everything,
    /// There is more.
    AsMuchAsAtOnce,
}
