//! What became of messages, as their processors report it, and what processors announce before.

use std::time::Duration;

use contract::{Claim, ClaimOutcome, DeliveryReport, ReportOutcome};
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
        let provider_ids: Vec<Option<&str>> =
            reports.iter().map(|report| report.provider_message_id.as_deref()).collect();
        let outcomes = self
            .run(async |db| {
                sqlx::query_file!(
                    "src/store/reports/record.sql",
                    &ids,
                    &statuses as &[Status],
                    &reasons as &[Option<&str>],
                    &attempts as &[Option<i32>],
                    &transient,
                    &provider_ids as &[Option<&str>],
                    retry.max_attempts,
                    interval(retry.every),
                )
                .fetch_all(db)
                .await
            })
            .await?;
        let outcomes = outcomes.iter().map(|row| match (row.is_changed, row.is_known) {
            (true, _) => ReportOutcome::Changed,
            (false, true) => ReportOutcome::Unchanged,
            (false, false) => ReportOutcome::MessageNotFound,
        });
        Ok(outcomes.collect())
    }

    /// Notes that attempts are about to be made; each is granted to one claimant, however often it asks. What is final or
    /// has a newer attempt is granted to nobody.
    pub async fn claim(&self, claims: &[Claim]) -> Result<Vec<ClaimOutcome>, Error> {
        let (ids, attempts, claimants) = columns(claims);
        let outcomes = self
            .run(async |db| {
                sqlx::query_file!("src/store/reports/claim.sql", &ids, &attempts, &claimants).fetch_all(db).await
            })
            .await?;
        let outcomes = outcomes.iter().map(|row| match (row.is_granted, row.status, row.current) {
            (true, ..) => ClaimOutcome::Granted,
            (_, Some(Status::Pending | Status::Unknown), Some(current)) if row.claimed < current => {
                ClaimOutcome::Outdated
            }
            (_, Some(Status::Pending | Status::Unknown), Some(_)) => ClaimOutcome::ClaimedBefore,
            (_, Some(_), Some(_)) => ClaimOutcome::Final,
            (_, None, _) | (_, _, None) => ClaimOutcome::MessageNotFound,
        });
        Ok(outcomes.collect())
    }

    /// Forgets the claims, so that others are granted these attempts.
    pub async fn release(&self, claims: &[Claim]) -> Result<(), Error> {
        let (ids, attempts, claimants) = columns(claims);
        self.run(async |db| {
            sqlx::query!(
                "delete from claim using unnest($1::uuid[], $2::integer[], $3::uuid[]) as given (id, attempt, claimant)
                 where message_id = id and claim.attempt = given.attempt and claim.claimant = given.claimant",
                &ids,
                &attempts,
                &claimants,
            )
            .execute(db)
            .await
        })
        .await?;
        Ok(())
    }
}

fn columns(claims: &[Claim]) -> (Vec<Uuid>, Vec<i32>, Vec<Uuid>) {
    claims.iter().map(|claim| (claim.message_id, claim.attempt, claim.claimant)).collect()
}

#[cfg(test)]
mod tests {
    use jiff::{Span, Timestamp};
    use sqlx::{AssertSqlSafe, PgPool, Row};

    use super::*;
    use crate::store::{
        self,
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
        let statements = [
            (include_str!("reports/record.sql"), 2),
            (include_str!("reports/claim.sql"), 1),
            (include_str!("dead_letters/keep.sql"), 2),
        ];
        for (statement, times) in statements {
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
