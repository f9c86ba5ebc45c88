//! What happens to messages as time passes.

use std::time::Duration;

use jiff::{Span, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use sms_api::{
    schedule,
    store::{self, Store},
};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    replica::{Replica, eventually, message, outbox_is_empty},
    topic::Topic,
};

fn scheduled(text: &str, seconds: i64) -> Value {
    let mut body = message(text);
    body["send_at"] = json!(Timestamp::now() + Span::new().seconds(seconds));
    body
}

async fn accepted(replica: &Replica, body: &Value) -> String {
    let answer = replica.post(body).await;
    assert_eq!(answer.status(), 202);
    answer.json::<Value>().await.expect("a JSON body")["id"].as_str().expect("an id").to_owned()
}

/// As if this much time had passed for what is due.
async fn pass(database: &PgPool, statement: &'static str, id: &str) {
    let id: Uuid = id.parse().expect("a UUID");
    sqlx::query(statement).bind(id).execute(database).await.expect("a row");
}

const SEND_NOW: &str = "update message_due set due_at = now() where message_id = $1";
const EXPIRE_NOW: &str = "update message set expires_at = now() where id = $1";
const RETRY_NOW: &str = "with retried as (update message set retry_at = now() where id = $1)
    update message_due set due_at = now() where message_id = $1";

async fn has_status(replica: &Replica, id: &str, status: &str) -> Value {
    eventually(status, async || Some(replica.message(id).await).filter(|message| message["status"] == status)).await
}

async fn states(replica: &Replica, id: &str) -> Vec<(String, i64)> {
    let events = replica.public(Method::GET, &format!("/v1/messages/{id}/events")).send().await.expect("an answer");
    let events: Value = events.json().await.expect("a JSON body");
    let state = |event: &Value| {
        (event["status"].as_str().expect("a status").to_owned(), event["attempt"].as_i64().expect("an attempt"))
    };
    events["events"].as_array().expect("a list").iter().map(state).collect()
}

fn expected(states: &[(&str, i64)]) -> Vec<(String, i64)> {
    states.iter().map(|&(status, attempt)| (status.to_owned(), attempt)).collect()
}

#[sqlx::test(migrations = "./migrations")]
async fn a_scheduled_message_is_sent_when_its_time_has_come_and_not_before(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let (soon, later) =
        (accepted(&replica, &scheduled("soon", 2)).await, accepted(&replica, &scheduled("later", 3600)).await);
    let message = replica.message(&soon).await;
    assert_eq!((&message["status"], &message["final"]), (&json!("SCHEDULED"), &json!(false)));
    let record = topic.next().await;
    assert_eq!(record.value["messageId"], soon);
    let send_at: Timestamp = message["send_at"].as_str().expect("a time").parse().expect("a time");
    assert!(Timestamp::now() >= send_at);
    replica.report(&json!({ "message_id": soon, "status": "SENT", "attempt": 1 })).await;
    assert_eq!(states(&replica, &soon).await, expected(&[("SCHEDULED", 1), ("PENDING", 1), ("SENT", 1)]));
    assert_eq!(replica.message(&later).await["status"], "SCHEDULED");
    topic.is_silent().await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn several_replicas_send_a_scheduled_message_once(database: PgPool) {
    let topic = Topic::create().await;
    let replicas = [Replica::start(&database, &topic).await, Replica::start(&database, &topic).await];
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(accepted(&replicas[n % 2], &scheduled(&n.to_string(), 3600)).await);
    }
    sqlx::query("update message_due set due_at = now()").execute(&database).await.expect("rows");
    let mut sent = Vec::new();
    for _ in &ids {
        sent.push(topic.next().await.value["messageId"].as_str().expect("an id").to_owned());
    }
    sent.sort_unstable();
    ids.sort_unstable();
    assert_eq!(sent, ids);
    topic.is_silent().await;
    for replica in replicas {
        replica.stop().await;
    }
}

