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

const TERMS: [Term; 14] = [
    ("desired_replicas", "Processors that there should be", |decision| Some(decision.desired.into())),
    ("recommended_replicas", "Processors by the formula, whether or not now is the time for a step", |decision| {
        decision.recommended.map(f64::from)
    }),
    ("input_records_per_second", "Records that come", |decision| Some(decision.terms.as_ref()?.input)),
    ("done_records_per_second", "Records that are finished", |decision| Some(decision.terms.as_ref()?.done)),
    ("waiting_records", "Records that wait: the backlog", |decision| Some(decision.terms.as_ref()?.waiting)),
    ("need_records_per_second", "What all processors together have to do", |decision| {
        Some(decision.terms.as_ref()?.need)
    }),
    ("need_of_backlog_records_per_second", "Part of the need: the backlog in time", |decision| {
        Some(decision.terms.as_ref()?.need_of_backlog)
    }),
    ("need_of_pause_records_per_second", "Part of the need: what comes during the pause of a step", |decision| {
        Some(decision.terms.as_ref()?.need_of_pause)
    }),
    ("need_of_input_records_per_second", "Part of the need: what comes, at the wanted use", |decision| {
        Some(decision.terms.as_ref()?.need_of_input)
    }),
    ("capacity_records_per_second", "What one processor does with all its slots taken", |decision| {
        Some(decision.terms.as_ref()?.capacity)
    }),
    ("busy_ratio", "Which part of their slots processors use", |decision| decision.terms.as_ref()?.busy),
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
