//! What the database needs as time goes by: partitions for the days ahead, nothing for the days past retention, and
//! counts added up.
//!
//! Every replica runs this and locks in the database make one of them do it. [`plan`] decides, purely; a failure
//! is tried again later and stops nothing, because messages without a partition go to a default one.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{Span, Timestamp, civil::Date};
use sqlx::PgConnection;

use crate::{
    message::LONGEST_DELAY,
    outage::Outage,
    store::{
        Error, Folded, Store,
        partitions::{self, Made, Partition, Table, day_of},
    },
};

/// For how many days after today partitions are made.
const DAYS_AHEAD: i32 = 3;
/// Ids are made by replicas' clocks, which may lag behind the database's: yesterday needs its partition, too.
const DAYS_BEHIND: i32 = 1;
/// How often partitions are looked after.
const PARTITIONS_INTERVAL: Duration = Duration::from_hours(1);
/// How soon it is tried again when it failed. Each attempt can make others wait for a moment.
const PARTITIONS_RETRY: Duration = Duration::from_mins(1);
/// How often idempotency keys past their time are forgotten.
const KEYS_INTERVAL: Duration = Duration::from_mins(1);
/// How many of them at once.
const KEYS_AT_MOST: u32 = 10_000;
/// How many dead letters past retention are deleted at once.
const DEAD_LETTERS_AT_MOST: i64 = 1_000;
/// How often counts are added up.
const FOLD_INTERVAL: Duration = Duration::from_secs(10);

/// For how many days after its last moment a day's messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    days: u16,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Missing partitions, the most urgent first.
    pub make: Vec<Partition>,
    /// Partitions past retention, oldest first.
    pub remove: Vec<Partition>,
    /// Of what is in no partition of its own, dead letters included, everything before this day is past retention.
    pub kept_from: Date,
}

/// What one look at the partitions changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Partitions made.
    pub made: usize,
    /// Partitions dropped.
    pub removed: usize,
    /// Rows of the default partitions deleted.
    pub strays_deleted: u64,
    /// Dead letters deleted.
    pub dead_letters_deleted: u64,
}

/// Not a usable retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of days from 2d to 3650d, such as 90d")]
pub struct InvalidRetention;

impl Retention {
    /// Today and yesterday are never past retention, whatever the clocks say; and a day costs a partition.
    pub fn of_days(days: u16) -> Result<Self, InvalidRetention> {
        if (2..=3650).contains(&days) { Ok(Self { days }) } else { Err(InvalidRetention) }
    }
}

impl Retention {
    /// How far ahead a message may be scheduled, so that its partition is still there then, with a day to be sent in.
    pub fn longest_delay(self) -> Duration {
        LONGEST_DELAY.min(Duration::from_hours(24 * (u64::from(self.days) - 1)))
    }
}

impl FromStr for Retention {
    type Err = InvalidRetention;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let days = text.strip_suffix('d').filter(|days| days.bytes().all(|byte| byte.is_ascii_digit()));
        Self::of_days(days.and_then(|days| days.parse().ok()).ok_or(InvalidRetention)?)
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}d", self.days)
    }
}

/// Decides what to do about partitions.
pub fn plan(existing: &[Partition], now: Timestamp, retention: Retention) -> Plan {
    let kept_from = day(now, -i32::from(retention.days));
    let mut remove: Vec<_> = existing.iter().copied().filter(|partition| partition.day < kept_from).collect();
    remove.sort_unstable();
    Plan { make: missing(existing, now), remove, kept_from }
}

/// The partitions that should be there but are not: today's first.
fn missing(existing: &[Partition], now: Timestamp) -> Vec<Partition> {
    let days = (0..=DAYS_AHEAD).chain(-DAYS_BEHIND..0);
    days.flat_map(|days| Table::ALL.map(|table| Partition { day: day(now, days), table }))
        .filter(|partition| !existing.contains(partition))
        .collect()
}

fn day(now: Timestamp, days_later: i32) -> Date {
    day_of(now).saturating_add(Span::new().days(days_later))
}

/// Makes the missing partitions through a connection of the caller's, so that a new database has them before
/// anything else happens.
pub async fn make_missing_partitions(db: &mut PgConnection) -> sqlx::Result<()> {
    let existing = partitions::existing(db).await?;
    for partition in missing(&existing.partitions, existing.now) {
        told(partition, partitions::make(db, partition).await?);
    }
    Ok(())
}

/// Maintains the database for as long as it is awaited.
pub async fn run(store: Store, retention: Retention) {
    tokio::join!(keep_partitions(&store, retention), keep_counts_small(&store), forget_old_keys(&store));
}

