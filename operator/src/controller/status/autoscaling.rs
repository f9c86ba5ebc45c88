//! What the autoscaler has to say, as conditions and in the status. Pure.
//!
//! Its numbers change every few seconds, and the status shall not: words and decision stay those with which the count, a
//! condition or its reason came.

use autoscaler::{Acting, Decision};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Finding, Findings, Scaling, condition, is, is_not, unknown};
use crate::{
    controller::reasons,
    crd::{AutoscalingStatus, DecisionActing, LastDecision, SmsPipelineStatus},
    scaling::{Report, Told},
};

/// AutoscalerActive, and with the autoscaler also what it found.
pub(super) fn conditions(
    findings: &Findings,
    generation: Option<i64>,
    before: Option<&SmsPipelineStatus>,
    now: Timestamp,
) -> Vec<Condition> {
    let told = match &findings.scaling {
        None | Some(Scaling::ByLag(None)) => vec![("AutoscalerActive", unknown())],
        Some(Scaling::ByUser) => {
            let user = is_not(reasons::FIXED_REPLICAS, "spec.processor.replicas says how many processors run");
            vec![("AutoscalerActive", user)]
        }
        Some(Scaling::ByLag(Some(last))) => {
            let Report { desired: _, active, hot_partition, limited, degraded } = Report::of(last);
            [
                ("AutoscalerActive", active),
                ("HotPartition", hot_partition),
                ("ScalingLimited", limited),
                ("ThroughputDegraded", degraded),
            ]
            .map(|(kind, told)| (kind, finding(told, kind, before)))
            .into()
        }
    };
    told.into_iter().map(|(kind, found)| condition(kind, found, generation, before, now)).collect()
}

/// The last decision that changed the count, or whether it is carried out.
pub(super) fn summarize(findings: &Findings, before: Option<&SmsPipelineStatus>) -> Option<AutoscalingStatus> {
    let before = before.and_then(|before| before.autoscaling.clone());
    match &findings.scaling {
        Some(Scaling::ByUser) => None,
        None | Some(Scaling::ByLag(None)) => before,
        Some(Scaling::ByLag(Some(last))) => {
            let last_decision = told(&last.decision);
            let essence = |decision: &LastDecision| (decision.desired_replicas, decision.acting);
            let same = before.filter(|before| essence(&before.last_decision) == essence(&last_decision));
            Some(same.unwrap_or(AutoscalingStatus { last_decision }))
        }
    }
}

/// What is told, in the words of before where they say the same.
fn finding(told: Told, kind: &str, before: Option<&SmsPipelineStatus>) -> Finding {
    let before = before.and_then(|before| before.conditions.iter().find(|condition| condition.type_ == kind));
    let status = if told.is_true { "True" } else { "False" };
    let same = before.filter(|before| before.status == status && before.reason == told.reason.name);
    let words = same.filter(|before| told.is_told_by(&before.message)).map(|same| same.message.clone());
    let message = words.unwrap_or(told.message);
    if told.is_true { is(told.reason, message) } else { is_not(told.reason, message) }
}

