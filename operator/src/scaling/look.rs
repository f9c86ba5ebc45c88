//! One look at a pipeline and the decision that follows from it.

use std::{sync::Arc, time::Duration};

use autoscaler::{Group, Lane, PartitionOffsets, Pods, Processor, Settings, Signal, Signals};
use contract::Load;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::ResourceExt;
use telemetry::error_chain;

use super::{Fleet, Found, Hold, Replica, ReplicaState, Report, Scaling, settings};
use crate::crd::SmsPipeline;

/// How long a processor may take to tell its load.
const LOAD_TIMEOUT: Duration = Duration::from_secs(2);
/// How many processors are asked at once.
const ASKED_AT_ONCE: usize = 32;

/// Looks at pipelines and decides.
pub struct Scaler<F> {
    scaling: Arc<Scaling>,
    fleet: F,
    client: reqwest::Client,
    interval: Duration,
}

/// Whether a look found something to carry out or to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Reconcile has something to do.
    Changed,
    /// Everything is as it was.
    Unchanged,
}

impl<F: Fleet> Scaler<F> {
    /// Remembers in `scaling` what it decides each `interval` about the replicas of `fleet`.
    pub fn new(scaling: Arc<Scaling>, fleet: F, interval: Duration) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder().timeout(LOAD_TIMEOUT).no_proxy().build()?;
        Ok(Self { scaling, fleet, client, interval })
    }

    /// Decides about one pipeline, whose topics are as far as `offsets` tells.
    pub async fn look(&self, pipeline: &SmsPipeline, offsets: Result<Vec<kafka::PartitionOffsets>, String>) -> Look {
        let (namespace, name) = (pipeline.namespace().unwrap_or_default(), pipeline.name_any());
        let Some(settings) = settings(pipeline, self.interval) else {
            self.scaling.forget(&namespace, &name);
            return Look::Unchanged;
        };
        let read_at = Timestamp::now();
        let Some(count) = self.scaling.count(pipeline) else { return Look::Unchanged };
        let replicas = self.fleet.replicas(&namespace, &name).await;
        let lanes = lanes(read_at, offsets);
        let Some((now, processors, group)) = self.group(pipeline, &settings, replicas.as_ref(), &lanes).await else {
            return Look::Unchanged;
        };
        let hold = Hold::of(pipeline);
        let signals = Signals {
            at: now,
            replicas: count,
            hold_until: hold.as_ref().map(Hold::until),
            pods: pods(replicas),
            group,
            lanes,
            processors,
        };
        let Some(decided) = self.scaling.decide(pipeline, settings, signals, hold) else { return Look::Unchanged };
        let decision = &decided.last.decision;
        if let Some(to) = decision.to_apply() {
            let (from, reason) = (decision.current, decision.reason);
            tracing::info!(pipeline = name, namespace, from, to, ?reason, "changing the number of processors");
            if to < from {
                // Before anybody can take some away.
                self.fleet.weigh(&namespace, &in_work(&decided.signals.processors)).await;
            }
        }
        let before = self.scaling.last(pipeline).map(|last| Report::of(&last));
        let is_same = before == Some(Report::of(&decided.last));
        self.scaling.commit(pipeline, decided);
        if is_same { Look::Unchanged } else { Look::Changed }
    }

    /// What the processors tell, and the group that they are; when it is not known which there are, what was known of them
    /// stays.
    async fn group(
        &self,
        pipeline: &SmsPipeline,
        settings: &Settings,
        found: Result<&Found, &String>,
        lanes: &[Lane],
    ) -> Option<(Timestamp, Vec<Processor>, Signal<Group>)> {
        let replicas = match found {
            Ok(found) => &found.replicas,
            Err(why) => return Some((Timestamp::now(), Vec::new(), Signal::Unknown { why: why.clone() })),
        };
        let told = self.loads(replicas).await;
        let now = Timestamp::now();
        let processors = self.scaling.see(pipeline, now, told)?;
        let group = self.scaling.group(pipeline, now, settings.stale_after(), &processors, lanes)?;
        Some((now, processors, group))
    }

    /// What every replica that is ready tells of itself.
    async fn loads(&self, replicas: &[Replica]) -> Vec<(String, Result<Load, String>)> {
        let mut asked = Vec::new();
        for replica in replicas.iter().filter(|replica| replica.state == ReplicaState::Ready) {
            asked.push(self.ask(replica.clone()));
        }
        stream::iter(asked).buffer_unordered(ASKED_AT_ONCE).collect().await
    }

    async fn ask(&self, replica: Replica) -> (String, Result<Load, String>) {
        let told = match replica.address {
            Some(address) => {
                let load = self.load(&format!("http://{address}/load")).await;
                load.map_err(|error| error_chain(&error.without_url()))
            }
            None => Err("it has no address".to_owned()),
        };
        (replica.name, told)
    }

    async fn load(&self, url: &str) -> reqwest::Result<Load> {
        self.client.get(url).send().await?.error_for_status()?.json().await
    }
}

/// How far each topic is.
fn lanes(at: Timestamp, offsets: Result<Vec<kafka::PartitionOffsets>, String>) -> Vec<Lane> {
    let offsets = match offsets {
        Ok(offsets) => offsets,
        Err(why) => {
            return vec![Lane { topic: "of the pipeline".to_owned(), partitions: Signal::Unknown { why } }];
        }
    };
    let mut lanes = Vec::<(String, Vec<PartitionOffsets>)>::new();
    for found in offsets {
        let partition = PartitionOffsets {
            partition: found.partition,
            earliest: found.earliest,
            committed: found.committed,
            end: found.end,
            // Whoever reads the partition tells that.
            finished_beyond: 0,
            // A retry that waits is in work or in the database, never in a topic.
            delayed: 0,
        };
        match lanes.iter_mut().find(|(topic, _)| *topic == found.topic) {
            Some((_, partitions)) => partitions.push(partition),
            None => lanes.push((found.topic.clone(), vec![partition])),
        }
    }
    let lane = |(topic, value)| Lane { topic, partitions: Signal::Known { at, value } };
    lanes.into_iter().map(lane).collect()
}

fn pods(found: Result<Found, String>) -> Signal<Pods> {
    let Found { at, replicas } = match found {
        Ok(found) => found,
        Err(why) => return Signal::Unknown { why },
    };
    let count = |state| {
        let alike = replicas.iter().filter(|replica| replica.state == state).count();
        u32::try_from(alike).unwrap_or(u32::MAX)
    };
    let value = Pods {
        ready: count(ReplicaState::Ready),
        starting: count(ReplicaState::Starting),
        crash_looping: count(ReplicaState::CrashLooping),
        draining: count(ReplicaState::Draining),
    };
    Signal::Known { at, value }
}

fn in_work(processors: &[Processor]) -> Vec<(String, u32)> {
    let messages = |processor: &Processor| match &processor.load {
        Signal::Known { value, .. } => Some(value.lanes.iter().map(|lane| lane.in_flight).sum()),
        Signal::Unknown { .. } => None,
    };
    processors.iter().filter_map(|processor| Some((processor.pod.clone(), messages(processor)?))).collect()
}

#[cfg(test)]
mod tests;
