//! Bad input and brokers that are away.

use crate::{
    harness::{Process, Serving, flags},
    report_end::ReportEnd,
    topics::{Topics, message},
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
    check(&[("high-priority-topic", "one"), ("dead-letter-topic", "one")], &["HIGH_PRIORITY_TOPIC", "\"one\""]).await;
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
async fn without_any_of_its_topics_the_process_lives_and_says_why_it_is_not_ready() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    for lane in ["requests-topic", "high-priority-topic", "low-priority-topic"] {
        let processor = Serving::start(&topics, &report_end, &[(lane, "never-created")]).await;
        processor.until_readiness(r#"topic \"never-created\" does not exist"#).await;
        processor.stop().await;
    }
}

async fn check_late_topic(protocol: &str) {
    let (topics, report_end) = (Topics::create_without_high_priority(1).await, ReportEnd::start().await);
    let processor = Serving::start(&topics, &report_end, &[("group-protocol", protocol)]).await;
    processor.until_readiness(r#".high-priority\" does not exist"#).await;
    let message = message(0);
    topics.request_in(&topics.requests, &message).await;
    report_end.until_all(&[message.message_id]).await;

    topics.make(&[&topics.high_priority]).await;
    let ids = topics.request(6).await;
    report_end.until_all(&ids).await;
    processor.until_readiness(r#"{"name":"kafka","status":"UP"}"#).await;
    processor.stop().await;
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_topic_is_missing_the_others_are_read_and_once_it_is_made_it_is_too() {
    check_late_topic("consumer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_topic_is_missing_the_others_are_read_and_once_it_is_made_it_is_too_with_the_classic_protocol() {
    check_late_topic("classic").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_partitions_is_ready() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let mut members = Vec::new();
    // One partition per lane is one too few for four.
    for _ in 0..4 {
        let member = Serving::start(&topics, &report_end, &[]).await;
        member.until_readiness(r#"{"name":"kafka","status":"UP"}"#).await;
        members.push(member);
    }
    for member in members {
        member.stop().await;
    }
}
