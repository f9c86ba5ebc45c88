//! What became of messages, as their processors report it, and what processors announce before.

use std::time::Duration;

use contract::{ClaimOutcome, DeliveryReport, ReportOutcome};
use uuid::Uuid;

use super::{Error, Store, interval};
use crate::message::Status;

/// What follows a failure that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryFailed {
    /// How long after the failure the next attempt is made.
    pub every: Duration,
    /// How many attempts are made in all.
    pub max_attempts: i32,
}

/// [`Store::record_reports`]. Here and in [`CLAIM`], the limit keeps PostgreSQL from looking for the messages in any
/// other way than one by one: it might read all that lie between them.
pub(super) const RECORD: &str = "with given as materialized (
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::boolean[])
             with ordinality as given (id, status, reason, attempt, transient, place)
     ),
     known as materialized (
         select message.* from (select distinct id from given) as wanted cross join lateral (
             select id, status, attempt from message where message.id = wanted.id limit 1
         ) as message
     ),
     counting as materialized (
         select distinct on (id) given.*
         from given join known using (id)
         where known.status in ('PENDING', 'UNKNOWN') and known.status <> given.status
             and coalesce(given.attempt >= known.attempt, true)
         order by id, place
     ),
     changed as (
         update message set status = counting.status, updated_at = now(),
             failure_reason = case when counting.status in ('FAILED', 'UNKNOWN') then reason end,
             retry_at = case
                 when counting.status = 'FAILED' and transient and message.attempt < $6 then now() + $7
             end
         from counting
         where message.id = counting.id
             and message.status in ('PENDING', 'UNKNOWN')
             and message.status <> counting.status
             and coalesce(counting.attempt >= message.attempt, true)
         returning message.id, message.retry_at, place
     ),
     due as (
         insert into message_due (message_id, due_at)
         select id, retry_at from changed where retry_at is not null
         on conflict (message_id) do update set due_at = excluded.due_at
     )
     select place in (select place from changed), id in (select id from known)
     from given order by place";

/// [`Store::claim`].
const CLAIM: &str = "with given as materialized (
         select * from unnest($1::uuid[], $2::integer[])
             with ordinality as given (id, attempt, place)
     ),
     known as materialized (
         select message.* from (select distinct id from given) as wanted cross join lateral (
             select id, status, attempt from message where message.id = wanted.id limit 1
         ) as message
     ),
     granted as (
         insert into claim (message_id, attempt)
         select distinct id, given.attempt from given join known using (id)
         where known.status in ('PENDING', 'UNKNOWN') and given.attempt >= known.attempt
         order by id, given.attempt
         on conflict (message_id, attempt) do nothing
         returning message_id, attempt
     )
     select granted.message_id is not null
             and row_number() over (partition by id, given.attempt order by place) = 1,
         known.status, known.attempt, given.attempt
     from given left join known using (id)
         left join granted on granted.message_id = id and granted.attempt = given.attempt
     order by place";

impl Store {
    /// Gives messages their reported status, all or none; what became of each report, in order.
    ///
    /// Only a message that is pending, or whose outcome was unknown, changes: a final status never does, whatever is
    /// reported and however often. Neither does a report on an older attempt change anything. Of several reports on
    /// one message the first that can count does.
    pub async fn record_reports(
        &self,
        reports: &[DeliveryReport],
        retry: RetryFailed,
    ) -> Result<Vec<ReportOutcome>, Error> {
        let ids: Vec<Uuid> = reports.iter().map(|report| report.message_id).collect();
        let statuses: Vec<Status> = reports.iter().map(|report| report.status.into()).collect();
        let reasons: Vec<Option<&str>> = reports.iter().map(|report| report.failure_reason.as_deref()).collect();
        let attempts: Vec<Option<i32>> = reports.iter().map(|report| report.attempt).collect();
        let transient: Vec<bool> = reports.iter().map(|report| report.transient).collect();
        let outcomes: Vec<(bool, bool)> = self
            .run(async |db| {
                sqlx::query_as(RECORD)
                    .bind(&ids)
                    .bind(&statuses)
                    .bind(&reasons)
                    .bind(&attempts)
                    .bind(&transient)
                    .bind(retry.max_attempts)
                    .bind(interval(retry.every))
                    .fetch_all(db)
                    .await
            })
            .await?;
        let outcome = |(is_changed, is_known)| match (is_changed, is_known) {
            (true, _) => ReportOutcome::Changed,
            (false, true) => ReportOutcome::Unchanged,
            (false, false) => ReportOutcome::MessageNotFound,
        };
        Ok(outcomes.into_iter().map(outcome).collect())
    }

    /// Notes that attempts are about to be made; each is granted once. What is final or has a newer attempt is
    /// granted to nobody.
    pub async fn claim(&self, claims: &[(Uuid, i32)]) -> Result<Vec<ClaimOutcome>, Error> {
        let (ids, attempts): (Vec<Uuid>, Vec<i32>) = claims.iter().copied().unzip();
        let outcomes: Vec<(bool, Option<Status>, Option<i32>, i32)> =
            self.run(async |db| sqlx::query_as(CLAIM).bind(&ids).bind(&attempts).fetch_all(db).await).await?;
        let outcome = |(is_granted, status, current, claimed)| match (is_granted, status, current) {
            (true, ..) => ClaimOutcome::Granted,
            (_, Some(Status::Pending | Status::Unknown), Some(current)) if claimed < current => ClaimOutcome::Outdated,
            (_, Some(Status::Pending | Status::Unknown), Some(_)) => ClaimOutcome::ClaimedBefore,
            (_, Some(_), Some(_)) => ClaimOutcome::Final,
            (_, None, _) | (_, _, None) => ClaimOutcome::MessageNotFound,
        };
        Ok(outcomes.into_iter().map(outcome).collect())
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Span, Timestamp};
    use sqlx::{AssertSqlSafe, PgPool, Row};

    use super::*;
    use crate::store::{
        self,
        dead_letters::KEEP,
        partitions::{Partition, Table, day_of},
    };

    #[sqlx::test(migrations = "./migrations")]
    async fn the_messages_of_a_batch_are_looked_for_one_by_one_however_far_apart_they_are(pool: PgPool) {
        let store = Store::new(store::connect_lazily((*pool.connect_options()).clone()));
        let today = day_of(Timestamp::now());
        for days in -26..=3 {
            let partition = Partition { day: today.saturating_add(Span::new().days(days)), table: Table::Message };
            store.make_partition(partition).await.expect("a partition");
        }
        for (statement, times) in [(RECORD, 2), (CLAIM, 1), (KEEP, 2)] {
            let explain = format!("explain (generic_plan, costs off) {statement}");
            let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&store.pool).await.expect("a plan");
            let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let shown = plan.join("\n");
            let mut scans = 0;
            for [scan, condition] in plan.array_windows() {
                let Some((_, partition)) = scan.split_once("Scan using message_2") else { continue };
                scans += 1;
                let is_one_id = condition.contains("Index Cond: (id = ");
                assert!(partition.contains("_pkey on") && is_one_id, "{scan}\n{condition} in\n{shown}");
            }
            assert_eq!(scans, 30 * times, "{shown}");
        }
        store.close().await;
    }
}
