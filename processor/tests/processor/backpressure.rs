//! More records than may be in work.

use crate::{
    harness::{Serving, provider, until},
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
