use super::*;
use crate::{controller::topics::owners::Claimant, crd::TopicStatus};

fn findings() -> Findings {
    let running = WorkloadState { desired: 2, existing: 2, ready: 2, detail: None };
    let topic = TopicStatus { name: "sms.requests".to_owned(), topic_id: "AAAA".to_owned(), partitions: 6 };
    Findings {
        paused: None,
        usable: Some(Ok(())),
        topics: Some(Ok(Topics { topics: vec![topic], changed: Vec::new(), safety: Ok(Safety::default()) })),
        workloads: Some(Ok(Workloads { api: running.clone(), processor: running, left_out: Vec::new() })),
        database_unreachable: None,
        scaling: Some(Scaling::ByUser),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a valid time")
}

#[track_caller]
fn check(findings: &Findings, kind: &str, expected: &str) {
    let status = summarize("notifications", Some(1), None, findings, at(0));
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind).expect("present");
    assert_eq!(format!("{} {}: {}", condition.status, condition.reason, condition.message), expected);
}

#[test]
fn a_pipeline_is_ready_when_every_part_is() {
    check(&findings(), "Ready", "True AllReady: everything runs as asked for");
}

#[test]
fn every_condition_is_there_from_the_first_visit_on() {
    let place = "in namespace \"default\"".to_owned();
    let no_secret = Invalid::NoSecret { field: "spec.x".to_owned(), name: "x".to_owned(), place };
    let findings = Findings { usable: Some(Err(Unusable::Invalid(no_secret))), ..Findings::default() };
    let status = summarize("notifications", Some(1), None, &findings, at(0));
    let found: Vec<_> =
        status.conditions.iter().map(|condition| (condition.type_.as_str(), condition.status.as_str())).collect();
    let expected = [
        ("Ready", "False"),
        ("SecretsResolved", "False"),
        ("TopicsReady", "Unknown"),
        ("ApiAvailable", "Unknown"),
        ("ProcessorAvailable", "Unknown"),
        ("KafkaSettingsSafe", "Unknown"),
        ("Paused", "False"),
        ("AutoscalerActive", "Unknown"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn before_the_first_round_nothing_is_said_to_be_wrong() {
    check(&Findings::default(), "Ready", "Unknown NotReached: an earlier step has to succeed first");
    check(&Findings::default(), "SecretsResolved", "Unknown NotReached: an earlier step has to succeed first");
}

#[test]
fn a_paused_pipeline_keeps_what_was_known_of_what_is_not_looked_at() {
    let first = summarize("notifications", Some(1), None, &findings(), at(10));
    let not_ready = WorkloadState { desired: 2, existing: 1, ready: 1, detail: None };
    let workloads = Workloads { api: not_ready.clone(), processor: not_ready, left_out: Vec::new() };
    let paused = Findings {
        paused: Some("spec.paused"),
        usable: Some(Ok(())),
        workloads: Some(Ok(workloads)),
        ..Findings::default()
    };
    let second = summarize("notifications", Some(2), Some(&first), &paused, at(20));
    let of = |kind: &str| {
        let condition = second.conditions.iter().find(|condition| condition.type_ == kind).expect("present");
        (condition.status.clone(), condition.reason.clone())
    };
    let expected = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    assert_eq!(of("Paused"), expected("True", "Paused"));
    assert_eq!(of("TopicsReady"), expected("True", "AsWanted"));
    assert_eq!(of("KafkaSettingsSafe"), expected("True", "Safe"));
    assert_eq!(of("ProcessorAvailable"), expected("False", "ReplicasNotReady"));
    assert_eq!(of("Ready"), expected("False", "ReplicasNotReady"));
    assert_eq!(second.topics, first.topics);
}

#[test]
fn what_could_not_be_read_is_unknown_and_not_missing() {
    let findings = Findings { usable: Some(Err(Unusable::Unread("forbidden".to_owned()))), ..Findings::default() };
    check(&findings, "SecretsResolved", "Unknown ReadFailed: forbidden");
    check(&findings, "Ready", "False ReadFailed: forbidden");
}

#[test]
fn an_unreachable_broker_is_named_as_such() {
    let error = kafka::Error::Call { call: "DescribeTopics", reason: "timed out".to_owned() };
    let findings = Findings { topics: Some(Err(error.into())), ..findings() };
    check(&findings, "TopicsReady", "False KafkaUnreachable: Kafka call DescribeTopics failed: timed out");
    check(&findings, "Ready", "False KafkaUnreachable: Kafka call DescribeTopics failed: timed out");
}

#[test]
fn a_broker_that_does_not_let_us_in_is_told_with_the_field_to_check() {
    let login = kafka::Error::Login { reason: "SASL authentication error".to_owned() };
    let tls = kafka::Error::Tls { reason: "certificate verify failed".to_owned() };
    for (error, expected) in [
        (
            login,
            "False KafkaLoginFailed: Kafka does not let us in: SASL authentication error; check \
             spec.kafka.security.sasl and what its Secrets hold",
        ),
        (
            tls,
            "False KafkaTlsFailed: no secure connection to Kafka: certificate verify failed; check \
             spec.kafka.security.protocol, spec.kafka.security.tls and what its Secrets hold",
        ),
    ] {
        check(&Findings { topics: Some(Err(error.into())), ..findings() }, "TopicsReady", expected);
    }
}

#[test]
fn an_unreachable_database_explains_an_api_that_is_not_ready() {
    let mut findings = findings();
    findings.database_unreachable = Some("PostgreSQL at db:5432 does not answer: connection refused".to_owned());
    check(&findings, "ApiAvailable", "True ReplicasReady: 2 of 2 replicas ready");
    if let Some(Ok(workloads)) = &mut findings.workloads {
        workloads.api.ready = 0;
    }
    check(
        &findings,
        "ApiAvailable",
        "False ReplicasNotReady: 0 of 2 replicas ready: PostgreSQL at db:5432 does not answer: connection refused",
    );
}

#[test]
fn settings_of_the_brokers_that_endanger_messages_are_a_warning() {
    let with = |safety| {
        let topics = Topics { topics: Vec::new(), changed: Vec::new(), safety };
        Findings { topics: Some(Ok(topics)), ..findings() }
    };
    let note = || vec!["a note".to_owned()];
    let danger = with(Ok(Safety { dangers: vec!["a danger".to_owned()], notes: note() }));
    check(&danger, "KafkaSettingsSafe", "False UnsafeBrokerSettings: a danger; a note");
    check(&danger, "Ready", "True AllReady: everything runs as asked for");
    let safe = with(Ok(Safety { dangers: Vec::new(), notes: note() }));
    check(&safe, "KafkaSettingsSafe", "True Safe: no setting of the brokers endangers messages; a note");
    check(&with(Err("denied".to_owned())), "KafkaSettingsSafe", "Unknown NotReadable: denied");
}

#[test]
fn what_cannot_be_made_here_is_told_with_the_api() {
    let mut findings = findings();
    if let Some(Ok(workloads)) = &mut findings.workloads {
        workloads.left_out = vec!["no HTTPRoute here".to_owned()];
    }
    check(&findings, "ApiAvailable", "True ReplicasReady: 2 of 2 replicas ready; no HTTPRoute here");
    check(&findings, "Ready", "True AllReady: everything runs as asked for");
}

#[test]
fn transition_times_change_only_with_the_status() {
    let first = summarize("notifications", Some(1), None, &findings(), at(10));
    let second = summarize("notifications", Some(1), Some(&first), &findings(), at(20));
    assert_eq!(first, second);
    let broken = Findings {
        workloads: Some(Err(Unapplied { reason: reasons::NOT_APPLIED, message: "refused".to_owned() })),
        ..findings()
    };
    let third = summarize("notifications", Some(2), Some(&second), &broken, at(30));
    let times: Vec<_> = third.conditions.iter().map(|condition| condition.last_transition_time.0.as_second()).collect();
    assert_eq!(times, [30, 10, 10, 30, 30, 10, 10, 10]);
}

#[test]
fn what_could_not_be_found_out_stays_as_it_was() {
    let first = summarize("notifications", Some(1), None, &findings(), at(10));
    let error = kafka::Error::Call { call: "DescribeTopics", reason: "timed out".to_owned() };
    let away = Findings { topics: Some(Err(error.into())), ..findings() };
    let second = summarize("notifications", Some(1), Some(&first), &away, at(20));
    assert_eq!(second.topics, first.topics);
}

fn topic(name: &str, topic_id: &str, partitions: i32) -> TopicStatus {
    TopicStatus { name: name.to_owned(), topic_id: topic_id.to_owned(), partitions }
}

fn topics_after(before: &[TopicStatus], unready: Unready) -> Vec<TopicStatus> {
    let before = SmsPipelineStatus { topics: before.to_vec(), ..SmsPipelineStatus::default() };
    let findings = Findings { topics: Some(Err(unready)), ..findings() };
    summarize("notifications", Some(1), Some(&before), &findings, at(0)).topics
}

#[test]
fn topics_that_exist_are_remembered_although_others_do_not_yet() {
    let unready =
        Unready { problem: Problem::Pending, settled: Some(vec![topic("a", "AAAA", 6), topic("b", "BBBB", 6)]) };
    let remembered = topics_after(&[topic("a", "AAAA", 3), topic("c", "CCCC", 1)], unready);
    assert_eq!(remembered, [topic("a", "AAAA", 6), topic("c", "CCCC", 1), topic("b", "BBBB", 6)]);
}

#[test]
fn a_topic_that_was_made_anew_does_not_push_out_the_one_that_is_remembered() {
    let unready = Unready { problem: Problem::Pending, settled: Some(vec![topic("a", "BBBB", 6)]) };
    assert_eq!(topics_after(&[topic("a", "AAAA", 3)], unready), [topic("a", "AAAA", 3)]);
}

#[test]
fn topics_of_another_pipeline_are_not_remembered() {
    let owner = Claimant {
        uid: "uid".to_owned(),
        namespace: "default".to_owned(),
        name: "other".to_owned(),
        created_at: Time(at(0)),
        installation: None,
    };
    let unready = Unready::from(Problem::OwnedByAnother { prefix: "sms".to_owned(), owner });
    assert_eq!(topics_after(&[topic("a", "AAAA", 3)], unready), []);
}

#[test]
fn what_is_no_longer_so_is_taken_away_by_the_patch_that_writes_the_status() {
    let written = serde_json::to_value(SmsPipelineStatus::default()).expect("a status encodes");
    assert_eq!(written.get("autoscaling"), Some(&serde_json::Value::Null));
}
