//! What is told, found by comparing: every change of a condition's reason and of what a refusal is about, every object, topic
//! and setting that is made or changed, and every step of the number of processors. Pure.

use std::cmp::Ordering;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    controller::{
        apply::{Written, sentence},
        reasons::{self, Reason, Severity},
        status::READY,
        topics::Topics,
    },
    crd::{DecisionActing, LastDecision, SmsPipelineStatus, TopicStatus},
};

/// The conditions of the autoscaler.
const AUTOSCALER: [&str; 4] = ["AutoscalerActive", "HotPartition", "ScalingLimited", "ThroughputDegraded"];

/// Warnings in the words of a server that fails, which may be others each time.
const OUTAGES: [Reason; 3] = [reasons::READ_FAILED, reasons::KAFKA_UNREACHABLE, reasons::NOT_APPLIED];

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The condition that it is about.
    pub about: String,
    /// Why.
    pub reason: Reason,
    /// In words.
    pub note: String,
}

/// What is to be told of a status that follows another one.
pub fn changes(before: Option<&SmsPipelineStatus>, after: &SmsPipelineStatus) -> Vec<Change> {
    let was = |kind: &str| before?.conditions.iter().find(|condition| condition.type_ == kind);
    // Ready repeats what another one says.
    let conditions = after.conditions.iter().filter(|condition| condition.type_ != READY);
    let changed = conditions.filter(|now| {
        // A refusal and the autoscaler say the same in the same words: others are about something else.
        let is_refusal =
            reason(now).is_some_and(|reason| reason.severity == Severity::Warning && !OUTAGES.contains(&reason));
        let has_own_words = is_refusal || AUTOSCALER.contains(&now.type_.as_str());
        let is_other = |before: &Condition| has_own_words && before.message != now.message;
        was(&now.type_).is_none_or(|before| before.reason != now.reason || is_other(before))
    });
    let told = changed.filter_map(|condition| {
        let reason = reason(condition)?;
        let is_usual = [
            reasons::NOT_PAUSED,
            reasons::FIXED_REPLICAS,
            reasons::EVENLY_LOADED,
            reasons::NOT_LIMITED,
            reasons::THROUGHPUT_AS_USUAL,
        ]
        .contains(&reason);
        // What is as it should be from the start is no news.
        let was_something_else = was(&condition.type_).is_some_and(|before| before.reason != reasons::NOT_REACHED.name);
        let is_news = reason != reasons::NOT_REACHED && (was_something_else || !is_usual);
        is_news.then(|| Change { about: condition.type_.clone(), reason, note: condition.message.clone() })
    });
    told.chain(new_topics(before, after)).chain(scaled(before, after)).collect()
}

fn reason(condition: &Condition) -> Option<Reason> {
    reasons::ALL.iter().find(|reason| reason.name == condition.reason).copied()
}

/// Topics that have grown, and those that are in use from now on.
fn new_topics(before: Option<&SmsPipelineStatus>, after: &SmsPipelineStatus) -> impl Iterator<Item = Change> {
    let (mut grown, mut in_use) = (Vec::new(), Vec::new());
    let counted = |partitions: &i32| format!("{partitions} partition{}", if *partitions == 1 { "" } else { "s" });
    for TopicStatus { name, partitions, .. } in &after.topics {
        match before.and_then(|before| before.topics.iter().find(|before| before.name == *name)) {
            None => in_use.push(format!("topic {name:?} with {}", counted(partitions))),
            Some(TopicStatus { partitions: from, .. }) if from < partitions => {
                grown.push(format!("topic {name:?} grew from {from} to {}", counted(partitions)));
            }
            Some(_) => {}
        }
    }
    let told = [(reasons::TOPIC_GREW, grown), (reasons::TOPIC_IN_USE, in_use)];
    let told = told.into_iter().filter(|(_, notes)| !notes.is_empty());
    told.map(|(reason, notes)| Change { about: "TopicsReady".to_owned(), reason, note: notes.join("; ") })
}

