//! Watches how far the processors of every pipeline are behind.

use std::{collections::BTreeSet, time::Duration};

use kube::ResourceExt;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    brokers::Brokers,
    controller::validate::{WantedTopics, consumer_group},
    crd::SmsPipeline,
    metrics::Metrics,
};

/// Looks once per `interval` at every pipeline that `pipelines` tells, until `shutdown`. `gone` is called with the namespace
/// and name of one that it tells no longer.
pub async fn watch(
    pipelines: impl Fn() -> Vec<SmsPipeline>,
    brokers: &Brokers,
    metrics: &Metrics,
    interval: Duration,
    gone: impl Fn(&str, &str),
    shutdown: CancellationToken,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = BTreeSet::new();
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        // First those, then what exists: a pipeline that is new in between is none that is gone.
        let connected = brokers.pipelines();
        let pipelines = pipelines();
        let present: BTreeSet<_> =
            pipelines.iter().map(|pipeline| (pipeline.namespace().unwrap_or_default(), pipeline.name_any())).collect();
        for (namespace, name) in known.difference(&present) {
            metrics.forget(namespace, name);
            gone(namespace, name);
        }
        for (namespace, name) in connected.difference(&present) {
            brokers.forget(namespace, name);
        }
        known = present;
        // All at once: a broker that hangs delays no other.
        let observed = pipelines.iter().map(|pipeline| observe(pipeline, brokers, metrics));
        if shutdown.run_until_cancelled(futures::future::join_all(observed)).await.is_none() {
            return;
        }
    }
}

async fn observe(pipeline: &SmsPipeline, brokers: &Brokers, metrics: &Metrics) {
    let (namespace, name) = (pipeline.namespace().unwrap_or_default(), pipeline.name_any());
    let kafka = &pipeline.spec.kafka;
    // What waits on the dead letter topic is no work for the processors.
    let dead_letter = WantedTopics::from(&kafka.topics).dead_letter.name;
    let mut topics = pipeline.status.as_ref().map(|status| status.topics.clone()).unwrap_or_default();
    topics.retain(|topic| topic.name != dead_letter);
    if topics.is_empty() {
        return metrics.consumer_lag(&namespace, &name, None);
    }
    match brokers.lag(&namespace, &name, consumer_group(&kafka.topics), &topics).await {
        Ok(records) => metrics.consumer_lag(&namespace, &name, records),
        Err(error) => {
            tracing::debug!(pipeline = name, namespace, %error, "lag is unknown");
            metrics.consumer_lag(&namespace, &name, None);
        }
    }
}
