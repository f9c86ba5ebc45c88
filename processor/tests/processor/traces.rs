//! The trace goes on through the processor.

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;

use crate::{
    harness::Serving,
    report_end::ReportEnd,
    topics::{Topics, encode, message},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_carries_the_trace_of_its_record() {
    let tracer = SdkTracerProvider::default().tracer("processor-tests");
    let subscriber = tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");

    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let message = message(0);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = "b7ad6b7169203331";
    topics.put("traced", Some(&encode(&message)), Some(&format!("00-{trace}-{parent}-01"))).await;
    let processor = Serving::start(&topics, &report_end, &[]).await;
    let received = report_end.until_all(&[message.message_id]).await;
    processor.stop().await;

    let traceparent = received[0].traceparent.as_deref().expect("a traceparent");
    assert!(traceparent.contains(trace), "{traceparent}");
    assert!(!traceparent.contains(parent), "the report's parent is the processor's own span: {traceparent}");
}
