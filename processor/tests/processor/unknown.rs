//! Messages that may have been sent before, and nobody knows.

use std::{collections::HashSet, time::Duration};

use contract::{DeliveryStatus, SmsRequestedV1};
use jiff::Timestamp;

use crate::{
    harness::{Process, Serving, count, flags, provider, until},
    report_end::{Claiming, ReportEnd},
    topics::{Topics, message},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hold_what_was_with_the_provider_at_a_kill_is_not_sent_again_and_becomes_unknown() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let ids = topics.request(30).await;
    let slow = provider(60_000, 60_000, 0, 0);
    let hold = ("on-unknown-outcome", "hold");
    let processor = Process::start(&flags(&topics, &report_end, &[("provider", &slow), hold]));
    until("all claims", async || report_end.claimed().len(), |&claimed| claimed == 30).await;
    processor.kill().await;

    let processor = Serving::start(&topics, &report_end, &[hold]).await;
    let received = report_end.until_all(&ids).await;
    assert!(received.iter().all(|one| one.report.status == DeliveryStatus::Unknown), "{received:?}");
    let reason = received[0].report.failure_reason.as_deref();
    assert_eq!(reason, Some("it may have been sent: a processor ended before it could tell"));
    assert!(processor.metric("sms_processing_attempts_total").await < 0.5);

    let fresh = topics.request(20).await;
    report_end.until_all(&fresh).await;
    processor.until_metric("sms_processing_attempts_total", 20.0).await;
    processor.until_metric(r#"sms_claim_total{result="accepted"}"#, 50.0).await;
    processor.stop().await;
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hold_a_claim_whose_answer_is_lost_is_made_again_and_the_message_sent() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    report_end.claims(Claiming::GrantedButUnavailable);
    let processor = Serving::start(&topics, &report_end, &[("on-unknown-outcome", "hold")]).await;
    let ids = topics.request(10).await;
    until("all claims", async || report_end.claimed().len(), |&claimed| claimed == 10).await;
    report_end.claims(Claiming::Usual);
    let received = report_end.until_all(&ids).await;
    processor.stop().await;
    assert!(received.iter().all(|one| one.report.status == DeliveryStatus::Sent), "{received:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hold_what_waits_for_a_throttled_provider_at_the_end_of_a_processor_is_sent_by_the_next_one() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let throttled = r#"{"simulated":{"minDelay":"0s","maxDelay":"0s","failurePercent":0,"throttlePercent":100}}"#;
    let hold = ("on-unknown-outcome", "hold");
    let patient = [("provider", throttled), ("retry-delay", "1h"), hold];
    let processor = Serving::start(&topics, &report_end, &patient).await;
    let ids = topics.request(10).await;
    until("all claims", async || report_end.claimed().len(), |&claimed| claimed > 0).await;
    let attempts = async || processor.metric("sms_processing_attempts_total").await;
    until("an attempt", attempts, |&attempts| attempts > 0.5).await;
    processor.stop().await;
    assert_eq!(report_end.claimed(), []);

    let processor = Serving::start(&topics, &report_end, &[hold]).await;
    let received = report_end.until_all(&ids).await;
    processor.stop().await;
    assert!(received.iter().all(|one| one.report.status == DeliveryStatus::Sent), "{received:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hold_an_attempt_that_is_not_answered_in_time_is_the_last() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let mute = r#"{"simulated":{"minDelay":"1h","maxDelay":"1h"},"timeout":"50ms"}"#;
    let processor = Serving::start(&topics, &report_end, &[("provider", mute), ("on-unknown-outcome", "hold")]).await;
    let ids = topics.request(10).await;
    let received = report_end.until_all(&ids).await;
    processor.until_metric("sms_processing_attempts_total", 10.0).await;
    processor.stop().await;
    for received in received {
        assert_eq!(received.report.status, DeliveryStatus::Unknown);
        let reason = received.report.failure_reason.as_deref();
        assert_eq!(reason, Some("the provider did not answer within 50ms"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_may_have_arrived_before_it_expired_is_not_called_expired() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let mute = r#"{"simulated":{"minDelay":"1h","maxDelay":"1h"},"timeout":"50ms"}"#;
    let more = [("provider", mute), ("max-retries", "100"), ("retry-delay", "200ms")];
    let processor = Serving::start(&topics, &report_end, &more).await;
    processor.until_readiness(r#"{"name":"kafka","status":"UP"}"#).await;
    let message = SmsRequestedV1 { expires_at: Some(Timestamp::now() + Duration::from_secs(2)), ..message(0) };
    topics.request_in(&topics.requests, &message).await;
    let received = report_end.until_all(&[message.message_id]).await;
    processor.stop().await;
    assert_eq!(received[0].report.status, DeliveryStatus::Unknown);
    assert_eq!(received[0].report.failure_reason.as_deref(), Some("the provider did not answer within 50ms"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_has_committed_a_position_messages_that_are_final_are_not_sent_again() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let mut ids = topics.request(40).await;
    let first = Serving::start(&topics, &report_end, &[("consumer-group", &format!("{}-lost", topics.group))]).await;
    report_end.until_all(&ids).await;
    first.stop().await;

    // Another group stands for one whose positions were lost.
    ids.extend(topics.request(10).await);
    let second = Serving::start(&topics, &report_end, &[]).await;
    report_end.until_all(&ids).await;
    second.until_metric(r#"sms_processed_total{outcome="skipped"}"#, 40.0).await;
    second.until_metric("sms_processing_attempts_total", 10.0).await;
    let reported: HashSet<_> = report_end.received().iter().map(|one| one.report.message_id).collect();
    assert_eq!((report_end.received().len(), reported.len()), (50, 50));

    // What comes afterwards is not doubted.
    let claims = second.metric(r#"sms_claim_total{result="accepted"}"#).await;
    let fresh = topics.request(20).await;
    report_end.until_all(&fresh).await;
    second.until_metric(r#"sms_claim_total{result="accepted"}"#, claims).await;
    assert!((claims - count(50)).abs() < 0.5, "{claims} claims");
    second.stop().await;
    assert_eq!(topics.lag().await, 0);
}
