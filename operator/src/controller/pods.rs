//! Annotations of pods, by which somebody else is told something.

use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::Patch};
use serde_json::json;
use telemetry::error_chain;

use super::apply;

/// How many pods of a pipeline are written to at once, and how long all of that may take.
const AT_ONCE: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Gives each of these pods its value of an annotation. Nothing may depend on it: a pod that is not reached is only told of in
/// the log.
pub(crate) async fn annotate(pods: &Api<Pod>, annotation: &str, values: Vec<(String, String)>) {
    let annotate = async |(pod, value): (String, String)| {
        let patch = json!({ "metadata": { "annotations": { annotation: value } } });
        match pods.patch_metadata(&pod, &apply::merge(), &Patch::Merge(&patch)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => tracing::warn!(pod, annotation, error = error_chain(&error), "a pod is not annotated"),
        }
    };
    let all = stream::iter(values).map(annotate).buffer_unordered(AT_ONCE).collect::<()>();
    if tokio::time::timeout(TIMEOUT, all).await.is_err() {
        tracing::warn!(annotation, "not all pods are annotated: the API server is slow");
    }
}
