//! Step 5 of reconcile: what was found and applied, as conditions. Pure; the caller writes the status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    controller::{
        build::processor_selector,
        reasons::{self, Reason},
        topics::{Problem, Safety, Topics, plan::Difference},
        validate::Invalid,
    },
    crd::SmsPipelineStatus,
};

/// What one reconcile found out.
#[derive(Debug, Default)]
pub struct Findings {
    /// Whether the operator keeps its hands off.
    pub paused: Option<&'static str>,
    /// Whether the resource could be used; not, for example, when a Secret is missing. Absent when it did not come to that.
    pub usable: Option<Result<(), Unusable>>,
    /// The topics, or why they are not as wanted; absent when it did not come to that.
    pub topics: Option<Result<Topics, Problem>>,
    /// The two workloads, or why they could not be applied; absent when it did not come to that.
    pub workloads: Option<Result<Workloads, String>>,
    /// Why the database seems to be away, told only while the API is not available.
    pub database_unreachable: Option<String>,
}

/// Why nothing could be built from the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// What it names is not there or not as it must be.
    Invalid(Invalid),
    /// What it names could not be read.
    Unread(String),
}

/// The two workloads as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workloads {
    /// The HTTP API.
    pub api: WorkloadState,
    /// The fleet of processors.
    pub processor: WorkloadState,
    /// What was asked for and cannot be made here, a sentence each.
    pub left_out: Vec<String>,
}

/// How far a workload has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadState {
    /// Replicas that should run.
    pub desired: i32,
    /// Replicas that exist.
    pub existing: i32,
    /// Replicas of the current template that are ready.
    pub ready: i32,
    /// What a replica that is not ready says of itself, when that is known.
    pub detail: Option<String>,
}

/// One condition before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    status: &'static str,
    reason: String,
    message: String,
}

/// The condition that sums the others up.
pub const READY: &str = "Ready";

/// The new status, given the one before: transition times change only with a condition's status, and what
/// could not be found out this time stays as it was.
pub fn summarize(
    pipeline: &str,
    generation: Option<i64>,
    before: Option<&SmsPipelineStatus>,
    findings: &Findings,
    now: Timestamp,
) -> SmsPipelineStatus {
    let mut status = before.cloned().unwrap_or_default();
    let single = [
        ("SecretsResolved", secrets_resolved(findings)),
        ("TopicsReady", topics_ready(findings)),
        ("ApiAvailable", api_available(findings)),
        ("ProcessorAvailable", available(findings, |workloads| &workloads.processor, None)),
    ];
    let kept = |kind: &str, finding: &Finding| {
        // Whoever changes nothing looks at less; what was known stays.
        let unreached = findings.paused.is_some() && finding.reason == reasons::NOT_REACHED.name;
        before.filter(|_| unreached)?.conditions.iter().find(|condition| condition.type_ == kind).cloned()
    };
    let new =
        |(kind, finding)| kept(kind, &finding).unwrap_or_else(|| condition(kind, finding, generation, before, now));
    let single = single.map(new);
    let ready = condition(READY, ready(&single), generation, before, now);
    let beside = [("KafkaSettingsSafe", kafka_settings_safe(findings)), ("Paused", paused(findings))].map(new);
    status.conditions = std::iter::once(ready).chain(single).chain(beside).collect();
    status.observed_generation = generation;
    status.selector = processor_selector(pipeline);
    if let Some(Ok(Topics { topics, .. })) = &findings.topics {
        status.topics.clone_from(topics);
    }
    if let Some(Ok(workloads)) = &findings.workloads {
        status.replicas = workloads.processor.existing;
    }
    status
}

/// Whether the Ready condition is true.
pub fn is_ready(status: &SmsPipelineStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == READY && condition.status == "True")
}

/// The reason and message of the Ready condition.
pub fn explanation(status: &SmsPipelineStatus) -> String {
    let ready = status.conditions.iter().find(|condition| condition.type_ == READY);
    ready.map_or_else(String::new, |ready| format!("{}: {}", ready.reason, ready.message))
}

