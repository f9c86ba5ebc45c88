//! sms-api away, overloaded or with another token: nothing is lost, and all heals by itself.

use std::net::SocketAddr;

use axum::http::StatusCode;
use tokio::net::TcpSocket;

use crate::{harness::Serving, report_end::ReportEnd, topics::Topics};

/// Messages wait while reports fail, readiness tells why, and everything arrives once they pass again.
async fn check_outage(during: StatusCode, reason: &str) {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    report_end.fail(during);
    let ids = topics.request(100).await;
    let processor = Serving::start(&topics, &report_end, &[]).await;
    processor.until_readiness(reason).await;
    assert_eq!(topics.committed().await, 0);
    report_end.fail(None);
    report_end.until_all(&ids).await;
    processor.until_readiness(r#"{"name":"sms-api","status":"UP"}"#).await;
    processor.stop().await;
    assert_eq!(report_end.received().len(), 100);
    assert_eq!(topics.lag().await, 0);
    assert_eq!(topics.dead_letters(0).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_outlast_an_sms_api_in_trouble() {
    check_outage(StatusCode::SERVICE_UNAVAILABLE, "503 Service Unavailable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_outlast_an_sms_api_that_asks_to_slow_down() {
    check_outage(StatusCode::TOO_MANY_REQUESTS, "asks to slow down (429)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_outlast_an_sms_api_that_is_away() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let ids = topics.request(20).await;
    // Bound and not listening: nobody answers, and no other test can be given the port meanwhile.
    let nobody = TcpSocket::new_v4().expect("a socket");
    nobody.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let url = format!("http://{}", nobody.local_addr().expect("an address"));
    let processor = Serving::start(&topics, &report_end, &[("report-url", &url), ("shutdown-timeout", "100ms")]).await;
    processor.until_readiness("Connection refused").await;
    processor.stop().await;
    assert_eq!(topics.committed().await, 0);

    let processor = Serving::start(&topics, &report_end, &[]).await;
    report_end.until_all(&ids).await;
    processor.stop().await;
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_too_many_reports_fail_no_records_are_taken_and_it_heals_by_itself() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    report_end.fail(StatusCode::SERVICE_UNAVAILABLE);
    let mut ids = topics.request(10).await;
    let processor = Serving::start(&topics, &report_end, &[]).await;
    processor.until_metric("sms_report_breaker_open", 1.0).await;
    processor.until_readiness("503 Service Unavailable; no records are taken meanwhile").await;
    processor.until_metric("kafka_consumer_records_consumed_total", 10.0).await;
    ids.extend(topics.request(50).await);
    // One comes every five seconds: half a minute in which records would be taken, if any were.
    let before = report_end.requests();
    for _ in 0..6 {
        report_end.until_next_request().await;
        ids.extend(topics.request(10).await);
        assert_eq!(topics.lag().await, i64::try_from(ids.len()).expect("a small number"));
    }
    assert!(report_end.requests() - before <= 7, "the breaker lets too many requests pass");
    processor.until_metric("kafka_consumer_records_consumed_total", 10.0).await;

    report_end.fail(None);
    report_end.until_all(&ids).await;
    processor.until_metric("sms_report_breaker_open", 0.0).await;
    processor.stop().await;
    assert_eq!(report_end.received().len(), ids.len());
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_that_come_together_are_sent_together() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let ids = topics.request(500).await;
    let provider = crate::harness::provider(100, 100, 0, 0);
    let processor = Serving::start(&topics, &report_end, &[("provider", &provider)]).await;
    report_end.until_all(&ids).await;
    processor.stop().await;
    assert_eq!(report_end.received().len(), 500);
    assert!(report_end.requests() <= 100, "{} requests", report_end.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_token_is_picked_up_without_a_restart() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    report_end.rotate("fresh");
    let ids = topics.request(10).await;
    let processor = Serving::start(&topics, &report_end, &[]).await;
    processor.until_readiness("refuses the token (401)").await;
    std::fs::write(report_end.token_file(), "fresh\n").expect("token file is writable");
    report_end.until_all(&ids).await;
    processor.stop().await;
    assert_eq!(report_end.received().len(), 10);
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_sms_api_stumbles_over_keeps_no_other_one_waiting() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let ids = topics.request(40).await;
    let stumbling_block = ids[7];
    report_end.answer(move |report| {
        if report.message_id == stumbling_block { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    });
    let processor = Serving::start(&topics, &report_end, &[]).await;
    let others: Vec<_> = ids.iter().copied().filter(|id| *id != stumbling_block).collect();
    report_end.until_all(&others).await;
    report_end.answer(|_| StatusCode::OK);
    report_end.until_all(&ids).await;
    processor.stop().await;
    assert_eq!(topics.lag().await, 0);
}
