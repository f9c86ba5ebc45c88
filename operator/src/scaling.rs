//! Decides how many processors of each pipeline run, where the pipeline leaves that to the operator.
//!
//! The rule is that of the crate `autoscaler`, which knows no clock and no I/O. Here is what feeds it and what it remembers:
//! [`look`] reads how far the topics are, which replicas there are and what they tell of themselves, and [`Scaling`] keeps
//! the decisions. Nothing here writes a count: reconcile asks for it and is its only writer.

mod fleet;
mod group;
mod loads;
mod look;
mod metrics;
mod report;
mod routes;
mod settings;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use autoscaler::{Decision, Decisions, Group, Lane, Memory, Processor, Recorded, Settings, Signal, Signals, decide};
use contract::Load;
use jiff::Timestamp;
use kube::ResourceExt;

use crate::{controller::status, crd::SmsPipeline};

pub use fleet::{CRASH_LOOP, Fleet, KubernetesFleet, Replica, ReplicaState};
pub use look::{Look, Scaler};
pub use metrics::Metrics;
pub use report::{Report, Told};
pub use routes::{decisions, decisions_path};
pub use settings::{HOLD_UNTIL, hold_until, settings};

use group::Assignments;
use loads::Loads;

/// What is remembered of every pipeline whose processors are scaled, by namespace and name.
#[derive(Debug, Default)]
pub struct Scaling {
    pipelines: Mutex<BTreeMap<(String, String), Scaled>>,
    metrics: Metrics,
}

/// What is remembered of one pipeline.
#[derive(Debug)]
struct Scaled {
    /// How many processors are asked for.
    count: u32,
    memory: Memory,
    decisions: Decisions,
    loads: Loads,
    assignments: Assignments,
}

impl Scaling {
    /// Nothing is remembered yet; what is decided is also told by `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Self { pipelines: Mutex::default(), metrics }
    }

    /// How many processors are asked for; `None` for a pipeline that is not yet known.
    pub fn count(&self, namespace: &str, pipeline: &str) -> Option<u32> {
        self.with(namespace, pipeline, |scaled| scaled.count)
    }

    /// How many processors of `pipeline` are asked for; `None` where it says that itself. One that is new is taken up with
    /// as many as there are, or with the fewest where there are none yet.
    pub fn asked_for(&self, pipeline: &SmsPipeline, live: Option<i32>) -> Option<i32> {
        let fewest = pipeline.spec.processor.autoscaling.as_ref()?.min_replicas;
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (pipeline.namespace().unwrap_or_default(), pipeline.name_any());
        let scaled = pipelines.entry(key).or_insert_with(|| Scaled {
            count: u32::try_from(live.unwrap_or(fewest)).unwrap_or_default(),
            memory: Memory::default(),
            decisions: Decisions::default(),
            loads: Loads::default(),
            assignments: Assignments::default(),
        });
        i32::try_from(scaled.count).ok()
    }

    /// Who says how many processors of a pipeline run, and the last decision about them.
    pub fn finding(&self, pipeline: &SmsPipeline) -> status::Scaling {
        if pipeline.spec.processor.autoscaling.is_none() {
            return status::Scaling::ByUser;
        }
        let last = self.last(&pipeline.namespace().unwrap_or_default(), &pipeline.name_any());
        status::Scaling::ByLag(last.map(Box::new))
    }

    /// The last decision.
    pub fn last(&self, namespace: &str, pipeline: &str) -> Option<Decision> {
        self.with(namespace, pipeline, |scaled| scaled.decisions.last().cloned()).flatten()
    }

    /// The last decisions with what they were made from, the oldest first; at most so many.
    pub fn recorded(&self, namespace: &str, pipeline: &str, most: usize) -> Option<Vec<Recorded>> {
        self.with(namespace, pipeline, |scaled| {
            let mut recorded: Vec<_> =
                scaled.decisions.iter().filter_map(|(_, recorded)| recorded).rev().take(most).cloned().collect();
            recorded.reverse();
            recorded
        })
    }

    /// A pipeline is gone, or its processors are scaled no longer.
    pub fn forget(&self, namespace: &str, pipeline: &str) {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if pipelines.remove(&(namespace.to_owned(), pipeline.to_owned())).is_some() {
            self.metrics.forget(namespace, pipeline);
        }
    }

    /// What processors tell, with the time by our clock; `None` for a pipeline that is not known.
    fn see(
        &self,
        namespace: &str,
        pipeline: &str,
        now: Timestamp,
        told: Vec<(String, Result<Load, String>)>,
    ) -> Option<Vec<Processor>> {
        let seen = self.with(namespace, pipeline, |scaled| scaled.loads.see(now, told))?;
        Some(seen.into_iter().map(|(pod, load)| Processor { pod, load, cpu: None }).collect())
    }

    fn group(
        &self,
        namespace: &str,
        pipeline: &str,
        now: Timestamp,
        processors: &[Processor],
        lanes: &[Lane],
    ) -> Option<Signal<Group>> {
        self.with(namespace, pipeline, |scaled| scaled.assignments.group(now, processors, lanes))
    }

    /// Decides and remembers.
    fn decide(&self, namespace: &str, pipeline: &str, settings: &Settings, signals: Signals) -> Option<Decision> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = Decisions::BUDGET / pipelines.len().max(1);
        let scaled = pipelines.get_mut(&(namespace.to_owned(), pipeline.to_owned()))?;
        let (decision, memory) = decide(settings, &signals, &scaled.memory);
        scaled.count = decision.to_apply().unwrap_or(scaled.count);
        let (settings, memory) = (settings.clone(), std::mem::replace(&mut scaled.memory, memory));
        scaled.decisions.push(Recorded { settings, signals, memory, decision: decision.clone() }, budget);
        drop(pipelines);
        self.metrics.decided(namespace, pipeline, &decision);
        Some(decision)
    }

    fn with<T>(&self, namespace: &str, pipeline: &str, work: impl FnOnce(&mut Scaled) -> T) -> Option<T> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.get_mut(&(namespace.to_owned(), pipeline.to_owned())).map(work)
    }
}
