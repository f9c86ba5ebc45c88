//! kill -9 with messages in work.

use std::collections::HashSet;

use crate::{
    harness::{Process, flags, provider},
    report_end::ReportEnd,
    topics::Topics,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_every_message_is_reported_at_least_once() {
    let (topics, report_end) = (Topics::create(3).await, ReportEnd::start().await);
    let ids = topics.request(200).await;
    let flags = flags(&topics, &report_end, &[("provider", &provider(50, 800, 10, 10)), ("max-in-flight", "60")]);
    for at_least in [20, 80] {
        let processor = Process::start(&flags);
        report_end.until(at_least).await;
        processor.kill().await;
        let unfinished = topics.lag().await;
        assert!(unfinished > 0, "the kill came too late to show anything");
    }
    let processor = Process::start(&flags);
    let received = report_end.until_all(&ids).await;
    processor.terminate();
    let (status, errors) = processor.ended().await;
    assert!(status.success(), "{status}: {errors}");

    let reported: HashSet<_> = received.iter().map(|received| received.report.message_id).collect();
    assert_eq!(reported, ids.iter().copied().collect());
    let repeated = report_end.received().len() - ids.len();
    assert!(repeated <= 200, "{repeated} reports came again");
    assert_eq!(topics.lag().await, 0);
}
