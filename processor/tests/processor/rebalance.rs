//! Members that come and go.

use crate::{
    harness::{Serving, provider},
    report_end::ReportEnd,
    topics::Topics,
};

async fn check(protocol: &str) {
    let (topics, report_end) = (Topics::create(4).await, ReportEnd::start().await);
    let provider = provider(5, 100, 0, 0);
    let more = [("provider", provider.as_str()), ("group-protocol", protocol), ("max-in-flight", "40")];
    let mut ids = topics.request(200).await;
    let first = Serving::start(&topics, &report_end, &more).await;
    report_end.until(50).await;
    let second = Serving::start(&topics, &report_end, &more).await;
    ids.extend(topics.request(200).await);
    while second.metric("kafka_consumer_assigned_partitions").await < 2.0 {
        ids.extend(topics.request(10).await);
    }
    report_end.until(250).await;
    first.stop().await;
    ids.extend(topics.request(100).await);
    report_end.until_all(&ids).await;
    second.stop().await;
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_members_come_and_go() {
    check("consumer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_members_come_and_go_with_the_classic_protocol() {
    check("classic").await;
}
