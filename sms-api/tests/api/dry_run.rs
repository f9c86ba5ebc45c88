//! What a text takes, told without sending it.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgConnectOptions};

use crate::{
    replica::{NOBODY, Replica, message},
    topic::{self, Topic},
};

fn dry_run(text: &str) -> Value {
    let mut body = message(text);
    body["dry_run"] = json!(true);
    body
}

#[sqlx::test(migrations = "./migrations")]
async fn a_dry_run_tells_what_would_be_sent_and_leaves_nothing_behind(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    for (text, segments, encoding) in [
        ("a".repeat(160), 1, "GSM-7"),
        ("a".repeat(161), 2, "GSM-7"),
        ("{}".repeat(41), 2, "GSM-7"),
        ("😀".repeat(35), 1, "UCS-2"),
        ("😀".repeat(36), 2, "UCS-2"),
    ] {
        let response = replica.post(&dry_run(&text)).await;
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("location"));
        assert_eq!(
            response.text().await.expect("a body"),
            format!(
                r#"{{"sender":"+15550100","recipient":"+4915112345678","text":"{text}","priority":"normal","segments":{segments},"encoding":"{encoding}","dry_run":true}}"#
            )
        );
    }
    topic.is_silent().await;
    for table in ["message", "outbox"] {
        let count = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&database).await.expect("a count");
        assert_eq!(rows, 0, "{table}");
    }
    for counter in ["sms_accepted_total", "sms_queued_total", "ingest_batch_messages_count"] {
        assert_eq!(replica.metric(counter).await, 0, "{counter}");
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_dry_run_is_refused_as_the_message_would_be(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    for mut body in [json!({}), message(""), json!({ "sender": 1, "recipient": [], "text": "a\u{0}" })] {
        let refused = replica.post(&body).await;
        body["dry_run"] = json!(true);
        let refused_dry = replica.post(&body).await;
        assert_eq!((refused.status().as_u16(), refused_dry.status().as_u16()), (400, 400));
        assert_eq!(refused.text().await.expect("a body"), refused_dry.text().await.expect("a body"));
    }
    let unclear = replica.post(&json!({ "text": "hello", "sender": "12", "recipient": "34", "dry_run": "yes" })).await;
    assert_eq!(unclear.status(), 400);
    let problem: Value = unclear.json().await.expect("a JSON body");
    assert_eq!(problem["errors"], json!([{ "pointer": "#/dry_run", "detail": "Dry run must be true or false" }]));
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_message_that_is_no_dry_run_is_sent(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    for no in [json!(false), Value::Null] {
        let mut body = message("for good");
        body["dry_run"] = no;
        assert_eq!(replica.post(&body).await.status(), 202);
        assert_eq!(topic.next().await.value["text"], "for good");
    }
    replica.stop().await;
}

#[tokio::test]
async fn a_dry_run_needs_no_postgresql() {
    let (host, port) = NOBODY.split_once(':').expect("host and port");
    let options = PgConnectOptions::new().host(host).port(port.parse().expect("a port"));
    let replica =
        Replica::with(sms_api::store::connect_lazily(options), topic::settings(), topic::lanes("unreachable")).await;
    assert_eq!(replica.post(&dry_run("hello")).await.status(), 200);
    assert_eq!(
        replica.public(Method::POST, "/v1/messages").json(&message("hello")).send().await.expect("an answer").status(),
        503
    );
    replica.stop().await;
}
