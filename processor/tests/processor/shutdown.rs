//! SIGTERM: what is in work ends, what is done is committed.

use std::time::{Duration, Instant};

use crate::{
    harness::{Process, Serving, flags, provider},
    report_end::{Claiming, ReportEnd},
    topics::Topics,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_what_is_in_work_and_commits_exactly_that() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    topics.request(200).await;
    let flags = flags(&topics, &report_end, &[("provider", &provider(100, 1500, 0, 0)), ("max-in-flight", "50")]);
    let processor = Process::start(&flags);
    report_end.until(10).await;
    processor.terminate();
    let (status, errors) = processor.ended().await;
    assert!(status.success(), "{status}: {errors}");

    let received = report_end.received();
    assert!(received.len() < 200, "the signal came too late to show anything");
    assert_eq!(topics.committed().await, i64::try_from(received.len()).expect("a small number"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_within_the_bound_is_left_to_whoever_comes_next() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    topics.request(5).await;
    let slow = provider(60_000, 60_000, 0, 0);
    let processor = Serving::start(&topics, &report_end, &[("provider", &slow), ("shutdown-timeout", "300ms")]).await;
    processor.until_metric("sms_processing_in_flight", 5.0).await;
    let asked = Instant::now();
    processor.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(3), "took {:?}", asked.elapsed());
    assert_eq!(topics.committed().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_may_be_sent_only_after_sigterm_is_left_and_its_claim_given_back() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let slow = provider(60_000, 60_000, 0, 0);
    let more = [("provider", &*slow), ("on-unknown-outcome", "hold"), ("shutdown-timeout", "50s")];
    topics.request(1).await;
    report_end.claims(Claiming::Ignored);
    let processor = Serving::start(&topics, &report_end, &more).await;
    report_end.until_next_request().await;
    let asked = Instant::now();
    let granted = async { report_end.claims(Claiming::Usual) };
    // In this order: the claim that is ignored is repeated seconds later.
    tokio::join!(processor.stop(), granted);
    assert!(asked.elapsed() < Duration::from_secs(25), "took {:?}", asked.elapsed());
    assert_eq!((topics.committed().await, report_end.received().len(), report_end.claimed()), (0, 0, Vec::new()));
}
