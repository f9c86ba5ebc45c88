//! Step 2 of reconcile: what the user asked for, proven usable. Pure.
//!
//! The API server has checked the rules of one object (`crd.rs`); here comes what needs more than the
//! object: the Secrets it names. Everything after takes the [`ValidatedPipeline`], never the raw spec.

mod kafka;
mod pod_options;
mod provider;
mod secrets;

use std::time::Duration;

use ::kafka::NewTopic;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use crate::{
    controller::{
        build::{API_COMPONENT, PROCESSOR_COMPONENT},
        dereference::{Referenced, Sensitive},
        names::Names,
        tokens::InternalTokens,
        topics::durability,
    },
    crd::{
        ApiAutoscaling, ApiKeysSecretRef, ApiWorkload, DatabaseSecretRef, HttpRoute, Ingress, NumberValidation,
        OnUnknownOutcome, Ordering, PartitionGrowth, Processor, Provider, RateLimit, RetryFailed, SmsPipeline, Topics,
    },
};

pub use kafka::{ValidatedKafka, settings as kafka_settings};
pub use pod_options::PodOptions;
pub use secrets::Invalid;

/// What the user asked for, proven usable.
#[derive(Clone, Debug)]
pub struct ValidatedPipeline {
    /// Name of the pipeline.
    pub name: String,
    /// Namespace of the pipeline and of everything made from it.
    pub namespace: String,
    /// Marks everything made from the pipeline as its own.
    pub owner: OwnerReference,
    /// Names of everything made from the pipeline.
    pub names: Names,
    /// The database's URL.
    pub database: Sensitive,
    /// Where the database's URL is.
    pub database_url: DatabaseSecretRef,
    /// The tokens of internal calls.
    pub internal_tokens: InternalTokens,
    /// What it wants of Kafka.
    pub kafka: ValidatedKafka,
    /// The HTTP API.
    pub api: Workload,
    /// Who may use the API.
    pub authentication: Authentication,
    /// How many requests an API key may make.
    pub rate_limit: Option<RateLimit>,
    /// An Ingress that leads to the API.
    pub ingress: Option<Ingress>,
    /// An HTTPRoute that leads to the API.
    pub http_route: Option<HttpRoute>,
    /// Which numbers the API accepts.
    pub number_validation: NumberValidation,
    /// The fleet of processors.
    pub processor: Workload,
    /// How many messages one processor has with the provider at once.
    pub max_in_flight: i32,
    /// Whether messages wait for earlier ones.
    pub ordering: Ordering,
    /// How often a message is tried again.
    pub max_retries: i32,
    /// How long after a failure the next attempt starts.
    pub retry_delay: String,
    /// What follows when nobody knows whether the provider has a message.
    pub on_unknown_outcome: OnUnknownOutcome,
    /// Where messages go.
    pub provider: Provider,
    /// The provider's secrets, in the order of their names.
    pub provider_secrets: Vec<Sensitive>,
    /// How long a processor may take to finish what it has begun.
    pub drain_timeout: Duration,
    /// How long messages can be read, in days with the unit `d`.
    pub message_retention: String,
    /// For how long an Idempotency-Key is remembered.
    pub idempotency_retention: String,
    /// What follows when a message failed for a reason that may pass.
    pub retry_failed: RetryFailed,
    /// OTLP endpoint for traces.
    pub otlp_endpoint: Option<String>,
    /// Share of requests that are traced, in percent.
    pub sample_percent: i32,
}

/// Who may use the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Whoever has a key from this Secret, which holds these.
    ApiKeys(ApiKeysSecretRef, Sensitive),
    /// Everybody.
    Anonymous,
}

/// One Deployment to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// How many replicas run.
    pub replicas: Replicas,
    /// Container image.
    pub image: String,
    /// What its pods are told.
    pub pods: PodOptions,
}

/// How many replicas of a workload run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// So many.
    Fixed(i32),
    /// As many as a HorizontalPodAutoscaler finds right.
    ByCpu(ApiAutoscaling),
    /// As many as our own autoscaler asks for at the moment.
    ByLag(i32),
}

