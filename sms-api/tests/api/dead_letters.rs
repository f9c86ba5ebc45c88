//! From the dead letter topic to the table, whatever happens on the way.

use std::time::{Duration, Instant};

use rdkafka::message::{Header, OwnedHeaders};
use serde_json::{Value, json};
use sms_api::{
    maintenance::{Retention, tend_partitions},
    store::{self, Store},
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::{
    dead_letter_topic::{DeadLetterTopic, listed, of_message, redrive},
    replica::{Replica, eventually},
    topic::Topic,
};

/// An accepted message: its id, and its record as it lies in the requests topic.
async fn requested(replica: &Replica, topic: &Topic, text: &str) -> (String, String) {
    let id = replica.accepted(text).await;
    let record = topic.next().await.value;
    assert_eq!(record["messageId"], id);
    (id, record.to_string())
}

async fn rows(database: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from dead_letter").fetch_one(database).await.expect("a count")
}

#[sqlx::test(migrations = "./migrations")]
async fn what_was_given_up_is_failed_listed_and_sent_again_once(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    let replica = Replica::start(&database, &topic).await;
    let (id, record) = requested(&replica, &topic, "poison").await;
    let given_up_at = dead_letters.park(0, &record, "the report was refused").await;
    dead_letters.is_read().await;

    let message = replica.message(&id).await;
    assert_eq!((&message["status"], &message["final"]), (&json!("FAILED"), &json!(true)));
    assert_eq!(message["failure_reason"], "Could not be processed: the report was refused");
    let letter = of_message(&replica, &id).await;
    let failed_at = given_up_at.as_millisecond();
    let failed_at = jiff::Timestamp::from_millisecond(failed_at).expect("a time");
    let expected = json!({
        "id": letter["id"],
        "failed_at": failed_at,
        "error": "the report was refused",
        "message_id": id,
        "attempt": 1,
        "origin": { "topic": "sms.requests", "partition": 2, "offset": 77 },
        "redrivable": true,
    });
    assert_eq!(letter, expected);

    let waiting = async |count| {
        let is_so = async || (replica.metric("sms_dead_letters_waiting").await == count).then_some(());
        eventually("the number of dead letters that wait", is_so).await;
    };
    waiting(1).await;

    let (status, redriven) = redrive(&replica, &letter).await;
    assert_eq!(status, 200, "{redriven}");
    waiting(0).await;
    assert_eq!((&redriven["record"], &redriven["redrivable"]), (&json!(record), &json!(false)));
    let again = topic.next().await;
    assert_eq!((&again.value["messageId"], &again.value["attempt"]), (&json!(id), &json!(2)));
    let (status, problem) = redrive(&replica, &letter).await;
    assert_eq!((status, &problem["error_code"]), (409, &json!("NOT_REDRIVABLE")));
    let at = redriven["redriven_at"].as_str().expect("a time");
    assert_eq!(problem["detail"], format!("The message of this dead letter was sent again before, at {at}."));
    topic.is_silent().await;
    replica.report(&json!({ "message_id": id, "status": "SENT", "attempt": 2 })).await;
    assert_eq!(replica.message(&id).await["status"], "SENT");
    for (name, count) in
        [("sms_dead_letters_stored_total", 1), ("sms_dead_letters_redriven_total", 1), ("sms_failed_total", 1)]
    {
        assert_eq!(replica.metric(name).await, count, "{name}");
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_record_that_is_read_twice_is_stored_once_and_fails_nothing_twice(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    let first = Replica::start(&database, &topic).await;
    let (id, record) = requested(&first, &topic, "once").await;
    dead_letters.park(0, &record, "refused").await;
    dead_letters.park(0, "undecodable", "refused").await;
    dead_letters.is_read().await;
    assert_eq!(redrive(&first, &of_message(&first, &id).await).await.0, 200);
    first.stop().await;

    // A group of its own reads all from the beginning, as after the loss of committed offsets.
    let second = Replica::set(&database, &topic, |parts| parts.dead_letters.group += "-again").await;
    dead_letters.is_read_by(&format!("{}-sms-api-again", dead_letters.name)).await;
    assert_eq!(rows(&database).await, 2);
    assert_eq!(second.metric("sms_dead_letters_stored_total").await, 0);
    assert_eq!(second.message(&id).await["status"], "PENDING");
    second.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn only_what_is_open_in_the_attempt_that_was_given_up_becomes_failed(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    let replica = Replica::start(&database, &topic).await;
    let mut parked = Vec::new();
    for (reported, retried, expected) in [
        (None, false, "FAILED"),
        (Some("UNKNOWN"), false, "FAILED"),
        (Some("SENT"), false, "SENT"),
        (Some("EXPIRED"), false, "EXPIRED"),
        (Some("FAILED"), true, "PENDING"),
    ] {
        let (id, record) = requested(&replica, &topic, expected).await;
        if let Some(status) = reported {
            replica.report(&json!({ "message_id": id, "status": status, "failure_reason": "busy" })).await;
        }
        if retried {
            replica.public(reqwest::Method::POST, &format!("/v1/messages/{id}/retry")).send().await.expect("an answer");
            topic.next().await;
        }
        dead_letters.park(0, &record, "refused").await;
        // Of several dead letters of one message the first one counts, and the others change nothing.
        dead_letters.park(0, &record, "refused again").await;
        parked.push((id, expected));
    }
    dead_letters.is_read().await;
    for (id, expected) in parked {
        let message = replica.message(&id).await;
        assert_eq!(message["status"], expected);
        let reason = message.get("failure_reason").and_then(Value::as_str).unwrap_or_default();
        assert_eq!(reason.starts_with("Could not be processed: refused"), expected == "FAILED", "{reason}");
    }
    assert_eq!(rows(&database).await, 10);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn whatever_lies_in_the_topic_becomes_a_row_and_stops_nothing(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    sqlx::query("alter table dead_letter add constraint refuses check (error <> 'refuse me')")
        .execute(&database)
        .await
        .expect("a constraint");
    let nested = "[".repeat(100_000);
    let malformed: [Option<&[u8]>; 7] = [
        None,
        Some(b""),
        Some(b"not json"),
        Some(b"\xff\x00\xfe"),
        Some(b"{}"),
        Some(br#"{"message":"m","error":"e","timestamp":"yesterday"}"#),
        Some(nested.as_bytes()),
    ];
    let bytes: &[u8] = b"\xff";
    let headers =
        [contract::headers::ORIGIN_TOPIC, contract::headers::ORIGIN_PARTITION, contract::headers::ORIGIN_OFFSET]
            .into_iter()
            .fold(OwnedHeaders::new(), |headers, key| headers.insert(Header { key, value: Some(bytes) }));
    for value in malformed {
        dead_letters.put(0, value, headers.clone()).await;
    }
    let nul = r#"{"message":"a\u0000b","error":"\u0000","timestamp":"9999-12-30T00:00:00Z"}"#;
    dead_letters.put(0, Some(nul.as_bytes()), OwnedHeaders::new()).await;
    dead_letters.park(0, "", "refuse me").await;
    let unknown = Uuid::now_v7();
    let record = format!(
        r#"{{"version":"1","messageId":"{unknown}","sender":"+12","recipient":"+13","text":"x","attempt":1,"createdAt":"2026-11-23T00:00:00Z"}}"#
    );
    dead_letters.park(0, &record, "no such message").await;
    let replica = Replica::start(&database, &topic).await;
    dead_letters.is_read().await;

    assert_eq!(rows(&database).await, 9, "all but the refused one");
    let page = listed(&replica, "").await;
    let letters = page["dead_letters"].as_array().expect("a list");
    assert_eq!(letters.len(), 9);
    for letter in letters {
        assert_eq!(letter["redrivable"], false);
        let (status, problem) = redrive(&replica, letter).await;
        assert_eq!((status, &problem["error_code"]), (409, &json!("NOT_REDRIVABLE")));
        let is_known = letter["message_id"] == json!(unknown);
        let reason = if is_known { "does not exist" } else { "cannot be decoded" };
        assert!(problem["detail"].as_str().expect("a text").contains(reason), "{problem}");
        assert_eq!(letter.get("origin").is_some(), is_known);
    }
    topic.is_silent().await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn several_replicas_share_the_topic_and_take_over_from_one_that_ends(database: PgPool) {
    const PARTITIONS: i32 = 4;
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, PARTITIONS).await;
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(Replica::start(&database, &topic).await);
    }
    let park = async |first: i32| {
        for number in first..first + 300 {
            dead_letters.park(number % PARTITIONS, &number.to_string(), "refused").await;
        }
    };
    park(0).await;
    let ending = replicas.pop().expect("three replicas");
    tokio::join!(park(300), ending.stop());
    dead_letters.is_read().await;
    let records: Vec<String> = sqlx::query_scalar("select record from dead_letter order by record::integer")
        .fetch_all(&database)
        .await
        .expect("rows");
    assert_eq!(records, (0..600).map(|number| number.to_string()).collect::<Vec<_>>());
    for replica in replicas {
        replica.stop().await;
    }
}

/// A way to PostgreSQL that is closed at first: connections are taken and nothing comes of them.
struct Gate {
    listener: TcpListener,
    server: String,
}

impl Gate {
    async fn to(options: &PgConnectOptions) -> (Self, PgConnectOptions) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        (Self { listener, server }, options.clone().host("127.0.0.1").port(port))
    }

    fn open(self) {
        tokio::spawn(async move {
            while let Ok((mut client, _)) = self.listener.accept().await {
                let server = self.server.clone();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.expect("PostgreSQL is there");
                    // Ends with either side.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
    }
}

#[sqlx::test(migrations = "./migrations")]
async fn while_postgresql_is_away_nothing_is_lost_and_the_end_is_prompt(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    for number in 0..50 {
        dead_letters.park(0, &number.to_string(), "refused").await;
    }
    let (_closed, nowhere) = Gate::to(&database.connect_options()).await;
    let ending = Replica::set(&database, &topic, |parts| parts.database = store::connect_lazily(nowhere)).await;
    let (gate, behind_gate) = Gate::to(&database.connect_options()).await;
    let waiting = Replica::set(&database, &topic, |parts| {
        parts.database = store::connect_lazily(behind_gate);
        parts.dead_letters.group += "-waiting";
    })
    .await;
    eventually("a failure to store", async || {
        crate::logs::text().contains("storing dead letters does not work").then_some(())
    })
    .await;
    let began = Instant::now();
    ending.stop().await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(rows(&database).await, 0);
    gate.open();
    dead_letters.is_read_by(&format!("{}-sms-api-waiting", dead_letters.name)).await;
    assert_eq!(rows(&database).await, 50);
    waiting.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_topic_that_does_not_exist_yet_is_waited_for(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    eventually("readiness", async || (replica.observed("/readyz").await.0 == 200).then_some(())).await;
    let (id, record) = requested(&replica, &topic, "early").await;
    let dead_letters = DeadLetterTopic::create(&topic, 2).await;
    dead_letters.park(1, &record, "refused").await;
    eventually("the dead letter", async || (replica.message(&id).await["status"] == "FAILED").then_some(())).await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn while_kafka_is_away_the_end_is_prompt(database: PgPool) {
    let replica = Replica::without_kafka(&database).await;
    eventually("a reason for not being ready", async || {
        replica.observed("/readyz").await.1.contains("Kafka call").then_some(())
    })
    .await;
    let began = Instant::now();
    replica.stop().await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[sqlx::test(migrations = "./migrations")]
async fn dead_letters_past_retention_are_deleted(database: PgPool) {
    sqlx::query(
        "insert into dead_letter (id, topic_partition, topic_offset, topic_timestamp, tenant, record, error)
         select (lpad(to_hex((extract(epoch from now() - day * interval '1 day') * 1000)::bigint), 12, '0')
             || '70008000' || lpad(day::text, 12, '0'))::uuid, 0, day, 0, 'default', day::text, 'refused'
         from generate_series(0, 20) as day",
    )
    .execute(&database)
    .await
    .expect("rows");
    let store = Store::new(store::connect_lazily((*database.connect_options()).clone()));
    let retention = Retention::of_days(10).expect("a valid retention");
    let tended = tend_partitions(&store, retention).await.expect("PostgreSQL is there");
    assert_eq!(tended.dead_letters_deleted, 10);
    let left: i64 = sqlx::query_scalar("select max(record::integer)::bigint from dead_letter")
        .fetch_one(&database)
        .await
        .expect("rows");
    assert_eq!(left, 10);
}
