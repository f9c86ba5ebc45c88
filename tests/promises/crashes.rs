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

pub(crate) fn start_kafka(folder: &std::path::Path, port: Option<u16>) -> Kafka {
    let cache = Cache::of_this_machine().expect("a cache");
    let binaries = KafkaBinaries::install(&cache, &Silent).expect("Kafka is in the cache");
    Kafka::start(&binaries, &KafkaSettings { folder, port, tuning: JavaTuning::QuickStart }).expect("the broker starts")
}