/// The first of those that must be true and is not.
fn ready(single: &[Condition]) -> Finding {
    let Some(first) = single.iter().find(|condition| condition.status != "True") else {
        return is(reasons::ALL_READY, "everything runs as asked for");
    };
    let status = if first.reason == reasons::NOT_REACHED.name { "Unknown" } else { "False" };
    Finding { status, reason: first.reason.clone(), message: first.message.clone() }
}

fn secrets_resolved(findings: &Findings) -> Finding {
    match &findings.usable {
        None => unknown(),
        Some(Ok(())) => is(reasons::FOUND, "every Secret that the spec names is there"),
        Some(Err(Unusable::Unread(reason))) => is_unknown(reasons::READ_FAILED, reason.clone()),
        Some(Err(Unusable::Invalid(invalid))) => {
            let reason = match invalid {
                Invalid::NoSecret { .. } => reasons::SECRET_NOT_FOUND,
                Invalid::NoKey { .. } => reasons::SECRET_KEY_NOT_FOUND,
                Invalid::NoUrl { .. } => reasons::INVALID_DATABASE_URL,
                Invalid::NoApiKeys { .. } => reasons::INVALID_API_KEYS,
                Invalid::NoText { .. } | Invalid::NoPem { .. } => reasons::INVALID_SECRET,
                Invalid::NoAuthentication => reasons::INVALID_AUTHENTICATION,
                Invalid::PodOption { .. } => reasons::INVALID_POD_OPTION,
            };
            is_not(reason, invalid.to_string())
        }
    }
}

fn topics_ready(findings: &Findings) -> Finding {
    match &findings.topics {
        None => unknown(),
        Some(Ok(_)) => is(reasons::AS_WANTED, "every topic exists with at least the partitions asked for"),
        Some(Err(problem)) => {
            let reason = match problem {
                Problem::Kafka(
                    kafka::Error::Settings(_)
                    | kafka::Error::Incomplete(_)
                    | kafka::Error::ReadFile { .. }
                    | kafka::Error::NulByte { .. },
                ) => reasons::INVALID_KAFKA_SETTINGS,
                Problem::Kafka(kafka::Error::Login { .. }) => reasons::KAFKA_LOGIN_FAILED,
                Problem::Kafka(kafka::Error::Tls { .. }) => reasons::KAFKA_TLS_FAILED,
                Problem::Kafka(kafka::Error::Call { .. }) => reasons::KAFKA_UNREACHABLE,
                Problem::Kafka(kafka::Error::Topic { .. }) => reasons::TOPIC_REFUSED,
                Problem::Refused(differences) => differences.first().map_or(reasons::TOPICS_DIFFER, Difference::reason),
                Problem::OwnedByAnother { .. } => reasons::TOPIC_OWNED_BY_ANOTHER,
                Problem::Pending => reasons::TOPICS_PENDING,
            };
            let advice = match problem {
                Problem::Kafka(kafka::Error::Login { .. }) => {
                    "; check spec.kafka.security.sasl and what its Secrets hold"
                }
                Problem::Kafka(kafka::Error::Tls { .. }) => {
                    "; check spec.kafka.security.protocol, spec.kafka.security.tls and what its Secrets hold"
                }
                Problem::Kafka(_) | Problem::Refused(_) | Problem::OwnedByAnother { .. } | Problem::Pending => "",
            };
            is_not(reason, telemetry::error_chain(problem) + advice)
        }
    }
}

/// A warning: what it tells of may be somebody's choice, so Ready does not wait for it.
fn kafka_settings_safe(findings: &Findings) -> Finding {
    let Some(Ok(Topics { safety, .. })) = &findings.topics else { return unknown() };
    match safety {
        Err(reason) => is_unknown(reasons::NOT_READABLE, reason.clone()),
        Ok(Safety { dangers, notes }) if dangers.is_empty() => {
            let safe = "no setting of the brokers endangers messages".to_owned();
            is(reasons::SAFE, [&[safe], notes.as_slice()].concat().join("; "))
        }
        Ok(Safety { dangers, notes }) => {
            is_not(reasons::UNSAFE_BROKER_SETTINGS, [dangers.as_slice(), notes].concat().join("; "))
        }
    }
}

