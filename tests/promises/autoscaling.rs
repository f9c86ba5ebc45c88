//! As many processors run as it takes to drain a backlog in time, and the operator says why.

use std::{net::SocketAddr, process::Command, time::Duration};

use serde_json::{Value, json};
use tests::{Environment, LocalPipeline, PipelineSettings, eventually};

const LIMIT: Duration = Duration::from_secs(90);

/// Each processor works off 50 messages a second.
fn settings(autoscaling: Value) -> PipelineSettings {
    PipelineSettings {
        provider: json!({ "minDelay": "200ms", "maxDelay": "200ms", "failurePercent": 0 }),
        max_in_flight: 10,
        autoscaling: Some(autoscaling),
        ..PipelineSettings::default()
    }
}

/// So many messages to as many recipients.
async fn post(pipeline: &LocalPipeline, messages: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for first in (0..messages).step_by(50) {
        let posted = (first..messages.min(first + 50)).map(|number| pipeline.accepted(number));
        ids.extend(futures::future::join_all(posted).await);
    }
    ids
}

/// How many partitions of normal priority a processor reads.
async fn partitions(pipeline: &LocalPipeline, metrics: SocketAddr) -> Option<usize> {
    let answer = pipeline.client().get(format!("http://{metrics}/load")).send().await.ok()?;
    let load: Value = answer.json().await.ok()?;
    let lanes = load["lanes"].as_array()?;
    let normal = lanes.iter().find(|lane| lane["topic"].as_str().is_some_and(|topic| topic.ends_with(".requests")))?;
    normal["partitions"].as_array().map(Vec::len)
}

async fn until_processors(pipeline: &LocalPipeline, count: usize) {
    eventually(&format!("{count} processors"), LIMIT, async || {
        (pipeline.replicas("processor").len() == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_brings_the_processors_that_drain_it_in_time_and_silence_takes_them_away() {
    let autoscaling = json!({ "minReplicas": 1, "maxReplicas": 3, "drainWithin": "8s", "scaleDownAfter": "10s" });
    let pipeline = LocalPipeline::ready(settings(autoscaling)).await;
    let ids = post(&pipeline, 1500).await;

    until_processors(&pipeline, 3).await;
    eventually("each reads a partition of the topic that has the work", LIMIT, async || {
        let processors = pipeline.replicas("processor");
        let reading = processors.iter().map(|processor| partitions(&pipeline, processor.metrics));
        let reading = futures::future::join_all(reading).await;
        reading.iter().all(|partitions| *partitions == Some(1)).then_some(())
    })
    .await;

    for id in ids.iter().step_by(50) {
        assert_eq!(pipeline.until_final(id, LIMIT).await["status"], "SENT");
    }
    until_processors(&pipeline, 1).await;
    let (status, reason, _) = pipeline.condition("AutoscalerActive").expect("the condition is there");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Deciding"));

    let mut explain = Command::new(Environment::get().bin_dir.join("sms-operator"));
    explain.args(["explain", "smsp/notifications", "--last", "500", "--from", &pipeline.operator_url("")]);
    let told = explain.output().expect("the command starts");
    let (printed, notes) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "{notes}{printed}");
    assert!(notes.contains("each gave the same answer"), "{notes}");
    assert!(printed.contains("more are needed") && printed.contains("fewer have been enough"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_to_do_no_processor_runs_and_a_message_wakes_one() {
    let autoscaling = json!({ "minReplicas": 0, "maxReplicas": 3, "scaleDownAfter": "4s" });
    let pipeline = LocalPipeline::ready(settings(autoscaling)).await;
    assert_eq!(pipeline.replicas("processor"), []);
    for number in 0..2 {
        let id = pipeline.accepted(number).await;
        assert_eq!(pipeline.until_final(&id, LIMIT).await["status"], "SENT");
        until_processors(&pipeline, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_dry_run_the_count_is_only_told() {
    let autoscaling = json!({ "minReplicas": 1, "maxReplicas": 3, "drainWithin": "5s", "mode": "DryRun" });
    let pipeline = LocalPipeline::ready(settings(autoscaling)).await;
    post(&pipeline, 1500).await;
    let told = eventually("more are recommended", LIMIT, async || {
        let recommended = "smspipeline_autoscaler_recommended_replicas";
        pipeline.metric(pipeline.operator_metrics(), recommended).await.filter(|count| *count > 1.0)
    })
    .await;
    assert!(told <= 3.0, "{told}");
    assert_eq!(pipeline.replicas("processor").len(), 1);
    let (_, reason, message) = pipeline.condition("AutoscalerActive").expect("the condition is there");
    assert_eq!(reason, "DryRun", "{message}");
}
