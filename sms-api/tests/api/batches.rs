//! Many messages in one request.

use std::collections::BTreeSet;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    replica::{Replica, message, outbox_is_empty},
    topic::Topic,
};

async fn post(replica: &Replica, query: &str, body: &Value) -> Response {
    let path = format!("/v1/messages/batch{query}");
    replica.public(Method::POST, &path).json(body).send().await.expect("an answer")
}

async fn messages(database: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from message").fetch_one(database).await.expect("a count")
}

#[sqlx::test(migrations = "./migrations")]
async fn the_valid_messages_of_a_batch_are_accepted_and_each_result_tells_its_own(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let scheduled = json!({
        "sender": "12", "recipient": "34", "text": "later", "send_at": jiff::Timestamp::now() + jiff::Span::new().hours(1)
    });
    let body = json!({ "messages": [message("one"), { "sender": "12" }, message(&"😀".repeat(36)), scheduled] });
    let response = post(&replica, "", &body).await;
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().expect("a text").to_owned();
    let answer: Value = response.json().await.expect("a JSON body");
    let batch_id = answer["batch_id"].as_str().expect("an id");
    assert_eq!(location, format!("http://{}/v1/messages?batch_id={batch_id}", replica.host()));
    assert_eq!(
        (&answer["total_count"], &answer["accepted_count"], &answer["rejected_count"]),
        (&json!(4), &json!(3), &json!(1))
    );
    let results = answer["results"].as_array().expect("a list");
    let id = |index: usize| results[index]["id"].as_str().expect("an id");
    assert_eq!(
        results,
        &[
            json!({ "index": 0, "code": 202, "id": id(0), "status": "PENDING", "segments": 1, "encoding": "GSM-7" }),
            json!({ "index": 1, "code": 400, "errors": [
                { "pointer": "#/messages/1/recipient", "detail": "Recipient phone number is required" },
                { "pointer": "#/messages/1/text", "detail": "Message text is required" },
            ] }),
            json!({ "index": 2, "code": 202, "id": id(2), "status": "PENDING", "segments": 2, "encoding": "UCS-2" }),
            json!({ "index": 3, "code": 202, "id": id(3), "status": "SCHEDULED", "segments": 1, "encoding": "GSM-7" }),
        ]
    );
    for index in [0, 2, 3] {
        let message = replica.message(id(index)).await;
        assert_eq!((&message["batch_id"], &message["text"]), (&json!(batch_id), &body["messages"][index]["text"]));
    }
    let published = [topic.next().await, topic.next().await].map(|record| record.value["messageId"].clone());
    assert_eq!(
        BTreeSet::from(published.map(|id| id.to_string())),
        BTreeSet::from([0, 2].map(|n| results[n]["id"].to_string()))
    );
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn ten_thousand_messages_are_one_transaction(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let recipients: Vec<String> = (0..10_000).map(|n| format!("+4915{n:08}")).collect();
    let body = json!({ "sender": "+15550100", "text": "to everybody", "recipients": recipients });
    let answer: Value = post(&replica, "", &body).await.json().await.expect("a JSON body");
    assert_eq!(answer["accepted_count"], 10_000, "{}", answer["detail"]);
    assert_eq!(messages(&database).await, 10_000);
    assert_eq!(replica.metric("ingest_batch_messages_count").await, 1);
    let ids: Vec<_> = answer["results"].as_array().expect("a list").iter().map(|result| &result["id"]).collect();
    assert!(ids.is_sorted_by(|one, next| one.as_str() < next.as_str()));
    outbox_is_empty(&database).await;
    assert_eq!(replica.metric("sms_queued_total").await, 10_000);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn an_atomic_batch_is_accepted_as_a_whole_or_not_at_all(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let mixed = json!({ "messages": [message("one"), message("")] });
    let refused = post(&replica, "?atomic=true", &mixed).await;
    assert_eq!(refused.status(), 400);
    let problem: Value = refused.json().await.expect("a JSON body");
    assert_eq!(
        problem["violations"][0],
        json!({ "field": "sendBatch.request.messages[1].text", "message": "Message text is required" })
    );
    assert_eq!(problem["errors"][0]["pointer"], "#/messages/1/text");
    assert_eq!(messages(&database).await, 0);
    let good = json!({ "messages": [message("one"), message("two")] });
    assert_eq!(post(&replica, "?atomic=true", &good).await.status(), 202);
    assert_eq!(messages(&database).await, 2);
    assert_eq!(post(&replica, "?atomic=perhaps", &good).await.status(), 400);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn what_is_no_batch_is_refused(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let recipients: Vec<String> = (0..10_001).map(|n| format!("+4915{n:08}")).collect();
    for (body, detail) in [
        (json!({}), "A batch has either messages, or recipients with sender and text"),
        (json!({ "messages": [] }), "A batch has at least one message"),
        (json!({ "recipients": [], "sender": "12", "text": "x" }), "A batch has at least one recipient"),
        (
            json!({ "messages": [message("x")], "recipients": ["12"] }),
            "A batch has either messages, or recipients with sender and text",
        ),
        (json!({ "recipients": recipients, "sender": "12", "text": "x" }), "A batch has at most 10000 messages"),
        (json!({ "recipients": ["12"], "sender": "12" }), "Message text is required"),
        (json!({ "recipients": ["x"], "sender": "12", "text": "x" }), "Invalid recipient phone number format"),
        (json!({ "messages": [message("")] }), "Message text is required"),
    ] {
        let refused = post(&replica, "", &body).await;
        assert_eq!(refused.status(), 400);
        let problem: Value = refused.json().await.expect("a JSON body");
        assert!(problem["errors"][0]["detail"].as_str().expect("a text").starts_with(detail), "{problem}");
    }
    for malformed in [json!({ "messages": "x" }), json!({ "messages": ["x"] }), json!([])] {
        assert_eq!(post(&replica, "", &malformed).await.status(), 400);
    }
    assert_eq!(messages(&database).await, 0);
    replica.stop().await;
}
