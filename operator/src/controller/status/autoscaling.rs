//! What the autoscaler has to say, as conditions and in the status. Pure.
//!
//! Its numbers change every few seconds, and the status shall not: words and decision stay those with which the count, a
//! condition or its reason came.

use autoscaler::Decision;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Finding, Findings, Scaling, condition, is, is_not, unknown};
use crate::{
    controller::reasons,
    crd::{AutoscalingStatus, LastDecision, SmsPipelineStatus},
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
        Some(Scaling::ByLag(Some(decision))) => {
            let Report { desired: _, active, hot_partition, limited, degraded } = Report::of(decision);
            vec![
                ("AutoscalerActive", finding(active)),
                ("HotPartition", finding(hot_partition)),
                ("ScalingLimited", finding(limited)),
                ("ThroughputDegraded", finding(degraded)),
            ]
        }
    };
    let condition = |(kind, found)| {
        let mut condition = condition(kind, found, generation, before, now);
        let same = |other: &&Condition| {
            other.type_ == kind && other.status == condition.status && other.reason == condition.reason
        };
        let same = before.and_then(|before| before.conditions.iter().find(same));
        if let Some(words) = same.map(|same| same.message.clone()) {
            condition.message = words;
        }
        condition
    };
    told.into_iter().map(condition).collect()
}

/// The last decision that changed the count.
pub(super) fn summarize(findings: &Findings, before: Option<&SmsPipelineStatus>) -> Option<AutoscalingStatus> {
    let before = before.and_then(|before| before.autoscaling.clone());
    match &findings.scaling {
        Some(Scaling::ByUser) => None,
        None | Some(Scaling::ByLag(None)) => before,
        Some(Scaling::ByLag(Some(decision))) => {
            let last_decision = told(decision);
            let same = before.filter(|before| before.last_decision.desired_replicas == last_decision.desired_replicas);
            Some(same.unwrap_or(AutoscalingStatus { last_decision }))
        }
    }
}

fn finding(Told { is_true, reason, message }: Told) -> Finding {
    if is_true { is(reason, message) } else { is_not(reason, message) }
}

#[expect(clippy::cast_possible_truncation, reason = "a backlog is far below 2^53 records")]
fn told(decision: &Decision) -> LastDecision {
    LastDecision {
        desired_replicas: i32::try_from(decision.desired).unwrap_or(i32::MAX),
        reason: format!("{:?}", decision.reason),
        bound: decision.bound.map(|bound| format!("{bound:?}")),
        message: decision.text.clone(),
        backlog: decision.terms.as_ref().map(|terms| terms.waiting.round() as i64),
        // Without what is smaller than a second, as times in Kubernetes are.
        at: Time(Timestamp::from_second(decision.at.as_second()).unwrap_or(decision.at)),
    }
}

#[cfg(test)]
mod tests {
    use autoscaler::{Acting, Bound, Reason};

    use super::*;

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
        status(before, Some(Scaling::ByLag(Some(Box::new(decision(desired, text))))))
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
