//! Has changed Secrets brought to the pods at once.
//!
//! A kubelet looks after the files of a pod once in a minute or two, and at once when an annotation of the pod changes (source:
//! Kubernetes documentation, ConfigMaps, "Mounted ConfigMaps are updated automatically"; it is the same for Secrets).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::ListParams};
use telemetry::error_chain;

use super::{build::pods_selector, pods};
use crate::crd::SmsPipeline;

/// When a Secret of the pod was last seen to have changed.
const ANNOTATION: &str = "smspipeline.dev/secrets-changed-at";

/// Tells the nodes of all pods of `pipeline` that their files are not what they were. Where that fails they find out by
/// themselves, later.
pub(super) async fn files(client: &Client, pipeline: &SmsPipeline) {
    let (name, namespace) = (pipeline.name_any(), pipeline.namespace().unwrap_or_default());
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    match pods.list_metadata(&ListParams::default().labels(&pods_selector(&name))).await {
        Ok(found) => {
            let now = Timestamp::now().to_string();
            let changed = found.iter().map(|pod| (pod.name_any(), now.clone())).collect();
            pods::annotate(&pods, ANNOTATION, changed).await;
        }
        Err(error) => {
            let error = error_chain(&error);
            tracing::warn!(name, namespace, error, "the pods are not told that a Secret has changed");
        }
    }
}
