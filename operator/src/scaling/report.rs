//! What of a decision is told where every word is a write: in conditions and events. Pure.
//!
//! Numbers change with every look, so what is told follows only the count, whether it is carried out, and what is wrong.

use autoscaler::{Acting, Bound, Decision, Finding, Reason as Why};

use super::Hold;
use crate::controller::reasons::{self, Reason};

/// The last decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Last {
    /// What was decided.
    pub decision: Decision,
    /// What kept the count, if anything did.
    pub hold: Option<Hold>,
}

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
    /// What the reason is about, such as a partition, in the words of the message; of several things the message names one.
    about: Vec<String>,
}

impl Told {
    /// Whether this message, which was told for the same reason, is about the same: then other numbers are no news.
    pub fn is_told_by(&self, message: &str) -> bool {
        self.about.is_empty() || self.about.iter().any(|about| message.contains(about))
    }
}

/// The same words are told by the same count, reasons and things that they are about; numbers in them do not count.
impl PartialEq for Report {
    fn eq(&self, other: &Self) -> bool {
        let reasons = |report: &Self| {
            let told = [&report.active, &report.hot_partition, &report.limited, &report.degraded];
            told.map(|told| (told.reason, told.about.clone()))
        };
        self.desired == other.desired && reasons(self) == reasons(other)
    }
}

