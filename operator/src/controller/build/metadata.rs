//! Names, labels and owner of every object.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::controller::validate::ValidatedPipeline;

/// Which part of a pipeline an object belongs to. Source of all label names: the recommended labels of the
/// Kubernetes documentation.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// The component of the HTTP API.
pub const API_COMPONENT: &str = "api";
/// The component of the processors.
pub const PROCESSOR_COMPONENT: &str = "processor";

/// The component of what belongs to a pipeline as a whole.
pub(super) const PIPELINE_COMPONENT: &str = "pipeline";
/// Which pipeline an object belongs to.
pub(super) const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

const NAME_LABEL: &str = "app.kubernetes.io/name";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The selector of everything that the operator makes.
pub const MANAGED_SELECTOR: &str = "app.kubernetes.io/managed-by=sms-operator";

/// The selector of everything that the operator makes from one pipeline.
pub fn pipeline_selector(pipeline: &str) -> String {
    format!("{MANAGED_SELECTOR},{INSTANCE_LABEL}={pipeline}")
}

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
    let mut labels = of_pipeline(pipeline);
    labels.insert(COMPONENT_LABEL.to_owned(), component.to_owned());
    labels
}

/// The labels that select the pods of both components.
pub(super) fn of_pipeline(pipeline: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (NAME_LABEL.to_owned(), "sms-pipeline".to_owned()),
        (INSTANCE_LABEL.to_owned(), pipeline.to_owned()),
    ])
}

/// Selects the pods of one component.
pub(super) fn matching(pipeline: &str, component: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(pipeline, component)), ..LabelSelector::default() }
}

/// The selector of a pipeline's processors as one string, for the scale subresource.
pub fn processor_selector(pipeline: &str) -> String {
    text(&selector(pipeline, PROCESSOR_COMPONENT))
}

/// The selector of the pods of both components as one string.
pub fn pods_selector(pipeline: &str) -> String {
    text(&of_pipeline(pipeline))
}

fn text(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}
