//! How long messages took from when they were accepted to when their final status was committed, as the database tells.

use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::{Builder, Uuid};

use crate::statistics::{Latencies, LatencyFigures};

/// A message's time of acceptance is in its id, in milliseconds. `updated_at` is when the transaction that made it final
/// began; what counts is when it was committed, which PostgreSQL keeps by transaction (`track_commit_timestamp`).
const MILLISECONDS: &str = "
    select (extract(epoch from pg_xact_commit_timestamp(xmin) - uuid_extract_timestamp(id)) * 1000)::float8
    from message where id >= $1 and id < $2 and status = 'SENT'";

/// Of all messages accepted between two times, of which there must be so many.
pub async fn latencies(
    db: &mut PgConnection,
    from: Timestamp,
    to: Timestamp,
    messages: u64,
) -> anyhow::Result<LatencyFigures> {
    let found: Vec<f64> = sqlx::query_scalar(MILLISECONDS)
        .bind(first_id(from))
        .bind(first_id(to))
        .fetch_all(db)
        .await
        .context("cannot read when messages became final")?;
    ensure!(found.len() as u64 == messages, "{messages} messages were accepted, but {} are SENT", found.len());
    let mut latencies = Latencies::new();
    for milliseconds in found {
        latencies.record(Duration::from_secs_f64(milliseconds.max(0.0) / 1000.0));
    }
    Ok(latencies.figures())
}

/// No id of version 7 that is made at this time, or later, is less.
fn first_id(at: Timestamp) -> Uuid {
    let milliseconds = u64::try_from(at.as_millisecond()).unwrap_or_default();
    Builder::from_unix_timestamp_millis(milliseconds, &[0; 10]).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_time_are_not_less_than_its_first_one() {
        let before = Timestamp::now();
        let id = Uuid::now_v7();
        assert!(first_id(before) <= id);
        assert!(id < first_id(Timestamp::now() + Duration::from_millis(1)));
    }
}
