//! Counts that are kept as messages move, and always agree with the messages.

use std::collections::BTreeMap;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sms_api::{
    maintenance::{Retention, tend_partitions},
    message::Status,
    store::{self, Folded, Store},
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    replica::{Replica, eventually, message},
    topic::Topic,
};

async fn statistics(replica: &Replica) -> Value {
    // A question that had to wait for too long, behind many reports, is asked again.
    let response = eventually("an answer", async || {
        let response = replica.public(Method::GET, "/v1/messages/stats").send().await.expect("an answer");
        (response.status() != 503).then_some(response)
    });
    let response = response.await;
    assert_eq!(response.status(), 200);
    response.json().await.expect("a JSON body")
}

fn store(database: &PgPool) -> Store {
    Store::new(store::connect_lazily((*database.connect_options()).clone()))
}

async fn fold(store: &Store) {
    assert_eq!(store.fold_changes().await.expect("PostgreSQL is there"), Folded::Everything);
}

/// What counting all messages says.
async fn scan(database: &PgPool) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("select status, count(*) from message group by status").fetch_all(database).await.expect("rows");
    rows.into_iter().collect()
}

async fn rows(database: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from status_change").fetch_one(database).await.expect("a count")
}

async fn age(database: &PgPool, by: &str) {
    sqlx::query("update status_change set at = at - $1::text::interval where at > '-infinity'")
        .bind(by)
        .execute(database)
        .await
        .expect("older rows");
}

#[sqlx::test(migrations = "./migrations")]
async fn without_messages_every_figure_is_there_and_zero(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let none = json!({ "accepted": 0, "sent": 0, "failed": 0 });
    assert_eq!(
        statistics(&replica).await,
        json!({
            "total_messages": 0, "pending_messages": 0, "sent_messages": 0, "failed_messages": 0, "success_rate": 0.0,
            "by_status": {
                "PENDING": 0, "SENT": 0, "FAILED": 0, "SCHEDULED": 0, "CANCELED": 0, "EXPIRED": 0, "UNKNOWN": 0,
            },
            "last_minute": none, "last_hour": none, "last_day": none,
        })
    );
    let posted = replica.public(Method::POST, "/v1/messages/stats").send().await.expect("an answer");
    assert_eq!(posted.status(), 405);
    replica.stop().await;
}

