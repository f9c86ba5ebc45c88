//! Every term of the last decision as a metric, so that a graph shows what led to a count.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use autoscaler::Decision;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

type Gauges = Family<PipelineLabels, Gauge<f64, AtomicU64>>;

/// Metrics of the autoscaler.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    gauges: [Gauges; TERMS.len()],
    decisions: Family<DecisionLabels, Counter>,
    /// What `decisions` has, which it does not tell itself.
    counted: Arc<Mutex<BTreeSet<DecisionLabels>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PipelineLabels {
    namespace: String,
    pipeline: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct DecisionLabels {
    namespace: String,
    pipeline: String,
    reason: String,
}

/// One term: its name, what it is, and how to find it in a decision.
type Term = (&'static str, &'static str, fn(&Decision) -> Option<f64>);

const TERMS: [Term; 25] = [
    ("desired_replicas", "Processors that there should be", |decision| Some(decision.desired.into())),
    ("current_replicas", "Processors that were asked for when it was decided", |decision| {
        Some(decision.current.into())
    }),
    ("recommended_replicas", "Processors by the formula, whether or not now is the time for a step", |decision| {
        decision.recommended.map(f64::from)
    }),
    ("input_records_per_second", "Records that come", |decision| Some(decision.terms.as_ref()?.input)),
    ("done_records_per_second", "Records that are finished", |decision| Some(decision.terms.as_ref()?.done)),
    ("waiting_records", "Records that wait: the backlog", |decision| Some(decision.terms.as_ref()?.waiting)),
    ("unfinished_records", "Records that are not finished, in work or not", |decision| {
        Some(whole(decision.terms.as_ref()?.unfinished))
    }),
    ("in_flight_records", "Records in work", |decision| Some(whole(decision.terms.as_ref()?.in_flight))),
    ("drain_within_seconds", "Within which time the backlog is to be gone", |decision| {
        Some(decision.terms.as_ref()?.drain_within_seconds)
    }),
    ("utilization_ratio", "Which part of their capacity processors should use for what comes", |decision| {
        Some(decision.terms.as_ref()?.utilization)
    }),
    (
        "expected_wait_seconds",
        "For how long messages will have waited by the time that a step would help",
        |decision| Some(decision.terms.as_ref()?.expected_wait_seconds),
    ),
    ("allowed_wait_seconds", "For how long messages may wait before processors are added", |decision| {
        Some(decision.terms.as_ref()?.allowed_wait_seconds)
    }),
    ("partitions", "Partitions of the topic that has most of them", |decision| {
        Some(decision.terms.as_ref()?.partitions.into())
    }),
    ("fewest_replicas", "The fewest processors that come into question", |decision| {
        Some(decision.terms.as_ref()?.range.0.into())
    }),
    ("most_replicas", "The most processors that come into question", |decision| {
        Some(decision.terms.as_ref()?.range.1.into())
    }),
    ("oldest_signal_age_seconds", "Age of the oldest signal; absent while one is unknown", |decision| {
        decision.signals.iter().try_fold(0.0_f64, |oldest, signal| Some(oldest.max(signal.age_seconds?)))
    }),
    ("need_records_per_second", "What all processors together have to do", |decision| {
        Some(decision.terms.as_ref()?.need)
    }),
    ("need_of_backlog_records_per_second", "Part of the need, without head room: the backlog in time", |decision| {
        Some(decision.terms.as_ref()?.need_of_backlog)
    }),
    (
        "need_of_pause_records_per_second",
        "Part of the need, without head room: what comes during the pause of a step",
        |decision| Some(decision.terms.as_ref()?.need_of_pause),
    ),
    ("need_of_input_records_per_second", "Part of the need, without head room: what comes", |decision| {
        Some(decision.terms.as_ref()?.need_of_input)
    }),
    ("capacity_records_per_second", "What one processor does with all its slots taken", |decision| {
        Some(decision.terms.as_ref()?.capacity)
    }),
    ("busy_ratio", "Which part of their slots, or of their CPU time where that is more, processors use", |decision| {
        decision.terms.as_ref()?.busy
    }),
    ("pause_seconds", "For how long a step stops the group, as measured", |decision| {
        Some(decision.terms.as_ref()?.pause_seconds)
    }),
    ("provider_limit_records_per_second", "What the provider takes at most", |decision| {
        decision.terms.as_ref()?.provider_limit
    }),
    ("fullest_share_records_per_second", "What the fullest processor has to do at the recommended count", |decision| {
        Some(decision.terms.as_ref()?.fullest_share)
    }),
];

#[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^53 records")]
fn whole(records: u64) -> f64 {
    records as f64
}

impl Metrics {
    /// Adds all of them to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        for ((name, help, _), gauges) in TERMS.iter().zip(&self.gauges) {
            registry.register(format!("smspipeline_autoscaler_{name}"), *help, gauges.clone());
        }
        registry.register("smspipeline_autoscaler_decisions", "Decisions by their reason", self.decisions.clone());
    }

    /// A decision was made.
    pub fn decided(&self, namespace: &str, pipeline: &str, decision: &Decision) {
        let labels = PipelineLabels { namespace: namespace.to_owned(), pipeline: pipeline.to_owned() };
        for ((_, _, term), gauges) in TERMS.iter().zip(&self.gauges) {
            match term(decision) {
                Some(value) => {
                    gauges.get_or_create(&labels).set(value);
                }
                // What is unknown must not look like zero.
                None => {
                    gauges.remove(&labels);
                }
            }
        }
        let PipelineLabels { namespace, pipeline } = labels;
        let reason = format!("{:?}", decision.reason);
        let labels = DecisionLabels { namespace, pipeline, reason };
        self.decisions.get_or_create(&labels).inc();
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).insert(labels);
    }

    /// A pipeline is gone, or its processors are scaled no longer.
    pub fn forget(&self, namespace: &str, pipeline: &str) {
        let labels = PipelineLabels { namespace: namespace.to_owned(), pipeline: pipeline.to_owned() };
        for gauges in &self.gauges {
            gauges.remove(&labels);
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for labels in counted.extract_if(.., |labels| labels.namespace == namespace && labels.pipeline == pipeline) {
            self.decisions.remove(&labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use autoscaler::{Acting, Bound, Reason, SignalAge, Terms};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn every_term_of_a_decision_is_a_metric() {
        let terms = Terms {
            input: 1.0,
            done: 2.0,
            unfinished: 3,
            in_flight: 4,
            waiting: 5.0,
            drain_within_seconds: 6.0,
            pause_seconds: 7.0,
            utilization: 8.0,
            need_of_backlog: 9.0,
            need_of_pause: 10.0,
            need_of_input: 11.0,
            need: 12.0,
            expected_wait_seconds: 24.0,
            allowed_wait_seconds: 25.0,
            provider_limit: Some(13.0),
            capacity: 14.0,
            busy: Some(15.0),
            partitions: 16,
            range: (17, 18),
            fullest_share: 19.0,
        };
        let age = |age_seconds| SignalAge { name: "pods".to_owned(), age_seconds: Some(age_seconds) };
        let decision = Decision {
            at: Timestamp::UNIX_EPOCH,
            current: 20,
            desired: 21,
            recommended: Some(22),
            reason: Reason::Steady,
            bound: Some(Bound::Need),
            acting: Acting::Acts,
            terms: Some(terms),
            findings: Vec::new(),
            signals: vec![age(23.0), age(1.0)],
            text: String::new(),
        };
        // Each has a value of its own, so that what is left out or told twice is missed here.
        let told: BTreeMap<_, _> =
            TERMS.iter().filter_map(|(name, _, term)| Some((format!("{:02}", term(&decision)?), *name))).collect();
        let expected = (1..=25).map(|number| format!("{number:02}"));
        assert!(told.keys().cloned().eq(expected), "{told:?}");
    }
}
