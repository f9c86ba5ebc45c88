use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::metadata::{API_COMPONENT, PROCESSOR_COMPONENT, matching, metadata};
use crate::controller::validate::ValidatedPipeline;

/// A node that is drained takes one pod of a workload at a time. Pods that are not ready may always go: they serve
/// nobody, and would keep the node for ever.
pub(super) fn build(pipeline: &ValidatedPipeline) -> Vec<PodDisruptionBudget> {
    [(&pipeline.names.api, API_COMPONENT), (&pipeline.names.processor, PROCESSOR_COMPONENT)]
        .map(|(name, component)| PodDisruptionBudget {
            metadata: metadata(pipeline, name, component),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(IntOrString::Int(1)),
                selector: Some(matching(&pipeline.name, component)),
                unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
                ..PodDisruptionBudgetSpec::default()
            }),
            ..PodDisruptionBudget::default()
        })
        .into()
}
