//! A partition a day, made ahead and dropped after retention.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::{Span, Timestamp, civil::Date};
use reqwest::Method;
use sms_api::{
    maintenance::{Retention, Tended, tend_partitions},
    migrate,
    store::{
        self, Store,
        partitions::{Made, Partition, Table, day_of, first_id},
    },
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    replica::{Replica, eventually},
    topic::Topic,
};

fn store(database: &PgPool) -> Store {
    Store::new(store::connect_lazily((*database.connect_options()).clone()))
}

fn retention(days: u16) -> Retention {
    Retention::of_days(days).expect("a valid retention")
}

fn days_from_now(days: i32) -> Date {
    day_of(Timestamp::now()).saturating_add(Span::new().days(days))
}

fn partition(table: Table, later: i32) -> Partition {
    Partition { table, day: days_from_now(later) }
}

/// Some moment of a day, as an id.
fn id_of(day: Date) -> Uuid {
    Uuid::from_u128(first_id(day).as_u128() + (43_200_000 << 80) + 1)
}

async fn insert(database: &PgPool, id: Uuid) {
    sqlx::query("insert into message (id, tenant, sender, recipient, text) values ($1, 'default', '+12', '+13', 'x')")
        .bind(id)
        .execute(database)
        .await
        .expect("a row");
}

async fn insert_event(database: &PgPool, id: Uuid) {
    sqlx::query("insert into message_event (message_id, at, status, attempt) values ($1, now(), 'FAILED', 1)")
        .bind(id)
        .execute(database)
        .await
        .expect("a row");
}

/// The table in which each message lies.
async fn places(database: &PgPool) -> BTreeMap<Uuid, String> {
    let rows: Vec<(Uuid, String)> =
        sqlx::query_as("select id, tableoid::regclass::text from message").fetch_all(database).await.expect("rows");
    rows.into_iter().collect()
}

async fn names(database: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select relname::text from pg_inherits join pg_class on pg_class.oid = inhrelid
         where inhparent in ('message'::regclass, 'message_event'::regclass, 'rare_status'::regclass, 'claim'::regclass)
         order by 1",
    )
    .fetch_all(database)
    .await
    .expect("names")
}

/// What a new database has.
fn defaults() -> [String; 4] {
    ["claim", "message", "message_event", "rare_status"].map(|table| format!("{table}_default"))
}

/// What a database should have that is maintained.
fn names_of_these_days() -> Vec<String> {
    let of = |table: Table| (-1..=3).map(move |day| partition(table, day).to_string());
    let mut names: Vec<_> = Table::ALL.into_iter().flat_map(of).chain(defaults()).collect();
    names.sort_unstable();
    names
}