impl Report {
    /// Of this decision.
    pub fn of(Last { decision, hold }: &Last) -> Self {
        let (mut hot_partition, mut limited, mut degraded) = (None::<Told>, None, None);
        for finding in &decision.findings {
            let (place, reason) = match finding {
                Finding::HotPartition { .. } => (&mut hot_partition, reasons::HOT_PARTITION),
                Finding::PartitionStuck { .. } => (&mut hot_partition, reasons::PARTITION_STUCK),
                Finding::ProviderLimit { .. } => (&mut limited, reasons::PROVIDER_LIMIT),
                Finding::ProviderFailing { .. } => (&mut limited, reasons::PROVIDER_FAILING),
                Finding::StepWithoutEffect { .. } => (&mut limited, reasons::STEP_WITHOUT_EFFECT),
                Finding::ThroughputDegraded { .. } => (&mut degraded, reasons::THROUGHPUT_DEGRADED),
            };
            let told = place.get_or_insert_with(|| is(reason, finding.text()));
            if told.reason == reason {
                told.about.extend(about(finding));
            }
        }
        let most = decision.recommended.unwrap_or(decision.desired);
        // Below it, something else keeps more from running for now, such as a step that is being judged.
        if decision.bound == Some(Bound::Maximum) && decision.desired >= most {
            let message = format!("maxReplicas keeps more than {most} processors from running");
            let about = vec![message.clone()];
            limited.get_or_insert(Told { about, ..is(reasons::AT_MAXIMUM, message) });
        }
        let otherwise = |told: Option<Told>, reason, message: &str| told.unwrap_or_else(|| is_not(reason, message));
        Self {
            desired: decision.desired,
            active: active(decision, hold.as_ref()),
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

fn is(reason: Reason, message: impl Into<String>) -> Told {
    Told { is_true: true, reason, message: message.into(), about: Vec::new() }
}

fn is_not(reason: Reason, message: impl Into<String>) -> Told {
    Told { is_true: false, ..is(reason, message) }
}

/// What a finding is about, in the words of its text; `None` where there is only one thing that it could be about.
fn about(finding: &Finding) -> Option<String> {
    match finding {
        Finding::HotPartition { topic, partition, .. } => Some(format!("Partition {partition} of {topic} needs")),
        Finding::PartitionStuck { topic, partition, .. } => Some(format!("partition {partition} of {topic} wait")),
        Finding::ProviderLimit { measured: true, .. } => Some("as measured".to_owned()),
        Finding::ProviderLimit { measured: false, .. } => Some(finding.text()),
        Finding::StepWithoutEffect { from, to, .. } => Some(format!("from {from} to {to} replica")),
        Finding::ThroughputDegraded { since, .. } => Some(format!("Since {since}")),
        Finding::ProviderFailing { .. } => None,
    }
}

fn active(decision: &Decision, hold: Option<&Hold>) -> Told {
    let text = &decision.text;
    match (decision.reason, decision.acting, hold) {
        // Somebody has to correct it, whatever else there is to tell.
        (_, Acting::HeldUntil(_), Some(Hold::Invalid(why))) => {
            Told { about: vec![why.clone()], ..is_not(reasons::INVALID_HOLD, why) }
        }
        (Why::SignalUnknown, _, _) => is_not(reasons::SIGNAL_UNKNOWN, text),
        (Why::CrashLooping, _, _) => is_not(reasons::CRASH_LOOPING, text),
        (Why::Fallback, _, _) => is_not(reasons::FALLBACK, text),
        (_, Acting::DryRun, _) => is_not(reasons::DRY_RUN, text),
        (_, Acting::HeldUntil(_), Some(Hold::Paused(by))) => {
            let message = format!("{by} says that nothing is to be changed");
            Told { about: vec![message.clone()], ..is_not(reasons::HELD, message) }
        }
        (_, Acting::HeldUntil(until), Some(Hold::Until(_)) | None) => {
            Told { about: vec![until.to_string()], ..is_not(reasons::HELD, text) }
        }
        (_, Acting::Acts, _) => is(reasons::DECIDING, text),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn last() -> Last {
        let decision = Decision {
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
        };
        Last { decision, hold: None }
    }

    fn report(change: impl FnOnce(&mut Decision)) -> Report {
        let mut last = last();
        change(&mut last.decision);
        Report::of(&last)
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Decision), expected: [(bool, &str); 4]) {
        let report = report(change);
        let told = [report.active, report.hot_partition, report.limited, report.degraded];
        assert_eq!(told.map(|told| (told.is_true, told.reason.name)), expected);
    }

    fn hot(partition: i32) -> Finding {
        Finding::HotPartition { topic: "a".to_owned(), partition, needs: 9.0, gets: 1.0, waiting: 7.0 }
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
        check(|decision| decision.findings.push(hot(3)), [FINE[0], (true, "HotPartition"), FINE[2], FINE[3]]);
    }

    #[test]
    fn the_maximum_keeps_nothing_from_running_that_is_not_to_run_yet() {
        let wait = |decision: &mut Decision| {
            (decision.bound, decision.recommended) = (Some(Bound::Maximum), Some(decision.desired + 1));
        };
        check(wait, FINE);
    }

    #[test]
    fn other_numbers_are_no_news_and_another_count_is() {
        let same = report(|decision| decision.text = "101 records a second".to_owned());
        assert_eq!(same, Report::of(&last()));
        assert_ne!(report(|decision| decision.desired = 3), Report::of(&last()));
    }

    #[test]
    fn another_partition_is_news_as_long_as_the_one_that_was_told_is_not_hot_too() {
        let told = report(|decision| decision.findings = vec![hot(4)]);
        let both = report(|decision| decision.findings = vec![hot(1), hot(4)]);
        let another = report(|decision| decision.findings = vec![hot(14)]);
        assert_ne!(told, another);
        assert!(both.hot_partition.is_told_by(&told.hot_partition.message));
        assert!(!another.hot_partition.is_told_by(&told.hot_partition.message));
        assert!(!told.hot_partition.is_told_by(&another.hot_partition.message));
    }

    #[test]
    fn every_message_names_what_it_is_about() {
        let topic = || "a".to_owned();
        let (since, measured, per_second) = (Timestamp::UNIX_EPOCH, true, 7.0);
        for finding in [
            hot(3),
            Finding::PartitionStuck { topic: topic(), partition: 3, done: 1.0, waiting: 7.0 },
            Finding::ProviderLimit { per_second, measured },
            Finding::ProviderLimit { per_second, measured: false },
            Finding::StepWithoutEffect { from: 0, to: 1, gained: 0.0, expected: 7.0 },
            Finding::StepWithoutEffect { from: 2, to: 4, gained: 0.0, expected: 7.0 },
            Finding::ThroughputDegraded { usual: 9.0, now: 1.0, since },
        ] {
            let about = about(&finding).expect("it is about something");
            assert!(finding.text().contains(&about), "{about} in {}", finding.text());
        }
    }

    #[test]
    fn who_holds_the_count_and_until_when_is_told() {
        let held = |hold: Hold| {
            let mut last = last();
            last.decision.acting = Acting::HeldUntil(hold.until());
            last.decision.text = format!("the count is held until {}", hold.until());
            last.hold = Some(hold);
            Report::of(&last)
        };
        let until = |second| held(Hold::Until(Timestamp::from_second(second).expect("a time")));
        assert_eq!(until(60).active.reason.name, "Held");
        assert!(until(60).active.is_told_by(&until(60).active.message));
        assert!(!until(60).active.is_told_by(&until(61).active.message));
        assert_ne!(until(60), until(61));
        let paused = held(Hold::Paused("spec.paused")).active;
        assert_eq!((paused.reason.name, paused.message.contains("spec.paused")), ("Held", true));
        let invalid = held(Hold::Invalid("no time".to_owned())).active;
        assert_eq!((invalid.is_true, invalid.reason.name, invalid.message.as_str()), (false, "InvalidHold", "no time"));
    }
}
