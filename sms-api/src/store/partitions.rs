//! Day partitions: which there are, and how one is made or removed. Which ones should be there is not decided
//! here.
//!
//! To partition another table by day: a variant of [`Table`], and in its migration a `…_default` partition and a
//! key that is a message's id.

use std::fmt;

use jiff::{
    Timestamp,
    civil::Date,
    tz::{self, TimeZone},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::{Error, Store};
use crate::message::first_id_at;

/// Advisory lock of this database under which one replica at a time changes partitions.
const LOCK: i64 = 0x736d_735f_7061_7274;
/// While a change waits for its lock, all statements on the table wait behind it, so it must not wait long. A
/// dump or another long statement makes it fail; it is tried again later.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '200ms'";
/// A connection of `sms-api migrate` has no limit of its own.
const STATEMENT_TIMEOUT: &str = "set local statement_timeout = '4s'";
/// How full pages are made: the rest takes the second version of a row, its final status, so that the change
/// stays on the page and touches no index (a HOT update).
const FILL_FACTOR: u8 = 85;
/// How many rows a new partition takes over from the default one, in the moment in which nothing else can happen
/// to the table.
const MOVED_AT_MOST: i64 = 10_000;
/// How many rows of the default partition are deleted at once.
const DELETED_AT_MOST: i64 = 5_000;

/// A table that has a partition a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// The messages.
    Message,
    /// The states that they went through.
    MessageEvent,
    /// The messages by their status, where it is a rare one.
    RareStatus,
    /// Attempts announced by processors.
    Claim,
}

/// The partition of one table for one day (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    /// The day.
    pub day: Date,
    /// The table.
    pub table: Table,
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// By the clock of the database: no replica's wrong clock shall make it drop what is young.
    pub now: Timestamp,
    /// All partitions but the default ones.
    pub partitions: Vec<Partition>,
}

/// What became of a partition that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is there, and took over this many rows from the default one.
    New {
        /// Rows taken over.
        moved: u64,
    },
    /// Somebody else was faster.
    AlreadyThere,
    /// The default one holds so many rows of this day that moving them would stop the service for too long; they
    /// and the rest of the day stay there, which costs nothing but `DROP TABLE` at the end.
    LeftInDefault,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Message, Self::MessageEvent, Self::RareStatus, Self::Claim];

    fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::MessageEvent => "message_event",
            Self::RareStatus => "rare_status",
            Self::Claim => "claim",
        }
    }

    /// The column by which it is partitioned.
    fn key(self) -> &'static str {
        match self {
            Self::Message => "id",
            Self::MessageEvent | Self::RareStatus | Self::Claim => "message_id",
        }
    }
}

impl Partition {
    fn name(self) -> String {
        format!("{}_{}", self.table.name(), self.day.strftime("%Y%m%d"))
    }

    /// Anything else, the default partition above all, is not ours to name or to drop.
    fn parse(name: &str) -> Option<Self> {
        let (table, day) = name.rsplit_once('_')?;
        let table = Table::ALL.into_iter().find(|known| known.name() == table)?;
        let day = Date::strptime("%Y%m%d", day).ok()?;
        Some(Self { day, table }).filter(|partition| partition.name() == name)
    }

    fn first_id(self) -> Uuid {
        first_id(self.day)
    }

    fn end(self) -> Uuid {
        first_id(self.day.saturating_add(jiff::Span::new().days(1)))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name())
    }
}

/// The smallest id that a message of this day can have.
pub fn first_id(day: Date) -> Uuid {
    let start = tz::Offset::UTC.to_timestamp(day.to_datetime(jiff::civil::Time::midnight()));
    start.map_or(Uuid::nil(), first_id_at)
}

/// The day (UTC) of a moment.
pub fn day_of(moment: Timestamp) -> Date {
    moment.to_zoned(TimeZone::UTC).date()
}

/// Which partitions there are.
pub async fn existing(db: &mut PgConnection) -> sqlx::Result<Existing> {
    let found = sqlx::query!(
        r#"select now() as "now!", array(
             select relname::text from pg_inherits join pg_class on pg_class.oid = inhrelid
             where inhparent = any(array['message', 'message_event', 'rare_status', 'claim']::regclass[])
         ) as "names!""#,
    )
    .fetch_one(db)
    .await?;
    let partitions = found.names.iter().filter_map(|name| Partition::parse(name)).collect();
    Ok(Existing { now: found.now.to_jiff(), partitions })
}

/// Makes the partition, and moves into it what the default one held for it; or does nothing.
pub async fn make(db: &mut PgConnection, partition: Partition) -> sqlx::Result<Made> {
    let (table, key, name) = (partition.table.name(), partition.table.key(), partition.name());
    let (first, end) = (partition.first_id(), partition.end());
    alone(db, async |db| {
        if is_there(db, &name).await? {
            return Ok(Made::AlreadyThere);
        }
        let strays = format!(
            "select count(*) from (select from {table}_default where {key} >= $1 and {key} < $2 limit $3) as strays"
        );
        let (strays,): (i64,) = sqlx::query_as(AssertSqlSafe(strays))
            .bind(first)
            .bind(end)
            .bind(MOVED_AT_MOST + 1)
            .fetch_one(&mut *db)
            .await?;
        if strays > MOVED_AT_MOST {
            return Ok(Made::LeftInDefault);
        }
        // The lock comes first, and is the strongest: whoever reads or writes waits before it looks for the
        // partition of a row, so nobody looks for a row where it is no more.
        execute(db, format!("lock table only {table} in access exclusive mode")).await?;
        execute(db, format!("create table {name} (like {table} including all) with (fillfactor = {FILL_FACTOR})"))
            .await?;
        let moved = execute(
            db,
            format!(
                "with moved as (
                     delete from {table}_default where {key} >= '{first}' and {key} < '{end}' returning *
                 )
                 insert into {name} select * from moved"
            ),
        )
        .await?;
        let bounds = format!("for values from ('{first}') to ('{end}')");
        execute(db, format!("alter table {table} attach partition {name} {bounds}")).await?;
        Ok(Made::New { moved })
    })
    .await
}