/// Posts, some of them refused by PostgreSQL, reports in all orders, repeated, late, on older attempts and on
/// unknown messages, from two replicas, while counts are folded and read.
#[sqlx::test(migrations = "./migrations")]
async fn statistics_equal_a_scan_after_everything_at_once(database: PgPool) {
    let topic = Topic::create().await;
    let replicas = [Replica::start(&database, &topic).await, Replica::start(&database, &topic).await];
    sqlx::query("alter table message add constraint no_poison check (text not like 'poison%')")
        .execute(&database)
        .await
        .expect("a new constraint");
    let (store, done) = (store(&database), CancellationToken::new());
    let traffic = async {
        join_all((0..120_usize).map(async |n| {
            let replica = &replicas[n % 2];
            let response = replica.post(&message(&n.to_string())).await;
            assert_eq!(response.status(), 202);
            let body: Value = response.json().await.expect("a JSON body");
            let report =
                |status, attempt: i64| json!({ "message_id": body["id"], "status": status, "attempt": attempt });
            let reports = match n % 10 {
                0 | 1 => vec![],
                2 => vec![report("SENT", 0)],
                3..=5 => vec![report("FAILED", 1), report("SENT", 1), report("FAILED", 2)],
                _ => vec![report("SENT", 1), report("SENT", 1), report("FAILED", 1)],
            };
            let unknown = json!({ "message_id": Uuid::now_v7(), "status": "SENT" });
            // A processor repeats a report that had to wait for too long.
            let until_answered = async |report| {
                let replica = &replicas[(n + 1) % 2];
                eventually("an answer", async || (replica.report(report).await.status() != 503).then_some(())).await;
            };
            join_all(reports.iter().chain([&unknown]).map(until_answered)).await;
        }))
        .await;
        assert_eq!(replicas[0].post(&message("poison")).await.status(), 500);
        done.cancel();
    };
    let reading = async {
        let mut total = 0;
        while !done.is_cancelled() {
            fold(&store).await;
            let seen = statistics(&replicas[0]).await;
            let by_status: i64 =
                ["PENDING", "SENT", "FAILED"].iter().filter_map(|s| seen["by_status"][s].as_i64()).sum();
            let seen = seen["total_messages"].as_i64().expect("a number");
            assert!(seen == by_status && seen >= total, "{seen} after {total}, {by_status} by status");
            total = seen;
        }
    };
    tokio::join!(traffic, reading);

    let scanned = scan(&database).await;
    assert_eq!(scanned.values().sum::<i64>(), 120);
    assert_eq!(scanned["PENDING"], 36);
    let (sent, failed) = (scanned["SENT"], scanned["FAILED"]);
    for _ in 0..2 {
        let found = statistics(&replicas[1]).await;
        for (status, count) in &scanned {
            assert_eq!(found["by_status"][status], *count);
        }
        assert_eq!(
            [&found["total_messages"], &found["pending_messages"], &found["sent_messages"], &found["failed_messages"]],
            [120, scanned["PENDING"], sent, failed].map(|count| json!(count)).each_ref()
        );
        let [sent_share, finished] = [sent, sent + failed].map(|count| f64::from(i32::try_from(count).expect("few")));
        assert_eq!(found["success_rate"], json!(sent_share / finished));
        for span in ["last_minute", "last_hour", "last_day"] {
            assert_eq!(found[span], json!({ "accepted": 120, "sent": sent, "failed": failed }), "{span}");
        }
        fold(&store).await;
    }
    for replica in replicas {
        replica.stop().await;
    }
}

