//! The states that a message went through.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{replica::Replica, topic::Topic};

async fn events(replica: &Replica, id: &str) -> Value {
    let response = replica.public(Method::GET, &format!("/v1/messages/{id}/events")).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    response.json().await.expect("a JSON body")
}

#[sqlx::test(migrations = "./migrations")]
async fn every_state_is_told_with_its_time_attempt_and_reason(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let (pending, sent, failed) =
        (replica.accepted("1").await, replica.accepted("2").await, replica.accepted("3").await);
    replica.report(&json!({ "message_id": sent, "status": "SENT" })).await;
    replica.report(&json!({ "message_id": failed, "status": "FAILED", "failure_reason": "number blocked" })).await;
    for (id, mut last) in [
        (&pending, None),
        (&sent, Some(json!({ "status": "SENT", "attempt": 1 }))),
        (&failed, Some(json!({ "status": "FAILED", "attempt": 1, "reason": "number blocked" }))),
    ] {
        let message = replica.message(id).await;
        if let Some(last) = &mut last {
            last["at"] = message["updated_at"].clone();
        }
        let first = json!({ "status": "PENDING", "at": message["created_at"], "attempt": 1 });
        let expected: Vec<_> = [first].into_iter().chain(last).collect();
        assert_eq!(events(&replica, id).await, json!({ "events": expected }));
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn reports_that_change_nothing_are_no_events(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let id = replica.accepted("once").await;
    replica.report(&json!({ "message_id": id, "status": "SENT" })).await;
    let before = events(&replica, &id).await;
    for status in ["SENT", "FAILED"] {
        replica.report(&json!({ "message_id": id, "status": status, "failure_reason": "late" })).await;
    }
    assert_eq!(events(&replica, &id).await, before);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn an_unknown_message_has_no_events_but_a_problem(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    for id in [Uuid::now_v7().to_string(), Uuid::new_v4().to_string(), "abc".to_owned(), "stats".to_owned()] {
        let path = format!("/v1/messages/{id}/events");
        let response = replica.public(Method::GET, &path).send().await.expect("an answer");
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.json::<Value>().await.expect("a JSON body")["error_code"], "MESSAGE_NOT_FOUND");
    }
    replica.stop().await;
}