impl Replicas {
    /// How many run until somebody else says how many.
    pub fn at_first(self) -> i32 {
        match self {
            Self::Fixed(replicas) | Self::ByLag(replicas) => replicas,
            Self::ByCpu(autoscaling) => autoscaling.min_replicas,
        }
    }
}

/// The topics of one pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTopics {
    /// Messages of normal priority.
    pub requests: NewTopic,
    /// Messages that go first.
    pub high_priority: NewTopic,
    /// Messages that get what the others leave.
    pub low_priority: NewTopic,
    /// Records that could not be processed.
    pub dead_letter: NewTopic,
    /// Whether partitions may be added.
    pub growth: PartitionGrowth,
}

/// Images that run where a pipeline names none: those of the operator's own release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultImages {
    /// Image of the API.
    pub api: String,
    /// Image of the processors.
    pub processor: String,
}

/// Time that a processor gets beyond its provider's slowest answer to report and commit.
const REPORT_MARGIN: Duration = Duration::from_secs(10);
/// The least time that a processor gets to finish what it has begun.
const MINIMUM_DRAIN: Duration = Duration::from_secs(25);

/// Proves the pipeline usable with what was read for it.
pub fn validate(
    pipeline: &SmsPipeline,
    referenced: &Referenced,
    images: &DefaultImages,
) -> Result<ValidatedPipeline, Invalid> {
    let (spec, name) = (&pipeline.spec, pipeline.name_any());
    let namespace = pipeline.namespace().unwrap_or_default();
    let database = secrets::database_url(&spec.database.url_secret_ref, &referenced.database_url)?;
    let authentication = secrets::authentication(&spec.api.authentication, referenced.api_keys.as_ref())?;
    let provider = &spec.processor.provider;
    // Before what only a cluster knows, so that the same is told with one and without.
    provider::templates(provider)?;
    let provider_secrets = secrets::of_provider(provider, &referenced.provider_secrets)?;
    Ok(ValidatedPipeline {
        names: Names::of(&name),
        owner: pipeline.controller_owner_ref(&()).unwrap_or_default(),
        database,
        database_url: spec.database.url_secret_ref.clone(),
        internal_tokens: referenced.internal_tokens.clone(),
        kafka: ValidatedKafka::new(pipeline, kafka::settings(&spec.kafka, &referenced.kafka_secrets)?),
        api: Workload {
            replicas: api_replicas(&spec.api),
            image: spec.api.image.clone().unwrap_or_else(|| images.api.clone()),
            pods: pod_options::pod_options(&spec.api.pods, API_COMPONENT)?,
        },
        authentication,
        rate_limit: spec.api.rate_limit,
        ingress: spec.api.ingress.clone(),
        http_route: spec.api.http_route.clone(),
        number_validation: spec.messages.number_validation,
        processor: Workload {
            replicas: processor_replicas(&spec.processor, referenced.processors),
            image: spec.processor.image.clone().unwrap_or_else(|| images.processor.clone()),
            pods: pod_options::pod_options(&spec.processor.pods, PROCESSOR_COMPONENT)?,
        },
        max_in_flight: spec.processor.max_in_flight,
        ordering: spec.processor.ordering,
        max_retries: spec.processor.retry.max_retries,
        retry_delay: spec.processor.retry.delay.clone(),
        on_unknown_outcome: spec.processor.on_unknown_outcome,
        drain_timeout: (slowest_answer(provider) + REPORT_MARGIN).max(MINIMUM_DRAIN),
        provider: provider.clone(),
        provider_secrets,
        message_retention: spec.messages.retention.clone(),
        idempotency_retention: spec.messages.idempotency_retention.clone(),
        retry_failed: spec.retry_failed.clone(),
        otlp_endpoint: spec.telemetry.otlp_endpoint.clone(),
        sample_percent: spec.telemetry.sample_percent,
        name,
        namespace,
    })
}

fn api_replicas(spec: &ApiWorkload) -> Replicas {
    match (spec.autoscaling, spec.replicas) {
        (Some(autoscaling), _) => Replicas::ByCpu(autoscaling),
        (None, replicas) => Replicas::Fixed(replicas.unwrap_or(1)),
    }
}

