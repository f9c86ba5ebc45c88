//! Lists of messages: which, in what order, and that pages lose and repeat nothing.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{
    replica::{Replica, message},
    topic::Topic,
};

async fn get(replica: &Replica, path: &str) -> (u16, Value) {
    let response = replica.public(Method::GET, path).send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("a JSON body"))
}

async fn list(replica: &Replica, path: &str) -> Value {
    let (status, body) = get(replica, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

fn ids(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().expect("a list").iter();
    messages.map(|message| message["id"].as_str().expect("an id").to_owned()).collect()
}

/// Follows the cursors to the end; gives the ids in their order.
async fn all(replica: &Replica, path: &str) -> Vec<String> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(replica, &format!("{path}{separator}limit=3{cursor}")).await;
        found.extend(ids(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

async fn accepted(replica: &Replica, change: impl FnOnce(&mut Value)) -> String {
    let mut body = message("hello");
    change(&mut body);
    let answer = replica.post(&body).await;
    assert_eq!(answer.status(), 202);
    answer.json::<Value>().await.expect("a JSON body")["id"].as_str().expect("an id").to_owned()
}

#[sqlx::test(migrations = "./migrations")]
async fn a_client_of_the_peer_gets_its_pages(database: PgPool) {
    let replica = Replica::without_kafka(&database).await;
    let empty = json!({ "messages": [], "total_count": 0, "page": 0, "page_size": 20, "total_pages": 0 });
    for path in ["/v1/messages", "/v1/messages/failed", "/v1/users/+15550100/messages"] {
        assert_eq!(list(&replica, path).await, empty, "{path}");
    }
    let mut newest_first = Vec::new();
    for _ in 0..7 {
        newest_first.insert(0, accepted(&replica, |_| {}).await);
    }
    for (page, expected) in [(0, 0..3), (1, 3..6), (2, 6..7), (9, 7..7)] {
        let body = list(&replica, &format!("/v1/messages?size=3&page={page}")).await;
        assert_eq!(ids(&body), newest_first[expected], "page {page}");
        let figures = [&body["total_count"], &body["page"], &body["page_size"], &body["total_pages"]];
        assert_eq!(figures, [json!(7), json!(page), json!(3), json!(3)].each_ref());
        assert!(body.get("total_count_is_lower_bound").is_none());
    }
    assert_eq!(list(&replica, "/v1/messages?size=1").await["messages"][0], replica.message(&newest_first[0]).await);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn every_filter_leaves_what_it_says(database: PgPool) {
    let replica = Replica::without_kafka(&database).await;
    let plain = accepted(&replica, |_| {}).await;
    let other = accepted(&replica, |body| {
        body["sender"] = json!("+4915112345678");
        body["recipient"] = json!("4930123456");
    })
    .await;
    let named = accepted(&replica, |body| body["client_reference"] = json!("order 4711/a&b")).await;
    let failed = accepted(&replica, |body| body["client_reference"] = json!("order 4711/a&b")).await;
    let sent = accepted(&replica, |_| {}).await;
    let scheduled =
        accepted(&replica, |body| body["send_at"] = json!(jiff::Timestamp::now() + jiff::Span::new().hours(1))).await;
    replica.report(&json!({ "message_id": failed, "status": "FAILED" })).await;
    replica.report(&json!({ "message_id": sent, "status": "SENT" })).await;
    let batch =
        replica.public(Method::POST, "/v1/messages/batch").json(&json!({ "messages": [message("1"), message("2")] }));
    let batch: Value = batch.send().await.expect("an answer").json().await.expect("a JSON body");
    let in_batch = [1, 0].map(|index| batch["results"][index]["id"].as_str().expect("an id").to_owned());
    let batch_id = batch["batch_id"].as_str().expect("an id");
    let created_at = replica.message(&named).await["created_at"].as_str().expect("a time").to_owned();

    let [one, two] = &in_batch;
    let of = |ids: &[&String]| ids.iter().map(|&id| id.clone()).collect::<Vec<_>>();
    let reference = "client_reference=order%204711%2Fa%26b";
    let mut checks = vec![
        ("/v1/messages".to_owned(), of(&[one, two, &scheduled, &sent, &failed, &named, &other, &plain])),
        ("/v1/messages?status=PENDING".to_owned(), of(&[one, two, &named, &other, &plain])),
        ("/v1/messages?status=SENT".to_owned(), of(&[&sent])),
        ("/v1/messages?status=FAILED".to_owned(), of(&[&failed])),
        ("/v1/messages/failed".to_owned(), of(&[&failed])),
        ("/v1/messages?status=SCHEDULED".to_owned(), of(&[&scheduled])),
        ("/v1/messages?status=CANCELED".to_owned(), of(&[])),
        (format!("/v1/messages?batch_id={batch_id}"), of(&[one, two])),
        (format!("/v1/messages?batch_id={batch_id}&status=SENT"), of(&[])),
        (format!("/v1/messages?{reference}"), of(&[&failed, &named])),
        (format!("/v1/messages/failed?{reference}"), of(&[&failed])),
        (format!("/v1/messages?{reference}&status=PENDING"), of(&[&named])),
        (format!("/v1/messages?created_after={created_at}&status=PENDING"), of(&[one, two, &named])),
        (format!("/v1/messages?created_before={created_at}"), of(&[&other, &plain])),
        ("/v1/users/+4915112345678/messages?status=FAILED".to_owned(), of(&[&failed])),
        ("/v1/users/4915112345678/messages".to_owned(), of(&[])),
        (format!("/v1/users/4930123456/messages?{reference}"), of(&[])),
        ("/v1/users/4930123456/messages".to_owned(), of(&[&other])),
    ];
    for user in ["+4915112345678", "%2B4915112345678"] {
        let expected = of(&[one, two, &scheduled, &sent, &failed, &named, &other, &plain]);
        checks.push((format!("/v1/users/{user}/messages"), expected));
    }
    for (path, expected) in checks {
        assert_eq!(all(&replica, &path).await, expected, "{path}");
        let page = list(&replica, &path).await;
        assert_eq!((ids(&page), &page["total_count"]), (expected.clone(), &json!(expected.len())), "{path}");
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_message_to_oneself_is_listed_once(database: PgPool) {
    let replica = Replica::without_kafka(&database).await;
    let id = accepted(&replica, |body| body["recipient"] = body["sender"].clone()).await;
    assert_eq!(all(&replica, "/v1/users/+15550100/messages").await, [id]);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn nobody_sees_the_messages_of_another_tenant(database: PgPool) {
    let replica = Replica::without_kafka(&database).await;
    let own = accepted(&replica, |body| body["client_reference"] = json!("same")).await;
    for status in ["PENDING", "SENT", "FAILED"] {
        sqlx::query(
            "with stored as (
                 insert into message (id, tenant, sender, recipient, text, status, client_reference)
                 values (uuidv7(), 'other', '+15550100', '+4915112345678', 'secret', $1, 'same') returning *
             )
             insert into rare_status select id, tenant, status from stored where status = 'FAILED'",
        )
        .bind(status)
        .execute(&database)
        .await
        .expect("a row");
    }
    for path in ["/v1/messages", "/v1/messages?client_reference=same", "/v1/users/+15550100/messages"] {
        assert_eq!(all(&replica, path).await, std::slice::from_ref(&own), "{path}");
        assert_eq!(list(&replica, path).await["total_count"], 1, "{path}");
    }
    for path in ["/v1/messages?status=SENT", "/v1/messages/failed"] {
        assert_eq!(all(&replica, path).await, [""; 0], "{path}");
    }
    let retried = replica.public(Method::POST, "/v1/messages/failed/retry").json(&json!({})).send().await;
    assert_eq!(retried.expect("an answer").json::<Value>().await.expect("a JSON body")["retried_count"], 0);
    let others: Vec<uuid::Uuid> =
        sqlx::query_scalar("select id from message where tenant = 'other'").fetch_all(&database).await.expect("rows");
    for id in others {
        for path in [format!("/v1/messages/{id}"), format!("/v1/messages/{id}/events")] {
            assert_eq!(get(&replica, &path).await.0, 404);
        }
    }
    replica.stop().await;
}

/// What is there when the first page is read comes exactly once, whatever arrives and changes meanwhile.
#[sqlx::test(migrations = "./migrations")]
async fn pages_lose_and_repeat_nothing_while_messages_arrive_and_change(database: PgPool) {
    let replica = Replica::without_kafka(&database).await;
    let mut before = BTreeSet::new();
    for n in 0..40 {
        before.insert(accepted(&replica, |body| body["text"] = json!(n.to_string())).await);
    }
    let done = CancellationToken::new();
    let traffic = async {
        let mut reported = before.iter();
        while !done.is_cancelled() {
            accepted(&replica, |_| {}).await;
            if let Some(id) = reported.next() {
                replica.report(&json!({ "message_id": id, "status": "SENT" })).await;
            }
        }
    };
    let reading = async {
        for path in ["/v1/messages", "/v1/users/+15550100/messages"] {
            let found = all(&replica, path).await;
            let distinct: BTreeSet<_> = found.iter().cloned().collect();
            assert_eq!(distinct.len(), found.len(), "{path}: none comes twice");
            assert!(distinct.is_superset(&before), "{path}: none is lost");
            assert!(found.is_sorted_by(|one, next| one > next), "{path}: newest first");
        }
        done.cancel();
    };
    tokio::join!(traffic, reading);
    replica.stop().await;
}

/// Of 25,000 messages the three that match are far apart: pages are short, but go on.
#[sqlx::test(migrations = "./migrations")]
async fn a_page_looks_at_so_many_messages_and_says_where_to_go_on(database: PgPool) {
    let replica = Replica::without_kafka(&database).await;
    sqlx::query(
        "insert into message (id, tenant, sender, recipient, text, status)
         select uuidv7(make_interval(secs => n / 1000.0 - 3600)), 'default', '+12', '+13', 'x',
             case when n in (100, 12000, 24000) then 'SENT' else 'PENDING' end
         from generate_series(1, 25000) as n",
    )
    .execute(&database)
    .await
    .expect("rows");
    let (mut found, mut pages, mut cursor) = (0, 0, String::new());
    loop {
        let page = list(&replica, &format!("/v1/messages?status=SENT&limit=50{cursor}")).await;
        (found, pages) = (found + ids(&page).len(), pages + 1);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((found, pages), (3, 3));
    sqlx::query("insert into status_change (day, tenant, to_status, messages) values (current_date, 'default', 'PENDING', 25000)")
        .execute(&database)
        .await
        .expect("a row");
    let counted = list(&replica, "/v1/messages?page=99&size=100").await;
    assert_eq!((&counted["total_count"], &counted["total_pages"]), (&json!(25_000), &json!(250)));
    assert!(counted.get("total_count_is_lower_bound").is_none());
    let cursor = counted["next_cursor"].as_str().expect("there is more");
    let (last, rest) = (ids(&counted), ids(&list(&replica, &format!("/v1/messages?limit=100&cursor={cursor}")).await));
    assert!(last.len() == 100 && rest.len() == 100 && last[99] > rest[0], "it goes on after the last page");
    let counted = list(&replica, "/v1/messages?created_after=2020-01-01T00:00:00Z").await;
    assert_eq!((&counted["total_count"], &counted["total_count_is_lower_bound"]), (&json!(10_000), &json!(true)));
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn what_is_no_list_is_refused_with_the_parameter_named(database: PgPool) {
    let replica = Replica::without_kafka(&database).await;
    for (path, field, message) in [
        ("/v1/messages?size=0", "listMessages.size", "must be greater than or equal to 1"),
        ("/v1/messages/failed?size=101", "getFailedMessages.size", "must be less than or equal to 100"),
        ("/v1/users/abc/messages", "getUserMessages.userId", "Invalid phone number format"),
        ("/v1/messages?limit=1001", "listMessages.limit", "must be less than or equal to 1000"),
        (
            "/v1/messages?page=500&size=20",
            "listMessages.page",
            "reaches only the first 10000 messages: go on with next_cursor as cursor",
        ),
    ] {
        let (status, body) = get(&replica, path).await;
        assert_eq!((status, &body["violations"][0]), (400, &json!({ "field": field, "message": message })), "{path}");
        assert!(body["errors"][0]["parameter"].is_string(), "{body}");
    }
    accepted(&replica, |_| {}).await;
    accepted(&replica, |_| {}).await;
    let page = list(&replica, "/v1/messages?limit=1").await;
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let (status, _) = get(&replica, &format!("/v1/messages?status=SENT&cursor={cursor}")).await;
    assert_eq!(status, 400, "a cursor of another list");
    let (status, body) = get(&replica, "/v1/messages?page=1&page=2").await;
    assert_eq!((status, &body["error_code"]), (400, &json!("MALFORMED_BODY")));
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn failed_messages_are_sent_again_by_filter_and_only_they(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let mut failed = Vec::new();
    for n in 0..6 {
        let id =
            accepted(&replica, |body| body["client_reference"] = json!(if n < 4 { "mine" } else { "other" })).await;
        topic.next().await;
        let status = if n == 0 { "SENT" } else { "FAILED" };
        replica.report(&json!({ "message_id": id, "status": status })).await;
        failed.push(id);
    }
    let retry = async |body: Value| {
        let request = replica.public(Method::POST, "/v1/messages/failed/retry").json(&body);
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.json::<Value>().await.expect("a JSON body"))
    };
    let mut wish = json!({ "client_reference": "mine", "limit": 2 });
    let (status, answer) = retry(wish.clone()).await;
    assert_eq!((status, &answer["retried_count"], &answer["more"]), (202, &json!(2), &json!(true)));
    wish["cursor"] = answer["next_cursor"].clone();
    for _ in 0..2 {
        let record = topic.next().await;
        assert_eq!(record.value["attempt"], 2);
        assert!(failed[2..4].iter().any(|id| record.value["messageId"] == *id));
    }
    let done = |count: usize| (202, json!({ "retried_count": count, "more": false }));
    assert_eq!(retry(wish.clone()).await, done(1));
    assert_eq!(retry(json!({})).await, done(2));
    assert_eq!(retry(json!({})).await, done(0));
    wish["client_reference"] = json!("other");
    assert_eq!(retry(wish).await.0, 400, "a cursor of other filters");
    for _ in 0..3 {
        topic.next().await;
    }
    topic.is_silent().await;
    for bad in [
        json!({ "limit": 0 }),
        json!({ "limit": "x" }),
        json!({ "created_after": "x" }),
        json!({ "batch_id": 1 }),
        json!({ "cursor": "x" }),
    ] {
        assert_eq!(retry(bad).await.0, 400);
    }
    replica.stop().await;
}
