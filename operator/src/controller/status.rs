//! Step 5 of reconcile: what was found and applied, as conditions. Pure; the caller writes the status.

mod autoscaling;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use telemetry::error_chain;

use crate::{
    controller::{
        Error,
        build::processor_selector,
        reasons::{self, Reason},
        topics::{Problem, Safety, Topics, Unready, plan::Difference},
        validate::Invalid,
    },
    crd::{SmsPipelineStatus, TopicStatus},
    scaling::Last,
};

/// What one reconcile found out.
#[derive(Debug, Default)]
pub struct Findings {
    /// Whether the operator keeps its hands off.
    pub paused: Option<&'static str>,
    /// Whether the resource could be used; not, for example, when a Secret is missing. Absent when it did not come to that.
    pub usable: Option<Result<(), Unusable>>,
    /// The topics, or why they are not as wanted; absent when it did not come to that.
    pub topics: Option<Result<Topics, Unready>>,
    /// The two workloads, or why they could not be applied; absent when it did not come to that.
    pub workloads: Option<Result<Workloads, Unapplied>>,
    /// Why the database seems to be away, told only while the API is not available.
    pub database_unreachable: Option<String>,
    /// Who says how many processors run; absent when it did not come to that.
    pub scaling: Option<Scaling>,
}

impl Findings {
    /// Whether an API was asked for that is not there, of which the database may be the cause.
    pub fn lacks_api(&self) -> bool {
        matches!(&self.workloads, Some(Ok(Workloads { api, .. })) if api.ready < api.desired)
    }
}

/// Who says how many processors run.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// The user.
    ByUser,
    /// The autoscaler, with its last decision once there is one.
    ByLag(Option<Box<Last>>),
}

/// Why nothing could be built from the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// What it names is not there or not as it must be.
    Invalid(Invalid),
    /// What it names could not be read.
    Unread(String),
}

/// Why the workloads could not be made or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unapplied {
    /// In a word.
    pub reason: Reason,
    /// In words.
    pub message: String,
}

impl From<&Error> for Unapplied {
    fn from(error: &Error) -> Self {
        let reason = match error {
            Error::NameConflict { .. } => reasons::NAME_CONFLICT,
            _ => reasons::NOT_APPLIED,
        };
        Self { reason, message: error_chain(error) }
    }
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
    let scaling = autoscaling::conditions(findings, generation, before, now);
    status.conditions = std::iter::once(ready).chain(single).chain(beside).chain(scaling).collect();
    status.autoscaling = autoscaling::summarize(findings, before);
    status.observed_generation = generation;
    status.selector = processor_selector(pipeline);
    match &findings.topics {
        Some(Ok(Topics { topics, .. })) => status.topics.clone_from(topics),
        Some(Err(Unready { problem: Problem::OwnedByAnother { .. }, .. })) => status.topics.clear(),
        Some(Err(Unready { settled: Some(found), .. })) => remember(&mut status.topics, found),
        Some(Err(Unready { settled: None, .. })) | None => {}
    }
    if let Some(Ok(workloads)) = &findings.workloads {
        status.replicas = workloads.processor.existing;
        status.desired_replicas = workloads.processor.desired;
    }
    status
}

/// Adds what was found to the topics that are remembered, so that it is known whose they are should the pipeline go
/// now. One that is remembered with another id stays as it is: somebody has to look into it.
fn remember(remembered: &mut Vec<TopicStatus>, found: &[TopicStatus]) {
    for topic in found {
        match remembered.iter_mut().find(|remembered| remembered.name == topic.name) {
            Some(same) if same.topic_id == topic.topic_id => same.partitions = topic.partitions,
            Some(_) => {}
            None => remembered.push(topic.clone()),
        }
    }
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
                Invalid::Template(_) => reasons::INVALID_TEMPLATE,
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
        Some(Err(Unready { problem, .. })) => {
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
                Problem::Kafka(
                    kafka::Error::Topic { .. }
                    | kafka::Error::NotAllowed { .. }
                    | kafka::Error::UnknownPartition { .. },
                ) => reasons::TOPIC_REFUSED,
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
            is_not(reason, error_chain(problem) + advice)
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
        Some(Err(Unapplied { reason, message })) => return is_not(*reason, message.clone()),
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
mod tests;
