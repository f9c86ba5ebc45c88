use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the pipeline stands. Rapid numbers such as lag are in metrics.
// What is absent is written as null: a merge patch leaves what it does not name as it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmsPipelineStatus {
    /// The generation of the spec that the rest of the status speaks of.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// How many processors exist.
    #[serde(default)]
    pub replicas: i32,
    /// How many processors should exist.
    #[serde(default)]
    pub desired_replicas: i32,
    /// Label selector of the processors, for the scale subresource.
    #[serde(default)]
    pub selector: String,
    /// Ready sums up SecretsResolved, TopicsReady, ApiAvailable and ProcessorAvailable. KafkaSettingsSafe warns,
    /// and Paused tells that nothing is changed. docs/reasons.md lists the reasons.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The topics as Kafka told them last.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub topics: Vec<TopicStatus>,
    /// How the number of processors was decided, with `processor.autoscaling`.
    #[serde(default)]
    pub autoscaling: Option<AutoscalingStatus>,
}

/// How the number of processors was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalingStatus {
    /// The last decision that differed from the one before; all of them are told by `sms-operator explain`.
    pub last_decision: LastDecision,
}

/// One decision on the number of processors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastDecision {
    /// How many processors there should be.
    pub desired_replicas: i32,
    /// Why, as docs/autoscaling.md lists it.
    pub reason: String,
    /// Whether it was carried out.
    #[serde(default)]
    pub acting: DecisionActing,
    /// What held the number where it is.
    #[serde(default)]
    pub bound: Option<String>,
    /// The sum in words and numbers.
    pub message: String,
    /// How many messages waited; absent when that was not known.
    #[serde(default)]
    pub backlog: Option<i64>,
    /// How many messages came, per second; absent when that was not known, like the other three.
    #[serde(default)]
    pub input_per_second: Option<i64>,
    /// What one processor could do at most, in messages per second.
    #[serde(default)]
    pub capacity_per_second: Option<i64>,
    /// What all processors together had to do, in messages per second.
    #[serde(default)]
    pub need_per_second: Option<i64>,
    /// What the provider took at most, in messages per second; absent also where no limit was known.
    #[serde(default)]
    pub provider_limit_per_second: Option<i64>,
    /// When.
    pub at: Time,
}

/// Whether a decision was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DecisionActing {
    /// It was.
    #[default]
    Acts,
    /// It was only told, because of `mode: DryRun`.
    DryRun,
    /// It was only told, because the pipeline is paused or an annotation holds the number.
    Held,
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