/// Drops the partition with all that is in it; says whether it was still there.
async fn remove(db: &mut PgConnection, partition: Partition) -> sqlx::Result<bool> {
    let name = partition.name();
    alone(db, async |db| {
        let there = is_there(db, &name).await?;
        if there {
            execute(db, format!("drop table {name}")).await?;
        }
        Ok(there)
    })
    .await
}

/// Deletes from the default partition what is older than the day, in part when it is much.
async fn delete_strays(db: &mut PgConnection, table: Table, before: Date) -> sqlx::Result<u64> {
    let (key, name) = (table.key(), table.name());
    let statement = format!(
        "delete from {name}_default
         where ctid = any(array(select ctid from {name}_default where {key} < $1 limit $2))"
    );
    let deleted =
        sqlx::query(AssertSqlSafe(statement)).bind(first_id(before)).bind(DELETED_AT_MOST).execute(db).await?;
    Ok(deleted.rows_affected())
}

/// Runs `change` in a transaction of its own that nobody else's change runs beside, and that gives up soon when
/// it would make others wait.
async fn alone<T>(
    db: &mut PgConnection,
    change: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    let mut transaction = db.begin().await?;
    let changed = async {
        execute(&mut transaction, LOCK_TIMEOUT.to_owned()).await?;
        execute(&mut transaction, STATEMENT_TIMEOUT.to_owned()).await?;
        sqlx::query!("select pg_advisory_xact_lock($1)", LOCK).execute(&mut *transaction).await?;
        change(&mut transaction).await
    }
    .await;
    match changed {
        Ok(result) => transaction.commit().await.map(|()| result),
        Err(error) => {
            // Now, not when the connection is used again: the locks would last until then.
            transaction.rollback().await?;
            Err(error)
        }
    }
}

async fn is_there(db: &mut PgConnection, name: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select to_regclass($1) is not null as "is_there!""#, name).fetch_one(db).await
}

/// Names and ids are made here, of letters, digits and dashes, and cannot be bound in a definition.
async fn execute(db: &mut PgConnection, statement: String) -> sqlx::Result<u64> {
    Ok(sqlx::raw_sql(AssertSqlSafe(statement)).execute(db).await?.rows_affected())
}

impl Store {
    /// Which partitions there are.
    pub async fn partitions(&self) -> Result<Existing, Error> {
        self.run(existing).await
    }

    /// Makes the partition, or finds it made.
    pub async fn make_partition(&self, partition: Partition) -> Result<Made, Error> {
        self.run(async |db| make(db, partition).await).await
    }

    /// Drops the partition with all that is in it; says whether it was still there.
    pub async fn remove_partition(&self, partition: Partition) -> Result<bool, Error> {
        self.run(async |db| remove(db, partition).await).await
    }

    /// Deletes from the default partition what is older than the day, in part when it is much; says how much.
    pub async fn delete_strays(&self, table: Table, before: Date) -> Result<u64, Error> {
        self.run(async |db| delete_strays(db, table, before).await).await
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_day_holds_the_ids_that_were_made_in_it() {
        let day = Partition { day: date(2026, 11, 23), table: Table::Message };
        assert_eq!(day.first_id().to_string(), "01a205b3-d000-0000-0000-000000000000");
        for (moment, expected) in [
            ("2026-11-22T23:59:59.999Z", false),
            ("2026-11-23T00:00:00Z", true),
            ("2026-11-23T23:59:59.999Z", true),
            ("2026-11-24T00:00:00Z", false),
        ] {
            let moment: Timestamp = moment.parse().expect("a time");
            let seconds = u64::try_from(moment.as_second()).expect("after 1970");
            let nanoseconds = u32::try_from(moment.subsec_nanosecond()).expect("a fraction");
            let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanoseconds));
            assert_eq!((day.first_id()..day.end()).contains(&id), expected, "{moment}");
            assert_eq!(day_of(moment) == day.day, expected, "{moment}");
        }
    }

    #[test]
    fn only_what_we_would_name_so_is_a_partition_of_ours() {
        for table in Table::ALL {
            let partition = Partition { day: date(2026, 2, 3), table };
            assert_eq!(Partition::parse(&partition.name()), Some(partition));
        }
        assert_eq!(Partition { day: date(2026, 2, 3), table: Table::MessageEvent }.name(), "message_event_20260203");
        for other in ["message_default", "message_2026023", "message_20261301", "message", "outbox_20260203", ""] {
            assert_eq!(Partition::parse(other), None, "{other}");
        }
    }
}
