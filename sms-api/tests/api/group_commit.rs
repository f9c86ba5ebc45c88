//! Many requests, one transaction; and what happens when PostgreSQL does not take them.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::future::join_all;
use prometheus_client::registry::Registry;
use serde_json::Value;
use sms_api::{
    ingest::{Ingest, NotStored},
    message::{NewMessage, Priority},
    metrics::Metrics,
    relay::{self, Backlog},
    store::{self, Store},
    submission::Submission,
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    replica::{NOBODY, Replica, message, outbox_is_empty},
    topic::{self, Topic},
};

#[sqlx::test(migrations = "./migrations")]
async fn concurrent_posts_share_transactions_and_each_is_published_once(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let texts: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let accepted: BTreeSet<String> =
        join_all(texts.iter().map(|text| replica.accepted(text))).await.into_iter().collect();
    assert_eq!(accepted.len(), 200);

    let stored: Vec<Uuid> = sqlx::query_scalar("select id from message").fetch_all(&database).await.expect("rows");
    assert_eq!(stored.iter().map(Uuid::to_string).collect::<BTreeSet<_>>(), accepted);
    let batches = replica.metric("ingest_batch_messages_count").await;
    assert_eq!(replica.metric("ingest_batch_messages_sum").await, 200);
    assert!(batches < 150, "{batches} transactions for 200 messages");

    let mut published = BTreeSet::new();
    for _ in 0..200 {
        let record = topic.next().await;
        assert!(published.insert(record.value["messageId"].as_str().expect("an id").to_owned()));
    }
    assert_eq!(published, accepted);
    outbox_is_empty(&database).await;
    assert_eq!(replica.metric("sms_accepted_total").await, 200);
    assert_eq!(replica.metric("sms_queued_total").await, 200);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_message_that_postgresql_refuses_fails_alone(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    sqlx::query("alter table message add constraint no_poison check (text not like 'poison%')")
        .execute(&database)
        .await
        .expect("a new constraint");
    let texts: Vec<String> =
        (0..100).map(|n| if n % 50 == 3 { format!("poison {n}") } else { format!("fine {n}") }).collect();
    let answers = join_all(texts.iter().map(async |text| replica.post(&message(text)).await)).await;
    for (text, answer) in texts.iter().zip(answers) {
        let expected = if text.starts_with("poison") { 500 } else { 202 };
        assert_eq!(answer.status(), expected, "{text}");
        if expected == 500 {
            let problem = answer.text().await.expect("a body");
            assert!(problem.contains("INTERNAL_ERROR") && !problem.contains("poison"), "{problem}");
        }
    }
    for _ in 0..98 {
        assert!(topic.next().await.value["text"].as_str().is_some_and(|text| text.starts_with("fine")));
    }
    outbox_is_empty(&database).await;
    topic.is_silent().await;
    replica.stop().await;
}

#[tokio::test]
async fn while_postgresql_is_away_requests_are_answered_503_within_a_bound() {
    let topic = Topic::create().await;
    let (host, port) = NOBODY.split_once(':').expect("host and port");
    let options = PgConnectOptions::new().host(host).port(port.parse().expect("a port"));
    let replica = Replica::with(store::connect_lazily(options), topic::settings(), topic.lanes.clone()).await;
    let started = Instant::now();
    let answers = join_all((0..50).map(async |n: i32| replica.post(&message(&n.to_string())).await)).await;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    for answer in answers {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "2");
        let problem: Value = answer.json().await.expect("a JSON body");
        assert_eq!(problem["error_code"], "UNAVAILABLE");
    }
    let read = replica.public(reqwest::Method::GET, &format!("/v1/messages/{}", Uuid::now_v7())).send().await;
    assert_eq!(read.expect("an answer").status(), 503);
    replica.stop().await;
}

/// A server that takes connections and never answers is the worst way for PostgreSQL to be away.
#[tokio::test]
async fn a_full_queue_sheds_at_once_and_nobody_waits_for_ever() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = silent.local_addr().expect("a bound address").port();
    let store = Store::new(store::connect_lazily(PgConnectOptions::new().host("127.0.0.1").port(port)));
    let metrics = Metrics::register(&mut Registry::default());
    let closing = CancellationToken::new();
    let mut workers = JoinSet::new();
    let (_up, kafka_is_up) = watch::channel(false);
    let kafka = kafka::Settings::plaintext(NOBODY);
    let settings = relay::Settings { kafka, topics: topic::lanes("unreachable"), kafka_is_up };
    let handover = relay::start(settings, &store, &metrics, &closing, &mut workers).expect("valid Kafka settings");
    let (_full, backlog) = watch::channel(Backlog::Bearable);
    let ingest = Ingest::start(&store, &handover, &metrics, backlog, &closing, &mut workers);

    let started = Instant::now();
    let answers = join_all((0..10_000).map(async |_: i32| {
        let message = NewMessage {
            id: Uuid::now_v7(),
            tenant: "default".into(),
            sender: "+15550100".into(),
            recipient: "+15550101".into(),
            text: "hello".into(),
            priority: Priority::Normal,
            send_at: None,
            expires_at: None,
            batch_id: None,
            client_reference: None,
            metadata: None,
            traceparent: None,
        };
        let submission = Submission { messages: vec![message], once: None };
        (ingest.store(submission).await.err(), started.elapsed())
    }))
    .await;
    let shed: Vec<_> = answers.iter().filter(|(error, _)| *error == Some(NotStored::QueueFull)).collect();
    assert!(shed.len() >= 5_000, "only {} were shed", shed.len());
    assert!(shed.iter().all(|(_, after)| *after < Duration::from_secs(1)));
    assert!(answers.iter().all(|(error, _)| error.is_some()));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}
