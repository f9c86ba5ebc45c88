//! What the operator counts.

use std::{any::Any, sync::atomic::AtomicI64, time::Duration};

use kafka::{Call, Interceptor, Said};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// All metrics of the operator. Gauges carry the pipeline's name, of which there are few; nothing else does.
#[derive(Clone, Debug)]
pub struct Metrics {
    leader: Gauge<i64, AtomicI64>,
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_errors: Family<ErrorLabels, Counter>,
    reconcile_seconds: Histogram,
    kafka_calls: Family<KafkaCallLabels, Counter>,
    replicas: Family<ReplicaLabels, Gauge<i64, AtomicI64>>,
    consumer_lag: Family<PipelineLabels, Gauge<i64, AtomicI64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    result: ReconcileResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KafkaCallLabels {
    call: &'static str,
    outcome: CallOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label values")]
enum CallOutcome {
    succeeded,
    failed,
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label values")]
pub enum ReconcileResult {
    /// It did all that can be done for now.
    done,
    /// It ended in an error and is tried again.
    failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PipelineLabels {
    namespace: String,
    pipeline: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplicaLabels {
    namespace: String,
    pipeline: String,
    component: Component,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label values")]
enum Component {
    api,
    processor,
}

/// Upper bounds of the buckets for how long a reconcile takes, in seconds.
const RECONCILE_SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            leader: Gauge::default(),
            reconciles: Family::default(),
            reconcile_errors: Family::default(),
            reconcile_seconds: Histogram::new(RECONCILE_SECONDS),
            kafka_calls: Family::default(),
            replicas: Family::default(),
            consumer_lag: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds all metrics to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("smspipeline_leader", "Whether this operator leads (1) or waits (0)", self.leader.clone());
        registry.register(
            "smspipeline_reconcile_errors",
            "Reconciles that ended in an error, by what kind of error",
            self.reconcile_errors.clone(),
        );
        registry.register(
            "smspipeline_reconcile_seconds",
            "How long reconciles take, in seconds",
            self.reconcile_seconds.clone(),
        );
        registry.register(
            "smspipeline_kafka_calls",
            "Calls to the brokers by their name in Kafka's protocol and by how they ended",
            self.kafka_calls.clone(),
        );
        registry.register("smspipeline_reconciles", "Reconciles by how they ended", self.reconciles.clone());
        registry.register("smspipeline_replicas", "Replicas that exist", self.replicas.clone());
        registry.register(
            "smspipeline_consumer_lag_records",
            "Records of the requests topics that the processors have not committed",
            self.consumer_lag.clone(),
        );
    }

    /// Whether this operator leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// A reconcile took so long.
    pub fn reconcile_took(&self, duration: Duration) {
        self.reconcile_seconds.observe(duration.as_secs_f64());
    }

    /// A reconcile ended in an error of this class.
    pub fn reconcile_failed(&self, class: &'static str) {
        self.reconciled(ReconcileResult::failed);
        self.reconcile_errors.get_or_create(&ErrorLabels { class }).inc();
    }

    /// A reconcile ended.
    pub fn reconciled(&self, result: ReconcileResult) {
        self.reconciles.get_or_create(&ReconcileLabels { result }).inc();
    }

    /// How many replicas of each workload exist.
    pub fn replicas(&self, namespace: &str, pipeline: &str, api: i32, processor: i32) {
        for (component, count) in [(Component::api, api), (Component::processor, processor)] {
            let labels = ReplicaLabels { namespace: namespace.to_owned(), pipeline: pipeline.to_owned(), component };
            self.replicas.get_or_create(&labels).set(count.into());
        }
    }

    /// How far the processors of a pipeline are behind, in records; `None` when that is not known, which
    /// must not look like zero.
    pub fn consumer_lag(&self, namespace: &str, pipeline: &str, records: Option<i64>) {
        let labels = PipelineLabels { namespace: namespace.to_owned(), pipeline: pipeline.to_owned() };
        match records {
            Some(records) => {
                self.consumer_lag.get_or_create(&labels).set(records);
            }
            None => {
                self.consumer_lag.remove(&labels);
            }
        }
    }

    /// A pipeline is gone.
    pub fn forget(&self, namespace: &str, pipeline: &str) {
        self.consumer_lag(namespace, pipeline, None);
        for component in [Component::api, Component::processor] {
            let labels = ReplicaLabels { namespace: namespace.to_owned(), pipeline: pipeline.to_owned(), component };
            self.replicas.remove(&labels);
        }
    }
}

/// Counts the calls to the brokers.
impl Interceptor for Metrics {
    fn after<'a>(&'a self, call: &'a Call, said: Result<&'a mut (dyn Any + Send), &'a kafka::Error>) -> Said<'a> {
        let outcome = if said.is_ok() { CallOutcome::succeeded } else { CallOutcome::failed };
        self.kafka_calls.get_or_create(&KafkaCallLabels { call: call.name, outcome }).inc();
        Box::pin(std::future::ready(Ok(())))
    }
}
