//! What the operator counts.

use std::sync::atomic::AtomicI64;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// All metrics of the operator. Gauges carry the pipeline's name, of which there are few; nothing else does.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    reconciles: Family<ReconcileLabels, Counter>,
    replicas: Family<ReplicaLabels, Gauge<i64, AtomicI64>>,
    consumer_lag: Family<PipelineLabels, Gauge<i64, AtomicI64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    result: ReconcileResult,
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

impl Metrics {
    /// Adds all metrics to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("smspipeline_reconciles", "Reconciles by how they ended", self.reconciles.clone());
        registry.register("smspipeline_replicas", "Replicas that exist", self.replicas.clone());
        registry.register(
            "smspipeline_consumer_lag_records",
            "Records of the requests topics that the processors have not committed",
            self.consumer_lag.clone(),
        );
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
