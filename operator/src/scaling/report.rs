//! What of a decision is told where every word is a write: in conditions and events. Pure.
//!
//! Numbers change with every look, so what is told follows only the count, whether it is carried out, and what is wrong.

use autoscaler::{Acting, Bound, Decision, Finding, Reason as Why};

use crate::controller::reasons::{self, Reason};

/// What is told of a decision.
#[derive(Clone, Debug)]
pub struct Report {
    /// How many processors there should be.
    pub desired: u32,
    /// Whether the count is found and carried out.
    pub active: Told,
    /// Whether a partition needs more than a processor can do for it.
    pub hot_partition: Told,
    /// Whether more processors would not help for another reason.
    pub limited: Told,
    /// Whether processors do less than they used to.
    pub degraded: Told,
}

/// One condition.
#[derive(Clone, Debug)]
pub struct Told {
    /// Whether it is true.
    pub is_true: bool,
    /// Why.
    pub reason: Reason,
    /// In words and numbers.
    pub message: String,
}

/// The same words are told by the same count and reasons; numbers in them do not count.
impl PartialEq for Report {
    fn eq(&self, other: &Self) -> bool {
        let essence = |report: &Self| {
            let reasons = [&report.active, &report.hot_partition, &report.limited, &report.degraded];
            (report.desired, reasons.map(|told| told.reason))
        };
        essence(self) == essence(other)
    }
}

impl Report {
    /// Of this decision.
    pub fn of(decision: &Decision) -> Self {
        let (mut hot_partition, mut limited, mut degraded) = (None, None, None);
        for finding in &decision.findings {
            let (place, reason) = match finding {
                Finding::HotPartition { .. } => (&mut hot_partition, reasons::HOT_PARTITION),
                Finding::PartitionStuck { .. } => (&mut hot_partition, reasons::PARTITION_STUCK),
                Finding::ProviderLimit { .. } => (&mut limited, reasons::PROVIDER_LIMIT),
                Finding::ProviderFailing { .. } => (&mut limited, reasons::PROVIDER_FAILING),
                Finding::StepWithoutEffect { .. } => (&mut limited, reasons::STEP_WITHOUT_EFFECT),
                Finding::ThroughputDegraded { .. } => (&mut degraded, reasons::THROUGHPUT_DEGRADED),
            };
            place.get_or_insert_with(|| Told { is_true: true, reason, message: finding.text() });
        }
        if decision.bound == Some(Bound::Maximum) {
            let message = format!("maxReplicas keeps more than {} processors from running", decision.desired);
            limited.get_or_insert(Told { is_true: true, reason: reasons::AT_MAXIMUM, message });
        }
        let otherwise = |told: Option<Told>, reason, message: &str| {
            told.unwrap_or_else(|| Told { is_true: false, reason, message: message.to_owned() })
        };
        Self {
            desired: decision.desired,
            active: active(decision),
            hot_partition: otherwise(
                hot_partition,
                reasons::EVENLY_LOADED,
                "no partition needs more than a processor can do",
            ),
            limited: otherwise(limited, reasons::NOT_LIMITED, "more processors would do more"),
            degraded: otherwise(degraded, reasons::THROUGHPUT_AS_USUAL, "processors do as much as they used to"),
        }
    }
}

fn active(decision: &Decision) -> Told {
    let (is_true, reason) = match (decision.reason, &decision.acting) {
        (Why::SignalUnknown, _) => (false, reasons::SIGNAL_UNKNOWN),
        (Why::CrashLooping, _) => (false, reasons::CRASH_LOOPING),
        (Why::Fallback, _) => (false, reasons::FALLBACK),
        (_, Acting::DryRun) => (false, reasons::DRY_RUN),
        (_, Acting::HeldUntil(_)) => (false, reasons::HELD),
        (_, Acting::Acts) => (true, reasons::DECIDING),
    };
    Told { is_true, reason, message: decision.text.clone() }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn decision() -> Decision {
        Decision {
            at: Timestamp::UNIX_EPOCH,
            current: 2,
            desired: 2,
            recommended: Some(2),
            reason: Why::Steady,
            bound: Some(Bound::Need),
            acting: Acting::Acts,
            terms: None,
            findings: Vec::new(),
            signals: Vec::new(),
            text: "100 records a second".to_owned(),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Decision), expected: [(bool, &str); 4]) {
        let mut decision = decision();
        change(&mut decision);
        let report = Report::of(&decision);
        let told = [report.active, report.hot_partition, report.limited, report.degraded];
        assert_eq!(told.map(|told| (told.is_true, told.reason.name)), expected);
    }

    const FINE: [(bool, &str); 4] =
        [(true, "Deciding"), (false, "EvenlyLoaded"), (false, "NotLimited"), (false, "ThroughputAsUsual")];

    #[test]
    fn an_autoscaler_that_decides_and_acts_is_active() {
        check(|_| {}, FINE);
        check(|decision| decision.reason = Why::Rebalancing, FINE);
    }

    #[test]
    fn what_keeps_it_from_deciding_or_acting_is_told() {
        let with = |reason| [(false, reason), FINE[1], FINE[2], FINE[3]];
        check(|decision| decision.reason = Why::SignalUnknown, with("SignalUnknown"));
        check(|decision| decision.reason = Why::CrashLooping, with("CrashLooping"));
        check(|decision| decision.acting = Acting::DryRun, with("DryRun"));
        check(|decision| decision.acting = Acting::HeldUntil(Timestamp::UNIX_EPOCH), with("Held"));
    }

    #[test]
    fn what_more_processors_cannot_help_is_told() {
        check(|decision| decision.bound = Some(Bound::Maximum), [FINE[0], FINE[1], (true, "AtMaximum"), FINE[3]]);
        let failing = Finding::ProviderFailing { share: 0.9 };
        check(|decision| decision.findings.push(failing), [FINE[0], FINE[1], (true, "ProviderFailing"), FINE[3]]);
        let hot = Finding::HotPartition { topic: "a".to_owned(), partition: 3, needs: 9.0, gets: 1.0, waiting: 7.0 };
        check(|decision| decision.findings.push(hot), [FINE[0], (true, "HotPartition"), FINE[2], FINE[3]]);
    }

    #[test]
    fn other_numbers_are_no_news_and_another_count_is() {
        let mut later = decision();
        later.text = "101 records a second".to_owned();
        assert_eq!(Report::of(&later), Report::of(&decision()));
        later.desired = 3;
        assert_ne!(Report::of(&later), Report::of(&decision()));
    }
}
