use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the pipeline stands. Rapid numbers such as lag are in metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmsPipelineStatus {
    /// The generation of the spec that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many processors exist.
    #[serde(default)]
    pub replicas: i32,
    /// Label selector of the processors, for the scale subresource.
    #[serde(default)]
    pub selector: String,
    /// Ready sums up SecretsResolved, TopicsReady, ApiAvailable and ProcessorAvailable. KafkaSettingsSafe warns.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The topics as Kafka told them last.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub topics: Vec<TopicStatus>,
}

/// One topic as Kafka told it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicStatus {
    /// Its name.
    pub name: String,
    /// The id that tells it from a later topic of the same name (KIP-516).
    pub topic_id: String,
    /// How many partitions it has.
    pub partitions: i32,
}
