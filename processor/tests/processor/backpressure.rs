//! More records than may be in work.

use contract::Load;

use crate::{
    harness::{Serving, provider, until},
    report_end::ReportEnd,
    topics::{Topics, message},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_than_the_bound_is_in_work_and_all_gets_done() {
    let (topics, report_end) = (Topics::create(3).await, ReportEnd::start().await);
    let ids = topics.request(150).await;
    let more = [("provider", &*provider(20, 60, 0, 0)), ("max-in-flight", "10")];
    let processor = Serving::start(&topics, &report_end, &more).await;
    let mut most = 0.0_f64;
    let look = async || {
        most = most.max(processor.metric("sms_processing_in_flight").await);
        report_end.received().len()
    };
    until("every message's report", look, |&received| received >= ids.len()).await;
    assert!(most > 5.0 && most <= 10.0, "{most} in work");
    processor.stop().await;
    assert_eq!(report_end.received().len(), 150);
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_partitions_that_all_have_a_backlog_none_waits_until_another_has_none() {
    const RECORDS: usize = 7500;
    let (topics, report_end) = (Topics::create(3).await, ReportEnd::start().await);
    let messages: Vec<_> = (0..RECORDS).map(message).collect();
    futures::future::join_all(messages.iter().map(|message| topics.request_in(&topics.requests, message))).await;
    let more = [("provider", &*provider(50, 50, 0, 0)), ("max-in-flight", "40")];
    let processor = Serving::start(&topics, &report_end, &more).await;
    let look =
        async || serde_json::from_str::<Load>(&processor.get("/load").await).ok().map(|load| load.lanes[1].clone());
    let has_done_some = |lane: &Option<contract::LaneLoad>| lane.as_ref().is_some_and(|lane| lane.processed > 2000);
    until("2,000 messages done", look, has_done_some).await;
    let lane = look().await.expect("a report");
    processor.stop().await;
    let done: Vec<_> = lane.partitions.iter().map(|partition| partition.position.unwrap_or_default()).collect();
    assert!(done.iter().all(|done| *done > 200), "{done:?}");
}
