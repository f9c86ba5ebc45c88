//! The `SmsPipeline` resource: what a platform team may ask for, with the rules that one object can tell.
//!
//! The types here are the only source of `crds/smspipelines.yaml`. Every rule is CEL, with a message of its
//! own, so that the API server and `sms-operator local` refuse a resource with the same words. Rules that
//! need more than the object itself live in `controller/validate.rs`.

mod api;
mod autoscaling;
mod exposure;
mod http_provider;
mod kafka;
mod kafka_security;
mod messages;
mod pod_options;
mod processor;
#[cfg(test)]
pub(crate) mod rules;
mod status;

use std::collections::BTreeSet;

use kube::{CustomResource, KubeSchema, ResourceExt};
use serde::{Deserialize, Serialize};

pub use api::{Anonymous, ApiAutoscaling, ApiKeysSecretRef, ApiWorkload, Authentication, RateLimit};
pub use autoscaling::{AutoscalingMode, ProcessorAutoscaling};
pub use exposure::{HttpRoute, Ingress, ParentRef};
pub use http_provider::{
    BasicAuth, BodyCondition, HttpMethod, HttpProvider, HttpQuery, ResponseCondition, ResponseOutcome, ResponseRule,
};
pub use kafka::{GroupProtocol, Kafka, OnDelete, PartitionGrowth, Topics};
pub use kafka_security::{KafkaProtocol, KafkaSasl, KafkaSecret, KafkaSecurity, KafkaTls, SaslMechanism};
pub use messages::{Messages, NumberValidation, RetryFailed};
pub use pod_options::{PodOptions, Resources};
pub use processor::{OnUnknownOutcome, Ordering, Processor, Provider, Retry, SimulatedProvider};
pub use status::{AutoscalingStatus, DecisionActing, LastDecision, SmsPipelineStatus, TopicStatus};

/// A durable SMS pipeline: an HTTP API, Kafka topics and a fleet of processors.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "smspipeline.dev",
    version = "v1alpha1",
    kind = "SmsPipeline",
    plural = "smspipelines",
    shortname = "smsp",
    category = "all",
    namespaced,
    cel,
    doc = "A durable SMS pipeline: an HTTP API, Kafka topics and a fleet of processors.",
    derive = "PartialEq",
    status = "SmsPipelineStatus",
    scale(
        spec_replicas_path = ".spec.processor.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desiredReplicas"),
    printcolumn(name = "Partitions", type_ = "integer", json_path = ".spec.kafka.topics.partitions"),
    printcolumn(
        name = "Lag",
        type_ = "integer",
        description = "Messages that waited when the count of processors was last decided anew",
        json_path = ".status.autoscaling.lastDecision.backlog"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Mode",
        type_ = "string",
        description = "Whether decisions on the count of processors are carried out",
        json_path = ".spec.processor.autoscaling.mode",
        priority = 1
    ),
    printcolumn(
        name = "Decided",
        type_ = "date",
        description = "When the count of processors was last decided anew",
        json_path = ".status.autoscaling.lastDecision.at",
        priority = 1
    ),
    printcolumn(name = "Prefix", type_ = "string", json_path = ".spec.kafka.topics.prefix", priority = 1),
    validation = Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name must have at most 40 characters of a-z, 0-9 and '-', the first a letter and the last no '-', because names of Services are made from it")
)]
#[x_kube(validation = Rule::new("!has(self.processor.autoscaling) || self.processor.autoscaling.maxReplicas <= self.kafka.topics.partitions").message("spec.processor.autoscaling.maxReplicas must not be more than spec.kafka.topics.partitions: a processor without a partition would do nothing"))]
#[serde(rename_all = "camelCase")]
pub struct SmsPipelineSpec {
    /// Whether the operator changes nothing, neither objects nor topics, while it goes on to tell the status. The annotation
    /// `smspipeline.dev/paused: "true"` does the same.
    #[serde(default)]
    pub paused: bool,
    /// The PostgreSQL database that holds the messages.
    pub database: Database,
    /// The Kafka cluster and the topics in it.
    pub kafka: Kafka,
    /// The HTTP API.
    pub api: ApiWorkload,
    /// The fleet that carries messages to the provider.
    pub processor: Processor,
    /// What messages are accepted, and how long the database remembers them.
    #[serde(default)]
    pub messages: Messages,
    /// What follows when a message failed for a reason that may pass.
    #[serde(default)]
    pub retry_failed: RetryFailed,
    /// Traces.
    #[serde(default)]
    pub telemetry: Telemetry,
}

/// The annotation that pauses a pipeline without an edit of its spec.
const PAUSED: &str = "smspipeline.dev/paused";

impl SmsPipeline {
    /// What an annotation of several values, separated by commas, says; nothing where there is none.
    pub fn annotated(&self, annotation: &str) -> BTreeSet<String> {
        let text = self.annotations().get(annotation).map(String::as_str).unwrap_or_default();
        text.split(',').map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
    }

