//! Dead letters as clients see them and send them again.

use futures::future::join_all;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    dead_letter_topic::{DeadLetterTopic, listed, of_message, redrive},
    replica::Replica,
    topic::Topic,
};

/// Messages that were given up, each `letters` times, by the ids of the messages.
async fn given_up(
    replica: &Replica,
    topic: &Topic,
    dead_letters: &DeadLetterTopic,
    messages: usize,
    letters: usize,
) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..messages {
        ids.push(replica.accepted(&number.to_string()).await);
        let record = topic.next().await.value.to_string();
        for _ in 0..letters {
            dead_letters.park(0, &record, "refused").await;
        }
    }
    dead_letters.is_read().await;
    ids
}

async fn redrive_all(replica: &Replica, body: &Value) -> (u16, Value) {
    let answer = replica.public(Method::POST, "/v1/dead-letters/redrive").json(body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("a JSON body"))
}

#[sqlx::test(migrations = "./migrations")]
async fn of_many_redrives_at_once_one_sends_the_message(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    let replicas = [Replica::start(&database, &topic).await, Replica::start(&database, &topic).await];
    let ids = given_up(&replicas[0], &topic, &dead_letters, 1, 3).await;
    let page = listed(&replicas[0], &format!("message_id={}", ids[0])).await;
    let letters = page["dead_letters"].as_array().expect("a list");
    assert_eq!(letters.len(), 3);
    let (one, filter) = (0..15, json!({}));
    let by_id = join_all(one.map(|number| redrive(&replicas[number % 2], &letters[number % 3])));
    let by_filter = join_all((0..4).map(|number| redrive_all(&replicas[number % 2], &filter)));
    let (by_id, by_filter) = tokio::join!(by_id, by_filter);
    let mut sent = by_id.iter().filter(|(status, _)| *status == 200).count();
    assert!(by_id.iter().all(|(status, _)| [200, 409].contains(status)), "{by_id:?}");
    for (status, outcome) in by_filter {
        assert_eq!(status, 202, "{outcome}");
        sent += usize::try_from(outcome["redriven_count"].as_u64().expect("a count")).expect("a small count");
    }
    assert_eq!(sent, 1);
    assert_eq!(topic.next().await.value["attempt"], 2);
    topic.is_silent().await;

    // The others are of a past attempt, also when the message fails in its next one.
    replicas[0].report(&json!({ "message_id": ids[0], "status": "FAILED", "attempt": 2 })).await;
    let (status, outcome) = redrive_all(&replicas[0], &json!({})).await;
    assert_eq!((status, outcome), (202, json!({ "redriven_count": 0, "skipped_count": 2, "more": false })));
    topic.is_silent().await;
    for replica in replicas {
        replica.stop().await;
    }
}