#[sqlx::test(migrations = "./migrations")]
async fn a_message_whose_expiry_is_past_is_never_sent(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let mut body = scheduled("too late", 3600);
    body["expires_at"] = json!(Timestamp::now() + Span::new().hours(2));
    let id = accepted(&replica, &body).await;
    pass(&database, EXPIRE_NOW, &id).await;
    pass(&database, SEND_NOW, &id).await;
    let message = has_status(&replica, &id, "EXPIRED").await;
    assert_eq!(message["final"], true);
    assert_eq!(states(&replica, &id).await, expected(&[("SCHEDULED", 1), ("EXPIRED", 1)]));
    topic.is_silent().await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_record_tells_when_it_is_too_late_and_takes_the_lane_of_its_priority(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    for (priority, lane) in [("high", &topic.lanes.high), ("normal", &topic.lanes.normal), ("low", &topic.lanes.low)] {
        let mut body = message("in its lane");
        let expires_at = Timestamp::now() + Span::new().hours(2);
        body["priority"] = json!(priority);
        body["expires_at"] = json!(expires_at);
        let id = accepted(&replica, &body).await;
        let record = topic.next().await;
        assert_eq!((&record.topic, &record.value["messageId"]), (lane, &json!(id)));
        assert_eq!(record.value["expiresAt"], json!(expires_at));
        let message = replica.message(&id).await;
        assert_eq!((&message["priority"], &message["status"]), (&json!(priority), &json!("PENDING")));
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_failure_that_may_pass_is_tried_again_until_the_attempts_are_used_up(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let id = accepted(&replica, &message("try hard")).await;
    for attempt in 1..=3 {
        assert_eq!(topic.next().await.value["attempt"], attempt);
        let report = json!({ "message_id": id, "status": "FAILED", "failure_reason": "busy", "attempt": attempt, "transient": true });
        assert_eq!(replica.report(&report).await.status(), 200);
        let message = replica.message(&id).await;
        assert_eq!(message["attempt"], attempt);
        if attempt < 3 && message["status"] == "FAILED" {
            assert_eq!((&message["final"], message["retry_at"].is_string()), (&json!(false), true));
        }
    }
    let message = replica.message(&id).await;
    assert_eq!((&message["status"], &message["final"]), (&json!("FAILED"), &json!(true)));
    assert!(message.get("retry_at").is_none());
    let all = [("PENDING", 1), ("FAILED", 1), ("PENDING", 2), ("FAILED", 2), ("PENDING", 3), ("FAILED", 3)];
    assert_eq!(states(&replica, &id).await, expected(&all));
    topic.is_silent().await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_permanent_failure_is_final_at_once(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let id = accepted(&replica, &message("no such number")).await;
    topic.next().await;
    replica.report(&json!({ "message_id": id, "status": "FAILED", "attempt": 1 })).await;
    assert_eq!(replica.message(&id).await["final"], true);
    topic.is_silent().await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_waiting_message_can_be_called_back_and_no_other(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::set(&database, &topic, |parts| parts.retry_failed.every = Duration::from_hours(1)).await;
    let cancel = async |id: &str| {
        let path = format!("/v1/messages/{id}/cancel");
        let answer = replica.public(Method::POST, &path).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("a JSON body"))
    };
    let waiting = accepted(&replica, &scheduled("later", 3600)).await;
    let (status, body) = cancel(&waiting).await;
    assert_eq!((status, &body["status"], &body["final"]), (200, &json!("CANCELED"), &json!(true)));
    assert_eq!(replica.message(&waiting).await, body);
    let (status, body) = cancel(&waiting).await;
    assert_eq!((status, &body["error_code"]), (409, &json!("WRONG_STATUS")));

    let failed = accepted(&replica, &message("busy")).await;
    topic.next().await;
    let (status, body) = cancel(&failed).await;
    assert_eq!((status, &body["error_code"]), (409, &json!("WRONG_STATUS")), "it is pending");
    replica.report(&json!({ "message_id": failed, "status": "FAILED", "transient": true })).await;
    let (status, body) = cancel(&failed).await;
    assert_eq!((status, &body["status"]), (200, &json!("CANCELED")));
    assert_eq!(states(&replica, &failed).await, expected(&[("PENDING", 1), ("FAILED", 1), ("CANCELED", 1)]));
    let due: i64 = sqlx::query_scalar("select count(*) from message_due").fetch_one(&database).await.expect("a count");
    assert_eq!(due, 0);
    for unknown in [Uuid::now_v7().to_string(), "abc".to_owned()] {
        assert_eq!(cancel(&unknown).await.0, 404);
    }
    topic.is_silent().await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_failed_message_can_be_sent_again_and_no_other(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let retry = async |id: &str| {
        let path = format!("/v1/messages/{id}/retry");
        let answer = replica.public(Method::POST, &path).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("a JSON body"))
    };
    let id = accepted(&replica, &message("again")).await;
    assert_eq!(topic.next().await.value["attempt"], 1);
    assert_eq!(retry(&id).await.0, 409, "it is pending");
    replica.report(&json!({ "message_id": id, "status": "FAILED", "failure_reason": "blocked", "attempt": 1 })).await;
    let (status, body) = retry(&id).await;
    assert_eq!((status, &body["status"], &body["attempt"]), (200, &json!("PENDING"), &json!(2)));
    assert!(body.get("failure_reason").is_none());
    let record = topic.next().await;
    assert_eq!((&record.value["messageId"], &record.value["attempt"]), (&json!(id), &json!(2)));
    replica.report(&json!({ "message_id": id, "status": "FAILED", "attempt": 1 })).await;
    assert_eq!(replica.message(&id).await["status"], "PENDING", "a report on the first attempt is too late");
    replica.report(&json!({ "message_id": id, "status": "SENT", "attempt": 2 })).await;
    assert_eq!(retry(&id).await.0, 409, "it is sent");
    assert_eq!(retry(&Uuid::now_v7().to_string()).await.0, 404);
    topic.is_silent().await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_message_whose_retry_comes_after_its_expiry_expires(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::set(&database, &topic, |parts| parts.retry_failed.every = Duration::from_hours(1)).await;
    let mut body = message("late");
    body["expires_at"] = json!(Timestamp::now() + Span::new().hours(2));
    let id = accepted(&replica, &body).await;
    topic.next().await;
    replica.report(&json!({ "message_id": id, "status": "FAILED", "transient": true })).await;
    pass(&database, EXPIRE_NOW, &id).await;
    pass(&database, RETRY_NOW, &id).await;
    has_status(&replica, &id, "EXPIRED").await;
    topic.is_silent().await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_message_that_is_pending_for_too_long_is_published_again(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::set(&database, &topic, |parts| parts.republish_after = Duration::from_millis(100)).await;
    let (lost, sent) = (accepted(&replica, &message("lost")).await, accepted(&replica, &message("sent")).await);
    for _ in 0..2 {
        topic.next().await;
    }
    replica.report(&json!({ "message_id": sent, "status": "SENT" })).await;
    let store = Store::new(store::connect_lazily((*database.connect_options()).clone()));
    // The replica itself does so every minute.
    store.sweep(Uuid::max(), 100, Duration::from_millis(100)).await.expect("PostgreSQL is there");
    for _ in 0..2 {
        let record = topic.next().await;
        assert_eq!((&record.value["messageId"], &record.value["attempt"]), (&json!(lost), &json!(1)));
    }
    replica.report(&json!({ "message_id": lost, "status": "SENT" })).await;
    eventually("an end of it", async || {
        let due: i64 = sqlx::query_scalar("select count(*) from message_due").fetch_one(&database).await.ok()?;
        (due == 0).then_some(())
    })
    .await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn everything_that_is_pending_can_be_published_again_on_demand(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let mut pending = Vec::new();
    for n in 0..30 {
        let id = accepted(&replica, &message(&n.to_string())).await;
        topic.next().await;
        if n % 3 == 0 {
            replica.report(&json!({ "message_id": id, "status": "SENT" })).await;
        } else {
            pending.push(json!(id));
        }
    }
    accepted(&replica, &scheduled("not yet", 3600)).await;
    outbox_is_empty(&database).await;
    let store = Store::new(store::connect_lazily((*database.connect_options()).clone()));
    let hour = Duration::from_hours(1);
    let young = schedule::republish(&store, hour, hour, |_| {}).await.expect("PostgreSQL is there");
    assert_eq!(young, 0);
    let all = schedule::republish(&store, Duration::ZERO, hour, |_| {}).await.expect("PostgreSQL is there");
    assert_eq!(all, 20);
    for _ in 0..20 {
        let record = topic.next().await;
        assert!(pending.contains(&record.value["messageId"]));
    }
    topic.is_silent().await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn while_the_outbox_is_full_messages_are_refused_and_none_is_lost(database: PgPool) {
    let lame = Replica::without_kafka_and(&database, |parts| parts.outbox.messages = 10).await;
    let mut accepted = 0;
    eventually("a full outbox", async || {
        let answer = lame.post(&message("more")).await;
        match answer.status().as_u16() {
            202 => accepted += 1,
            503 => {
                assert_eq!(answer.headers()["retry-after"], "10");
                return Some(());
            }
            other => panic!("{other}"),
        }
        None
    })
    .await;
    assert!(accepted >= 10, "{accepted}");
    sqlx::query("update outbox set leased_until = now()").execute(&database).await.expect("rows");
    let topic = Topic::create().await;
    let able = Replica::start(&database, &topic).await;
    for _ in 0..accepted {
        topic.next().await;
    }
    eventually("room again", async || (lame.post(&message("again")).await.status() == 202).then_some(())).await;
    able.stop().await;
    lame.stop().await;
}
