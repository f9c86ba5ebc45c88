//! What is accepted is delivered, and its status says so.

use std::time::Duration;

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use tests::{LocalPipeline, PipelineSettings, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_posted_message_is_sent_or_failed_within_ten_seconds() {
    // The delays and failures of the decision record's own provider.
    let provider = json!({ "minDelay": "1s", "maxDelay": "3s", "failurePercent": 10 });
    let pipeline = LocalPipeline::ready(PipelineSettings { provider, ..PipelineSettings::default() }).await;

    let id = pipeline.accepted(1).await;
    let message = pipeline.until_final(&id, Duration::from_secs(10)).await;

    match message["status"].as_str() {
        Some("SENT") => assert_eq!(message["failure_reason"], json!(null)),
        Some("FAILED") => assert!(message["failure_reason"].is_string(), "{message}"),
        other => panic!("{other:?} is no outcome"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_messages_none_stays_pending_and_about_a_tenth_fails() {
    let mut pipeline = LocalPipeline::ready(PipelineSettings::default()).await;

    let ids = join_all((0..200).map(|number| pipeline.accepted(number))).await;
    let messages = join_all(ids.iter().map(|id| pipeline.until_final(id, Duration::from_mins(1)))).await;

    let failed = messages.iter().filter(|message| message["status"] == "FAILED").count();
    let sent = messages.iter().filter(|message| message["status"] == "SENT").count();
    assert_eq!(sent + failed, 200);
    // Twenty are expected; the bounds are more than four standard deviations away.
    assert!((2..=50).contains(&failed), "{failed} of 200 failed");

    let metrics = pipeline.replicas("api")[0].metrics;
    let counted = ["sms_accepted_total", "sms_sent_total", "sms_failed_total"];
    let counted = join_all(counted.map(|name| pipeline.metric(metrics, name))).await;
    let expected = [200, sent, failed].map(|count| Some(f64::from(u32::try_from(count).expect("a small number"))));
    assert_eq!(counted, expected);
    let operator = pipeline.operator_metrics();
    eventually("nothing is left to commit", Duration::from_secs(10), async || {
        (pipeline.metric(operator, "smspipeline_consumer_lag_records").await? == 0.0).then_some(())
    })
    .await;
    let processor = pipeline.replicas("processor")[0].metrics;
    let commits = pipeline.metric(processor, "kafka_consumer_commits_total").await;
    assert!(commits.is_some_and(|commits| commits > 0.0), "commits are counted");

    assert_eq!(pipeline.stop(), 0);
    let token = pipeline.internal_token();
    let output = pipeline.output();
    for secret in ["+1555", "hello", token.as_str(), pipeline.database_url.as_str()] {
        assert!(!output.contains(secret), "{secret:?} was printed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_file_is_carried_out() {
    let pipeline = LocalPipeline::ready(PipelineSettings::default()).await;
    let admin = pipeline.admin();
    let topic = format!("{}.requests", pipeline.prefix);

    pipeline.edit(r#""partitions":3"#, r#""partitionGrowth":"Acknowledge","partitions":5"#);
    eventually("the topic has five partitions", Duration::from_secs(30), async || {
        let found = admin.describe_topics(vec![topic.clone()]).await.ok()?;
        (found.get(&topic)?.partitions == 5).then_some(())
    })
    .await;

    pipeline.edit(r#""processor":{"#, r#""processor":{"maxInFlight":7,"#);
    pipeline.edit(r#""replicas":1},"#, r#""replicas":2},"#);
    eventually("two API replicas run", Duration::from_secs(30), async || {
        (pipeline.replicas("api").len() == 2).then_some(())
    })
    .await;
    pipeline.until_ready().await;
    let id = pipeline.accepted(1).await;
    pipeline.until_final(&id, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_reports_are_taken_only_on_the_internal_port_with_its_token() {
    let pipeline = LocalPipeline::ready(PipelineSettings::default()).await;
    let id = pipeline.accepted(1).await;
    let before = pipeline.until_final(&id, Duration::from_secs(10)).await;
    let report = json!({ "message_id": id, "status": "FAILED", "failure_reason": "forged" });
    let path = "/v1/internal/delivery-report";

    let send = async |url: String, token: &str| {
        let request = pipeline.client().post(url).bearer_auth(token).json(&report);
        request.send().await.expect("the API answers").status()
    };
    let token = pipeline.internal_token();
    assert_eq!(send(pipeline.url(path), &token).await, StatusCode::NOT_FOUND);
    assert_eq!(send(pipeline.internal_url(path), "guessed").await, StatusCode::UNAUTHORIZED);
    assert_eq!(send(pipeline.internal_url(path), &token).await, StatusCode::OK);
    assert_eq!(pipeline.message(&id).await.body, before, "a final status never changes");
}
