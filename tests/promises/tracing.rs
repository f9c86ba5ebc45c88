//! One trace follows a message from the request to its report.

use std::time::Duration;

use serde_json::json;
use tests::{Collector, LocalPipeline, PipelineSettings, RecordedSpan, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_request_through_kafka_to_the_report() {
    let collector = Collector::start().await;
    let telemetry = json!({ "otlpEndpoint": collector.endpoint, "samplePercent": 100 });
    let pipeline = LocalPipeline::ready(PipelineSettings { telemetry, ..PipelineSettings::default() }).await;

    let id = pipeline.accepted(1).await;
    pipeline.until_final(&id, Duration::from_secs(10)).await;

    eventually(
        "the processor's span has a report below it and a request above it",
        Duration::from_secs(20),
        async || {
            let spans = collector.spans();
            let processing = spans.iter().find(|span| span.name == "process-sms-message")?;
            assert_eq!(processing.service, "sms-processor");
            let in_trace: Vec<_> = spans.iter().filter(|span| span.trace == processing.trace).collect();
            let requests: Vec<_> =
                in_trace.iter().filter(|span| span.service == "sms-api" && is_request(span)).collect();
            let above = requests.iter().any(|request| has_ancestor(processing, request, &spans));
            let below = requests.iter().any(|request| has_ancestor(request, processing, &spans));
            (above && below).then_some(())
        },
    )
    .await;
}

fn is_request(span: &RecordedSpan) -> bool {
    span.name == "http request"
}

fn has_ancestor(span: &RecordedSpan, ancestor: &RecordedSpan, spans: &[RecordedSpan]) -> bool {
    let parent = spans.iter().find(|parent| parent.trace == span.trace && parent.span == span.parent);
    parent.is_some_and(|parent| parent == ancestor || has_ancestor(parent, ancestor, spans))
}