/// Also for people who wonder why nothing happens.
fn paused(findings: &Findings) -> Finding {
    match findings.paused {
        Some(by) => is(reasons::PAUSED, format!("{by} says that nothing is to be changed")),
        None => is_not(reasons::NOT_PAUSED, "the operator carries out what the spec says"),
    }
}

/// Also tells which ways to the API cannot be made here; it is available without them.
fn api_available(findings: &Findings) -> Finding {
    let mut finding = available(findings, |workloads| &workloads.api, findings.database_unreachable.as_deref());
    if let Some(Ok(workloads)) = &findings.workloads {
        for sentence in &workloads.left_out {
            finding.message += "; ";
            finding.message += sentence;
        }
    }
    finding
}

fn available(findings: &Findings, which: fn(&Workloads) -> &WorkloadState, cause: Option<&str>) -> Finding {
    let state = match &findings.workloads {
        None => return unknown(),
        Some(Err(message)) => return is_not(reasons::NOT_APPLIED, message.clone()),
        Some(Ok(workloads)) => which(workloads),
    };
    let (ready, desired) = (state.ready, state.desired);
    let count = format!("{ready} of {desired} replicas ready");
    match (ready >= desired, cause.or(state.detail.as_deref())) {
        (true, _) => is(reasons::REPLICAS_READY, count),
        (false, Some(cause)) => is_not(reasons::REPLICAS_NOT_READY, format!("{count}: {cause}")),
        (false, None) => is_not(reasons::REPLICAS_NOT_READY, count),
    }
}

fn condition(
    kind: &str,
    finding: Finding,
    generation: Option<i64>,
    before: Option<&SmsPipelineStatus>,
    now: Timestamp,
) -> Condition {
    let before = before.and_then(|status| status.conditions.iter().find(|condition| condition.type_ == kind));
    let since =
        before.filter(|before| before.status == finding.status).map(|before| before.last_transition_time.clone());
    Condition {
        type_: kind.to_owned(),
        status: finding.status.to_owned(),
        reason: finding.reason,
        message: finding.message,
        observed_generation: generation,
        last_transition_time: since.unwrap_or(Time(now)),
    }
}

fn is(reason: Reason, message: impl Into<String>) -> Finding {
    Finding { status: "True", reason: reason.name.to_owned(), message: message.into() }
}

fn is_not(reason: Reason, message: impl Into<String>) -> Finding {
    Finding { status: "False", reason: reason.name.to_owned(), message: message.into() }
}

fn unknown() -> Finding {
    is_unknown(reasons::NOT_REACHED, "an earlier step has to succeed first")
}

fn is_unknown(reason: Reason, message: impl Into<String>) -> Finding {
    Finding { status: "Unknown", reason: reason.name.to_owned(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::TopicStatus;

    fn findings() -> Findings {
        let running = WorkloadState { desired: 2, existing: 2, ready: 2, detail: None };
        let topic = TopicStatus { name: "sms.requests".to_owned(), topic_id: "AAAA".to_owned(), partitions: 6 };
        Findings {
            paused: None,
            usable: Some(Ok(())),
            topics: Some(Ok(Topics { topics: vec![topic], safety: Ok(Safety::default()) })),
            workloads: Some(Ok(Workloads { api: running.clone(), processor: running, left_out: Vec::new() })),
            database_unreachable: None,
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
            let topics = Topics { topics: Vec::new(), safety };
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
        let broken = Findings { workloads: Some(Err("refused".to_owned())), ..findings() };
        let third = summarize("notifications", Some(2), Some(&second), &broken, at(30));
        let times: Vec<_> =
            third.conditions.iter().map(|condition| condition.last_transition_time.0.as_second()).collect();
        assert_eq!(times, [30, 10, 10, 30, 30, 10, 10]);
    }

    #[test]
    fn what_could_not_be_found_out_stays_as_it_was() {
        let first = summarize("notifications", Some(1), None, &findings(), at(10));
        let error = kafka::Error::Call { call: "DescribeTopics", reason: "timed out".to_owned() };
        let away = Findings { topics: Some(Err(error.into())), ..findings() };
        let second = summarize("notifications", Some(1), Some(&first), &away, at(20));
        assert_eq!(second.topics, first.topics);
    }
}
