use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HttpProvider, PodOptions, ProcessorAutoscaling, SecretKeyRef};

/// The fleet that carries messages to the provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.replicas) != has(self.autoscaling)").message("processor must hold either replicas or autoscaling: with autoscaling, minReplicas and maxReplicas bound how many run"))]
#[x_kube(validation = Rule::new("self.onUnknownOutcome != 'Query' || (has(self.provider.http) && has(self.provider.http.query))").message("onUnknownOutcome Query needs provider.http.query, which says how the provider is asked"))]
pub struct Processor {
    /// How many processors run, in place of `autoscaling`; more than partitions would stand idle.
    // Without a default, which `autoscaling` could not be told apart from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 1000").message("replicas must be from 0 to 1000"))]
    pub replicas: Option<i32>,
    /// Has as many processors run as it takes to drain a backlog in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ProcessorAutoscaling")]
    pub autoscaling: Option<ProcessorAutoscaling>,
    /// Container image; the operator's own release when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How many messages one processor has with the provider at once.
    #[serde(default = "default_max_in_flight")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000000").message("maxInFlight must be from 1 to 1000000"))]
    pub max_in_flight: i32,
    /// Whether messages wait for earlier ones: with `Recipient` those of one priority for one recipient are sent in the
    /// order in which they were accepted, with `None` as soon as there is room.
    #[serde(default)]
    pub ordering: Ordering,
    /// What follows a transient failure.
    #[serde(default)]
    pub retry: Retry,
    /// What follows when a message may have reached the provider and nobody knows, because no answer came or a processor
    /// crashed meanwhile: with `Resend` it is sent again, and may arrive twice; with `Hold` it is not, and its status
    /// becomes UNKNOWN; with `Query` the provider is asked (`provider.http.query`), and only if it does not have the message
    /// it is sent again.
    #[serde(default)]
    pub on_unknown_outcome: OnUnknownOutcome,
    /// Where messages go.
    pub provider: Provider,
    /// What its pods are told.
    #[serde(flatten)]
    pub pods: PodOptions,
}

/// Whether messages wait for earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Ordering {
    /// Those of one priority for one recipient are sent one after the other, as they were accepted.
    #[default]
    Recipient,
    /// None waits for another one.
    None,
}

/// What follows when a message may have reached the provider and nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnUnknownOutcome {
    /// It is sent again, and may arrive twice.
    #[default]
    Resend,
    /// It is not sent again, and its status becomes UNKNOWN.
    Hold,
    /// It is sent again only if the provider says that it does not have it.
    Query,
}

/// What follows a transient failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// How often a message is tried again before it counts as failed.
    #[serde(default = "default_max_retries")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 100").message("maxRetries must be from 0 to 100"))]
    pub max_retries: i32,
    /// How long after a failure the next attempt starts, such as `1s`.
    #[serde(default = "default_retry_delay")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,6}(ms|s|m|h)$')").message("delay must be a whole number with a unit ms, s, m or h, such as 1s"))]
    #[schemars(length(max = 10))]
    pub delay: String,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.simulated) != has(self.http)").message("provider must hold either simulated or http"))]
pub struct Provider {
    /// Takes time and fails now and then, but sends nothing: for trying out and for load tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<SimulatedProvider>,
    /// Is spoken to by one HTTP call for each message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProvider>,
    /// How long an attempt may take, such as `30s`; after that nobody knows whether the provider has the message.
    #[serde(default = "default_timeout")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,6}(ms|s|m|h)$') && !self.matches('^0+(ms|s|m|h)$')").message("timeout must be a whole number above 0 with a unit ms, s, m or h, such as 30s"))]
    #[schemars(length(max = 10))]
    pub timeout: String,
    /// How many calls one processor makes to the provider at once, where that is to be fewer than `maxInFlight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000000").message("maxConnections must be from 1 to 1000000"))]
    pub max_connections: Option<i32>,
    /// How many messages all processors together hand over in a second at most. Each takes the share of its partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000000").message("messagesPerSecond must be from 1 to 1000000"))]
    pub messages_per_second: Option<i32>,
}

/// Takes time and fails now and then, but sends nothing. Defaults: ADR-007, processing service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!self.minDelay.matches('^[0-9]{1,6}(ms|s|m|h)$') || !self.maxDelay.matches('^[0-9]{1,6}(ms|s|m|h)$') || duration(self.minDelay) <= duration(self.maxDelay)").message("minDelay must not be longer than maxDelay"),
    validation = Rule::new("self.failurePercent + self.transientPercent + self.throttlePercent <= 100").message("failurePercent, transientPercent and throttlePercent must not exceed 100 together")
)]
#[serde(rename_all = "camelCase")]
pub struct SimulatedProvider {
    /// Shortest time that a message takes, such as `1s`.
    #[serde(default = "default_min_delay")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,6}(ms|s|m|h)$')").message("minDelay must be a whole number with a unit ms, s, m or h, such as 1s"))]
    #[schemars(length(max = 10))]
    pub min_delay: String,
    /// Longest time that a message takes, such as `3s`.
    #[serde(default = "default_max_delay")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,6}(ms|s|m|h)$')").message("maxDelay must be a whole number with a unit ms, s, m or h, such as 3s"))]
    #[schemars(length(max = 10))]
    pub max_delay: String,
    /// Share of attempts that fail for good, in percent.
    #[serde(default = "default_failure_percent")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 100").message("failurePercent must be from 0 to 100"))]
    pub failure_percent: i32,
    /// Share of attempts that fail for the moment, in percent.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 100").message("transientPercent must be from 0 to 100"))]
    pub transient_percent: i32,
    /// Share of attempts that are answered with a wish to slow down, in percent.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 100").message("throttlePercent must be from 0 to 100"))]
    pub throttle_percent: i32,
}

impl Provider {
    /// The keys of Secrets that it names, by the names that its templates use.
    pub fn secrets(&self) -> impl Iterator<Item = (&String, &SecretKeyRef)> {
        self.http.iter().flat_map(|http| &http.secrets)
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_retries: default_max_retries(), delay: default_retry_delay() }
    }
}

fn default_max_in_flight() -> i32 {
    4000
}

/// Source: ADR-007, retry mechanisms.
fn default_max_retries() -> i32 {
    3
}

fn default_retry_delay() -> String {
    "1s".to_owned()
}

fn default_timeout() -> String {
    "30s".to_owned()
}

fn default_min_delay() -> String {
    "1s".to_owned()
}

fn default_max_delay() -> String {
    "3s".to_owned()
}

fn default_failure_percent() -> i32 {
    10
}
