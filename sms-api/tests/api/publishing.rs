//! From the outbox to Kafka, whoever publishes.

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    replica::{Replica, message, outbox_is_empty},
    topic::Topic,
};

#[sqlx::test(migrations = "./migrations")]
async fn a_record_has_the_shape_that_the_contract_nails(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let body: Value = replica.post(&message("Grüße 🎈")).await.json().await.expect("a JSON body");
    let record = topic.next().await;
    assert_eq!(record.key, "+4915112345678");
    assert_eq!(
        record.value,
        json!({
            "version": "1",
            "messageId": body["id"],
            "sender": "+15550100",
            "recipient": "+4915112345678",
            "text": "Grüße 🎈",
            "attempt": 1,
            "createdAt": body["created_at"],
        })
    );
    assert_eq!(record.headers.keys().collect::<Vec<_>>(), ["traceparent"]);
    outbox_is_empty(&database).await;
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_record_continues_the_trace_of_its_request(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let posted = replica
        .public(reqwest::Method::POST, "/v1/messages")
        .header("traceparent", format!("00-{trace}-{span}-01"))
        .json(&message("traced"))
        .send()
        .await;
    assert_eq!(posted.expect("an answer").status(), 202);
    let traceparent = topic.next().await.headers.remove("traceparent").expect("a traceparent");
    let parts: Vec<&str> = traceparent.split('-').collect();
    assert_eq!((parts[0], parts[1], parts[3]), ("00", trace, "01"), "{traceparent}");
    assert_ne!(parts[2], span, "the record's parent is our span, not the caller's");
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn what_one_replica_could_not_publish_another_one_does(database: PgPool) {
    let lame = Replica::without_kafka(&database).await;
    let id = lame.accepted("from the lame one").await;
    sqlx::query("update outbox set leased_until = now(), traceparents = array['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01']")
        .execute(&database)
        .await
        .expect("the row is there");
    let topic = Topic::create().await;
    let able = Replica::start(&database, &topic).await;
    let record = topic.next().await;
    assert_eq!(record.value["messageId"], id);
    assert_eq!(record.headers["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    outbox_is_empty(&database).await;
    assert_eq!(able.metric("outbox_rows_recovered_total").await, 1);
    topic.is_silent().await;
    able.stop().await;
    lame.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_batch_belongs_to_its_replica_while_the_lease_lasts(database: PgPool) {
    let lame = Replica::without_kafka(&database).await;
    lame.accepted("leased").await;
    let topic = Topic::create().await;
    let able = Replica::start(&database, &topic).await;
    let own = able.accepted("its own").await;
    assert_eq!(topic.next().await.value["messageId"], own);
    topic.is_silent().await;
    assert_eq!(able.metric("outbox_rows_recovered_total").await, 0);
    able.stop().await;
    lame.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_message_that_is_final_is_not_published_again(database: PgPool) {
    let final_id = Uuid::now_v7();
    sqlx::query(
        "insert into message (id, tenant, sender, recipient, text, status)
         values ($1, 'default', '+12', '+13', 'x', 'SENT')",
    )
    .bind(final_id)
    .execute(&database)
    .await
    .expect("a row");
    let gone_id = Uuid::now_v7();
    sqlx::query("insert into outbox (message_ids, traceparents, leased_until) values ($1, array[null, null], now())")
        .bind([final_id, gone_id])
        .execute(&database)
        .await
        .expect("a row");
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    outbox_is_empty(&database).await;
    topic.is_silent().await;
    replica.stop().await;
}
