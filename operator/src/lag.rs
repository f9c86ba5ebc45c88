//! Watches how far the processors of every pipeline are behind, and asks the autoscaler how many there should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use kafka::PartitionOffsets;
use kube::ResourceExt;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::{sync::CancellationToken, time::DelayQueue};

use crate::{
    brokers::Brokers,
    controller::validate::{WantedTopics, consumer_group},
    crd::{SmsPipeline, TopicStatus},
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

/// Namespace and name.
type Key = (String, String);

/// Looks once per `interval` at every pipeline that `pipelines` tells, until `shutdown`. Each has its own time, so that
/// brokers that hang delay no pipeline but those that use them.
pub async fn watch(
    pipelines: impl Fn() -> Vec<Arc<SmsPipeline>>,
    brokers: &Brokers,
    metrics: &Metrics,
    scaler: &Scaler<impl Fleet>,
    interval: Duration,
    news: impl Fn(News<'_>),
    shutdown: CancellationToken,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let gone = |(namespace, name): &Key| {
        metrics.forget(namespace, name);
        news(News::Gone { namespace, name });
    };
    let mut present = BTreeMap::<Key, Arc<SmsPipeline>>::new();
    // Those that wait for their time or are looked at.
    let mut known = BTreeSet::new();
    let (mut due, mut looks) = (DelayQueue::new(), FuturesUnordered::new());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {
                // First those, then what exists: a pipeline that is new in between is none that is gone.
                let connected = brokers.pipelines();
                let found: BTreeMap<_, _> = pipelines().into_iter().map(|pipeline| (key(&pipeline), pipeline)).collect();
                present.keys().filter(|key| !found.contains_key(*key)).for_each(&gone);
                for (namespace, name) in connected.iter().filter(|key| !found.contains_key(*key)) {
                    brokers.forget(namespace, name);
                }
                let new: Vec<Key> = found.keys().filter(|key| !known.contains(*key)).cloned().collect();
                for (start, key) in starts(new.len(), interval).zip(new) {
                    known.insert(key.clone());
                    due.insert(key, start);
                }
                present = found;
            }
            Some(expired) = due.next(), if !due.is_empty() => {
                match present.get(expired.get_ref()) {
                    Some(pipeline) => {
                        let next = expired.deadline() + interval;
                        looks.push(observe(Arc::clone(pipeline), next, brokers, metrics, scaler));
                    }
                    None => {
                        known.remove(expired.get_ref());
                    }
                }
            }
            Some((pipeline, next, look)) = looks.next(), if !looks.is_empty() => {
                let key = key(&pipeline);
                if present.contains_key(&key) {
                    if look == Look::Changed {
                        news(News::Decided(&pipeline));
                    }
                    due.insert_at(key, next.max(Instant::now()));
                } else {
                    // What this look has noted is of one that is gone.
                    gone(&key);
                    known.remove(&key);
                }
            }
        }
    }
}

fn key(pipeline: &SmsPipeline) -> Key {
    (pipeline.namespace().unwrap_or_default(), pipeline.name_any())
}

/// How long after their first tick each of so many new pipelines is looked at: not all at once.
fn starts(count: usize, interval: Duration) -> impl Iterator<Item = Duration> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    (0..count).map(move |number| interval / count * number)
}

async fn observe(
    pipeline: Arc<SmsPipeline>,
    next: Instant,
    brokers: &Brokers,
    metrics: &Metrics,
    scaler: &Scaler<impl Fleet>,
) -> (Arc<SmsPipeline>, Instant, Look) {
    let offsets = offsets(&pipeline, brokers, metrics).await;
    let look = scaler.look(&pipeline, offsets).await;
    (pipeline, next, look)
}

/// How far the processors are; an error says why that is not known.
async fn offsets(
    pipeline: &SmsPipeline,
    brokers: &Brokers,
    metrics: &Metrics,
) -> Result<Vec<PartitionOffsets>, String> {
    let (namespace, name) = (pipeline.namespace().unwrap_or_default(), pipeline.name_any());
    let kafka = &pipeline.spec.kafka;
    let offsets = match read_topics(pipeline) {
        Ok(topics) => match brokers.offsets(&namespace, &name, consumer_group(&kafka.topics), &topics).await {
            Ok(Some(offsets)) => Ok(offsets),
            Ok(None) => Err("the brokers are not yet known".to_owned()),
            Err(error) => Err(error.to_string()),
        },
        Err(why) => Err(why),
    };
    let records = offsets.as_ref().ok().map(|offsets| offsets.iter().map(PartitionOffsets::lag).sum());
    metrics.consumer_lag(&namespace, &name, records);
    if let Err(why) = &offsets {
        tracing::debug!(pipeline = name, namespace, why, "lag is unknown");
    }
    offsets
}

/// The topics that processors read, as the status remembers them; an error names one that it does not know yet. What waits
/// on the dead letter topic is no work for them.
fn read_topics(pipeline: &SmsPipeline) -> Result<Vec<TopicStatus>, String> {
    let WantedTopics { requests, high_priority, low_priority, .. } = WantedTopics::from(&pipeline.spec.kafka.topics);
    let known = pipeline.status.as_ref().map(|status| status.topics.as_slice()).unwrap_or_default();
    let find = |name: String| {
        let found = known.iter().find(|topic| topic.name == name).cloned();
        found.ok_or_else(|| format!("topic {name:?} is not yet there"))
    };
    [requests, high_priority, low_priority].map(|topic| find(topic.name)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controller::fixtures::pipeline, crd::SmsPipelineStatus};

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

    #[test]
    fn as_long_as_a_topic_is_missing_nothing_is_known_of_how_far_processors_are() {
        let mut pipeline = pipeline();
        let wanted = WantedTopics::from(&pipeline.spec.kafka.topics);
        let names =
            [wanted.requests.name, wanted.high_priority.name, wanted.low_priority.name, wanted.dead_letter.name];
        let topic = |name: &String| TopicStatus { name: name.clone(), topic_id: "AAAA".to_owned(), partitions: 3 };
        for missing in 0..3 {
            let mut topics: Vec<_> = names.iter().map(topic).collect();
            topics.remove(missing);
            pipeline.status = Some(SmsPipelineStatus { topics, ..SmsPipelineStatus::default() });
            let why = read_topics(&pipeline).expect_err("one is missing");
            assert!(why.contains(&names[missing]), "{why}");
        }
        let topics = names.iter().map(topic).collect();
        pipeline.status = Some(SmsPipelineStatus { topics, ..SmsPipelineStatus::default() });
        let read = read_topics(&pipeline).expect("all are there");
        assert!(read.iter().map(|topic| &topic.name).eq(&names[..3]));
    }
}
