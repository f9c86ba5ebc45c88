//! Members that come and go.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    harness::{Serving, count, provider, until},
    provider_end::ProviderEnd,
    report_end::ReportEnd,
    topics::Topics,
};

async fn check(protocol: &str) {
    let (topics, report_end) = (Topics::create(4).await, ReportEnd::start().await);
    let provider = provider(50, 200, 0, 0);
    let more = [("provider", provider.as_str()), ("group-protocol", protocol), ("max-in-flight", "40")];
    let mut ids = topics.request(200).await;
    let first = Serving::start(&topics, &report_end, &more).await;
    report_end.until(50).await;
    let second = Serving::start(&topics, &report_end, &more).await;
    ids.extend(topics.request(200).await);
    let look = async || {
        ids.extend(topics.request(10).await);
        second.metric("kafka_consumer_assigned_partitions").await
    };
    until("half of the twelve partitions", look, |&partitions| partitions >= 6.0).await;
    report_end.until_all(&ids).await;
    // What was sent is counted, since work that is cut off between sending and reporting is reported once.
    let sent = [&first, &second].map(|member| member.metric("sms_processing_attempts_total"));
    let sent: f64 = futures::future::join_all(sent).await.into_iter().sum();
    assert!((sent - count(ids.len())).abs() < f64::EPSILON, "{sent} sent of {} messages", ids.len());

    ids.extend(topics.request(200).await);
    report_end.until(ids.len() - 100).await;
    first.stop().await;
    ids.extend(topics.request(100).await);
    report_end.until_all(&ids).await;
    second.stop().await;
    assert_eq!(report_end.received().len(), ids.len());
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_sent_twice_when_members_come_and_go() {
    check("consumer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_sent_twice_when_members_come_and_go_with_the_classic_protocol() {
    check("classic").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_partitions_wait_to_be_handed_over_waiting_messages_are_started() {
    let (topics, report_end) = (Topics::create(4).await, ReportEnd::start().await);
    let slow = provider(0, 3000, 0, 0);
    let more = [("provider", slow.as_str()), ("max-in-flight", "100")];
    let first = Serving::start(&topics, &report_end, &more).await;
    first.until_metric("kafka_consumer_assigned_partitions", 12.0).await;
    let ids = topics.request(700).await;
    first.until_metric("sms_processing_in_flight", 100.0).await;
    let second = Serving::start(&topics, &report_end, &more).await;

    // Work in every partition, so no matter which of them go, their hand-over takes until it ends.
    let (mut longest_pause, mut last_attempt, mut attempts) = (Duration::ZERO, Instant::now(), 0.0);
    let look = async || {
        let now = first.metric("sms_processing_attempts_total").await;
        longest_pause = longest_pause.max(last_attempt.elapsed());
        if now > attempts {
            (attempts, last_attempt) = (now, Instant::now());
        }
        second.metric("kafka_consumer_assigned_partitions").await
    };
    until("half of the twelve partitions", look, |&partitions| partitions >= 6.0).await;
    report_end.until_all(&ids).await;
    futures::future::join(first.stop(), second.stop()).await;
    assert!(longest_pause < Duration::from_secs(1), "nothing was started for {longest_pause:?}");
    assert_eq!(report_end.received().len(), ids.len());
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rebalances_under_load_lose_nothing_and_send_nothing_twice() {
    let (topics, report_end, provider) =
        (Topics::create(4).await, ReportEnd::start().await, ProviderEnd::counting().await);
    let settings = provider.counting_settings();
    let more = [("provider", settings.as_str()), ("max-in-flight", "60")];
    let start = || Serving::start(&topics, &report_end, &more);
    let (mut members, mut ids) = (VecDeque::from([start().await]), Vec::new());
    for _ in 0..5 {
        members.push_back(start().await);
        // Partitions come to the new one while messages do; and then the oldest goes.
        let look = async || {
            ids.extend(topics.request(15).await);
            members[1].metric("kafka_consumer_assigned_partitions").await
        };
        until("half of the twelve partitions", look, |&partitions| partitions >= 6.0).await;
        ids.extend(topics.request(60).await);
        members.pop_front().expect("there are two").stop().await;
        ids.extend(topics.request(60).await);
    }
    report_end.until_all(&ids).await;
    futures::future::join_all(members.into_iter().map(Serving::stop)).await;
    let sent = provider.sent();
    let twice = sent.values().filter(|&&times| times > 1).count();
    assert_eq!((sent.len(), twice), (ids.len(), 0), "of {} messages", ids.len());
    assert_eq!(report_end.received().len(), ids.len());
    assert_eq!(topics.lag().await, 0);
}
