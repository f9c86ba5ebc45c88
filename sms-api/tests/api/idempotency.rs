//! Repeating a request with its Idempotency-Key repeats nothing else.

use std::collections::BTreeSet;

use futures::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sqlx::{PgPool, Postgres, Transaction};

use crate::{
    replica::{Replica, message, outbox_is_empty},
    topic::Topic,
};

async fn post(replica: &Replica, key: &str, body: &Value) -> Response {
    let request = replica.public(Method::POST, "/v1/messages").header("idempotency-key", key).json(body);
    request.send().await.expect("an answer")
}

/// A request with this key that is being stored for as long as the transaction is open.
pub async fn under_way(database: &PgPool, client: &str, key: &str) -> Transaction<'static, Postgres> {
    let mut stuck = database.begin().await.expect("a transaction");
    sqlx::query(
        "insert into idempotency_key (client, key, fingerprint, submission, location, answer, expires_at)
         values ($1, $2, '', gen_random_uuid(), '', '', now() + '1 h')",
    )
    .bind(client)
    .bind(key)
    .execute(&mut *stuck)
    .await
    .expect("a row");
    stuck
}

async fn messages(database: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from message").fetch_one(database).await.expect("a count")
}

#[sqlx::test(migrations = "./migrations")]
async fn a_repeated_request_gets_the_first_answer_and_makes_no_second_message(database: PgPool) {
    let topic = Topic::create().await;
    let replicas = [Replica::start(&database, &topic).await, Replica::start(&database, &topic).await];
    let first = post(&replicas[0], "order-4711", &message("once")).await;
    assert_eq!(first.status(), 202);
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let path = |response: &Response| {
        let location = response.headers()["location"].to_str().expect("a text");
        location.split_once("/v1/").expect("a URL of the API").1.to_owned()
    };
    let location = path(&first);
    let body = first.text().await.expect("a body");
    let id = serde_json::from_str::<Value>(&body).expect("a JSON body")["id"].as_str().expect("an id").to_owned();
    replicas[0].report(&json!({ "message_id": id, "status": "SENT" })).await;
    for replica in replicas.iter().chain(&replicas) {
        let again = post(replica, "\"order-4711\"", &message("once")).await;
        assert_eq!((again.status().as_u16(), path(&again)), (202, location.clone()));
        assert_eq!(again.headers()["idempotency-replayed"], "true");
        assert_eq!(again.headers()["content-type"], "application/json");
        assert_eq!(again.text().await.expect("a body"), body);
    }
    assert_eq!(messages(&database).await, 1);
    assert_eq!(topic.next().await.value["messageId"], id);
    topic.is_silent().await;
    for replica in replicas {
        replica.stop().await;
    }
}

#[sqlx::test(migrations = "./migrations")]
async fn the_same_key_for_another_request_is_refused(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    assert_eq!(post(&replica, "key", &message("one")).await.status(), 202);
    let other = post(&replica, "key", &message("two")).await;
    assert_eq!(other.status(), 422);
    assert_eq!(other.json::<Value>().await.expect("a JSON body")["error_code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(post(&replica, "another key".replace(' ', "-").as_str(), &message("two")).await.status(), 202);
    assert_eq!(messages(&database).await, 2);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn what_is_no_key_is_refused(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    for bad in ["", "\"\"", "a b", "\"open"] {
        let refused = post(&replica, bad, &message("never")).await;
        assert_eq!(refused.status(), 400, "{bad}");
        assert_eq!(refused.json::<Value>().await.expect("a JSON body")["error_code"], "INVALID_IDEMPOTENCY_KEY");
    }
    assert_eq!(messages(&database).await, 0);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_request_that_was_refused_does_not_use_its_key_up(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    assert_eq!(post(&replica, "key", &message("")).await.status(), 400);
    let mut dry = message("hello");
    dry["dry_run"] = json!(true);
    assert_eq!(post(&replica, "key", &dry).await.status(), 200);
    assert_eq!(post(&replica, "key", &message("hello")).await.status(), 202);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_key_is_forgotten_after_its_time(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    assert_eq!(post(&replica, "key", &message("one")).await.status(), 202);
    sqlx::query("update idempotency_key set expires_at = now()").execute(&database).await.expect("a row");
    let anew = post(&replica, "key", &message("two")).await;
    assert_eq!(anew.status(), 202);
    assert!(!anew.headers().contains_key("idempotency-replayed"));
    assert_eq!(post(&replica, "key", &message("two")).await.headers()["idempotency-replayed"], "true");
    assert_eq!(messages(&database).await, 2);
    replica.stop().await;
}

/// Some of them arrive in one batch, others on other replicas while the first one commits.
#[sqlx::test(migrations = "./migrations")]
async fn a_hundred_requests_at_once_with_one_key_make_one_message(database: PgPool) {
    let topic = Topic::create().await;
    let replicas = [
        Replica::start(&database, &topic).await,
        Replica::start(&database, &topic).await,
        Replica::start(&database, &topic).await,
    ];
    let body = message("once");
    let noise = join_all((0..30).map(async |n: usize| {
        assert_eq!(replicas[n % 3].post(&message("noise")).await.status(), 202);
    }));
    let posts = join_all((0..100).map(async |n: usize| {
        let answer = post(&replicas[n % 3], "key", &body).await;
        assert_eq!(answer.status(), 202);
        let is_replayed = answer.headers().contains_key("idempotency-replayed");
        (is_replayed, answer.text().await.expect("a body"))
    }));
    let (answers, _) = tokio::join!(posts, noise);
    let bodies: BTreeSet<_> = answers.iter().map(|(_, body)| body).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(answers.iter().filter(|(is_replayed, _)| !is_replayed).count(), 1);
    assert_eq!(messages(&database).await, 31);
    outbox_is_empty(&database).await;
    for replica in replicas {
        replica.stop().await;
    }
}

#[sqlx::test(migrations = "./migrations")]
async fn a_twin_waits_only_so_long_for_a_request_that_does_not_end_and_nobody_waits_with_it(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let stuck = under_way(&database, "anonymous", "key").await;
    let (body, noise) = (message("twin"), message("noise"));
    let (twin, others) =
        tokio::join!(post(&replica, "key", &body), join_all((0..20).map(async |_: i32| replica.post(&noise).await)));
    assert_eq!(twin.status(), 409);
    assert_eq!(twin.headers()["retry-after"], "1");
    assert_eq!(twin.json::<Value>().await.expect("a JSON body")["error_code"], "IDEMPOTENCY_KEY_BUSY");
    assert!(others.iter().all(|answer| answer.status() == 202));
    stuck.rollback().await.expect("the end of the transaction");
    assert_eq!(post(&replica, "key", &body).await.status(), 202);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_repeated_batch_gets_the_first_answer(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let batch = json!({ "messages": [message("one"), message(""), message("two")] });
    let ask = async |path: &str| {
        let request = replica.public(Method::POST, path).header("idempotency-key", "key").json(&batch);
        request.send().await.expect("an answer")
    };
    let first = ask("/v1/messages/batch").await;
    assert_eq!(first.status(), 202);
    let body = first.text().await.expect("a body");
    let again = ask("/v1/messages/batch").await;
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.text().await.expect("a body"), body);
    assert_eq!(ask("/v1/messages/batch?atomic=false").await.status(), 422, "another query is another request");
    assert_eq!(messages(&database).await, 2);
    replica.stop().await;
}
