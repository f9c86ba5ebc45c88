//! How many accepted messages are not final, and whether they become more. Pure, except for [`Sampler`].

use std::{
    cell::RefCell,
    convert::Infallible,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::Context;
use fastrand::Rng;
use serde::Serialize;
use sqlx::PgConnection;

use super::phase::BATCH;

/// Between which two times from one question for the backlog to the next, in milliseconds. At random, because batches come
/// at even intervals, and even questions would always meet the backlog at the same moment between two of them.
const EVERY: Range<u64> = 100..300;
/// A backlog that grows each second by a smaller share of the rate than this counts as flat,
const FLAT: f64 = 0.01;
/// and so does one that becomes more by no more than this in a quarter of the time: it wavers by a batch or two anyway.
const WAVERS: f64 = 2.0 * BATCH as f64;

/// Messages that came into the state minus those that left it, from the counters that sms-api's own statistics are made
/// of: one small table, whatever the number of messages.
const PENDING: &str = "
    select (coalesce(sum(messages) filter (where to_status = 'PENDING'), 0)
          - coalesce(sum(messages) filter (where from_status = 'PENDING'), 0))::bigint
    from status_change";

/// The backlog at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Since the beginning of the load.
    pub seconds: f64,
    /// Accepted messages that were not final.
    pub messages: i64,
}

/// The backlog over the second half of a load, in which it should have come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Backlog {
    /// On average, in messages.
    pub average: f64,
    /// At most, in messages.
    pub most: i64,
    /// Messages that it became more each second: the average of the last quarter beside that of the quarter before.
    pub growth_per_second: f64,
}

impl Backlog {
    /// Of a load that took so long; `None` where a quarter has no sample.
    pub fn of(samples: &[Sample], seconds: f64) -> Option<Backlog> {
        let between =
            |from: f64, to: f64| samples.iter().filter(move |sample| (from..to).contains(&(sample.seconds / seconds)));
        let average = |from, to| {
            let count = between(from, to).count();
            (count > 0).then(|| between(from, to).map(|sample| sample.messages as f64).sum::<f64>() / count as f64)
        };
        Some(Backlog {
            average: average(0.5, 1.0)?,
            most: between(0.5, 1.0).map(|sample| sample.messages).max()?,
            growth_per_second: (average(0.75, 1.0)? - average(0.5, 0.75)?) / (seconds / 4.0),
        })
    }

    /// Whether it does not grow, with so many messages per second for so long.
    pub fn is_flat(&self, rate: u32, seconds: u32) -> bool {
        let quarter = f64::from(seconds) / 4.0;
        self.growth_per_second * quarter <= WAVERS.max(FLAT * f64::from(rate) * quarter)
    }
}

/// How many accepted messages are not final now.
pub async fn pending(db: &mut PgConnection) -> anyhow::Result<i64> {
    sqlx::query_scalar(PENDING).fetch_one(db).await.context("cannot count the messages that are not final")
}

/// Asks again and again.
#[derive(Debug, Default)]
pub struct Sampler {
    taken: RefCell<Vec<Sample>>,
}

impl Sampler {
    /// Asks until the future is dropped; ends only when the database does not answer.
    pub async fn run(&self, db: &mut PgConnection) -> anyhow::Result<Infallible> {
        let (began, mut random) = (Instant::now(), Rng::new());
        loop {
            let messages = pending(db).await?;
            self.taken.borrow_mut().push(Sample { seconds: began.elapsed().as_secs_f64(), messages });
            tokio::time::sleep(Duration::from_millis(random.u64(EVERY))).await;
        }
    }

    /// What was answered.
    pub fn into_samples(self) -> Vec<Sample> {
        self.taken.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The backlog of 40 s with a sample each second.
    fn backlog(messages: impl Fn(i64) -> i64) -> Option<Backlog> {
        let sample = |second: i64| Sample { seconds: second as f64, messages: messages(second) };
        Backlog::of(&(0..40).map(sample).collect::<Vec<_>>(), 40.0)
    }

    #[test]
    fn what_happens_in_the_first_half_does_not_count() {
        let backlog = backlog(|second| if second < 20 { 1000 * second } else { 500 }).expect("samples");
        assert_eq!(backlog, Backlog { average: 500.0, most: 500, growth_per_second: 0.0 });
        assert!(backlog.is_flat(1000, 40));
    }

    #[test]
    fn growth_is_told_in_messages_per_second() {
        let backlog = backlog(|second| 101 * second).expect("samples");
        assert!((backlog.growth_per_second - 101.0).abs() < 0.001, "{backlog:?}");
        assert!(backlog.is_flat(10_200, 40) && !backlog.is_flat(10_000, 40));
    }

    #[test]
    fn a_backlog_that_shrinks_or_wavers_is_flat() {
        assert!(backlog(|second| 4000 - 100 * second).expect("samples").is_flat(500, 40));
        assert!(backlog(|second| 1000 + second % 2).expect("samples").is_flat(500, 40));
        assert!(backlog(|second| 99 * second).expect("samples").is_flat(500, 40), "two batches");
    }

    #[test]
    fn without_samples_nothing_is_known() {
        assert_eq!(Backlog::of(&[], 40.0), None);
    }
}
