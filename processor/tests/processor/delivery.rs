//! The undisturbed run, and the provider's failures in it.

use std::{collections::HashSet, time::Duration};

use contract::{DeliveryStatus, SmsRequestedV1};
use jiff::Timestamp;

use crate::{
    harness::{Serving, count, provider},
    report_end::{Received, ReportEnd},
    topics::{Topics, message},
};

fn failed(received: &[Received]) -> Vec<&Received> {
    received.iter().filter(|received| received.report.status == DeliveryStatus::Failed).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_reported_exactly_once_and_committed() {
    let (topics, report_end) = (Topics::create(3).await, ReportEnd::start().await);
    let ids = topics.request(300).await;
    let processor = Serving::start(&topics, &report_end, &[("provider", &provider(0, 50, 10, 0))]).await;
    report_end.until_all(&ids).await;
    processor.until_readiness(r#""status":"UP","checks""#).await;

    let received = report_end.received();
    let (failed, sent) = (failed(&received), received.len() - failed(&received).len());
    processor.until_metric(r#"sms_processed_total{outcome="sent"}"#, count(sent)).await;
    processor.until_metric(r#"sms_processed_total{outcome="failed"}"#, count(failed.len())).await;
    processor.until_metric(r#"sms_report_total{result="accepted"}"#, 300.0).await;
    processor.until_metric("sms_processing_attempts_total", 300.0).await;
    processor.until_metric("kafka_consumer_records_consumed_total", 300.0).await;
    processor.stop().await;

    let reported: HashSet<_> = received.iter().map(|received| received.report.message_id).collect();
    assert_eq!(report_end.received().len(), 300);
    assert_eq!(reported, ids.into_iter().collect());
    assert!((10..60).contains(&failed.len()), "{} of 300 failed", failed.len());
    assert!(failed.iter().all(|received| received.report.failure_reason.is_some()));
    assert!(received.iter().all(|received| !received.report.transient));
    assert!(received.iter().all(|received| received.report.attempt == Some(1)));
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_sent_and_committed_in_whichever_lane_it_comes() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let processor = Serving::start(&topics, &report_end, &[]).await;
    let mut ids = Vec::new();
    for (lane, count) in topics.lanes().into_iter().zip([2, 3, 4]) {
        let messages: Vec<_> = (0..count).map(message).collect();
        for message in &messages {
            topics.request_in(lane, message).await;
        }
        ids.extend(messages.iter().map(|message| message.message_id));
        report_end.until_all(&ids).await;
    }
    processor.stop().await;
    for (lane, count) in topics.lanes().into_iter().zip([2, 3, 4]) {
        assert_eq!(topics.committed_in(lane).await, count, "{lane}");
    }
    assert_eq!(report_end.received().len(), ids.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_never_gets_through_fails_for_now_after_its_retries() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let ids = topics.request(20).await;
    let processor = Serving::start(
        &topics,
        &report_end,
        &[("provider", &provider(0, 1, 0, 100)), ("max-retries", "2"), ("retry-delay", "50ms")],
    )
    .await;
    let received = report_end.until_all(&ids).await;
    for received in &received {
        assert_eq!(received.report.status, DeliveryStatus::Failed);
        let reason = received.report.failure_reason.as_deref().unwrap_or_default();
        assert!(reason.ends_with("(given up after 3 attempts)"), "{reason}");
        assert!(received.report.transient);
    }
    processor.until_metric("sms_processing_attempts_total", 60.0).await;
    processor.stop().await;
    assert_eq!(report_end.received().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_too_late_is_reported_as_expired_and_never_sent() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let late = SmsRequestedV1 { expires_at: Some(Timestamp::now()), ..message(0) };
    let in_time = SmsRequestedV1 { expires_at: Some(Timestamp::now() + Duration::from_hours(1)), ..message(1) };
    topics.request_in(&topics.requests, &late).await;
    topics.request_in(&topics.requests, &in_time).await;
    let processor = Serving::start(&topics, &report_end, &[]).await;
    let received = report_end.until_all(&[late.message_id, in_time.message_id]).await;
    processor.until_metric(r#"sms_processed_total{outcome="expired"}"#, 1.0).await;
    processor.until_metric("sms_processing_attempts_total", 1.0).await;
    processor.stop().await;

    let status_of = |message: &SmsRequestedV1| {
        let mut reports = received.iter().map(|received| &received.report);
        reports.find(|report| report.message_id == message.message_id).map(|report| report.status)
    };
    assert_eq!(status_of(&late), Some(DeliveryStatus::Expired));
    assert_eq!(status_of(&in_time), Some(DeliveryStatus::Sent));
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_expires_between_attempts_is_tried_no_more() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let processor = Serving::start(
        &topics,
        &report_end,
        &[("provider", &provider(0, 1, 0, 100)), ("max-retries", "100"), ("retry-delay", "200ms")],
    )
    .await;
    processor.until_readiness(r#"{"name":"kafka","status":"UP"}"#).await;
    let message = SmsRequestedV1 { expires_at: Some(Timestamp::now() + Duration::from_secs(3)), ..message(0) };
    topics.request_in(&topics.requests, &message).await;
    let received = report_end.until_all(&[message.message_id]).await;
    let attempts = processor.metric("sms_processing_attempts_total").await;
    processor.stop().await;

    assert_eq!(received[0].report.status, DeliveryStatus::Expired);
    assert!(received[0].report.processed_at >= message.expires_at);
    assert!((1.0..=15.0).contains(&attempts), "{attempts} attempts in three seconds, 200 ms apart");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transient_failures_end_as_sent_once_an_attempt_gets_through() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let ids = topics.request(50).await;
    let processor = Serving::start(
        &topics,
        &report_end,
        &[("provider", &provider(0, 1, 0, 50)), ("max-retries", "100"), ("retry-delay", "5ms")],
    )
    .await;
    let received = report_end.until_all(&ids).await;
    assert_eq!(failed(&received).len(), 0);
    assert!(processor.metric("sms_processing_attempts_total").await > 60.0);
    processor.stop().await;
}
