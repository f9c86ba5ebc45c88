//! More records than may be in work.

use std::time::Duration;

use crate::{
    harness::{Serving, provider},
    report_end::ReportEnd,
    topics::Topics,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_than_the_bound_is_in_work_and_all_gets_done() {
    let (topics, report_end) = (Topics::create(3).await, ReportEnd::start().await);
    let ids = topics.request(150).await;
    let more = [("provider", &*provider(20, 60, 0, 0)), ("max-in-flight", "10")];
    let processor = Serving::start(&topics, &report_end, &more).await;
    let mut most = 0.0_f64;
    while report_end.received().len() < ids.len() {
        most = most.max(processor.metric("sms_processing_in_flight").await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(most > 5.0 && most <= 10.0, "{most} in work");
    processor.stop().await;
    assert_eq!(report_end.received().len(), 150);
    assert_eq!(topics.lag().await, 0);
}
