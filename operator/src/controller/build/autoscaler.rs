use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
    ResourceMetricSource,
};

use super::metadata::{API_COMPONENT, metadata};
use crate::controller::{
    kinds::DEPLOYMENT,
    validate::{Replicas, ValidatedPipeline},
};

/// The API is scaled by the CPU that requests take; its pods tell Kubernetes how much that is by their requests.
pub(super) fn build(pipeline: &ValidatedPipeline) -> Option<HorizontalPodAutoscaler> {
    let Replicas::ByCpu(autoscaling) = pipeline.api.replicas else { return None };
    Some(HorizontalPodAutoscaler {
        metadata: metadata(pipeline, &pipeline.names.api, API_COMPONENT),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(DEPLOYMENT.api_version()),
                kind: DEPLOYMENT.kind.to_owned(),
                name: pipeline.names.api.clone(),
            },
            min_replicas: Some(autoscaling.min_replicas),
            max_replicas: autoscaling.max_replicas,
            metrics: Some(vec![MetricSpec {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(autoscaling.target_cpu_percent),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            ..HorizontalPodAutoscalerSpec::default()
        }),
        ..HorizontalPodAutoscaler::default()
    })
}
