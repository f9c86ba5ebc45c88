//! What a processor tells of its load, and the provider's limit.

use std::time::{Duration, Instant};

use contract::{LaneLoad, Load};

use crate::{
    harness::{Serving, provider, until},
    report_end::ReportEnd,
    topics::Topics,
};

async fn load(processor: &Serving) -> Option<Load> {
    serde_json::from_str(&processor.get("/load").await).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_load_report_tells_what_each_lane_has_done_and_how_far_its_partitions_are() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let provider = provider(200, 200, 50, 0);
    let processor = Serving::start(&topics, &report_end, &[("provider", &provider), ("max-in-flight", "40")]).await;
    let ids = topics.request(60).await;
    report_end.until_all(&ids).await;
    let look = async || load(&processor).await;
    let all_done = |load: &Option<Load>| {
        load.as_ref().is_some_and(|load| load.lanes.iter().map(|lane| lane.processed).sum::<u64>() == 60)
    };
    until("a report of all messages", look, all_done).await;
    let load = load(&processor).await.expect("a report");
    processor.stop().await;

    assert_eq!(load.max_in_flight, 40);
    let cpu = load.cpu.expect("Linux tells");
    assert!(cpu.used_seconds > 0.0 && cpu.available > 0.0, "{cpu:?}");
    let names: Vec<_> = load.lanes.iter().map(|lane| lane.topic.as_str()).collect();
    assert_eq!(names, [&topics.high_priority, &topics.requests, &topics.low_priority]);
    for lane in &load.lanes {
        assert_eq!((lane.processed, lane.in_flight, lane.oldest_unfinished_seconds), (20, 0, None), "{lane:?}");
        assert!((1..20).contains(&lane.failed), "{lane:?}");
        // Twenty messages of 200 ms each, and reporting them.
        assert!((4.0..12.0).contains(&lane.busy_seconds), "{lane:?}");
        assert!(lane.throttled_seconds < 0.001, "{lane:?}");
        let positions = lane.partitions.iter().map(|partition| partition.position.unwrap_or_default());
        assert_eq!((lane.partitions.len(), positions.sum::<i64>()), (2, 20), "{lane:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_load_report_tells_of_unfinished_messages_and_of_finished_ones_behind_them() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    topics.request(90).await;
    let processor = Serving::start(&topics, &report_end, &[("provider", &provider(0, 3000, 0, 0))]).await;
    let look = async || load(&processor).await.map(|load| load.lanes[1].clone());
    let is_mixed = |lane: &Option<LaneLoad>| {
        lane.as_ref()
            .is_some_and(|lane| lane.in_flight > 3 && lane.partitions.iter().any(|one| one.finished_beyond > 3))
    };
    until("unfinished messages before finished ones", look, is_mixed).await;
    let lane = load(&processor).await.expect("a report").lanes[1].clone();
    let partition = lane.partitions[0];
    let finished =
        u64::try_from(partition.position.unwrap_or_default()).expect("not negative") + partition.finished_beyond;
    assert_eq!(finished + u64::from(lane.in_flight), 30, "{lane:?}");
    assert!(lane.oldest_unfinished_seconds.is_some_and(|age| (0.0..20.0).contains(&age)), "{lane:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processors_together_keep_the_provider_s_limit_and_say_that_they_wait_for_it() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let limited = r#"{"simulated":{"minDelay":"0s","maxDelay":"1ms","failurePercent":0},"messagesPerSecond":50}"#;
    let more = [("provider", limited)];
    let first = Serving::start(&topics, &report_end, &more).await;
    let second = Serving::start(&topics, &report_end, &more).await;
    for processor in [&first, &second] {
        processor.until_metric("kafka_consumer_assigned_partitions", 3.0).await;
    }
    let started = Instant::now();
    let ids = topics.request(200).await;
    report_end.until_all(&ids).await;
    let took = started.elapsed();
    let mut throttled = 0.0;
    for processor in [&first, &second] {
        let load = load(processor).await.expect("a report");
        throttled += load.lanes.iter().map(|lane| lane.throttled_seconds).sum::<f64>();
    }
    futures::future::join(first.stop(), second.stop()).await;
    // 200 messages at 50 a second take four; each of the two may be up to 50 ms early.
    assert!(took > Duration::from_millis(3800), "the limit was exceeded: {took:?}");
    assert!(took < Duration::from_secs(10), "the limit was not used up: {took:?}");
    assert!(throttled > 2.0, "{throttled} s throttled");
    assert_eq!(report_end.received().len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_asks_to_slow_down_costs_no_message_its_attempts() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let busy = r#"{"simulated":{"minDelay":"0s","maxDelay":"1ms","failurePercent":0,"throttlePercent":60}}"#;
    let more = [("provider", busy), ("max-retries", "0"), ("retry-delay", "20ms")];
    let processor = Serving::start(&topics, &report_end, &more).await;
    let ids = topics.request(60).await;
    let received = report_end.until_all(&ids).await;
    processor.stop().await;
    assert!(received.iter().all(|received| received.report.failure_reason.is_none()), "{received:?}");
}
