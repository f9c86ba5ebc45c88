use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many processors run at least and at most, and within which time a backlog is to be gone. docs/autoscaling.md tells
/// how the count between them is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas").message("minReplicas must not be more than maxReplicas"),
    validation = Rule::new("!has(self.fallbackReplicas) || (self.minReplicas <= self.fallbackReplicas && self.fallbackReplicas <= self.maxReplicas)").message("fallbackReplicas must be from minReplicas to maxReplicas")
)]
#[serde(rename_all = "camelCase")]
pub struct ProcessorAutoscaling {
    /// The fewest processors; with 0, none run while there is nothing to do.
    #[serde(default = "default_min_replicas")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 1000").message("minReplicas must be from 0 to 1000"))]
    pub min_replicas: i32,
    /// The most processors.
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("maxReplicas must be from 1 to 1000"))]
    pub max_replicas: i32,
    /// Within which time a backlog is to be gone once the processors that it needs are ready, such as `60s`.
    #[serde(default = "default_drain_within")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,6}(s|m|h)$') && !self.matches('^0+(s|m|h)$')").message("drainWithin must be a whole number above 0 with a unit s, m or h, such as 60s"))]
    #[schemars(length(max = 10))]
    pub drain_within: String,
    /// For how long fewer processors must have been enough before some are taken away, such as `3m`.
    #[serde(default = "default_scale_down_after")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,6}(s|m|h)$')").message("scaleDownAfter must be a whole number with a unit s, m or h, such as 3m"))]
    #[schemars(length(max = 10))]
    pub scale_down_after: String,
    /// How much of their capacity processors are planned to use for what comes, in percent. With 100, one is added when messages
    /// would wait for more than a fifth of `drainWithin`; with less, before they wait.
    #[serde(default = "default_utilization_percent")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 100").message("utilizationPercent must be from 1 to 100"))]
    pub utilization_percent: i32,
    /// How many messages one processor works off in a second at most, until that is measured; when absent, as many as
    /// `maxInFlight` allows with answers after one second, or after the mean delay of a simulated provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000000").message("initialMessagesPerSecond must be from 1 to 1000000"))]
    pub initial_messages_per_second: Option<i32>,
    /// How many processors run at least once it was not known for 5 minutes how much there is to do; never fewer than
    /// there are. When absent, as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 1000").message("fallbackReplicas must be from 0 to 1000"))]
    pub fallback_replicas: Option<i32>,
    /// Whether decisions are carried out: `Auto`, or only told: `DryRun`.
    #[serde(default)]
    pub mode: AutoscalingMode,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AutoscalingMode {
    /// They are.
    #[default]
    Auto,
    /// They are only told, in the status, events and metrics.
    DryRun,
}

fn default_min_replicas() -> i32 {
    1
}

fn default_drain_within() -> String {
    "60s".to_owned()
}

fn default_scale_down_after() -> String {
    "3m".to_owned()
}

/// docs/autoscaling.md shows what less costs.
fn default_utilization_percent() -> i32 {
    100
}