#[sqlx::test(migrations = "./migrations")]
async fn folding_keeps_the_table_small_and_every_figure_as_it_is(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    for n in 0..20 {
        let id = replica.accepted(&n.to_string()).await;
        let status = if n % 4 == 0 { "FAILED" } else { "SENT" };
        replica.report(&json!({ "message_id": id, "status": status })).await;
    }
    let store = store(&database);
    let figures = async |spans: &[&str]| {
        let mut found = statistics(&replica).await;
        let all = json!({ "accepted": 20, "sent": 15, "failed": 5 });
        let none = json!({ "accepted": 0, "sent": 0, "failed": 0 });
        for span in ["last_minute", "last_hour", "last_day"] {
            assert_eq!(found[span].take(), if spans.contains(&span) { all.clone() } else { none.clone() }, "{span}");
        }
        found
    };
    let before = figures(&["last_minute", "last_hour", "last_day"]).await;
    fold(&store).await;
    assert_eq!(figures(&["last_minute", "last_hour", "last_day"]).await, before);
    // The twenty took a few seconds; of each there is a row for each of the three changes.
    assert!(rows(&database).await < 40, "{} rows", rows(&database).await);
    for (later, spans, most) in [
        ("5 minutes", &["last_hour", "last_day"][..], 6),
        ("2 hours", &["last_day"], 6),
        ("25 hours", &[], 3),
        ("25 hours", &[], 3),
    ] {
        age(&database, later).await;
        assert_eq!(figures(spans).await, before, "{later} later");
        fold(&store).await;
        assert_eq!(figures(spans).await, before, "{later} later, folded");
        assert!(rows(&database).await <= most, "{} rows after {later}", rows(&database).await);
    }
    replica.accepted("a new one").await;
    age(&database, "25 hours").await;
    fold(&store).await;
    assert_eq!(rows(&database).await, 3);
    assert_eq!(statistics(&replica).await["total_messages"], 21);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn folding_by_many_at_once_loses_nothing(database: PgPool) {
    sqlx::query(
        "insert into status_change (at, day, tenant, to_status, messages)
         select now() - make_interval(secs => n * 1.7), current_date, 'default', 'PENDING', 1 from generate_series(1, 120000) as n",
    )
    .execute(&database)
    .await
    .expect("rows");
    let stores: Vec<_> = (0..5).map(|_| store(&database)).collect();
    join_all(stores.iter().map(async |store| {
        while store.fold_changes().await.expect("PostgreSQL is there") == Folded::AsMuchAsAtOnce {}
    }))
    .await;
    fold(&stores[0]).await;
    let flows = stores[0].flows("default").await.expect("PostgreSQL is there");
    assert_eq!(flows.iter().map(|flow| flow.ever).collect::<Vec<_>>(), [120_000]);
    assert!(rows(&database).await < 2_000, "{} rows", rows(&database).await);
}

#[sqlx::test(migrations = "./migrations")]
async fn totals_outlive_the_messages_that_retention_removes(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let id: Uuid = replica.accepted("old").await.parse().expect("a UUID");
    replica.report(&json!({ "message_id": id, "status": "SENT" })).await;
    // A message of the year 2010, as if it had been accepted then.
    sqlx::query("update message set id = '0128d5a0-0000-7000-8000-000000000000' where id = $1")
        .bind(id)
        .execute(&database)
        .await
        .expect("a row");
    let store = store(&database);
    let retention = Retention::of_days(90).expect("a valid retention");
    tend_partitions(&store, retention).await.expect("PostgreSQL is there");
    assert_eq!(scan(&database).await, BTreeMap::new());
    let found = statistics(&replica).await;
    assert_eq!((&found["total_messages"], &found["sent_messages"]), (&json!(1), &json!(1)));
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn counts_of_what_is_still_there_leave_out_what_retention_removes(database: PgPool) {
    let store = store(&database);
    let retention = Retention::of_days(90).expect("a valid retention");
    sqlx::query(
        "insert into status_change (at, day, tenant, from_status, to_status, messages)
         select now() - make_interval(days => days), current_date - days, 'default', flow[1], flow[2], flow[3]::integer
         from unnest(array[0, 30, 89, 92, 200, 201]) as days,
             lateral (values (array[null, 'PENDING', '5']), (array['PENDING', 'SENT', '3'])) as flows (flow)",
    )
    .execute(&database)
    .await
    .expect("rows");
    let totals = async || {
        let total = async |status| store.total("default", status).await.expect("PostgreSQL is there");
        [total(None).await, total(Some(Status::Pending)).await, total(Some(Status::Sent)).await]
    };
    assert_eq!(totals().await, [30, 12, 18]);
    for _ in 0..2 {
        tend_partitions(&store, retention).await.expect("PostgreSQL is there");
        assert_eq!(totals().await, [15, 6, 9]);
        fold(&store).await;
        assert_eq!(totals().await, [15, 6, 9]);
        let flows = store.flows("default").await.expect("PostgreSQL is there");
        assert_eq!(flows.iter().map(|flow| flow.ever).sum::<i64>(), 6 * (5 + 3));
    }
    // Two for each day that is kept, and two for all others.
    assert_eq!(rows(&database).await, 2 * (3 + 1));
    assert_eq!(store.total("other", None).await.expect("PostgreSQL is there"), 0);
}

#[sqlx::test(migrations = "./migrations")]
async fn a_message_counts_for_the_day_in_its_id(database: PgPool) {
    for (id, expected) in [
        ("01a205b3-d000-7000-8000-000000000000", "2026-11-23"),
        ("01a205b3-cfff-7fff-bfff-ffffffffffff", "2026-11-22"),
        ("00000000-0000-0000-0000-000000000000", "1970-01-01"),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", "10889-08-02"),
    ] {
        let day: String = sqlx::query_scalar("select message_day($1::uuid)::text")
            .bind(id.parse::<Uuid>().expect("a UUID"))
            .fetch_one(&database)
            .await
            .expect("a day");
        assert_eq!(day, expected, "{id}");
    }
}