#[sqlx::test(migrations = "./migrations")]
async fn a_message_that_went_on_is_not_sent_again(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    let replica = Replica::start(&database, &topic).await;
    let ids = given_up(&replica, &topic, &dead_letters, 1, 1).await;
    let retry = format!("/v1/messages/{}/retry", ids[0]);
    assert_eq!(replica.public(Method::POST, &retry).send().await.expect("an answer").status(), 200);
    topic.next().await;
    let letter = of_message(&replica, &ids[0]).await;
    assert_eq!(letter["redrivable"], false);
    let refused = async |reason: &str| {
        let (status, problem) = redrive(&replica, &letter).await;
        assert_eq!((status, &problem["error_code"]), (409, &json!("NOT_REDRIVABLE")));
        assert!(problem["detail"].as_str().expect("a text").contains(reason), "{problem}");
    };
    refused("this one is PENDING").await;
    replica.report(&json!({ "message_id": ids[0], "status": "FAILED", "attempt": 2 })).await;
    refused("the message had attempt 2 since").await;
    topic.is_silent().await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_filter_sends_what_can_be_sent_and_counts_the_rest(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    let replica = Replica::start(&database, &topic).await;
    for number in 0..600 {
        dead_letters.park(0, &format!("undecodable {number}"), "refused").await;
    }
    let ids = given_up(&replica, &topic, &dead_letters, 5, 1).await;
    let third = of_message(&replica, &ids[2]).await;
    let before = json!({ "created_before": third["failed_at"] });
    let outcome = redrive_all(&replica, &json!({ "limit": 1 })).await;
    assert_eq!(outcome, (202, json!({ "redriven_count": 1, "skipped_count": 600, "more": true })));
    let outcome = redrive_all(&replica, &before).await;
    assert_eq!(outcome, (202, json!({ "redriven_count": 1, "skipped_count": 600, "more": false })));
    let outcome = redrive_all(&replica, &json!({ "created_after": third["failed_at"] })).await;
    assert_eq!(outcome, (202, json!({ "redriven_count": 3, "skipped_count": 0, "more": false })));
    let mut sent = Vec::new();
    for _ in &ids {
        sent.push(topic.next().await.value["messageId"].as_str().expect("an id").to_owned());
    }
    sent.sort_unstable();
    assert_eq!(sent, ids);
    topic.is_silent().await;
    let (status, problem) = redrive_all(&replica, &json!({ "limit": 10_001, "created_after": "today" })).await;
    assert_eq!((status, &problem["error_code"]), (400, &json!("INVALID_FIELDS")));
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn pages_hold_every_dead_letter_once_newest_first(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    let replica = Replica::start(&database, &topic).await;
    let ids = given_up(&replica, &topic, &dead_letters, 5, 1).await;
    let of_one = of_message(&replica, &ids[1]).await;
    assert_eq!(redrive(&replica, &of_one).await.0, 200);

    let messages = |page: &Value| -> Vec<String> {
        let letters = page["dead_letters"].as_array().expect("a list").iter();
        letters.map(|letter| letter["message_id"].as_str().expect("an id").to_owned()).collect()
    };
    let mut newest_first = ids.clone();
    newest_first.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for expected in [2, 2, 1] {
        let page = listed(&replica, &format!("limit=2{cursor}")).await;
        assert_eq!(messages(&page).len(), expected);
        seen.extend(messages(&page));
        cursor =
            page.get("next_cursor").and_then(Value::as_str).map_or_else(String::new, |next| format!("&cursor={next}"));
    }
    assert_eq!((seen, cursor.as_str()), (newest_first, ""));
    assert_eq!(messages(&listed(&replica, "redriven=true").await), [ids[1].clone()]);
    assert_eq!(messages(&listed(&replica, "redriven=false").await).len(), 4);
    let from = of_one["failed_at"].as_str().expect("a time");
    assert_eq!(messages(&listed(&replica, &format!("created_after={from}")).await).len(), 4);
    assert_eq!(messages(&listed(&replica, &format!("created_before={from}")).await), [ids[0].clone()]);
    let wrong = replica.public(Method::GET, "/v1/dead-letters?limit=0&cursor=x").send().await.expect("an answer");
    assert_eq!(wrong.status(), 400);
    let problem: Value = wrong.json().await.expect("a JSON body");
    assert_eq!(problem["detail"], "These fields are not valid: limit, cursor.");
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn nobody_sees_or_sends_the_dead_letters_of_another_tenant(database: PgPool) {
    let topic = Topic::create().await;
    let dead_letters = DeadLetterTopic::create(&topic, 1).await;
    let message = Uuid::now_v7();
    sqlx::query("insert into message (id, tenant, sender, recipient, text) values ($1, 'billing', '+12', '+13', 'x')")
        .bind(message)
        .execute(&database)
        .await
        .expect("a row");
    let record = json!({
        "version": "1", "messageId": message, "sender": "+12", "recipient": "+13", "text": "x", "attempt": 1,
        "createdAt": Timestamp::now(),
    });
    dead_letters.park(0, &record.to_string(), "refused").await;
    let replica = Replica::start(&database, &topic).await;
    dead_letters.is_read().await;
    let (id, tenant, status): (Uuid, String, String) = sqlx::query_as(
        "select dead_letter.id, dead_letter.tenant, status from dead_letter join message on message.id = message_id",
    )
    .fetch_one(&database)
    .await
    .expect("a row");
    assert_eq!((&*tenant, &*status), ("billing", "FAILED"));
    assert_eq!(listed(&replica, "").await, json!({ "dead_letters": [], "limit": 20 }));
    assert_eq!(listed(&replica, &format!("message_id={message}")).await, json!({ "dead_letters": [], "limit": 20 }));
    let (status, problem) = redrive(&replica, &json!({ "id": id })).await;
    assert_eq!((status, &problem["error_code"]), (404, &json!("DEAD_LETTER_NOT_FOUND")));
    let outcome = redrive_all(&replica, &json!({})).await;
    assert_eq!(outcome, (202, json!({ "redriven_count": 0, "skipped_count": 0, "more": false })));
    for path in [format!("/v1/dead-letters/{id}"), "/v1/dead-letters/abc".to_owned()] {
        let answer = replica.public(Method::GET, &path).send().await.expect("an answer");
        assert_eq!(answer.status(), 404, "{path}");
    }
    topic.is_silent().await;
    replica.stop().await;
}