/// Another number of processors than was told before, or one that is carried out now, with the sum that led to it.
fn scaled(before: Option<&SmsPipelineStatus>, after: &SmsPipelineStatus) -> Option<Change> {
    let decision = |status: &SmsPipelineStatus| status.autoscaling.clone().map(|autoscaling| autoscaling.last_decision);
    let (before, now) = (before?, decision(after)?);
    let told = decision(before);
    let acts = |decision: &LastDecision| decision.acting == DecisionActing::Acts;
    let count = match told {
        Some(told) if acts(&told) || !acts(&now) => told.desired_replicas,
        // What was only told has changed nothing yet.
        Some(_) | None => running(before)?,
    };
    let reason = match now.desired_replicas.cmp(&count) {
        Ordering::Equal => return None,
        Ordering::Less | Ordering::Greater if !acts(&now) => reasons::SCALING_TOLD,
        Ordering::Greater => reasons::SCALED_UP,
        Ordering::Less => reasons::SCALED_DOWN,
    };
    Some(Change { about: "AutoscalerActive".to_owned(), reason, note: now.message })
}

/// How many processors the cluster was last asked for; `None` when that is not known.
fn running(status: &SmsPipelineStatus) -> Option<i32> {
    let known = [reasons::REPLICAS_READY.name, reasons::REPLICAS_NOT_READY.name];
    let mut conditions = status.conditions.iter();
    let condition = conditions.find(|condition| condition.type_ == "ProcessorAvailable")?;
    known.contains(&condition.reason.as_str()).then_some(status.desired_replicas)
}

/// What is to be told of objects that were written.
pub fn objects(written: &[Written]) -> Vec<Change> {
    let change = |note| Change { about: "Apply".to_owned(), reason: reasons::OBJECTS_CHANGED, note };
    sentence(written).map(change).into_iter().collect()
}