    /// What says that nothing is to be changed; `None` when nothing says so.
    pub fn paused_by(&self) -> Option<&'static str> {
        if self.spec.paused {
            return Some("spec.paused");
        }
        (self.annotations().get(PAUSED).map(String::as_str) == Some("true"))
            .then_some("the annotation smspipeline.dev/paused")
    }
}

impl SmsPipelineSpec {
    /// The names of the Secrets that it names.
    pub fn secrets(&self) -> BTreeSet<&str> {
        let api_keys = self.api.authentication.api_keys_secret_ref.iter().map(|reference| &reference.name);
        let provider = self.processor.provider.secrets().map(|(_, reference)| &reference.name);
        let kafka = self.kafka.security.secrets().map(|(_, reference)| &reference.name);
        let names = [&self.database.url_secret_ref.name].into_iter().chain(api_keys).chain(provider).chain(kafka);
        names.map(String::as_str).collect()
    }
}

/// The PostgreSQL database that holds the messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// The Secret that holds the connection URL, `postgresql://user:password@host:port/database`. An
    /// application Secret made by CloudNativePG fits as it is.
    pub url_secret_ref: DatabaseSecretRef,
}

/// One key of a Secret in the namespace of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[x_kube(validation = Rule::new("size(self) >= 1 && size(self) <= 253").message("name must have 1 to 253 characters"))]
    #[schemars(length(max = 253))]
    pub name: String,
    /// Key in the Secret.
    #[x_kube(validation = Rule::new("size(self) >= 1 && size(self) <= 253").message("key must have 1 to 253 characters"))]
    #[schemars(length(max = 253))]
    pub key: String,
}

/// One key of a Secret in the namespace of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSecretRef {
    /// Name of the Secret.
    #[x_kube(validation = Rule::new("size(self) >= 1 && size(self) <= 253").message("name must have 1 to 253 characters"))]
    #[schemars(length(max = 253))]
    pub name: String,
    /// Key in the Secret.
    #[serde(default = "default_key")]
    #[x_kube(validation = Rule::new("size(self) >= 1 && size(self) <= 253").message("key must have 1 to 253 characters"))]
    #[schemars(length(max = 253))]
    pub key: String,
}

/// Traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Telemetry {
    /// OTLP endpoint (gRPC), such as `http://otel-collector.observability:4317`; without one no traces are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("otlpEndpoint must start with http:// or https://"))]
    #[schemars(length(max = 2048))]
    pub otlp_endpoint: Option<String>,
    /// Share of requests that are traced, in percent; it counts only with `otlpEndpoint`.
    #[serde(default = "default_sample_percent")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 100").message("samplePercent must be from 0 to 100"))]
    pub sample_percent: i32,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_percent: default_sample_percent() }
    }
}

/// The key that CloudNativePG's application Secrets use.
fn default_key() -> String {
    "uri".to_owned()
}

fn default_sample_percent() -> i32 {
    1
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;

    use super::SmsPipeline;
    use crate::controller::fixtures::{
        pipeline, pipeline_with_api_keys, pipeline_with_http_provider, pipeline_with_secured_kafka,
    };

    #[test]
    fn every_secret_that_a_pipeline_names_is_known_by_its_name_once() {
        for (pipeline, expected) in [
            (pipeline(), &["notifications-db"][..]),
            (pipeline_with_api_keys(), &["notifications-api-keys", "notifications-db"]),
            (pipeline_with_http_provider(), &["notifications-api-keys", "notifications-db", "twilio"]),
            (
                pipeline_with_secured_kafka(),
                &["kafka-cluster-ca-cert", "notifications-api-keys", "notifications-db", "notifications-kafka"],
            ),
        ] {
            assert_eq!(pipeline.spec.secrets().into_iter().collect::<Vec<_>>(), expected);
        }
    }

    /// `cargo xtask crds` rewrites the files; this proves that they are current.
    #[test]
    fn the_committed_crd_is_what_the_types_generate() {
        let generated = crate::yaml::write(&SmsPipeline::crd()).expect("the CRD encodes");
        for path in ["/../crds/smspipelines.yaml", "/../charts/sms-operator/files/smspipelines.yaml"] {
            let path = format!("{}{path}", env!("CARGO_MANIFEST_DIR"));
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == generated, "{path} is stale: run cargo xtask crds");
        }
    }

    /// `kubectl apply` keeps all of it in an annotation, whose size is limited.
    #[test]
    fn the_crd_is_small_enough_for_client_side_apply() {
        let annotation = serde_json::to_string(&SmsPipeline::crd()).expect("the CRD encodes");
        assert!(annotation.len() < 262_144, "{} bytes", annotation.len());
    }
}