fn told(decision: &Decision) -> LastDecision {
    let terms = decision.terms.as_ref();
    LastDecision {
        desired_replicas: i32::try_from(decision.desired).unwrap_or(i32::MAX),
        reason: format!("{:?}", decision.reason),
        acting: match decision.acting {
            Acting::Acts => DecisionActing::Acts,
            Acting::DryRun => DecisionActing::DryRun,
            Acting::HeldUntil(_) => DecisionActing::Held,
        },
        bound: decision.bound.map(|bound| format!("{bound:?}")),
        message: decision.text.clone(),
        backlog: terms.map(|terms| whole(terms.waiting)),
        input_per_second: terms.map(|terms| whole(terms.input)),
        capacity_per_second: terms.map(|terms| whole(terms.capacity)),
        need_per_second: terms.map(|terms| whole(terms.need)),
        provider_limit_per_second: terms.and_then(|terms| terms.provider_limit).map(whole),
        // Without what is smaller than a second, as times in Kubernetes are.
        at: Time(Timestamp::from_second(decision.at.as_second()).unwrap_or(decision.at)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "backlogs and rates are far below 2^53 records")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests {
    use autoscaler::{Bound, Finding as Found, Reason};

    use super::*;
    use crate::scaling::Last;

    fn decision(desired: u32, text: &str) -> Decision {
        Decision {
            at: Timestamp::from_second(7).expect("a time"),
            current: 2,
            desired,
            recommended: Some(desired),
            reason: Reason::ScaleUp,
            bound: Some(Bound::Need),
            acting: Acting::Acts,
            terms: None,
            findings: Vec::new(),
            signals: Vec::new(),
            text: text.to_owned(),
        }
    }

    fn status(before: Option<&SmsPipelineStatus>, scaling: Option<Scaling>) -> SmsPipelineStatus {
        let findings = Findings { scaling, ..Findings::default() };
        super::super::summarize("notifications", Some(1), before, &findings, Timestamp::UNIX_EPOCH)
    }

    fn decided(before: Option<&SmsPipelineStatus>, desired: u32, text: &str) -> SmsPipelineStatus {
        told_of(before, decision(desired, text))
    }

    fn told_of(before: Option<&SmsPipelineStatus>, decision: Decision) -> SmsPipelineStatus {
        status(before, Some(Scaling::ByLag(Some(Box::new(Last { decision, hold: None })))))
    }

    fn kinds(status: &SmsPipelineStatus) -> Vec<(&str, &str)> {
        let conditions = status.conditions.iter().skip_while(|condition| condition.type_ != "AutoscalerActive");
        conditions.map(|condition| (condition.type_.as_str(), condition.reason.as_str())).collect()
    }

    #[test]
    fn numbers_that_change_write_nothing() {
        let first = decided(None, 3, "100 records a second");
        assert_eq!(decided(Some(&first), 3, "101 records a second"), first);
    }

    #[test]
    fn another_count_is_told_with_why_and_when() {
        let first = decided(None, 3, "100 records a second");
        let second = decided(Some(&first), 4, "200 records a second").autoscaling.expect("it is scaled").last_decision;
        assert_eq!((second.desired_replicas, second.message.as_str()), (4, "200 records a second"));
        assert_eq!((second.reason.as_str(), second.bound.as_deref()), ("ScaleUp", Some("Need")));
        assert_eq!(second.at, Time(Timestamp::from_second(7).expect("a time")));
    }

    #[test]
    fn a_partition_that_becomes_hot_in_place_of_another_is_told() {
        let hot = |partition| {
            let (topic, needs, gets, waiting) = ("a".to_owned(), f64::from(partition) + 0.5, 1.0, 7.0);
            let findings = vec![Found::HotPartition { topic, partition, needs, gets, waiting }];
            Decision { findings, ..decision(3, "") }
        };
        let message = |status: &SmsPipelineStatus| {
            let condition = status.conditions.iter().find(|condition| condition.type_ == "HotPartition");
            condition.expect("it is told").message.clone()
        };
        let first = told_of(None, hot(4));
        let mut both = hot(1);
        both.findings.extend(hot(4).findings);
        assert_eq!(told_of(Some(&first), both), first);
        assert!(message(&told_of(Some(&first), hot(7))).contains("Partition 7"));
    }

    #[test]
    fn a_count_that_was_only_told_is_told_anew_once_it_is_carried_out() {
        let dry = told_of(None, Decision { acting: Acting::DryRun, ..decision(5, "only told") });
        let acted = decided(Some(&dry), 5, "carried out").autoscaling.expect("it is scaled").last_decision;
        assert_eq!((acted.message.as_str(), acted.acting), ("carried out", DecisionActing::Acts));
    }

    #[test]
    fn conditions_of_the_autoscaler_are_there_as_long_as_it_decides() {
        assert_eq!(kinds(&status(None, None)), [("AutoscalerActive", "NotReached")]);
        assert_eq!(kinds(&status(None, Some(Scaling::ByLag(None)))), [("AutoscalerActive", "NotReached")]);
        let scaled = decided(None, 3, "");
        let expected = [
            ("AutoscalerActive", "Deciding"),
            ("HotPartition", "EvenlyLoaded"),
            ("ScalingLimited", "NotLimited"),
            ("ThroughputDegraded", "ThroughputAsUsual"),
        ];
        assert_eq!(kinds(&scaled), expected);
        let fixed = status(Some(&scaled), Some(Scaling::ByUser));
        assert_eq!(kinds(&fixed), [("AutoscalerActive", "FixedReplicas")]);
        assert_eq!(fixed.autoscaling, None);
    }
}