#[sqlx::test(migrations = false)]
async fn a_migrated_database_has_the_partitions_of_these_days(database: PgPool) {
    let options = (*database.connect_options()).clone();
    for _ in 0..2 {
        migrate::run(&options, &CancellationToken::new()).await.expect("PostgreSQL is there");
        assert_eq!(names(&database).await, names_of_these_days());
    }
    let replica = Replica::start(&database, &Topic::create().await).await;
    let id: Uuid = replica.accepted("today").await.parse().expect("a UUID");
    assert_eq!(places(&database).await[&id], partition(Table::Message, 0).to_string());
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_running_replica_makes_what_is_missing(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    eventually("all partitions", async || (names(&database).await == names_of_these_days()).then_some(())).await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_message_lies_in_the_partition_of_its_day(database: PgPool) {
    tend_partitions(&store(&database), retention(90)).await.expect("PostgreSQL is there");
    let mut expected = BTreeMap::new();
    for days in -1..=3 {
        let day = days_from_now(days);
        let last = Uuid::from_u128(first_id(day.saturating_add(Span::new().days(1))).as_u128() - 1);
        for id in [first_id(day), id_of(day), last] {
            insert(&database, id).await;
            expected.insert(id, partition(Table::Message, days).to_string());
        }
    }
    for id in [id_of(days_from_now(-2)), id_of(days_from_now(4)), Uuid::max()] {
        insert(&database, id).await;
        expected.insert(id, "message_default".to_owned());
    }
    assert_eq!(places(&database).await, expected);
}

#[sqlx::test(migrations = "./migrations")]
async fn what_came_before_its_partition_moves_into_it(database: PgPool) {
    let (today, tomorrow, far) = (id_of(days_from_now(0)), id_of(days_from_now(1)), id_of(days_from_now(40)));
    for id in [today, tomorrow, far] {
        insert(&database, id).await;
        insert_event(&database, id).await;
    }
    let tended = tend_partitions(&store(&database), retention(90)).await.expect("PostgreSQL is there");
    assert_eq!(tended, Tended { made: 20, ..Tended::default() });
    let expected = [(today, partition(Table::Message, 0)), (tomorrow, partition(Table::Message, 1))]
        .map(|(id, partition)| (id, partition.to_string()));
    let expected: BTreeMap<_, _> = expected.into_iter().chain([(far, "message_default".to_owned())]).collect();
    assert_eq!(places(&database).await, expected);
    let events: Vec<Uuid> =
        sqlx::query_scalar("select message_id from message_event order by 1").fetch_all(&database).await.expect("rows");
    assert_eq!(events, [today, tomorrow, far]);
}

#[sqlx::test(migrations = "./migrations")]
async fn more_strays_than_can_be_moved_in_a_moment_stay_and_remain_readable(database: PgPool) {
    sqlx::query(
        "insert into message (id, tenant, sender, recipient, text)
         select uuidv7(make_interval(secs => n / 1000.0)), 'default', '+12', '+13', 'x' from generate_series(0, 10500) as n",
    )
    .execute(&database)
    .await
    .expect("rows");
    let store = store(&database);
    // The rows may lie on both sides of midnight.
    tend_partitions(&store, retention(90)).await.expect("PostgreSQL is there");
    let (left,): (i64,) =
        sqlx::query_as("select count(*) from message_default").fetch_one(&database).await.expect("a count");
    let today = partition(Table::Message, 0);
    let remade = store.make_partition(today).await.expect("PostgreSQL is there");
    if left > 0 {
        assert_eq!((left, remade), (10_501, Made::LeftInDefault));
    } else {
        assert_eq!(remade, Made::AlreadyThere);
    }
    let tomorrow = partition(Table::Message, 1);
    assert_eq!(store.make_partition(tomorrow).await.expect("PostgreSQL is there"), Made::AlreadyThere);
}

#[sqlx::test(migrations = "./migrations")]
async fn a_day_past_retention_goes_with_everything_in_it_and_a_younger_one_stays(database: PgPool) {
    let store = store(&database);
    let old = [-100, -12, -11].map(days_from_now);
    let kept = [-10, -9, 0].map(days_from_now);
    for day in old.into_iter().chain(kept).filter(|day| *day != days_from_now(-100)) {
        for table in Table::ALL {
            store.make_partition(Partition { day, table }).await.expect("PostgreSQL is there");
        }
    }
    for day in old.into_iter().chain(kept) {
        insert(&database, id_of(day)).await;
        insert_event(&database, id_of(day)).await;
    }
    let tended = tend_partitions(&store, retention(10)).await.expect("PostgreSQL is there");
    assert_eq!((tended.removed, tended.strays_deleted), (8, 2), "the oldest had no partition of its own");
    assert_eq!(places(&database).await.into_keys().collect::<Vec<_>>(), kept.map(id_of));
    let events: Vec<Uuid> =
        sqlx::query_scalar("select message_id from message_event order by 1").fetch_all(&database).await.expect("rows");
    assert_eq!(events, kept.map(id_of));
    let again = tend_partitions(&store, retention(10)).await.expect("PostgreSQL is there");
    assert_eq!(again, Tended::default());

    let replica = Replica::start(&database, &Topic::create().await).await;
    for (id, status) in [(id_of(old[2]), 404), (id_of(kept[0]), 200)] {
        let path = format!("/v1/messages/{id}");
        assert_eq!(replica.public(Method::GET, &path).send().await.expect("an answer").status(), status);
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn of_many_maintainers_at_once_each_change_is_made_by_one(database: PgPool) {
    let maintainers: Vec<Store> = (0..6).map(|_| store(&database)).collect();
    for days in [-20, -19, -18] {
        maintainers[0].make_partition(partition(Table::Message, days)).await.expect("PostgreSQL is there");
    }
    // One that gives up because it had to wait too long has made nothing, and comes again.
    let tended = join_all(
        maintainers
            .iter()
            .map(async |store| eventually("a turn", async || tend_partitions(store, retention(10)).await.ok()).await),
    )
    .await;
    let (made, removed) = tended.iter().fold((0, 0), |(m, r), tended| (m + tended.made, r + tended.removed));
    assert!(made <= 20 && removed <= 3, "{tended:?}");
    assert_eq!(names(&database).await, names_of_these_days());
}

#[sqlx::test(migrations = "./migrations")]
async fn a_change_that_would_make_others_wait_gives_up_and_passes_later(database: PgPool) {
    let store = store(&database);
    let mut dump = database.begin().await.expect("a transaction");
    sqlx::query("select count(*) from message").execute(&mut *dump).await.expect("a count");
    tend_partitions(&store, retention(90)).await.expect_err("the dump is in the way");
    assert_eq!(names(&database).await, defaults());
    insert(&database, id_of(days_from_now(0))).await;
    dump.commit().await.expect("the end of the dump");
    assert_eq!(tend_partitions(&store, retention(90)).await.expect("nothing in the way").made, 20);
}

/// While rows move they must be found all the same, by every report.
#[sqlx::test(migrations = "./migrations")]
async fn messages_and_reports_get_through_while_partitions_are_made(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let texts: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let ids = join_all(texts.iter().map(async |text| {
        let id = replica.accepted(text).await;
        let report = serde_json::json!({ "message_id": id, "status": "SENT" });
        // A processor repeats a report that had to wait for too long.
        eventually("the report", async || (replica.report(&report).await.status() == 200).then_some(())).await;
        id
    }));
    let store = store(&database);
    let maintenance = async {
        // Takes the partitions away under the load, rows and all back into the default one, and makes them anew.
        eventually("all partitions", async || tend_partitions(&store, retention(90)).await.ok()).await;
        for _ in 0..10 {
            let today = partition(Table::Message, 0);
            let back = format!(
                "lock table message in access exclusive mode;
                 alter table message detach partition {today};
                 insert into message select * from {today};
                 drop table {today}"
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(back)).execute(&database).await.expect("rows moved back");
            eventually("the partition", async || store.make_partition(today).await.ok()).await;
        }
    };
    let (ids, ()) = tokio::join!(ids, maintenance);
    for id in ids {
        assert_eq!(replica.message(&id).await["status"], "SENT");
    }
    replica.stop().await;
}