fn processor_replicas(spec: &Processor, asked_for: Option<i32>) -> Replicas {
    match &spec.autoscaling {
        Some(autoscaling) => Replicas::ByLag(asked_for.unwrap_or(autoscaling.min_replicas)),
        // The schema keeps out that neither is said.
        None => Replicas::Fixed(spec.replicas.unwrap_or(1)),
    }
}

/// How long an attempt takes at most.
fn slowest_answer(provider: &Provider) -> Duration {
    let timeout = parse_duration(&provider.timeout);
    match &provider.simulated {
        Some(simulated) => parse_duration(&simulated.max_delay).min(timeout),
        None => timeout,
    }
}

impl WantedTopics {
    /// All topics.
    pub fn all(&self) -> [&NewTopic; 4] {
        [&self.requests, &self.high_priority, &self.low_priority, &self.dead_letter]
    }
}

impl From<&Topics> for WantedTopics {
    fn from(spec: &Topics) -> Self {
        let retention = parse_duration(&spec.retention).as_millis().to_string();
        let mut config = durability(spec.replication_factor);
        config.insert("retention.ms", retention);
        let topic = |suffix: &str, partitions| NewTopic {
            name: format!("{}{suffix}", spec.prefix),
            partitions,
            replication_factor: spec.replication_factor,
            config: config.clone(),
        };
        Self {
            requests: topic(".requests", spec.partitions),
            high_priority: topic(".high-priority", spec.partitions),
            low_priority: topic(".low-priority", spec.partitions),
            dead_letter: topic("-requests-dlq", 1),
            growth: spec.partition_growth,
        }
    }
}

/// The consumer group of the processors. It goes with the topics, not with the pipeline: whoever takes the
/// topics over goes on where their last owner committed.
pub fn consumer_group(topics: &Topics) -> String {
    format!("{}.processor", topics.prefix)
}

/// A duration of the resource: a whole number and a unit `ms`, `s`, `m`, `h` or `d`, as the schema's rules
/// demand; anything else, which they keep out, counts as none.
pub fn parse_duration(text: &str) -> Duration {
    let unit = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().unwrap_or_default();
    match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(60 * number),
        "h" => Duration::from_secs(60 * 60 * number),
        "d" => Duration::from_secs(24 * 60 * 60 * number),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixtures::{pipeline, validated};

    #[test]
    fn topics_are_named_as_the_decision_record_names_them() {
        let validated = validated(&pipeline());
        let names: Vec<_> = validated.kafka.topics.all().map(|topic| topic.name.clone()).into();
        assert_eq!(names, ["sms.requests", "sms.high-priority", "sms.low-priority", "sms-requests-dlq"]);
    }

    #[test]
    fn a_write_needs_two_brokers_only_where_three_keep_it() {
        for (replication_factor, expected) in [(1, None), (2, None), (3, Some("2"))] {
            let wanted = WantedTopics::from(&Topics { replication_factor, ..Topics::default() });
            let found = wanted.requests.config.get("min.insync.replicas").map(String::as_str);
            assert_eq!(found, expected, "replication factor {replication_factor}");
        }
    }

    #[test]
    fn one_api_runs_where_the_pipeline_says_nothing_of_how_many() {
        let mut pipeline = pipeline();
        pipeline.spec.api.replicas = None;
        let validated = validated(&pipeline);
        assert_eq!(validated.api.replicas, Replicas::Fixed(1));
    }

    #[test]
    fn a_processor_gets_longer_to_drain_than_an_attempt_may_take() {
        let mut pipeline = pipeline();
        for (max_delay, timeout, seconds) in [("3s", "30s", 25), ("2m", "30s", 40), ("2m", "5m", 130)] {
            let provider = &mut pipeline.spec.processor.provider;
            provider.simulated.as_mut().expect("the fixture's provider").max_delay = max_delay.to_owned();
            provider.timeout = timeout.to_owned();
            assert_eq!(validated(&pipeline).drain_timeout, Duration::from_secs(seconds), "{max_delay} of {timeout}");
        }
    }

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, milliseconds) in
            [("250ms", 250), ("1s", 1_000), ("2m", 120_000), ("3h", 10_800_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Duration::from_millis(milliseconds), "{text}");
        }
    }
}