/// What is to be told of topics that are as wanted now. Those that are new or have grown show in the status.
pub fn topics(topics: &Topics) -> Vec<Change> {
    if topics.changed.is_empty() {
        return Vec::new();
    }
    let note = topics.changed.join("; ");
    vec![Change { about: "TopicsReady".to_owned(), reason: reasons::TOPICS_CHANGED, note }]
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::crd::AutoscalingStatus;

    fn condition(kind: &str, reason: Reason) -> Condition {
        Condition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: reason.name.to_owned(),
            message: "words".to_owned(),
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    fn status(conditions: &[(&str, Reason)], partitions: &[i32]) -> SmsPipelineStatus {
        let topics = partitions.iter().enumerate().map(|(number, &partitions)| TopicStatus {
            name: format!("topic-{number}"),
            topic_id: "AAAA".to_owned(),
            partitions,
        });
        SmsPipelineStatus {
            conditions: conditions.iter().map(|(kind, reason)| condition(kind, *reason)).collect(),
            topics: topics.collect(),
            ..SmsPipelineStatus::default()
        }
    }

    #[track_caller]
    fn check(before: Option<&SmsPipelineStatus>, after: &SmsPipelineStatus, expected: &[&str]) {
        let told: Vec<_> = changes(before, after).iter().map(|change| change.reason.name).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_condition_is_told_when_its_reason_changes_and_only_then() {
        let missing =
            status(&[("Ready", reasons::SECRET_NOT_FOUND), ("SecretsResolved", reasons::SECRET_NOT_FOUND)], &[]);
        let found = status(&[("Ready", reasons::ALL_READY), ("SecretsResolved", reasons::FOUND)], &[]);
        check(None, &missing, &["SecretNotFound"]);
        check(Some(&missing), &missing, &[]);
        check(Some(&missing), &found, &["Found"]);
    }

    #[test]
    fn what_is_as_it_should_be_from_the_start_is_no_news() {
        let first = status(&[("TopicsReady", reasons::NOT_REACHED), ("Paused", reasons::NOT_PAUSED)], &[]);
        let paused = status(&[("TopicsReady", reasons::NOT_REACHED), ("Paused", reasons::PAUSED)], &[]);
        check(None, &first, &[]);
        check(Some(&first), &paused, &["Paused"]);
        check(Some(&paused), &first, &["NotPaused"]);
    }

    #[test]
    fn topics_are_told_when_they_are_new_and_when_they_grow() {
        check(None, &status(&[], &[3]), &["TopicInUse"]);
        check(Some(&status(&[], &[3])), &status(&[], &[3]), &[]);
        check(Some(&status(&[], &[3])), &status(&[], &[6, 1]), &["TopicGrew", "TopicInUse"]);
    }

    /// So many processors run, and so many should, as was decided or only told.
    fn decided(running: i32, desired: i32, acting: DecisionActing) -> SmsPipelineStatus {
        let last_decision = LastDecision {
            desired_replicas: desired,
            reason: "ScaleUp".to_owned(),
            acting,
            bound: None,
            message: String::new(),
            backlog: None,
            input_per_second: None,
            capacity_per_second: None,
            need_per_second: None,
            provider_limit_per_second: None,
            at: Time(Timestamp::UNIX_EPOCH),
        };
        SmsPipelineStatus {
            desired_replicas: running,
            autoscaling: Some(AutoscalingStatus { last_decision }),
            ..status(&[("ProcessorAvailable", reasons::REPLICAS_READY)], &[])
        }
    }

    #[test]
    fn each_step_is_told_once() {
        use DecisionActing::{Acts, DryRun, Held};
        let check = |before, after, expected: &[&str]| check(Some(&before), &after, expected);
        check(decided(1, 1, Acts), decided(1, 3, Acts), &["ScaledUp"]);
        check(decided(1, 3, Acts), decided(3, 3, Acts), &[]);
        check(decided(3, 3, Acts), decided(1, 1, Acts), &["ScaledDown"]);
        check(decided(1, 1, DryRun), decided(1, 3, DryRun), &["ScalingTold"]);
        check(decided(1, 3, DryRun), decided(1, 3, Held), &[]);
        let undecided = || SmsPipelineStatus { autoscaling: None, ..decided(2, 2, Acts) };
        check(undecided(), decided(2, 3, Acts), &["ScaledUp"]);
        check(undecided(), decided(2, 2, Acts), &[]);
        check(undecided(), decided(2, 3, Held), &["ScalingTold"]);
    }

    #[test]
    fn what_was_only_told_is_told_again_when_it_is_carried_out() {
        use DecisionActing::{Acts, DryRun, Held};
        let check = |before, after, expected: &[&str]| check(Some(&before), &after, expected);
        check(decided(1, 5, DryRun), decided(5, 5, Acts), &["ScaledUp"]);
        check(decided(5, 1, Held), decided(1, 1, Acts), &["ScaledDown"]);
        check(decided(1, 5, Held), decided(1, 1, Acts), &[]);
    }

    #[test]
    fn topics_that_come_together_are_told_by_one_event_that_names_them_all() {
        let told = changes(None, &status(&[], &[3, 1]));
        let notes: Vec<_> = told.iter().map(|change| change.note.as_str()).collect();
        assert_eq!(notes, [r#"topic "topic-0" with 3 partitions; topic "topic-1" with 1 partition"#]);
    }

    #[test]
    fn another_refusal_is_told_although_its_reason_is_the_same_and_other_words_of_an_outage_are_not() {
        let told = |kind: &str, reason: Reason, message: &str| {
            let mut status = status(&[(kind, reason)], &[]);
            status.conditions[0].message = message.to_owned();
            status
        };
        let missing = |name: &str| told("SecretsResolved", reasons::SECRET_NOT_FOUND, name);
        check(Some(&missing("one")), &missing("one"), &[]);
        check(Some(&missing("one")), &missing("another"), &["SecretNotFound"]);
        let starting = |message: &str| told("ApiAvailable", reasons::REPLICAS_NOT_READY, message);
        check(Some(&starting("0 of 2")), &starting("1 of 2"), &[]);
        let away = |message: &str| told("TopicsReady", reasons::KAFKA_UNREACHABLE, message);
        check(Some(&away("timed out after 4.9 s")), &away("timed out after 5.1 s"), &[]);
    }

    #[test]
    fn a_condition_of_the_autoscaler_is_told_when_it_is_about_something_else() {
        let hot = |message: &str| {
            let mut status = status(&[("HotPartition", reasons::HOT_PARTITION)], &[]);
            status.conditions[0].message = message.to_owned();
            status
        };
        check(Some(&hot("partition 4")), &hot("partition 4"), &[]);
        check(Some(&hot("partition 4")), &hot("partition 7"), &["HotPartition"]);
    }
}
