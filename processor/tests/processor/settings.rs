//! Bad input and brokers that are away.

use crate::{
    harness::{Process, Serving, flags},
    report_end::ReportEnd,
    topics::Topics,
};

async fn check(more: &[(&str, &str)], expected: &[&str]) {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let (status, errors) = Process::start(&flags(&topics, &report_end, more)).ended().await;
    assert!(!status.success());
    for expected in expected {
        assert!(errors.contains(expected), "{errors}");
    }
}

#[tokio::test]
async fn a_setting_that_cannot_work_ends_the_process_with_a_sentence_that_names_it() {
    check(&[("internal-token-file", "/nowhere/token")], &["/nowhere/token", "INTERNAL_TOKEN_FILE"]).await;
    check(&[("internal-token-file", "/dev/null")], &["/dev/null", "INTERNAL_TOKEN_FILE", "is empty"]).await;
    check(&[("provider", r#"{"simulated":{"maxDelay":"x"}}"#)], &["--provider", "simulated.maxDelay"]).await;
    check(&[("report-url", "sms-api")], &["--report-url", "http://sms-api-internal:8081"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_the_process_lives_and_says_why_it_is_not_ready() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let processor = Serving::start(&topics, &report_end, &[("kafka-bootstrap-servers", "127.0.0.1:1")]).await;
    processor.until_readiness("Connection refused").await;
    assert_eq!(processor.get("/healthz").await, "ok\n");
    processor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_topic_the_process_lives_and_says_why_it_is_not_ready() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let processor = Serving::start(&topics, &report_end, &[("requests-topic", "never-created")]).await;
    processor.until_readiness(r#"topic \"never-created\" does not exist"#).await;
    processor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_partitions_is_ready() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let first = Serving::start(&topics, &report_end, &[]).await;
    first.until_readiness(r#"{"name":"kafka","status":"UP"}"#).await;
    let second = Serving::start(&topics, &report_end, &[]).await;
    second.until_readiness(r#"{"name":"kafka","status":"UP"}"#).await;
    first.stop().await;
    second.stop().await;
}
