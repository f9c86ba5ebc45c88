//! Watches how far the processors of every pipeline are behind, and asks the autoscaler how many there should be.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use kafka::PartitionOffsets;
use kube::ResourceExt;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    brokers::Brokers,
    controller::validate::{WantedTopics, consumer_group},
    crd::SmsPipeline,
    metrics::Metrics,
    scaling::{Fleet, Look, Scaler},
};

/// What a look found.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A pipeline is told no longer.
    Gone {
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// The autoscaler has something new to say about a pipeline.
    Decided(&'a SmsPipeline),
}

/// Looks once per `interval` at every pipeline that `pipelines` tells, until `shutdown`.
pub async fn watch(
    pipelines: impl Fn() -> Vec<SmsPipeline>,
    brokers: &Brokers,
    metrics: &Metrics,
    scaler: &Scaler<impl Fleet>,
    interval: Duration,
    news: impl Fn(News<'_>),
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
            news(News::Gone { namespace, name });
        }
        for (namespace, name) in connected.difference(&present) {
            brokers.forget(namespace, name);
        }
        known = present;
        // Spread over the interval, each told as soon as it is known; a broker that hangs delays no other.
        let mut looks = FuturesUnordered::new();
        for (pipeline, start) in pipelines.iter().zip(starts(pipelines.len(), interval)) {
            looks.push(observe(pipeline, start, brokers, metrics, scaler));
        }
        let told = async {
            while let Some((pipeline, look)) = looks.next().await {
                if look == Look::Changed {
                    news(News::Decided(pipeline));
                }
            }
        };
        if shutdown.run_until_cancelled(told).await.is_none() {
            return;
        }
    }
}

/// How long after the beginning of an interval each of so many pipelines is looked at.
fn starts(count: usize, interval: Duration) -> impl Iterator<Item = Duration> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    (0..count).map(move |number| interval / count * number)
}

async fn observe<'a>(
    pipeline: &'a SmsPipeline,
    start: Duration,
    brokers: &Brokers,
    metrics: &Metrics,
    scaler: &Scaler<impl Fleet>,
) -> (&'a SmsPipeline, Look) {
    tokio::time::sleep(start).await;
    let offsets = offsets(pipeline, brokers, metrics).await;
    (pipeline, scaler.look(pipeline, offsets).await)
}

/// How far the processors are; an error says why that is not known.
async fn offsets(
    pipeline: &SmsPipeline,
    brokers: &Brokers,
    metrics: &Metrics,
) -> Result<Vec<PartitionOffsets>, String> {
    let (namespace, name) = (pipeline.namespace().unwrap_or_default(), pipeline.name_any());
    let kafka = &pipeline.spec.kafka;
    // What waits on the dead letter topic is no work for the processors.
    let dead_letter = WantedTopics::from(&kafka.topics).dead_letter.name;
    let mut topics = pipeline.status.as_ref().map(|status| status.topics.clone()).unwrap_or_default();
    topics.retain(|topic| topic.name != dead_letter);
    let offsets = if topics.is_empty() {
        Err("the topics are not yet there".to_owned())
    } else {
        match brokers.offsets(&namespace, &name, consumer_group(&kafka.topics), &topics).await {
            Ok(Some(offsets)) => Ok(offsets),
            Ok(None) => Err("the brokers are not yet known".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    };
    let records = offsets.as_ref().ok().map(|offsets| offsets.iter().map(PartitionOffsets::lag).sum());
    metrics.consumer_lag(&namespace, &name, records);
    if let Err(why) = &offsets {
        tracing::debug!(pipeline = name, namespace, why, "lag is unknown");
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: usize, expected: &[u64]) {
        let expected: Vec<_> = expected.iter().copied().map(Duration::from_millis).collect();
        assert_eq!(starts(count, Duration::from_secs(10)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn looks_are_spread_over_the_interval_and_a_single_pipeline_does_not_wait() {
        check(0, &[]);
        check(1, &[0]);
        check(4, &[0, 2500, 5000, 7500]);
    }
}
