use serde_json::json;

use super::{
    metadata::{COMPONENT_LABEL, INSTANCE_LABEL, PIPELINE_COMPONENT, metadata, of_pipeline},
    pod::METRICS_PORT,
};
use crate::controller::{
    kinds::{Object, POD_MONITOR},
    validate::ValidatedPipeline,
};

/// Prometheus asks every pod; the metrics get the pods' labels that tell the pipeline and the workload.
pub(super) fn build(pipeline: &ValidatedPipeline) -> Object {
    let spec = json!({
        "selector": { "matchLabels": of_pipeline(&pipeline.name) },
        "podTargetLabels": [INSTANCE_LABEL, COMPONENT_LABEL],
        "podMetricsEndpoints": [{ "port": METRICS_PORT.name }],
    });
    Object::with_spec(&POD_MONITOR, &metadata(pipeline, &pipeline.name, PIPELINE_COMPONENT), &spec)
}
