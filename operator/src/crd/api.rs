use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{HttpRoute, Ingress, PodOptions};

/// The HTTP API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!(has(self.replicas) && has(self.autoscaling))").message("api must not hold both replicas and autoscaling: with autoscaling, minReplicas and maxReplicas bound how many run"),
    validation = Rule::new("!has(self.autoscaling) || !has(self.resources) || (has(self.resources.requests) && 'cpu' in self.resources.requests) || (has(self.resources.limits) && 'cpu' in self.resources.limits)").message("with autoscaling, resources must hold requests.cpu, of which targetCPUPercent is a part")
)]
#[serde(rename_all = "camelCase")]
pub struct ApiWorkload {
    /// How many API replicas run, in place of `autoscaling`; 1 when both are absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 1000").message("replicas must be from 0 to 1000"))]
    pub replicas: Option<i32>,
    /// Adds replicas while they are busy and takes them away when they are not, by a HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ApiAutoscaling")]
    pub autoscaling: Option<ApiAutoscaling>,
    /// Container image; the operator's own release when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Who may use the API: exactly one of `apiKeysSecretRef` and `anonymous`.
    pub authentication: Authentication,
    /// How many requests one API key may make; without one there is no limit. Each replica counts for itself, and a
    /// limit in the keys file goes before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RateLimit")]
    pub rate_limit: Option<RateLimit>,
    /// An Ingress that leads to the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Ingress")]
    pub ingress: Option<Ingress>,
    /// An HTTPRoute of the Gateway API that leads to the API, where the cluster has that kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpRoute")]
    pub http_route: Option<HttpRoute>,
    /// What its pods are told.
    #[serde(flatten)]
    pub pods: PodOptions,
}

/// How many API replicas run at least and at most, and what makes them busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.minReplicas <= self.maxReplicas").message("minReplicas must not be more than maxReplicas"))]
#[serde(rename_all = "camelCase")]
pub struct ApiAutoscaling {
    /// The fewest replicas.
    #[serde(default = "default_min_replicas")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("minReplicas must be from 1 to 1000"))]
    pub min_replicas: i32,
    /// The most replicas.
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("maxReplicas must be from 1 to 1000"))]
    pub max_replicas: i32,
    /// How much of the CPU that they request replicas use on average, in percent; above it, more are started.
    #[serde(rename = "targetCPUPercent", default = "default_target_cpu_percent")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("targetCPUPercent must be from 1 to 1000"))]
    pub target_cpu_percent: i32,
}

/// Who may use the API: exactly one of `apiKeysSecretRef` and `anonymous`.
// Neither field may be null in the schema, so that `anonymous:` without a value is no choice by accident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("has(self.apiKeysSecretRef) != has(self.anonymous)").message("authentication must hold either apiKeysSecretRef: { name: SECRET }, which lets in whoever has one of the keys in the Secret, or anonymous: {}, which lets in everybody")
)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// Whoever has one of the keys in this Secret may do what the key allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ApiKeysSecretRef")]
    pub api_keys_secret_ref: Option<ApiKeysSecretRef>,
    /// Everybody who reaches the API may do everything, as tenant `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Anonymous")]
    pub anonymous: Option<Anonymous>,
}

/// The Secret in the namespace of the pipeline that holds the API keys file. When it changes, the API's pods are replaced one by
/// one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeysSecretRef {
    /// Name of the Secret.
    #[x_kube(validation = Rule::new("size(self) >= 1 && size(self) <= 253").message("name must have 1 to 253 characters"))]
    #[schemars(length(max = 253))]
    pub name: String,
    /// Key in the Secret whose value is the file: `{"keys": […]}`, with the SHA-256 of each key and never the key.
    #[serde(default = "default_key")]
    #[x_kube(validation = Rule::new("size(self) >= 1 && size(self) <= 253").message("key must have 1 to 253 characters"))]
    #[schemars(length(max = 253))]
    pub key: String,
}

/// Everybody who reaches the API may do everything. Nothing can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Anonymous {}

/// How many requests one API key may make of one API replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests per second in the long run.
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000000").message("requestsPerSecond must be from 1 to 1000000"))]
    pub requests_per_second: i32,
    /// Requests at once after a pause; as many as `requestsPerSecond` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000000").message("burst must be from 1 to 1000000"))]
    pub burst: Option<i32>,
}

/// One replica can end, or be on a node that does, while the other one answers.
fn default_min_replicas() -> i32 {
    2
}

fn default_target_cpu_percent() -> i32 {
    70
}

fn default_key() -> String {
    "keys.json".to_owned()
}
