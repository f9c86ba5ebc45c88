//! As many processors run as it takes to drain a backlog in time, and the operator says why.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::Range,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Path, routing::put};
use serde_json::{Value, json};
use tests::{Environment, LocalPipeline, PipelineSettings, eventually};
use tokio::net::TcpListener;

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

/// Messages to as many recipients, by their numbers.
pub(crate) async fn post(pipeline: &LocalPipeline, messages: Range<usize>) -> Vec<String> {
    let mut ids = Vec::new();
    for first in messages.clone().step_by(50) {
        let posted = (first..messages.end.min(first + 50)).map(|number| pipeline.accepted(number));
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
    let ids = post(&pipeline, 0..1500).await;

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
    post(&pipeline, 0..1500).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_is_scaled_from_now_on_goes_on_with_the_processors_that_run() {
    // Two of the API, so that only processors have the count that is edited.
    let settings = PipelineSettings { api_replicas: 2, ..PipelineSettings::default() };
    let pipeline = LocalPipeline::ready(settings).await;
    pipeline.edit(r#""replicas":1"#, r#""replicas":3"#);
    until_processors(&pipeline, 3).await;
    let before = pipeline.replicas("processor");
    pipeline.edit(r#""replicas":3"#, r#""autoscaling":{"maxReplicas":3}"#);
    eventually("it decides", LIMIT, async || {
        let (_, reason, _) = pipeline.condition("AutoscalerActive")?;
        (reason == "Deciding").then_some(())
    })
    .await;
    assert_eq!(pipeline.replicas("processor"), before);
}

/// How often each recipient was sent a message, as the provider at the URL has counted.
pub(crate) type Sent = Arc<Mutex<BTreeMap<String, usize>>>;

pub(crate) async fn counting_provider() -> (Sent, Value) {
    let sent = Sent::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let count = {
        let sent = Arc::clone(&sent);
        async move |Path(recipient): Path<String>| {
            *sent.lock().expect("nobody panicked").entry(recipient).or_default() += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let router = Router::new().route("/send/{recipient}", put(count));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("http://{address}/send/{{{{ recipient | urlencode }}}}");
    (sent, json!({ "url": url, "method": "PUT" }))
}

/// Posts to a pipeline whose processors come and go so many times; gives how many messages that were, to recipients from a number
/// on that is its own.
async fn come_and_go(provider: Value, times: usize, first: usize) -> usize {
    let settings = PipelineSettings {
        http_provider: Some(provider),
        max_in_flight: 20,
        api_replicas: 2,
        ..PipelineSettings::default()
    };
    let pipeline = LocalPipeline::ready(settings).await;
    let mut ids = Vec::new();
    for _ in 0..times {
        for (from, to) in [(1, 3), (3, 1)] {
            let next = first + ids.len();
            ids.extend(post(&pipeline, next..next + 200).await);
            pipeline.edit(&format!(r#""replicas":{from}"#), &format!(r#""replicas":{to}"#));
            ids.extend(post(&pipeline, next + 200..next + 300).await);
            until_processors(&pipeline, to).await;
        }
    }
    for id in &ids {
        assert_eq!(pipeline.until_final(id, LIMIT).await["status"], "SENT");
    }
    ids.len()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
async fn no_message_is_lost_or_sent_twice_while_processors_come_and_go_under_load() {
    // So many times up and down; a soak takes more, of pipelines side by side.
    let times = std::env::var("SCALE_INS").map_or(5, |times| times.parse().expect("SCALE_INS is a number"));
    let side_by_side = if times < 100 { 1 } else { 4 };
    let (sent, provider) = counting_provider().await;
    let pipelines = (0..side_by_side)
        .map(|number| Box::pin(come_and_go(provider.clone(), times / side_by_side, number * 1_000_000)));
    let posted: usize = futures::future::join_all(pipelines).await.into_iter().sum();
    let sent = sent.lock().expect("nobody panicked");
    let twice: Vec<_> = sent.iter().filter(|(_, times)| **times != 1).collect();
    assert_eq!((sent.len(), twice), (posted, Vec::new()));
}
