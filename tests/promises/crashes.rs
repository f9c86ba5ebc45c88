//! A crash loses nothing: whatever was accepted becomes final.

use std::time::Duration;

use devstack::{Cache, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, Silent};
use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tests::{LocalPipeline, PipelineSettings, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_work_when_the_processor_is_killed_are_final_after_its_restart() {
    let provider = json!({ "minDelay": "1s", "maxDelay": "2s", "failurePercent": 10 });
    let pipeline = LocalPipeline::ready(PipelineSettings { provider, ..PipelineSettings::default() }).await;
    let processor = pipeline.replicas("processor").remove(0);

    let ids = join_all((0..50).map(|number| pipeline.accepted(number))).await;
    eventually("messages are in work", Duration::from_secs(20), async || {
        let in_flight = pipeline.metric(processor.metrics, "sms_processing_in_flight").await?;
        (in_flight > 0.0).then_some(())
    })
    .await;
    pipeline.kill(&processor);

    join_all(ids.iter().map(|id| pipeline.until_final(id, Duration::from_mins(1)))).await;
    let after = pipeline.replicas("processor").remove(0);
    assert_ne!(after.process, processor.process, "the processor was started again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_stored_but_not_published_when_the_api_is_killed_is_sent_after_its_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut broker = start_kafka(folder.path(), None);
    let settings = PipelineSettings { kafka: Some(broker.bootstrap_servers()), ..PipelineSettings::default() };
    let pipeline = LocalPipeline::ready(settings).await;
    let first = pipeline.accepted(1).await;
    pipeline.until_final(&first, Duration::from_secs(20)).await;

    // With the broker gone nothing can be published, so the kill falls between commit and publish.
    broker.kill();
    let answer = pipeline.post(&json!({ "sender": "+15550100", "recipient": "+15550102", "text": "hello" })).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let api = pipeline.replicas("api").remove(0);
    let url = format!("http://{}/readyz", api.metrics);
    eventually("the API tells that Kafka is away and stays ready", Duration::from_secs(30), async || {
        let readiness = pipeline.client().get(&url).send().await.ok()?;
        assert!(readiness.status().is_success(), "it can still store messages");
        readiness.text().await.ok()?.contains("reason").then_some(())
    })
    .await;
    pipeline.kill(&api);
    let mut database = PgConnection::connect(&pipeline.database_url).await.expect("PostgreSQL answers");
    let waiting: i64 =
        sqlx::query_scalar("select count(*) from outbox").fetch_one(&mut database).await.expect("a count");
    assert_eq!(waiting, 1, "the message waits in the outbox");

    broker.restart().expect("the broker starts again");
    let id = answer.body["id"].as_str().expect("an id");
    eventually("the API was started again", Duration::from_secs(30), async || {
        pipeline.replicas("api").first().filter(|replica| replica.process != api.process).map(drop)
    })
    .await;
    pipeline.until_final(id, Duration::from_mins(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_while_kafka_goes_away_and_comes_back_is_kept_and_each_dead_letter_once() {
    const GIVEN_UP: i64 = 30;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut broker = start_kafka(folder.path(), None);
    let kafka = kafka::Settings::plaintext(broker.bootstrap_servers());
    let provider = json!({ "minDelay": "1s", "maxDelay": "3s" });
    let settings =
        PipelineSettings { kafka: Some(broker.bootstrap_servers()), provider, ..PipelineSettings::default() };
    let pipeline = LocalPipeline::ready(settings).await;
    let mut database = PgConnection::connect(&pipeline.database_url).await.expect("PostgreSQL answers");

    // A report on a message that is gone cannot be taken.
    join_all((0..30).map(|number| pipeline.accepted(number))).await;
    let forgotten = sqlx::query("delete from message").execute(&mut database).await.expect("rows");
    assert_eq!(i64::try_from(forgotten.rows_affected()), Ok(GIVEN_UP));
    let mut kept = async || -> (i64, i64) {
        let count = sqlx::query_as("select count(*), count(distinct message_id) from dead_letter");
        count.fetch_one(&mut database).await.expect("counts")
    };
    eventually("the first dead letter", Duration::from_secs(20), async || (kept().await.0 > 0).then_some(())).await;
    broker.kill();
    assert!(kept().await.1 < GIVEN_UP, "the broker went away too late to prove anything");
    let url = format!("http://{}/readyz", pipeline.replicas("api").remove(0).metrics);
    eventually("the API tells that Kafka is away", Duration::from_secs(30), async || {
        let readiness = pipeline.client().get(&url).send().await.ok()?;
        readiness.text().await.ok()?.contains("reason").then_some(())
    })
    .await;

    broker.restart().expect("the broker starts again");
    let admin = kafka::Admin::new(&kafka, "tests").expect("a client");
    let topic = format!("{}-requests-dlq", pipeline.prefix);
    eventually("every dead letter once", Duration::from_mins(1), async || {
        let (rows, messages) = kept().await;
        let there = admin.offsets("tests".to_owned(), vec![(topic.clone(), 0)]).await.ok()?;
        assert!(rows <= there[0].end, "{rows} rows of {} records", there[0].end);
        (messages == GIVEN_UP && rows == there[0].end).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_work_and_in_kafka_when_the_broker_is_killed_are_final_after_its_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut broker = start_kafka(folder.path(), None);
    let provider = json!({ "minDelay": "100ms", "maxDelay": "2s" });
    let settings =
        PipelineSettings { kafka: Some(broker.bootstrap_servers()), provider, ..PipelineSettings::default() };
    let pipeline = LocalPipeline::ready(settings).await;
    let metrics = pipeline.replicas("processor").remove(0).metrics;

    let mut ids = Vec::new();
    for kill in 1..=2 {
        ids.extend(join_all((0..100).map(|number| pipeline.accepted(number))).await);
        eventually("messages are in work", Duration::from_secs(30), async || {
            let in_flight = pipeline.metric(metrics, "sms_processing_in_flight").await?;
            (in_flight > 0.0).then_some(())
        })
        .await;
        broker.kill();
        ids.extend(join_all((0..20).map(|number| pipeline.accepted(number))).await);
        broker.restart().unwrap_or_else(|error| panic!("the broker starts again after kill {kill}: {error}"));
    }
    join_all(ids.iter().map(|id| pipeline.until_final(id, Duration::from_mins(2)))).await;
    let after = pipeline.replicas("processor").remove(0);
    assert_eq!(after.metrics, metrics, "the same processor went on");
}

pub(crate) fn start_kafka(folder: &std::path::Path, port: Option<u16>) -> Kafka {
    let cache = Cache::of_this_machine().expect("a cache");
    let binaries = KafkaBinaries::install(&cache, &Silent).expect("Kafka is in the cache");
    Kafka::start(&binaries, &KafkaSettings { folder, port, tuning: JavaTuning::QuickStart }).expect("the broker starts")
}
