//! kill -9 with messages in work.

use std::collections::HashSet;

use crate::{
    harness::{Process, Serving, flags, provider},
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
    // What comes again has been reported before.
    topics.until_no_lag().await;
    processor.terminate();
    let (status, errors) = processor.ended().await;
    assert!(status.success(), "{status}: {errors}");

    let reported: HashSet<_> = received.iter().map(|received| received.report.message_id).collect();
    assert_eq!(reported, ids.iter().copied().collect());
    let repeated = report_end.received().len() - ids.len();
    assert!(repeated <= 200, "{repeated} reports came again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_finished_behind_a_slow_message_before_a_kill_is_not_done_again() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let ids = topics.request(600).await;
    // All in work at once and finished in any order, so nearly all that is finished lies behind something that is not.
    let provider = provider(0, 3000, 0, 0);
    let processor = Process::start(&flags(&topics, &report_end, &[("provider", &provider)]));
    report_end.until(400).await;
    processor.kill().await;
    let before = report_end.received().len();

    let processor = Serving::start(&topics, &report_end, &[("provider", &provider)]).await;
    report_end.until_all(&ids).await;
    topics.until_no_lag().await;
    let skipped = processor.metric("kafka_consumer_records_skipped_total").await;
    processor.stop().await;
    // A commit is made every 100 ms, in which 20 messages are finished.
    let repeated = report_end.received().len() - ids.len();
    assert!(skipped > 200.0 && repeated < 150, "{skipped} skipped, {repeated} of {before} done again");
}
