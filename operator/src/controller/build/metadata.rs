//! Names, labels and owner of every object.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::controller::validate::ValidatedPipeline;

/// Which part of a pipeline an object belongs to. Source of all label names: the recommended labels of the
/// Kubernetes documentation.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// The component of the HTTP API.
pub const API_COMPONENT: &str = "api";
/// The component of the processors.
pub const PROCESSOR_COMPONENT: &str = "processor";

const NAME_LABEL: &str = "app.kubernetes.io/name";
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

pub(super) fn metadata(pipeline: &ValidatedPipeline, name: &str, component: &str) -> ObjectMeta {
    let mut labels = selector(&pipeline.name, component);
    labels.insert(MANAGED_BY_LABEL.to_owned(), "sms-operator".to_owned());
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(pipeline.namespace.clone()),
        labels: Some(labels),
        owner_references: Some(vec![pipeline.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// The labels that select the pods of one component. They can never change: a Deployment's selector is immutable.
pub(in crate::controller) fn selector(pipeline: &str, component: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (NAME_LABEL.to_owned(), "sms-pipeline".to_owned()),
        (INSTANCE_LABEL.to_owned(), pipeline.to_owned()),
        (COMPONENT_LABEL.to_owned(), component.to_owned()),
    ])
}

/// The selector of a pipeline's processors as one string, for the scale subresource.
pub fn processor_selector(pipeline: &str) -> String {
    let labels = selector(pipeline, PROCESSOR_COMPONENT);
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}