async fn keep_partitions(store: &Store, retention: Retention) {
    let outage = Outage::new("making and dropping partitions");
    loop {
        let pause = match tend_partitions(store, retention).await {
            Ok(_) => {
                outage.worked();
                PARTITIONS_INTERVAL
            }
            Err(error) => {
                outage.failed(&error);
                PARTITIONS_RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn keep_counts_small(store: &Store) {
    let outage = Outage::new("adding up counts");
    loop {
        match store.fold_changes().await {
            Ok(Folded::Everything) => outage.worked(),
            Ok(Folded::AsMuchAsAtOnce) => continue,
            Err(error) => outage.failed(&error),
        }
        tokio::time::sleep(FOLD_INTERVAL).await;
    }
}

async fn forget_old_keys(store: &Store) {
    let outage = Outage::new("forgetting idempotency keys");
    loop {
        match store.forget_old_keys(KEYS_AT_MOST.into()).await {
            Ok(forgotten) => {
                outage.worked();
                if forgotten >= KEYS_AT_MOST.into() {
                    continue;
                }
            }
            Err(error) => outage.failed(&error),
        }
        tokio::time::sleep(KEYS_INTERVAL).await;
    }
}

/// Looks once at what partitions there are, and does what [`plan`] says; then deletes dead letters past retention.
/// Ends at the first failure: the next change would make others wait just as long.
pub async fn tend_partitions(store: &Store, retention: Retention) -> Result<Tended, Error> {
    let existing = store.partitions().await?;
    let plan = plan(&existing.partitions, existing.now, retention);
    let mut tended = Tended::default();
    for partition in plan.make {
        let made = store.make_partition(partition).await?;
        told(partition, made);
        tended.made += usize::from(matches!(made, Made::New { .. }));
    }
    for partition in plan.remove {
        if store.remove_partition(partition).await? {
            tracing::info!(%partition, %retention, "dropped a partition past retention");
            tended.removed += 1;
        }
    }
    for table in Table::ALL {
        loop {
            let deleted = store.delete_strays(table, plan.kept_from).await?;
            tended.strays_deleted += deleted;
            if deleted == 0 {
                break;
            }
        }
    }
    loop {
        let deleted = store.delete_dead_letters(partitions::first_id(plan.kept_from), DEAD_LETTERS_AT_MOST).await?;
        tended.dead_letters_deleted += deleted;
        if deleted == 0 {
            break;
        }
    }
    store.count_as_removed(plan.kept_from).await?;
    Ok(tended)
}

fn told(partition: Partition, made: Made) {
    match made {
        Made::New { moved: 0 } => tracing::info!(%partition, "made a partition"),
        Made::New { moved } => tracing::info!(%partition, moved, "made a partition for rows that had none"),
        Made::AlreadyThere => {}
        Made::LeftInDefault => tracing::warn!(%partition, "too many rows wait for this partition, leaving them"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const NOW: &str = "2026-03-02T00:00:00Z";

    fn at(moment: &str) -> Timestamp {
        moment.parse().expect("a time")
    }

    fn every(day: Date) -> [Partition; 4] {
        Table::ALL.map(|table| Partition { day, table })
    }

    fn all(days: &[Date]) -> Vec<Partition> {
        days.iter().copied().flat_map(every).collect()
    }

    #[track_caller]
    fn check(existing: &[Partition], now: &str, days: u16, make: &[Partition], remove: &[Partition]) {
        let plan = plan(existing, at(now), Retention::of_days(days).expect("a valid retention"));
        assert_eq!((plan.make.as_slice(), plan.remove.as_slice()), (make, remove));
    }

    #[test]
    fn a_new_database_gets_today_first_then_the_days_ahead_and_yesterday() {
        let days = [date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 1)];
        check(&[], NOW, 90, &all(&days), &[]);
    }

    #[test]
    fn where_everything_is_there_nothing_is_done() {
        let days = [1, 2, 3, 4, 5].map(|day| date(2026, 3, day));
        check(&all(&days), NOW, 2, &[], &[]);
        check(&all(&days), "2026-03-02T23:59:59.999Z", 2, &[], &[]);
    }

    #[test]
    fn at_midnight_one_day_comes_and_one_goes() {
        let days: Vec<_> = (date(2026, 2, 27).series(Span::new().days(1))).take(6).collect();
        check(&all(&days), "2026-03-01T23:59:59.999Z", 2, &[], &[]);
        check(&all(&days), NOW, 2, &every(date(2026, 3, 5)), &every(date(2026, 2, 27)));
    }

    #[test]
    fn a_day_goes_only_when_its_last_moment_is_past_retention() {
        let days = [1, 2, 3, 4, 5].map(|day| date(2026, 3, day));
        let old = all(&[date(2025, 12, 2), date(2025, 12, 1), date(2020, 1, 1)]);
        let gone = all(&[date(2020, 1, 1), date(2025, 12, 1)]);
        check(&[all(&days), old].concat(), NOW, 90, &[], &gone);
    }

    #[test]
    fn a_table_that_a_migration_added_gets_its_own_partitions() {
        let days = [1, 2, 3, 4, 5].map(|day| date(2026, 3, day));
        let [rest @ .., new] = Table::ALL;
        let known: Vec<_> = days.iter().flat_map(|&day| rest.map(|table| Partition { day, table })).collect();
        let order = [1, 2, 3, 4, 0];
        let missing = order.map(|index| Partition { day: days[index], table: new });
        check(&known, NOW, 90, &missing, &[]);
    }

    #[test]
    fn what_lies_far_ahead_is_left_alone() {
        let days = [1, 2, 3, 4, 5].map(|day| date(2026, 3, day));
        check(&[all(&days), all(&[date(2027, 1, 1)])].concat(), NOW, 2, &[], &[]);
    }

    #[test]
    fn no_message_is_scheduled_for_a_time_at_which_it_is_gone() {
        for (days, hours) in [(2, 24), (7, 6 * 24), (31, 30 * 24), (90, 30 * 24)] {
            let retention = Retention::of_days(days).expect("a valid retention");
            assert_eq!(retention.longest_delay(), Duration::from_hours(hours), "{days}d");
        }
    }

    #[test]
    fn retention_is_whole_days_and_never_less_than_two() {
        for (text, days) in [("2d", 2), ("90d", 90), ("3650d", 3650)] {
            assert_eq!(text.parse(), Retention::of_days(days), "{text}");
            assert_eq!(Retention { days }.to_string(), text);
        }
        for text in ["", "d", "0d", "1d", "+9d", "-5d", "3651d", "99999999d", "90", "48h", "2.5d", " 90d"] {
            assert_eq!(text.parse::<Retention>(), Err(InvalidRetention), "{text}");
        }
    }
}
