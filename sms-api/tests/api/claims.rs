//! Claims: who may send a message, and that a claim can be given back.

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{replica::Replica, topic::Topic};

/// A claim of the first attempt at a message.
fn claim(id: &str, claimant: Uuid) -> Value {
    json!({ "message_id": id, "attempt": 1, "claimant": claimant })
}

async fn outcomes(replica: &Replica, claims: &[Value]) -> Vec<Value> {
    let answer = replica.claim("", claims).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.expect("a JSON body");
    let results = answer["results"].as_array().expect("results");
    assert_eq!(results.len(), claims.len());
    results.iter().map(|result| result["outcome"].clone()).collect()
}

#[sqlx::test(migrations = "./migrations")]
async fn an_attempt_is_granted_to_whoever_asks_first_and_to_nobody_else(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let (one, other) = (replica.accepted("1").await, replica.accepted("2").await);
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    let asked = [claim(&one, first), claim(&one, second), claim(&other, second)];
    assert_eq!(outcomes(&replica, &asked).await, ["GRANTED", "CLAIMED_BEFORE", "GRANTED"]);
    // As after an answer that was lost.
    assert_eq!(outcomes(&replica, &asked).await, ["GRANTED", "CLAIMED_BEFORE", "GRANTED"]);
    let swapped = [claim(&one, second), claim(&other, first)];
    assert_eq!(outcomes(&replica, &swapped).await, ["CLAIMED_BEFORE", "CLAIMED_BEFORE"]);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn what_is_final_outdated_or_unknown_is_granted_to_nobody(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let (sent, again) = (replica.accepted("1").await, replica.accepted("2").await);
    replica.report(&json!({ "message_id": sent, "status": "SENT" })).await;
    let id: Uuid = again.parse().expect("a UUID");
    sqlx::query("update message set attempt = 2 where id = $1").bind(id).execute(&database).await.expect("a row");
    let claimant = Uuid::new_v4();
    let nobody_s = Uuid::now_v7().to_string();
    let asked = [claim(&sent, claimant), claim(&again, claimant), claim(&nobody_s, claimant)];
    assert_eq!(outcomes(&replica, &asked).await, ["FINAL", "OUTDATED", "MESSAGE_NOT_FOUND"]);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_claim_that_is_given_back_by_its_claimant_can_be_made_by_another_one(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let id = replica.accepted("1").await;
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    assert_eq!(outcomes(&replica, &[claim(&id, first)]).await, ["GRANTED"]);
    assert_eq!(replica.claim("/release", &[claim(&id, second)]).await.status(), 204);
    assert_eq!(outcomes(&replica, &[claim(&id, second)]).await, ["CLAIMED_BEFORE"]);
    for _ in 0..2 {
        assert_eq!(replica.claim("/release", &[claim(&id, first)]).await.status(), 204);
    }
    assert_eq!(outcomes(&replica, &[claim(&id, second)]).await, ["GRANTED"]);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn more_claims_than_fit_into_one_request_are_refused(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let claims = vec![claim(&Uuid::nil().to_string(), Uuid::nil()); contract::LARGEST_BATCH + 1];
    for path in ["", "/release"] {
        let answer = replica.claim(path, &claims).await;
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.json::<Value>().await.expect("a body")["error_code"], "INVALID_FIELDS");
    }
    replica.stop().await;
}
